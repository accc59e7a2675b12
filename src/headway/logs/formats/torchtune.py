"""`log_MOMENT.txt` of torchtune's `DiskLogger`: `Step N | name:value name:value`, a new file for each start.

Source of the form: `torchtune/training/metric_logging.py: DiskLogger.log_dict`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from headway.domain.errors import Position, UserError
from headway.domain.observation import Observation, RunLog
from headway.logs.forms.metric_lines import TORCHTUNE, metrics_in
from headway.logs.repair import settled
from headway.logs.text import Problems, as_text, lines_of

NAME: Final = "torchtune"
FORM = re.compile(r"^Step \d+ \| \S+:\S+", re.MULTILINE)


def claims(path: Path, head: bytes) -> float:
    """By its first line, for nothing else stands in the file."""
    text = as_text(head)
    return 0.9 if FORM.match(text) else (0.3 if FORM.search(text) else 0.0)


def read(path: Path) -> RunLog:
    """The steps at `path`, without times, for the file has none. Raises UserError where no line is a step."""
    problems = Problems()
    found = settled(_steps(path, problems), problems)
    if not found:
        raise UserError("a torchtune log has lines `Step N | loss:...`", got="none", where=Position(path.name))
    problems.append("no times of steps: the file has no moments")
    started = re.search(r"log_(\d{9,10})\b", path.name)
    facts = {"started": float(started[1])} if started else {}
    return RunLog(format=NAME, name=path.name, observations=found, facts=facts, problems=tuple(problems))


def _steps(path: Path, problems: Problems) -> Iterator[Observation]:
    for number, line in lines_of(path, problems):
        said = metrics_in(line) if TORCHTUNE.match(line) else None
        if said is not None:
            yield Observation(kind=said.kind, step=said.step, values=said.values)
        elif line.strip():
            problems.append(f"line {number}: no step, left out")
