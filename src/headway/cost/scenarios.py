"""The same work under other ways to pay: kept or stopped between GPU work, on demand, spot, reserved; and the booking.

Owns the comparison as data. One bill is `billing`; the words for people are `report/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from headway.cost.billing import Bill, Pricing, bill
from headway.cost.energy import is_owned
from headway.cost.rentals import BillingTerms, Idle, stated
from headway.cost.segments import Segment
from headway.cost.spot import Interruption, interruption
from headway.domain.lookup import Machine
from headway.domain.spread import Spread
from headway.domain.units import Range

WAYS: Final[dict[str, tuple[Pricing, Idle]]] = {
    "keep-running": ("on-demand", "keep"),
    "shut-down": ("on-demand", "stop"),
    "spot": ("spot", "keep"),
    "spot-stop": ("spot", "stop"),
    "reserved": ("reserved", "keep"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One way to pay for the work; wall time, billed time and cost are the bill's."""

    name: str
    """A key of `WAYS`."""
    bill: Bill
    interruption: Interruption | None = None
    """Expected loss to interruptions, not part of the bill; None without spot or without a known hazard."""


def scenarios(
    segments: Sequence[Segment],
    machine: Machine,
    *,
    pricing: Pricing = "on-demand",
    with_optional: bool = False,
    buffer_share: float = 0.0,
    reserve_usd: Range | None = None,
    terms: BillingTerms | None = None,
    today: date | None = None,
    dump_s: float = 0.0,
    restart_s: float = 0.0,
) -> tuple[Scenario, ...]:
    """Every way of `WAYS` for the same stretches, the optional ones included if asked.

    `pricing` is the plan's: the price it states is a reserved one or an on-demand one, so only the ways of that kind
    are billed, and spot beside them where its price is known. An unknown price gives an unknown total. `dump_s` and
    `restart_s` (seconds for a checkpoint; boot and load) enter the interruptions only. An owned machine has one way.
    """
    work = [segment for segment in segments if with_optional or not segment.optional]
    found = []
    for name, (way, idle) in WAYS.items():
        if name != "keep-running" if is_owned(machine) else not _offered(way, pricing, machine):
            continue
        made = bill(
            work, machine, pricing=way, idle=idle, buffer_share=buffer_share, reserve_usd=reserve_usd,
            terms=terms, today=today,
        )  # fmt: skip
        risk = spot_risk(made, machine, dump_s=dump_s, restart_s=restart_s) if way == "spot" else None
        found.append(Scenario(name=name, bill=made, interruption=risk))
    return tuple(found)


def _offered(way: Pricing, pricing: Pricing, machine: Machine) -> bool:
    if way == "spot":
        return machine.spot_price is not None
    return (way == "reserved") == (pricing == "reserved")


def spot_risk(made: Bill, machine: Machine, *, dump_s: float, restart_s: float) -> Interruption | None:
    """Expected interruptions of a bill's running time at the machine's hazard; None where none is known."""
    if machine.hazard_per_hour is None:
        return None
    return interruption(
        made.running_s,
        machine.hazard_per_hour,
        dump_s=dump_s,
        restart_s=restart_s,
        usd_per_hour=machine.spot_price.usd_per_hour if machine.spot_price else None,
        notice_s=_notice_s(machine),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """What to type into the provider's form."""

    provider: str
    instance: str
    region: str
    request: Pricing
    gpu: str
    gpus: int
    duration_s: Spread
    """Seconds the machine is up, buffer included."""
    expected_usd: Spread | None
    usd_per_hour: Range | None
    max_usd_per_hour: float | None
    """Highest price to accept; None where the plan names none or the request is not spot."""
    notice_s: float | None
    """Warning before an interruption; None where unknown or not spot."""
    priced_on: str


def booking(made: Bill, machine: Machine) -> Booking:
    """The request that `made` is the bill of; an owned machine has a duration to book and no price."""
    spot = made.pricing == "spot"
    price = machine.spot_price if spot else machine.price
    return Booking(
        provider=machine.provider,
        instance=machine.instance,
        region=machine.spec.region,
        request=made.pricing,
        gpu=machine.node.device.name,
        gpus=made.gpus,
        duration_s=made.running_s,
        expected_usd=made.total_usd,
        usd_per_hour=price.usd_per_hour if price and made.price_kind else None,
        max_usd_per_hour=stated(machine.spec.max_price) if spot else None,
        notice_s=_notice_s(machine) if spot else None,
        priced_on=made.priced_on,
    )


def _notice_s(machine: Machine) -> float | None:
    """The plan's notice before the catalog's."""
    notice = stated(machine.spec.notice)
    return notice if notice is not None or machine.billing is None else machine.billing.spot_notice_s
