"""Interruptible machines: how likely an interruption is, and what interruptions and checkpoints cost in time.

Owns the memoryless model and its limits. A hazard is a share per hour with a unit of its own; prices are `billing`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from headway.domain.errors import UserError
from headway.domain.spread import Spread
from headway.domain.units import Range

Per = Literal["h", "day", "month"]
HOURS: Final[dict[Per, float]] = {"h": 1.0, "day": 24.0, "month": 730.0}
"""Hours in the time a hazard is stated per; a month is a twelfth of 365 days."""
LIMITS: Final = (
    "one machine, interrupted at a constant rate, and available again at once: on real traces young instances die "
    "more often, and waiting for capacity costs as much as being interrupted"
)
"""Said beside every figure of this file (AWS V100 traces of 2023: hazard 0.1-1.4 per hour, mean wait 0.8-3.6 h)."""


def hazard_per_hour(stated: Range, per: Per) -> Range:
    """The share interrupted within an hour, from the share interrupted within an hour, day or month.

    `1 - (1 - p)^(1/hours)`: survival multiplies. Raises UserError for a share outside 0 to 1.
    """
    _check(stated)
    return _each(stated, lambda share: -math.expm1(math.log1p(-share) / HOURS[per]))


def interrupted_within(duration_s: float, hazard: Range) -> Range:
    """The chance of at least one interruption in `duration_s` seconds: `1 - (1 - p)^hours`, p per hour."""
    _check(hazard)
    return _each(hazard, lambda share: -math.expm1(math.log1p(-share) * duration_s / 3600))


def mean_time_between_s(hazard: float) -> float:
    """Mean seconds between interruptions of a memoryless process that hits the share `hazard` within an hour."""
    _check(Range.point(hazard))
    return math.inf if hazard == 0 else -3600 / math.log1p(-hazard)


def young_interval_s(dump_s: float, mean_between_s: float) -> float:
    """Seconds of work between checkpoints: `sqrt(2 d M)` (Young 1974)."""
    return math.sqrt(2 * dump_s * mean_between_s)


def daly_interval_s(dump_s: float, mean_between_s: float) -> float:
    """Seconds of work between checkpoints that cost `dump_s` each (Daly 2006, equation 37).

    `sqrt(2dM) (1 + sqrt(d/2M)/3 + (d/2M)/9) - d` for d < 2M, else M; infinite without interruptions.
    """
    if math.isinf(mean_between_s) or dump_s >= 2 * mean_between_s:
        return mean_between_s
    share = dump_s / (2 * mean_between_s)
    return young_interval_s(dump_s, mean_between_s) * (1 + math.sqrt(share) / 3 + share / 9) - dump_s


def expected_wall_s(
    work_s: float,
    mean_between_s: float,
    *,
    restart_s: float = 0.0,
    dump_s: float = 0.0,
    interval_s: float | None = None,
) -> float:
    """Expected seconds until `work_s` seconds of work are done: `M e^(R/M) (e^((tau+d)/M) - 1) work/tau` (Daly 2006).

    Interruptions may strike dumps and restarts too. Without `interval_s` nothing is saved and every interruption
    starts from zero: tau is all the work and there is no dump; so it is with an interval that exceeds the work.
    Infinite where the exponent overflows.
    """
    saves = interval_s is not None and interval_s < work_s
    stretch, dump = (interval_s, dump_s) if saves and interval_s else (work_s, 0.0)
    if work_s == 0 or math.isinf(mean_between_s):
        return work_s + (dump * work_s / stretch if work_s else 0.0)
    try:
        lost = math.exp(restart_s / mean_between_s) * math.expm1((stretch + dump) / mean_between_s)
    except OverflowError:
        return math.inf
    return mean_between_s * lost * (work_s / stretch)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interruption:
    """What a hazard means for so many hours of running, low to high with hours and hazard together."""

    hazard_per_hour: Range
    interrupted_within: Range
    """Chance of at least one interruption while running."""
    interval_s: Range | None
    """Daly's interval between checkpoints, at most the whole run; its low end belongs to the high hazard. None where
    the cost of a checkpoint is not given."""
    wall_with_checkpoints_s: Range
    wall_without_checkpoints_s: Range
    extra_usd: Range | None
    """Expected price of the time lost with checkpoints; None where no price is known."""
    notes: tuple[str, ...]


def interruption(
    running_s: Spread,
    hazard: Range,
    *,
    dump_s: float,
    restart_s: float,
    usd_per_hour: Range | None,
    notice_s: float | None = None,
) -> Interruption:
    """Interruptions of `running_s` of work at a `hazard` per hour; `dump_s`: a checkpoint, `restart_s`: boot and load.

    A final save within the notice is not counted; where it fits, the notes say so.
    """
    _check(hazard)
    works, shares = (running_s.p10, running_s.p50, running_s.p90), (hazard.low, hazard.mid, hazard.high)
    cases = tuple(zip(works, shares, strict=True))
    between = [mean_time_between_s(share) for _, share in cases]
    intervals = [min(daly_interval_s(dump_s, mean), work) for (work, _), mean in zip(cases, between, strict=True)]
    saved, bare = [], []
    for (work, _), mean, interval in zip(cases, between, intervals, strict=True):
        tau = interval if dump_s else None
        saved.append(expected_wall_s(work, mean, restart_s=restart_s, dump_s=dump_s, interval_s=tau))
        bare.append(expected_wall_s(work, mean, restart_s=restart_s))
    lost = Range(*sorted(max(0.0, wall - work) for wall, (work, _) in zip(saved, cases, strict=True)))
    within = sorted(interrupted_within(work, Range.point(share)).mid for work, share in cases)
    fits = notice_s is not None and 0 < dump_s <= notice_s
    note = f"a last save of {dump_s:g} s fits the notice of {notice_s:g} s: less is lost than said here" if fits else ""
    return Interruption(
        hazard_per_hour=hazard,
        interrupted_within=Range(*within),
        interval_s=Range(*sorted(intervals)) if dump_s else None,
        wall_with_checkpoints_s=Range(*sorted(saved)),
        wall_without_checkpoints_s=Range(*sorted(bare)),
        extra_usd=_priced(lost, usd_per_hour),
        notes=(LIMITS, note) if fits else (LIMITS,),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HazardReading:
    """One way to read a hazard's words, and what follows."""

    per: Per
    hazard_per_hour: Range
    interrupted_within: Range
    wall_without_checkpoints_s: Range


def hazard_sensitivity(duration_s: float, stated: Range) -> tuple[HazardReading, ...]:
    """The same share read per hour, per day and per month: the unit decides the answer.

    AWS's advisor publishes shares of the trailing month, which are often quoted as if they were hourly.
    """
    readings = []
    for per in HOURS:
        hazard = hazard_per_hour(stated, per)
        wall = _each(hazard, lambda share: expected_wall_s(duration_s, mean_time_between_s(share)))
        within = interrupted_within(duration_s, hazard)
        readings.append(
            HazardReading(per=per, hazard_per_hour=hazard, interrupted_within=within, wall_without_checkpoints_s=wall)
        )
    return tuple(readings)


def _priced(lost_s: Range, usd_per_hour: Range | None) -> Range | None:
    if usd_per_hour is None:
        return None
    ends = ((lost_s.low, usd_per_hour.low), (lost_s.mid, usd_per_hour.mid), (lost_s.high, usd_per_hour.high))
    return Range(*(seconds / 3600 * usd for seconds, usd in ends))


def _check(share: Range) -> None:
    if not 0 <= share.low <= share.high < 1:
        raise UserError(
            "a hazard is the share of machines interrupted in a time, from 0 to below 1",
            got=f"{share.low:g} to {share.high:g}",
            hint="Write it like 5%/h, 5%/day or 5%/month.",
        )


def _each(value: Range, rule: Callable[[float], float]) -> Range:
    return Range(rule(value.low), rule(value.mid), rule(value.high))
