"""`trainer_log.jsonl` of LLaMA-Factory and `logging.jsonl` of ms-swift: a line per logged row, with the time since the
start of this attempt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from headway.domain.errors import Position, UserError
from headway.domain.observation import Observation, RunLog
from headway.logs.hf_rows import Rows
from headway.logs.history import rounds
from headway.logs.repair import settled
from headway.logs.text import Problems, as_text, duration_s, finite, lines_of, mapping_in, whole

NAME: Final = "trainer_log"
SWIFT_STEP: Final = "global_step/max_steps"
HISTORY: Final = '"log_history"'
"""In the last line of a finished ms-swift run, which tells all rows once more."""


def claims(path: Path, head: bytes) -> float:
    """By the steps of each tool beside `elapsed_time`, which no other writes."""
    text = as_text(head)
    counted = any(f'"{name}"' in text for name in ("current_steps", SWIFT_STEP))
    if counted and '"elapsed_time"' in text and text.lstrip().startswith("{"):
        return 1.0
    return 0.7 if path.name == "trainer_log.jsonl" else 0.0


def read(path: Path) -> RunLog:
    """The rows at `path`. Raises UserError where no line is one."""
    problems = Problems()
    reading = Rows()
    found = rounds(settled(_rows(path, reading, problems), problems))
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
        """The steps up to an evaluation, or to the end, after the last row of training.

        They took until the evaluation began where it says how long it took, else they are told at the pace of those
        before.
        """
        kinds = {item.kind for item in seen}
        known = self.step > 0 or "end" in kinds
        if not seen or not kinds <= {"evaluation", "end"} or step <= self.step or not known:
            return []
        reached_s = None
        if at_s is not None and (self.at_s is not None or not self.step):
            went_on_s = self.at_s or 0.0
            evaluated_s = [item.seconds for item in seen if item.kind == "evaluation"]
            told_s = [seconds for seconds in evaluated_s if seconds is not None]
            if len(told_s) == len(evaluated_s):
                reached_s = max(went_on_s, at_s - sum(told_s))
            elif self.each_s is not None:
                reached_s = min(at_s, went_on_s + self.each_s * (step - self.step))
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
    for step, row in _lines(path, problems):
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
        # Rows without a loss: the last of a training, or batches of a prediction, which name no epoch.
        epoch = finite(row.get("epoch"))
        last = not seen and (own.step > 0 or epoch is not None)
        bare = Observation(kind="end", at_s=at_s, step=step, rank=rank) if last else None
        if bare is not None and step > own.step:
            tokens = reading.new_tokens(row, rank)
            yield Observation(kind="step", at_s=at_s, step=step, epoch=epoch, tokens=tokens, rank=rank)
        if seen or bare is not None:
            own.went(seen, step, at_s)
        own.at_s = at_s if at_s is not None else own.at_s
    if bare is not None:
        yield bare


def _lines(path: Path, problems: Problems) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Step and row of each line that is one."""
    repeated = 0
    for number, line in lines_of(path, problems):
        if HISTORY in line or number == repeated:  # a line that is too long comes in pieces
            repeated = number
            continue
        row = mapping_in(line)
        step = _step(row) if row is not None else None
        if row is not None and step is not None:
            yield step, row
        elif line.strip():
            problems.append(f"line {number}: {'no row of a training' if row is not None else 'not whole JSON'}")


def _step(row: Mapping[str, Any]) -> int | None:
    """The step of a row: LLaMA-Factory counts it alone, ms-swift writes `10/438`."""
    counted = row.get("current_steps")
    return whole(counted if counted is not None else str(row.get(SWIFT_STEP, "")).partition("/")[0])


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
