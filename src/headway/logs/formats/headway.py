"""Our own files of events: `events.jsonl`, a header and an observation on each line (`domain.observation`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from headway.domain.errors import Position, UserError
from headway.domain.observation import EVENTS_FILE, SCHEMA, Observation, RunLog
from headway.logs.repair import settled
from headway.logs.text import Problems, as_text, lines_of, mapping_in, whole

NAME: Final = "headway"
FACTS: Final = ("micro_batch", "grad_accum", "gpus", "device", "host", "plan", "experiment", "stage", "started", "run",
                "watched_by")  # fmt: skip


def claims(path: Path, head: bytes) -> float:
    """By the schema in the first line; by the name where that line was lost."""
    text = as_text(head)
    if '"headway.events/' in text[:4_096]:
        return 1.0
    return 0.6 if path.name == EVENTS_FILE and '"kind"' in text else 0.0


def read(path: Path) -> RunLog:
    """The events at `path`. Raises UserError where no line of it is one."""
    problems = Problems()
    headers: list[Mapping[str, Any]] = []
    found = settled(_events(path, headers, problems), problems)
    if not headers and not found:
        raise UserError("a file of events has a header and events", got="neither", where=Position(path.name))
    header = {name: value for said in reversed(headers) for name, value in said.items()}
    if headers:  # an attempt that goes further says how far; the run is the one that was begun
        header |= {name: headers[-1][name] for name in ("total_steps", "stage") if name in headers[-1]}
    facts = {name: value for name in FACTS if isinstance(value := header.get(name), str | int | float) and value != ""}
    total = whole(header.get("total_steps"))
    return RunLog(
        format=NAME,
        name=path.name,
        observations=found,
        total_steps=total if total and total > 0 else None,
        facts=facts,
        problems=tuple(problems),
    )


def _events(path: Path, headers: list[Mapping[str, Any]], problems: list[str]) -> Iterator[Observation]:
    """The events of a file; a header adds to `headers`, any other line to `problems`."""
    for number, line in lines_of(path, problems):
        if not line.strip():
            continue
        said = mapping_in(line)
        if said is None:
            problems.append(f"line {number}: not whole JSON, left out")
        elif "schema" in said and "kind" not in said:
            headers.append(said)
            if said["schema"] != SCHEMA:
                problems.append(f"line {number}: schema {str(said['schema'])[:40]!r}, this headway reads {SCHEMA}")
        else:
            try:
                yield Observation.from_mapping(said)
            except UserError as problem:
                problems.append(f"line {number}: {problem}")
