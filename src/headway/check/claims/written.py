"""A figure at the precision it was written with: what it can stand for, how far from another, and as text.

Owns the reading of digits. What a figure should be is `computed`.
"""

from __future__ import annotations

import math
import re

from headway.domain.errors import Severity, UserError
from headway.domain.statement import Claim, Value
from headway.domain.units import Range, format_count, format_duration, format_number, format_share, parse

_NUMBER = re.compile(r"\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?")
_LAST_PIECE = re.compile(r"(\d[\d_.]*)\s*[^\d\s]+\s*$")
_UNIT = re.compile(r"[a-z]+$")
SECONDS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_IMPLIED = {"GPU-h": 3600.0, "days": 86400.0}
_ROUGH = re.compile(r"[~≈]|\b(?:about|around|roughly|approx)")
SLIP = 0.02
"""A difference up to this share is that of figures rounded before they were multiplied or added."""
GRAVE = 0.1
"""Beyond this share a figure is wrong, not merely careless."""
_FLOAT_ERROR = 1e-9


def values(claim: Claim) -> tuple[Value, ...]:
    """The figures of a claim; empty where it is words or yes and no, or unknown."""
    return tuple(value for value in claim.values if isinstance(value, Value) and not value.unknown)


def covered(value: Value) -> Range:
    """Everything that rounds to the figure as written: "14.2 d" is 14.15 to 14.25 days, "2.5-3 h" 2.45 to 3.5 hours.

    A sample, an expression or a sum covers itself only. Where the document's words say about (`~`, `≈`), a whole unit
    of the last digit that is not 0.
    """
    text = _figure(value)
    numbers = _NUMBER.findall(text)
    low, mid, high = value.range.low, value.range.mid, value.range.high
    if value.statistics or value.parts or not numbers:
        return value.range
    rough = bool(_ROUGH.search(value.stated_as))
    if math.isinf(high) or value.range.is_point or (low == 0.0 and len(numbers) == 1):
        half = _half(numbers[0], mid, value, rough) if len(numbers) == 1 else _half_of_last(text)
        return Range(max(0.0, low - half if low == mid else low), mid, high + half)
    if len(numbers) > 3:
        return value.range
    half_high = _half(numbers[-1], high, value, rough)
    half_low = _half(numbers[0], low, value, rough) if low else half_high
    return Range(max(0.0, low - half_low), mid, high + half_high)


def _figure(value: Value) -> str:
    """The text without what it comes after: `15 h` of `15 h after 1`."""
    return value.text.partition(" after ")[0]


def _half(number: str, end: float, value: Value, rough: bool) -> float:
    """Half a unit of a number's last digit, in base units, where the number stands for `end`."""
    written = float(number.replace("_", ""))
    base = end / written if written else _unit(value, number)
    digits, _, exponent = number.replace("_", "").lower().partition("e")
    whole, _, decimals = digits.partition(".")
    place = -len(decimals) + int(exponent or 0)
    if rough and not decimals:
        place += len(whole) - len(whole.rstrip("0"))
    return (1.0 if rough else 0.5) * 10.0**place * base


def _unit(value: Value, number: str) -> float:
    """Base units in one unit of a figure that is 0; 0 where its text does not tell."""
    if value.text == number and value.noun in _IMPLIED:
        return _IMPLIED[value.noun]
    try:
        return parse(value.text.replace(number, "1"), value.unit).range.high
    except UserError:
        return 0.0


def _half_of_last(text: str) -> float:
    """Half a unit of the smallest piece of a compound duration, `1h30m`; 0 for anything else."""
    piece = _LAST_PIECE.search(text)
    if piece is None:
        return 0.0
    try:
        return 0.5 * parse(piece[0], "s").range.mid / float(piece[1].replace("_", ""))
    except (UserError, ValueError, ZeroDivisionError):
        return 0.0


def gap(value: Value, computed: Range) -> float:
    """By which share the figure as written and what is computed miss each other; 0 where they meet."""
    return distance(covered(value), computed)


def distance(left: Range, right: Range) -> float:
    """By which share two ranges miss each other; 0 where they meet, infinite where one of them is nothing."""
    above, below = (right.low, left.high) if right.low > left.high else (left.low, right.high)
    if above <= below * (1 + _FLOAT_ERROR):
        return 0.0
    return above / below - 1 if below > 0 else math.inf


def ends_differ(value: Value, computed: Range) -> float:
    """The larger share by which an end of a range as written misses the same end of what is computed."""
    return max(
        distance(end_covered(value, high=high), Range.point(computed.high if high else computed.low))
        for high in (False, True)
    )


def end_covered(value: Value, *, high: bool) -> Range:
    """Everything that one end of a range as written can stand for."""
    around, ends = covered(value), value.range
    if not high:
        return Range(around.low, ends.low, 2 * ends.low - around.low)
    return (
        Range.point(math.inf) if math.isinf(ends.high) else Range(2 * ends.high - around.high, ends.high, around.high)
    )


def severity(share: float) -> Severity:
    """How bad it is to be off by a share: rounded on the way, careless, or wrong."""
    return "info" if share <= SLIP else "warning" if share <= GRAVE else "error"


def said(value: Value) -> str:
    """A figure as its author wrote it, with the unit that its key implies."""
    text = _figure(value)
    if value.noun in ("GPU-h", "days") and value.noun not in text:
        return f"{text} {value.noun}"
    return text or shown(value.range, value)


def shown(number: Range, like: Value) -> str:
    """A range as the author of `like` would write it: `8.56 h`, `81.7 GPU-h`, `37.4 to 59 min`, `over 54 min`."""
    low = _text(number.low, like)
    if math.isinf(number.high):
        return f"over {low}"
    high = _text(number.high, like)
    if low == high:
        return low
    figure, _, unit = low.rpartition(" ")
    return f"{figure if figure and high.endswith(f' {unit}') else low} to {high}"


def _text(number: float, like: Value) -> str:
    if like.unit == "s":
        if like.noun in ("GPU-h", "node-h"):
            return f"{format_number(number / 3600)} {like.noun}"
        return f"{format_number(number / 86400)} days" if like.noun == "days" else _time(number, like)
    if like.unit == "usd":
        return dollars(number)
    if like.unit == "joule":
        return f"{format_number(number / 3.6e6)} kWh"
    if like.unit == "share":
        return format_share(number)
    return f"{number:,.0f}" if like.unit == "count" and float(number).is_integer() else _plain(number, like)


def _time(seconds: float, like: Value) -> str:
    """Seconds in the unit of the author's own figure, where they are at least one of it."""
    unit = _UNIT.search(_figure(like))
    factor = SECONDS.get(unit[0], 0.0) if unit else 0.0
    fitting = factor and factor <= seconds < 1000 * max(factor, like.mid)
    return f"{format_number(seconds / factor)} {unit[0]}" if fitting and unit else format_duration(seconds)


def _plain(number: float, like: Value) -> str:
    return format_count(number) if like.unit == "count" else format_number(number)


def dollars(amount: float) -> str:
    """Money for people: cents below $100, where there are any."""
    return f"${amount:,.2f}" if amount < 100 and round(amount % 1, 2) % 1 else f"${amount:,.0f}"
