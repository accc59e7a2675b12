"""Names of a plan become facts: architectures, machines with prices and billing, token lengths.

Owns the wiring of plan and catalog, and the sentence that says how an unclear name was read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from headway.catalog import billing_rule, find_device, find_instance, find_model, find_offers, read_config
from headway.cost.spot import hazard_per_hour
from headway.domain.calibration import Calibration
from headway.domain.errors import UserError
from headway.domain.experiment import Architecture, Lengths
from headway.domain.lookup import Lookup, Machine, Price
from headway.domain.machine import Device, Link, Node, Offer
from headway.domain.plan import Dataset, MachineSpec, Plan, Stage
from headway.domain.units import Range, parse
from headway.predict.links import default_link

SHOWN_OFFERS = 5


def resolve(plan: Plan, calibration: Calibration) -> Lookup:
    """Everything the plan names, looked up. PlanError with the place of the name that is unknown or ambiguous."""
    stages = [stage for experiment in plan.experiments for stage in experiment.stages]
    machines = {name: _machine(spec) for name, spec in plan.run.machines.items()}
    return Lookup(
        architectures=_architectures(stages, plan.file),
        machines=machines,
        lengths=_lengths(plan, stages, calibration),
        offers=_offers(machines.get(plan.run.machine)),
    )


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


def _machine(spec: MachineSpec) -> Machine:
    """A machine with its device, link, prices and billing rule."""
    try:
        listed = find_instance(spec.instance.use, spec.provider or None) if spec.instance else ()
    except UserError as error:
        if spec.gpu is None or spec.price is None:
            raise error.at(spec.instance.where if spec.instance else spec.where, "instance") from error
        listed = ()  # the plan says itself what it is and what it costs
    offer = _regional(listed, spec.region)
    device = _device(spec, offer)
    gpus = spec.gpus or (offer.gpus if offer else 1)
    provider = spec.provider or (offer.provider if offer else "")
    return Machine(
        name=spec.id,
        node=Node(device=device, gpus=gpus, nodes=spec.nodes, link=_link(spec, device)),
        spec=spec,
        price=_price(spec, offer),
        spot_price=_spot_price(spec, offer),
        billing=billing_rule(provider) if provider else None,
        hazard_per_hour=hazard_per_hour(spec.hazard.range, spec.hazard.noun or "h") if spec.hazard else None,
        provider=provider,
        instance=spec.instance.use if spec.instance else (offer.instance if offer else ""),
    )


def _device(spec: MachineSpec, offer: Offer | None) -> Device:
    """The device the plan names; else that of its instance."""
    if spec.gpu is not None:
        memory = None if spec.gpu.stated_as or spec.memory is None else spec.memory.mid
        try:
            return find_device(spec.gpu.use, memory_bytes=memory)
        except UserError as error:
            if offer is None:
                raise error.at(spec.gpu.where, "gpu") from error
            return find_device(offer.device, memory_bytes=offer.memory_bytes)
    if offer is None:
        raise UserError(
            "a machine needs a GPU or an instance", got=spec.id, hint="Say gpu: RTX 4090.", where=spec.where
        )
    try:
        return find_device(offer.device, memory_bytes=offer.memory_bytes)
    except UserError as error:
        raise error.at(spec.instance.where if spec.instance else spec.where, "instance") from error


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


def _regional(listed: tuple[Offer, ...], region: str) -> Offer | None:
    """The cheapest listed offer, in the plan's region if it names one."""
    here = [offer for offer in listed if not region or offer.region == region]
    return next(iter(here or listed), None)


def _price(spec: MachineSpec, offer: Offer | None) -> Price | None:
    if spec.price is not None and not spec.price.unknown:
        value = spec.price
        return Price(usd_per_hour=value.range, kind="stated", source=value.source or f"stated ({value.where})",
                     priced_on=value.date)
    if offer is None or offer.usd_per_hour is None:
        return None
    return Price(usd_per_hour=Range.point(offer.usd_per_hour), kind="measured", source=offer.source,
                 priced_on=offer.priced_on)


def _spot_price(spec: MachineSpec, offer: Offer | None) -> Price | None:
    """Stated; else on demand less the stated discount; else the catalog's."""
    if spec.spot_price is not None and not spec.spot_price.unknown:
        value = spec.spot_price
        return Price(usd_per_hour=value.range, kind="stated", source=value.source or f"stated ({value.where})",
                     priced_on=value.date)
    if spec.spot_discount is not None and spec.price is not None:
        left = Range(1 - spec.spot_discount.range.high, 1 - spec.spot_discount.mid, 1 - spec.spot_discount.range.low)
        return Price(usd_per_hour=left * spec.price.mid, kind="stated", source="the stated discount")
    if offer is None or offer.spot_usd_per_hour is None:
        return None
    return Price(usd_per_hour=Range.point(offer.spot_usd_per_hour), kind="measured",
                 source=f"{offer.source}; {offer.spot_basis}", priced_on=offer.priced_on)


def _offers(machine: Machine | None) -> tuple[Offer, ...]:
    """The cheapest offers of the plan machine's device, one for each provider."""
    if machine is None:
        return ()
    found: dict[str, Offer] = {}
    for offer in find_offers(device=machine.node.device.name, gpus=machine.node.gpus):
        if offer.usd_per_hour is not None and "snapshot" not in offer.provider:
            found.setdefault(offer.provider, offer)
    return tuple(found.values())[:SHOWN_OFFERS]


def _lengths(plan: Plan, stages: Iterable[Stage], calibration: Calibration) -> Mapping[str, Lengths]:
    """Row lengths of every dataset that is trained on or evaluated."""
    caps: dict[str, int | None] = {}
    for stage in stages:
        if stage.data:
            cap = stage.recipe.max_length
            caps[stage.data] = max(cap, caps.get(stage.data) or 0) if cap else caps.get(stage.data)
    widest = max((cap for cap in caps.values() if cap), default=None)
    return {
        name: row_lengths(name, plan.datasets, caps.get(name, widest), calibration) for name in plan.datasets
    }


def row_lengths(name: str, datasets: Mapping[str, Dataset], cap: int | None, calibration: Calibration) -> Lengths:
    """Token lengths of a dataset: as stated or read, of a mixture the weighted mean of its parts, else a wide prior."""
    dataset = datasets[name]
    if dataset.length is not None and not dataset.length.unknown:
        return _stated_lengths(dataset)
    if dataset.mix:
        parts = [(row_lengths(part, datasets, cap, calibration), share) for part, share in dataset.mix]
        if any(part.kind != "assumed" for part, _ in parts):
            return Lengths(
                mean=sum(part.mean * share for part, share in parts),
                mean_low=sum(part.mean_low * share for part, share in parts),
                mean_high=sum(part.mean_high * share for part, share in parts),
                kind="stated",
                source=f"weighted mean of the parts of {name}",
            )
    if cap is None:
        prior = calibration["row_tokens"]
        return Lengths(mean=prior.range.mid, mean_low=prior.range.low, mean_high=prior.range.high,
                       source=f"no token length is known: {prior.source}")
    share = calibration["length_mean_share"]
    return Lengths(
        mean=share.range.mid * cap,
        mean_low=share.range.low * cap,
        mean_high=share.range.high * cap,
        source=f"no token length is known: {share.range.mid:.0%} of max_length {cap} ({share.source})",
    )


def _stated_lengths(dataset: Dataset) -> Lengths:
    value = dataset.length
    assert value is not None
    known = value.statistics
    mean = known.get("mean", value.mid)
    doubt = Range(min(value.range.low, mean), mean, max(value.range.high, mean))
    quantiles = dataset.length_quantiles or tuple(
        (share, known[key]) for share, key in ((0.0, "min"), (0.5, "median"), (1.0, "max")) if key in known
    )
    return Lengths(
        mean=mean,
        mean_low=mean if known else doubt.low,
        mean_high=mean if known else doubt.high,
        quantiles=quantiles if len(quantiles) > 1 else (),
        kind="measured" if dataset.length_quantiles else "stated",
        source=f"stated: {value.text} ({value.where})",
    )
