"""`trainer_log.jsonl` of LLaMA-Factory: a line per logged row, with the time since the start of this attempt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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
        raise UserError(
            "a trainer_log.jsonl has rows of a training, with current_steps and a loss",
            got="none",
            where=Position(path.name),
        )
    return RunLog(
        format=NAME,
        name=path.name,
        observations=found,
        total_steps=reading.total_steps,
        facts=reading.facts,
        problems=tuple(problems),
    )


@dataclass(slots=True)
class _Process:
    """One of the processes that write rows into the file."""

    step: int
    at_s: float | None
    shown_s: dict[int, float]
    """When it was at which step."""
    each_s: float | None = None
    """Of the last steps that nothing else was timed with."""
    evaluated: bool = False
    """By the last row, whose time is part of the next interval."""

    def before(self, seen: Sequence[Observation], step: int, at_s: float | None) -> list[Observation]:
        """The steps up to an evaluation between two rows of training, at the pace of those before."""
        only = bool(seen) and all(item.kind == "evaluation" for item in seen)
        if not only or step <= self.step or not self.step:
            return []
        reached_s = None
        if at_s is not None and self.at_s is not None and self.each_s is not None:
            reached_s = min(at_s, self.at_s + self.each_s * (step - self.step))
        return [replace(seen[0], kind="step", at_s=reached_s, step=step, seconds=None, rows=None, values={})]

    def went(self, seen: Sequence[Observation], step: int, at_s: float | None) -> None:
        """It is at a step."""
        trained = all(item.kind == "step" for item in seen)
        if at_s is not None and self.at_s is not None and step > self.step > 0 and trained and not self.evaluated:
            self.each_s = (at_s - self.at_s) / (step - self.step)
        self.evaluated = any(item.kind == "evaluation" for item in seen)
        self.step = step
        if at_s is not None:
            self.shown_s[step] = at_s


LAG: Final = 0.05
"""Processes of one training show the same step at moments that differ by no more of the time since its start."""
MOST_BEHIND: Final = 5
"""Rows that one process may be behind another."""


def _rows(path: Path, reading: Rows, problems: Problems) -> Iterator[Observation]:
    processes: list[_Process] = []
    bare = None
    for number, line in lines_of(path, problems):
        row = mapping_in(line)
        step = whole(row.get("current_steps")) if row is not None else None
        if row is None or step is None:
            if line.strip():
                problems.append(f"line {number}: {'no row of a training' if row is not None else 'not whole JSON'}")
            continue
        at_s = duration_s(row.get("elapsed_time"))
        rank = _rank(processes, step, at_s, trained=row.get("loss") is not None)
        if rank is None:
            # The clock starts with the training, also after a resume.
            processes, rank = [], 0
        if rank == len(processes):
            processes.append(_Process(step=0, at_s=None, shown_s={}))
            if at_s is not None:
                yield Observation(kind="begin", at_s=0.0, rank=rank)
            if rank == 1:
                problems.append("several processes wrote rows of the same steps: the first one's are counted")
        own = processes[rank]
        seen = reading.observe(row, at_s=at_s, rank=rank)
        if at_s is not None and at_s == own.at_s and step == own.step:  # the clock of a callback that stood still
            seen = [replace(item, at_s=None) if item.kind == "evaluation" else item for item in seen]
        yield from own.before(seen, step, at_s)
        yield from seen
        # Rows without a loss: the last of a training, or batches of a prediction that is not one.
        bare = None if seen or not own.step else Observation(kind="end", at_s=at_s, step=step, rank=rank)
        if bare is not None and step > own.step:
            yield Observation(kind="step", at_s=at_s, step=step, epoch=finite(row.get("epoch")), rank=rank)
        if seen or bare is not None:
            own.went(seen, step, at_s)
        own.at_s = at_s if at_s is not None else own.at_s
    if bare is not None:
        yield bare


def _rank(processes: list[_Process], step: int, at_s: float | None, *, trained: bool) -> int | None:
    """Index of the process that a row is of, a new one's where it is another's of the same start; None after a restart.

    A row goes on with the process that is nearest behind it. One that none of them can have written is of another
    where one of them showed the same step a few rows ago at about the same time.
    """
    behind = [at for at, own in enumerate(processes) if own.step < step or (own.step == step and not trained)]
    if behind:
        return max(behind, key=lambda at: processes[at].step)
    if not processes or at_s is None:
        return 0
    for own in processes:
        shown_s = dict(list(own.shown_s.items())[-MOST_BEHIND:]).get(step)
        if shown_s is not None and abs(at_s - shown_s) <= max(LAG * at_s, 5.0):
            return len(processes)
    return 0 if at_s >= (processes[0].at_s or 0.0) else None
