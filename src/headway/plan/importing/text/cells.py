"""Amounts in the cells of a table, as people write them: `10k`, `1,000`, `30-45 min`, `2h 30m`.

Owns their form; what a column means is the importer's.
"""

from __future__ import annotations

import re
from typing import Final

from headway.plan.reading.yaml import Text

UNITS: Final = (
    (r"min", "min"), (r"days?|\bd\b", "days"), (r"sec|\bs\b", "s"), (r"hour|hrs?|\bh\b|gpu-?h|time|wall|dur", "h"),
)  # fmt: skip
NUMBER = re.compile(r"(\d[\d,]*(?:\.\d+)?)\s*(?:([-–—]|to)\s*(\d[\d,]*(?:\.\d+)?))?\s*([a-zA-Z]*)")


def amount(cell: Text) -> str:
    """`10k`, `1,000`, `3` as the plan writes counts."""
    found = NUMBER.search(cell)
    if found is None:
        return "1"
    unit = found[4].lower() if found[4].lower() in ("k", "m") else ""
    return f"{found[1].replace(',', '')}{unit.replace('m', 'M')}"


def time(cell: Text, usual: str, gpus: int = 1) -> str:
    """`2.5 h`, `30-45 min`; a bare number is of the column's unit. GPU-hours are divided by their GPUs."""
    found = NUMBER.search(cell)
    if found is None:
        return ""
    if both := re.search(r"(\d+)\s*h\w*\s*(\d+)\s*m", cell):
        return f"{(int(both[1]) + int(both[2]) / 60) / max(1, gpus):g} h"
    unit = next((u for p, u in UNITS if found[4] and re.match(p, found[4].lower())), usual)
    low, high = (part and f"{float(part.replace(',', '')) / max(1, gpus):g}" for part in (found[1], found[3] or ""))
    return f"{low}-{high} {unit}" if high and float(high) >= float(low) else f"{low} {unit}"


def length(cell: Text) -> int:
    """Tokens of `2048`, `2,048` and `2k`, which for lengths is a power of two; 0 for anything else."""
    found = re.fullmatch(r"([0-9]{1,9})\s*([kK]?)(?:\s*tok\w*)?", cell.strip().replace(",", ""))
    return int(found[1]) * (1024 if found[2] else 1) if found is not None else 0
