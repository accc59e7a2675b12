"""TensorBoard event files, as torch, tensorboardX, TensorFlow, the Hugging Face Trainer and Lightning write them.

Owns the framing of TFRecord files (https://www.tensorflow.org/tutorials/load_data/tfrecord) and the fields of
tensorboard/compat/proto/{event,summary,tensor}.proto that hold scalars; no TensorFlow is needed to read them.
"""

from __future__ import annotations

import json
import math
import re
import struct
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from heapq import merge
from mmap import mmap
from pathlib import Path
from typing import Final

from headway.domain.errors import Position, UserError
from headway.domain.observation import RunLog
from headway.logs import rows, wire
from headway.logs.text import Problems

NAME = "tfevents"
FILE = re.compile(r"tfevents\.\d+")
_SUMMED_BYTES: Final = 1 << 20
"""Longer records (images, graphs) hold no scalars and are passed over: a sum in Python costs 0.1 s a megabyte."""
_SEARCHED_BYTES: Final = 1 << 20
"""Of a broken file, in search of a record that is whole."""
_MOST_FILES: Final = 1000
Scalar = tuple[float, int, str, float]
"""Moment, step, tag and value."""
_VERSUS: Final = re.compile(r" vs (?!iter|step)")
"""In the name of a tag that is told over samples, tokens or FLOP instead of steps (Megatron, DeepSpeed)."""
_DTYPES: Final = {1: "f", 2: "d", 3: "i", 4: "B", 5: "h", 6: "b", 9: "q", 19: "e", 22: "I", 23: "Q"}
"""Number of a type in tensorflow/core/framework/types.proto -> its code in `struct`."""


def claims(path: Path, head: bytes) -> float:
    """How surely `path` is an event file, or a folder of nothing else's."""
    if not head and path.is_dir():
        return 0.8 if _files_in(path) or (path.name == "runs" and any(map(_files_in, _folders_in(path)))) else 0.0
    if len(head) >= 12 and struct.unpack("<I", head[8:12])[0] == wire.masked_crc32c(head[:8]):
        return 1.0
    return 0.6 if FILE.search(path.name) else 0.0


def read(path: Path) -> RunLog:
    """The log of one event file; of a folder, that of its files in the order of their beginnings, as attempts.

    Raises UserError where there is nothing of a run in them.
    """
    problems = Problems()
    files = _started(path, problems) if path.is_dir() else [EventFile.at(path)]
    told = [row for file in files for row in file.rows()]
    if not told:
        wrong = next((file.problems[0] for file in files if file.problems), "no scalars")
        raise UserError("an event file of TensorBoard holds scalars", got=wrong, where=Position(path.name))
    for file in files:
        problems.extend(f"{file.name}: {said}" if len(files) > 1 else said for said in file.problems)
    observations, facts = rows.told(told, problems)
    settings = {name: value for file in files for name, value in file.settings.items()}
    facts = rows.facts_of(settings) | facts | rows.started(told)
    total = rows.total_steps(facts)
    return RunLog(
        format=NAME,
        name=path.name,
        observations=observations,
        total_steps=total,
        facts=facts,
        problems=tuple(problems),
    )


@dataclass(slots=True)
class EventFile:
    """What one event file holds."""

    name: str
    began_s: float | None = None
    scalars: list[Scalar] = field(default_factory=list)
    settings: dict[str, object] = field(default_factory=dict)
    problems: Problems = field(default_factory=Problems)
    counts_from_0: bool = False
    """Lightning names the step that it is in, not how many were done."""

    @classmethod
    def at(cls, path: Path) -> EventFile:
        """The file at `path`. Raises UserError where it cannot be read."""
        found = cls(path.name)
        with wire.mapped(path) as data:
            for at, record in _records(data, found.problems):
                try:
                    found.take(record)
                except (wire.WireError, ValueError, OverflowError) as problem:
                    found.problems.append(f"byte {at:,}: a record that is no event ({problem}) was left out")
        tags = {tag for _, _, tag, _ in found.scalars}
        found.counts_from_0 = "epoch" in tags and ("hp_metric" in tags or (path.parent / "hparams.yaml").exists())
        return found

    def take(self, record: bytes) -> None:
        """Adds the scalars and settings of one event. Raises WireError for bytes that are none."""
        at_s, step, summaries = math.nan, 0, []
        for number, value in wire.fields(record):
            if number == 1:
                at_s = wire.double(value)
            elif number == 2:
                step = wire.signed(value)
            elif number == 5:
                summaries.append(wire.inner(value))
        if not math.isfinite(at_s):
            raise wire.WireError("its moment is no number")
        self.began_s = at_s if self.began_s is None else self.began_s
        for summary in summaries:
            for number, value in wire.fields(summary):
                if number == 1:
                    self._value(at_s, step, wire.inner(value))

    def _value(self, at_s: float, step: int, message: bytes) -> None:
        tag = ""
        found: float | bytes | None = None
        for number, value in wire.fields(message):
            if number == 1:
                tag = wire.text(value)
            elif number == 2:
                found = wire.single(value)
            elif number == 8:
                found = _of_tensor(wire.inner(value))
        if isinstance(found, float):
            self.scalars.append((at_s, step, tag, found))
        elif isinstance(found, bytes) and tag.startswith("args"):
            self._settings(found)

    def _settings(self, message: bytes) -> None:
        """The arguments of a Hugging Face Trainer, which it writes as a text."""
        try:
            said = json.loads(message)
        except (ValueError, RecursionError):
            return
        if isinstance(said, dict):
            self.settings.update(said)

    def rows(self) -> list[rows.Row]:
        """The scalars as rows: those of one step and one kind that were written together."""
        found = [rows.Row(at_s=self.began_s, begins=True)] if self.began_s is not None and self.scalars else []
        if (first := _epoch_of_0(self.scalars)) is not None:
            told = rows.grouped(self.scalars)
            epochs = [float((row.step or 0) + first) for row in told]
            return [*found, *(replace(row, step=None, values={**row.values, "epoch": epoch})
                              for row, epoch in zip(told, epochs, strict=True))]  # fmt: skip
        apart = _other_axes(self.scalars)
        # Lightning tests after its last step, and says how many there were.
        tags = {tag for _, _, tag, _ in self.scalars}
        done = {tag for tag in tags if not self.counts_from_0 or rows.TEST.search(tag)}
        own = rows.grouped(
            (at_s, step + (tag not in done), tag, value) for at_s, step, tag, value in self.scalars if tag not in apart
        )
        others = rows.grouped(point for point in self.scalars if point[2] in apart)
        aside = [replace(row, step=None, counted=False) for row in others]
        return [*found, *merge(own, aside, key=lambda row: row.at_s or 0.0)]


def _epoch_of_0(scalars: list[Scalar]) -> int | None:
    """The epoch whose rows stand at step 0, where epochs are counted in the place of steps; None where steps are.

    The callback of Keras says which epoch it is in, that of Ultralytics how many were done.
    """
    epochs = {step for _, step, tag, _ in scalars if tag.startswith("epoch_")}
    others = {step for _, step, tag, _ in scalars if not tag.startswith("epoch_")}
    if epochs and (not others or (_in_turn(epochs) and max(others) <= max(epochs))):
        return 1
    tags = {tag for _, _, tag, _ in scalars}
    if "lr/pg0" in tags and any(tag.startswith("metrics/mAP") for tag in tags):
        return 0 if min(others) > 0 else 1
    return None


def _in_turn(epochs: set[int]) -> bool:
    """Whether each number follows the one before, as those of epochs do."""
    return max(epochs) - min(epochs) + 1 == len(epochs) and (len(epochs) > 1 or 0 in epochs)


def _other_axes(scalars: list[Scalar]) -> set[str]:
    """Tags that are told over something else than steps: over samples as Megatron's `… vs samples`, over epochs.

    They are known by the place in the file: their steps lie outside of those before and after them of the tag that
    tells most of the training. That tag's own may go back, as after a restart.
    """
    told: dict[str, list[tuple[int, int]]] = {}
    for place, (_, step, tag, _) in enumerate(scalars):
        told.setdefault(tag, []).append((place, step))
    named = {tag for tag in told if tag.startswith("epoch_")}
    in_epochs = named if named and _in_turn({step for tag in named for _, step in told[tag]}) else set()
    apart = in_epochs | {tag for tag in told if _VERSUS.search(tag)}
    kept = [tag for tag in told if tag not in apart]
    if not kept:
        return set()
    lead = max(kept, key=lambda tag: (not rows.EVALUATION.search(tag), bool(rows.TELLS.search(tag)), len(told[tag])))
    return apart | {tag for tag in kept if _lies_outside(told[tag], told[lead])}


def _lies_outside(points: list[tuple[int, int]], lead: list[tuple[int, int]]) -> bool:
    """Whether half of a tag's points or more, place and step, do not fit between those of `lead`."""
    places = [place for place, _ in lead]
    steps = [-math.inf, *(step for _, step in lead), math.inf]
    outside = 0
    for place, step in points:
        at = bisect(places, place)
        # Where `lead` itself goes back, anything fits.
        outside += steps[at] <= steps[at + 1] and not steps[at] <= step <= steps[at + 1]
    return 2 * outside >= max(1, len(points))


def _records(data: mmap, problems: list[str]) -> Iterator[tuple[int, bytes]]:
    """Place and bytes of each record whose sums are right; what is wrong is said in `problems` and passed over."""
    at, end, searched = 0, len(data), 0
    while end - at >= 12:
        head = data[at : at + 12]
        size, sum_of_size = struct.unpack("<QI", head)
        if wire.masked_crc32c(head[:8]) != sum_of_size:
            found = _next_record(data, at + 1, min(end, at + 1 + _SEARCHED_BYTES - searched))
            problems.append(
                f"byte {at:,}: no record begins here" + ("" if found else ", nor soon after: the rest is lost")
            )
            if not found:
                return
            searched, at = searched + found - at, found
            continue
        if size > end - at - 16:
            problems.append(f"byte {at:,}: the last record is cut off, as of a run that was stopped or goes on")
            return
        if size <= _SUMMED_BYTES:
            record = data[at + 12 : at + 12 + size]
            if wire.masked_crc32c(record) == int.from_bytes(data[at + 12 + size : at + 16 + size], "little"):
                yield at, record
            else:
                problems.append(f"byte {at:,}: a record whose sum is wrong was left out")
        at += 16 + size
    if at < end:
        problems.append(f"byte {at:,}: the last record is cut off, as of a run that was stopped or goes on")


def _next_record(data: mmap, start: int, end: int) -> int | None:
    """Where the next whole head of a record stands, in `start` to `end`: the upper half of its length is zeros."""
    at = data.find(b"\0\0\0\0", start + 4, end)
    while at >= 0:
        if wire.masked_crc32c(data[at - 4 : at + 4]) == int.from_bytes(data[at + 4 : at + 8], "little"):
            return at - 4
        at = data.find(b"\0\0\0\0", at + 1, end)
    return None


def _of_tensor(message: bytes) -> float | bytes | None:
    """The number of a TensorProto that holds one, the text of one that holds text; None for any other."""
    kind, content, said, texts, size = 0, b"", list[float](), list[bytes](), 1
    for number, value in wire.fields(message):
        if number == 1:
            kind = wire.signed(value)
        elif number == 2:
            size = _size(wire.inner(value))
        elif number == 4:
            content = wire.inner(value)
        elif number == 8:
            texts.append(wire.inner(value))
        elif number in (5, 6):
            said.append(_first_packed(value, number))
        elif number in (7, 10):
            said.append(float(wire.signed(wire.varint(value, 0)[0] if isinstance(value, bytes) else value)))
    if texts:
        return texts[0]
    if size != 1:
        return None
    if said:
        return said[0]
    code = _DTYPES.get(kind)
    return float(struct.unpack(f"<{code}", content)[0]) if code and len(content) == struct.calcsize(code) else None


def _first_packed(value: wire.Value, number: int) -> float:
    """The first of `float_val` or `double_val`, which may be packed."""
    width = 4 if number == 5 else 8
    piece = value[:width] if isinstance(value, bytes) else value
    return wire.single(piece) if number == 5 else wire.double(piece)


def _size(message: bytes) -> int:
    """Elements of a TensorShapeProto; 0 where that is unknown."""
    found = 1
    for number, value in wire.fields(message):
        if number == 2:
            found *= max(0, wire.signed(dict(wire.fields(wire.inner(value))).get(1, 0)))
    return found


def _files_in(folder: Path) -> list[Path]:
    try:
        return [item for item in folder.iterdir() if FILE.search(item.name) and item.is_file() and item.stat().st_size]
    except OSError:
        return []


def _folders_in(folder: Path) -> list[Path]:
    try:
        return sorted(item for item in folder.iterdir() if item.is_dir())[:_MOST_FILES]
    except OSError:
        return []


def _started(folder: Path, problems: list[str]) -> list[EventFile]:
    """The files of a folder by their beginnings; of several folders in it, the last run and those that it continues."""
    groups = [_files_in(folder)] if _files_in(folder) else [_files_in(inner) for inner in _folders_in(folder)]
    runs = []
    for paths in groups:
        files = []
        for path in paths[:_MOST_FILES]:
            try:
                files.append(EventFile.at(path))
            except UserError as problem:
                problems.append(str(problem))
        if any(file.scalars for file in files):
            runs.append(_one_by_one(sorted(files, key=lambda file: file.began_s or 0.0), problems))
    runs.sort(key=lambda files: files[0].began_s or 0.0)
    kept: list[EventFile] = []
    while runs and (not kept or _first_step(kept) > _first_step(runs[-1])):
        kept = [*runs.pop(), *kept]
    if runs:
        problems.append(f"{len(runs)} earlier runs in this folder were left out: give the folder of one to read it")
    return kept


def _one_by_one(files: list[EventFile], problems: list[str]) -> list[EventFile]:
    """Files by their beginnings without those that were written while another was: of other tags they are added to it,
    of the same tags they are another process's.
    """
    kept: list[EventFile] = []
    for file in files:
        before = next((one for one in reversed(kept) if one.scalars), None)
        if before is None or not file.scalars or (file.began_s or 0.0) >= before.scalars[-1][0]:
            kept.append(file)
        elif {tag for _, _, tag, _ in file.scalars} & {tag for _, _, tag, _ in before.scalars}:
            problems.append("several processes wrote event files of the same steps: the first one's are counted")
        else:
            before.scalars = list(merge(before.scalars, file.scalars, key=lambda scalar: scalar[0]))
            before.counts_from_0 = before.counts_from_0 or file.counts_from_0
            before.settings |= file.settings
            before.problems.extend(file.problems)
    return kept


def _first_step(files: list[EventFile]) -> int:
    """The first step that a run tells of: one that begins late was resumed from one before it."""
    return min((step for file in files for _, step, _, _ in file.scalars if step > 0), default=0)
