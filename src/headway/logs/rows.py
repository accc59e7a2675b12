"""Rows of metrics, as trackers keep them, told as observations.

Owns what the trackers' readers (TensorBoard, W&B, MLflow, CSV files) share: which row is training and which is
evaluation, whose time an interval is, which settings of a run are facts. Restarts and clocks are `repair.py`; how a
row stands in a file is the reader's business.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from headway.domain.observation import Observation
from headway.logs import hf_rows
from headway.logs.history import rounds, timed_stems
from headway.logs.repair import settled
from headway.logs.teller import Part, Teller, stride, undated, usual_s
from headway.logs.text import finite, number

EVALUATION = re.compile(
    r"^(eval|evaluation|val|valid|validation|dev|test)[/_. ]|[/_. ](eval|val|valid|validation|test)$", re.IGNORECASE
)
TEST: Final = re.compile(r"^test[/_. ]|[/_. ]test$", re.IGNORECASE)
"""Names of what is told after a training, not within it."""
TELLS: Final = re.compile(r"loss|learning.?rate|grad|(^|[/_. -])lr([/_. -]|$)", re.IGNORECASE)
"""Names of what a training tells at its optimizer steps, whatever else is counted beside them."""
_TRAIN = re.compile(r"^(train|training)[/_. ]|[/_. ]train(ing)?$", re.IGNORECASE)
_NAMES: Final = {
    "lr": "learning_rate",
    "loss_step": "loss",
    "gradient_norm": "grad_norm",
    "gpu_memory": "memory_bytes",
}
_STEP_S: Final = {
    **dict.fromkeys(("step_time", "step_time_s", "time_per_step", "seconds_per_step", "iter_time"), 1.0),
    **dict.fromkeys(("iteration_time", "iteration-time", "train_step_timing", "train_step_timing in s"), 1.0),
    **dict.fromkeys(("step_time_ms", "iteration_time_ms", "elapsed_time_per_iteration_ms"), 1e-3),
}
"""Values that are the time of one step, and the seconds in one of their units."""
_SETTINGS: Final = {
    "per_device_train_batch_size": "micro_batch",
    "train_micro_batch_size_per_gpu": "micro_batch",
    "micro_batch_size": "micro_batch",
    "gradient_accumulation_steps": "grad_accum",
    "accumulate_grad_batches": "grad_accum",
    "batch_size": "batch_size",
    "num_train_epochs": "epochs",
    "max_epochs": "epochs",
    "max_steps": "total_steps",
    "total_steps": "total_steps",
    "max_iters": "total_steps",
    "world_size": "gpus",
    "num_gpus": "gpus",
    "gpu_count": "gpus",
    "gpu_type": "device",
    "model_name_or_path": "model",
    "_name_or_path": "model",
    "max_seq_length": "max_tokens",
    "model_max_length": "max_tokens",
}
_AXES: Final = {"global_step", "step", "iteration", "hp_metric"}
"""Values that count, and say nothing of training by themselves."""
_NEUTRAL: Final = {"epoch", "train/epoch"}
"""Names that are told with training and with evaluation."""
_SAME_ROW_S: Final = 1.0
"""Metrics of one row are told one after the other; what comes later is a row of its own."""
_QUOTED: Final = {"NaN", "Infinity", "-Infinity", "inf", "-inf", "nan"}
_FIRST_YEAR_S: Final = 631_152_000.0
"""1990: what counts seconds since a run's start counts fewer."""
_LAST_YEAR_S: Final = 7_258_118_400.0
"""2200."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Values that a run told together."""

    at_s: float | None = None
    """Since 1970 or since the start, the same for all rows of a run."""
    step: int | None = None
    """Optimizer steps that were done."""
    values: Mapping[str, float] = field(default_factory=dict)
    counted: bool = True
    """Whether it is told on the axis of steps; what is told on another is none, even where it is of the training."""
    begins: bool = False
    """Nothing but the moment at which the run, or another attempt of it, began."""


def told(rows: Iterable[Row], problems: list[str]) -> tuple[tuple[Observation, ...], dict[str, float | str]]:
    """The observations that rows in the order of the file amount to, and facts of the whole run.

    A row of training is a `step` that covers those since the one before; a row of evaluation ends an `evaluation`,
    which took what it says itself, else the time since a training row of the same step, else what the interval lasts
    beyond its usual steps. What was repaired is added to `problems`.
    """
    facts: dict[str, float | str] = {}
    parts = [part for row in rows for part in _parts(row, facts)]
    if copied := undated(parts):
        parts = copied
        problems.append("its rows were written all at once, after the training: their moments say nothing of its steps")
    teller = Teller(usual_s(parts), stride(parts))
    observations = rounds(settled([item for part in parts for item in teller.tell(part)] + teller.rest(), problems))
    if teller.shared:
        problems.append(
            f"{teller.shared} evaluations are told with the steps before them: the steps have their time too"
        )
    if not any(part.kind in ("step", "evaluation") for part in parts):
        problems.append("no row tells of a step or of an evaluation")
    return observations, facts


def grouped(points: Iterable[tuple[float, int, str, float]]) -> list[Row]:
    """Moment, step, name and value of single metrics, in order, as rows: those of one step and kind told together."""
    found: list[Row] = []
    at_s, last, values = 0.0, (0, False), dict[str, float]()
    for moment_s, step, name, value in points:
        key = (step, EVALUATION.search(name) is not None if name not in _NEUTRAL else last[1])
        if values and (key != last or name in values or abs(moment_s - at_s) > _SAME_ROW_S):
            found.append(Row(at_s=at_s, step=last[0], values=values))
            values = {}
        if not values:
            at_s, last = moment_s, key
        values[name] = value
    return [*found, Row(at_s=at_s, step=last[0], values=values)] if values else found


def facts_of(settings: Mapping[str, object]) -> dict[str, float | str]:
    """The facts among a run's settings, which are named as Hugging Face, Lightning and Megatron name them."""
    found: dict[str, float | str] = {}
    for name, fact in _SETTINGS.items():
        said = settings.get(name)
        value = finite(said)
        if fact in ("device", "model"):
            if isinstance(said, str) and said:
                found.setdefault(fact, "/".join(said.rsplit("/", 2)[-2:])[:200])  # not the folders of one machine
        elif value is not None and value > 0:
            found.setdefault(fact, value)
    if "total_steps" in found:
        found.pop("epochs", None)  # where both are set, Hugging Face and Lightning stop by the steps
    return found


def final_facts(values: Mapping[str, object]) -> dict[str, float]:
    """`hf_rows.final_facts` of values as trackers name them, with `train/` before some."""
    return hf_rows.final_facts({name.removeprefix("train/"): value for name, value in values.items()})


def total_steps(facts: dict[str, float | str]) -> int | None:
    """Takes the optimizer steps that a run means to take out of its facts."""
    said = facts.pop("total_steps", None)
    return int(said) if isinstance(said, float | int) else None


def with_device(
    observations: Sequence[Observation], samples: Iterable[Observation], zero_s: float | None
) -> tuple[Observation, ...]:
    """Samples of the machine, on the clock of the rows, sorted in among `observations` of a run that began at `zero_s`.

    They pass by the laws of `repair.py`, in which the time since the moment before is that of a step.
    """
    if zero_s is None:
        return (*observations, *(replace(item, at_s=None) for item in samples))
    # What was timed first may have begun before the first moment that is said.
    zero_s -= next((item.at_s for item in observations if item.at_s is not None), 0.0)
    placed = [replace(item, at_s=max(0.0, item.at_s - zero_s)) for item in samples if item.at_s is not None]
    keyed: list[tuple[float, Observation]] = [(item.at_s or 0.0, item) for item in placed]
    latest = 0.0
    for item in observations:
        latest = latest if item.at_s is None else max(latest, item.at_s)
        keyed.append((latest, item))
    return tuple(item for _, item in sorted(keyed, key=lambda pair: pair[0]))


def started(rows: Sequence[Row]) -> dict[str, float | str]:
    """The fact of when a run began, where its rows stand on the calendar's clock."""
    at_s = first_moment(rows)
    if at_s is None or not _FIRST_YEAR_S < at_s < _LAST_YEAR_S:
        return {}
    return {"started": datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds")}


def first_moment(rows: Iterable[Row]) -> float | None:
    """The first moment of rows, whichever comes first in the file."""
    return next((row.at_s for row in rows if row.at_s is not None), None)


def as_number(value: object) -> float | None:
    """A number as it is, or a NaN or infinity in quotes; None for any other text, which is not meant as one."""
    if isinstance(value, str):
        return float(value) if value in _QUOTED else None
    return number(value)


def _parts(row: Row, facts: dict[str, float | str]) -> list[Part]:
    """What a row says, as one part at most; what is said once of the whole run becomes facts."""
    if row.begins:
        return [Part(kind="begin", at_s=row.at_s, step=row.step)]
    bare = {name.removeprefix("train/"): value for name, value in row.values.items()}
    final = "train_runtime" in bare or "total_flos" in bare
    if final:
        facts.update(final_facts(bare))
    evaluated = {EVALUATION.sub("", name): value for name, value in bare.items() if EVALUATION.search(name)}
    trained = {_short(name): value for name, value in bare.items() if not EVALUATION.search(name)}
    epoch = finite(trained.pop("epoch", None))
    trained = {} if final or not row.counted or set(trained) <= _AXES else trained
    each_s = _time(next((trained[name] * unit_s for name, unit_s in _STEP_S.items() if name in trained), None))
    if evaluated:
        sets_s = [evaluated[f"{name}_runtime"] for name in timed_stems(evaluated)]
        took_s = _time(evaluated.pop("runtime", sum(sets_s) if sets_s else None))
        return [
            Part(
                kind="evaluation",
                at_s=row.at_s,
                step=row.step,
                seconds=took_s,
                each_s=each_s,
                epoch=epoch,
                values=evaluated,
                trained=trained,
            )
        ]
    if trained:
        return [Part(kind="step", at_s=row.at_s, step=row.step, each_s=each_s, epoch=epoch, values=trained)]
    return []


def _short(name: str) -> str:
    bare = _TRAIN.sub("", name)
    return _NAMES.get(bare, bare)


def _time(seconds: float | None) -> float | None:
    return seconds if seconds is not None and math.isfinite(seconds) and seconds >= 0 else None
