"""How findings put lists into words: the first few by name, the others by number.

Owns the shortening. The whole list stands in a finding's evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

MOST = 4
"""Names that a sentence bears."""


def listed(names: Sequence[str], most: int = MOST) -> str:
    """`a`, `a and b`, `a, b and c`, `a, b, c and 7 more`."""
    shown = list(names) if len(names) <= most else [*names[: most - 1], f"{len(names) - most + 1:,} more"]
    return joined(shown)


def joined(words: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`: all of them."""
    items = list(words)
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)


def counted(number: int, noun: str) -> str:
    """`1 run`, `2 runs`, `1,000 runs`; `noun` takes an s."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
