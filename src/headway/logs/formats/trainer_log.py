"""`trainer_log.jsonl` of LLaMA-Factory: a line per logged row, with the time since the start of this attempt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from headway.domain.errors import Position, UserError
from headway.domain.observation import Observation, RunLog
from headway.logs.hf_rows import Rows
from headway.logs.repair import settled
from headway.logs.text import Problems, as_text, duration_s, finite, lines_of, mapping_in, whole

NAME: Final = "trainer_log"


def claims(path: Path, head: bytes) -> float:
    """By `current_steps` beside `elapsed_time`, which no other tool writes."""
    text = as_text(head)
    if '"current_steps"' in text and '"elapsed_time"' in text and text.lstrip().startswith("{"):
        return 1.0
    return 0.7 if path.name == "trainer_log.jsonl" else 0.0


def read(path: Path) -> RunLog:
    """The rows at `path`. Raises UserError where no line is one."""
    problems = Problems()
    reading = Rows()
    found = settled(_rows(path, reading, problems), problems)
    if not any(item.kind != "begin" for item in found):
        raise UserError("a trainer_log.jsonl has rows with current_steps", got="none", where=Position(path.name))
    return RunLog(
        format=NAME,
        name=path.name,
        observations=found,
        total_steps=reading.total_steps,
        facts=reading.facts,
        problems=tuple(problems),
    )


def _rows(path: Path, reading: Rows, problems: Problems) -> Iterator[Observation]:
    last_s, last_step, bare = None, None, None
    for number, line in lines_of(path, problems):
        row = mapping_in(line)
        step = whole(row.get("current_steps")) if row is not None else None
        if row is None or step is None:
            if line.strip():
                problems.append(f"line {number}: {'no row of a training' if row is not None else 'not whole JSON'}")
            continue
        at_s = duration_s(row.get("elapsed_time"))
        if at_s is not None and (last_s is None or (at_s < last_s and step <= (last_step or 0))):
            # The clock starts with the training, also after a resume.
            yield Observation(kind="begin", at_s=0.0)
        last_s = at_s if at_s is not None else last_s
        seen = reading.observe(row, at_s=at_s)
        yield from seen
        # Rows without a loss: the last of a training, or batches of a prediction that is not one.
        bare = None if seen or last_step is None else Observation(kind="end", at_s=at_s, step=step)
        if bare is not None and step > (last_step or 0):
            yield Observation(kind="step", at_s=at_s, step=step, epoch=finite(row.get("epoch")))
        last_step = step if seen or bare is not None else last_step
    if bare is not None:
        yield bare
