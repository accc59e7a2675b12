"""`read_log`: the log of a run from whatever file or folder holds it.

Owns which reader is asked and what several files of one folder say together; the formats are `formats/`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Final

from headway.domain.errors import Position, UserError
from headway.domain.observation import RunLog, times_of
from headway.logs import READERS
from headway.logs.reader import HEAD_BYTES, Reader
from headway.logs.text import head_of

MOST_FILES: Final = 5_000
"""Files of a folder that are looked at."""
DEEPEST: Final = 5
"""Folders below the given one that are looked into: `OUTPUT/runs/MOMENT_HOST/`, `lightning_logs/version_0/`."""
SURE: Final = 0.4
"""A file in a folder is read where a reader is at least so sure: a folder holds texts that are no logs."""


def read_log(path: str | os.PathLike[str]) -> RunLog:
    """The log at `path`, its format found by its name and first bytes.

    Of a folder, the log that says most, with what the others know of the whole run. Raises UserError for no such file,
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
    # By their places in the folder: a run's checkpoints and attempts have files of one name.
    found = [(place, log) for place in _candidates(path) if (log := _quietly(place)) is not None]
    logs = [replace(log, name=place.relative_to(path).as_posix()) for place, log in found]
    if not logs:
        raise UserError(
            "a folder of a run holds a log that headway reads",
            got=path.name or str(path),
            hint=f"Formats: {', '.join(READERS)}.",
        )
    best, *others = sorted(logs, key=_says, reverse=True)
    return _combined(best, others, path)


def _candidates(path: Path) -> list[Path]:
    """The files of a folder that look like logs, of many checkpoints' states the newest one alone."""
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
                return _few(found)
            place = here / name
            if (sure := _sure(place)) >= SURE:
                found.append((sure, place))
    return _few(found)


MOST_READ: Final = 12
MOST_NAMED: Final = 4


def _few(found: list[tuple[float, Path]]) -> list[Path]:
    """At most twelve files, the surest; one trainer state, that of the furthest checkpoint or of the run's end."""
    states = [item for item in found if item[1].name == "trainer_state.json"]
    kept = [item for item in found if item not in states]
    kept += [max(states, key=lambda item: _checkpoint(item[1]))] if states else []
    return [place for _, place in sorted(kept, key=lambda item: -item[0])[:MOST_READ]]


def _checkpoint(path: Path) -> tuple[float, float]:
    """The order of `checkpoint-500/trainer_state.json` among its like; the one of no checkpoint was written last."""
    tail = path.parent.name.rpartition("-")[2]
    steps = int(tail) if path.parent.name.startswith("checkpoint-") and tail.isdigit() and len(tail) < 16 else None
    return (float("inf") if steps is None else float(steps), path.stat().st_mtime)


def _sure(path: Path) -> float:
    """How surely a file of a folder is a log."""
    try:
        if not path.is_file() or not path.stat().st_size:
            return 0.0
        head = head_of(path, HEAD_BYTES)
        return max(float(reader.claims(path, head)) for reader in READERS.values())
    except (OSError, UserError):
        return 0.0


def _quietly(path: Path) -> RunLog | None:
    try:
        return _of_file(path)
    except UserError:
        return None


def _says(log: RunLog) -> tuple[float, int]:
    """How much a log tells of the run's times, then how many observations it has."""
    times = times_of(log.of_rank_0)
    steps = times["step"].units if "step" in times else 0.0
    return (steps + len(times), len(log.observations))


def _combined(best: RunLog, others: list[RunLog], path: Path) -> RunLog:
    """The best log, with facts that others alone know, and samples of the machine where it has none."""
    facts = {name: value for log in reversed(others) for name, value in log.facts.items()} | dict(best.facts)
    missing = tuple(
        item
        for log in others
        for item in log.observations
        if item.kind == "device" and not any(own.kind == "device" for own in best.observations)
    )
    total = best.total_steps or next((log.total_steps for log in others if log.total_steps), None)
    named = ", ".join(log.name for log in others[:MOST_NAMED])
    more = f" and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
    also = (f"read from {best.name}; also there: {named}{more}",) if others else ()
    return replace(
        best,
        name=path.name or best.name,
        observations=best.observations + missing,
        facts=facts,
        total_steps=total,
        problems=best.problems + also,
    )
