"""`trainer_state.json` of the Hugging Face Trainer: what it had logged when a checkpoint or the end was saved; also its
`log_history` alone, which scripts write with `json.dump(trainer.state.log_history, ...)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from headway.domain.errors import Position, UserError
from headway.domain.observation import Observation, RunLog
from headway.logs.hf_rows import STEP_KEYS, Rows, first, is_end, moment_of, steps_done, with_mean_steps
from headway.logs.history import rounds
from headway.logs.repair import settled
from headway.logs.text import (
    FLAT_OBJECT,
    Problems,
    as_text,
    document_and_text,
    finite,
    flat_objects,
    mapping_in,
    single_numbers,
    whole,
)

NAME: Final = "trainer_state"
FACTS: Final = {
    "train_batch_size": "micro_batch",
    "num_train_epochs": "epochs",
    "save_steps": "save_steps",
    "eval_steps": "eval_steps",
    "logging_steps": "logging_steps",
    "total_flos": "total_flop",
    "num_input_tokens_seen": "tokens",
    "global_step": "steps_done",
}
MOST_EPOCHS: Final = 1e9
"""More stand for a stream whose end nobody knows, trained for a number of steps (`sys.maxsize`)."""
SPEED: Final = "train_speed(iter/s)"
"""Of ms-swift: all steps over the time since the start."""
HISTORY: Final = '"log_history"'
ROWS_ALONE: Final = re.compile(r"\s*\[\s*\{[^{}]{0,4000}?\"(?:eval_|train_)?(?:loss|runtime)\"\s*:")


def claims(path: Path, head: bytes) -> float:
    """By `log_history`, or rows like its own; by the name where the head is cut before it."""
    text = as_text(head)
    if HISTORY in text and text.lstrip().startswith("{"):
        first_line, _, more = text.lstrip().partition("\n")
        rows = more.strip() and HISTORY not in first_line and mapping_in(first_line) is not None
        return 0.7 if rows else 1.0
    if ROWS_ALONE.match(text) and ('"step"' in text or '"epoch"' in text):
        return 0.9
    return 0.8 if path.name == "trainer_state.json" and "{" in text else 0.0


def read(path: Path) -> RunLog:
    """The rows of `log_history`; steps have the mean time that `train_runtime` leaves. Raises UserError without any."""
    problems = Problems()
    found, text = document_and_text(path, problems)
    whole_rows = {"log_history": found} if isinstance(found, list) else found
    state = whole_rows if isinstance(whole_rows, dict) else _in_a_line(text)
    if state is not None and found is None:
        problems.pop()  # the document is not whole, for it is one of lines
    state = state if state is not None else _picked(text)
    history = state.get("log_history")
    rows = [row for row in history if isinstance(row, dict)] if isinstance(history, list) else []
    if not rows and not isinstance(state.get("global_step"), int):
        raise UserError(
            "a trainer state has rows of a training", got="no log_history with rows", where=Position(path.name)
        )
    if isinstance(history, list) and len(rows) < len(history):
        problems.append(f"{len(history) - len(rows)} rows of log_history are none, left out")
    reading = Rows()
    seen = rounds(settled(_observed(rows, reading, problems), problems))
    ends = [row for row in rows if is_end(row)]
    total = whole(state.get("max_steps"))
    facts = {fact: value for key, fact in FACTS.items() if (value := finite(state.get(key)))}
    if facts.get("epochs", 0.0) > MOST_EPOCHS:
        del facts["epochs"]
    if ends:
        _consistent(ends[-1], seen, total, problems)
    if not rows:
        problems.append("no step was logged: log_history is empty")
    return RunLog(
        format=NAME,
        name=path.name,
        observations=with_mean_steps(seen, ends, problems),
        total_steps=total if total and total > 0 else None,
        facts=facts | reading.facts,
        problems=tuple(problems),
    )


def _observed(rows: list[dict[str, Any]], reading: Rows, problems: list[str]) -> Iterator[Observation]:
    """What the rows say, with the moments that they have where tokens are counted, and those of ms-swift."""
    last_s: float | None = None
    resumed = False
    for row in rows:
        at_s = _since_start_s(row)
        if SPEED in row and at_s is not None and last_s is not None and at_s < last_s and not resumed:
            resumed = True
            problems.append(
                f"resumed: {SPEED} jumps at step {first(row, STEP_KEYS)}, from there on it tells no moments"
            )
        if resumed and SPEED in row:
            at_s = None
        if at_s is not None:
            if last_s is None or at_s < last_s:
                # The runtime is that of this start.
                yield Observation(kind="begin", at_s=0.0)
            last_s = at_s
        yield from reading.observe(row, at_s=at_s)


def _since_start_s(row: Mapping[str, Any]) -> float | None:
    """When a row within a training was written, in seconds since the start."""
    if is_end(row):
        return None
    if "train_runtime" in row:
        return shown[1] if (shown := moment_of(row)) else None
    step, speed = finite(first(row, STEP_KEYS)), finite(row.get(SPEED))
    return step / speed if step and speed and min(step, speed) > 0 else None


def _in_a_line(text: str) -> Mapping[str, Any] | None:
    """The state that stands in one of a file's lines, after rows that it repeats; None where none does."""
    lines = (line for line in reversed(text.splitlines()) if HISTORY in line)
    return next((found for line in lines if (found := mapping_in(line)) is not None and "log_history" in found), None)


def _picked(text: str) -> Mapping[str, Any]:
    """What a broken file still says: its whole rows, and the single numbers around them."""
    rows = [row for row in flat_objects(text) if "step" in row or "epoch" in row]
    return {**single_numbers(FLAT_OBJECT.sub("", text)), "log_history": rows}


def _consistent(row: Mapping[str, Any], seen: tuple[Observation, ...], total: int | None, problems: list[str]) -> None:
    """Says where the runtime and its rate do not go together with the steps: more than the run could have."""
    done = max((item.step for item in seen if item.step is not None), default=0)
    said = steps_done(row)
    if said and done and said[0] - said[1] > 1.01 * max(done, total or 0):
        problems.append(f"train_runtime and train_steps_per_second say {said[0]:,.0f} steps, the rows {done:,}")
