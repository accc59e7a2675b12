"""A stage of the plan becomes a job: recipe completed for its machine, batches collated, steps and saves counted.

Owns the counting. Nothing here takes time or money yet; what was not said and what was taken instead is in `assumed`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from headway.domain.errors import PlanError
from headway.domain.experiment import Architecture, Batches, Lengths, Parallel, Recipe
from headway.domain.lookup import Lookup, Machine
from headway.domain.machine import Device, Node
from headway.domain.plan import Cadence, Dataset, Plan, Stage
from headway.domain.statement import Value
from headway.domain.units import Range, format_bytes, format_count
from headway.estimate.nouns import Saves
from headway.work.batches import LENGTH_SIGMA, collate
from headway.work.parameters import blocks_of, count_parameters

SHARDING = {"fsdp": "zero3", "zero3": "zero3", "zero2": "zero2", "zero1": "zero1"}
MASTER_BYTES = 8.0
"""More bytes a trained parameter with fp32 master weights and Adam moments: 16 (ZeRO, arXiv:1910.02054, section 3.1)
against 8 in 16 bits throughout."""
WITHOUT_ROWS = 10**9
"""Rows of a dataset of unknown size whose stage is bounded in steps: never the limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a training stage really runs."""

    stage: Stage
    machine: Machine
    node: Node
    architecture: Architecture
    recipe: Recipe
    lengths: Lengths
    batches: Batches
    rows: float | None
    """Training rows of the dataset, held-out ones excluded; None: unknown."""
    rows_seen: float
    steps: int
    equivalent_steps: float
    """Steps with the last partial batch of each epoch counted by its share."""
    epochs: float | None
    saves: Saves
    assumed: Mapping[str, str] = field(default_factory=dict)

    @property
    def step_share(self) -> float:
        """A step over a full one, on average: below 1 where an epoch's last step is smaller."""
        return self.equivalent_steps / self.steps if self.steps else 1.0


def gpu_range(stage: Stage) -> Range:
    """GPUs that a stage holds: as written, else 1 for GPU work, 0 for CPU and human work."""
    if stage.gpus is not None:
        return stage.gpus.range
    return Range.point(1.0 if stage.by == "gpu" else 0.0)


def machine_of(stage: Stage, plan: Plan, lookup: Lookup, override: str = "") -> Machine:
    """The machine that a stage runs on. PlanError when the plan names none."""
    name = override or stage.machine or plan.run.machine
    if name in lookup.machines:
        return lookup.machines[name]
    if not name and len(lookup.machines) == 1:
        return next(iter(lookup.machines.values()))
    raise PlanError(
        "a machine is needed",
        got=repr(name) if name else "none",
        hint="Say run: {machine: RTX 4090}, or give --machine.",
        where=plan.where("run.machine" if name else "run"),
        candidates=tuple(lookup.machines),
    )


def best_precision(device: Device) -> str:
    """bf16 where the hardware has it, fp16 where only that is fast, else fp32."""
    for dtype in ("bf16", "fp16"):
        if device.peak_flop_per_s.get(dtype, 0.0) > device.peak_flop_per_s.get("fp32", 0.0):
            return dtype
    return "fp32"


def dataset_rows(dataset: Dataset, plan: Plan) -> float | None:
    """Rows of a dataset; of a mixture the sum of its parts; None: unknown."""
    if dataset.rows is not None:
        return None if dataset.rows.unknown else dataset.rows.mid
    if not dataset.mix:
        return None
    parts = [dataset_rows(plan.datasets[part], plan) for part, _ in dataset.mix]
    return None if any(part is None for part in parts) else sum(part for part in parts if part is not None)


def resolve(stage: Stage, plan: Plan, lookup: Lookup, machine: Machine) -> Job:
    """The job of a training stage on `machine`. PlanError where the plan does not decide what is run."""
    if stage.model is None:
        raise PlanError("a model is needed to train", where=stage.where, hint="Say model: Qwen/Qwen2-0.5B.")
    assumed: dict[str, str] = {}
    gpus = max(1, math.ceil(gpu_range(stage).mid))
    node = node_for(stage, machine.node)
    recipe = _recipe(stage, node, gpus, assumed)
    architecture = lookup.architectures[stage.model.use]
    dataset = plan.datasets[stage.data]
    lengths = lookup.lengths[stage.data]
    assumed |= _taken(recipe, architecture, lengths, dataset)
    rows = _training_rows(stage, dataset, plan)
    batches = collate(
        lengths,
        rows=max(1, round(rows)) if rows is not None else WITHOUT_ROWS,
        micro_batch=recipe.micro_batch,
        grad_accum=recipe.grad_accum,
        replicas=recipe.parallel.data,
        max_length=recipe.max_length,
        pack=recipe.pack,
    )
    steps, equivalent = _steps(stage, batches, rows, plan)
    _check_depth(stage, architecture)
    epochs = None if rows is None else steps / batches.steps_per_epoch
    return Job(
        stage=stage,
        machine=machine,
        node=node,
        architecture=architecture,
        recipe=recipe,
        lengths=lengths,
        batches=batches,
        rows=rows,
        rows_seen=equivalent * batches.rows_per_step,
        steps=steps,
        equivalent_steps=equivalent,
        epochs=epochs,
        saves=_saves(stage.save, steps, batches.steps_per_epoch),
        assumed=assumed,
    )


def _training_rows(stage: Stage, dataset: Dataset, plan: Plan) -> float | None:
    """Rows without those held out for validation."""
    rows = dataset_rows(dataset, plan)
    return None if rows is None else rows - math.floor(rows * stage.validation_share)


def node_for(stage: Stage, node: Node) -> Node:
    """As much of a machine as a stage holds: one GPU at least."""
    gpus = max(1, math.ceil(gpu_range(stage).mid))
    if gpus > node.total_gpus:
        raise PlanError(
            "a stage runs on GPUs that its machine has",
            got=f"{gpus} of {node.total_gpus} {node.device.name}",
            hint="Give the machine more gpus or nodes, or the stage fewer gpus.",
            where=stage.gpus.where if stage.gpus else stage.where,
            field="gpus",
        )
    per_node = min(gpus, node.gpus)
    return replace(node, gpus=per_node, nodes=math.ceil(gpus / per_node), link=node.link if gpus > 1 else None)


def _recipe(stage: Stage, node: Node, gpus: int, assumed: dict[str, str]) -> Recipe:
    """The recipe with precision, replicas and accumulation filled in."""
    recipe = stage.recipe
    precision = recipe.precision
    if precision == "auto":
        precision = best_precision(node.device)
        assumed["precision"] = f"{precision}, the best of {node.device.name}"
    model_parallel = recipe.parallel.tensor * recipe.parallel.pipeline
    if gpus % model_parallel:
        raise PlanError(
            "tensor x pipeline must divide the GPUs of the job",
            got=f"{recipe.parallel.tensor} x {recipe.parallel.pipeline} on {gpus}",
            where=stage.where,
        )
    replicas = recipe.parallel.data or gpus // model_parallel
    grad_accum = recipe.grad_accum
    if stage.batch is not None and not stage.grad_accum_stated:
        grad_accum = stage.batch // (recipe.micro_batch * replicas)
    sharding = SHARDING.get(stage.parallel_kind, recipe.parallel.sharding)
    parallel = Parallel(
        data=replicas, tensor=recipe.parallel.tensor, pipeline=recipe.parallel.pipeline, sharding=sharding
    )
    return replace(recipe, precision=precision, grad_accum=max(1, grad_accum), parallel=parallel)


def _steps(stage: Stage, batches: Batches, rows: float | None, plan: Plan) -> tuple[int, float]:
    """Optimizer steps, and the same with each epoch's last partial batch counted by its share."""
    if stage.steps is not None:
        steps = round(stage.steps.mid)
        return steps, float(steps)
    if stage.tokens is not None:
        steps = math.ceil(stage.tokens.mid / batches.tokens_per_step)
        return steps, stage.tokens.mid / batches.tokens_per_step
    tokens = plan.datasets[stage.data].tokens
    if rows is None and tokens is not None and not tokens.unknown:
        passes = stage.epochs.mid if stage.epochs is not None else 1.0
        found = passes * tokens.mid / (batches.rows_per_step * batches.real_row_tokens)
        return math.ceil(found), found
    if rows is None:
        raise PlanError(
            "rows are needed to know how many steps an epoch has",
            got=f"dataset {stage.data} without rows",
            hint=f"Say datasets: {{{stage.data}: {{rows: 10k}}}}, or give steps instead of epochs.",
            where=plan.datasets[stage.data].where,
        )
    epochs = stage.epochs.mid if stage.epochs is not None else 1.0
    steps = math.ceil(epochs * batches.steps_per_epoch)
    partial = batches.last_batch_rows / batches.rows_per_step
    return steps, epochs * (batches.steps_per_epoch - 1 + partial)


def _taken(recipe: Recipe, architecture: Architecture, lengths: Lengths, dataset: Dataset) -> dict[str, str]:
    """What the plan does not say of rows and states, and what is taken instead."""
    assumed: dict[str, str] = {}
    if dataset.rows_counted and dataset.rows is not None:
        assumed["rows"] = f"{dataset.rows.text}, {dataset.rows.note}"
    if lengths.kind == "assumed":
        assumed["length"] = lengths.source
    elif not lengths.fixed and not lengths.quantiles:
        assumed["row lengths"] = (
            f"log-normal around the mean of {lengths.mean:,.0f} tokens (sigma {LENGTH_SIGMA}); "
            "say {mean, min, max} or {mean, sd} where you know them"
        )
    if recipe.adapter is None and recipe.precision in ("bf16", "fp16"):
        assumed["optimizer states"] = (
            f"{recipe.precision}, as the weights; fp32 master weights and states would need "
            f"{format_bytes(MASTER_BYTES * count_parameters(architecture).total)} more"
        )
    return assumed


def _check_depth(stage: Stage, architecture: Architecture) -> None:
    """Something must be left to train."""
    if stage.recipe.freeze >= blocks_of(architecture) > 0:
        raise PlanError(
            f"freeze leaves some of the {blocks_of(architecture)} blocks of {architecture.name} to train",
            got=str(stage.recipe.freeze),
            hint="Freeze fewer blocks.",
            where=stage.where,
            field="freeze",
        )


def _saves(cadence: Cadence | None, steps: int, steps_per_epoch: int) -> Saves:
    """Saves at the interval, while training; the finished model is saved once more."""
    if cadence is None:
        return Saves(during=0, final=1, kept=0)
    during = 0
    if cadence.every_steps:
        during = steps // cadence.every_steps
    elif cadence.every_epochs:
        during = math.floor(steps / (cadence.every_epochs * steps_per_epoch))
    return Saves(during=during, final=1, kept=during if cadence.keep is None else min(during, cadence.keep))


def saved_by_the_clock(job: Job, training_s: float) -> Job:
    """The job with its saves counted where they come at an interval of time (`save: {every: 30 min}`)."""
    cadence = job.stage.save
    if cadence is None or not cadence.every_s:
        return job
    during = math.floor(training_s / cadence.every_s)
    kept = during if cadence.keep is None else min(during, cadence.keep)
    return replace(job, saves=Saves(during=during, final=1, kept=kept))


def evaluations(stage: Stage, steps: int, epochs: float | None, last: bool) -> int:
    """Task evaluations of a stage: at intervals, or at its end (in a chain: of the last stage, unless of each)."""
    if stage.evaluate is None:
        return 0
    tasks = len(stage.evaluate.tasks)
    if stage.evaluate.every_steps:
        return tasks * (steps // stage.evaluate.every_steps)
    if stage.evaluate.every_epochs and epochs:
        return tasks * math.floor(epochs / stage.evaluate.every_epochs + 1e-9)
    if stage.kind == "evaluate" or last or stage.evaluate.when == "each stage":
        return tasks
    return 0


def words(value: Value) -> str:
    """A stated value's own words, for a source."""
    return value.stated_as or value.text or format_count(value.mid)
