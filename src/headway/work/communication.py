"""Bytes that one GPU sends to others in an optimizer step, by kind, and in how many messages.

Owns the volumes and the pipeline bubble. Does not own links, their speed, or what overlaps with computing (`predict/`).

Sources: ring collectives move 2(n-1)/n of the data for an all-reduce and (n-1)/n for a gather or a scatter (Patarasuk &
Yuan 2009); data-parallel volumes from ZeRO (Rajbhandari et al. 2020, arXiv:1910.02054, section 7); tensor and pipeline
volumes from Megatron-LM (Narayanan et al. 2021, arXiv:2104.04473, sections 2.2-2.3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from headway.domain.errors import UserError
from headway.domain.experiment import Architecture, Batches, Recipe
from headway.work.activations import element_bytes, trained_bytes
from headway.work.flop import blocks_with_gradients
from headway.work.memory import weight_bytes
from headway.work.parameters import blocks_of, trainable_parameters

DDP_BUCKET_BYTES = 25 * 2**20
"""Gradients that one all-reduce of torch DistributedDataParallel takes together (`bucket_cap_mb=25`)."""

SHARDINGS = ("none", "zero1", "zero2", "zero3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """What one GPU sends in an optimizer step for one purpose."""

    name: str
    """Group and purpose: `data.gradients`, `data.weights`, `tensor.activations`, `pipeline.activations`."""
    bytes: float
    messages: float
    """Hops one after another, each of which pays the link's latency: 2(n-1) for a ring all-reduce."""


def _ring(name: str, size: float, calls: float, gpus: int, rounds: int) -> Transfer:
    """`calls` ring collectives of `rounds` rounds (all-reduce 2, gather or scatter 1) that together carry `size`."""
    return Transfer(name=name, bytes=rounds * (gpus - 1) / gpus * size, messages=calls * rounds * (gpus - 1))


def _data(arch: Architecture, recipe: Recipe, batches: Batches) -> list[Transfer]:
    parallel, steps = recipe.parallel, batches.micro_steps
    split, gpus = parallel.tensor * parallel.pipeline, parallel.data
    trained = trainable_parameters(arch, recipe).total * trained_bytes(recipe) / split
    buckets = math.ceil(trained / DDP_BUCKET_BYTES)
    if parallel.sharding == "none":
        return [_ring("data.gradients", trained, buckets, gpus, 2)]
    if parallel.sharding == "zero1":
        scatter = _ring("data.gradients", trained, buckets, gpus, 1)
        return [scatter, _ring("data.weights", trained, buckets, gpus, 1)]
    if parallel.sharding == "zero2":  # gradients are scattered in every micro-step, for only a share is kept
        scatter = _ring("data.gradients", trained * steps, buckets * steps, gpus, 1)
        return [scatter, _ring("data.weights", trained, buckets, gpus, 1)]
    units = (blocks_of(arch) / parallel.pipeline + 1) * steps
    gathers = 2.0 if blocks_with_gradients(arch, recipe) else 1.0  # forward, and backward once more
    everything = weight_bytes(arch, recipe) / split + (trained if recipe.adapter else 0.0)
    return [
        _ring("data.weights", gathers * everything * steps, gathers * units, gpus, 1),
        _ring("data.gradients", trained * steps, units, gpus, 1),
    ]


def _tensor(arch: Architecture, recipe: Recipe, batches: Batches) -> Transfer:
    """One all-reduce after attention and one after the feed-forward, each way, and again when recomputed."""
    stages = recipe.parallel.pipeline
    alive = blocks_with_gradients(arch, recipe)
    again = alive if recipe.gradient_checkpointing == "full" else 0
    per_block = 1 if arch.parallel_block else 2
    calls = (per_block * (blocks_of(arch) + alive + again) + arch.decoder_layers) / stages * batches.micro_steps
    tensor = batches.micro_rows * batches.row_tokens * arch.hidden * element_bytes(recipe.precision)
    return _ring("tensor.activations", calls * tensor, calls, recipe.parallel.tensor, 2)


def _pipeline(arch: Architecture, recipe: Recipe, batches: Batches) -> Transfer:
    """A middle stage sends activations on and their gradients back, once in each micro-step."""
    tensor = batches.micro_rows * batches.row_tokens * arch.hidden * element_bytes(recipe.precision)
    calls = 2.0 * batches.micro_steps
    return Transfer(name="pipeline.activations", bytes=calls * tensor, messages=calls)


def pipeline_bubble(recipe: Recipe, batches: Batches) -> float:
    """Share of an optimizer step in which a stage waits: (p-1)/(m+p-1) (Huang et al. 2019, arXiv:1811.06965)."""
    stages = recipe.parallel.pipeline
    return (stages - 1) / (batches.micro_steps + stages - 1)


def transfers(arch: Architecture, recipe: Recipe, batches: Batches) -> tuple[Transfer, ...]:
    """What one GPU sends in an optimizer step; empty on a single GPU.

    Data parallel without sharding reduces the trained gradients once a step (`no_sync` while accumulating), so LoRA
    sends almost nothing; full sharding gathers every weight, frozen ones too, twice in every micro-step.
    Raises `UserError` for an unknown sharding.
    """
    parallel = recipe.parallel
    if parallel.sharding not in SHARDINGS:
        raise UserError(
            "sharding must be a known one",
            got=repr(parallel.sharding),
            hint=f"use {', '.join(SHARDINGS)} (FSDP full shard is zero3)",
            field="recipe.parallel.sharding",
            candidates=SHARDINGS,
        )
    found = _data(arch, recipe, batches) if parallel.data > 1 else []
    if parallel.tensor > 1:
        found.append(_tensor(arch, recipe, batches))
    if parallel.pipeline > 1:
        found.append(_pipeline(arch, recipe, batches))
    return tuple(one for one in found if one.bytes)
