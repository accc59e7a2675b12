"""What a training printed, kept in a file: the console's text, of whatever tool.

Owns the format `console`; the lines are `lines/`, and `LineReader` takes them also while the training runs.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from headway.domain.errors import Position, UserError
from headway.domain.observation import Observation, RunLog
from headway.logs.forms.epochs import counts_rows
from headway.logs.hf_rows import with_mean_steps, with_steps_of_epochs
from headway.logs.history import rounds
from headway.logs.lines.epochs_alone import of_one_unit
from headway.logs.lines.line_reader import LineReader
from headway.logs.text import Problems, as_text, finite, is_text, lines_of

NAME: Final = "console"
LOG_NAMES: Final = re.compile(r"(?i)\.(?:log|out|err|txt)(?:\.\w+)?$|^nohup|console|stdout|slurm|output\.log")
PAGES: Final = re.compile(r"(?i)\.(?:md|markdown|rst|adoc|html?|py|ipynb)$")
"""Documents and programs, which may show what a training prints."""

ROWS: Final = "lines count rows, not steps, of a batch that is not said: not read"


def claims(path: Path, head: bytes) -> float:
    """A little for any text, more for one in whose beginning a line tells of training, unless it is a document."""
    if not is_text(head):
        return 0.0
    reader = LineReader()
    text = as_text(head)
    reader.feed(text[:65_536] + "\n")
    if reader.marks:
        return 0.2 if PAGES.search(path.name) else 0.45
    return 0.1 if LOG_NAMES.search(path.name) else 0.05


def read(path: Path) -> RunLog:
    """The log at `path`, line by line. Raises UserError for a text that tells of no training and is not named a log."""
    return read_as(NAME, path)


def read_as(name: str, path: Path) -> RunLog:
    """As `read`, under the name of a format that prints the same lines."""
    problems = Problems()
    reader = LineReader()
    seen: list[Observation] = []
    lines, of_rows = 0, False
    for _, line in lines_of(path, problems):
        lines += 1
        of_rows = of_rows or counts_rows(line)
        seen += reader.line(line)
    seen += reader.close()
    problems.extend(reader.problems)
    seen, total = of_one_unit(seen, reader.total_steps, reader.counts.of_epochs)
    if any(item.kind == "epoch" for item in seen):
        problems.append("epochs are told of, steps are not: what was done within an epoch is not told apart")
        if of_rows:
            problems.append(ROWS)
    elif not any(item.kind in ("step", "evaluation", "end") for item in seen):
        if not (seen or LOG_NAMES.search(path.name)):
            raise UserError(
                "a console log has a line that tells of training",
                got=f"{lines:,} lines without a step and its figures, a row of a Trainer or a progress bar",
                where=Position(path.name),
            )
        problems.append(
            f"no line of {lines:,} names a step with its figures, and none is a row of a Trainer or a progress bar"
        )
        if of_rows:
            problems.append(ROWS)
    epochs = finite(reader.facts.get("epochs"))
    told = with_steps_of_epochs(seen, reader.ends, total, epochs, problems)
    return RunLog(
        format=name,
        name=path.name,
        observations=with_mean_steps(rounds(told), reader.ends, problems),
        total_steps=total,
        facts=reader.facts,
        problems=tuple(problems),
    )
