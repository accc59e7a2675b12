"""`results.csv` of Ultralytics and YOLOv5: a row for each epoch, with the time since the start in newer versions.

Owns its columns (`ultralytics/engine/trainer.py: BaseTrainer.save_metrics`). It counts epochs, not steps: a row is told
as an epoch that was done, at its moment, and how long a step took stays unknown.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from headway.domain.errors import Position, UserError
from headway.domain.observation import RunLog
from headway.logs import rows
from headway.logs.tables import header_in, table
from headway.logs.text import Problems, finite, number, whole

NAME: Final = "ultralytics"
FILE: Final = "results.csv"
EVALUATED: Final = ("val/", "metrics/")


def claims(path: Path, head: bytes) -> float:
    """By its columns: epochs without steps, losses of training and what an evaluation found."""
    columns = header_in(head) if head else []
    if "epoch" not in columns or "step" in columns or not any(name.startswith("train/") for name in columns):
        return 0.0
    return 0.9 if any(name.startswith("metrics/") for name in columns) else 0.0


def read(path: Path) -> RunLog:
    """The epochs at `path`. Raises UserError where there is none."""
    problems = Problems()
    told = [cells for _, cells in table(path, problems) if whole(cells.get("epoch")) is not None]
    if not told:
        raise UserError("a results.csv of Ultralytics has rows of epochs", got="none", where=Position(path.name))
    counts_from_0 = whole(told[0]["epoch"]) == 0  # YOLOv5
    timed = any(finite(cells.get("time")) is not None for cells in told)
    found = [rows.Row(at_s=0.0, begins=True)] if timed else []
    for cells in told:
        found += _rows(cells, (whole(cells["epoch"]) or 0) + counts_from_0)
    observations, facts = rows.told(found, problems)
    problems.append(
        "counted in epochs: how many steps they had is not said, and the time of each holds its evaluation"
        if timed
        else "counted in epochs, without times: how many steps they had is not said"
    )
    return RunLog(format=NAME, name=path.name, observations=observations, facts=facts, problems=tuple(problems))


def _rows(cells: dict[str, str], epoch: int) -> list[rows.Row]:
    """An epoch's training, and its evaluation, which was over at the moment of the row."""
    at_s = finite(cells.get("time"))
    numbers = {name: value for name, cell in cells.items() if (value := number(cell)) is not None}
    own = {name: value for name, value in numbers.items() if name not in ("epoch", "time")}
    evaluated = {f"val/{name.partition('/')[2]}": value for name, value in own.items() if name.startswith(EVALUATED)}
    trained = {name: value for name, value in own.items() if not name.startswith(EVALUATED)}
    return [
        rows.Row(at_s=at_s if values is trained else None, values={**values, "epoch": float(epoch)})
        for values in (trained, evaluated)
        if values
    ]
