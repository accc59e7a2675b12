"""A machine of a plan becomes facts: device, link, prices, billing, hazard; and what the same device costs elsewhere.

Owns the reading of `run.machines` against the catalog; what the plan says goes before what the catalog says.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from headway.catalog import billing_rule, find_device, find_instance, find_offers, matching_devices
from headway.cost.spot import Per, hazard_per_hour
from headway.domain.errors import PlanError, UserError
from headway.domain.lookup import Machine, Price
from headway.domain.machine import Device, Link, Node, Offer
from headway.domain.plan import MachineSpec
from headway.domain.statement import Value
from headway.domain.units import Range, parse
from headway.predict.links import default_link

SHOWN_OFFERS = 5


def machine_from(spec: MachineSpec, widest: int) -> Machine:
    """A machine with its device, link, prices and billing rule; of as many GPUs as asked for where it does not say."""
    offer = _regional(_listed(spec), spec.region)
    device = _device(spec, offer)
    gpus = spec.gpus or (offer.gpus if offer else max(1, widest))
    provider = spec.provider or (offer.provider if offer else "")
    return Machine(
        name=spec.id,
        node=Node(device=device, gpus=gpus, nodes=spec.nodes, link=_link(spec, device)),
        spec=spec,
        price=_price(spec, offer, spec.nodes),
        spot_price=_spot_price(spec, offer, spec.nodes),
        billing=billing_rule(provider) if provider else None,
        hazard_per_hour=_hazard(spec),
        provider=provider,
        instance=spec.instance.use if spec.instance else (offer.instance if offer else ""),
    )


def _device(spec: MachineSpec, offer: Offer | None) -> Device:
    """The device the plan names; a name that fits several is settled by the instance, where one is named."""
    try:
        if spec.gpu is not None and offer is None:
            return find_device(spec.gpu.use, memory_bytes=_memory_bytes(spec))
        if spec.gpu is not None and len(matching_devices(spec.gpu.use, memory_bytes=_memory_bytes(spec))) == 1:
            return find_device(spec.gpu.use, memory_bytes=_memory_bytes(spec))
        if offer is not None:
            return find_device(offer.device, memory_bytes=offer.memory_bytes)
    except UserError as error:
        named = spec.gpu or spec.instance
        raise error.at(named.where if named else spec.where, "gpu" if spec.gpu else "instance") from error
    raise PlanError("a machine needs a GPU or an instance", got=spec.id, hint="Say gpu: RTX 4090.", where=spec.where)


def _memory_bytes(spec: MachineSpec) -> float | None:
    """Memory that came beside the name; not where the name stands for something that does not exist."""
    return None if spec.memory is None or (spec.gpu is not None and spec.gpu.stated_as) else spec.memory.mid


def _listed(spec: MachineSpec) -> tuple[Offer, ...]:
    """Catalog offers of the plan's instance, those with its GPU where it names one; none for an unknown instance that
    the plan describes itself.
    """
    if spec.instance is None:
        return ()
    try:
        listed = find_instance(spec.instance.use, spec.provider or None)
    except UserError as error:
        if spec.gpu is None or spec.price is None:
            raise error.at(spec.instance.where, "instance") from error
        return ()
    if spec.gpu is None:
        return listed
    try:
        meant = {device.name for device in matching_devices(spec.gpu.use)}
    except UserError as error:
        raise error.at(spec.gpu.where, "gpu") from error
    fitting = tuple(offer for offer in listed if offer.device in meant)
    if fitting or spec.price is not None:
        return fitting
    sold = ", ".join(dict.fromkeys(offer.device for offer in listed))
    raise PlanError(
        f"an instance has the GPU it is sold with: {spec.instance.use} comes with {sold}",
        got=spec.gpu.use,
        hint="Name one of them, or state a price for what you have.",
        where=spec.gpu.where,
        field="gpu",
    )


def _link(spec: MachineSpec, device: Device) -> Link:
    """A stated bandwidth in one direction, else what the device is wired with; words such as NVLink must agree."""
    usual = default_link(device)
    if not spec.link or any(word in usual.name.lower() for word in spec.link.lower().replace("/", " ").split()):
        return usual
    try:
        rate = parse(spec.link, "bytes_per_s").range.mid
    except UserError as error:
        raise UserError(
            f"{device.name} is wired with {usual.name}",
            got=spec.link,
            hint="State the bandwidth instead, in one direction: link: 25 GB/s.",
            where=spec.where,
            field="link",
        ) from error
    return Link(name=spec.link, bytes_per_s=rate, latency_s=0.0, source="stated")


def _hazard(spec: MachineSpec) -> Range | None:
    """Share interrupted per hour, whatever time it was stated per."""
    if spec.hazard is None or spec.hazard.unknown:
        return None
    per: Per = "month" if spec.hazard.noun == "month" else "day" if spec.hazard.noun == "day" else "h"
    return hazard_per_hour(spec.hazard.range, per)


def _regional(listed: tuple[Offer, ...], region: str) -> Offer | None:
    """The cheapest listed offer, in the plan's region if it names one."""
    here = [offer for offer in listed if not region or offer.region == region]
    return next(iter(here or listed), None)


def _price(spec: MachineSpec, offer: Offer | None, nodes: int) -> Price | None:
    """Stated, for the whole machine; else the catalog's for each node. None for a machine that is owned."""
    stated = _stated(spec.price)
    if stated is not None or offer is None or offer.usd_per_hour is None:
        return stated
    return _listed_price(offer.usd_per_hour * nodes, offer.source, offer.priced_on)


def _spot_price(spec: MachineSpec, offer: Offer | None, nodes: int) -> Price | None:
    """Stated; else on demand less the stated discount; else the catalog's."""
    stated = _stated(spec.spot_price)
    if stated is not None:
        return stated
    price, discount = _stated(spec.price), spec.spot_discount
    if price is not None and discount is not None and not discount.unknown:
        off = discount.range
        left = Range(1 - off.high, 1 - off.mid, 1 - off.low) * price.usd_per_hour.mid
        return Price(usd_per_hour=left, kind="stated", source="the stated discount")
    if offer is None or offer.spot_usd_per_hour is None:
        return None
    return _listed_price(offer.spot_usd_per_hour * nodes, f"{offer.source}; {offer.spot_basis}", offer.priced_on)


def _stated(value: Value | None) -> Price | None:
    if value is None or value.unknown:
        return None
    source = value.source or f"stated ({value.where})"
    return Price(usd_per_hour=value.range, kind="stated", source=source, priced_on=value.date)


def _listed_price(usd_per_hour: float, source: str, priced_on: str) -> Price:
    return Price(usd_per_hour=Range.point(usd_per_hour), kind="measured", source=source, priced_on=priced_on)


def offered(offer: Offer, like: Machine) -> Machine:
    """A catalog offer as a machine of the same device as `like`."""
    name = f"{offer.provider} {offer.instance}".strip()
    return Machine(
        name=name,
        node=replace(like.node, gpus=offer.gpus),
        spec=MachineSpec(id=name, region=offer.region),
        price=_price(MachineSpec(id=name), offer, like.node.nodes),
        spot_price=_spot_price(MachineSpec(id=name), offer, like.node.nodes),
        billing=billing_rule(offer.provider),
        provider=offer.provider,
        instance=offer.instance,
    )


def nearest_offers(machine: Machine | None) -> tuple[Offer, ...]:
    """The cheapest offers of the plan machine's device, one for each provider."""
    if machine is None:
        return ()
    return _offers_of(machine.node.device.name, machine.node.gpus)


@lru_cache(maxsize=64)
def _offers_of(device: str, gpus: int) -> tuple[Offer, ...]:
    found: dict[str, Offer] = {}
    for offer in find_offers(device=device, gpus=gpus):
        if offer.usd_per_hour is not None and "snapshot" not in offer.provider:
            found.setdefault(offer.provider, offer)
    return tuple(found.values())[:SHOWN_OFFERS]
