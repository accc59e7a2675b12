"""HW12x, units: figures that are off by a unit's factor, and rates that do not go together.

Owns the factors between units and the triangle of steps, samples and tokens a second.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from headway.check.case import Case
from headway.check.claims.computed import computed, lengths_known
from headway.check.claims.scope import Scope, Scopes, same
from headway.check.claims.written import SLIP, covered, distance, ends_differ, said, severity, shown, values
from headway.check.rule import Rule
from headway.check.words import joined
from headway.domain.errors import Finding, Fix
from headway.domain.statement import Claim, Factor, Value
from headway.domain.units import Range, format_duration, format_number, format_share

FACTORS = {1000.0: "a thousand", 60.0: "60", 3600.0: "3,600", 24.0: "24", 86400.0: "86,400"}
"""Between neighbouring units: milliseconds and seconds, seconds and minutes, hours and days."""
NEAR = 0.01
"""How near to such a factor two figures must be to be taken for one of them in another unit."""
TRACE = 1e-4
"""A share that is worth a word beside a wrong unit."""
_FINER = {("s", 1000.0): "ms", ("min", 60.0): "s", ("h", 60.0): "min", ("h", 3600.0): "s", ("d", 24.0): "h"}
_COARSER = {("ms", 1000.0): "s", ("s", 60.0): "min", ("s", 3600.0): "h", ("min", 60.0): "h", ("h", 24.0): "d"}
_UNIT = re.compile(r"^([\d_.]+)\s*([a-z]+)$")
_TOKENS = re.compile(r"\b(over|above|more than|under|below|less than)\s+(\d[\d,]*)\s+tokens\b")


def factor_between(figure: float, right: float) -> float | None:
    """The unit's factor (60, 1000, ...) by which a figure is too large, or too small (below 1); None without one."""
    for factor in FACTORS:
        for ratio in (factor, 1 / factor):
            if right > 0 and abs(figure / right / ratio - 1) <= NEAR:
                return ratio
    return None


def _units(case: Case) -> Iterator[Finding]:
    scopes = Scopes(case)
    for claim in scopes.claims:
        found = [value for value in values(claim) if value.unit == "s" and value.range.is_point]
        if not found or claim.path[0] == "billed":
            continue
        right = computed(scopes, claim)
        for value in found:
            ratio = None if right is None else factor_between(value.mid, right.range.mid)
            if right is not None and ratio is not None:
                yield _off(claim, value, right.range, ratio, right.words)
    yield from _node_hours(case, scopes)
    yield from _named_node_hours(case, scopes)


def _off(claim: Claim, value: Value, right: Range, ratio: float, words: str) -> Finding:
    factor = ratio if ratio > 1 else 1 / ratio
    left = abs(value.mid / ratio / right.mid - 1)
    return WRONG_UNIT.finding(
        f"{'.'.join(claim.path)}: {said(value)} is {FACTORS[round(factor, 6)]} times too "
        f"{'long' if ratio > 1 else 'short'}: {shown(right, value)} follows from {words}"
        + (f"; in the right unit it would still be off by {format_share(left)}" if left > TRACE else ""),
        where=value.where,
        evidence={"claimed_s": value.mid, "computed_s": right.mid, "factor": factor,
                  "in_the_right_unit": value.mid / ratio / right.mid},
        hint="Correct the unit.",
        fix=_in_unit(value, ratio),
    )  # fmt: skip


def _in_unit(value: Value, ratio: float) -> Fix | None:
    """The same digits with the unit that makes them right."""
    match = _UNIT.match(value.text)
    known = _FINER if ratio > 1 else _COARSER
    unit = known.get((match[2], round(max(ratio, 1 / ratio), 6))) if match else None
    if match is None or unit is None:
        return None
    return Fix(where=value.where, old=value.text, new=f"{match[1]} {unit}", says=f"{value.text} is {match[1]} {unit}")


def _node_hours(case: Case, scopes: Scopes) -> Iterator[Finding]:
    """Node-hours that are GPU-hours: more hours of the machine than the plan lasts, by as many times as it has GPUs."""
    claims = [claim for claim in case.plan.claims if claim.path[0] == "billed"]
    machine = case.machine
    if not claims or machine is None or machine.node.total_gpus < 2:
        return
    gpus, scope = machine.node.total_gpus, scopes.plan()
    wall = scope.reading.estimate.wall_s
    for value in (value for claim in claims for value in values(claim)):
        hours = value.range.mid / gpus
        if value.noun == "node-h" and wall.p90 < value.mid and 0.5 * wall.p10 <= hours <= 2 * wall.p90:
            new = value.text.replace("node", "GPU")
            yield WRONG_UNIT.finding(
                f"{said(value)} of a node with {gpus} GPUs are {format_number(value.mid * gpus / 3600)} GPU-h; the "
                f"plan lasts {format_duration(wall.p50)}: {format_number(hours / 3600)} node-h are {new}",
                where=value.where,
                evidence={"claimed_node_s": value.mid, "wall_s": wall.p50, "gpus": gpus},
                hint="Say GPU-h for hours of one GPU, node-h for hours of the machine.",
                fix=Fix(where=value.where, old=value.text, new=new, says=f"{value.text} is {new}"),
            )


def _named_node_hours(case: Case, scopes: Scopes) -> Iterator[Finding]:
    """GPU-hours that are right but for the unit that they name."""
    machine = case.machine
    if machine is None or machine.node.total_gpus < 2:
        return
    for claim in scopes.claims:
        named = [value for value in values(claim) if value.noun == "node-h"] if "gpu_hours" in claim.path else []
        right = computed(scopes, claim) if named else None
        for value in named:
            if right is None or distance(covered(value), right.range):
                continue
            new = value.text.replace("node", "GPU")
            yield WRONG_UNIT.finding(
                f"{'.'.join(claim.path)}: {said(value)} of a node with {machine.node.total_gpus} GPUs are "
                f"{format_number(value.mid * machine.node.total_gpus / 3600)} GPU-h; {new} follow from {right.words}",
                where=value.where,
                evidence={"claimed_node_s": value.mid, "computed_s": right.range.mid, "gpus": machine.node.total_gpus},
                hint="Say GPU-h for hours of one GPU, node-h for hours of the machine.",
                fix=Fix(where=value.where, old=value.text, new=new, says=f"{value.text} is {new}"),
            )


def _rates(case: Case) -> Iterator[Finding]:
    """All rates of steps, samples and tokens as steps a second, against the first of them."""
    scope = Scopes(case).plan() if _mentions_rates(case) else None
    if scope is None:
        return
    stated = same(tuple(stage.stated.throughput) for stage, _ in scope.trained()) or ()
    claimed = [value for claim in case.plan.claims if not claim.owner and claim.path == ("throughput",)
               for value in values(claim)]  # fmt: skip
    step = same((s.stated_step_s.p10, s.stated_step_s.p50, s.stated_step_s.p90) for _, s in scope.trained()
                if s.stated_step_s and s.stated_step_s.p10 > 0)  # fmt: skip
    units = _units_per_step(case, scope)
    known = [value for value in (*claimed, *stated) if value.noun in units]
    for value in known:
        base = Range(1 / step[2], 1 / step[1], 1 / step[0]) if value in stated and step else None
        if base is None and value is not known[0]:
            base = known[0].range * (1 / units[known[0].noun])
        if base is None or base.low <= 0 or (value.noun in ("steps", "step") and value in stated):
            continue
        expected = base * units[value.noun]
        off = distance(covered(value), _widened(expected, known[0]))
        uneven = 0.0 if off or value.range.is_point or base.is_point else ends_differ(value, expected)
        if off or uneven > SLIP:
            yield _unequal(value, expected, off, base, units[value.noun])


def _widened(expected: Range, like: Value) -> Range:
    """What is expected, with the doubt of the last digit of the rate that it follows from."""
    around = covered(like)
    if not like.range.low:
        return expected
    return Range(expected.low * around.low / like.range.low, expected.mid,
                 expected.high * around.high / like.range.high)  # fmt: skip


def _mentions_rates(case: Case) -> bool:
    """True where more than one rate is said: nothing has to be computed otherwise."""
    claimed = any(claim.path == ("throughput",) for claim in case.plan.claims)
    stages = (stage for experiment in case.plan.experiments for stage in experiment.stages)
    return claimed or any(stage.stated.throughput and "step" in stage.stated.terms for stage in stages)


def _units_per_step(case: Case, scope: Scope) -> dict[str, float]:
    """How many of each noun one optimizer step handles: the claimed tokens before those of the data."""
    rows = same(basis.batches.rows_per_step for _, stage in scope.trained() if (basis := stage.basis))
    found = {"steps": 1.0, "step": 1.0}
    if rows:
        found |= dict.fromkeys(("samples", "sample", "rows", "row"), float(rows))
    said_of = [value.mid for claim in case.plan.claims if claim.path == ("tokens_per_step",) for value in values(claim)]
    real = same(basis.batches.tokens_per_step for _, stage in scope.trained() if (basis := stage.basis))
    tokens = said_of[0] if said_of else real if lengths_known(scope) else None
    return found | (dict.fromkeys(("tokens", "token"), tokens) if tokens else {})


def _unequal(value: Value, expected: Range, off: float, base: Range, units: float) -> Finding:
    rate = f"{format_number(expected.low)} to {format_number(expected.high)} {value.noun}/s"
    steps = f"{format_number(1 / base.high)} to {format_number(1 / base.low)} s a step"
    return UNEQUAL_RATES.finding(
        f"{said(value)} does not go with the other rate of the plan: {steps} of {units:,.0f} {value.noun} are {rate}"
        + (f", {format_number(1 + off)} x apart" if off else ""),
        where=value.where,
        evidence={"said_per_s": [value.range.low, value.range.high], "implied_per_s": [expected.low, expected.high]},
        hint="Keep the rate that was measured, and let the others follow from it.",
        severity=severity(off),
    )


def _by_length(case: Case) -> Iterator[Finding]:
    """Factors for longer or shorter rows that are smaller than the rows are longer or shorter."""
    seen = set()
    for experiment in case.plan.experiments:
        for stage in experiment.stages:
            dataset = case.plan.datasets.get(stage.data)
            if not stage.stated.factors or dataset is None or dataset.length is None or dataset.length.unknown:
                continue
            if stage.stated.factors[0].change.where in seen:
                continue
            seen.add(stage.stated.factors[0].change.where)
            found = [(factor, needed) for factor in stage.stated.factors
                     if (needed := _needed(factor, dataset.length.mid)) is not None]  # fmt: skip
            if found:
                yield _disproportionate(found, dataset.length)


def _needed(factor: Factor, mean: float) -> float | None:
    """The least share by which rows over (under) so many tokens are slower (faster), where the factor says less."""
    match = _TOKENS.search(factor.cause)
    if match is None or factor.change.unit != "share":
        return None
    needed = float(match[2].replace(",", "")) / mean - 1
    reached = covered(factor.change).high >= abs(needed) + NEAR
    return None if needed * factor.sign <= 0 or reached else needed


def _disproportionate(found: list[tuple[Factor, float]], length: Value) -> Finding:
    shares = joined(
        f"{factor.cause} are {factor.change.text}, not at least {format_share(abs(needed))}" for factor, needed in found
    )
    return NOT_BY_TOKEN.finding(
        f"time grows with tokens, and the mean is {format_number(length.mid)}: {shares}",
        where=found[0][0].change.where,
        evidence={factor.cause: {"stated_share": [factor.change.range.low, factor.change.range.high],
                                 "least_share": abs(needed)} for factor, needed in found},
        hint="State the rate by token, and let the time of a step follow from the length.",
    )  # fmt: skip


_TABLE = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 8k, length: 128}}
micro_batch: 8
stated: {{step: 500 ms}}
run: {{machine: T4}}
claims: {{wall_per_epoch: {epoch}}}
"""
_TRIANGLE = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 8k, length: {{mean: 128, min: 128, max: 128}}}}
micro_batch: 8
max_length: 128
stated: {{step: 2 s}}
run: {{machine: RTX 4090}}
claims: {{throughput: [0.5 steps/s, {rate}], tokens_per_step: 1024}}
"""
_LONGER = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 8k, length: 200-300}}
stated: {{step: 2 s, factors: {{rows over 400 tokens: {change}}}}}
run: {{machine: RTX 4090}}
"""

WRONG_UNIT = Rule(
    code="HW121",
    name="figure in another unit",
    severity="error",
    says="A figure is in the unit that it names: seconds are not milliseconds, node-hours not GPU-hours.",
    because="A factor of exactly 60, 1,000 or 3,600 between a claim and the rate beside it is a unit, not a doubt.",
    fails=_TABLE.format(epoch="500000 s"),
    passes=_TABLE.format(epoch="500000 ms"),
    find=_units,
)
UNEQUAL_RATES = Rule(
    code="HW122",
    name="rates that disagree",
    severity="error",
    says="Steps, samples and tokens a second are one speed said three times.",
    because="Tokens a step x steps an hour are tokens an hour. Where two rates of one plan disagree, its hours are "
    "those of the one and its expectations those of the other.",
    fails=_TRIANGLE.format(rate="200-250 tokens/s"),
    passes=_TRIANGLE.format(rate="500-525 tokens/s"),
    find=_rates,
)
NOT_BY_TOKEN = Rule(
    code="HW123",
    name="time not by token",
    severity="info",
    says="Longer rows cost at least in proportion to their tokens.",
    because="The matrix products of a step grow with its tokens, and attention faster than that.",
    fails=_LONGER.format(change="10-20% slower"),
    passes=_LONGER.format(change="60-90% slower"),
    find=_by_length,
)
RULES = (WRONG_UNIT, UNEQUAL_RATES, NOT_BY_TOKEN)
