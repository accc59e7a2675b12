"""Numbers as people read them on a page: one unit and one precision for a figure and its interval.

Owns rounding for display of spreads; spelling of single quantities is `domain.units`. An unknown is `unknown`, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from headway.domain.machine import Device
from headway.domain.spread import Spread
from headway.domain.units import Range, format_bytes, format_duration, format_number
from headway.estimate.nouns import Basis

UNKNOWN = "unknown"
NONE = "–"
"""In a table: does not apply."""
HOUR_S = 3600.0
_TIMES = ((1e-6, "µs", 1e-3), (1e-3, "ms", 1.0), (1.0, "s", 120.0), (60.0, "min", 7200.0), (3600.0, "h", math.inf))
_SIZES = ((1.0, "B", 1e3), (1e3, "kB", 1e6), (1e6, "MB", 1e9), (1e9, "GB", 1e12), (1e12, "TB", math.inf))


def places(value: float) -> int:
    """Decimals that a number of this size is shown with: three digits, one decimal from 10 on, none from 1,000 on."""
    size = abs(value)
    if size >= 999.95 or size == 0 or not math.isfinite(size):
        return 0
    if size >= 9.995:
        return 1
    return max(0, 2 - math.floor(math.log10(size)))


def fixed(value: float, decimals: int) -> str:
    """`341.7`; thousands separated."""
    return f"{value:,.{decimals}f}" if math.isfinite(value) else UNKNOWN


def ends(spread: Spread, confidence: float) -> tuple[float, float] | None:
    """The two ends that hold the share `confidence` between them; None where nothing is in doubt."""
    if spread.p10 == spread.p90:
        return None
    tail = (1 - confidence) / 2
    return spread.quantile(tail), spread.quantile(1 - tail)


def ranged(spread: Spread, confidence: float, factor: float, unit: str) -> str:
    """`24.7 GPU-hours (17.0–38.2)`: the middle and the ends divided by `factor`, with one precision.

    A low end that this precision would show as 0 gets a finer one.
    """
    middle = spread.p50 / factor
    bounds = ends(spread, confidence)
    if bounds is None:
        return f"{fixed(middle, places(middle))} {unit}".strip()
    low, high = (bound / factor for bound in bounds)
    decimals = places(middle)
    finer = places(low) if low and round(low, decimals) == 0 else decimals
    return f"{fixed(middle, decimals)} {unit}".strip() + f" ({fixed(low, finer)}–{fixed(high, decimals)})"


def gpu_hours(spread: Spread, confidence: float) -> str:
    """GPU-seconds as `341.7 GPU-hours`."""
    return ranged(spread, confidence, HOUR_S, "GPU-hours")


def duration(spread: Spread, confidence: float) -> str:
    """Seconds in the unit that fits the middle: `48.4 min (40.4–56.5)`."""
    factor, unit = _unit(spread.p50, _TIMES)
    return ranged(spread, confidence, factor, unit)


def size(spread: Spread, confidence: float) -> str:
    """Bytes: `4.1 GB (3.4–5.0)`."""
    factor, unit = _unit(spread.p50, _SIZES)
    return ranged(spread, confidence, factor, unit)


def usable(basis: Basis) -> str:
    """`84.6 GB usable`: what a program can allocate, which is not what the card is sold with."""
    return f"{format_bytes(basis.usable_memory_bytes.p50)} usable"


def sold_as(device: Device) -> str:
    """`RTX 4090 (sold as 24 GB)`: datasheets say GB and mostly mean GiB, so that more of them may be usable.

    What stands for any machine of its kind, as the catalog's CPU, is sold with any memory.
    """
    return device.name if device.is_assumed else f"{device.name} (sold as {format_bytes(device.memory_bytes)})"


def usd(spread: Spread | None, confidence: float) -> str:
    """Dollars and cents (none from $10,000 on): `$95.01 ($80.12–$120.40)`; `unknown` without a price."""
    if spread is None:
        return UNKNOWN
    bounds = ends(spread, confidence)
    middle = dollars(spread.p50)
    return middle if bounds is None else f"{middle} ({dollars(bounds[0])}–{dollars(bounds[1])})"


def dollars(amount: float) -> str:
    """One amount, exact to the cent below $10,000; a small cost keeps three digits (`$0.00042`)."""
    if amount and abs(amount) < 0.01:
        return f"${amount:.3g}"
    return f"${amount:,.2f}" if abs(amount) < 9999.995 else f"${amount:,.0f}"


def span(value: Range, factor: float, unit: str) -> str:
    """A stated range by its ends: `0.8–1.2 s`; one number where it is a point."""
    low, high = format_number(value.low / factor), format_number(value.high / factor)
    return f"{low if value.is_point else f'{low}–{high}'} {unit}".strip()


def span_time(value: Range) -> str:
    """A range of seconds by its ends, in the unit that fits its middle."""
    factor, unit = _unit(value.mid, _TIMES)
    return span(value, factor, unit)


def times(factor: float) -> str:
    """A factor: `17 ×`, `1.8 ×`."""
    return f"{fixed(factor, 0 if factor >= 99.5 else 1 if factor >= 1.05 else 2)} ×"


def hours_column(values_s: Iterable[float | None]) -> list[str]:
    """Seconds as hours with one precision for the whole column, so that the points stand below each other."""
    values = list(values_s)
    decimals = _decimals(value for value in values if value is not None)
    return [UNKNOWN if value is None else fixed(value / HOUR_S, decimals) for value in values]


def interval_column(spreads: Sequence[Spread], confidence: float) -> list[str]:
    """`17.0–38.2` hours for each spread, as precise as their middles beside it; empty where nothing is in doubt."""
    decimals = _decimals(spread.p50 for spread in spreads)
    bounds = [ends(spread, confidence) for spread in spreads]
    flat = [pair and tuple(fixed(end / HOUR_S, decimals) for end in pair) for pair in bounds]
    return ["" if pair is None else f"{pair[0]}–{pair[1]}" for pair in flat]


def _decimals(values_s: Iterable[float]) -> int:
    """One decimal of an hour, two or three where the smallest value would vanish."""
    smallest = min((abs(value) / HOUR_S for value in values_s if value), default=1.0)
    return 1 if smallest >= 0.95 else 2 if smallest >= 0.0095 else 3


def interval_name(confidence: float) -> str:
    """`p10–p90` for 0.8."""
    tail = (1 - confidence) / 2 * 100
    return f"p{tail:g}–p{100 - tail:g}"


MEDIANS = "p50 of a sum is not the sum of p50s."


def apart(parts: Sequence[Spread], whole: Spread) -> bool:
    """True where the middles of the parts visibly do not add up to the middle of their sum, as with draws."""
    return whole.draws is not None and abs(sum(part.p50 for part in parts) - whole.p50) > 0.005 * abs(whole.p50)


def shared_kind(spreads: Iterable[Spread]) -> str:
    """The kind of all of them, where it is one; empty otherwise."""
    kinds = {spread.kind for spread in spreads}
    return kinds.pop() if len(kinds) == 1 else ""


def count(number: float, noun: str) -> str:
    """`1 run`, `63 runs`."""
    return f"{number:,.0f} {noun}{'' if number == 1 else 's'}"


def same_unit(values_s: Sequence[float]) -> list[str]:
    """Seconds in the unit of the middle one, all with one precision: `47 s`, `70 s`, `93 s`."""
    factor, unit = _unit(sorted(values_s)[len(values_s) // 2], _TIMES)
    scaled = [value / factor for value in values_s]
    whole = all(abs(value - round(value)) < 5e-4 for value in scaled)
    decimals = 0 if whole else max(1, min(places(max(scaled)), 2))
    return [f"{fixed(value, decimals)} {unit}" for value in scaled]


def days(wall_s: float, hours_per_day: float = 24.0) -> str:
    """`14.2 days`; durations below two days stay in hours."""
    length = wall_s / (HOUR_S * hours_per_day)
    return format_duration(wall_s) if wall_s < 2 * 86400 and hours_per_day == 24 else f"{fixed(length, 1)} days"


def _unit(value: float, units: tuple[tuple[float, str, float], ...]) -> tuple[float, str]:
    """Factor and name of the first unit that the value is small enough for; 0 is in the middle of the list."""
    if value == 0 or not math.isfinite(value):
        return (1.0, "s") if units is _TIMES else (1.0, "B")
    return next((factor, unit) for factor, unit, below in units if abs(value) < below)
