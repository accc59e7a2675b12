"""`all_results.json`, `train_results.json`, `eval_results.json`: what a Hugging Face script saves at its end."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from headway.domain.errors import Position, UserError
from headway.domain.observation import Observation, RunLog
from headway.logs.hf_rows import Rows, split, steps_done
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
    if done and done[1] - 1.0 > MOST_DOUBT * done[0]:
        problems.append("no step times: the rate has too few digits to tell how many steps there were")
    elif done:
        # An evaluation in the file was made after the training; those within it are in the runtime, unsaid.
        steps = max(1, round(done[0]))
        seen.insert(0, Observation(kind="step", step=steps, steps=steps, seconds=finite(row.get("train_runtime"))))
        problems.append("step times are means of the whole training: evaluations and saves during it are in them")
    facts = reading.facts | {key: value for key in ("eval_samples",) if (value := finite(row.get(key))) is not None}
    return RunLog(format=NAME, name=path.name, observations=(*seen, *training), facts=facts, problems=tuple(problems))
