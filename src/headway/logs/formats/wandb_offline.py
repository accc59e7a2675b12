"""Offline run files of Weights & Biases (`run-ID.wandb`), without its package.

Owns the framing, which is LevelDB's log (https://github.com/google/leveldb/blob/main/doc/log_format.md) after a head
of seven bytes and with CRC-32 of zlib, and the fields of wandb/proto/wandb_internal.proto that tell of times.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from mmap import mmap
from pathlib import Path
from typing import Any, Final

from headway.domain.errors import Position, UserError
from headway.domain.observation import Observation, RunLog
from headway.logs import rows, wire
from headway.logs.text import Problems, finite, whole

NAME = "wandb_offline"
MAGIC: Final = b":W&B\xe1\xbe"
_BLOCK_BYTES: Final = 32_768
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_RECORD: Final = {2: "history", 3: "summary", 5: "config", 7: "stats", 17: "run", 18: "exit", 26: "environment"}
"""Fields of `Record` that are read."""
STEPS: Final = (
    ("train/global_step", 0),
    ("trainer/global_step", 1),
    ("global_step", 0),
    ("train/step", 0),
    ("update_step", 0),
    ("train/update_step", 0),
    ("step", 0),
    ("iteration", 0),
    ("iter", 0),
    ("_step", 0),
    ("Step", 0),
)
"""Keys that count steps, the surest first, and what to add: Lightning names the step that it is in."""
OF_CALLS: Final = {"_step", "Step"}
"""Of these, those that W&B counts itself: a run may log more or less often than once a step."""
OF_CALLS_SAID: Final = "steps are W&B's own count of what was logged (_step): the run named no other"
_GPU: Final = re.compile(r"^gpu\.(\d+)\.([A-Za-z]+)")
_GPU_VALUES: Final = {
    "gpu": ("utilisation", 0.01),
    "memory": ("memory_utilisation", 0.01),
    "memoryAllocatedBytes": ("memory_bytes", 1.0),
    "temp": ("temperature_c", 1.0),
    "powerWatts": ("power_w", 1.0),
    "smClock": ("clock_hz", 1e6),
}
_HOST_VALUES: Final = {
    "cpu": ("cpu_utilisation", 0.01),
    "memory_percent": ("host_memory_utilisation", 0.01),
    "proc.memory.rssMB": ("process_memory_bytes", 1 << 20),
}


def claims(path: Path, head: bytes) -> float:
    """How surely `path` is an offline run file, or a run's folder with one in it."""
    if not head and path.is_dir():
        return 0.9 if "run" in path.name and _inside(path) is not None else 0.0
    return 1.0 if head.startswith(MAGIC) else 0.5 if path.suffix == ".wandb" else 0.0


def read(path: Path) -> RunLog:
    """The log of one offline run. Raises UserError where nothing of a run can be read."""
    place = (_inside(path) or path) if path.is_dir() else path
    run = _Run()
    with wire.mapped(place) as data:
        for at, record in _records(data, run.problems):
            try:
                run.take(record)
            except (wire.WireError, ValueError, OverflowError) as problem:
                run.problems.append(f"byte {at:,}: a record that cannot be read ({problem}) was left out")
    if not run.told and not run.samples and not run.facts:
        wrong = run.problems[0] if run.problems else "no record of one"
        raise UserError("a W&B file holds a run", got=wrong, where=Position(place.name))
    return run.log(path.name)


class _Run:
    """What the records of a file add up to."""

    def __init__(self) -> None:
        self.told: list[dict[str, float]] = []
        """The history, by name."""
        self.samples: list[Observation] = []
        self.facts: dict[str, float | str] = {}
        self.problems = Problems()
        self._config: dict[str, object] = {}
        self._summary: dict[str, object] = {}
        self._began_s: float | None = None
        self._took_s: float | None = None
        self._ended = False

    def take(self, record: bytes) -> None:
        """Adds one record. Raises WireError for bytes that are none."""
        for number, value in wire.fields(record):
            kind = _RECORD.get(number)
            if kind == "history":
                self.told.append(dict(flattened(_items(wire.inner(value), 1))))
            elif kind == "summary":
                self._summary |= _items(wire.inner(value), 1)
            elif kind == "stats":
                self._stats(wire.inner(value))
            elif kind == "config":
                self._config |= _items(wire.inner(value), 1)
            elif kind == "run":
                self._run(wire.inner(value))
            elif kind == "exit":
                self._exit(wire.inner(value))
            elif kind == "environment":
                self._environment(wire.inner(value))

    def log(self, name: str) -> RunLog:
        """Everything as a log."""
        begun = [rows.Row(at_s=self._began_s, begins=True)] if self._began_s is not None else []
        said = [*begun, *self._rows()]
        observations, final = rows.told(said, self.problems)
        zero_s = rows.first_moment(said)
        observations = rows.with_device(observations, self.samples, zero_s)
        if self._ended:
            latest_s = max((item.at_s for item in observations if item.at_s is not None), default=0.0)
            # The file has it in whole seconds.
            observations = (*observations, Observation(kind="end", at_s=max(latest_s, self._took_s or 0.0)))
        elif self.told:
            self.problems.append("the file has no end: the run was stopped, or goes on")
        facts = {**self.facts, **rows.facts_of(self._config), **rows.final_facts(self._summary), **final}
        facts |= rows.started(said)
        total = rows.total_steps(facts)
        return RunLog(
            format=NAME,
            name=name,
            observations=observations,
            total_steps=total,
            facts=facts,
            problems=tuple(self.problems),
        )

    def _rows(self) -> list[rows.Row]:
        axis = axis_of(self.told)
        if axis[0] in OF_CALLS:
            self.facts["step_axis"] = axis[0]
            self.problems.append(OF_CALLS_SAID)
        found = []
        for said in self.told:
            values = {name: value for name, value in said.items() if not name.startswith("_") and name != axis[0]}
            found.append(row_of(said, axis, finite(said.get("_timestamp")), values))
        return found

    def _stats(self, message: bytes) -> None:
        at_s = next((wire.moment_s(value) for number, value in wire.fields(message) if number == 2), None)
        self.samples += samples_of(dict(flattened(_items(message, 3))), at_s)

    def _run(self, message: bytes) -> None:
        for number, value in wire.fields(message):
            if number == 4:
                self._config |= _items(wire.inner(value), 1)
            elif number in (1, 3, 8):
                self.facts[{1: "run", 3: "project", 8: "run_name"}[number]] = wire.text(value)
            elif number == 17:
                self._began_s = wire.moment_s(value)

    def _exit(self, message: bytes) -> None:
        said = dict(wire.fields(message))
        self._ended = True
        self._took_s = float(wire.signed(said[2])) if 2 in said else None
        self.facts["exit_code"] = float(wire.signed(said.get(1, 0)))

    def _environment(self, message: bytes) -> None:
        said = dict(wire.fields(message))
        if 18 in said:
            self.facts["device"] = wire.text(said[18])
        if gpus := said.get(19):
            self.facts["gpus"] = float(wire.signed(gpus))
        if cores := said.get(16):
            self.facts["cpu_cores"] = float(wire.signed(cores))


def axis_of(told: Sequence[Mapping[str, object]]) -> tuple[str, int]:
    """The key that counts the steps of a run in all its rows, and what to add to it; "" and 0 where there is none.

    The surest of those that stand beside a loss or a learning rate: another may be of evaluations alone.
    """
    names = {name for said in told for name in said}
    telling = {name for name in names if rows.TELLS.search(name) and not rows.EVALUATION.search(name)}
    for some in ([said for said in told if not telling.isdisjoint(said)], told):
        for name, more in STEPS:
            if any(finite(said.get(name)) is not None for said in some):
                return name, more
    return "", 0


def row_of(
    said: Mapping[str, object], axis: tuple[str, int], at_s: float | None, values: Mapping[str, float]
) -> rows.Row:
    """A row with the step that `said` has under the run's axis; without one it is of no step."""
    step = whole(said.get(axis[0]))
    if step is not None and not any(map(rows.TEST.search, values)):  # what is tested after the last step names all
        step += axis[1]
    return rows.Row(at_s=at_s, step=step, values=values, counted=step is not None or not axis[0])


def samples_of(values: Mapping[str, float], at_s: float | None) -> list[Observation]:
    """The machine as W&B names its parts (`gpu.0.temp`, `cpu`): one observation a GPU, whose number is the rank."""
    found: dict[int, dict[str, float]] = {}
    for key, value in values.items():
        match = _GPU.match(key)
        name, factor = (_GPU_VALUES if match else _HOST_VALUES).get(match[2] if match else key, ("", 0.0))
        if name:
            found.setdefault(int(match[1]) if match else 0, {})[name] = value * factor
    return [Observation(kind="device", at_s=at_s, values=found[gpu], rank=gpu) for gpu in sorted(found)]


def flattened(items: Mapping[str, object], inside: str = "", depth: int = 0) -> Iterator[tuple[str, float]]:
    """The numbers among JSON values, those of inner objects by dotted names."""
    for name, value in items.items():
        if isinstance(value, Mapping):
            if depth < 8:
                yield from flattened(value, f"{inside}{name}.", depth + 1)
        elif (found := rows.as_number(value)) is not None:
            yield f"{inside}{name}", found


def _items(message: bytes, field: int) -> dict[str, object]:
    """The items of a record (`key` or `nested_key`, `value_json`) that stand in field number `field`.

    W&B's own shape of settings, `{"value": ...}`, is undone.
    """
    found: dict[str, object] = {}
    for number, value in wire.fields(message):
        if number != field:
            continue
        key, nested, text = "", list[str](), ""
        for inner_number, inner in wire.fields(wire.inner(value)):
            if inner_number == 1:
                key = wire.text(inner)
            elif inner_number == 2:
                nested.append(wire.text(inner))
            elif inner_number == 16:
                text = wire.text(inner)
        found[key or ".".join(nested)] = _json(text)
    return found


def _json(text: str) -> object:
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found["value"] if isinstance(found, dict) and set(found) <= {"value", "desc"} and "value" in found else found


def _records(data: mmap, problems: list[str]) -> Iterator[tuple[int, bytes]]:
    """Place and bytes of each record, put together from its pieces; a broken block costs what stands in it."""
    at, end = 7, len(data)
    begun, pieces = 0, list[bytes]()
    while end - at >= 7:
        room = _BLOCK_BYTES - at % _BLOCK_BYTES
        if room < 7:
            at += room
            continue
        wanted, size, kind = struct.unpack("<IHB", data[at : at + 7])
        piece = data[at + 7 : at + 7 + size]
        if kind == 0 and size == 0:
            at += room  # the rest of a block is filled with zeros
            continue
        if at + 7 + size > end:
            problems.append(f"byte {at:,}: the last record is cut off, as of a run that was stopped or goes on")
            return
        if size > room - 7 or not _FULL <= kind <= _LAST or zlib.crc32(piece, zlib.crc32(bytes([kind]))) != wanted:
            problems.append(f"byte {at:,}: a broken record; reading goes on with the next block")
            at, pieces = at + room, []
            continue
        if kind in (_FULL, _FIRST):
            begun, pieces = at, []
        elif not pieces:
            at += 7 + size  # the end of a record whose beginning was lost
            continue
        pieces.append(piece)
        if kind in (_FULL, _LAST):
            yield begun, b"".join(pieces)
            pieces = []
        at += 7 + size


def _inside(folder: Path) -> Path | None:
    """The run file of a folder `offline-run-MOMENT-ID`."""
    try:
        return next(iter(sorted(folder.glob("run-*.wandb"))), None)
    except OSError:
        return None
