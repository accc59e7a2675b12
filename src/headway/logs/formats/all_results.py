"""`all_results.json`, `train_results.json`, `eval_results.json`: what a Hugging Face script saves at its end; and
`wandb-summary.json`, where W&B keeps the last value of each.

Owns how many steps the totals are of. Until version 5 the Trainer's rates are those of all that was meant, over the
runtime of the last start alone (`transformers/trainer.py`: `speed_metrics("train", start_time,
num_samples=num_train_samples, num_steps=self.state.max_steps)`): of a training that stopped early or was resumed they
say too much.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from headway.domain.errors import Position, UserError
from headway.domain.observation import Observation, RunLog
from headway.logs.hf_rows import Rows, first, nothing_left, split, steps_done
from headway.logs.history import SURELY_LESS
from headway.logs.text import Problems, as_text, document_and_text, finite, single_numbers, whole

NAME: Final = "all_results"
SUMMARY: Final = "wandb-summary.json"
NAMES: Final = (
    "all_results.json",
    "train_results.json",
    "eval_results.json",
    "predict_results.json",
    "test_results.json",
    SUMMARY,
)
TOLD: Final = re.compile(r'"(?:(?:train/)?train_|eval_|predict_|test_|eval/)runtime"')
COUNTS: Final = ("global_step", "step")
"""Steps that were done, in whatever start of the training."""

MOST_DOUBT: Final = 0.02
"""Share of the steps that may be in doubt before their time says too little."""
MOST_MEANT: Final = 1.3
"""Epochs that the rate is of over those that were done, up to which it is of what was done: rows are dropped, padded
and packed."""
MORE_MEANT: Final = 1.05
"""From which that is said."""
WHOLE_EPOCH: Final = 0.02
"""How far below a whole number the epoch of a training to its end is at most, for a last batch is left out."""
EPOCH_DIGITS: Final = 0.001
"""What an epoch may lie above a whole one by its digits alone."""
LEAST_STEP_S: Final = 0.002
"""No Trainer does a step in less: its own loop, which loads a batch and calls its callbacks, takes about that."""


def claims(path: Path, head: bytes) -> float:
    """By a total that stands in no row of a history."""
    text = as_text(head)
    if not text.lstrip().startswith("{") or '"log_history"' in text:
        return 0.0
    told = TOLD.findall(text)
    if path.name in NAMES:
        return 0.9 if told else 0.5
    # One row on one line is a line of a console or of JSON lines, which others read.
    again = any(told.count(name) > 1 for name in ('"train_runtime"', '"train/train_runtime"', '"eval/runtime"'))
    return 0.6 if told and path.suffix == ".json" and not again else 0.0


def read(path: Path) -> RunLog:
    """The totals of a training, of an evaluation or of both. Raises UserError where there is none."""
    problems = Problems()
    found, text = document_and_text(path, problems)
    row = _plainly(found if isinstance(found, dict) else single_numbers(text))
    reading = Rows()
    evaluated, trained = split(row)
    seen: list[Observation] = []
    for mark in ("eval_", "test_", "predict_", "val_"):
        if part := {key: value for key, value in evaluated.items() if key.startswith(mark)}:
            seen += reading.observe({**part, "epoch": row.get("epoch")})
    training = reading.observe(trained) if "train_runtime" in row else []
    took_s = finite(row.get("_runtime")) if path.name == SUMMARY and not training else None
    if took_s is not None and not any(item.seconds is not None for item in seen):
        return _summary(path.name, took_s, problems)
    if not seen and not training:
        raise UserError("results have train_ or eval_ figures", got="none of them", where=Position(path.name))
    steps = _steps(row, problems) if training else None
    if steps:
        # An evaluation in the file was made after the training; those within it are in the runtime, unsaid.
        last = max(steps, _count(row) or 0)
        seen.insert(0, Observation(kind="step", step=last, steps=steps, seconds=finite(row.get("train_runtime"))))
        problems.append(
            "step times are means of the whole training: evaluations and saves during it are in them; they are too"
            " short where it was resumed: Trainers before version 5 hold all steps against the time of the last start"
        )
    elif (done := _stopped_at(row)) is not None:
        training = [replace(item, step=done) for item in training]
        each_s = (finite(row.get("train_runtime")) or 0.0) / done
        problems.append(f"about {done:,} steps were done: {each_s:.3g} s each if this start did all of them")
    facts = reading.facts | {key: value for key in ("eval_samples",) if (value := finite(row.get(key))) is not None}
    return RunLog(format=NAME, name=path.name, observations=(*seen, *training), facts=facts, problems=tuple(problems))


def _plainly(said: Mapping[Any, Any]) -> dict[str, Any]:
    """Results under the names that the Trainer's own files have; W&B's have its callback's folders before some."""
    row: dict[str, Any] = {}
    for name, value in said.items():
        bare = str(name).removeprefix("train/")
        named = bare.startswith("train_") or bare in ("total_flos", "epoch", *COUNTS)
        key = bare if named else str(name)
        row[f"eval_{key[5:]}" if key.startswith("eval/") else key] = value
    for key in COUNTS:
        if not (whole(row.get(key)) or 0) > 0:
            row.pop(key, None)  # W&B's may stand at 0 from the callback's beginning
    return row


def _count(row: Mapping[str, Any]) -> int | None:
    """The steps that a file counts."""
    return whole(first(row, COUNTS))


def _steps(row: Mapping[str, Any], problems: Problems) -> int | None:
    """The steps that the runtime is of; None where the totals do not tell, which is said."""
    done, count, runtime_s = steps_done(row), _count(row), finite(row.get("train_runtime"))
    if not runtime_s or runtime_s <= 0 or (done is None and count is None):
        return None
    wrong = _resumed_with_nothing(row) if count is not None else _untold(row, done)
    steps = count if count is not None else max(1, round(done[0])) if done else 1
    if count is not None and done is not None and not wrong:
        if sum(done) < SURELY_LESS * count:
            steps = max(1, round(done[0]))
            problems.append(f"resumed: the runtime is of the last start, which did about {steps:,} of {count:,} steps")
        elif done[0] - done[1] > 1.01 * count:
            problems.append(f"stopped early: {count:,} of about {done[0]:,.0f} steps were done")
    if not wrong and runtime_s < LEAST_STEP_S * steps:
        wrong = (
            f"{steps:,} steps in {runtime_s:,.0f} s are more than a Trainer does: it was resumed, and the runtime"
            " is of its last start alone"
        )
    if wrong:
        problems.append(f"no step times: {wrong}")
        return None
    if count is None and (doubt := _doubt(row)):
        problems.append(doubt)
    return steps


def _resumed_with_nothing(row: Mapping[str, Any]) -> str:
    return "the training was resumed with nothing left to do" if nothing_left(row, None) else ""


def _untold(row: Mapping[str, Any], done: tuple[float, float] | None) -> str:
    """Why the totals do not tell how many steps the runtime is of; empty where they do, or say nothing of them."""
    if wrong := _resumed_with_nothing(row):
        return wrong
    if done and done[1] - 1.0 > MOST_DOUBT * done[0]:
        return "the rate has too few digits to tell how many steps there were"
    meant, epochs = _meant_epochs(row), finite(row.get("epoch"))
    rows = finite(row.get("train_samples"))
    if row.get("train_steps_per_second") is None and done and rows and epochs and done[0] - done[1] > rows * epochs:
        return f"the rate is of {done[0]:,.0f} steps, and {epochs:.3g} epochs have fewer rows: it stopped early"
    if meant is None or not epochs or meant <= MOST_MEANT * epochs:
        return ""
    return f"the rate is of the {meant:.3g} epochs that were meant, the training stopped after {epochs:.3g}"


def _meant_epochs(row: Mapping[str, Any]) -> float | None:
    """The epochs that the rate of rows is of, where that and the rows of one are told."""
    rate, runtime_s = finite(row.get("train_samples_per_second")), finite(row.get("train_runtime"))
    rows = finite(row.get("train_samples"))
    if row.get("train_steps_per_second") is None or rate is None or runtime_s is None or not rows:
        return None
    return finite(rate * runtime_s / rows)


def _doubt(row: Mapping[str, Any]) -> str:
    """What may be wrong with the steps that the rate says, where nothing else in the file counts them; empty: nothing.

    Of several epochs that were meant whole, the last is cut by a stop. One that has to do a number of steps ends
    anywhere, and no file of totals says which it was.
    """
    meant, epochs = _meant_epochs(row), finite(row.get("epoch"))
    if epochs is None or epochs <= 0:
        return ""
    if meant is not None:
        over = meant / epochs
        more = f"the rate is of {meant:.3g} epochs, {epochs:.3g} were done: if the training stopped early, a step took"
        return f"{more} {over:.2g} times as long" if over > MORE_MEANT else ""
    if -EPOCH_DIGITS <= math.ceil(epochs - EPOCH_DIGITS) - epochs <= WHOLE_EPOCH:
        return ""
    return (
        f"epoch {epochs:.4g} is no whole one: if the training stopped early it did fewer steps, for Trainers before"
        " version 5 take the rate of all that were meant, and a step took longer"
    )


def _stopped_at(row: Mapping[str, Any]) -> int | None:
    """About how many steps a training did that stopped early: as many of those meant as it did of the epochs."""
    done, meant, epochs = steps_done(row), _meant_epochs(row), finite(row.get("epoch"))
    if nothing_left(row, None) or _count(row) is not None or done is None or done[1] - 1.0 > MOST_DOUBT * done[0]:
        return None
    if not meant or not epochs or meant <= MOST_MEANT * epochs:
        return None
    return max(1, round(done[0] * epochs / meant))


def _summary(name: str, took_s: float, problems: Problems) -> RunLog:
    """What W&B's last values say of a run whose loop is its own: when the last of them came."""
    problems.append(
        "a summary of W&B has the last value of each alone, and no count of steps: read the run's .wandb file for more"
    )
    begun = Observation(kind="begin", at_s=0.0)
    facts = {"elapsed_s": took_s} if took_s >= 0 else {}
    return RunLog(format=NAME, name=name, observations=(begun,), facts=facts, problems=tuple(problems))
