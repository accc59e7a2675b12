"""CSV files that W&B exports: a chart (`Step`, `RUN - train/loss`, `…__MIN`, `…__MAX`) or a run's history.

Owns their columns. A chart holds several runs and one clock at most (`Relative Time (Process)`, `Wall Time`); a
history has W&B's own columns (`_step`, `_runtime`, `_timestamp`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from headway.domain.errors import Position, UserError
from headway.domain.observation import Observation, RunLog
from headway.logs import rows
from headway.logs.formats.wandb_offline import OF_CALLS, OF_CALLS_SAID, STEPS, axis_of, row_of, samples_of
from headway.logs.tables import header_in, moment_s, table
from headway.logs.text import Problems, finite, number

NAME = "wandb_csv"
_AXES: Final = ("Step", "_step", "train/global_step", "trainer/global_step", "global_step", "epoch", "train/epoch")
_CLOCKS: Final = ("Relative Time (Process)", "Relative Time (Wall)", "Wall Time", "_timestamp", "_runtime")
_SINCE: Final = ("_runtime", "Relative Time (Process)", "Relative Time (Wall)")
_RUNS: Final = {"Name", "State", "Runtime"}
"""Columns of the table of a project's runs."""
_OWN: Final = {"_step", "_runtime", "_timestamp", "_wandb"}
_BOUND: Final = re.compile(r"__(MIN|MAX)$")
_MOST_NAMED: Final = 5
_SYSTEM: Final = "system/"
"""Before the names of a chart's samples of the machine."""
_MOST_ROWS: Final = 1e9


def claims(path: Path, head: bytes) -> float:
    """How surely `path` is such an export."""
    if not head:
        return 0.0
    columns = header_in(head)
    charted = [name for name in columns[1:] if " - " in name]
    if charted and (columns[0] in (*_AXES, *_CLOCKS) or any(_BOUND.search(name) for name in charted)):
        return 0.9
    return 0.8 if len(_OWN & set(columns)) > 1 or set(columns) >= _RUNS else 0.0


def read(path: Path) -> RunLog:
    """The log of the run that an export says most of. Raises UserError where it has no rows."""
    problems = Problems()
    said: dict[str, list[dict[str, str]]] = {}
    begun: rows.Row | None = None
    for _, cells in table(path, problems):
        if cells.keys() >= _RUNS:
            return _of_runs(path)
        begun = begun or _begun(cells)
        for name, values in _split(cells):
            said.setdefault(name, []).append(values)
    runs = {name: _told(lines) for name, lines in said.items()}
    runs = {name: told for name, told in runs.items() if any(told)}
    if not runs:
        raise UserError("an export of W&B has rows", where=Position(path.name))
    name = max(runs, key=lambda one: len(runs[one][0]) or len(runs[one][1]) / _MOST_ROWS)
    others = [one for one in runs if one != name]
    if others:
        more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
        problems.append(f"read: run {name}; also in the file: {', '.join(others[:_MOST_NAMED])}{more}")
    trained, machine = runs[name]
    if trained and axis_of(said[name])[0] in OF_CALLS:
        problems.append(OF_CALLS_SAID)
    found = ([begun] if begun else []) + trained
    observations, facts = rows.told(found, problems)
    sampled_s = next((item.at_s for item in machine if item.at_s is not None), None)
    zero_s = rows.first_moment(found) if found else sampled_s
    observations = rows.with_device(observations, machine, zero_s) if machine else observations
    if all(item.at_s is None for item in observations):
        problems.append("no times: export the chart over relative time, or the history, to have them")
    return RunLog(
        format=NAME,
        name=path.name,
        observations=observations,
        facts=({"run_name": name} if name else {}) | facts | rows.started(found),
        problems=tuple(problems),
    )


def _of_runs(path: Path) -> RunLog:
    """The table of runs, a line each: the one that took longest, with its time, its settings and its last values."""
    problems = Problems()
    lines = [cells for _, cells in table(path, problems) if finite(cells.get("Runtime")) is not None]
    if not lines:
        raise UserError("a table of W&B's runs says how long one took", where=Position(path.name))
    cells = max(lines, key=lambda one: finite(one["Runtime"]) or 0.0)
    if len(lines) > 1:
        problems.append(f"read: run {cells.get('Name', '')}, which took longest of {len(lines)}")
    took_s = max(0.0, finite(cells["Runtime"]) or 0.0)
    created_s = moment_s(cells.get("Created", ""))
    facts = rows.facts_of(dict(cells)) | rows.final_facts(dict(cells)) | rows.started([rows.Row(at_s=created_s)])
    total = rows.total_steps(facts)
    begun = Observation(kind="begin", at_s=0.0)
    ended = (Observation(kind="end", at_s=took_s),) if cells.get("State") != "running" else ()
    return RunLog(
        format=NAME,
        name=path.name,
        observations=(begun, *ended),
        total_steps=total,
        facts={"run_name": cells.get("Name", ""), "state": cells.get("State", "")} | facts,
        problems=tuple(problems),
    )


def _split(cells: dict[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    """The cells of each run in a line of an export; a history has one, without a name."""
    own = {name: cell for name, cell in cells.items() if " - " not in name}
    by_run: dict[str, dict[str, str]] = {}
    for column, cell in cells.items():
        run, dash, metric = column.rpartition(" - ")
        if dash and not _BOUND.search(metric):
            by_run.setdefault(run, {})[metric] = cell
    for run, named in by_run.items() or [("", {})]:
        yield run, own | named


def _told(said: list[dict[str, str]]) -> tuple[list[rows.Row], list[Observation]]:
    """The rows of a run, and its samples of the machine, of its lines in order."""
    axis = axis_of(said)
    axes = {*_OWN, *_CLOCKS, *(name for name, _ in STEPS)}
    found, samples = list[rows.Row](), list[Observation]()
    for cells in said:
        numbers = {name: value for name, cell in cells.items() if (value := number(cell)) is not None}
        at_s = _clock(cells)
        machine = {name.removeprefix(_SYSTEM): value for name, value in numbers.items() if name.startswith(_SYSTEM)}
        samples += samples_of(machine, at_s)
        values = {name: value for name, value in numbers.items() if name not in axes and not name.startswith(_SYSTEM)}
        if values:
            found.append(row_of(cells, axis, at_s, values))
    return found, samples


def _begun(cells: dict[str, str]) -> rows.Row | None:
    """When the run began, where a line shows how long it had been going."""
    at_s = _clock(cells)
    going_s = next((value for name in _SINCE if (value := finite(cells.get(name))) is not None), None)
    return rows.Row(at_s=at_s - going_s, begins=True) if at_s is not None and going_s is not None else None


def _clock(values: dict[str, str]) -> float | None:
    for name in _CLOCKS:
        cell = values.get(name, "")
        found = finite(cell) if finite(cell) is not None else moment_s(cell)
        if found is not None:
            return found / 1000 if name == "Wall Time" and found > 1e11 else found
    return None
