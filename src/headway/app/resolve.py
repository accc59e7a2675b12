"""Names of a plan become facts: architectures, machines with prices and billing, token lengths.

Owns the wiring of plan and catalog, and the sentence that says how an unclear name was read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from headway.catalog import (
    billing_rule,
    find_device,
    find_instance,
    find_model,
    find_offers,
    matching_devices,
    read_config,
)
from headway.cost.spot import Per, hazard_per_hour
from headway.domain.calibration import Calibration
from headway.domain.errors import PlanError, UserError
from headway.domain.experiment import Architecture, Lengths
from headway.domain.lookup import Lookup, Machine, Price
from headway.domain.machine import Device, Link, Node, Offer
from headway.domain.plan import Dataset, MachineSpec, Plan, Stage
from headway.domain.units import Range, parse
from headway.estimate.resolve import gpu_range
from headway.predict.links import default_link

SHOWN_OFFERS = 5


def resolve(plan: Plan, calibration: Calibration, *, like: tuple[Plan, Lookup] | None = None) -> Lookup:
    """Everything the plan names, looked up. UserError with the place of the name that is unknown or ambiguous.

    `like` is another plan with its names resolved: a machine that is the same there is not looked up again.
    """
    stages = [stage for experiment in plan.experiments for stage in experiment.stages]
    widest = max((math.ceil(gpu_range(stage).mid) for stage in stages), default=1)
    machines = {
        name: _known(name, spec, widest, like) or _machine(spec, widest) for name, spec in plan.run.machines.items()
    }
    return Lookup(
        architectures=_architectures(stages, plan.file),
        machines=machines,
        lengths=_lengths(plan, calibration),
        offers=_offers(machines.get(plan.run.machine)),
    )


def _known(name: str, spec: MachineSpec, widest: int, like: tuple[Plan, Lookup] | None) -> Machine | None:
    """The machine of that name where another plan has the very same one, of enough GPUs."""
    if like is None or like[0].run.machines.get(name) != spec:
        return None
    machine = like[1].machines[name]
    return machine if spec.gpus or machine.node.gpus >= widest else None


def _architectures(stages: Iterable[Stage], file: str) -> Mapping[str, Architecture]:
    found: dict[str, Architecture] = {}
    for stage in stages:
        if stage.model is None or stage.model.use in found:
            continue
        try:
            found[stage.model.use] = _architecture(stage.model.use, file)
        except UserError as error:
            raise error.at(stage.model.where, "model") from error
    return found


def _architecture(name: str, file: str) -> Architecture:
    """A folder or config.json beside the plan, else a model of the catalog."""
    beside = Path(file).parent / name if file else Path(name)
    if name.endswith(".json") or name.startswith((".", "/")) or beside.is_dir():
        return read_config(beside)
    return find_model(name)


def _machine(spec: MachineSpec, widest: int) -> Machine:
    """A machine with its device, link, prices and billing rule; of as many GPUs as asked for where it does not say."""
    offer = _regional(_listed(spec), spec.region)
    device = _device(spec, offer)
    gpus = spec.gpus or (offer.gpus if offer else max(1, widest))
    provider = spec.provider or (offer.provider if offer else "")
    return Machine(
        name=spec.id,
        node=Node(device=device, gpus=gpus, nodes=spec.nodes, link=_link(spec, device)),
        spec=spec,
        price=_price(spec, offer),
        spot_price=_spot_price(spec, offer),
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
    return tuple(offer for offer in listed if offer.device in meant)


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


def _price(spec: MachineSpec, offer: Offer | None) -> Price | None:
    if spec.price is not None and not spec.price.unknown:
        value = spec.price
        return Price(
            usd_per_hour=value.range,
            kind="stated",
            source=value.source or f"stated ({value.where})",
            priced_on=value.date,
        )
    if offer is None or offer.usd_per_hour is None:
        return None
    return Price(
        usd_per_hour=Range.point(offer.usd_per_hour), kind="measured", source=offer.source, priced_on=offer.priced_on
    )


def _spot_price(spec: MachineSpec, offer: Offer | None) -> Price | None:
    """Stated; else on demand less the stated discount; else the catalog's."""
    if spec.spot_price is not None and not spec.spot_price.unknown:
        value = spec.spot_price
        return Price(
            usd_per_hour=value.range,
            kind="stated",
            source=value.source or f"stated ({value.where})",
            priced_on=value.date,
        )
    if spec.spot_discount is not None and spec.price is not None:
        left = Range(1 - spec.spot_discount.range.high, 1 - spec.spot_discount.mid, 1 - spec.spot_discount.range.low)
        return Price(usd_per_hour=left * spec.price.mid, kind="stated", source="the stated discount")
    if offer is None or offer.spot_usd_per_hour is None:
        return None
    return Price(
        usd_per_hour=Range.point(offer.spot_usd_per_hour),
        kind="measured",
        source=f"{offer.source}; {offer.spot_basis}",
        priced_on=offer.priced_on,
    )


def offered(offer: Offer, like: Machine) -> Machine:
    """A catalog offer as a machine of the same device as `like`."""
    name = f"{offer.provider} {offer.instance}".strip()
    return Machine(
        name=name,
        node=replace(like.node, gpus=offer.gpus, nodes=1),
        spec=MachineSpec(id=name, region=offer.region),
        price=_price(MachineSpec(id=name), offer),
        spot_price=_spot_price(MachineSpec(id=name), offer),
        billing=billing_rule(offer.provider),
        provider=offer.provider,
        instance=offer.instance,
    )


def _offers(machine: Machine | None) -> tuple[Offer, ...]:
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


def _lengths(plan: Plan, calibration: Calibration) -> Mapping[str, Lengths]:
    """Row lengths of every dataset that is trained on or evaluated."""
    stages = (stage for experiment in plan.experiments for stage in experiment.stages)
    cap = max((stage.recipe.max_length or 0 for stage in stages), default=0) or None
    return {name: row_lengths(name, plan.datasets, cap, calibration) for name in plan.datasets}


def row_lengths(name: str, datasets: Mapping[str, Dataset], cap: int | None, calibration: Calibration) -> Lengths:
    """Token lengths of a dataset: as stated or read, of a mixture the weighted mean of its parts, else a wide prior.

    `cap` is the largest `max_length` of the plan, in tokens.
    """
    dataset = datasets[name]
    if dataset.length is not None and not dataset.length.unknown:
        return _stated_lengths(dataset)
    parts = [(row_lengths(part, datasets, cap, calibration), share) for part, share in dataset.mix]
    if any(part.kind != "assumed" for part, _ in parts):
        return Lengths(
            mean=sum(part.mean * share for part, share in parts),
            mean_low=sum(part.mean_low * share for part, share in parts),
            mean_high=sum(part.mean_high * share for part, share in parts),
            kind="stated",
            source=f"weighted mean of the parts of {name}",
        )
    return _prior(cap, calibration)


def _prior(cap: int | None, calibration: Calibration) -> Lengths:
    """Rows of unknown length: of usual size, or the usual share of `max_length` where that is longer.

    The prior is of rows before truncation: what `max_length` cuts is counted where batches are made.
    """
    rows, share = calibration["row_tokens"], calibration["length_mean_share"]
    shares = share.range * float(cap or 0)
    low, mid, high = (max(pair) for pair in zip(_ends(rows.range), _ends(shares), strict=True))
    source = f"{low:,.0f}-{mid:,.0f}-{high:,.0f} tokens in a row, before truncation"
    return Lengths(mean=mid, mean_low=low, mean_high=high, source=f"{source}: {rows.source}")


def _ends(value: Range) -> tuple[float, float, float]:
    return value.low, value.mid, value.high


def _stated_lengths(dataset: Dataset) -> Lengths:
    value = dataset.length
    assert value is not None  # the caller asked
    known, doubt = value.statistics, value.range
    mean = known.get("mean", value.mid)
    quantiles = dataset.length_quantiles
    if not quantiles and known:
        quantiles = tuple((q, known[key]) for q, key in ((0.0, "min"), (0.5, "median"), (1.0, "max")) if key in known)
    if not quantiles and not doubt.is_point:  # ends are p10 and p90, of the rows as of their mean
        quantiles = ((0.1, doubt.low), (0.5, doubt.mid), (0.9, doubt.high))
    return Lengths(
        mean=mean,
        mean_low=mean if known else doubt.low,
        mean_high=mean if known else doubt.high,
        quantiles=quantiles if len(quantiles) > 1 else (),
        kind="measured" if dataset.length_quantiles else "stated",
        source=f"stated: {value.text} ({value.where})",
    )
