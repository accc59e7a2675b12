"""What can be rented, at what price, and how providers bill it.

Owns `offers.csv` and `billing.csv`. Turning running time into money is `cost/`; prices are never averaged: every
offer keeps its own date and source, and conflicting ones are shown side by side.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from datetime import date
from functools import cache

from headway.catalog.devices import matching_devices
from headway.catalog.tables import number, rows, words
from headway.domain.errors import UserError
from headway.domain.machine import BillingRule, Device, Offer

_GIB = 2.0**30


def _key(text: str) -> str:
    """Names of providers and instances without case, blanks and punctuation (`NC6s v3`, `Standard_NC6s_v3`)."""
    return re.sub(r"[^a-z0-9]", "", text.lower().removeprefix("standard_"))


def _offer(row: dict[str, str]) -> Offer:
    memory, ram = number(row["gpu_mem_gb"]), number(row["ram_gib"])
    return Offer(
        provider=row["provider"],
        instance=row["instance"],
        region=row["region"],
        device=row["device"],
        gpus=int(row["gpus"]),
        usd_per_hour=number(row["on_demand_usd_h"]),
        spot_usd_per_hour=number(row["spot_usd_h"]),
        spot_basis=row["spot_basis"],
        memory_bytes=None if memory is None else memory * 1e9,
        vcpus=number(row["vcpus"]),
        ram_bytes=None if ram is None else ram * _GIB,
        priced_on=row["priced_on"],
        source=row["source"],
    )


@cache
def offers() -> tuple[Offer, ...]:
    """Every offer of the catalog, in the order of the file. Source: `data/offers.csv`, dated row by row."""
    return tuple(_offer(row) for row in rows("offers"))


def find_offers(
    *,
    device: Device | str | None = None,
    provider: str | None = None,
    instance: str | None = None,
    region: str | None = None,
    gpus: int | None = None,
    spot: bool = False,
) -> tuple[Offer, ...]:
    """Offers that fit every given condition, cheapest per GPU-hour first (by spot price where `spot`).

    A device name may be ambiguous here (`A100` finds all A100 offers), and an offer whose provider does not say
    which A100 it rents is found too, under the provider's word. An empty answer is an answer: nobody in the catalog
    offers that. Raises `UserError` for a device, provider or instance that the catalog has never heard of.
    """
    tests: list[Callable[[Offer], bool]] = [lambda o: _price(o, spot) is not None]
    if device is not None:
        may_be = _may_be(device)
        tests.append(lambda o: may_be(o.device, o.memory_bytes))
    if provider is not None:
        seller = provider_name(provider)
        tests.append(lambda o: o.provider == seller)
    if instance is not None:
        wanted = {offer.instance for offer in find_instance(instance, provider)}
        tests.append(lambda o: o.instance in wanted)
    if region is not None:
        tests.append(lambda o: o.region == region)
    if gpus is not None:
        tests.append(lambda o: o.gpus == gpus)
    return _by_price((offer for offer in offers() if all(test(offer) for test in tests)), spot)


def find_instance(text: str, provider: str | None = None) -> tuple[Offer, ...]:
    """All offers of one instance (regions, dates), cheapest first: `p5.48xlarge`, `NC6s v3` (Standard_NC6s_v3).

    Raises `UserError` with the nearest instance names for an unknown one.
    """
    seller = None if provider is None else provider_name(provider)
    known = [offer for offer in offers() if seller in (None, offer.provider)]
    if found := _by_price((offer for offer in known if _key(offer.instance) == _key(text)), spot=False):
        return found
    near = _nearest(text, {offer.instance for offer in known})
    raise UserError(
        "an instance must be in the catalog" + (f" of {seller}" if seller else ""),
        got=repr(text),
        hint=_did_you_mean(near) + "`headway catalog offers` lists all; or state a `price:` with the GPU",
        candidates=near,
    )


def provider_name(text: str) -> str:
    """The catalog's name of a provider: `AWS`, `Lambda Labs`, `Google Cloud` -> `aws`, `lambda`, `gcp`.

    Raises `UserError` with the nearest names for an unknown one.
    """
    if name := _billed_as(text):
        return name
    names = {offer.provider for offer in offers()} | {row["provider"] for row in rows("billing")}
    for name in names:
        if _key(name) == _key(text):
            return name
    near = _nearest(text, names)
    raise UserError(
        "a provider must be in the catalog",
        got=repr(text),
        hint=_did_you_mean(near) + f"Known: {', '.join(sorted(names))}",
        candidates=near,
    )


def _billed_as(text: str) -> str | None:
    """The name of a provider whose billing rules are known, or None."""
    for row in rows("billing"):
        if _key(text) in map(_key, (row["provider"], *words(row["aliases"]))):
            return row["provider"]
    return None


def billing_rule(provider: str) -> BillingRule | None:
    """How a provider bills; None where the catalog does not know (a plan may name a provider of its own).

    Source: `data/billing.csv`, with its evidence and the confidence in it.
    """
    name = _billed_as(provider)
    for row in rows("billing"):
        if row["provider"] == name:
            return BillingRule(
                provider=row["provider"],
                granularity_s=float(row["granularity_s"]),
                minimum_s=float(row["minimum_s"]),
                whole_node=row["whole_node"] == "yes",
                spot_notice_s=number(row["spot_notice_s"]),
                spot_name=row["spot_name"],
                storage_when_stopped=row["storage_when_stopped"],
                evidence=row["source"],
                confidence=row["confidence"],
                date=row["date"],
            )
    return None


def age_days(offer: Offer, today: date) -> int:
    """Days since the offer was priced. A price dated by year or month only is as old as it can be: its first day."""
    year, month, day = (*map(int, offer.priced_on.split("-")), 1, 1)[:3]
    return (today - date(year, month, day)).days


def _price(offer: Offer, spot: bool) -> float | None:
    """Dollars per hour of the whole instance, spot or on demand."""
    return offer.spot_usd_per_hour if spot else offer.usd_per_hour


def _by_price(found: Iterable[Offer], spot: bool) -> tuple[Offer, ...]:
    """Cheapest per GPU-hour first; without a price last; ties by newer date."""
    newest = sorted(found, key=lambda o: o.priced_on, reverse=True)
    return tuple(sorted(newest, key=lambda o: (_price(o, spot) is None, (_price(o, spot) or 0.0) / o.gpus)))


def _may_be(device: Device | str) -> Callable[[str, float | None], bool]:
    """Whether an offer's word for its device, with its stated memory, may mean the wanted device."""
    wanted = {device.name} if isinstance(device, Device) else {d.name for d in matching_devices(device)}

    return lambda word, memory_bytes: word in wanted or not wanted.isdisjoint(_meant(word, memory_bytes))


@cache
def _meant(word: str, memory_bytes: float | None) -> frozenset[str]:
    """Devices that an offer's word may mean; none where it names none."""
    try:
        return frozenset(device.name for device in matching_devices(word, memory_bytes=memory_bytes))
    except UserError:
        return frozenset()


def _nearest(text: str, names: Iterable[str]) -> tuple[str, ...]:
    keys = {_key(name): name for name in sorted(names)}
    return tuple(keys[key] for key in difflib.get_close_matches(_key(text), keys, n=3, cutoff=0.6))


def _did_you_mean(near: tuple[str, ...]) -> str:
    return f"Nearest: {', '.join(near)}. " if near else ""
