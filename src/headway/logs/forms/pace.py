"""Seconds of the steps between two lines, where a line tells those of the epoch so far or those since the line before.

Owns such times alone; how steps are counted is `epochs.py`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from statistics import median_low
from typing import Final

from headway.logs.forms.line import Line

RECENT: Final = 9
"""Lines whose usual time is taken where rounding leaves a time open: one that stalled does not count among so many."""


@dataclass(frozen=True, slots=True)
class _Told:
    """What the line before said, and what it was taken for."""

    step: int
    epoch: int | None
    epoch_s: float
    """As far as it was taken for a time of steps."""
    mean_s: float = 0.0
    least_s: float = 0.0
    """Of the epoch, whatever rounding left open."""


class Pace:
    """Gives steps the time that their line and the one before leave to each."""

    def __init__(self) -> None:
        self._told: _Told | None = None
        self._of_epoch = True
        self._logged: int | None = None
        self._recent: deque[float] = deque(maxlen=RECENT)

    def timed(self, line: Line, in_epoch: int) -> Line:
        """`line` with the time of one of its steps; `in_epoch` are those of the epoch so far."""
        if line.kind != "step":
            return self._beyond_the_steps(line)
        if line.interval_s is not None:
            return self._since_the_last(line, line.interval_s)
        if line.epoch_mean is not None and self._of_epoch:
            return self._by_mean(line, *line.epoch_mean, in_epoch)
        if line.epoch_s is None:
            return line
        before, self._told = self._told, _Told(line.step, line.epoch, line.epoch_s)
        if before is None or line.step <= before.step:
            return line
        steps = line.step - before.step
        if line.epoch_s < before.epoch_s or (line.per_epoch and line.epoch != before.epoch):
            # Of an epoch that has begun since; the last steps of the one before took as long each, nothing says more.
            return replace(line, each_s=line.epoch_s / (min(steps, in_epoch) or steps))
        return replace(line, each_s=(line.epoch_s - before.epoch_s) / steps)

    def _beyond_the_steps(self, line: Line) -> Line:
        """What an epoch took with its evaluation, without its steps, is the evaluation's."""
        if line.epoch_s is None or self._told is None or line.epoch_s < self._told.epoch_s:
            return line
        return replace(line, each_s=line.epoch_s - self._told.epoch_s)

    def _since_the_last(self, line: Line, interval_s: float) -> Line:
        before, self._logged = self._logged, line.step
        if before is None or line.step <= before or not interval_s:
            return line
        return replace(line, each_s=interval_s / (line.step - before))

    def _by_mean(self, line: Line, mean_s: float, rounded_s: float, in_epoch: int) -> Line:
        """A step by how the sum of the epoch's grew; rounding leaves it open, the more the later in the epoch."""
        before, shown_s, off_s = self._told, mean_s * in_epoch, rounded_s * in_epoch
        self._told = _Told(line.step, line.epoch, shown_s, mean_s, shown_s - off_s)
        if before is None or line.step <= before.step:
            return line
        steps = line.step - before.step
        if line.epoch != before.epoch:
            # The end of the epoch before was not printed.
            rest = max(0, steps - in_epoch)
            return replace(line, each_s=(rest * before.mean_s + mean_s * (steps - rest)) / steps)
        if shown_s + off_s < before.least_s:
            # A sum does not shrink: the mean is one of some last steps.
            self._of_epoch = False
            return line
        passed_s = shown_s - before.epoch_s
        usual_s = steps * (median_low(self._recent) if self._recent else mean_s)
        # What was taken for too much before is given back by and by, for no step takes no time.
        least_s = 0.5 * steps * min(self._recent, default=0.0)
        taken_s = max(least_s, min(max(usual_s, passed_s - off_s), passed_s + off_s))
        self._recent.append(taken_s / steps)
        self._told = replace(self._told, epoch_s=before.epoch_s + taken_s)
        return replace(line, each_s=taken_s / steps)
