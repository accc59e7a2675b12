"""HW11x, totals: sums that are not the sum of their parts, and one figure said several times with different values.

Owns what an author's own figures say about each other. Figures against the plan are `figures`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from headway.check.case import Case
from headway.check.claims.computed import COUNTS
from headway.check.claims.scope import Scopes
from headway.check.claims.written import covered, distance, end_covered, said, shown, values
from headway.check.rule import Rule
from headway.check.rules.units import factor_between
from headway.check.words import joined
from headway.domain.errors import Finding
from headway.domain.statement import Value
from headway.domain.units import Range

WHOLE = ("total", "all")
"""Keys of a claim that hold the sum of the others beside them."""
QUANTITIES = ("wall", "gpu_hours", "cost")
ADDITIVE = ("gpu_hours", "cost")
"""Claims of phases that add up to those of what is around them."""


def _sums(case: Case) -> Iterator[Finding]:
    firsts = {(claim.owner, claim.path): found[0] for claim in Scopes(case).claims if (found := values(claim))}
    yield from _with_buffer(firsts)
    yield from _split(firsts)
    yield from _of_phases(case, firsts)
    if case.machine is not None and case.machine.node.total_gpus == 1:
        yield from _timeline(firsts)
    yield from _columns(case)


Firsts = Mapping[tuple[str, tuple[str, ...]], Value]


def _with_buffer(firsts: Firsts) -> Iterator[Finding]:
    """`subtotal` and `buffer` make the `total`."""
    for (owner, path), value in firsts.items():
        parts = [firsts.get((owner, (part, *path[1:]))) for part in ("subtotal", "buffer")]
        if path[0] == "total" and all(parts):
            yield from _compared(value, [part for part in parts if part], ".".join(path))


def _split(firsts: Firsts) -> Iterator[Finding]:
    """`{part 1, part 2, total}` under one key, and `by_phase` beside `gpu_hours`."""
    siblings: dict[tuple[str, tuple[str, ...]], list[Value]] = {}
    for (owner, path), value in firsts.items():
        if len(path) > 1 and path[-1] not in WHOLE and path[0] not in COUNTS:  # the plan counts those itself
            siblings.setdefault((owner, path[:-1]), []).append(value)
    for (owner, path), value in firsts.items():
        parts = siblings.get((owner, path[:-1]), []) if len(path) > 1 and path[-1] in WHOLE else []
        if path == ("gpu_hours",):
            parts = siblings.get((owner, ("by_phase",)), [])
        if parts:
            yield from _compared(value, parts, ".".join(path))


def _of_phases(case: Case, firsts: Firsts) -> Iterator[Finding]:
    """What phases claim, against what is claimed of the phase or plan around them; only where each of them claims."""
    inside: dict[str, list[str]] = {}
    for phase in case.plan.phases:
        if not phase.optional:
            inside.setdefault(phase.parent, []).append(phase.id)
    for parent, ids in inside.items():
        for key in ADDITIVE:
            parts = [firsts.get((id_, (key,))) for id_ in ids]
            whole = firsts.get((parent, (key,)))
            if not parent and case.plan.run.buffer is not None:
                whole = firsts.get(("", ("subtotal", key)))
            if whole is not None and len(ids) > 1 and all(parts):
                yield from _compared(whole, [part for part in parts if part], f"{parent or 'the plan'}.{key}")


def _timeline(firsts: Firsts) -> Iterator[Finding]:
    """Bars of a timeline against the GPU-hours of the plan."""
    bars = [value for (owner, path), value in firsts.items() if not owner and path[0] == "timeline"]
    whole = firsts.get(("", ("gpu_hours",)))
    if whole is not None and bars:
        yield from _compared(whole, bars, "the bars of the timeline")


def _compared(whole: Value, parts: list[Value], name: str) -> Iterator[Finding]:
    """Silent where the parts as written add up to the whole as written; milder where their rounding explains it."""
    added = Range.point(0.0)
    doubt = Range.point(0.0)
    for part in parts:
        added, doubt = added + part.range, doubt + covered(part)
    off = distance(covered(whole), added)
    if not off:
        return
    rounding = not distance(covered(whole), doubt)
    if rounding and max(_half(part) for part in parts) <= _half(whole) * (1 + 1e-9):
        return  # as precise as their sum: each was rounded by itself, as in any table
    yield NOT_THE_SUM.finding(
        f"{name}: {joined(said(part) for part in parts)} add up to {shown(added, whole)}, not {said(whole)}"
        + (": parts are rounded before they are added" if rounding else ""),
        where=whole.where,
        evidence={"parts": [part.mid for part in parts], "sum": added.mid, "claimed": whole.mid},
        hint="Add up the exact figures and round the sum."
        if rounding
        else "Correct the sum, or the part that is wrong.",
        severity="info" if rounding else "error",
    )


def _half(value: Value) -> float:
    """Half a unit of the figure's last digit, in base units."""
    return covered(value).high - value.range.high


def _columns(case: Case) -> Iterator[Finding]:
    """Costs said of every phase, the k-th figure of each: their sum should be a cost of the plan or of an option."""
    phases = [phase.id for phase in case.plan.phases]
    of = {claim.owner: found for claim in case.plan.claims if claim.path == ("cost",) and (found := values(claim))}
    said_of = [of[id_] for id_ in phases if id_ in of]
    if len(said_of) < 2 or len(said_of) < len(phases):
        return
    totals = [value for claim in case.plan.claims if claim.owner not in phases and "cost" in claim.path
              for value in values(claim)]  # fmt: skip
    for index in range(min(len(found) for found in said_of)):
        column = [found[index] for found in said_of]
        added = sum((covered(value) for value in column[1:]), covered(column[0]))
        if totals and all(distance(covered(value), added) for value in totals):
            nearest = min(totals, key=lambda value: distance(covered(value), added))
            exact = sum((value.range for value in column[1:]), column[0].range)
            yield NOT_THE_SUM.finding(
                f"the phases cost {joined(said(value) for value in column)}: {shown(exact, column[0])} together, which "
                f"no total of the plan says; the nearest is {said(nearest)}",
                where=column[0].where,
                evidence={
                    "parts": [value.mid for value in column],
                    "sum": exact.mid,
                    "totals": [v.mid for v in totals],
                },
                hint="Make the total the sum of its rows.",
            )


def _repeats(case: Case) -> Iterator[Finding]:
    """One finding for each quantity, whatever has several values of it."""
    several: dict[str, list[tuple[str, tuple[Value, ...]]]] = {}
    for claim in Scopes(case).claims:
        found = values(claim)
        if len(found) > 1 and claim.path[0] not in ("wall_at", "throughput") and _unequal(found):
            quantity = next((key for key in claim.path if key in QUANTITIES), claim.path[0])
            rest = ".".join(key for key in claim.path if key != quantity)
            name = " ".join(word for word in (claim.owner.removeprefix("options."), rest) if word)
            several.setdefault(quantity.replace("_", " "), []).append((name or "the plan", found))
    for name, quantity, value in _stated(case):
        if value.others and _unequal((value, *value.others)):
            several.setdefault(f"stated {quantity}", []).append((name, (value, *value.others)))
    for quantity, cases in several.items():
        words = "; ".join(
            f"{joined(dict.fromkeys(said(value) for value in found))} for {name}" for name, found in cases
        )
        yield SEVERAL_VALUES.finding(
            f"{quantity} has several values: {words}",
            where=cases[0][1][0].where,
            evidence={name: [[value.range.low, value.range.high] for value in found] for name, found in cases},
            hint="Keep one source for each figure.",
        )


def _unequal(found: tuple[Value, ...]) -> bool:
    """True where two figures for one thing cannot both be right; a unit's factor is spoken of elsewhere."""
    first = found[0]
    return any(
        value.noun == first.noun and not _same(first, value) and factor_between(first.mid, value.mid) is None
        for value in found[1:]
    )


def _same(left: Value, right: Value) -> bool:
    one, other = covered(left), covered(right)
    if left.range.is_point or right.range.is_point:
        return not distance(one, other)
    return not any(distance(end_covered(left, high=high), end_covered(right, high=high)) for high in (False, True))


def _stated(case: Case) -> Iterator[tuple[str, str, Value]]:
    """Stated values that may be said several times, each once: rates, and prices of the machines."""
    seen = set()
    for experiment in case.plan.experiments:
        for terms in (experiment.stated.terms, *(stage.stated.terms for stage in experiment.stages)):
            for name, parts in terms.items():
                for value in parts.values():
                    if value.others and value.where not in seen:
                        seen.add(value.where)
                        yield experiment.id, name, value
    for machine in case.plan.run.machines.values():
        for name, price in (("price", machine.price), ("spot price", machine.spot_price)):
            if price is not None:
                yield machine.id, name, price


_SUM = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 8k, length: 128}}
run: {{machine: RTX 4090}}
claims: {{terms: {{load: 2 min, step: 30 min, total: {total}}}}}
"""
_REPEATED = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 8k, length: 128}}
micro_batch: 8
stated: {{step: 1.8 s}}
run: {{machine: RTX 4090}}
claims: {{wall: [30 min, {again}]}}
"""

NOT_THE_SUM = Rule(
    code="HW113",
    name="total unlike its parts",
    severity="error",
    says="A total is the sum of its rows: parts, phases, subtotal and buffer.",
    because="Rows are what people check and totals are what they remember. A remark where the rounding of the parts "
    "explains the difference, an error where it does not.",
    fails=_SUM.format(total="38 min"),
    passes=_SUM.format(total="32 min"),
    find=_sums,
)
SEVERAL_VALUES = Rule(
    code="HW114",
    name="one figure, several values",
    severity="warning",
    says="One thing has one value, however often it is said.",
    because="The first value is the one that counts; a reader may have met another. Figures are the same when one "
    "rounds to the other: 28.1 min and 0.47 h are.",
    fails=_REPEATED.format(again="35 min"),
    passes=_REPEATED.format(again="0.5 h"),
    find=_repeats,
)
RULES = (NOT_THE_SUM, SEVERAL_VALUES)
