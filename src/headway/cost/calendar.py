"""Hours on a calendar: days at so many hours a day, jobs that outlast a day, budgets and deadlines.

Owns the comparison with what the plan allows. Today's date is given, never read from a clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from headway.domain.errors import UserError
from headway.domain.spread import Spread
from headway.domain.statement import Value

Verdict = Literal["within", "uncertain", "over", "unknown"]
SECONDS_PER_DAY: Final = 86400.0


def calendar_days(wall_s: Spread, hours_per_day: float) -> Spread:
    """Days that `wall_s` seconds take when the machine works `hours_per_day` a day; UserError outside 0 to 24."""
    if not 0 < hours_per_day <= 24:
        raise UserError("a working day has more than 0 and at most 24 hours", got=f"{hours_per_day:g}")
    return wall_s * (1 / (3600 * hours_per_day))


def outlasting(durations_s: Mapping[str, float], window_s: float) -> tuple[str, ...]:
    """Ids of the jobs longer than one window (a working day, a session limit): they must be able to resume."""
    return tuple(job for job, seconds in durations_s.items() if seconds > window_s)


def needs_resume(durations_s: Mapping[str, float], hours_per_day: float) -> tuple[str, ...]:
    """Ids of the jobs that do not end within a working day; none where the machine never stops."""
    return () if hours_per_day >= 24 else outlasting(durations_s, hours_per_day * 3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitCheck:
    """One limit of the plan against what is needed, both in `unit`."""

    what: Literal["wall", "cost", "GPU-hours", "deadline"]
    unit: Literal["s", "usd", "GPU-s", "days"]
    limit: float
    need: Spread | None
    """None: unknown."""
    verdict: Verdict
    """`within`: even p90 fits; `over`: not even p10 does; `uncertain`: between."""

    @property
    def excess(self) -> float | None:
        """By how much the middle (p50) exceeds the limit, in `unit`; 0 when it does not; None when unknown."""
        return None if self.need is None else max(0.0, self.need.p50 - self.limit)


def over_budget(
    budget: Sequence[Value], *, wall_s: Spread, cost_usd: Spread | None, gpu_s: Spread
) -> tuple[LimitCheck, ...]:
    """Each part of `run.budget` against the estimate: dollars, time, GPU-hours (in GPU-seconds), in the plan's order.

    Node-hours are time of the whole machine. Raises UserError for a value that is none of these.
    """
    checks = []
    for value in budget:
        if value.unknown:
            continue
        if value.unit == "usd":
            checks.append(_check("cost", "usd", value.mid, cost_usd))
        elif value.unit == "s" and value.noun == "GPU-h":
            checks.append(_check("GPU-hours", "GPU-s", value.mid, gpu_s))
        elif value.unit == "s":
            checks.append(_check("wall", "s", value.mid, wall_s))
        else:
            hint = "Write it like 10 h, $50 or 100 GPU-h."
            raise UserError("a budget is time, money or GPU-hours", got=value.text, hint=hint, where=value.where)
    return tuple(checks)


def before_deadline(wall_s: Spread, hours_per_day: float, deadline: str, today: date) -> LimitCheck:
    """Days from `today` until the `deadline` begins (ISO date), against the days needed; UserError for other text."""
    try:
        last = date.fromisoformat(deadline)
    except ValueError:
        raise UserError("a deadline is a date", got=deadline, hint="Write it like 2026-12-24.") from None
    return _check("deadline", "days", float((last - today).days), calendar_days(wall_s, hours_per_day))


def _check(
    what: Literal["wall", "cost", "GPU-hours", "deadline"],
    unit: Literal["s", "usd", "GPU-s", "days"],
    limit: float,
    need: Spread | None,
) -> LimitCheck:
    verdict: Verdict = "unknown"
    if need is not None:
        verdict = "within" if need.p90 <= limit else "over" if need.p10 > limit else "uncertain"
    return LimitCheck(what=what, unit=unit, limit=limit, need=need, verdict=verdict)
