"""Rows of a dataset's own file, counted where the plan does not say how many there are.

Owns which files are counted, and how. What the text of a row is, is the business of whoever trains on it.
"""

from __future__ import annotations

import json
import os
from typing import Final

from headway.domain.statement import Value
from headway.domain.units import Range
from headway.plan.reading.yaml import Node

TEXTS: Final = (".jsonl", ".json", ".txt")
"""A row on each line, a list of rows, a row on each line."""
COUNTED_BYTES: Final = 200_000_000
"""Of a file, at most: half a second. Rows of a longer one are worked out from its beginning."""
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
        size = os.path.getsize(path)
        count = _listed(path, size) if origin.endswith(".json") else _lines(path)
    except (OSError, ValueError, RecursionError):
        return None
    if not count:
        return None
    found, note = Range.point(float(count)), f"counted in {origin}"
    if size > COUNTED_BYTES:
        found = BEGINNING * float(round(count * size / COUNTED_BYTES))
        note = f"from the first {COUNTED_BYTES // 1_000_000} MB of {origin}"
    return Value(range=found, unit="count", noun="rows", text=f"{found.mid:,.0f}", note=note, where=node.where)


def _lines(path: str) -> int:
    """Lines with something on them, in the first `COUNTED_BYTES`."""
    count = read = 0
    with open(path, "rb") as file:
        for line in file:
            count += bool(line.strip())
            read += len(line)
            if read >= COUNTED_BYTES:
                break
    return count


def _listed(path: str, size: int) -> int:
    """Items of the list that a JSON file is, or of the first list in it."""
    if size > COUNTED_BYTES:
        return 0
    with open(path, encoding="utf-8") as file:
        said = json.load(file)
    if isinstance(said, dict):
        said = next((one for one in said.values() if isinstance(one, list)), None)
    return len(said) if isinstance(said, list) else 0
