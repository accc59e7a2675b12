"""HW10x and HW11x, arithmetic: counts and results that the plan and its own rates contradict.

Owns the comparison of single claims with what is computed. Sums among claims are `totals`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from headway.check.case import Case
from headway.check.claims.computed import COUNTS, TIMES, WHOLES, Computed, computed
from headway.check.claims.scope import Scopes
from headway.check.claims.written import GRAVE, SLIP, covered, gap, said, shown, values
from headway.check.rule import Rule
from headway.check.rules.units import factor_between
from headway.check.words import joined
from headway.domain.errors import Finding, Fix
from headway.domain.selection import ancestry
from headway.domain.statement import Claim, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A claim that says something else than what is computed."""

    claim: Claim
    value: Value
    computed: Computed
    gap: float
    """By which share they miss each other."""
    unrated: tuple[str, ...] = ()
    """Terms without a stated rate that would make up for a figure that is too large."""

    @property
    def words(self) -> str:
        """`wall.low: 40-41 min, computed 37.4 min`."""
        name = ".".join(self.claim.path)
        return f"{name}: {said(self.value)} is claimed, {shown(self.computed.range, self.value)} computed"


def differences(case: Case, keys: Mapping[str, object]) -> Iterator[Difference]:
    """Claims under these keys whose first figure misses what is computed."""
    scopes = Scopes(case)
    for claim in scopes.claims:
        if keys.keys().isdisjoint(claim.path[:2]) or not (found := values(claim)):
            continue
        right = computed(scopes, claim)
        if right is not None and (share := gap(found[0], right.range)) and not _converted(scopes, claim, found[0]):
            scope = scopes.of(claim)
            more = scope is not None and not WHOLES.isdisjoint(claim.path) and covered(found[0]).low > right.range.high
            unrated = tuple(sorted(scope.unrated())) if scope is not None and more else ()
            yield Difference(claim=claim, value=found[0], computed=right, gap=share, unrated=unrated)


def _converted(scopes: Scopes, claim: Claim, days: Value) -> bool:
    """True for days that are the claimed hours, merely divided by 24: the hours are what is compared."""
    if claim.path[0] != "days":
        return False
    hours = [one for one in scopes.by_owner[claim.owner] if one.path == ("wall", *claim.path[1:])]
    return any(not gap(days, covered(value)) for one in hours for value in values(one)[:1])


def _counts(case: Case) -> Iterator[Finding]:
    found = list(differences(case, COUNTS))
    off = {one.claim.owner: one for one in found if one.claim.path[0] == "experiments"}
    above = _around(case, off)
    explained = _explained(off, above)
    for one in found:
        owner, key = one.claim.owner, one.claim.path[0]
        if key == "experiments" and owner in explained:
            continue
        totals = [off[other] for other in above.get(owner, ()) if key == "experiments" and other in explained]
        also = joined(f"{_against(total)} for {total.claim.owner or 'the whole plan'}" for total in totals)
        yield MISCOUNT.finding(
            f"{said(one.value)} {key.replace('_', ' ')} claimed{f' for {owner}' if owner else ''}, "
            f"{shown(one.computed.range, one.value)} counted ({one.computed.words})"
            + (f"; hence also {also}" if also else ""),
            where=one.value.where,
            evidence={"claimed": one.value.mid, "counted": one.computed.range.mid}
            | {f"also {total.claim.owner or 'plan'}": _figures(total) for total in totals},
            hint="Correct the count, or add what is missing to the plan.",
            fix=_counted(one),
        )


def _against(one: Difference) -> str:
    return f"{said(one.value)} against {shown(one.computed.range, one.value)}"


def _around(case: Case, off: Mapping[str, Difference]) -> Mapping[str, list[str]]:
    """Each owner of a wrong count to those that hold it, the nearest first; the plan holds all phases."""
    chains = ancestry(case.plan.phases) if len(off) > 1 else {}
    return {
        owner: [*(one for one in chains[owner] if one != owner and one in off), *([""] if "" in off else [])]
        if owner and owner in chains
        else []
        for owner in off
    }


def _explained(off: Mapping[str, Difference], above: Mapping[str, list[str]]) -> set[str]:
    """Owners whose count is wrong by exactly what is wrong in the phases just inside them."""
    missing: dict[str, float] = {}
    for owner, around in above.items():
        if around:
            missing[around[0]] = missing.get(around[0], 0.0) + _excess(off[owner])
    return {owner for owner, inside in missing.items() if inside == _excess(off[owner])}


def _excess(one: Difference) -> float:
    return one.value.mid - one.computed.range.mid


def _counted(one: Difference) -> Fix | None:
    """The right count in place of a plain number."""
    right = one.computed.range
    if not one.value.text.isdecimal() or not right.is_point or not float(right.mid).is_integer():
        return None
    new = f"{right.mid:.0f}"
    return Fix(where=one.value.where, old=one.value.text, new=new, says=f"{'.'.join(one.claim.path)}: {new}")


def _times(case: Case) -> Iterator[Finding]:
    for owners, group in _grouped(case, slips=False):
        worst = max(group, key=lambda one: one.gap)
        of = f" for {joined(dict.fromkeys(owners))}" if owners[0] else ""
        unrated = joined(dict.fromkeys(term.replace("_", " ") for one in group for term in one.unrated))
        certain = worst.gap > GRAVE and not all(one.unrated for one in group)
        yield CONTRADICTED.finding(
            f"the plan's own rates give something else{of}: {joined(dict.fromkeys(one.words for one in group))} "
            f"({worst.computed.words}" + (f"; no rate for {unrated})" if unrated else ")"),
            where=group[0].value.where,
            evidence={f"{one.claim.owner or 'plan'}.{'.'.join(one.claim.path)}": _figures(one) for one in group},
            hint="Correct the figure or the rate: one of them is wrong.",
            severity="error" if certain else "warning",
        )


def _roundings(case: Case) -> Iterator[Finding]:
    for owners, group in _grouped(case, slips=True):
        yield ROUNDED.finding(
            f"rounded before the last step{f' in {owners[0]}' if owners[0] else ''}: "
            f"{joined(dict.fromkeys(one.words for one in group))} ({group[0].computed.words})",
            where=group[0].value.where,
            evidence={f"{one.claim.owner or 'plan'}.{'.'.join(one.claim.path)}": _figures(one) for one in group},
            hint="Round at the end only.",
        )


def _figures(one: Difference) -> list[float]:
    """Claimed, then computed ends, in base units."""
    return [one.value.mid, one.computed.range.low, one.computed.range.high]


def _grouped(case: Case, *, slips: bool) -> Iterator[tuple[list[str], list[Difference]]]:
    """Contradictions of one owner together, and options that say the same wrong thing; slips apart from mistakes."""
    saving = {claim.owner for claim in case.plan.claims if claim.path[0] == "saves"}
    groups: dict[tuple[str, ...], list[Difference]] = {}
    for one in differences(case, TIMES):
        if (one.gap <= SLIP) is not slips or factor_between(one.value.mid, one.computed.range.mid):
            continue
        owner, text = one.claim.owner, one.value.text
        if owner.startswith("decisions."):
            continue  # the whole or the rest: HW146
        if owner.startswith("options.") and one.claim.path[0] == "gpu_hours" and owner in saving:
            continue  # what a saving leaves is spoken of with the saving
        key = ("options", *one.claim.path, text, one.words) if owner.startswith("options.") else (owner,)
        groups.setdefault(key, []).append(one)
    for group in groups.values():
        yield [one.claim.owner for one in group], group


_COUNTED = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 1k, length: 128}}
matrix: {{seed: [0, 1, 2]}}
run: {{machine: RTX 4090}}
claims: {{experiments: {count}}}
"""
_TIMED = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 8k, length: 128}}
micro_batch: 8
stated: {{step: 1.25 s}}
run: {{machine: RTX 4090}}
claims: {{wall: {wall}}}
"""

MISCOUNT = Rule(
    code="HW101",
    name="count that differs",
    severity="error",
    says="A claimed count is what the plan counts: experiments, rows, steps, batch, tasks, generations.",
    because="Every total is a count times a rate. The counts are those of the expanded plan: matrices multiplied out, "
    "the last partial batch a step of its own, checkpoints kept as `save` says.",
    fails=_COUNTED.format(count=4),
    passes=_COUNTED.format(count=3),
    find=_counts,
)
CONTRADICTED = Rule(
    code="HW111",
    name="result that its own rates contradict",
    severity="error",
    says="A claimed time follows from the stated rates, at the precision it is written with.",
    because="Compared are claim and rates of one author, end with end: no prediction enters. Beyond 10 % it is an "
    "error, beyond 2 % a warning; below that it is rounding (HW112).",
    fails=_TIMED.format(wall="30 min"),
    passes=_TIMED.format(wall="20.8 min"),
    find=_times,
)
ROUNDED = Rule(
    code="HW112",
    name="rounded on the way",
    severity="info",
    says="Figures are rounded once, at the end.",
    because="1,000 steps of 1.25 s are 20.8 min; 21 min times three is 63, not 62.5. Differences up to 2 % are "
    "counted as this.",
    fails=_TIMED.format(wall="20.6 min"),
    passes=_TIMED.format(wall="20.8 min"),
    find=_roundings,
)
RULES = (MISCOUNT, CONTRADICTED, ROUNDED)
