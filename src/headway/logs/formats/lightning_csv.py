"""`metrics.csv` of Lightning's CSVLogger, and the `hparams.yaml` beside it.

Owns its columns: `step` counts from 0, training and validation stand in separate rows, and there are no times but
what the run logged itself.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import replace
from pathlib import Path
from typing import Final

from headway.domain.errors import Position, UserError
from headway.domain.observation import RunLog
from headway.logs import rows
from headway.logs.tables import header_in, table
from headway.logs.text import Problems, finite, number, whole

NAME = "lightning_csv"
FILE: Final = "metrics.csv"
MOMENTS: Final = ("_timestamp", "timestamp", "wall_time", "time", "_runtime", "elapsed", "relative_time")
"""Columns that hold seconds on some clock, the surest first."""
EPOCH_S: Final = ("epoch_time", "epoch_time_s", "epoch_duration", "epoch_duration_s", "train_epoch_time", "time/epoch")
"""Columns in which runs log the seconds of the epoch whose number stands in the row."""
_SETTING: Final = re.compile(r"^([A-Za-z_]\w*):[ \t]*([^#\n]+?)[ \t]*$", re.MULTILINE)
_MOST_SETTINGS_BYTES: Final = 1 << 20
_MOST_NAMED: Final = 5


def claims(path: Path, head: bytes) -> float:
    """How surely `path` is such a file, or a folder `version_N` or the one above with one in it."""
    if not head and path.is_dir():
        return 0.6 if _inside(path) else 0.0
    columns = set(header_in(head))
    if not {"epoch", "step"} <= columns:
        return 0.0
    return 0.9 if path.name == FILE else 0.6


def read(path: Path) -> RunLog:
    """The log of one `metrics.csv`, of the newest version in a folder. Raises UserError where it has no rows."""
    place, *older = (_inside(path) or [path]) if path.is_dir() else [path]
    problems = Problems()
    if others := [other.parent.name for other in older]:
        more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
        problems.append(f"read: {place.parent.name}, the newest; also there: {', '.join(others[:_MOST_NAMED])}{more}")
    found = [row for _, cells in table(place, problems) if (row := _row(cells)) is not None]
    if not found:
        raise UserError("a metrics.csv of Lightning has rows with a step", where=Position(place.name))
    settings = _settings(place.parent / "hparams.yaml")
    observations, facts = rows.told(_paced(_joined(_counted(found)), problems), problems)
    facts = rows.facts_of(settings) | facts | rows.started(found)
    total = rows.total_steps(facts)
    if all(row.at_s is None for row in found) and not any(item.seconds is not None for item in observations):
        problems.append("no times: CSVLogger keeps none unless the run logs them")
    return RunLog(
        format=NAME,
        name=path.name,
        observations=observations,
        total_steps=total,
        facts=facts,
        problems=tuple(problems),
    )


def _row(cells: dict[str, str]) -> rows.Row | None:
    step = whole(cells.get("step"))
    if step is None or step < 0:
        return None
    at_s = next((value for name in MOMENTS if (value := finite(cells.get(name))) is not None), None)
    named = {name: number(cell) for name, cell in cells.items() if name not in ("step", *MOMENTS)}
    values = {name: value for name, value in named.items() if value is not None}
    return rows.Row(at_s=at_s, step=step, values=values)


def _counted(found: list[rows.Row]) -> list[rows.Row]:
    """Rows with the steps that were done: in a fit they name the step that it is in, after it how many there were.

    After the fit is what is tested below the last row of training, and what is validated there a second time. Tests
    without any training say nothing of its steps.
    """
    trained = [at for at, row in enumerate(found) if not all(map(_of_no_training, row.values))]
    tested = [any(map(rows.TEST.search, row.values)) for row in found]
    if not trained and all(tested):
        return [replace(row, step=None) for row in found]
    last, over = max(trained, default=-1), False
    counted = []
    for at, row in enumerate(found):
        step = row.step or 0
        over = over or (at > last and (tested[at] or (at - 1 > last and step == (found[at - 1].step or 0) + 1)))
        counted.append(replace(row, step=step + (not over)))
    return counted


def _of_no_training(name: str) -> bool:
    return name in ("epoch", "hp_metric") or rows.EVALUATION.search(name) is not None


def _joined(found: list[rows.Row]) -> list[rows.Row]:
    """Rows of one step that each hold other figures, as callbacks write them beside the training's, in one."""
    joined: list[rows.Row] = []
    for row in found:
        before = joined[-1] if joined else None
        apart = before is None or before.step != row.step or before.values.keys() & (row.values.keys() - {"epoch"})
        if before is None or apart or any(map(rows.EVALUATION.search, (*before.values, *row.values))):
            joined.append(row)
        else:
            joined[-1] = replace(row, at_s=before.at_s if row.at_s is None else row.at_s,
                                 values={**before.values, **row.values})  # fmt: skip
    return joined


def _paced(found: list[rows.Row], problems: list[str]) -> list[rows.Row]:
    """Rows of steps with the time of one, where no row has a moment and the seconds of whole epochs were logged."""
    told = [row for row in found if row.step is not None and _epoch_s(row) is not None]
    if not told or any(row.at_s is not None for row in found):
        return found
    ends: dict[float, int] = {}
    for row in found:
        if (epoch := finite(row.values.get("epoch"))) is not None and row.step is not None:
            ends[epoch] = max(row.step, ends.get(epoch, 0))
    spans: list[tuple[int, int, float]] = []
    for row in told:
        epoch, seconds = finite(row.values.get("epoch")), _epoch_s(row)
        if epoch is None or seconds is None or (epoch > 0 and epoch - 1 not in ends):
            continue  # of an epoch whose first step is not known
        begun, ended = ends.get(epoch - 1, 0), ends[epoch]
        if ended > begun:
            spans.append((begun, ended, seconds / (ended - begun)))
    if spans:
        problems.append("step times are means of whole epochs, in which evaluations and saves may be")
    spans.sort(key=lambda span: span[1])
    ends_of = [ended for _, ended, _ in spans]
    return [_at_pace(row, spans, bisect_left(ends_of, row.step or 0)) for row in found]


def _epoch_s(row: rows.Row) -> float | None:
    return next((seconds for name in EPOCH_S if (seconds := finite(row.values.get(name))) is not None), None)


def _at_pace(row: rows.Row, spans: list[tuple[int, int, float]], place: int) -> rows.Row:
    """A row of training with the time of one step, where its own lies in the span at `place`."""
    begun, _, each_s = spans[place] if place < len(spans) else (0, 0, None)
    if each_s is None or begun >= (row.step or 0) or all(map(_of_no_training, row.values)):
        return row
    return replace(row, values={"step_time": each_s, **row.values})


def _settings(path: Path) -> dict[str, object]:
    """The plain settings of an `hparams.yaml`; its tags of Python objects are nobody's business here."""
    try:
        with path.open("rb") as stream:
            text = stream.read(_MOST_SETTINGS_BYTES).decode("utf-8", errors="replace")
    except OSError:
        return {}
    return dict(_SETTING.findall(text))


def _inside(folder: Path) -> list[Path]:
    """`metrics.csv` of a folder, or of each `version_N` in it, the newest first."""
    try:
        if (folder / FILE).is_file():
            return [folder / FILE]
        found = [inner / FILE for inner in folder.glob("version_*") if (inner / FILE).is_file()]
    except OSError:
        return []
    return sorted(found, key=lambda place: _version(place.parent.name), reverse=True)


def _version(name: str) -> int:
    tail = name.rpartition("_")[2]
    return int(tail) if tail.isdecimal() and len(tail) < 16 else -1
