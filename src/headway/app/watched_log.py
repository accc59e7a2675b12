"""The verb `watch` of a run in progress: its files, read again and again until it ends.

Owns which files are meant and when they are read. Reading them is `logs/`, what is left of the run `watched.py`.
"""

from __future__ import annotations

import os
import shlex
import stat
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from headway.app.process import say
from headway.app.watched import MAKE_VISIBLE, Asked, Follower, verify_command
from headway.domain.errors import UsageError, UserError
from headway.domain.observation import EVENTS_FILE, Observation, RunLog
from headway.domain.units import format_duration
from headway.logs.formats.headway import NAME as OWN
from headway.report.watch_view import WatchAnswer
from headway.track.screen import fitted, is_terminal, put

READ_SHARE = 0.1
"""Reading a log may take so much of the time: a large one is read less often."""


def watch_log(place: str, asked: Asked) -> WatchAnswer:
    """Follow a run by its files until it ends, or they no longer grow for `stale_s`; once, where that is asked.

    `place` is a folder, a log of any format that headway reads, or a run's id; the newest run beside the plan where it
    is empty. Raises UsageError where there is no such thing, UserError for a file that is no run log, and for a folder
    without one: at once where it is looked at once, else where it has none before it is stale.
    """
    path = _found(place, asked)
    shown, changed_s, arrivals = "", time.time(), Arrivals()
    while True:
        began = time.monotonic()
        log, problem = _log(path)
        took_s, changed_s = time.monotonic() - began, _changed(path, changed_s)
        age_s = max(0.0, time.time() - changed_s)
        stale = age_s > asked.stale_s
        if problem is not None and (asked.once or stale or not path.is_dir()):
            raise problem
        follower, since_s = _followed(log, asked, age_s, arrivals)
        if asked.once or stale or (follower.ended and age_s >= follower.settles_s):
            return _answer(follower, path, log, age_s, since_s, stale)
        line = follower.line(since_s) if problem is None else f"waiting: {problem}"
        if not asked.quiet and line != shown:
            _show(line)
            shown = line
        time.sleep(max(asked.every_s, took_s / READ_SHARE))


class Arrivals:
    """When steps or epochs came into a log that says nothing of times: between two looks at it."""

    def __init__(self) -> None:
        self._known: int | None = None
        self._last_s: float | None = None
        self._seconds: dict[int, float] = {}

    def timed(self, said: Sequence[Observation], now_s: float) -> list[Observation]:
        """What a log says, with the time of what came while it was looked at; as it is where it says times itself."""
        places = [index for index, item in enumerate(said) if item.kind in ("step", "epoch")]
        if any(said[index].seconds is not None or said[index].at_s is not None for index in places):
            return list(said)
        before = len(places) if self._known is None or len(places) < self._known else self._known
        if len(places) > before:
            if self._last_s is not None:
                each_s = (now_s - self._last_s) / (len(places) - before)
                self._seconds |= dict.fromkeys(places[before:], each_s)
            self._last_s = now_s
        self._known = len(places)
        return [replace(item, seconds=self._seconds.get(index)) if index in self._seconds else item
                for index, item in enumerate(said)]  # fmt: skip


def _followed(log: RunLog | None, asked: Asked, age_s: float, arrivals: Arrivals) -> tuple[Follower, float]:
    """The run as its log tells it, and the seconds since its last progress: samples of the machine may be newer."""
    follower = Follower(asked)
    if log is None:
        return follower, age_s
    said = arrivals.timed(log.of_rank_0, time.monotonic())
    follower.tells_its_end = log.format == OWN
    follower.take(said, log.total_steps)
    done = log.facts.get("steps_done")
    if isinstance(done, int | float) and done > follower.remaining.step:  # a checkpoint without a row of a log
        follower.take([Observation(kind="step", step=int(done))], log.total_steps)
    last_s = max((item.at_s for item in said if item.at_s is not None), default=0.0)
    return follower, age_s + max(0.0, last_s - follower.remaining.elapsed_s)


def _answer(
    follower: Follower, path: Path, log: RunLog | None, age_s: float, since_s: float, stale: bool
) -> WatchAnswer:
    if log is None:
        raise UserError("a run log says something", got=f"{path.name}, empty for {format_duration(age_s)}",
                        hint=MAKE_VISIBLE)  # fmt: skip
    state = "ended" if follower.ended else "stale" if stale else "running"
    found = follower.answer(f"Run {path.name}", state, log.format, since_s if state == "running" else 0.0)
    remarks = [*found.remarks]
    remarks += [f"{text[:1].upper()}{text[1:]}." for text in log.problems[:5]]
    if state == "stale":
        remarks.insert(0, f"Nothing was written for {format_duration(age_s)}: the run may have died.")
    if not found.times:
        remarks.append(f"The log says nothing of how long anything took. {MAKE_VISIBLE}")
    again = f"headway watch {shlex.quote(str(path))}"
    then = again if state == "running" else verify_command(str(path), follower.asked)
    then = then if found.times else ""
    return replace(found, remarks=tuple(remarks), next_command=then)


def _log(path: Path) -> tuple[RunLog | None, UserError | None]:
    """What the files say; nothing where there is nothing in them yet, and why they cannot be read as a log."""
    from headway.logs.read import read_log

    if not any(file.st_size for file in _files(path)):
        return None, None
    try:
        return read_log(path), None
    except UserError as problem:
        return None, problem


def _files(path: Path) -> list[os.stat_result]:
    """The files of a run as they are now; a training deletes its old checkpoints while they are looked at."""
    names = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
    found: list[os.stat_result] = []
    for name in names or [str(path)]:
        with suppress(OSError):
            found.append(os.stat(name))
    return [file for file in found if stat.S_ISREG(file.st_mode)]


def _changed(path: Path, before_s: float) -> float:
    """When the newest file was written, by the clock of files; `before_s` where all have gone."""
    with suppress(OSError):
        before_s = path.stat().st_mtime
    return max((file.st_mtime for file in _files(path)), default=before_s)


def _found(place: str, asked: Asked) -> Path:
    """The path that is meant by a path, a run's id, its beginning or last part, or by nothing."""
    from headway.store.place import folder_of

    if place and Path(place).exists():
        return Path(place)
    runs = folder_of(asked.plan or None) / "runs"
    known = sorted(events.parent for events in runs.glob(f"*/{EVENTS_FILE}")) if os.path.isdir(runs) else []
    named = [folder for folder in known if folder.name.startswith(place) or folder.name.endswith(f"-{place}")]
    if place and len(named) != 1:
        raise UsageError(
            "a run's folder, its log or its id is watched, or a command after --",
            got=f"{place}: {'several runs' if named else 'no such file, folder or run'}",
            hint=f"headway watch -- {place} ... runs a command." if not named else "",
            candidates=tuple(folder.name for folder in named[-3:]),
        )
    if not named:
        raise UsageError("a run is watched", got=f"none: there is no run in {runs}",
                         hint="headway watch -- python train.py, or headway watch OUTPUT_FOLDER.")  # fmt: skip
    return named[-1]


def _show(line: str) -> None:
    """One line that replaces the one before, on a terminal."""
    if is_terminal():
        put(f"\r\x1b[K{fitted(line)}")
    else:
        say(line)
