"""The verb `trace`: the formulas held against the real model, counted without weights and without a GPU.

Owns the wiring: which model and recipe, the worker, the comparison. Counting is `worker/`, comparing `check/trace.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from shlex import quote
from typing import Any

from headway.app.inputs import Request, gather
from headway.app.quick import whole
from headway.app.worker import run_worker
from headway.catalog import find_model, read_config
from headway.catalog.standins import config_of
from headway.check.trace import compare
from headway.domain.errors import UsageError, UserError
from headway.domain.experiment import Adapter, Architecture, Lengths, Parallel, Recipe
from headway.domain.plan import Plan, Stage
from headway.estimate.resolve import machine_of, resolve
from headway.plan import read_plan
from headway.report.trace_view import TraceAnswer, trace_page
from headway.report.view import Page
from headway.work.batches import collate
from headway.work.linears import module_names

_FUSED = ("flash", "flash_attention_2", "flash_attention_3", "xformers")
"""Attention whose work and tensors are those of the kernel that `sdpa` takes for rows without padding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One training step as flags describe it; None where nothing was said."""

    lora: int | None = None
    full: bool = False
    targets: tuple[str, ...] = ()
    batch: int | None = None
    seq: str | None = None
    dtype: str | None = None
    checkpointing: str | None = None
    attention: str | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """The flags that were used."""
        return tuple(item.name for item in fields(self) if getattr(self, item.name) not in (None, False, ()))

    def recipe(self) -> Recipe:
        """All weights in bf16 on one row, where nothing else was said. Raises UsageError for what contradicts."""
        if self.lora is not None and self.full:
            raise UsageError("a run trains in one way", got="--lora and --full", hint="Keep one of them.")
        if self.targets and self.lora is None:
            raise UsageError("--target names layers that LoRA adapts", got="no --lora", hint="Add --lora RANK.")
        adapter = None if self.lora is None else Adapter(rank=self.lora, targets=self.targets or ("all-linear",))
        return Recipe(
            precision=self.dtype or "bf16",
            adapter=adapter,
            micro_batch=self.batch or 1,
            gradient_checkpointing=self.checkpointing or "none",
            attention=self.attention or "sdpa",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    """A model by its architecture and by a configuration that transformers can make it of."""

    name: str
    architecture: Architecture
    place: str
    """A path for the worker, or `-` where the configuration is `config`."""
    config: Mapping[str, Any] | None = None


def trace_model(name: str, asked: Asked) -> Page:
    """One training step of a model, counted on the real thing and by formula, side by side.

    `name` is a folder with config.json, such a file, or a model of the catalog; 512 tokens where no length is asked.
    Raises UserError where model, flags or the libraries that are installed do not allow it, with what to do.
    """
    seq = 512 if asked.seq is None else whole(asked.seq, "--seq")
    return _page(name, Path(), asked.recipe(), seq, f"headway init --model {quote(name)}")


def trace_plan(file: str, experiment: str = "") -> Page:
    """The same of a plan: one pass of the first training stage of an experiment (the plan's first), at its longest row.

    On one GPU and without what only a GPU runs; what was left out is said. Raises PlanError and UserError.
    """
    inputs = gather(read_plan(file), Request())
    stage = _stage(inputs.plan, experiment)
    job = resolve(stage, inputs.plan, inputs.lookup, machine_of(stage, inputs.plan, inputs.lookup))
    assert stage.model is not None  # resolved above
    beside, seq = Path(inputs.plan.file).parent, round(job.batches.longest_row_tokens)
    return _page(stage.model.use, beside, job.recipe, seq, f"headway estimate {quote(file)}")


def _stage(plan: Plan, experiment: str) -> Stage:
    """The first training stage of the experiment of that id, or of the first that trains."""
    for one in plan.experiments:
        if experiment in ("", one.id):
            for stage in one.stages:
                if stage.kind == "train":
                    return stage
    known = tuple(one.id for one in plan.experiments if any(stage.kind == "train" for stage in one.stages))
    raise UsageError("an experiment of the plan that trains is needed", got=experiment or "none that trains",
                     hint=f"It has {', '.join(known[:5])}{', …' if len(known) > 5 else ''}.")  # fmt: skip


def _page(name: str, beside: Path, asked: Recipe, seq: int, next_command: str) -> Page:
    recipe, left_out = _traceable(asked)
    model = _model(name, beside)
    given = "" if model.config is None else json.dumps(model.config)
    trace = run_worker("trace", _words(model, recipe, seq), given)
    lengths = Lengths(mean=seq, mean_low=seq, mean_high=seq, fixed=True)
    batches = collate(lengths, rows=recipe.micro_batch, micro_batch=recipe.micro_batch)
    answer = TraceAnswer(
        title=f"Trace of {model.name}",
        recipe=recipe,
        seq=seq,
        trace=trace,
        rows=compare(trace, model.architecture, recipe, batches),
        remarks=(*left_out, *_built(model)),
        next_command=next_command,
    )
    return trace_page(answer)


def _traceable(recipe: Recipe) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe as the worker can run it, and what was changed for that. Raises UserError where it cannot."""
    if recipe.precision not in ("bf16", "fp16", "fp32") or recipe.gradient_checkpointing == "selective":
        raise UserError("a trace runs bf16, fp16 or fp32, with full checkpointing or none",
                        got=f"{recipe.precision}, {recipe.gradient_checkpointing} checkpointing")  # fmt: skip
    if recipe.freeze or (recipe.adapter is not None and recipe.adapter.method == "dora"):
        raise UserError("a trace trains all weights, or LoRA adapters", got="frozen blocks or DoRA")
    left_out = []
    if recipe.quantize != "none":
        left_out.append(f"The {recipe.quantize} weights were traced in {recipe.precision}, unpacked.")
    if recipe.optimizer != "adamw" or recipe.master_weights:
        left_out.append("The optimizer was traced as AdamW, its states in the format of the weights.")
    if recipe.parallel.gpus > 1 or recipe.grad_accum > 1:
        left_out.append("One pass was traced, on one GPU that holds everything.")
    plain = replace(recipe, quantize="none", optimizer="adamw", master_weights=False, parallel=Parallel(), grad_accum=1,
                    pack=False, attention="sdpa" if recipe.attention in _FUSED else recipe.attention)  # fmt: skip
    return plain, tuple(left_out)


def _model(name: str, beside: Path) -> _Model:
    """A folder or file beside `beside`, else a model of the catalog with a configuration of its shape."""
    path = beside / name
    if name.endswith(".json") or name.startswith((".", "/")) or path.is_dir():
        return _Model(name=name, architecture=read_config(path), place=str(path))
    arch = find_model(name)
    return _Model(name=arch.name, architecture=arch, place="-", config=config_of(arch))


def _built(model: _Model) -> tuple[str, ...]:
    if model.config is None:
        return ()
    kind = model.config["model_type"]
    return (f"Built from the catalog's row, as a {kind} of that shape; a folder with config.json is the model itself.",)


def _words(model: _Model, recipe: Recipe, seq: int) -> list[str]:
    """The command line of the worker."""
    arch = model.architecture
    head = "seq2seq" if arch.family == "encoder-decoder" else arch.head
    words = [model.place, "--head", head, "--batch", str(recipe.micro_batch), "--seq", str(seq)]
    words += ["--dtype", recipe.precision, "--attention", recipe.attention]
    words += ["--checkpointing", recipe.gradient_checkpointing]
    if recipe.adapter is not None:
        layers = [names for target in recipe.adapter.targets for names in module_names(arch, target)]
        words += ["--rank", str(recipe.adapter.rank), "--targets", *("|".join(names) for names in layers)]
    return words
