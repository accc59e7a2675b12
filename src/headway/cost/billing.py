"""The bill of one machine: named lines that sum to the total, billed time beside used time.

Owns money for rented and owned machines. Rounding and rentals are `rentals`, electricity is `energy`, interruptions
are `spot`, alternatives are `scenarios`. An unknown price gives an unknown total, never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from headway.cost.energy import energy, is_owned
from headway.cost.joint import drawn, minus, ratio
from headway.cost.rentals import BillingTerms, Idle, Rental, billing_terms, rentals
from headway.cost.segments import Segment, used_gpu_s, wall_s
from headway.domain.lookup import Machine, Price
from headway.domain.spread import Kind, Spread, total
from headway.domain.units import Range

Pricing = Literal["on-demand", "spot", "reserved"]
STALE_DAYS: Final = 90
"""Age of a price that is worth a remark: GPU prices move by tens of percent in a year."""
SECONDS_PER_HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BillLine:
    """One named part of a bill."""

    name: str
    """`compute`, `idle`, `buffer`, `rounding`, `electricity` or `reserve`."""
    usd: Spread | None
    gpu_s: Spread | None = None
    """GPU-seconds charged by this line, where it charges time. A rounding's ends are those of the low, middle and
    high case and need not be in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What one machine costs for a sequence of stretches."""

    machine: str
    gpus: int
    pricing: Pricing
    idle: Idle
    lines: tuple[BillLine, ...]
    """They sum to `total_usd`."""
    total_usd: Spread | None
    """None: a price is unknown; `notes` say which."""
    wall_s: Spread
    """Start to end, buffer included, whether the machine is up or not."""
    running_gpu_s: Spread
    """GPU-seconds the machine is up, before rounding; for an owned machine those in use."""
    billed_gpu_s: Spread | None
    """GPU-seconds charged; None for an owned machine."""
    used_gpu_s: Spread
    """GPU-seconds the work needs, buffer included."""
    usd_per_used_gpu_hour: Spread | None
    allocated_share: Spread | None
    """Used over billed GPU-seconds. Allocation, neither how busy the GPUs are nor their FLOP utilisation."""
    terms: BillingTerms
    priced_on: str = ""
    price_source: str = ""
    price_kind: str = ""
    """`stated` by the plan or `measured` (published); empty where there is none."""
    notes: tuple[str, ...] = ()

    @property
    def running_s(self) -> Spread:
        """Seconds the whole machine is up."""
        return self.running_gpu_s * (1 / self.gpus)

    @property
    def billed_s(self) -> Spread | None:
        """Seconds of the whole machine that are charged."""
        return None if self.billed_gpu_s is None else self.billed_gpu_s * (1 / self.gpus)


def bill(
    segments: Sequence[Segment],
    machine: Machine,
    *,
    pricing: Pricing = "on-demand",
    idle: Idle = "keep",
    buffer_share: float = 0.0,
    reserve_usd: Range | None = None,
    terms: BillingTerms | None = None,
    today: date | None = None,
) -> Bill:
    """The bill for `segments`, one after another on `machine`, each lengthened by `buffer_share` (0.3 for 30 %).

    `idle` decides what happens between GPU work: the machine is kept, or stopped and started again; reserved capacity
    is paid from start to end. `reserve_usd` is set aside on top. `terms` replaces the machine's own billing terms (a
    what-if); `today` adds the age of an old price. An owned machine pays its electricity and nothing else. Raises
    UserError when a stretch needs more GPUs than there are.
    """
    if is_owned(machine):
        return _owned(segments, machine, pricing, idle, buffer_share, reserve_usd)
    applied = terms or billing_terms(machine.billing, machine.spec)
    held: Idle = "keep" if pricing == "reserved" else idle
    rented = rentals(segments, machine, applied, idle=held, buffer_share=buffer_share)
    price, notes = _price(machine, pricing, today)
    wall, used = wall_s(segments) * (1 + buffer_share), used_gpu_s(segments) * (1 + buffer_share)
    running, billed = _gpu_s(rented, lambda one: one.running_s), _gpu_s(rented, lambda one: one.billed_s)
    lines = (*_time_lines(rented, running, billed, price, machine.node.total_gpus), *_reserve(reserve_usd, wall))
    cost = _sum(lines)
    return Bill(
        machine=machine.name, gpus=machine.node.total_gpus, pricing=pricing, idle=held, lines=lines, total_usd=cost,
        wall_s=wall, running_gpu_s=running, billed_gpu_s=billed, used_gpu_s=used,
        usd_per_used_gpu_hour=_per_hour(cost, used), allocated_share=ratio(used, billed), terms=applied,
        priced_on=price.priced_on if price else "", price_source=price.source if price else "",
        price_kind=price.kind if price else "",
        notes=(*notes, *applied.notes, *_storage(machine, held, len(rented))),
    )  # fmt: skip


def _owned(
    segments: Sequence[Segment],
    machine: Machine,
    pricing: Pricing,
    idle: Idle,
    buffer_share: float,
    reserve_usd: Range | None,
) -> Bill:
    """Electricity for the GPU time used; the machine itself is paid for."""
    wall, used = wall_s(segments) * (1 + buffer_share), used_gpu_s(segments) * (1 + buffer_share)
    power = energy(used, machine)
    lines = (BillLine(name="electricity", usd=power.usd, gpu_s=used), *_reserve(reserve_usd, wall))
    cost = _sum(lines)
    tariff = machine.spec.electricity
    return Bill(
        machine=machine.name, gpus=machine.node.total_gpus, pricing=pricing, idle=idle, lines=lines, total_usd=cost,
        wall_s=wall, running_gpu_s=used, billed_gpu_s=None, used_gpu_s=used,
        usd_per_used_gpu_hour=_per_hour(cost, used), allocated_share=None, terms=BillingTerms(),
        price_source=tariff.source if tariff else "", priced_on=tariff.date if tariff else "",
        price_kind="stated" if tariff else "", notes=(f"electricity only: {power.basis}", *power.notes),
    )  # fmt: skip


def _gpu_s(rented: Sequence[Rental], part: Callable[[Rental], Spread]) -> Spread:
    return total(part(rental) * rental.gpus for rental in rented)


def _time_lines(
    rented: Sequence[Rental], running: Spread, billed: Spread, price: Price | None, gpus: int
) -> tuple[BillLine, ...]:
    """Compute always; idle time, buffer and rounding where there is any."""
    parts = {
        "compute": _gpu_s(rented, lambda one: one.work_s),
        "idle": _gpu_s(rented, lambda one: one.idle_s),
        "buffer": _gpu_s(rented, lambda one: one.buffer_s),
        "rounding": minus(billed, running),
    }
    rate: Spread | None = None
    if price is not None:
        kind: Kind = "stated" if price.kind == "stated" else "measured"
        per_gpu_s = price.usd_per_hour * (1 / (gpus * SECONDS_PER_HOUR))
        rate = drawn(per_gpu_s, kind, price.source, like=billed, stream="price")
    return tuple(
        BillLine(name=name, gpu_s=part, usd=None if rate is None else _money(part, rate, billed.kind))
        for name, part in parts.items()
        if name == "compute" or _any(part)
    )


def _money(gpu_s: Spread, rate: Spread, kind: Kind) -> Spread:
    usd = gpu_s.times(rate)
    return usd.relabelled(kind, usd.source)


def _any(spread: Spread) -> bool:
    values = (spread.p10, spread.p50, spread.p90) if spread.draws is None else spread.draws
    return any(value != 0 for value in values)


def _reserve(reserve: Range | None, like: Spread) -> tuple[BillLine, ...]:
    if reserve is None:
        return ()
    return (BillLine(name="reserve", usd=drawn(reserve, "stated", "the plan's reserve", like=like, stream="reserve")),)


def _sum(lines: Sequence[BillLine]) -> Spread | None:
    """Total of the lines; unknown as soon as one is."""
    amounts = [line.usd for line in lines if line.usd is not None]
    return total(amounts) if len(amounts) == len(lines) else None


def _per_hour(cost: Spread | None, gpu_s: Spread) -> Spread | None:
    return None if cost is None else ratio(cost, gpu_s * (1 / SECONDS_PER_HOUR))


def _price(machine: Machine, pricing: Pricing, today: date | None) -> tuple[Price | None, tuple[str, ...]]:
    """The price that applies, and what to say of it. A catalog's on-demand price is not a reserved one."""
    price = machine.spot_price if pricing == "spot" else machine.price
    if price is None or (pricing == "reserved" and price.kind != "stated"):
        return None, (f"the {pricing} price of {machine.name} is unknown: state it in the plan under run.machines",)
    age = _days_between(price.priced_on, today)
    return price, ((f"the price is {age} days old ({price.priced_on})",) if age > STALE_DAYS else ())


def _days_between(then: str, today: date | None) -> int:
    """Days from an ISO date until today; 0 where either is unknown. A year or month alone counts from its first day."""
    try:
        year, month, day = (*map(int, then.split("-")), 1, 1)[:3]
        return (today - date(year, month, day)).days if today else 0
    except ValueError:  # a plan's own words
        return 0


def _storage(machine: Machine, idle: Idle, rented: int) -> tuple[str, ...]:
    """A stopped machine keeps its disks: said, because no price of theirs is known here."""
    words = machine.billing.storage_when_stopped if machine.billing else ""
    return (f"not counted, while stopped: {words}",) if idle == "stop" and rented > 1 and words else ()
