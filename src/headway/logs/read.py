"""`read_log`: the log of a run from whatever file or folder holds it.

Owns which reader is asked and what several files of one folder say together; the formats are `formats/`.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from headway.domain.errors import Position, UserError
from headway.domain.observation import Observation, RunLog, times_of
from headway.logs import READERS
from headway.logs.reader import HEAD_BYTES, Reader
from headway.logs.text import head_of

MOST_FILES: Final = 5_000
"""Files of a folder that are looked at."""
DEEPEST: Final = 5
"""Folders below the given one that are looked into: `OUTPUT/runs/MOMENT_HOST/`, `lightning_logs/version_0/`."""
POINTER: Final = b"version https://git-lfs.github.com/spec/v1"
"""What a file begins with that Git LFS has left in the place of a large one."""
SURE: Final = 0.4
"""A file in a folder is read where a reader is at least so sure: a folder holds texts that are no logs."""


def read_log(path: str | os.PathLike[str]) -> RunLog:
    """The log at `path`, its format found by its name and first bytes.

    Of a folder, the log that says most, with what other files of its run know. Raises UserError for no such file,
    an empty one, and one that no reader knows.
    """
    place = Path(path)
    try:
        if place.is_dir():
            return _of_folder(place)
        if not place.is_file():
            what = "something that is no file" if place.exists() else "no such file"
            raise UserError("a run log is a file or a folder", got=f"{place.name or place}: {what}")
        return _of_file(place)
    except (OSError, ValueError, ArithmeticError) as problem:
        why = getattr(problem, "strerror", None) or str(problem)
        raise UserError("a run log is a file or a folder that can be read", got=f"{place.name}: {why}") from problem


def _of_file(path: Path) -> RunLog:
    if not path.stat().st_size:
        raise UserError("a run log says something", got="an empty file", where=Position(path.name))
    if head_of(path, len(POINTER)) == POINTER:
        raise UserError("a run log is a file, not what stands for one", got="a pointer of Git LFS",
                        hint="Fetch it: git lfs pull.", where=Position(path.name))  # fmt: skip
    ranked = _ranked(path)
    surest: UserError | None = None
    for _, reader in ranked:
        try:
            return reader.read(path)
        except UserError as problem:
            # A likelier reader that finds nothing in it leaves it to the next, but knows best what is wrong.
            surest = surest or problem
    if surest is None or ranked[0][0] < SURE:
        # Any text at all is asked whether it is a console's: that it is not says little of what it is.
        raise _unknown(path, surest.got if surest else "")
    raise surest


def _unknown(path: Path, got: str = "") -> UserError:
    return UserError(
        "a run log is of a format that headway reads",
        got=got or "something else",
        hint=f"Formats: {', '.join(READERS)}.",
        where=Position(path.name),
    )


def _ranked(path: Path) -> list[tuple[float, Reader]]:
    """How surely which readers claim `path`, the surest first."""
    head = b"" if path.is_dir() else head_of(path, HEAD_BYTES)
    claims = [(float(reader.claims(path, head)), reader) for reader in READERS.values()]
    return [pair for pair in sorted(claims, key=lambda pair: -pair[0]) if pair[0] > 0]


def _of_folder(path: Path) -> RunLog:
    """A folder that a reader claims whole, or the best of the logs in it."""
    if ranked := _ranked(path):
        try:
            return ranked[0][1].read(path)
        except UserError:
            pass
    found = _candidates(path)
    runs = _runs([place for _, place in found], path)
    few = _few(found, runs)
    read = {place: log for place in few if (log := _quietly(place)) is not None}
    # By their places in the folder: a run's checkpoints and attempts have files of one name.
    logs = {place: replace(log, name=place.relative_to(path).as_posix()) for place, log in read.items()}
    if not logs:
        raise UserError(
            "a folder of a run holds a log that headway reads",
            got=path.name or str(path),
            hint=f"Formats: {', '.join(READERS)}.",
        )
    best, *others = sorted(logs, key=lambda place: _says(logs[place]), reverse=True)
    unread = set(few) - logs.keys()
    apart = {run for place, run in runs.items() if place not in unread} - {runs[best]}
    return _combined(logs[best], [logs[place] for place in others if runs[place] == runs[best]], sorted(apart), path)


CHECKPOINT: Final = re.compile(r"checkpoint-(\d{1,15})")
LAST_CHECKPOINT: Final = "last-checkpoint"
"""The folder that the newest one of a run is pushed to (transformers, `hub_strategy="checkpoint"`)."""


def _runs(places: list[Path], path: Path) -> dict[Path, str]:
    """The folder of the run that each file is of: its checkpoints lie in it, event files in its `runs/MOMENT_HOST/`.

    Where nothing but event files is there, each folder of `runs/` is a run.
    """
    found = {place: _home(place.parent.relative_to(path)) for place in places}
    homes = set(found.values())
    for place, folder in found.items():
        outer = next((part.parent for part in (folder, folder.parent) if part.name == "runs"), folder)
        found[place] = outer if "tfevents" in place.name and outer in homes else folder
    return {place: folder.as_posix() for place, folder in found.items()}


def _home(folder: Path) -> Path:
    """The folder of the run of which `folder` may be a checkpoint."""
    inside = CHECKPOINT.fullmatch(folder.name) or folder.name == LAST_CHECKPOINT
    return _home(folder.parent) if inside else folder


def _candidates(path: Path) -> list[tuple[float, Path]]:
    """The files of a folder that look like logs, and how surely each does."""
    found: list[tuple[float, Path]] = []
    seen = 0
    for folder, folders, names in os.walk(path):
        here = Path(folder)
        if len(here.relative_to(path).parts) >= DEEPEST:
            folders.clear()
        folders.sort()
        for name in sorted(names):
            seen += 1
            if seen > MOST_FILES:
                return found
            place = here / name
            if (sure := _sure(place)) >= SURE:
                found.append((sure, place))
    return found


STATE: Final = "trainer_state.json"
MOST_READ: Final = 12
MOST_NAMED: Final = 4


def _few(found: list[tuple[float, Path]], runs: Mapping[Path, str]) -> list[Path]:
    """At most twelve files, the surest; of each run one trainer state, of its end or of the furthest checkpoint."""
    kept = [item for item in found if item[1].name != STATE]
    states: dict[str, tuple[float, Path]] = {}
    for item in (item for item in found if item[1].name == STATE):
        run = runs[item[1]]
        states[run] = max(states.get(run, item), item, key=lambda one: _checkpoint(one[1]))
    kept += states.values()
    return [place for _, place in sorted(kept, key=lambda item: -item[0])[:MOST_READ]]


def _checkpoint(path: Path) -> tuple[float, float]:
    """The order of `checkpoint-500/trainer_state.json` among its like; the one of no checkpoint was written last."""
    folder = path.parent.name
    steps = float(match[1]) if (match := CHECKPOINT.fullmatch(folder)) else math.inf
    return (steps, -1.0 if folder == LAST_CHECKPOINT else path.stat().st_mtime)


def _sure(path: Path) -> float:
    """How surely a file of a folder is a log."""
    try:
        if not path.is_file() or not path.stat().st_size:
            return 0.0
        head = head_of(path, HEAD_BYTES)
        return 0.0 if head.startswith(POINTER) else max(float(reader.claims(path, head)) for reader in READERS.values())
    except (OSError, UserError):
        return 0.0


def _quietly(path: Path) -> RunLog | None:
    try:
        return _of_file(path)
    except UserError:
        return None


def _says(log: RunLog) -> tuple[bool, float, int]:
    """How much a log tells: whether of single times of steps or epochs, of how many, and how many observations it has.

    The one mean that totals have, at a rate that was rounded, may seem to be of more steps than were done.
    """
    said = log.of_rank_0
    times = times_of(said)
    steps = times["step"].units if "step" in times else 0.0
    timed = sum(item.kind in ("step", "epoch") and item.seconds is not None for item in said)
    return (timed > 1, steps + len(times), len(log.observations))


def _combined(best: RunLog, others: list[RunLog], runs: list[str], path: Path) -> RunLog:
    """The best log, with facts that other files of its run alone know, and samples of the machine where it has none."""
    facts: dict[str, float | str] = {}
    for log in reversed(others):
        machine = all(item.kind == "device" for item in log.observations)
        facts |= {name: value for name, value in log.facts.items() if not (machine and name == "gpus")}
    total = best.total_steps or next((log.total_steps for log in others if log.total_steps), None)
    also = [f"read from {best.name}"] if others or runs else []
    also += [f"also there: {_named([log.name for log in others])}"] if others else []
    also += [f"not of its run: {_named(runs)}"] if runs else []
    return replace(
        best,
        name=path.name or best.name,
        observations=best.observations + _samples(best, others),
        facts=facts | dict(best.facts),
        total_steps=total,
        problems=best.problems + (("; ".join(also),) if also else ()),
    )


def _named(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _samples(best: RunLog, others: list[RunLog]) -> tuple[Observation, ...]:
    """Samples of the machine in other files of a run whose own log has none.

    They have moments where both say when they began; else nobody knows how their clocks stand to each other.
    """
    if any(item.kind == "device" for item in best.observations):
        return ()
    found: list[Observation] = []
    for log in others:
        ours_s, theirs_s = _began_s(best), _began_s(log)
        later_s = None if ours_s is None or theirs_s is None else theirs_s - ours_s
        for item in log.observations:
            at_s = None if item.at_s is None or later_s is None else item.at_s + later_s
            if item.kind == "device" and (at_s is None or at_s >= 0):
                found.append(replace(item, at_s=at_s))
    return tuple(found)


def _began_s(log: RunLog) -> float | None:
    """When a run began, in seconds since 1970; None where it does not say, or in local time of nobody knows where."""
    said = log.facts.get("started")
    if not isinstance(said, str):
        return said
    try:
        moment = datetime.fromisoformat(said)
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo else None
