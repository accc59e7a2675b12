"""A memory need as an observer sees it -> bytes by moment and group, the features that neighbours are compared by.

Owns the groups and what each observer misses. Bytes are `predict.memory`, what is learnt of them `predict.learning`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from headway.domain.experiment import Architecture, Batches, Recipe
from headway.domain.software import Software
from headway.domain.spread import Draws
from headway.predict.memory import FACTORS, LOADING, MemoryNeed
from headway.work.memory import MOMENTS

GROUPS = ("resident", *FACTORS)
"""Weights; optimizer states, activations, loss; and what is not a tensor: context, workspaces, allocator."""
ALL_MOMENTS = (LOADING, *MOMENTS)
LEFT_OUT: Mapping[str, tuple[str, ...]] = {
    "allocated": ("context", "allocator", "workspace"),
    "reserved": ("context",),
    "device": (),
}
"""Terms that an observer does not see: torch's counters of allocated and reserved memory, and the device itself."""


def group_of(term: str) -> str:
    """The group of a term."""
    return next((name for name, terms in FACTORS.items() if term in terms), "resident")


def basis(need: MemoryNeed, seen_by: str) -> Draws:
    """Bytes by moment and group as that observer sees them, shape (moments, groups); the need's values are points.

    Raises KeyError for an unknown observer.
    """
    found = np.zeros((len(ALL_MOMENTS), len(GROUPS)))
    for row, moment in enumerate(ALL_MOMENTS):
        for term, value in need.moments[moment].items():
            if term not in LEFT_OUT[seen_by]:
                found[row, GROUPS.index(group_of(term))] += float(value)
    return found


FEATURES = ("tokens", "weights", "trained", "replicas", "model_parallel", "quantised", "adapter", "sparse", "loss")
"""Coordinates in which neighbours are looked for; sizes are natural logarithms."""


def features(arch: Architecture, recipe: Recipe, batches: Batches, software: Software, parameters: float) -> Draws:
    """A run's coordinates, in the order of `FEATURES`; shape (features,). `parameters`: of the whole model."""
    parallel = recipe.parallel
    return np.array(
        [
            math.log(batches.micro_rows * batches.longest_row_tokens),
            math.log(parameters),
            float(recipe.master_weights) + 0.5 * (batches.micro_steps > 1),
            math.log(parallel.data) if parallel.sharding != "none" else 0.0,
            math.log(parallel.tensor * parallel.pipeline),
            (recipe.quantize != "none") + 0.5 * (software.packed_bytes is not None),
            float(recipe.adapter is not None),
            float(arch.experts > 0),
            software.logit_bytes / 8.0,
        ]
    )
