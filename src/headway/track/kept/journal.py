"""What a tracked run writes: its events, flushed one by one, and one record when it ends.

Owns the folder `.headway/runs/RUN_ID/` and the document `headway.run/1`. Nothing here raises into a training loop: what
cannot be written is said once, and the run goes on.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from headway.check.verdicts.ran import SCHEMA as RUN_SCHEMA
from headway.domain.errors import UserError
from headway.domain.observation import EVENTS_FILE, SCHEMA, Observation, Timed, timed_in
from headway.domain.record import Record, utc_text
from headway.track.screen import warn
from headway.track.slowdowns.machine import device_in_use
from headway.worker.machine.host import host_cpu

WATCHED_BY = "HEADWAY_WATCHED_BY"
"""The variable in which `watch -- COMMAND` tells the command the id of its own run: both are one training."""


def now() -> str:
    """The moment, as records write it."""
    return utc_text(datetime.now(UTC))


def new_id() -> str:
    """Time and chance: `20261121-165201-3f9a`; sorts by time, and two runs of one second differ."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


class Journal:
    """The events of one run on disk, and their sums."""

    def __init__(
        self,
        header: Mapping[str, Any],
        *,
        plan_file: str = "",
        folder: str | os.PathLike[str] | None = None,
        run: str = "",
        started: str = "",
    ) -> None:
        """`started`: the moment from which events count; now, where it is not given. `run`: its id; else a new one."""
        from headway.store.place import folder_of, place_of

        self.run, self.started = run or new_id(), started or now()
        # a training may change its working directory
        self._folder, self._place = folder_of(plan_file or None).absolute(), place_of(plan_file or None)
        if self._place != "none" and "://" not in self._place:
            self._place = os.path.abspath(self._place)
        watched_by = os.environ.get(WATCHED_BY, "")
        self._header = {**header, **({"watched_by": watched_by} if watched_by else {})}
        self._seconds: dict[str, float] = {}
        self._units: dict[str, float] = {}
        self._out = -1
        self.path: Path | None = None
        try:
            self._open(Path(folder) if folder is not None else None)
        except (OSError, UserError) as error:
            warn(f"no events are written: {getattr(error, 'strerror', None) or error}")

    def _open(self, folder: Path | None) -> None:
        from headway.store.place import prepared

        if folder is None:
            folder = prepared(self._folder) / "runs" / self.run
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / EVENTS_FILE
        # appended to, never cut: a folder that is given twice holds two attempts
        self._out = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.head()

    def head(self, **more: Any) -> None:
        """What the run says of itself, with `more` than it said before: of several heads the last counts."""
        self._header |= more
        said = {"schema": SCHEMA, "started": self.started, "run": self.run, **self._header, "host": host_cpu()}
        self._line(json.dumps(said, ensure_ascii=False))

    def write(self, item: Observation) -> None:
        """One event, out of this process when the call returns: kill -9 does not lose it."""
        for term, timed in timed_in(item):
            self._seconds[term] = self._seconds.get(term, 0.0) + timed.seconds
            self._units[term] = self._units.get(term, 0.0) + timed.units
        self._line(item.to_line())

    def _line(self, text: str) -> None:
        if self._out < 0:
            return
        try:
            os.write(self._out, f"{text}\n".encode("utf-8", "replace"))
        except OSError as error:
            os.close(self._out)
            self._out = -1
            warn(f"events are no longer written: {error.strerror}")

    def times(self) -> dict[str, Timed]:
        """Seconds and units by term so far."""
        return {term: Timed(seconds=seconds, units=self._units[term]) for term, seconds in self._seconds.items()}

    def record(
        self,
        *,
        wall_s: float,
        steps: int,
        total_steps: int | None,
        stage: str,
        name: str,
        epochs: tuple[int, int | None] | None = None,
        source: str = "headway",
        command: str = "headway.track",
    ) -> Record:
        """The run as `headway.run/1`, as it stands now: `steps` are those that it did itself, `source` told of it.

        `epochs`: those that it did itself and those meant, of a run that tells of no steps.
        """
        stages = {stage: {term: {"seconds": t.seconds, "units": t.units} for term, t in self.times().items()}}
        device = str(self._header.get("device", "") or device_in_use())
        body = {
            "schema": RUN_SCHEMA,
            "run": self.run,
            "plan": self._header.get("plan", ""),
            "experiment": self._header.get("experiment", ""),
            "stages": stages,
            "wall_s": wall_s,
            "started": self.started,
            "ended": now(),
            "device": device,
            "machine": {"device": device, "host": host_cpu()},
            "source": source,
            "name": name,
            "steps": steps,
            "total_steps": total_steps,
            "problems": [],
            **({} if epochs is None else {"epochs": epochs[0], "total_epochs": epochs[1]}),
            **{name: said for name, said in self._header.items() if name == "watched_by"},
        }
        return Record(kind="run", body=body, made=now(), by=_provenance(command))

    def keep(self, record: Record) -> str | None:
        """Append the record to the store beside the plan; None, with a warning, where that fails."""
        try:
            from headway.store import open_store

            if self._place == "none":
                return None
            with open_store(self._place) as store:
                return store.append(record)
        except Exception as error:  # whatever a store's library raises, the training goes on
            warn(f"the run was not recorded: {error}")
            return None

    def close(self) -> None:
        """Let go of the file; more than once does nothing."""
        if self._out >= 0:
            os.close(self._out)
            self._out = -1

    __del__ = close  # a loop may go on after its end, so that nothing else knows when it is over


def _provenance(command: str) -> dict[str, str]:
    from headway import __version__

    return {"headway": __version__, "command": command, "host": host_cpu()}
