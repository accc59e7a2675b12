"""Rows of a dataset's own file, counted where the plan does not say how many there are.

Owns which files are counted, and how. What the text of a row is, is the business of whoever trains on it.
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from typing import Final

from headway.domain.statement import Value
from headway.domain.units import Range
from headway.plan.reading.yaml import Node

TEXTS: Final = (".jsonl", ".json", ".txt")
"""A row on each line, a list of rows, a row on each line."""
COUNTED_BYTES: Final = 200_000_000
"""Of a file with rows on its lines, at most: about half a second. Rows of a longer one are worked out from its
beginning."""
LISTED_BYTES: Final = 50_000_000
"""A longer list is not read: about half a second too, and ten times as much memory."""
PIECE_BYTES: Final = 1 << 20
BEGINNING: Final = Range(0.9, 1.0, 1.1)
"""Rows of a long file over those that its beginning lets expect. Assumed, for files whose rows are shuffled."""


def rows(origin: str, folder: str, node: Node) -> Value | None:
    """Rows of the file `origin` (relative to `folder`), as said at `node`.

    None for what is no file of texts, or holds none that can be counted.
    """
    path = os.path.join(folder, origin)
    if not origin.endswith(TEXTS) or not os.path.isfile(path):
        return None
    try:
        about = os.stat(path)
        count, read_bytes = _counted(path, about.st_size, about.st_mtime_ns)
    except (OSError, ValueError, RecursionError):
        return None
    if not count:
        return None
    found, note = Range.point(float(count)), f"counted in {origin}"
    if read_bytes < about.st_size:
        found = BEGINNING * float(round(count * about.st_size / read_bytes))
        note = f"from the first {read_bytes / 1e6:,.0f} MB of {origin}"
    return Value(range=found, unit="count", noun="rows", text=f"{found.mid:,.0f}", note=note, where=node.where)


@lru_cache(maxsize=64)
def _counted(path: str, size_bytes: int, changed_ns: int) -> tuple[int, int]:
    """Rows, and the bytes that they were counted in; a plan is expanded anew for each of its options."""
    return _listed(path, size_bytes) if path.endswith(".json") else _lines(path)


def _lines(path: str) -> tuple[int, int]:
    """Lines with something on them, in the first `COUNTED_BYTES`; a line without an end is read piece by piece."""
    count = read_bytes = 0
    something = False
    with open(path, "rb") as file:
        while read_bytes < COUNTED_BYTES and (piece := file.readline(PIECE_BYTES)):
            read_bytes += len(piece)
            something = something or bool(piece.strip())
            if piece.endswith(b"\n"):
                count += something
                something = False
    return count + something, read_bytes


def _listed(path: str, size_bytes: int) -> tuple[int, int]:
    """Items of the list that a JSON file is, or of the first list in it."""
    if size_bytes > LISTED_BYTES:
        return 0, 0
    with open(path, encoding="utf-8") as file:
        said = json.load(file)
    if isinstance(said, dict):
        said = next((one for one in said.values() if isinstance(one, list)), None)
    return (len(said) if isinstance(said, list) else 0), size_bytes
