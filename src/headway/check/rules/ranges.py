"""HW13x, doubt: ranges that become points, headlines without their slow end, and what stated rates say of themselves.

Owns how an author's doubt is carried along. Contradictions are `figures` and `totals`.
"""

from __future__ import annotations

from collections.abc import Iterator

from headway.check.case import Case
from headway.check.claims.computed import ENDS, ESSENTIAL, TIMES, Computed, computed
from headway.check.claims.scope import Scope, Scopes, ends, same
from headway.check.claims.written import GRAVE, SLIP, covered, gap, said, shown, values
from headway.check.rule import Rule
from headway.domain.errors import Finding
from headway.domain.plan import Experiment
from headway.domain.spread import total
from headway.domain.statement import Claim, Stated, Value
from headway.domain.units import Range, format_duration, format_number
from headway.estimate.nouns import ExperimentEstimate
from headway.estimate.stated import wall

WIDE = 0.1
"""Width of a range over its middle from which a single figure hides something."""


def _points(case: Case) -> Iterator[Finding]:
    scopes = Scopes(case)
    groups: dict[str, list[tuple[Claim, Value, Computed]]] = {}
    for claim in scopes.claims:
        found = values(claim)
        if claim.path[0] not in TIMES or set(claim.path) & {*ENDS, "headline"} or not found:
            continue
        right = computed(scopes, claim)
        if right is None or not found[0].range.is_point or gap(found[0], right.range):
            continue
        if _hides(right.range) and not right.readings:
            groups.setdefault(claim.owner, []).append((claim, found[0], right))
    for owner, several in groups.items():
        words = "; ".join(
            f"{'.'.join(claim.path)} is {said(value)}, and {shown(right.range, value)} follows"
            for claim, value, right in several
        )
        yield POINT_OF_RANGE.finding(
            f"a range went in and a single figure came out{f' of {owner}' if owner else ''}: {words}",
            where=several[0][1].where,
            evidence={".".join(claim.path): [right.range.low, right.range.mid, right.range.high]
                      for claim, _, right in several},
            hint="Give the range, or say which end the figure is.",
        )  # fmt: skip


def _hides(found: Range) -> bool:
    return found.mid > 0 and (found.high - found.low) / found.mid > WIDE


def _headlines(case: Case) -> Iterator[Finding]:
    scopes = Scopes(case)
    for claim in scopes.claims:
        if not ({"headline"} & set(claim.path) and {"wall", "gpu_hours"} & set(claim.path)) or not values(claim):
            continue
        value, scope = values(claim)[0], scopes.of(claim)
        if scope is None or not ESSENTIAL.isdisjoint(scope.unrated()):
            continue
        spread = scope.gpu_s() if "gpu_hours" in claim.path else scope.wall_s()
        right = ends(spread * (1 + scope.reading.estimate.buffer_share))
        if _hides(right) and covered(value).high < right.high * (1 - SLIP):
            middle = shown(Range.point(right.mid), value)
            yield HEADLINE.finding(
                f"the headline of {said(value)} ends before the slow end of the stated rates: {shown(right, value)}, "
                f"{middle} in the middle",
                where=value.where,
                evidence={
                    "headline": [value.range.low, value.range.high],
                    "computed": [right.low, right.mid, right.high],
                },
                hint=f"Say {middle}, and that it may take {shown(Range.point(right.high), value)}.",
            )


def _fast_ends(case: Case) -> Iterator[Finding]:
    """A claimed range of throughput whose fast end is what the plan computes with."""
    claimed = [value for claim in case.plan.claims if claim.path == ("throughput",) for value in values(claim)]
    claimed = [value for value in claimed if not value.range.is_point]
    scope = Scopes(case).plan() if claimed else None
    if scope is None:
        return
    used = same(stage.stated.throughput[:1] for stage, _ in scope.trained())
    for value in claimed:
        if not used or used[0].noun != value.noun or not used[0].range.is_point:
            continue
        if 0 < value.range.low < value.range.high <= used[0].mid * (1 + SLIP / 10):
            yield _fast_end(scope, value, used[0])


def _fast_end(scope: Scope, value: Value, used: Value) -> Finding:
    hours = scope.gpu_s().p50 / 3600
    steps = sum(one.gpu_s.p50 * one.terms_s["step"].p50 / one.wall_s.p50 for _, one in scope.trained()
                if "step" in one.terms_s) / 3600  # fmt: skip
    slow = hours + steps * (used.mid / value.range.low - 1)
    return FAST_END.finding(
        f"{said(value)} is expected and {said(used)}, its fast end, is computed with: {format_number(hours)} GPU-h "
        f"would be {format_number(slow)} GPU-h at the slow end",
        where=used.where,
        evidence={"used_per_s": used.mid, "expected_per_s": [value.range.low, value.range.high],
                  "gpu_hours": [hours, slow]},
        hint=f"State the range: throughput: {value.text}.",
    )  # fmt: skip


def _wholes(case: Case) -> Iterator[Finding]:
    """Stated times of a whole that its own stated parts exceed."""
    if not _states_wholes(case):
        return
    estimates = {item.id: item for item in case.stated.estimate.experiments}
    seen = set()
    for experiment in case.plan.experiments:
        for stated, parts_s in _parts(experiment, estimates[experiment.id]):
            whole = wall(stated)
            value = next(iter(stated.terms["wall"].values()))
            if whole is None or value.where in seen or parts_s <= max(whole.p90, covered(value).high) * (1 + 1e-9):
                continue
            seen.add(value.where)
            yield SHORTER.finding(
                f"{experiment.id}: the stated wall of {format_duration(whole.p90)} is shorter than its stated parts, "
                f"{format_duration(parts_s)}",
                where=value.where,
                evidence={"wall_s": whole.p90, "parts_s": parts_s},
                hint="Correct the wall or the parts: the wall is what is counted.",
                severity="error" if parts_s > whole.p90 * (1 + GRAVE) else "warning",
            )


def _states_wholes(case: Case) -> bool:
    return any("wall" in said_of.terms for one in case.plan.experiments
               for said_of in (one.stated, *(stage.stated for stage in one.stages)))  # fmt: skip


def _parts(experiment: Experiment, estimate: ExperimentEstimate) -> Iterator[tuple[Stated, float]]:
    """Everything with a stated wall, with the seconds that its stated parts take at least."""
    if "wall" in experiment.stated.terms:
        yield experiment.stated, total(stage.wall_s for stage in estimate.stages).p10
    for stage, one in zip(experiment.stages, estimate.stages, strict=True):
        if "wall" in stage.stated.terms and one.stated_step_s is not None:
            yield stage.stated, one.stated_step_s.p10 * one.steps


_RANGED = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 8k, length: 128}}
micro_batch: 8
stated: {{step: 1-2 s}}
run: {{machine: RTX 4090}}
claims: {{wall: {wall}}}
"""
_FAST = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 8k, length: 128}}
micro_batch: 8
stated: {{throughput: {used}}}
run: {{machine: RTX 4090}}
claims: {{throughput: 1800-2000 steps/h}}
"""
_WHOLE = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 8k, length: 128}}
micro_batch: 8
stated: {{step: 2 s, wall: {wall}}}
run: {{machine: RTX 4090}}
"""
SHORTER = Rule(
    code="HW115",
    name="whole shorter than its parts",
    severity="error",
    says="A stated wall holds its stated parts.",
    because="The stated wall overrides its parts, so that a wall that is too short hides what was stated of steps.",
    fails=_WHOLE.format(wall="20 min"),
    passes=_WHOLE.format(wall="40 min"),
    find=_wholes,
)
POINT_OF_RANGE = Rule(
    code="HW131",
    name="point out of a range",
    severity="info",
    says="A range in gives a range out.",
    because="A single figure from rates that are ranges hides which end it is, and totals of such figures are neither "
    "the best nor the worst case.",
    fails=_RANGED.format(wall="25 min"),
    passes=_RANGED.format(wall="17-33 min"),
    find=_points,
)
HEADLINE = Rule(
    code="HW132",
    name="headline without its slow end",
    severity="warning",
    says="A headline holds the slow end of the author's own rates.",
    because="People plan with the headline. One that runs from the best case to the middle is exceeded half the time.",
    fails=_RANGED.format(wall="{headline: 17-25 min}"),
    passes=_RANGED.format(wall="{headline: 17-34 min}"),
    find=_headlines,
)
FAST_END = Rule(
    code="HW133",
    name="fast end of a range",
    severity="warning",
    says="What is expected as a range is computed with as a range.",
    because="Hours at the fast end of a throughput are a best case under another name.",
    fails=_FAST.format(used="2000 steps/h"),
    passes=_FAST.format(used="1800-2000 steps/h"),
    find=_fast_ends,
)
RULES = (SHORTER, POINT_OF_RANGE, HEADLINE, FAST_END)
