"""Peak memory of one GPU: tensors at each moment of a step, and what the framework keeps beside them.

Owns context, allocator and doubt. Which tensors there are is `work.memory`; whether they fit is `fits`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from headway.domain.experiment import Architecture, Batches, Recipe
from headway.domain.software import ORDINARY, Software
from headway.predict.values import Constants, Value, added, constant, larger, middle
from headway.work.memory import MOMENTS, MemoryTerm, loaded_bytes, optimizer_copy_bytes
from headway.work.memory import memory as tensors

LOADING = "load"
"""The moment when weights are on the GPU and nothing is computed yet."""

_STEPPING = "optimizer"
"""The moment inside the optimizer."""

FACTORS: Mapping[str, tuple[str, ...]] = {
    "states": ("gradients", "gradient_buckets", "reduce_buckets", "optimizer", "master_weights", "optimizer_copy"),
    "activations": (
        "activations",
        "first_block",
        "recomputed_block",
        "block_gradients",
        "input_gradients",
        "final_norm",
        "embedding_gradient",
        "dequantised_weight",
        "gathered_weights",
    ),
    "loss": ("logits",),
    "beside": ("context", "allocator", "workspace"),
}
"""Terms by what they share a fitted factor with (`factor_name`); weights and adapters have none."""
LEAST_DIFFICULTY = 0.3
"""Of a peak that is all weights: stacks differ there too, in what they keep beside them."""
_FACTOR_OF = {term: name for name, terms in FACTORS.items() for term in terms}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MemoryNeed:
    """Bytes on one GPU by moment and term; the moment with the largest (median) sum decides."""

    moments: Mapping[str, Mapping[str, Value]]

    @property
    def moment(self) -> str:
        """The moment that decides: `load`, `loss`, `backward_start`, `backward_end`, `lookup` or `optimizer`."""
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

    Per moment: the tensors of `work.memory`, each kind times its fitted factor; in the optimizer the copy that a
    multi-tensor Adam makes (Mistral-7B trained in bf16 peaks at 67.5 GiB, five times its weights, whatever the batch:
    fms-acceleration); the CUDA context with library workspaces; and what the caching allocator holds without using it,
    a share of the tensors. `memory_doubt` is the doubt about their sum, and changes all but the weights.
    Raises `UserError` for an unknown optimizer, quantisation or adapter target.
    """
    counted = list(tensors(arch, recipe, batches, software).terms)
    copied = optimizer_copy_bytes(arch, recipe, software)
    if copied:
        counted.append(MemoryTerm(name="optimizer_copy", bytes=copied, moments=frozenset((_STEPPING,))))
    loaded = MemoryTerm(name="weights", bytes=loaded_bytes(arch, recipe, software))
    moments = {LOADING: _at(LOADING, [loaded, *(term for term in counted if term.name == "adapters")], constants)}
    moments |= {name: _at(name, [t for t in counted if name in t.moments], constants) for name in MOMENTS}
    doubt = constant(constants, "memory_doubt")
    return MemoryNeed(moments=MappingProxyType({name: _doubted(terms, doubt) for name, terms in moments.items()}))


def _at(moment: str, counted: list[MemoryTerm], constants: Constants) -> dict[str, float]:
    """Bytes of one moment: tensors by name, then `allocator`, `context` and `workspace`.

    Constants at their middles: the doubt about the sum was measured on whole peaks.
    """
    terms: dict[str, float] = {}
    for term in counted:
        terms[term.name] = terms.get(term.name, 0.0) + term.bytes * _factor(term.name, constants)
    beside = _factor("context", constants)
    terms["allocator"] = sum(terms.values()) * middle(constant(constants, "fragmentation_share")) * beside
    terms["context"] = middle(constant(constants, "context_bytes")) * beside
    if moment != LOADING:
        terms["workspace"] = middle(constant(constants, "workspace_bytes")) * beside
    return terms


def factor_name(group: str) -> str:
    """The constant by which terms of a group of `FACTORS` are multiplied."""
    return f"{group}_memory_factor"


def _factor(term: str, constants: Constants) -> float:
    group = _FACTOR_OF.get(term)
    return middle(constant(constants, factor_name(group))) if group else 1.0


def difficulty(sure_share: float) -> float:
    """How hard a peak is to predict of which that share is weights: the power to which `memory_doubt` is raised."""
    return LEAST_DIFFICULTY + (1 - LEAST_DIFFICULTY) * (1 - sure_share)


def _doubted(terms: Mapping[str, float], doubt: Value) -> Mapping[str, Value]:
    """Terms whose sum is in doubt by a factor: weights stay, the others take it all, and nothing is less than 0."""
    sure = sum(size for name, size in terms.items() if name not in _FACTOR_OF)
    whole = sum(terms.values())
    others = larger(whole * doubt ** difficulty(sure / whole) - sure, 0.0) / (whole - sure)
    return MappingProxyType({name: size * (others if name in _FACTOR_OF else 1.0) for name, size in terms.items()})
