"""Runs that MLflow tracked: its SQLite store (`mlflow.db`) and its folders (`mlruns/EXPERIMENT/RUN/`).

Owns the tables `runs`, `metrics` and `params` (mlflow/store/tracking/dbmodels/models.py) and the files of a run
(mlflow/store/tracking/file_store.py). Of several runs, the newest with metrics is read.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from headway.domain.errors import Position, UserError
from headway.domain.observation import Observation, RunLog
from headway.logs import rows
from headway.logs.text import Problems, finite, lines_of, number, whole

NAME = "mlflow"
_HEAD: Final = b"SQLite format 3\0"
_MOST_FILES: Final = 5_000
_MOST_POINTS: Final = 5_000_000
_SQLITE_STEPS: Final = 100_000
_MOST_CALLS: Final = 100_000
"""Times `_SQLITE_STEPS` of SQLite's machine: a broken tree must not be walked for ever."""
_SYSTEM: Final = re.compile(r"^system/(?:gpu_(\d+)_)?(.+)$")
_MACHINE: Final = {
    "utilization_percentage": ("utilisation", 0.01),
    "memory_usage_megabytes": ("memory_bytes", 1e6),
    "power_usage_watts": ("power_w", 1.0),
    "cpu_utilization_percentage": ("cpu_utilisation", 0.01),
}
_STATES: Final = {"1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}
"""Numbers of states in a run's `meta.yaml` (mlflow/protos/service.proto)."""
Point = tuple[float, int, str, float]


def claims(path: Path, head: bytes) -> float:
    """How surely `path` is a store of MLflow."""
    if not head and path.is_dir():
        if (path / "metrics").is_dir() and (path / "meta.yaml").is_file():
            return 0.95
        return 0.9 if (path.name == "mlruns" or (path / "meta.yaml").is_file()) and _folders(path) else 0.0
    if not head.startswith(_HEAD):
        return 0.0
    return 0.9 if b"run_uuid" in head or path.name.startswith("mlflow") else 0.2


def read(path: Path) -> RunLog:
    """The log of the newest run of a store, or of one run's folder. Raises UserError where there is none."""
    problems = Problems()
    said, settings, points = _of_folder(path, problems) if path.is_dir() else _of_database(path, problems)
    if not points:
        raise UserError(
            "a store of MLflow holds a run with metrics",
            got=problems[0] if problems else "none",
            where=Position(path.name),
        )
    return _log(path.name, said, settings, points, problems)


def _log(
    name: str, said: Mapping[str, str], settings: Mapping[str, object], points: Iterable[Point], problems: list[str]
) -> RunLog:
    """One run's log: `said` is its `run_name`, `status`, `start_time` and `end_time` in milliseconds."""
    system: dict[tuple[float, int], dict[str, float]] = {}
    own = []
    for point in points:
        if (match := _SYSTEM.match(point[2])) is None:
            own.append(point)
        elif match[2] in _MACHINE:
            label, factor = _MACHINE[match[2]]
            system.setdefault((point[0], int(match[1] or 0)), {})[label] = point[3] * factor
    began_s, ended_s = (_moment_s(said.get(key)) for key in ("start_time", "end_time"))
    told = ([rows.Row(at_s=began_s, begins=True)] if began_s is not None else []) + _rows(own, settings)
    observations, final = rows.told(told, problems)
    zero_s = rows.first_moment(told)
    samples = [Observation(kind="device", at_s=key[0], rank=key[1], values=system[key]) for key in sorted(system)]
    observations = rows.with_device(observations, samples, zero_s)
    if ended_s is not None and zero_s is not None:
        latest_s = max((item.at_s for item in observations if item.at_s is not None), default=0.0)
        observations = (*observations, Observation(kind="end", at_s=max(latest_s, ended_s - zero_s)))
    else:
        problems.append("the run has no end: it was stopped, or goes on")
    facts: dict[str, float | str] = {key: said[key] for key in ("run", "run_name", "status") if said.get(key)}
    facts |= {**rows.facts_of(settings), **final, **rows.started(told)}
    total = rows.total_steps(facts)
    return RunLog(
        format=NAME, name=name, observations=observations, total_steps=total, facts=facts, problems=tuple(problems)
    )


def _rows(points: list[Point], settings: Mapping[str, object]) -> list[rows.Row]:
    """The rows of a run; where it set out for as many epochs as it tells steps, these are epochs, as Keras has them."""
    told = rows.grouped(points)
    steps = {step for _, step, _, _ in points}
    first = min(steps, default=-1)
    if first not in (0, 1) or not len(steps) == max(steps) - first + 1 == finite(settings.get("epochs")):
        return told
    epochs = [(row.step or 0) - first + 1.0 for row in told]
    return [
        replace(row, step=None, values={**row.values, "epoch": epoch}) for row, epoch in zip(told, epochs, strict=True)
    ]


def _moment_s(milliseconds: object) -> float | None:
    found = finite(milliseconds)
    return found / 1000 if found is not None and found > 0 else None


def _of_database(path: Path, problems: list[str]) -> tuple[dict[str, str], dict[str, object], list[Point]]:
    """What the newest run with metrics says, its settings and its metrics. Raises UserError for a broken database."""
    wrong: Exception | None = None
    # A database in WAL mode on a disk that cannot be written needs `immutable`; on any other that would miss the WAL.
    for how in ("mode=ro", "mode=ro&immutable=1"):
        try:
            with closing(sqlite3.connect(f"file:{quote(str(path))}?{how}", uri=True)) as opened:
                return _selected(opened, problems)
        except (sqlite3.Error, ValueError, OverflowError, MemoryError) as problem:
            wrong = wrong or problem
    raise UserError("a store of MLflow is a whole SQLite database", got=str(wrong), where=Position(path.name))


def _selected(opened: sqlite3.Connection, problems: list[str]) -> tuple[dict[str, str], dict[str, object], list[Point]]:
    calls = iter(range(_MOST_CALLS))
    opened.set_progress_handler(lambda: next(calls, None) is None, _SQLITE_STEPS)
    opened.text_factory = lambda raw: raw.decode("utf-8", errors="replace")
    opened.execute("pragma query_only = on")
    # Deleted runs stay in the store until they are collected; the first stores did not mark them.
    columns = {row[1] for row in opened.execute("pragma table_info(runs)")}
    alive = "lifecycle_stage = 'active' desc, " if "lifecycle_stage" in columns else ""
    runs = opened.execute(
        "select run_uuid, name, status, start_time, end_time from runs where exists"
        " (select 1 from metrics where metrics.run_uuid = runs.run_uuid)"
        f" order by {alive}start_time desc"
    ).fetchmany(_MOST_FILES)
    if not runs:
        return {}, {}, []
    if len(runs) > 1:
        problems.append(f"the newest of {len(runs)} runs was read: give the folder or store of one to read another")
    run = runs[0][0]
    said = dict(zip(("run", "run_name", "status", "start_time", "end_time"), map(_text, runs[0]), strict=True))
    points = []
    found = opened.execute(
        "select timestamp, step, key, value, is_nan from metrics where run_uuid = ? order by rowid", (run,)
    )
    settings: dict[str, object] = {}
    try:
        for at_ms, step, key, value, is_nan in found.fetchmany(_MOST_POINTS):
            at_s, value_read = _moment_s(at_ms), float("nan") if is_nan else number(value)
            if at_s is not None and value_read is not None and whole(step) is not None:
                points.append((at_s, whole(step) or 0, str(key), value_read))
        settings = dict(
            opened.execute("select key, value from params where run_uuid = ?", (run,)).fetchmany(_MOST_FILES)
        )
    except sqlite3.DatabaseError as problem:
        problems.append(f"the database is broken ({problem}): what could be read was kept")
    return said, settings, points


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _of_folder(path: Path, problems: list[str]) -> tuple[dict[str, str], dict[str, object], list[Point]]:
    runs = [path] if (path / "metrics").is_dir() else _folders(path)
    newest = max(runs, key=_order, default=None)
    if newest is None:
        return {}, {}, []
    if len(runs) > 1:
        problems.append(f"the newest of {len(runs)} runs was read: give the folder of one to read another")
    meta = _meta(newest)
    meta["status"] = _STATES.get(meta.get("status", ""), meta.get("status", ""))
    meta["run"] = meta.get("run_id", "")
    settings: dict[str, object] = {
        name: place.read_text("utf-8", "replace")[:1000] for name, place in _files(newest, "params")
    }
    points = []
    for name, place in _files(newest, "metrics"):
        for line_number, line in lines_of(place, problems):
            if not line.strip():
                continue
            at_ms, value, step = (*line.split()[:3], None, None, None)[:3]
            at_s, value_read = _moment_s(at_ms), number(value)
            if at_s is None or value_read is None:
                problems.append(f"{name}, line {line_number}: no `moment value step`")
                continue
            points.append((at_s, whole(step) or 0, name, value_read))
    # One file a metric: only the moments say what was told together.
    return meta, settings, sorted(points, key=lambda point: point[0])


def _order(run: Path) -> tuple[bool, float]:
    """Deleted runs first, then by their beginnings."""
    meta = _meta(run)
    return meta.get("lifecycle_stage") != "deleted", finite(meta.get("start_time")) or 0.0


def _files(run: Path, kind: str) -> Iterator[tuple[str, Path]]:
    """The files of a run's metrics or params, by names that may hold slashes."""
    try:
        places = sorted(place for place in (run / kind).rglob("*") if place.is_file())[:_MOST_FILES]
    except OSError:
        return
    for place in places:
        if not place.name.startswith("."):
            yield place.relative_to(run / kind).as_posix(), place


def _folders(path: Path) -> list[Path]:
    """The runs in a folder of an experiment, or of all of them."""
    try:
        found = [
            place.parent for pattern in ("*/metrics", "*/*/metrics") for place in path.glob(pattern) if place.is_dir()
        ]
    except OSError:
        return []
    return sorted(found)[:_MOST_FILES]


def _meta(run: Path) -> dict[str, str]:
    """The plain lines of a run's `meta.yaml`."""
    try:
        text = (run / "meta.yaml").read_text("utf-8", "replace")[:100_000]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.splitlines() if not line.startswith((" ", "-")))
    return {name.strip(): value.strip().strip("'\"") for name, _, value in pairs}
