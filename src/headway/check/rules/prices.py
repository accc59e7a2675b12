"""HW3xx, prices: what is asked for a machine, against dated offers.

Owns the comparison of stated prices with the catalog's. How long something is billed is `billing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date

from headway.check.case import Case
from headway.check.rule import Rule
from headway.domain.errors import Finding
from headway.domain.lookup import Machine
from headway.domain.machine import Offer
from headway.domain.statement import Value
from headway.domain.units import Range, format_share

NEAR = 0.1
"""Share around the listed prices within which a stated one is no news: regions and months differ by so much."""
SPOT_NEAR = 0.35
"""The same for spot prices, which move with the market."""
OLD_DAYS = 183
"""GPU prices move by tens of percent in a year: a price of more than half a year is looked up again."""
_CENT = 0.005


def _priced(case: Case) -> Iterator[tuple[Machine, Value]]:
    """Machines whose price on demand the plan states."""
    for machine in case.lookup.machines.values():
        price = machine.spec.price
        if price is not None and not price.unknown and price.noun != "GPU-h":
            yield machine, price


def _stated_prices(case: Case) -> Iterator[tuple[Machine, Value, bool]]:
    """Every stated price with its machine, and whether it is far from what is listed (which is said instead)."""
    for machine, price in _priced(case):
        yield machine, price, _is_far(price.range, _asked(machine, _own_offers(case, machine), _on_demand), NEAR)
    for machine in case.lookup.machines.values():
        spot = machine.spec.spot_price
        if spot is not None and not spot.unknown:
            far = _is_far(spot.range, _asked(machine, _own_offers(case, machine), _spot), SPOT_NEAR)
            yield machine, spot, far


def _own_offers(case: Case, machine: Machine) -> tuple[Offer, ...]:
    """Offers of the machine's instance, or of its GPU where it names none; nobody's, where it names no provider."""
    if not machine.provider:
        return ()
    found = case.known.listed(machine.provider, machine.spec.instance.use if machine.spec.instance else "",
                              machine.node.device.name)  # fmt: skip
    here = tuple(offer for offer in found if offer.region == machine.spec.region)
    return here or found


def _asked(machine: Machine, offers: tuple[Offer, ...], of: Callable[[Offer], float | None]) -> list[float]:
    """Listed dollars an hour for as many GPUs as the machine has, the lowest first."""
    gpus = machine.node.total_gpus
    return sorted(price / offer.gpus * gpus for offer in offers if (price := of(offer)) is not None)


def _on_demand(offer: Offer) -> float | None:
    return offer.usd_per_hour


def _spot(offer: Offer) -> float | None:
    return offer.spot_usd_per_hour


def _is_far(price: Range, listed: list[float], tolerance: float) -> bool:
    return bool(listed) and (price.high < listed[0] * (1 - tolerance) or price.low > listed[-1] * (1 + tolerance))


def _twins(case: Case, machine: Machine, price: Value) -> list[Offer]:
    """Offers of other instances of the same provider at exactly this price, where its own are far from it."""
    own = _asked(machine, _own_offers(case, machine), _on_demand)
    if machine.spec.instance is None or not price.range.is_point or not _is_far(price.range, own, NEAR):
        return []
    wanted = price.mid / machine.spec.nodes
    return [
        offer for offer in case.known.listed(machine.provider, "", "")
        if offer.usd_per_hour is not None and abs(offer.usd_per_hour - wanted) < _CENT
    ]  # fmt: skip


def _from_another(case: Case) -> Iterator[Finding]:
    for machine, price in _priced(case):
        twins = _twins(case, machine, price)
        if not twins:
            continue
        twin, own = twins[0], _own_offers(case, machine)
        yield OTHERS_PRICE.finding(
            f"{price.text} is the price of {twin.instance} ({twin.gpus} x {twin.device}, {twin.priced_on}); "
            f"{machine.instance} is listed at {_listed_as(machine, own, _on_demand)}",
            where=price.where,
            evidence={"machine": machine.name, "stated": price.mid, **_rows(own), "priced_so": _rows(tuple(twins))},
            hint="Look the price of this instance up again, and give its date and source.",
        )


def _far(case: Case) -> Iterator[Finding]:
    for machine, price in _priced(case):
        own = _own_offers(case, machine)
        listed = _asked(machine, own, _on_demand)
        if not _is_far(price.range, listed, NEAR) or _twins(case, machine, price):
            continue
        below = price.range.high < listed[0]
        nearest = listed[0] if below else listed[-1]
        yield FAR_PRICE.finding(
            f"{price.text} for {_what(machine)} is {_apart(price.mid, nearest)} listed: "
            f"{_listed_as(machine, own, _on_demand)}",
            where=price.where,
            evidence={"machine": machine.name, "stated": price.mid, **_rows(own)},
            hint="A price is of the whole machine, host, memory and disk with the GPU: is this the GPU alone?"
            if below else "Look it up again, and give its date and source.",
        )  # fmt: skip


def _spot_far(case: Case) -> Iterator[Finding]:
    for machine in case.lookup.machines.values():
        price, own = machine.spec.spot_price, _own_offers(case, machine)
        listed = _asked(machine, own, _spot)
        if price is None or price.unknown or not _is_far(price.range, listed, SPOT_NEAR):
            continue
        nearest = listed[0] if price.range.high < listed[0] else listed[-1]
        yield FAR_SPOT.finding(
            f"spot at {price.text} for {_what(machine)} is {_apart(price.mid, nearest)} listed: "
            f"{_listed_as(machine, own, _spot)}",
            where=price.where,
            evidence={"machine": machine.name, "stated": [price.range.low, price.range.high], **_rows(own)},
            hint="Take a dated spot price of the region; a discount from other years or machines does not carry over.",
        )


def _what(machine: Machine) -> str:
    device = machine.node.device.name
    gpus = f"{machine.node.total_gpus} x {device}" if machine.node.total_gpus > 1 else device
    return f"{machine.instance} ({gpus})" if machine.instance else gpus


def _apart(stated: float, nearest: float) -> str:
    """`15.9 % less than`."""
    share = stated / nearest - 1
    return f"{format_share(abs(share))} {'less' if share < 0 else 'more'} than"


def _listed_as(machine: Machine, offers: tuple[Offer, ...], of: Callable[[Offer], float | None]) -> str:
    """`$55.04/h (2026-07-20)`, or the lowest and the highest with their dates."""
    gpus = machine.node.total_gpus
    priced = sorted((price / o.gpus * gpus, o.priced_on) for o in offers if (price := of(o)) is not None)
    ends = [priced[0], priced[-1]] if priced[0][0] != priced[-1][0] else [priced[0]]
    return " to ".join(f"${price:,.2f}/h ({day})" for price, day in ends)


def _rows(offers: tuple[Offer, ...]) -> dict[str, object]:
    """Instance, price, date and source of offers, for the evidence."""
    return {"listed": [[o.provider, o.instance, o.usd_per_hour, o.spot_usd_per_hour, o.priced_on] for o in offers[:5]]}


def _not_sold(case: Case) -> Iterator[Finding]:
    for machine in case.lookup.machines.values():
        provider, device = machine.spec.provider, machine.node.device.name
        everything = case.known.listed(provider, "", "") if provider else ()
        if not everything or machine.spec.instance or case.known.listed(provider, "", device):
            continue
        words = list(dict.fromkeys(offer.device for offer in everything))
        yield NOT_SOLD.finding(
            f"{provider} has no {device} among its {len(everything)} known offers (the newest of "
            f"{max(offer.priced_on for offer in everything)})",
            where=machine.spec.gpu.where if machine.spec.gpu else machine.spec.where,
            evidence={"machine": machine.name, "provider": provider, "sold": words},
            hint=f"It rents out {', '.join(words[:6])}; name who rents out {device}, with the source of the price.",
        )


def _undated(case: Case) -> Iterator[Finding]:
    bare = [(machine, price) for machine, price, far in _stated_prices(case) if not price.date and not far]
    if not bare:
        return
    names = [machine.name for machine, _ in bare]
    yield UNDATED.finding(
        f"{'a price' if len(bare) == 1 else f'{len(bare)} prices'} without a date: "
        + ", ".join(f"{machine.name} {price.text}" for machine, price in bare[:4])
        + (", ..." if len(bare) > 4 else ""),
        where=bare[0][1].where,
        evidence={"machines": names, "without_source": [m.name for m, price in bare if not price.source]},
        hint=f"Write price: {{use: {bare[0][1].text}, date: ..., source: ...}}, or leave it to the dated catalog.",
    )


def _old(case: Case) -> Iterator[Finding]:
    for machine, price, _ in _stated_prices(case):
        days = age_days(price.date, case.known.today)
        if days <= OLD_DAYS:
            continue
        yield OLD_PRICE.finding(
            f"the price of {machine.name}, {price.text}, is {days} days old ({price.date})",
            where=price.where,
            evidence={"machine": machine.name, "days": days, "date": price.date},
            hint="Look it up again: GPU prices move by tens of percent in a year.",
        )


def age_days(day: str, today: date) -> int:
    """Days since an ISO date; 0 for no date, and for words that are none."""
    try:
        return (today - date.fromisoformat(day[:10])).days if day else 0
    except ValueError:
        return 0


_RENTED = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 10k, length: 128}}
run: {{machine: {{{machine}}}}}
"""
_AWS = "provider: AWS, instance: p5.48xlarge, gpu: H100 SXM 80GB, gpus: 8, "

OTHERS_PRICE = Rule(
    code="HW311",
    name="price of another instance",
    severity="warning",
    says="The price of an instance is its own.",
    because="$32.77/h was p4d.24xlarge (8 x A100 40GB) for years, and is quoted for p5.48xlarge (8 x H100), which cost "
    "$98.32 at first and $55.04 in 2026 (AWS price list, 2026-07-20).",
    fails=_RENTED.format(machine=_AWS + "price: $32.77/h"),
    passes=_RENTED.format(machine=_AWS + "price: $55.04/h"),
    find=_from_another,
)
FAR_PRICE = Rule(
    code="HW312",
    name="price far from offers",
    severity="warning",
    says="A stated price lies within 10 % of the dated offers of that machine.",
    because="GCP lists a V100 by itself; the n1-highmem-8 that carries it is billed besides: $2.95 and not $2.48 an "
    "hour (The Full Stack, 2025-03-07).",
    fails=_RENTED.format(machine="provider: GCP, instance: n1-highmem-8, gpu: V100 SXM2 16GB, price: $2.48/h"),
    passes=_RENTED.format(machine="provider: GCP, instance: n1-highmem-8, gpu: V100 SXM2 16GB, price: $2.95/h"),
    find=_far,
)
NOT_SOLD = Rule(
    code="HW313",
    name="GPU not rented out",
    severity="warning",
    says="The provider has the GPU that is to be rented from it.",
    because="A price without an offer cannot be booked: Lambda lists no RTX 4090 (its price page, 2026-09-05).",
    fails=_RENTED.format(machine="provider: Lambda Labs, gpu: RTX 4090, price: $0.59/h"),
    passes=_RENTED.format(machine="provider: RunPod, gpu: RTX 4090, price: $0.69/h"),
    find=_not_sold,
)
UNDATED = Rule(
    code="HW314",
    name="price without a date",
    severity="info",
    says="A price says when it was read, and where.",
    because="Dated sources give p5.48xlarge at $98.32, $80.62 and $55.04 an hour: without its date a price is worth "
    "nothing.",
    fails=_RENTED.format(machine=_AWS + "price: $55.04/h"),
    passes=_RENTED.format(machine=_AWS + "price: {use: $55.04/h, date: 2026-07-20, source: AWS price list}"),
    find=_undated,
)
OLD_PRICE = Rule(
    code="HW315",
    name="old price",
    severity="warning",
    says="A price is not older than half a year.",
    because="AWS cut P5 by up to 45 % in June 2025; pages still quote the price before.",
    fails=_RENTED.format(machine=_AWS + "price: {use: $98.32/h, date: 2024-11-01, source: AWS price list}"),
    passes=_RENTED.format(machine=_AWS + "price: {use: $55.04/h, date: 2026-07-20, source: AWS price list}"),
    find=_old,
)
FAR_SPOT = Rule(
    code="HW316",
    name="spot price far from offers",
    severity="warning",
    says="A stated spot price lies within 35 % of the dated ones.",
    because="Spot H100 are 50-65 % off, not 70-90 %; discounts of older GPUs do not carry over.",
    fails=_RENTED.format(machine=_AWS + "price: $55.04/h, spot: {price: $10-12/h}"),
    passes=_RENTED.format(machine=_AWS + "price: $55.04/h, spot: {price: $20-30/h}"),
    find=_spot_far,
)
RULES = (OTHERS_PRICE, FAR_PRICE, NOT_SOLD, UNDATED, OLD_PRICE, FAR_SPOT)
