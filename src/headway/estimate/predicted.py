"""Terms of a stage as headway predicts them, draw by draw: the step from `step`, the rest from priors.

Owns what surrounds a step: load, tokenising, evaluation, saves, generation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from headway.domain.experiment import Architecture, Lengths, Recipe
from headway.domain.lookup import Machine
from headway.domain.plan import Stage
from headway.domain.spread import Draws, Kind, Spread
from headway.domain.units import Range
from headway.estimate.nouns import Basis, Saves
from headway.estimate.resolve import Job, best_precision, dataset_rows, gpu_range
from headway.estimate.setting import Setting
from headway.estimate.step import basis_of, by_length, longer, over_lengths, software_for, spread_of
from headway.predict.fits import largest_micro_batch
from headway.predict.passes import forward_time, generation_time
from headway.predict.values import Value, middle
from headway.work.activations import trained_bytes
from headway.work.batches import collate
from headway.work.memory import state_bytes
from headway.work.parameters import count_parameters, trainable_parameters
from headway.work.step import forward_work, generation_work

BYTES_16_BIT = 2.0
EVALUATION_BATCH = 8
"""Rows in an evaluation pass where the plan does not say: the default of Hugging Face's trainer."""


@dataclass(frozen=True, slots=True)
class Predictor:
    """Predictions for one setting; what costs the same is computed once."""

    setting: Setting

    def basis(self, job: Job) -> Basis:
        """Step time, memory and utilisation of a job."""
        return basis_of(self.setting, job)

    def largest_micro_batch(self, job: Job) -> int:
        """The most rows in one pass that fit with 90 % probability; 0 when not even one does."""
        software = software_for(self.setting, job)
        constants = self.setting.constants
        return largest_micro_batch(job.architecture, job.recipe, job.batches, job.node.device, constants, software)

    def tokens(self, job: Job) -> Spread:
        """Computed tokens of a stage, padding included."""
        if job.stage.tokens is not None:
            return Spread.exact(job.stage.tokens.mid, "stated", "the budget of the plan")
        per_row = [batches.row_tokens for batches in by_length(self.setting, job)]
        kind: Kind = "measured" if job.lengths.kind == "measured" else "stated"
        kind = "assumed" if job.lengths.kind == "assumed" else kind
        rows = job.rows_seen
        if self.setting.rates == "stated":
            low, mid, high = sorted(per_row)
            return Spread.from_range(Range(low * rows, mid * rows, high * rows), kind, job.lengths.source)
        return spread_of(over_lengths(self.setting, job, list(per_row)) * rows, kind, job.lengths.source)

    def saves(self, job: Job) -> Saves:
        """Saves of a stage with the size of each."""
        size = checkpoint_bytes(job.architecture, job.recipe)
        return replace(
            job.saves,
            bytes_each=Spread.exact(size, "predicted", "what is trained, with the optimizer's states"),
            final_bytes=Spread.exact(model_bytes(job.architecture, job.recipe), "predicted", "the finished model"),
        )

    def counts(self, stage: Stage, job: Job | None, evaluations: int, *, first: bool) -> dict[str, float]:
        """How often each term is paid in a stage."""
        found = {"evaluation": float(evaluations)}
        if first and stage.kind in ("train", "evaluate", "generate"):
            found["load"] = 1.0
        if job is not None:
            found |= {
                "step": float(job.steps),
                "checkpoint": float(job.saves.during),
                "final_save": float(job.saves.final),
                "tokenize": 1.0,
                "data_wait": float(job.steps),
                "compile": float(job.recipe.compile),
            }
        if stage.generate is not None:
            found["generation"] = math.ceil(stage.generate.total / max(1.0, gpu_range(stage).mid))
        return found

    def terms(
        self, stage: Stage, job: Job | None, basis: Basis | None, evaluations: int, machine: Machine, *, first: bool
    ) -> dict[str, Spread]:
        """Predicted seconds of every term of a stage that can be predicted, but for validation (`validation`)."""
        counts = self.counts(stage, job, evaluations, first=first)
        makers: dict[str, Callable[[], Spread]] = {"load": lambda: self._load(stage)}
        if job is not None and basis is not None:
            makers |= {
                "step": lambda: basis.step_s * job.step_share,
                "data_wait": lambda: self._data_wait(basis) * job.step_share,
                "tokenize": lambda: self._tokenize(job),
                "compile": lambda: self._constant("compile_s"),
                "checkpoint": lambda: self._save(checkpoint_bytes(job.architecture, job.recipe)),
                "final_save": lambda: self._save(model_bytes(job.architecture, job.recipe)),
            }
        if stage.evaluate is not None:
            makers["evaluation"] = lambda: self._evaluation(stage, machine)
        if stage.generate is not None:
            makers["generation"] = lambda: self._generation(stage, machine)
        return {name: makers[name]() * counts[name] for name in makers if counts.get(name)}

    def _constant(self, name: str) -> Spread:
        return self._drawn(self.setting.constants[name], name)

    def _drawn(self, draws: Draws, name: str) -> Spread:
        """Draws made with a constant, known as that is known."""
        return Spread.from_draws(draws, self.setting.kind(name), self.setting.sources[name])

    def _load(self, stage: Stage) -> Spread:
        """Imports, then weights from disk at a prior rate."""
        constants = self.setting.constants
        arch = self.setting.lookup.architectures[stage.model.use] if stage.model else None
        size = count_parameters(arch).total * BYTES_16_BIT if arch else 0.0
        reading = size / constants["weights_load_bytes_per_s"]
        imports = "import_s" in self.setting.own and middle(constants["import_s"]) > middle(reading)
        return self._drawn(constants["import_s"] + reading, "import_s" if imports else "weights_load_bytes_per_s")

    def _data_wait(self, basis: Basis) -> Spread:
        share = self.setting.constants["data_wait_share"]
        draws = basis.step_s.drawn(self.setting.draws) * share
        return self._drawn(draws, "data_wait_share")

    def _tokenize(self, job: Job) -> Spread:
        """All rows of the dataset once; where its size is unknown, the rows that are seen."""
        rows = job.rows if job.rows is not None else job.rows_seen
        tokens = rows * job.lengths.mean
        draws = tokens / self.setting.constants["tokenize_tokens_per_s"]
        return self._drawn(draws, "tokenize_tokens_per_s")

    def _save(self, size: float) -> Spread:
        draws = size / self.setting.constants["checkpoint_write_bytes_per_s"]
        return self._drawn(draws, "checkpoint_write_bytes_per_s")

    def _evaluation(self, stage: Stage, machine: Machine) -> Spread:
        """Mean seconds of one task evaluation: a forward pass over its rows."""
        assert stage.evaluate is not None  # the caller asked
        spreads = [self._task(stage, task, machine) for task in stage.evaluate.tasks]
        draws = sum(spread.drawn(self.setting.draws) for spread in spreads) / max(1, len(spreads))
        return Spread.from_draws(np.asarray(draws), "assumed", self.setting.sources["evaluation_rows"])

    def validation(self, job: Job | None, machine: Machine) -> Spread | None:
        """A forward pass over the held-out rows after every epoch; None where none are, or nobody knows how many."""
        if job is None or not job.stage.validation_share or job.rows is None:
            return None
        held_out = (job.rows or 0.0) / (1 - job.stage.validation_share) * job.stage.validation_share
        passes = max(1, math.floor(job.epochs or 1))
        return self._forward(job.architecture, job.recipe, job.lengths, held_out, machine) * passes

    def _task(self, stage: Stage, task: str, machine: Machine) -> Spread:
        """A forward pass over the task's rows; shots lengthen each row by as many others."""
        plan, lookup = self.setting.plan, self.setting.lookup
        asked, data = stage.evaluate, plan.tasks[task].data
        assert asked is not None and stage.model is not None  # the caller asked
        rows = asked.rows.mid if asked.rows is not None else self._task_rows(data)
        shots = asked.shots if asked.shots is not None else plan.tasks[task].shots or 0
        arch = lookup.architectures[stage.model.use]
        lengths = longer(lookup.lengths.get(data) or next(iter(lookup.lengths.values())), 1 + shots)
        tasks = self.setting.memory.tasks
        key = (self.setting.draws, arch, stage.recipe, lengths, rows, machine.node.device.name)
        if key not in tasks:
            tasks[key] = self._forward(arch, stage.recipe, lengths, rows, machine)
        return tasks[key]

    def _task_rows(self, data: str) -> float | None:
        """Rows that a task evaluates; unknown where the plan gives those of the training split only."""
        plan = self.setting.plan
        if data not in plan.datasets:
            return None
        trained = data in plan.trained_on and plan.datasets[data].split == "train"
        return None if trained else dataset_rows(plan.datasets[data], plan)

    def _forward(
        self, arch: Architecture, recipe: Recipe, lengths: Lengths, rows: float | None, machine: Machine
    ) -> Spread:
        constants = self.setting.constants
        device = machine.node.device
        plain = replace(
            recipe,
            precision=best_precision(device) if recipe.precision == "auto" else recipe.precision,
            micro_batch=EVALUATION_BATCH,
            grad_accum=1,
            pack=False,
        )
        batches = collate(
            lengths, rows=EVALUATION_BATCH, micro_batch=EVALUATION_BATCH, grad_accum=1, replicas=1,
            max_length=recipe.max_length, pack=False,
        )  # fmt: skip
        per_pass = forward_time(forward_work(arch, plain, batches), device, plain, constants).total
        number: Value = constants["evaluation_rows"] if rows is None else rows
        draws = per_pass * np.ceil(np.asarray(number) / EVALUATION_BATCH) * (1 + constants["evaluation_overhead_share"])
        return Spread.from_draws(np.asarray(draws), "assumed", self.setting.sources["evaluation_rows"])

    def _generation(self, stage: Stage, machine: Machine) -> Spread:
        """Seconds of one sample, one at a time on each GPU."""
        assert stage.generate is not None and stage.model is not None
        constants = self.setting.constants
        arch = self.setting.lookup.architectures[stage.model.use]
        device = machine.node.device
        recipe = replace(stage.recipe, precision=best_precision(device))
        asked = stage.generate
        new = self.setting.constants["generation_tokens"] if asked.tokens is None else asked.tokens.mid
        typical = middle(new)
        prompt = asked.prompt_tokens.mid if asked.prompt_tokens else typical
        work = generation_work(arch, recipe, prompt, typical, 1)
        per_sample = generation_time(work, device, recipe, constants, new_tokens=typical).total
        draws = np.asarray(per_sample * (np.asarray(new) / typical)) * np.ones(self.setting.draws)
        kind: Kind = "assumed" if asked.tokens is None else "predicted"
        return Spread.from_draws(draws, kind, self.setting.sources["generation_tokens"])


def checkpoint_bytes(arch: Architecture, recipe: Recipe) -> float:
    """Bytes of a checkpoint that can be resumed: model or adapter, and the optimizer's states of what is trained."""
    return model_bytes(arch, recipe) + trainable_parameters(arch, recipe).total * state_bytes(recipe)


def model_bytes(arch: Architecture, recipe: Recipe) -> float:
    """Bytes of the finished model in the dtype it is trained in, or of its adapter alone."""
    counted = trainable_parameters(arch, recipe) if recipe.adapter is not None else count_parameters(arch)
    return counted.total * trained_bytes(recipe)
