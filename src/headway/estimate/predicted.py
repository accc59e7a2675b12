"""Terms of a stage as headway predicts them, draw by draw: the step from work and device, the rest from priors.

Owns what surrounds a step (load, tokenising, evaluation, saves) and how doubt about row lengths enters. The step
itself and its memory are `predict/`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from headway.domain.calibration import draw_range
from headway.domain.experiment import Architecture, Batches, Lengths, Recipe
from headway.domain.lookup import Machine
from headway.domain.machine import Node
from headway.domain.plan import Stage
from headway.domain.spread import Draws, Kind, Spread, total
from headway.domain.statement import Value as StatedValue
from headway.domain.units import Range
from headway.estimate.nouns import Basis, Saves
from headway.estimate.resolve import Job, best_precision, dataset_rows, gpu_range
from headway.estimate.setting import Setting
from headway.predict.fits import largest_micro_batch, usable_bytes, verdict
from headway.predict.memory import MemoryNeed, memory
from headway.predict.passes import forward_time, generation_time
from headway.predict.rates import dense_peak_flop_per_s
from headway.predict.step_time import StepTime, step_time
from headway.predict.values import Value, middle
from headway.work.batches import collate
from headway.work.memory import state_bytes, trained_bytes
from headway.work.parameters import count_parameters, trainable_parameters
from headway.work.step import forward_work, generation_work, step_work

MODEL = "headway's model of a step"
MFU = "mfu"
"""Key of a plan's `assume` that replaces the model of a step by one share of the dense peak."""
BYTES_16_BIT = 2.0
SHORT_TAIL = 2.0
"""The longest row over the mean one, at least, where nothing but the mean is known."""
EVALUATION_BATCH = 8
"""Rows in an evaluation pass where the plan does not say: the default of Hugging Face's trainer."""


@dataclass(frozen=True, slots=True)
class Predictor:
    """Predictions for one setting; what costs the same is computed once."""

    setting: Setting

    def basis(self, job: Job) -> Basis:
        """Step time, memory and utilisation of a job."""
        bases = self.setting.memory.bases
        shape = replace(job.batches, steps_per_epoch=1, last_batch_rows=1, packed_rows=1.0)
        assumed = str(self.setting.plan.assume.get(MFU, ""))
        key = (self.setting.draws, job.architecture, job.recipe, shape, job.lengths, assumed, *node_key(job.node))
        if key not in bases:
            bases[key] = self._basis(job)
        return replace(bases[key], batches=job.batches, assumed=job.assumed)

    def _basis(self, job: Job) -> Basis:
        constants = self.setting.constants
        step = self._assumed_step(job) or self._step_terms(job)
        step_s = _spread(sum(step.values()), "predicted", MODEL)
        usual = step_work(job.architecture, job.recipe, job.batches)
        shown = step_time(usual, job.node, job.recipe, constants)
        need = self._memory(job)
        usable = usable_bytes(job.node.device, constants)
        fits, probability = verdict(need, usable)
        model = job.stage.model
        return Basis(
            model=model.use if model else "",
            architecture=job.architecture,
            recipe=job.recipe,
            node=job.node,
            batches=job.batches,
            step_terms_s={name: _spread(value, "predicted", MODEL) for name, value in step.items()},
            step_s=step_s,
            flop_per_step=usual.flop * job.node.total_gpus,
            useful_flop=_useful_flop(job),
            binds=shown.binds,
            utilisation=_spread(shown.model_flop_utilisation, "predicted", MODEL),
            memory_terms_bytes={name: _spread(value, "predicted", MODEL) for name, value in need.terms.items()},
            peak_memory_bytes=_spread(need.peak_bytes, "predicted", MODEL),
            usable_memory_bytes=_spread(usable, "assumed", self.setting.sources["usable_memory_share"]),
            memory_moment=need.moment,
            fits=fits,
            fits_probability=probability,
            trainable_parameters=trainable_parameters(job.architecture, job.recipe).total,
            parameters=count_parameters(job.architecture).total,
            assumed=job.assumed,
            warnings=tuple(warning.message for warning in shown.warnings),
        )

    def _assumed_step(self, job: Job) -> dict[str, Draws]:
        """The step at the utilisation that the plan assumes (`assume: {mfu: 30-40%}`); empty where it assumes none."""
        asked = self.setting.plan.assume.get(MFU)
        if not isinstance(asked, StatedValue):
            return {}
        mfu = draw_range(asked.range, np.random.default_rng(self.setting.seed), self.setting.draws)
        work = step_work(job.architecture, replace(job.recipe, gradient_checkpointing="none"), job.batches)
        peak = dense_peak_flop_per_s(job.node.device, job.recipe.precision)
        return {"at the assumed utilisation": np.asarray(work.flop / (peak * mfu))}

    def _memory(self, job: Job) -> MemoryNeed:
        """Memory for the longest rows; where only a mean length is known, between those of a short and a long tail."""
        constants, batches = self.setting.constants, job.batches
        need = memory(job.architecture, job.recipe, batches, constants)
        short = min(SHORT_TAIL * batches.real_row_tokens, batches.longest_row_tokens)
        if job.recipe.pack or job.lengths.fixed or job.lengths.quantiles or short == batches.longest_row_tokens:
            return need
        least = memory(job.architecture, job.recipe, replace(batches, longest_row_tokens=short), constants)
        share = np.linspace(0.0, 1.0, self.setting.draws)[
            np.random.default_rng(self.setting.seed).permutation(self.setting.draws)
        ]
        moments = {
            name: {
                term: least.moments[name][term] + (size - least.moments[name][term]) * share
                for term, size in terms.items()
            }
            for name, terms in need.moments.items()
        }
        return MemoryNeed(moments=moments)

    def _step_terms(self, job: Job) -> dict[str, Draws]:
        """Seconds of one step by term, with the doubt about row lengths drawn in."""

        def at(batches: Batches) -> StepTime:
            work = step_work(job.architecture, job.recipe, batches)
            return step_time(work, job.node, job.recipe, self.setting.constants)

        times = [at(batches) for batches in self._by_length(job)]
        names = times[0].terms
        found = {name: self._over_lengths(job, [time.terms[name] for time in times]) for name in names}
        return {name: draws for name, draws in found.items() if np.any(draws)}

    def _over_lengths(self, job: Job, values: list[Value]) -> Draws:
        """A quantity known at low, middle and high mean length, at the drawn lengths (linear between and beyond)."""
        low, mid, high = (np.broadcast_to(np.asarray(v, dtype=float), self.setting.draws) for v in values)
        lengths = job.lengths
        if lengths.mean_low == lengths.mean_high:
            return np.array(mid)
        factor = self.setting.length_factor(lengths)
        down = (1 - factor) / max(1 - lengths.mean_low / lengths.mean, 1e-9)
        up = (factor - 1) / max(lengths.mean_high / lengths.mean - 1, 1e-9)
        moved: Draws = np.where(factor < 1, (low - mid) * down, (high - mid) * up)
        return np.asarray(np.maximum(mid + moved, 0.05 * mid), dtype=float)

    def _by_length(self, job: Job) -> tuple[Batches, Batches, Batches]:
        """Batches at the low, middle and high mean row length."""
        lengths = job.lengths
        if lengths.mean_low == lengths.mean_high:
            return (job.batches, job.batches, job.batches)
        found = self.setting.memory.batches
        key = (lengths, job.recipe, job.batches.rows_per_step)
        if key not in found:
            found[key] = (_at_mean(job, lengths.mean_low), _at_mean(job, lengths.mean_high))
        low, high = found[key]
        return (low, job.batches, high)

    def largest_micro_batch(self, job: Job) -> int:
        """The most rows in one pass that fit with 90 % probability; 0 when not even one does."""
        return largest_micro_batch(job.architecture, job.recipe, job.batches, job.node.device, self.setting.constants)

    def tokens(self, job: Job) -> Spread:
        """Computed tokens of a stage, padding included."""
        if job.stage.tokens is not None:
            return Spread.exact(job.stage.tokens.mid, "stated", "the budget of the plan")
        per_row = [batches.row_tokens for batches in self._by_length(job)]
        kind: Kind = "measured" if job.lengths.kind == "measured" else "stated"
        kind = "assumed" if job.lengths.kind == "assumed" else kind
        rows = job.rows_seen
        if self.setting.rates == "stated":
            low, mid, high = sorted(per_row)
            return Spread.from_range(Range(low * rows, mid * rows, high * rows), kind, job.lengths.source)
        return _spread(self._over_lengths(job, list(per_row)) * rows, kind, job.lengths.source)

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
                "step": job.equivalent_steps,
                "checkpoint": float(job.saves.during),
                "final_save": float(job.saves.final),
                "tokenize": 1.0,
                "data_wait": 1.0,
                "compile": float(job.recipe.compile),
            }
        if stage.generate is not None:
            found["generation"] = math.ceil(stage.generate.total / max(1.0, gpu_range(stage).mid))
        return found

    def terms(
        self, stage: Stage, job: Job | None, basis: Basis | None, evaluations: int, machine: Machine, *, first: bool
    ) -> dict[str, Spread]:
        """Predicted seconds of every term of a stage that can be predicted."""
        counts = self.counts(stage, job, evaluations, first=first)
        makers: dict[str, Callable[[], Spread]] = {"load": lambda: self._load(stage)}
        if job is not None and basis is not None:
            makers |= {
                "step": lambda: basis.step_s,
                "data_wait": lambda: self._data_wait(basis, job),
                "tokenize": lambda: self._tokenize(job),
                "compile": lambda: self._constant("compile_s"),
                "checkpoint": lambda: self._save(checkpoint_bytes(job.architecture, job.recipe)),
                "final_save": lambda: self._save(model_bytes(job.architecture, job.recipe)),
            }
        if stage.evaluate is not None:
            makers["evaluation"] = lambda: self._evaluation(stage, machine)
        if stage.generate is not None:
            makers["generation"] = lambda: self._generation(stage, machine)
        found = {name: makers[name]() * counts[name] for name in makers if counts.get(name)}
        if job is not None and stage.validation_share and job.rows is not None:
            held_out = self._validation(job, machine)
            found["evaluation"] = total([found["evaluation"], held_out]) if "evaluation" in found else held_out
        return found

    def _constant(self, name: str) -> Spread:
        return Spread.from_draws(self.setting.constants[name], "assumed", self.setting.sources[name])

    def _load(self, stage: Stage) -> Spread:
        """Imports, then weights from disk at a prior rate."""
        constants, sources = self.setting.constants, self.setting.sources
        arch = self.setting.lookup.architectures[stage.model.use] if stage.model else None
        size = count_parameters(arch).total * BYTES_16_BIT if arch else 0.0
        draws = constants["import_s"] + size / constants["weights_load_bytes_per_s"]
        return Spread.from_draws(draws, "assumed", sources["weights_load_bytes_per_s"])

    def _data_wait(self, basis: Basis, job: Job) -> Spread:
        share = self.setting.constants["data_wait_share"]
        draws = _draws(basis.step_s, self.setting.draws) * share * job.equivalent_steps
        return Spread.from_draws(draws, "assumed", self.setting.sources["data_wait_share"])

    def _tokenize(self, job: Job) -> Spread:
        """All rows of the dataset once; where its size is unknown, the rows that are seen."""
        rows = job.rows if job.rows is not None else job.rows_seen
        tokens = rows * job.lengths.mean
        draws = tokens / self.setting.constants["tokenize_tokens_per_s"]
        return Spread.from_draws(draws, "assumed", self.setting.sources["tokenize_tokens_per_s"])

    def _save(self, size: float) -> Spread:
        draws = size / self.setting.constants["checkpoint_write_bytes_per_s"]
        return Spread.from_draws(draws, "assumed", self.setting.sources["checkpoint_write_bytes_per_s"])

    def _evaluation(self, stage: Stage, machine: Machine) -> Spread:
        """Mean seconds of one task evaluation: a forward pass over its rows."""
        assert stage.evaluate is not None  # the caller asked
        spreads = [self._task(stage, task, machine) for task in stage.evaluate.tasks]
        draws = sum(_draws(spread, self.setting.draws) for spread in spreads) / max(1, len(spreads))
        return Spread.from_draws(np.asarray(draws), "assumed", self.setting.sources["evaluation_rows"])

    def _validation(self, job: Job, machine: Machine) -> Spread:
        """A forward pass over the held-out rows after every epoch."""
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
        lengths = _longer(lookup.lengths.get(data) or next(iter(lookup.lengths.values())), 1 + shots)
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
        node = replace(machine.node, gpus=1, nodes=1, link=None)
        plain = replace(
            recipe,
            precision=best_precision(node.device) if recipe.precision == "auto" else recipe.precision,
            micro_batch=EVALUATION_BATCH,
            grad_accum=1,
            pack=False,
        )
        batches = collate(
            lengths, rows=EVALUATION_BATCH, micro_batch=EVALUATION_BATCH, grad_accum=1, replicas=1,
            max_length=recipe.max_length, pack=False,
        )  # fmt: skip
        per_pass = forward_time(forward_work(arch, plain, batches), node, plain, constants).total
        number: Value = constants["evaluation_rows"] if rows is None else rows
        draws = per_pass * np.ceil(np.asarray(number) / EVALUATION_BATCH) * (1 + constants["evaluation_overhead_share"])
        return Spread.from_draws(np.asarray(draws), "assumed", self.setting.sources["evaluation_rows"])

    def _generation(self, stage: Stage, machine: Machine) -> Spread:
        """Seconds of one sample, one at a time on each GPU."""
        assert stage.generate is not None and stage.model is not None
        constants = self.setting.constants
        arch = self.setting.lookup.architectures[stage.model.use]
        node = replace(machine.node, gpus=1, nodes=1, link=None)
        recipe = replace(stage.recipe, precision=best_precision(node.device))
        asked = stage.generate
        new = self.setting.constants["generation_tokens"] if asked.tokens is None else asked.tokens.mid
        typical = middle(new)
        prompt = asked.prompt_tokens.mid if asked.prompt_tokens else typical
        work = generation_work(arch, recipe, prompt, typical, 1)
        per_sample = generation_time(work, node, recipe, constants, new_tokens=typical).total
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


def node_key(node: Node) -> tuple[object, ...]:
    """What of a node decides how long work takes on it."""
    link = (node.link.name, node.link.bytes_per_s) if node.link else ()
    return (node.device.name, node.gpus, node.nodes, link)


def _at_mean(job: Job, mean: float) -> Batches:
    lengths = _longer(job.lengths, mean / job.lengths.mean)
    lengths = replace(lengths, mean_low=mean, mean_high=mean)
    recipe = job.recipe
    return collate(
        lengths, rows=job.batches.rows_per_step, micro_batch=recipe.micro_batch, grad_accum=recipe.grad_accum,
        replicas=recipe.parallel.data, max_length=recipe.max_length, pack=recipe.pack,
    )  # fmt: skip


def _longer(lengths: Lengths, factor: float) -> Lengths:
    """The same distribution, every row longer by a factor."""
    if factor == 1:
        return lengths
    return replace(
        lengths,
        mean=lengths.mean * factor,
        mean_low=lengths.mean_low * factor,
        mean_high=lengths.mean_high * factor,
        quantiles=tuple((share, tokens * factor) for share, tokens in lengths.quantiles),
    )


def _useful_flop(job: Job) -> Range:
    """FLOP of one step for real tokens only: no padding, no recompute, at low, middle and high mean length."""
    recipe = replace(job.recipe, gradient_checkpointing="none")
    counts = []
    for mean in (job.lengths.mean_low, job.lengths.mean, job.lengths.mean_high):
        tokens = min(mean, recipe.max_length) if recipe.max_length and not recipe.pack else mean
        if recipe.pack:
            tokens = job.batches.real_row_tokens
        batches = replace(job.batches, row_tokens=tokens, row_tokens_squared=tokens**2, real_row_tokens=tokens)
        counts.append(step_work(job.architecture, recipe, batches).flop * job.node.total_gpus)
    return Range(*sorted(counts))


def _draws(spread: Spread, count: int) -> Draws:
    return np.full(count, spread.p50) if spread.draws is None else spread.draws


def _spread(value: Value, kind: Kind, source: str) -> Spread:
    if isinstance(value, np.ndarray) and value.ndim and value.std() > 0:
        return Spread.from_draws(value, kind, source)
    return Spread.exact(middle(value), kind, source)
