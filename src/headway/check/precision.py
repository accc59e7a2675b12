"""Figures at the precision they were written with: `2.5M` is 2.45M to 2.55M, and more where it says about.

Owns the reading of digits. What a figure is compared with is a rule's affair.
"""

from __future__ import annotations

import re

from headway.domain.statement import Value
from headway.domain.units import Range

_NUMBER = re.compile(r"\d[\d_]*(?:\.\d+)?")
_ROUGH = re.compile(r"[~≈]|\babout\b|\baround\b|\broughly\b")
ROUGHLY = 0.1
"""Doubt that a document's `~45 s` (`stated_as`) admits, at least."""


def as_written(value: Value) -> Range:
    """The values, in base units, that a writer of these digits may have had in mind.

    Half a unit of the last digit that is not a trailing zero, on both sides: `14.2` is 14.15 to 14.25, `500` is 450
    to 550. The ends of a range are widened each by its own digits.
    """
    numbers = _NUMBER.findall(value.text)
    low, high = (_half(numbers[at]) if numbers else 0.0 for at in (0, -1))
    if _ROUGH.search(value.stated_as):
        low, high = max(low, ROUGHLY), max(high, ROUGHLY)
    return Range(value.range.low * (1 - low), value.mid, value.range.high * (1 + high))


def overlap(one: Range, other: Range) -> bool:
    """True when some value lies in both."""
    return one.low <= other.high and other.low <= one.high


def _half(number: str) -> float:
    """Half a unit of a number's last telling digit, as a share of the number."""
    digits = number.replace("_", "")
    value = float(digits)
    if value == 0:
        return 0.0
    whole, _, decimals = digits.partition(".")
    places = -len(decimals) if decimals else len(whole) - len(whole.rstrip("0"))
    return float(0.5 * 10.0**places / value)
