"""Checkpoints that are whole or not there: written beside, listed in a manifest, then renamed; found again by it.

Owns the folder's form and its order of writing. What belongs in one is `session.py`. A folder is trusted only with its
manifest and the files that it lists: transformers' own resume takes the newest folder for whole and goes on without an
optimizer where one is missing (transformers issues 35782, 35525).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from headway.domain.errors import UserError

MANIFEST = "manifest.json"
SCHEMA = "headway.checkpoint/1"
_NAME = re.compile(r"checkpoint-(\d+)")
_PARTIAL = ".partial"
_PIECE_BYTES = 1 << 22


class NotWritten(UserError):
    """The disk did not take a checkpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """Bytes that went to a disk or came from it, and how long that took."""

    seconds: float
    bytes: int
    check_s: float = 0.0
    """Of `seconds`, in making or comparing check sums, which an ordinary trainer does not do."""


def write_folder(place: Path, write: Callable[[Path], None], about: dict[str, Any]) -> Moved:
    """Let `write` fill a new folder that appears as `place` once all of it is on the disk; replaces an older one.

    Raises NotWritten where the disk is full or not writable; what was there before stays then.
    """
    began = time.perf_counter()
    beside = place.with_name(place.name + _PARTIAL)
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        write(beside)
        files, check_s = _listed(beside)
        (beside / MANIFEST).write_text(json.dumps({"schema": SCHEMA, **about, "files": files}), encoding="utf-8")
        _to_disk(beside / MANIFEST)
        _to_disk(beside)
        shutil.rmtree(place, ignore_errors=True)
        os.replace(beside, place)
        _to_disk(place.parent)
    except (OSError, RuntimeError, SafetensorError) as error:  # each library says "disk full" with a class of its own
        shutil.rmtree(beside, ignore_errors=True)
        why = error.strerror if isinstance(error, OSError) else None
        raise NotWritten("a checkpoint must be written", got=why or str(error).splitlines()[0],
                         hint="Free space on the disk, or name another folder.") from None  # fmt: skip
    total = sum(one["bytes"] for one in files.values())
    return Moved(seconds=time.perf_counter() - began, bytes=total, check_s=check_s)


def _listed(folder: Path) -> tuple[dict[str, dict[str, Any]], float]:
    """Bytes and sha256 of every file, each on the disk by then; seconds of the check sums."""
    found, check_s = {}, 0.0
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        _to_disk(path)
        began = time.perf_counter()
        found[path.relative_to(folder).as_posix()] = {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        check_s += time.perf_counter() - began
    return found, check_s


def _to_disk(path: Path) -> None:
    if path.is_dir() and os.name == "nt":  # Windows opens no folders
        return
    opened = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _sha256(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as opened:
        while piece := opened.read(_PIECE_BYTES):
            found.update(piece)
    return found.hexdigest()


def is_complete(folder: Path) -> bool:
    """Whether the folder holds every file of its manifest, byte for byte."""
    try:
        said = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = said["files"].items()
        return said["schema"] == SCHEMA and all(
            (folder / name).stat().st_size == one["bytes"] and _sha256(folder / name) == one["sha256"]
            for name, one in files
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def checkpoints(folder: Path) -> list[Path]:
    """The folders `checkpoint-STEP`, the newest step first, whole or not."""
    found = [(int(match[1]), path) for path in _inside(folder) if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found, reverse=True)]


def _inside(folder: Path) -> Iterator[Path]:
    return folder.iterdir() if folder.is_dir() else iter(())


def newest_complete(folder: Path) -> Path | None:
    """The newest whole checkpoint; says on standard error which ones are passed over."""
    for path in checkpoints(folder):
        if is_complete(path):
            return path
        print(f"warning: {path.name} is not whole and is passed over", file=sys.stderr)  # noqa: T201 - the program's own stream
    return None


def prune(folder: Path, keep: int | None) -> None:
    """Remove all but the newest `keep` checkpoints (None: none of them)."""
    for path in checkpoints(folder)[keep:] if keep else ():
        (path / MANIFEST).unlink(missing_ok=True)  # first, so that what is half removed is not taken for whole
        shutil.rmtree(path, ignore_errors=True)
