"""The events of a run as they are written: a header, then one line at a time, each on its way before the next.

Owns the file and the moments; what is said in an event is its program's.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from headway.domain.errors import UserError
from headway.domain.observation import EVENTS_FILE, SCHEMA, Observation
from headway.domain.record import utc_text


class Events:
    """Writes observations to standard output, and to `events.jsonl` of a folder where one is given.

    In a folder that has events already, a run that goes on adds to them as its next attempt.
    """

    def __init__(self, out: str | None, header: Mapping[str, Any], *, resume: bool, began: float) -> None:
        """`began`: the moment of `time.perf_counter` at which the program began. Raises UserError for a used folder."""
        self._began = began
        self._before_s = 0.0
        self.attempt = 0
        self._file: TextIO | None = None
        self._streams_out = True
        started = datetime.fromtimestamp(time.time() - (time.perf_counter() - began), UTC)
        first = {"schema": SCHEMA, "started": utc_text(started), **header}
        if out is not None:
            self._open(Path(out), first, started, resume)
        self._write(json.dumps(first, ensure_ascii=False), [sys.stdout])

    def _open(self, folder: Path, header: Mapping[str, Any], started: datetime, resume: bool) -> None:
        path = folder / EVENTS_FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            said = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
            if said and not resume:
                raise UserError("a run's folder must be new, or the run go on", got=f"{EVENTS_FILE} is there",
                                hint="Set resume, or name another folder.")  # fmt: skip
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise UserError("the run's folder must be writable", got=error.strerror or str(error)) from None
        if not said:
            self._write(json.dumps(header, ensure_ascii=False), [self._file])
            return
        if not said.endswith("\n"):  # the last attempt died while it wrote
            self._write("", [self._file])
        self.attempt, first = _earlier(said)
        if first is not None:
            self._before_s = max((started - first).total_seconds(), 0.0)

    def say(self, said: Observation) -> None:
        """Write one observation, with its moment and attempt."""
        at_s = round(self._before_s + time.perf_counter() - self._began, 6)
        self._write(replace(said, at_s=at_s, attempt=self.attempt).to_line(), self._streams())

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _streams(self) -> list[TextIO]:
        return ([self._file] if self._file is not None else []) + ([sys.stdout] if self._streams_out else [])

    def _write(self, line: str, streams: list[TextIO]) -> None:
        for stream in streams:
            try:
                stream.write(line + "\n")
                stream.flush()
            except BrokenPipeError:
                if stream is not sys.stdout or self._file is None:
                    raise
                self._streams_out = False  # nobody reads; the file has it all
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _earlier(said: str) -> tuple[int, datetime | None]:
    """Attempts that a file of events already has, and when the first one started."""
    begun, started = 0, None
    for line in said.splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if not isinstance(found, dict):
            continue
        begun += found.get("kind") == "begin"
        if started is None and found.get("schema") == SCHEMA:
            try:
                started = datetime.fromisoformat(str(found.get("started")))
            except ValueError:
                continue
    return begun, started
