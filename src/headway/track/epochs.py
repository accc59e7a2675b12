"""The epochs of a run that tells of no steps: how many are done, and how fast they come.

Owns the count and the rate; the sum with all else that is to come is `remaining.py`.
"""

from __future__ import annotations

import math

from headway.domain.observation import Observation, Timed
from headway.track.rhythm import Rhythm, high_of_mean


class Epochs:
    """Fed with observations of the kind `epoch`, in order.

    A run's first epoch (compilation, caches) counts as time, not as rate, as soon as there is a second.
    """

    def __init__(self) -> None:
        self.seen = False
        self.done = self.begun = 0
        """Epochs that are over, and those of them that an earlier process did."""
        self.timed = Timed(seconds=0.0, units=0.0)
        """All whose time is known."""
        self._said: int | None = None
        self._rhythm = Rhythm()
        self._first_s: float | None = None

    def feed(self, item: Observation) -> None:
        """Take in that further epochs are over; what lags behind what was told before says nothing new."""
        done, said = round(item.epoch or 0.0), item.values.get("epochs")
        if not self.seen and item.seconds is None and done > 1:
            self.begun = done
        covered, self.done, self.seen = done - self.done, max(done, self.done), True
        self._said = round(said) if said is not None and math.isfinite(said) else self._said
        if item.seconds is None or covered <= 0:
            return
        self.timed = Timed(seconds=self.timed.seconds + item.seconds, units=self.timed.units + covered)
        if done == covered:
            self._first_s = item.seconds / covered
        else:
            self._rhythm.add(covered, item.seconds, 0.0, None)

    def total(self, meant: int | None) -> int | None:
        """Epochs at the end: as many as are `meant`, else as the log says; None where neither is known."""
        return meant or self._said

    @property
    def precision(self) -> float | None:
        """How sure their pace is: its p90 above its mean, as a share; None where too little was seen."""
        return self._rhythm.precision

    def each_s(self, to_do: int) -> tuple[float, float] | None:
        """Seconds of one of those to come, at the median and at p90; None where no time of one is known."""
        if self._rhythm and self._rhythm.seconds:
            pace = self._rhythm.pace(to_do, None)
            return pace.step_s, pace.step_high_s
        return None if self._first_s is None else (self._first_s, high_of_mean([self._first_s], 1.0))
