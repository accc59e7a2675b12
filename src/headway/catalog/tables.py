"""Reading the shipped data files of `catalog/data/`.

Owns how a table is opened; which columns mean what belongs to the module that owns the table.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files
from io import StringIO


@cache
def rows(table: str) -> tuple[dict[str, str], ...]:
    """Rows of `data/<table>.csv` as text by column, in file order; each file is parsed once, when first asked for."""
    text = (files("headway.catalog") / "data" / f"{table}.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(StringIO(text)))


def number(text: str) -> float | None:
    """A cell as a number; None where the table leaves it blank (unknown is never 0)."""
    return float(text) if text else None


def words(text: str) -> tuple[str, ...]:
    """A cell that lists several things, separated by `|`."""
    return tuple(part.strip() for part in text.split("|") if part.strip())
