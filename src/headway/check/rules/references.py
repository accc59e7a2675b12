"""HW16x, references: outside facts that say something else, and factors that nobody measured.

Owns the second opinion. Scaling a reference to the plan is `estimate.questions.reference`.
"""

from __future__ import annotations

from collections.abc import Iterator

from headway.check.case import Case
from headway.check.claims.written import covered, distance, said, values
from headway.check.rule import Rule
from headway.check.rules.methods import compared
from headway.check.words import joined
from headway.domain.errors import Finding
from headway.domain.plan import Reference
from headway.domain.statement import Claim, Factor, Value
from headway.domain.units import Range, format_duration, format_number
from headway.estimate.questions.reference import CrossCheck, cross_checks


def _disagree(case: Case) -> Iterator[Finding]:
    if not case.plan.references or "step" in case.stated.estimate.left_out:
        return
    for check in cross_checks(case.plan, case.stated.estimate):
        if check.agrees or not check.estimate_s.p90 or _elsewhere(case, check.reference):
            continue
        claims = [one for one in case.plan.claims if one.owner == f"references.{check.reference.id}"]
        agreed = next((one for one in claims if one.path == ("agrees",) and True in one.values), None)
        speed = f" at {_factors(check.speedup)} x its speed" if check.reference.speedup else ""
        yield DISAGREE.finding(
            f"{check.reference.name}, {format_number(check.rows_ratio)} x the rows{speed}, gives "
            f"{_times(check.wall_s)}; the stated rates give {_spread(check)}: {format_number(check.apart)} x apart"
            + (", and they are said to agree" if agreed else ""),
            where=agreed.where if agreed else check.reference.where,
            evidence={"scaled_s": [check.wall_s.low, check.wall_s.mid, check.wall_s.high],
                      "stated_s": [check.estimate_s.p10, check.estimate_s.p90], "apart": check.apart,
                      "claimed": _claimed(claims)},
            hint="Find out which of the two is wrong before planning with either.",
            severity="error" if agreed else "warning",
        )  # fmt: skip


def _elsewhere(case: Case, reference: Reference) -> bool:
    """True for a run on another GPU whose speed against this one nobody says: nothing follows from it."""
    if reference.speedup is not None or reference.gpu is None or case.machine is None:
        return False
    return reference.gpu.use.lower() not in case.machine.node.device.name.lower()


def _claimed(claims: list[Claim]) -> dict[str, str]:
    return {".".join(one.path): said(values(one)[0]) for one in claims if values(one)}


def _factors(found: Range) -> str:
    return format_number(found.mid) if found.is_point else f"{format_number(found.low)} to {format_number(found.high)}"


def _times(found: Range) -> str:
    low, high = format_duration(found.low), format_duration(found.high)
    return low if low == high else f"{low} to {high}"


def _spread(check: CrossCheck) -> str:
    return _times(Range(check.estimate_s.p10, check.estimate_s.p50, check.estimate_s.p90))


def _ratios(case: Case) -> Iterator[Finding]:
    """Ratios that an author works out from a reference, against rows and speeds."""
    claims = [one for one in case.plan.claims if one.path in (("rows_ratio",), ("wall_ratio",)) and values(one)]
    checks = (
        {f"references.{one.reference.id}": one for one in cross_checks(case.plan, case.stated.estimate)}
        if claims
        else {}
    )
    for claim in claims:
        check = checks.get(claim.owner)
        if check is None:
            continue
        slower = check.speedup.inverse() if claim.path == ("wall_ratio",) else Range.point(1.0)
        right, value = slower * check.rows_ratio, values(claim)[0]
        if distance(covered(value), right):
            yield WRONG_RATIO.finding(
                f"{claim.path[0].replace('_', ' ')} of {check.reference.name}: {said(value)} is claimed, "
                f"{_factors(right)} follows from {format_number(check.rows_ratio)} x the rows",
                where=value.where,
                evidence={"claimed": value.mid, "computed": [right.low, right.high]},
                hint="Correct the ratio, and what follows from it.",
            )


def _unsourced(case: Case) -> Iterator[Finding]:
    """Factors that no rule can judge: those of methods are compared with the prediction (`methods`)."""
    found: dict[str, Factor] = {}
    for experiment in case.plan.experiments:
        for stage in experiment.stages:
            if stage.stated.factors and not stage.stated.source:
                found |= {
                    one.cause: one for one in stage.stated.factors if not one.change.source and not compared(one.cause)
                }
    if found:
        first: Value = next(iter(found.values())).change
        words = joined(f"{one.cause} ({one.change.text})" for one in found.values())
        yield UNSOURCED.finding(
            f"factors without a source are assumptions: {words}",
            where=first.where,
            evidence={one.cause: [one.sign * one.change.range.low, one.sign * one.change.range.high]
                      for one in found.values()},
            hint="Name who measured it, under stated.source or as {use, source, date}.",
        )  # fmt: skip


_REFERENCE = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 8k, length: 128}}
micro_batch: 8
stated: {{step: {step}}}
run: {{machine: RTX 4090}}
references:
  readme: {{rows: 4k, wall: 30 min, speedup: 2{claims}}}
"""
_FACTOR = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 8k, length: 128}}
stated: {{step: 2 s, factors: {{slow disk: 10-20% slower}}{source}}}
run: {{machine: RTX 4090}}
"""

DISAGREE = Rule(
    code="HW161",
    name="reference that disagrees",
    severity="error",
    says="Two estimates of one time overlap: the plan's own rates and a published run scaled to the plan.",
    because="Scaled are rows and the stated speedup, ends with ends. A warning where they are apart, an error where "
    "the plan says that they agree.",
    fails=_REFERENCE.format(step="0.5 s", claims=", claims: {agrees: true}"),
    passes=_REFERENCE.format(step="1.8 s", claims=", claims: {agrees: true}"),
    find=_disagree,
)
WRONG_RATIO = Rule(
    code="HW162",
    name="ratio to a reference",
    severity="error",
    says="Ratios to a reference follow from its rows and the stated speedup.",
    because="rows here / rows there, divided by how much faster this machine is, is the ratio of the times.",
    fails=_REFERENCE.format(step="1.8 s", claims=", claims: {rows_ratio: 3}"),
    passes=_REFERENCE.format(step="1.8 s", claims=", claims: {rows_ratio: 2}"),
    find=_ratios,
)
UNSOURCED = Rule(
    code="HW163",
    name="factor without a source",
    severity="info",
    says="A factor on the time names its source.",
    because="What slowed another machine by a fifth may cost this one nothing; without a source it is an assumption.",
    fails=_FACTOR.format(source=""),
    passes=_FACTOR.format(source=", source: 'our runs of March'"),
    find=_unsourced,
)
RULES = (DISAGREE, WRONG_RATIO, UNSOURCED)
