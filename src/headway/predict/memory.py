"""Peak memory of one GPU: tensors at each moment of a step, and what the framework keeps beside them.

Owns context, allocator and doubt. Which tensors there are is `work.memory`; whether they fit is `fits`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from headway.domain.experiment import Architecture, Batches, Recipe
from headway.domain.software import ORDINARY, Software
from headway.predict.values import Constants, Value, added, constant, middle
from headway.work.memory import MOMENTS, MemoryTerm, loaded_bytes, optimizer_copy_bytes
from headway.work.memory import memory as tensors

LOADING = "load"
"""The moment when weights are on the GPU and nothing is computed yet."""

_STEPPING = "optimizer"
"""The moment inside the optimizer."""

_RESIDENT = frozenset(("weights", "adapters", "master_weights", "optimizer", "gradients", "optimizer_copy"))
"""Sizes that follow from the parameter count; everything else depends on kernels and is in doubt."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MemoryNeed:
    """Bytes on one GPU by moment and term; the moment with the largest (median) sum decides."""

    moments: Mapping[str, Mapping[str, Value]]

    @property
    def moment(self) -> str:
        """The moment that decides: `load`, `loss`, `backward_start`, `backward_end` or `optimizer`."""
        return max(self.moments, key=lambda name: middle(added(self.moments[name].values())))

    @property
    def terms(self) -> Mapping[str, Value]:
        """Bytes by term at the deciding moment; they add up to `peak_bytes`."""
        return self.moments[self.moment]

    @property
    def peak_bytes(self) -> Value:
        """Bytes at the deciding moment."""
        return added(self.terms.values())


def memory(
    arch: Architecture, recipe: Recipe, batches: Batches, constants: Constants, software: Software = ORDINARY
) -> MemoryNeed:
    """What one GPU needs to train, in bytes, for the longest rows of `batches`; draws where the constants are draws.

    Per moment: the tensors of `work.memory`, those that depend on kernels times `activation_factor`; in the optimizer
    the copy that a multi-tensor Adam makes (`optimizer_copy_share` of it; Mistral-7B trained in bf16 peaks at 67.5 GiB,
    five times its weights, whatever the batch: fms-acceleration); the CUDA context with library workspaces; and what
    the caching allocator holds without using it, a share of the tensors.
    Raises `UserError` for an unknown optimizer, quantisation or adapter target.
    """
    counted = list(tensors(arch, recipe, batches, software).terms)
    copied = optimizer_copy_bytes(arch, recipe, software)
    if copied:
        counted.append(MemoryTerm(name="optimizer_copy", bytes=copied, moments=frozenset((_STEPPING,))))
    loaded = MemoryTerm(name="weights", bytes=loaded_bytes(arch, recipe, software))
    moments = {LOADING: _at(LOADING, [loaded, *(term for term in counted if term.name == "adapters")], constants)}
    moments |= {name: _at(name, [t for t in counted if name in t.moments], constants) for name in MOMENTS}
    return MemoryNeed(moments=MappingProxyType(moments))


def _at(moment: str, counted: list[MemoryTerm], constants: Constants) -> Mapping[str, Value]:
    """Terms of one moment: tensors by name, then `allocator`, `context` and `workspace`."""
    terms: dict[str, Value] = {}
    for term in counted:
        factor: Value = 1.0
        if term.name == "optimizer_copy":
            factor = constant(constants, "optimizer_copy_share")
        elif term.name not in _RESIDENT:
            factor = constant(constants, "activation_factor")
        terms[term.name] = terms.get(term.name, 0.0) + term.bytes * factor
    terms["allocator"] = added(terms.values()) * constant(constants, "fragmentation_share")
    terms["context"] = constant(constants, "context_bytes")
    if moment != LOADING:
        terms["workspace"] = constant(constants, "workspace_bytes")
    return MappingProxyType(terms)
