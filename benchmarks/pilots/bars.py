"""What an ordinary progress bar says at 5, 20 and 50 % of a run: tqdm's arithmetic on the moments of the steps.

Owns the arithmetic of the baseline. tqdm (std.py, `EMA` and `format_dict`): the rate is the ratio of two exponential
means with smoothing 0.3, updated at most every 0.1 s; what remains is the steps left over the rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SMOOTHING = 0.3
LEAST_INTERVAL_S = 0.1
SHARES = (0.05, 0.2, 0.5)


@dataclass(slots=True)
class _Mean:
    """An exponential mean that corrects for its start."""

    last: float = 0.0
    calls: int = 0

    def add(self, value: float) -> float:
        self.last = SMOOTHING * value + (1 - SMOOTHING) * self.last
        self.calls += 1
        return self.last / (1 - (1 - SMOOTHING) ** self.calls)


def totals_by_bar(moments_s: Sequence[float], began_s: float, total_steps: int, now_s: float) -> float | None:
    """The total, in seconds since the program started, that a bar begun at `began_s` shows at `now_s`.

    `moments_s` are the ends of the steps. None before the bar has a rate.
    """
    steps, seconds = _Mean(), _Mean()
    shown_s, shown_steps, rate = began_s, 0, 0.0
    for done, moment in enumerate(moments_s, start=1):
        if moment > now_s:
            break
        if moment - shown_s >= LEAST_INTERVAL_S:
            rate = steps.add(done - shown_steps) / seconds.add(moment - shown_s)
            shown_s, shown_steps = moment, done
    if not rate:
        return None
    return shown_s + (total_steps - shown_steps) / rate
