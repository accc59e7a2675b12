"""Quantities at the door: text with a unit becomes a number in base units, and back for people to read.

Owns the spelling of units and ranges. Base units: seconds, bytes, dollars, watts, joules, FLOP per second, counts,
shares (0..1). GB is 1e9 bytes and GiB is 2**30. Rounding happens in `format_*` only.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

from headway.domain.errors import UserError


@dataclass(frozen=True, slots=True)
class Range:
    """Low, mid and high of one quantity, in one base unit; a point has all three equal."""

    low: float
    mid: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.mid <= self.high:
            raise UserError("a range runs from low to high", got=f"{self.low:g}-{self.mid:g}-{self.high:g}")

    @classmethod
    def point(cls, value: float) -> Range:
        """A range of no width."""
        return cls(value, value, value)

    @property
    def is_point(self) -> bool:
        """True when nothing is in doubt."""
        return self.low == self.high

    def __mul__(self, factor: float) -> Range:
        if factor < 0:
            raise ValueError("a range can be scaled by a positive factor only")
        return Range(self.low * factor, self.mid * factor, self.high * factor)

    __rmul__ = __mul__

    def __add__(self, other: Range) -> Range:
        """All lows add up, all highs add up."""
        return Range(self.low + other.low, self.mid + other.mid, self.high + other.high)

    def inverse(self) -> Range:
        """1/x: the high end becomes the low one."""
        return Range(1 / self.high, 1 / self.mid, 1 / self.low)


_TIME = {
    **dict.fromkeys(("ns",), 1e-9),
    **dict.fromkeys(("us", "µs"), 1e-6),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604800.0),
}
_SIZE = {"B": 1.0, "byte": 1.0, "bytes": 1.0}
for _power, _letter in enumerate("kMGTP", start=1):
    _SIZE |= {f"{_letter}B": 1000.0**_power, f"{_letter.upper()}B": 1000.0**_power}
    _SIZE |= {f"{_letter.upper()}iB": 1024.0**_power}
_SI = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9, "G": 1e9, "T": 1e12}

UNITS: Final[dict[str, dict[str, float]]] = {
    "s": _TIME,
    "bytes": _SIZE,
    "count": dict(_SI),
    "share": {"%": 0.01},
    "w": {"W": 1.0, "kW": 1e3, "MW": 1e6, "watt": 1.0, "watts": 1.0},
    "joule": {"J": 1.0, "kJ": 1e3, "MJ": 1e6, "Wh": 3600.0, "kWh": 3.6e6, "MWh": 3.6e9},
    "flop_per_s": {f"{p}FLOP/s": f for p, f in (("G", 1e9), ("T", 1e12), ("P", 1e15), ("E", 1e18))},
    "usd": {"$": 1.0, "USD": 1.0, "usd": 1.0},
    "x": {"": 1.0, "x": 1.0, "×": 1.0},
}
UNITS["bytes_per_s"] = {f"{u}/s": f for u, f in _SIZE.items()}
_EXAMPLES: Final[dict[str, str]] = {
    "s": "45 s, 2 h or 1h30m",
    "bytes": "80 GB or 24 GiB",
    "count": "4000, 10k or 1.5M",
    "share": "70%",
    "w": "450 W",
    "joule": "154 kWh",
    "flop_per_s": "989 TFLOP/s",
    "bytes_per_s": "900 GB/s",
    "usd": "$50",
    "usd_per_hour": "$3.06/h",
    "usd_per_kwh": "$0.15/kWh",
    "per_s": "2000 steps/h or 250 tokens/s",
    "per_hour": "5%/h",
    "x": "2-2.5-3",
}
_WHAT: Final[dict[str, str]] = {
    "s": "a duration",
    "bytes": "a size in bytes",
    "count": "a count",
    "share": "a share",
    "w": "a power",
    "joule": "an energy",
    "flop_per_s": "a FLOP rate",
    "bytes_per_s": "a bandwidth",
    "usd": "an amount of money",
    "usd_per_hour": "a price per hour",
    "usd_per_kwh": "a price per kWh",
    "per_s": "a rate",
    "per_hour": "a probability per time",
    "x": "a factor",
}

_NUMBER = r"(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_TOKEN = re.compile(rf"(?P<space>\s+)|(?P<cur>\$)|(?P<num>{_NUMBER})|(?P<dash>[-–—])|(?P<word>[^\s\d$–—-][^\s\d$–—-]*)")
_OPEN = re.compile(r"^(over|above|more than|at least|under|below|less than|at most|[<>≤≥])\s*", re.IGNORECASE)
_BELOW = {"under", "below", "less than", "at most", "<", "≤"}
_HYPHENED = {"GPU-h": "GPU·h", "node-h": "node·h", "GPU-hours": "GPU·h", "GPU-hour": "GPU·h", "node-hours": "node·h"}
_LABOUR = {"GPU·h": "GPU-h", "node·h": "node-h"}
MAX_TEXT: Final = 200
"""Longest text that is read as a quantity."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A parsed value: its range in the base unit of `dimension`, and what is counted (`steps`, `GPU-h`, ...)."""

    range: Range
    dimension: str
    noun: str = ""


def refuse(dimension: str, text: object, why: str = "") -> UserError:
    """The error for text that is not a quantity of `dimension`."""
    rule = f"{_WHAT[dimension]} is needed" + (f": {why}" if why else "")
    return UserError(rule, got=repr(text)[:80], hint=f"Write it like {_EXAMPLES[dimension]}.")


def parse(text: object, dimension: str) -> Quantity:
    """`text` as a quantity of `dimension` (a key of `UNITS`, or `per_s`, `per_hour`, `usd_per_hour`, `usd_per_kwh`).

    Reads points ("45 s"), ranges ("0.8-1.2 s", "0.8–1.2 s", low-mid-high "$10-12-15/h"; the mean of the ends is the
    middle of a pair), open bands ("over 1 s", "under 30 min") and compound durations ("1h30m"). Bare numbers are
    counts and factors only. Raises UserError on anything else: wrong unit, negative, NaN, infinite.
    """
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise refuse(dimension, text)
    if isinstance(text, int | float):
        return _bare(text, dimension)
    words = text.strip()
    if not words or len(words) > MAX_TEXT:
        raise refuse(dimension, text, "the text is empty" if not words else "the text is too long")
    if words == "negligible":
        return Quantity(Range.point(0.0), dimension)
    opening = _OPEN.match(words)
    ends = _ends(words[opening.end() :] if opening else words, text, dimension)
    values, noun = _values(ends, text, dimension)
    if opening:
        if len(values) != 1:
            raise refuse(dimension, text, "a band is open at one end only")
        below = opening.group(1).lower() in _BELOW
        return Quantity(
            Range(0.0 if below else values[0], values[0], values[0] if below else math.inf), dimension, noun
        )
    return Quantity(_span(values, text, dimension), dimension, noun)


def parse_any(text: object) -> Quantity:
    """`text` as whatever quantity its unit says; a bare number is a count. Raises UserError when none fits."""
    for dimension in (
        "usd_per_kwh",
        "usd_per_hour",
        "usd",
        "per_hour",
        "share",
        "s",
        "bytes",
        "joule",
        "w",
        "per_s",
        "count",
    ):
        try:
            return parse(text, dimension)
        except UserError:
            continue
    raise UserError(
        "a quantity is a number with a unit", got=repr(text)[:80], hint="Write it like 45 s, 80 GB, $50 or 10k."
    )


def _bare(number: float, dimension: str) -> Quantity:
    if dimension not in ("count", "x"):
        raise refuse(dimension, number, "the unit is missing")
    if not math.isfinite(number) or number < 0:
        raise refuse(dimension, number, "it must be finite and not negative")
    return Quantity(Range.point(float(number)), dimension)


def _span(values: list[float], text: object, dimension: str) -> Range:
    """One, two or three ends as a range."""
    if len(values) > 3:
        raise refuse(dimension, text, "a range has two ends, and a middle at most")
    if values != sorted(values):
        raise refuse(dimension, text, "a range runs from low to high")
    middle = values[1] if len(values) == 3 else (values[0] + values[-1]) / 2
    return Range(values[0], middle, values[-1])


def _ends(words: str, text: object, dimension: str) -> list[list[tuple[float, str]]]:
    """The ends of a range, each a list of (number, unit words): `1h30m` is one end of two pieces."""
    for hyphened, joined in _HYPHENED.items():
        words = words.replace(hyphened, joined)
    ends: list[list[tuple[float, str]]] = [[]]
    position = 0
    currency = False
    while position < len(words):
        token = _TOKEN.match(words, position)
        if token is None:
            raise refuse(dimension, text)
        position = token.end()
        if token["cur"]:
            currency = True
        elif token["num"]:
            ends[-1].append((float(token["num"].replace("_", "")), "$" if currency else ""))
        elif token["dash"]:
            if not ends[-1]:
                raise refuse(dimension, text, "it must not be negative")
            ends.append([])
        elif token["word"]:
            if not ends[-1]:
                raise refuse(dimension, text)
            number, unit = ends[-1][-1]
            ends[-1][-1] = (number, f"{unit} {token['word']}".strip())
    if not all(ends):
        raise refuse(dimension, text)
    return ends


def _values(ends: list[list[tuple[float, str]]], text: object, dimension: str) -> tuple[list[float], str]:
    """Ends in base units; an end without a unit takes that of the last one."""
    last = ends[-1][-1][1]
    values, noun = [], ""
    for end in ends:
        if len(end) > 1 and dimension != "s":
            raise refuse(dimension, text)
        total = 0.0
        for number, unit in end:
            bare = unit in ("", "$")
            factor, noun = _factor(last if bare else unit, dimension, text)
            total += number * factor
        if not math.isfinite(total):
            raise refuse(dimension, text, "it must be finite")
        values.append(total)
    return values, noun


def _factor(unit: str, dimension: str, text: object) -> tuple[float, str]:
    """Base units in one `unit`, and the noun it counts."""
    if dimension in ("usd", "usd_per_hour", "usd_per_kwh"):
        return _money(unit, dimension, text)
    if dimension == "per_s":
        return _rate(unit, text)
    if dimension == "per_hour":
        share, _, per = unit.partition("/")
        if share.strip() != "%" or per.strip() not in ("h", "hour", "day", "month"):
            raise refuse(dimension, text)
        return 0.01, "h" if per.strip() == "hour" else per.strip()
    table = UNITS[dimension]
    if dimension == "s" and unit in _LABOUR:
        return 3600.0, _LABOUR[unit]
    if unit in table:
        return table[unit], ""
    if dimension == "s" and len(unit) > 1 and unit.lower() in table:  # "Min"; but "5M" is five million
        return table[unit.lower()], ""
    if dimension == "count":
        prefix, _, noun = unit.partition(" ")
        if prefix in table and prefix:
            return table[prefix], noun
        if unit and unit[0].isalpha() and not _is_unit(unit):
            return 1.0, unit
    raise refuse(dimension, text, "the unit is missing" if not unit else f"{unit} is not a unit of it")


def _is_unit(unit: str) -> bool:
    return "/" in unit or any(unit in table for name, table in UNITS.items() if name != "count")


def _money(unit: str, dimension: str, text: object) -> tuple[float, str]:
    amount, _, per = unit.partition("/")
    prefix = amount.replace("$", " ").replace("USD", " ").strip()
    if ("$" not in amount and "USD" not in amount) or prefix not in ("", "k", "M"):
        raise refuse(dimension, text)
    factor = UNITS["count"][prefix]
    per = per.strip()
    if dimension == "usd" and not per:
        return factor, ""
    if dimension == "usd_per_kwh" and per == "kWh":
        return factor, ""
    if dimension == "usd_per_hour" and per in ("h", "hr", "hour", "GPU·h", "node·h"):
        return factor, _LABOUR.get(per, "")
    raise refuse(dimension, text)


def _rate(unit: str, text: object) -> tuple[float, str]:
    counted, slash, per = unit.rpartition("/")
    if not slash or per.strip() not in _TIME:
        raise refuse("per_s", text)
    prefix, _, noun = counted.strip().partition(" ")
    factor = UNITS["count"].get(prefix, 0.0) if noun else 1.0
    if not factor:
        raise refuse("per_s", text)
    return factor / _TIME[per.strip()], noun or prefix


def format_duration(seconds: float) -> str:
    """Seconds for people, three digits: `521 ms`, `45 s`, `28.1 min`, `5 h`, `341.7 h`."""
    if not math.isfinite(seconds):
        return "unknown"
    if seconds == 0:
        return "0 s"
    if seconds < 1:
        return f"{_digits(seconds * 1e3)} ms" if seconds >= 1e-3 else f"{_digits(seconds * 1e6)} µs"
    if seconds < 120:
        return f"{_digits(seconds)} s"
    if seconds < 7200:
        return f"{_digits(seconds / 60)} min"
    return f"{format_number(seconds / 3600)} h"


def format_number(value: float) -> str:
    """A number for people: at least three digits, one decimal below 1,000, thousands separated."""
    if not math.isfinite(value):
        return "unknown"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return _trim(f"{value:.1f}")
    return _digits(value)


def format_bytes(size: float) -> str:
    """Bytes in decimal units, three digits: `23.6 GB`."""
    return _scaled(size, ("B", "kB", "MB", "GB", "TB", "PB"))


def format_flop(count: float) -> str:
    """A FLOP count, three digits: `3.07 TFLOP`."""
    return _scaled(count, ("FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP", "ZFLOP"))


def format_count(count: float) -> str:
    """A count, in full below 100,000 and with k, M or B above: `2,375`, `304k`, `494M`, `7.62B`."""
    if abs(count) < 1e5:
        return f"{count:,.0f}" if float(count).is_integer() else format_number(count)
    for limit, factor, letter in ((1e6, 1e3, "k"), (1e9, 1e6, "M"), (1e12, 1e9, "B"), (math.inf, 1e12, "T")):
        if abs(count) < limit * 0.9995:
            return f"{_digits(count / factor)}{letter}"
    return f"{count:g}"


def format_share(share: float) -> str:
    """A share in percent, three digits at most: `33.7 %`."""
    return f"{_digits(share * 100)} %"


def _digits(value: float) -> str:
    """Three significant digits, without trailing zeros after the point; powers of ten below a millionth."""
    if value == 0:
        return "0"
    if abs(value) < 1e-6:
        return f"{value:.3g}"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    return _trim(f"{value:,.{places}f}")


def _trim(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _scaled(value: float, units: tuple[str, ...]) -> str:
    index = 0
    while abs(value) >= 999.5 and index < len(units) - 1:
        value /= 1000
        index += 1
    return f"{_digits(value)} {units[index]}"
