"""Which amounts of money a claimed cost can be: hours that the plan or its author names, times the prices that apply.

Owns the candidates. Comparing them with what is claimed is `rules.money`; the bill itself is `cost.billing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from headway.check.case import Case
from headway.check.claims.computed import ESSENTIAL
from headway.check.claims.scope import Scope, Scopes, ends
from headway.check.claims.written import covered, dollars, values
from headway.cost.energy import is_owned
from headway.domain.lookup import Machine
from headway.domain.statement import Claim, Value
from headway.domain.units import Range, format_number

APART = ("safe", "active", "subtotal", "buffer")
"""Splits of a total that have hours of their own."""
HOURS = ("wall", "at", "gpu_hours")
"""Claims that say how long something takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """One way to come to an amount."""

    usd: float
    words: str
    """`8.5 h x $32.77`."""
    end: str = ""
    """`low` or `high` where the hours are that end of a range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costing:
    """What a claimed cost can be."""

    machine: Machine
    whole: tuple[Amount, ...]
    """Hours of the whole machine."""
    shared: tuple[Amount, ...]
    """Hours of the GPUs that are used, at their share of the machine's price."""
    free: bool
    """Nothing needs a GPU, so that no machine need be up."""


def costing(case: Case, scopes: Scopes, claim: Claim) -> Costing | None:
    """Every amount that the claim can mean; None where no price or no time is known."""
    scope = scopes.of(Claim(owner=claim.owner, path=("wall",), values=()))
    if scope is None:
        return None
    machines = case.lookup.machines
    own = machines.get(scope.reading.plan.run.machine) or case.machine
    machine = machines.get(claim.path[-1]) or own
    if machine is None or is_owned(machine):
        return None
    prices = list(_prices(scope, machine, claim))
    hours = list(dict.fromkeys([*_said(scopes, claim, machine), *_computed(scope, machine, claim)]))
    if not prices or not hours:
        return None
    total = machine.node.total_gpus
    gpus = {end for _, stage in scope.stages() for end in (stage.gpus.low, stage.gpus.high)}
    reserve = scope.reading.plan.run.reserve if scope.whole else None
    extra = (0.0, reserve.mid) if reserve is not None else (0.0,)
    used = [] if scope.whole else sorted(gpus - {0.0, float(total)})
    return Costing(
        machine=machine,
        whole=(*_amounts(hours, prices, extra), *(_billed(scope) if machine is own else ())),
        shared=tuple(
            Amount(usd=one.usd * count / total, words=f"{one.words} x {count:g} of {total} GPUs", end=one.end)
            for count in used
            for one in _amounts(hours, prices, (0.0,))
        ),
        free=gpus == {0.0},
    )


def _amounts(hours: Iterable[Range], prices: Iterable[float], extra: Iterable[float]) -> Iterator[Amount]:
    prices, extra = tuple(prices), tuple(extra)
    for found in hours:
        ends = {"": found.mid} if found.is_point else {"low": found.low, "": found.mid, "high": found.high}
        for end, seconds in ends.items():
            for price in prices:
                for more in extra:
                    words = f"{format_number(seconds / 3600)} h x {dollars(price)}"
                    added = f" + {dollars(more)}" if more else ""
                    yield Amount(usd=seconds / 3600 * price + more, words=words + added, end=end)


def _billed(scope: Scope) -> Iterator[Amount]:
    """The ends of the bill of a total."""
    bill = scope.reading.bill
    if bill is not None and bill.total_usd is not None and scope.whole:
        for end in (bill.total_usd.p10, bill.total_usd.p50, bill.total_usd.p90):
            yield Amount(usd=end, words="the bill")


def _prices(scope: Scope, machine: Machine, claim: Claim) -> Iterator[float]:
    """Dollars an hour of the whole machine, every end of every price that the claim can mean."""
    pricing = scope.reading.plan.run.pricing
    spot = "spot" in claim.path or (pricing == "spot" and "on-demand" not in claim.path)
    both = claim.path[0] in APART and not {"spot", "on-demand"} & set(claim.path)
    spec = scope.reading.plan.run.machines.get(machine.name, machine.spec)
    for wanted, price, stated in (
        (spot or both, machine.spot_price, spec.spot_price),
        (not spot or both, machine.price, spec.price),
    ):
        if wanted:
            said = () if stated is None or stated.unknown else (stated, *stated.others)
            found = [value.range for value in said] or ([price.usd_per_hour] if price is not None else [])
            yield from dict.fromkeys(end for one in found for end in (one.low, one.mid, one.high))


def _said(scopes: Scopes, claim: Claim, machine: Machine) -> Iterator[Range]:
    """Seconds that the author says of the same thing: `wall`, the length of `at`, GPU-hours of a single GPU."""
    split = claim.path[0] if claim.path[0] in APART else ""
    for other in scopes.by_owner[claim.owner]:
        key = next((one for one in other.path if one in HOURS), "")
        apart = other.path[0] if other.path[0] in APART else ""
        if not key or other.owner != claim.owner or ((split or apart == "safe") and apart != split):
            continue
        for value in values(other):
            if key == "at":
                yield Range.point(value.range.high - value.range.low)
            elif key == "wall" or machine.node.total_gpus == 1:
                yield value.range


def _computed(scope: Scope, machine: Machine, claim: Claim) -> Iterator[Range]:
    """Seconds by the stated rates, with and without the buffer."""
    if claim.path[0] in APART or not ESSENTIAL.isdisjoint(scope.unrated()):
        return
    buffer = 1 + scope.reading.estimate.buffer_share
    for spread in (scope.wall_s(), *([scope.gpu_s()] if machine.node.total_gpus == 1 else [])):
        if spread.p10:
            yield ends(spread)
            yield ends(spread) * buffer


def nearest(value: Value, end: float, found: Costing) -> Amount:
    """The amount that is nearest to an end of a claimed cost."""
    side = "" if value.range.is_point else "low" if end == value.range.low else "high"
    there = [one for one in (*found.whole, *found.shared) if not side or one.end in ("", side)]
    return min(there or found.whole, key=lambda one: abs(one.usd - end))


def meets(value: Value, end: float, found: Iterable[Amount]) -> bool:
    """True where some amount rounds to this end of a claimed cost; ends of a range meet ends."""
    side = "" if value.range.is_point else "low" if end == value.range.low else "high"
    around = covered(value)
    half = max(around.high - value.range.high, value.range.low - around.low)
    there = (one for one in found if not side or one.end in ("", side))
    return any(abs(one.usd - end) <= half * (1 + 1e-9) + 1e-9 for one in there)
