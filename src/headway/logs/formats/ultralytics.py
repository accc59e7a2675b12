"""`results.csv` of Ultralytics and YOLOv5: a row for each epoch, with the time since the start in newer versions.

Owns its columns (`ultralytics/engine/trainer.py: BaseTrainer.save_metrics`). It counts epochs, not steps: how long
one of these took stays unknown. How many epochs there are to be stands in a file beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from headway.domain.errors import Position, UserError
from headway.domain.observation import Observation, RunLog
from headway.logs import rows
from headway.logs.tables import header_in, table
from headway.logs.text import Problems, as_text, finite, head_of, number, whole

NAME: Final = "ultralytics"
FILE: Final = "results.csv"
EVALUATED: Final = ("val/", "metrics/")
SETTINGS: Final = ("args.yaml", "opt.yaml")
"""Of Ultralytics and of YOLOv5, in the folder of the run."""
EPOCHS: Final = re.compile(r"(?m)^epochs: (?P<epochs>\d{1,6})\s{0,4}$")


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
    total = _epochs_in(path.parent)
    problems.append(
        "counted in epochs: how many steps they had is not said, and the time of each holds its evaluation"
        if timed
        else "counted in epochs, without times: how many steps they had is not said"
    )
    return RunLog(
        format=NAME,
        name=path.name,
        observations=tuple(_in_epochs(observations, total)),
        facts=facts if total is None else {**facts, "epochs": float(total)},
        problems=tuple(problems),
    )


def _in_epochs(observations: Iterable[Observation], total: int | None) -> Iterator[Observation]:
    """The rows of the training as epochs, each with the time since the one before."""
    before_s: float | None = None
    for item in observations:
        if item.kind != "step":
            before_s = item.at_s if item.kind == "begin" else before_s
            yield item
            continue
        seconds = None if item.at_s is None or before_s is None else item.at_s - before_s
        values = {**item.values, **({} if total is None else {"epochs": float(total)})}
        yield replace(item, kind="epoch", seconds=seconds, values=values)
        before_s = item.at_s


def _epochs_in(folder: Path) -> int | None:
    """The number of epochs that the settings beside the rows name."""
    for name in SETTINGS:
        if (folder / name).is_file() and (said := EPOCHS.search(as_text(head_of(folder / name, 65_536)))):
            return int(said["epochs"])
    return None


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
