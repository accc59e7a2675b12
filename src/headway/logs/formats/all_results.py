"""`all_results.json`, `train_results.json`, `eval_results.json`: what a Hugging Face script saves at its end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from headway.domain.errors import Position, UserError
from headway.domain.observation import Observation, RunLog
from headway.logs.hf_rows import Rows, nothing_left, split, steps_done
from headway.logs.text import Problems, as_text, document_and_text, finite, single_numbers

NAME: Final = "all_results"
NAMES: Final = (
    "all_results.json",
    "train_results.json",
    "eval_results.json",
    "predict_results.json",
    "test_results.json",
)

MOST_DOUBT: Final = 0.02
"""Share of the steps that may be in doubt before their time says too little."""
MOST_MEANT: Final = 1.3
"""Epochs that the rate is of over those that were done, up to which it is of what was done: rows are dropped, padded
and packed."""


def claims(path: Path, head: bytes) -> float:
    """By a total that stands in no row of a history."""
    text = as_text(head)
    if not text.lstrip().startswith("{") or '"log_history"' in text:
        return 0.0
    told = any(f'"{key}_runtime"' in text for key in ("train", "eval", "predict", "test"))
    if path.name in NAMES:
        return 0.9 if told else 0.5
    # One row on one line is a line of a console or of JSON lines, which others read.
    return 0.6 if told and path.suffix == ".json" and text.count('"train_runtime"') < 2 else 0.0


def read(path: Path) -> RunLog:
    """The totals of a training, of an evaluation or of both. Raises UserError where there is none."""
    problems = Problems()
    found, text = document_and_text(path, problems)
    row = found if isinstance(found, dict) else single_numbers(text)
    reading = Rows()
    evaluated, trained = split({str(key): value for key, value in row.items()})
    seen: list[Observation] = []
    for mark in ("eval_", "test_", "predict_", "val_"):
        if part := {key: value for key, value in evaluated.items() if key.startswith(mark)}:
            seen += reading.observe({**part, "epoch": row.get("epoch")})
    training = reading.observe(trained) if "train_runtime" in row else []
    if not seen and not training:
        raise UserError("results have train_ or eval_ figures", got="none of them", where=Position(path.name))
    done = steps_done(row)
    if wrong := _untold(row, done):
        problems.append(f"no step times: {wrong}")
    elif done:
        # An evaluation in the file was made after the training; those within it are in the runtime, unsaid.
        steps = max(1, round(done[0]))
        seen.insert(0, Observation(kind="step", step=steps, steps=steps, seconds=finite(row.get("train_runtime"))))
        problems.append("step times are means of the whole training: evaluations and saves during it are in them")
    facts = reading.facts | {key: value for key in ("eval_samples",) if (value := finite(row.get(key))) is not None}
    return RunLog(format=NAME, name=path.name, observations=(*seen, *training), facts=facts, problems=tuple(problems))


def _untold(row: Mapping[str, Any], done: tuple[float, float] | None) -> str:
    """Why the totals do not tell how many steps the runtime is of; empty where they do, or say nothing of them."""
    if nothing_left(row, None):
        return "the training was resumed with nothing left to do"
    if done and done[1] - 1.0 > MOST_DOUBT * done[0]:
        return "the rate has too few digits to tell how many steps there were"
    rate, runtime_s = finite(row.get("train_samples_per_second")), finite(row.get("train_runtime"))
    rows, epochs = finite(row.get("train_samples")), finite(row.get("epoch"))
    if row.get("train_steps_per_second") is None or None in (rate, runtime_s) or not rows or not epochs:
        return ""
    meant = (rate or 0.0) * (runtime_s or 0.0) / rows
    if meant <= MOST_MEANT * epochs:
        return ""
    return f"the rate is of the {meant:.3g} epochs that were meant, the training stopped after {epochs:.3g}"
