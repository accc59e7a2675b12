"""HW7xx, memory and strategy: what does not fit, and what would.

Owns the verdicts of the memory model as findings.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from headway.check.case import Case
from headway.check.causes import causes
from headway.check.rule import Rule
from headway.domain.errors import Finding
from headway.domain.plan import Stage
from headway.domain.units import format_bytes, format_share
from headway.estimate.nouns import Basis, StageEstimate


def _too_large(_: Stage, stage: StageEstimate) -> Hashable:
    basis = stage.basis
    if basis is None or basis.fits == "yes":
        return None
    return (basis.model, basis.node.device.name, basis.node.total_gpus, basis.fits)


def _fits(case: Case) -> Iterator[Finding]:
    for cause in causes(case, _too_large):
        basis = cause.basis
        device, usable = basis.node.device.name, format_bytes(basis.usable_memory_bytes.p50)
        chance = f"may not fit: fits with a probability of {format_share(basis.fits_probability)}"
        yield TOO_LARGE.finding(
            f"{basis.model} needs {format_bytes(basis.peak_memory_bytes.p50)} a GPU at its peak "
            f"({basis.memory_moment}) of {usable} usable on {device}: "
            + ("does not fit" if basis.fits == "no" else chance),
            where=case.plan.where("model"),
            evidence={
                "experiments": cause.ids,
                "device": device,
                "peak_bytes": basis.peak_memory_bytes.p50,
                "probability": basis.fits_probability,
            },
            hint=f"Try {remedies(basis)}.",
            severity="error" if basis.fits == "no" else "warning",
        )


def remedies(basis: Basis) -> str:
    """What would need less memory and is not done already."""
    recipe, found = basis.recipe, []
    if recipe.micro_batch > 1:
        found.append("a smaller micro_batch")
    if recipe.max_length is None:
        found.append("a max_length")
    if recipe.gradient_checkpointing != "full":
        found.append("gradient_checkpointing: full")
    if recipe.adapter is None:
        found.append("an adapter")
    elif recipe.quantize == "none":
        found.append("quantize: nf4")
    if basis.node.total_gpus > 1 and recipe.parallel.sharding != "zero3":
        found.append("parallel: fsdp")
    return ", ".join(found) or "a larger GPU or more of them"


TOO_LARGE = Rule(
    code="HW701",
    name="does not fit",
    severity="error",
    says="Every training stage fits into the memory of its GPU.",
    because="A run that does not fit ends at its first step. Counted are tensors at the worst moment of a step for the "
    "longest rows, with the CUDA context and what the allocator keeps; an error where it fits in under 10 % of draws.",
    fails="""headway: 1
model: Qwen/Qwen2-7B
data: {rows: 1k, length: {mean: 2048, max: 2048}}
micro_batch: 8
max_length: 2048
run: {machine: RTX 4090}
""",
    passes="""headway: 1
model: Qwen/Qwen2-0.5B
data: {rows: 1k, length: {mean: 512, max: 512}}
micro_batch: 1
max_length: 512
run: {machine: RTX 4090}
""",
    find=_fits,
)
RULES = (TOO_LARGE,)
