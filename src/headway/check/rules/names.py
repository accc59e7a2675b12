"""HW3xx, names: models and machines that do not exist, may be several, or are not what the plan says of them.

Owns what the author's words (`stated_as`) mean in the catalog. What is computed with is settled before a rule looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from headway.check.case import Case, Doubt
from headway.check.rule import Rule
from headway.domain.errors import Finding, Position, UserError
from headway.domain.lookup import Machine
from headway.domain.machine import Offer
from headway.domain.units import format_bytes, format_number, parse

AS_REPORTED = (0.90, 0.97)
"""Shares of the nominal memory that drivers and tools report, and that are no other card's."""
MEMORY = (0.90, 1.08)
"""Shares of the nominal memory within which a stated one means the device: the catalog's own tolerance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """What an author calls a model, and what is computed with."""

    words: str
    use: str
    where: Position
    experiments: list[str] = field(default_factory=list)


def _models(case: Case) -> list[_Named]:
    """Every model that the author calls otherwise than the plan computes with, options' own among them."""
    found: dict[tuple[str, str], _Named] = {}
    for experiment in case.plan.experiments:
        for stage in experiment.stages:
            model = stage.model
            if model is not None and model.stated_as:
                one = _Named(words=model.stated_as, use=model.use, where=model.where)
                found.setdefault((one.words, one.use), one).experiments.append(experiment.id)
    for id_, option in case.plan.options.items():
        for key, value in option.set.items():
            if key.rpartition(".")[2] == "model" and isinstance(value, Mapping) and "stated_as" in value:
                where = case.plan.where(f"options.{id_}.set.{key}")
                one = _Named(words=str(value["stated_as"]), use=str(value.get("use", "")), where=where)
                found.setdefault((one.words, one.use), one)
    return list(found.values())


def _no_model(case: Case) -> Iterator[Finding]:
    for one in _models(case):
        doubt = case.known.doubt("model", one.words)
        if doubt is None or doubt.several:
            continue
        yield NO_MODEL.finding(
            f"{one.words} does not exist; {one.use} is computed with",
            where=one.where,
            evidence={
                "experiments": list(dict.fromkeys(one.experiments)),
                "computed_with": one.use,
                "exist": list(doubt.candidates),
            },
            hint=f"{doubt.hint}: name the one that is meant.",
        )


def _gpus(case: Case) -> Iterator[tuple[Machine, str, Position, Doubt]]:
    """Machines whose GPU the author calls by words that mean no one thing."""
    for machine in case.lookup.machines.values():
        gpu = machine.spec.gpu
        doubt = case.known.doubt("gpu", gpu.stated_as) if gpu is not None and gpu.stated_as else None
        if gpu is not None and doubt is not None:
            yield machine, gpu.stated_as, gpu.where, doubt


def _no_gpu(case: Case) -> Iterator[Finding]:
    for machine, words, where, doubt in _gpus(case):
        if doubt.several:
            continue
        yield NO_GPU.finding(
            f"{words}: {doubt.rule}; {machine.node.device.name} is computed with",
            where=where,
            evidence={
                "machine": machine.name, "computed_with": machine.node.device.name, "exist": list(doubt.candidates),
                "memory_bytes": machine.node.device.memory_bytes,
            },
            hint=f"{doubt.hint}.",
        )  # fmt: skip


def _several(case: Case) -> Iterator[Finding]:
    for machine, words, where, doubt in _gpus(case):
        if not doubt.several or (machine.instance and case.known.listed(machine.provider, machine.instance, "")):
            continue
        known = [case.known.devices[name] for name in doubt.candidates if name in case.known.devices]
        sizes = sorted({device.memory_bytes for device in known})
        yield SEVERAL_GPUS.finding(
            f"{words} may be {' or '.join(doubt.candidates)} ({' or '.join(format_bytes(size) for size in sizes)}); "
            f"{machine.node.device.name} is computed with",
            where=where,
            evidence={"machine": machine.name, "may_be": list(doubt.candidates), "memory_bytes": sizes},
            hint="Write the whole name: memory decides what fits, and the form factor the power and the link.",
        )


def _other_memory(case: Case) -> Iterator[Finding]:
    for machine in case.lookup.machines.values():
        stated, device, gpu = machine.spec.memory, machine.node.device, machine.spec.gpu
        doubt = case.known.doubt("gpu", gpu.words) if gpu is not None else None
        if stated is None or stated.unknown or (doubt is not None and not doubt.several):
            continue  # the name has a memory in it that does not exist, and HW304 says so
        said_bytes = _bytes(stated.stated_as) or stated.mid
        if MEMORY[0] <= said_bytes / device.memory_bytes <= MEMORY[1]:
            continue
        yield OTHER_MEMORY.finding(
            f"{format_bytes(said_bytes)} are stated of {device.name}, which has {format_bytes(device.memory_bytes)}",
            where=stated.where,
            evidence={"machine": machine.name, "stated_bytes": said_bytes, "device_bytes": device.memory_bytes},
            hint="Leave memory out, or name the GPU that has it.",
        )


def _bytes(words: str) -> float:
    """Words such as `40 GB` in bytes; 0 where they are none."""
    try:
        return parse(words, "bytes").range.mid
    except UserError:
        return 0.0


def _reported(case: Case) -> Iterator[Finding]:
    for machine in case.lookup.machines.values():
        stated, device = machine.spec.memory, machine.node.device
        if stated is None or stated.unknown or stated.stated_as:
            continue
        share = stated.mid / device.memory_bytes
        if not AS_REPORTED[0] <= share < AS_REPORTED[1]:
            continue
        yield REPORTED_MEMORY.finding(
            f"{stated.text} is {format_number(share * 100)} % of the {format_bytes(device.memory_bytes)} of a "
            f"{device.name}: tools print MiB and GiB as GB, and a driver keeps a part",
            where=stated.where,
            evidence={"machine": machine.name, "stated_bytes": stated.mid, "device_bytes": device.memory_bytes},
            hint=f"Write what is meant: {format_bytes(device.memory_bytes)} on the box, or GiB as a tool reports them.",
        )


def _other_gpu(case: Case) -> Iterator[Finding]:
    for machine in case.lookup.machines.values():
        instance, device = machine.spec.instance, machine.node.device
        if instance is None or machine.spec.gpu is None:
            continue
        sold = case.known.listed(machine.spec.provider, instance.use, "")
        if not sold or case.known.listed(machine.spec.provider, instance.use, device.name):
            continue
        devices = _devices(sold)
        yield OTHER_GPU.finding(
            f"{instance.use} comes with {' or '.join(devices)}, not with {device.name}",
            where=machine.spec.gpu.where,
            evidence={"machine": machine.name, "sold_with": devices, "stated": device.name},
            hint="Name the instance that has this GPU, or the GPU of this instance.",
        )


def _no_instance(case: Case) -> Iterator[Finding]:
    for machine in case.lookup.machines.values():
        instance, provider = machine.spec.instance, machine.spec.provider
        everything = case.known.listed(provider, "", "") if provider else ()
        if instance is None or not everything or case.known.listed(provider, instance.words, ""):
            continue
        near = get_close_matches(instance.words, sorted({offer.instance for offer in everything}), n=3)
        yield NO_INSTANCE.finding(
            f"no offer of {provider} is known by the name of {instance.words}, among {len(everything)}",
            where=instance.where,
            evidence={"machine": machine.name, "instance": instance.words, "nearest": near},
            hint=f"Is {' or '.join(near)} meant?" if near else "headway catalog offers lists what is known.",
        )


def _devices(sold: tuple[Offer, ...]) -> list[str]:
    """`8 x H100 SXM 80GB`, each once."""
    return list(dict.fromkeys(f"{o.gpus} x {o.device}" if o.gpus > 1 else o.device for o in sold))


_MODEL = """headway: 1
model: {{stated_as: {words}, use: Qwen/Qwen2-0.5B}}
data: {{rows: 1k, length: 128}}
run: {{machine: A100 SXM 80GB}}
"""
_MACHINE = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 1k, length: 128}}
run: {{machine: {machine}}}
"""

NO_MODEL = Rule(
    code="HW303",
    name="model that does not exist",
    severity="error",
    says="A model exists in the size that is named.",
    because="Hours, memory and licence follow the model that is really taken: Qwen3 comes in 0.6B, 1.7B, 4B, 8B, 14B "
    "and 32B, and 7B is a size of Qwen2.5 (model cards on the Hub).",
    fails=_MODEL.format(words="Qwen2-3B"),
    passes=_MODEL.format(words="Qwen2-0.5B"),
    find=_no_model,
)
NO_GPU = Rule(
    code="HW304",
    name="GPU that does not exist",
    severity="error",
    says="A GPU is made with the memory that is named.",
    because="A plan for half the memory takes batches half as large; datasheets name what there is.",
    fails=_MACHINE.format(machine="{gpu: {stated_as: H100 40GB, use: H100 SXM 80GB}}"),
    passes=_MACHINE.format(machine="{gpu: {stated_as: H100 SXM 80GB, use: H100 SXM 80GB}}"),
    find=_no_gpu,
)
SEVERAL_GPUS = Rule(
    code="HW305",
    name="name of several GPUs",
    severity="warning",
    says="A GPU's name means one device, or the instance settles which.",
    because="An A100 has 40 or 80 GB, on a PCIe card of 250-300 W or an SXM board of 400 W (NVIDIA datasheets).",
    fails=_MACHINE.format(machine="{gpu: {stated_as: A100, use: A100 SXM 40GB}}"),
    passes=_MACHINE.format(machine="{gpu: {stated_as: A100 SXM 40GB, use: A100 SXM 40GB}}"),
    find=_several,
)
OTHER_MEMORY = Rule(
    code="HW306",
    name="memory of another GPU",
    severity="error",
    says="The memory stated of a GPU is the one it has.",
    because="What fits is decided by the memory of the device, whatever the plan says.",
    fails=_MACHINE.format(machine="{instance: p5.48xlarge, memory: 40 GB}"),
    passes=_MACHINE.format(machine="{instance: p5.48xlarge, memory: 80 GB}"),
    find=_other_memory,
)
REPORTED_MEMORY = Rule(
    code="HW307",
    name="memory as a tool prints it",
    severity="info",
    says="Memory is stated in GB as on the box, or in GiB.",
    because="A T4 of 16 GB reports 15,109 MiB, which is 15.8 GB or 14.8 GiB and is printed as 15.1 GB.",
    fails=_MACHINE.format(machine="{gpu: T4, memory: 15.1 GB}"),
    passes=_MACHINE.format(machine="{gpu: T4, memory: 16 GB}"),
    find=_reported,
)
OTHER_GPU = Rule(
    code="HW308",
    name="instance with another GPU",
    severity="error",
    says="An instance has the GPU that it is sold with.",
    because="Price and hours belong to one machine: an instance's price with another GPU's speed is of none.",
    fails=_MACHINE.format(machine="{instance: p5.48xlarge, gpu: A100 SXM 40GB, gpus: 8, price: $32.77/h}"),
    passes=_MACHINE.format(machine="{instance: p4d.24xlarge, gpu: A100 SXM 40GB, gpus: 8, price: $32.77/h}"),
    find=_other_gpu,
)
NO_INSTANCE = Rule(
    code="HW321",
    name="instance nobody offers",
    severity="warning",
    says="An instance is one that its provider offers.",
    because="What cannot be booked has no price; a letter more or less is another machine at three times the price.",
    fails=_MACHINE.format(machine="{provider: AWS, instance: p5.24xlarge, gpu: H100 SXM 80GB, price: $30/h}"),
    passes=_MACHINE.format(machine="{provider: AWS, instance: p5.48xlarge, gpu: H100 SXM 80GB, price: $55/h}"),
    find=_no_instance,
)
RULES = (NO_MODEL, NO_GPU, SEVERAL_GPUS, OTHER_MEMORY, REPORTED_MEMORY, OTHER_GPU, NO_INSTANCE)
