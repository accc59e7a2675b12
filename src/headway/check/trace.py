"""The formulas of `work/` against a trace of the real model: the same quantities, counted and computed.

Owns which quantities are compared and how near they must be. The trace is made by `worker/trace.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headway.domain.experiment import Architecture, Batches, Recipe
from headway.work.flop import FUSED_BACKWARD, attentions, fused_attention, products
from headway.work.memory import memory
from headway.work.parameters import count_parameters, trainable_parameters

EXACT, FLOP_SHARE, MEMORY_SHARE = 0.0, 0.01, 0.05
"""Largest difference, as a share of the count, at which formula and trace agree."""

PHASES = ("forward", "backward", "recompute")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One quantity, counted on the real model and computed by headway."""

    name: str
    unit: str
    """`parameters`, `flop` or `bytes`."""
    counted: float
    formula: float
    allowed: float
    """Share of the count by which the formula may be off."""

    @property
    def difference(self) -> float | None:
        """Formula over count, minus 1; None where only the formula has anything."""
        if self.counted:
            return self.formula / self.counted - 1.0
        return None if self.formula else 0.0

    @property
    def agrees(self) -> bool:
        """Whether the formula is near enough."""
        return self.difference is not None and abs(self.difference) <= self.allowed


def compare(trace: Mapping[str, Any], arch: Architecture, recipe: Recipe, batches: Batches) -> tuple[Compared, ...]:
    """Every quantity of a `headway.trace/1` document beside headway's own, in the order of the page.

    Attention is counted as PyTorch counts it: the whole square of scores, and in the backward pass of a fused kernel
    the scores once more.
    """
    flop, held = trace["flop"], trace["memory_bytes"]
    own, found = _flop(arch, recipe, batches), memory(arch, recipe, batches)
    counts = (
        ("parameters", trace["parameters"]["total"], count_parameters(arch).total),
        ("trained parameters", trace["parameters"]["trainable"], trainable_parameters(arch, recipe).total),
    )
    names = ("weights", "adapters", "gradients", "optimizer", "activations")
    sizes = [(_TITLES[name], held[name], found[name]) for name in names]
    return (
        *(_row(name, "parameters", counted, formula, EXACT) for name, counted, formula in counts),
        *(_row(_TITLES[phase], "flop", flop[phase], own[phase], FLOP_SHARE) for phase in PHASES),
        _row("whole step", "flop", flop["total"], sum(own.values()), FLOP_SHARE),
        *(_row(name, "bytes", counted, formula, MEMORY_SHARE) for name, counted, formula in sizes),
        _row("peak of tensors", "bytes", held["peak"], found.peak_bytes, MEMORY_SHARE),
    )


_TITLES = {
    "forward": "forward",
    "backward": "backward",
    "recompute": "recomputed forward",
    "weights": "weights",
    "adapters": "adapters",
    "gradients": "gradients",
    "optimizer": "optimizer states",
    "activations": "activations kept in blocks",
}


def _row(name: str, unit: str, counted: float, formula: float, allowed: float) -> Compared:
    return Compared(name=name, unit=unit, counted=float(counted), formula=float(formula), allowed=allowed)


def _flop(arch: Architecture, recipe: Recipe, batches: Batches) -> dict[str, float]:
    """FLOP by phase as torch.utils.flop_counter counts the kernels that run."""
    found = dict.fromkeys(PHASES, 0.0)
    for product in products(arch, recipe, batches):
        found[product.phase] += product.flop
    fused = fused_attention(arch, recipe, padded=batches.padding_share > 0)
    for attention in attentions(arch, recipe, batches):
        again = FUSED_BACKWARD if fused and attention.phase == "backward" else 1.0
        found[attention.phase] += attention.flop * again
    return found
