"""Cells of a row: numbers, and facts that stand in its notes.

Owns parsing only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

Row = Mapping[str, str]


class Unreadable(Exception):
    """A row cannot be described; its text is the reason, the same for all rows of one kind."""


def number(row: Row, name: str) -> float | None:
    """The number in a cell; None where it is empty, absent or no number."""
    try:
        return float(row.get(name) or "")
    except ValueError:
        return None


def count(row: Row, name: str) -> int | None:
    """A whole number of at least 1, else None."""
    value = number(row, name)
    return None if value is None or value < 1 else round(value)


def noted(row: Row, pattern: str) -> re.Match[str] | None:
    """What a pattern finds in the notes or in the list of derived cells."""
    return re.search(pattern, f"{row.get('notes', '')}; {row.get('derived', '')}", re.IGNORECASE)
