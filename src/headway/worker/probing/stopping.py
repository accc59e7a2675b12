"""When a probe has measured enough: its time, how sure the total of the run is by now, and what to measure next.

Owns the rules that a probe stops, warms up and chooses by; no clock is read here but that of `Budget`, no torch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from headway.domain.sample import mean_error, without_size
from headway.domain.spread import Draws

SINGLE = 0.10
"""Relative error of what was timed once. Assumed."""
LEAST_STEPS = 10
"""Steps before a probe trusts the error of their mean."""
LEAST_SHARE = 0.1
"""Of the budget that steps cover at least: a second of a machine says little of its minutes."""
HOST_SHARE = 0.7
"""The same on a host: a processor's speed wanders by several per cent within a minute (`predict/pilot.py`, `WANDER`),
so that a few alike seconds do not make a total sure."""
SETTLED = 0.05
WINDOW = 3
MOST_WARM_UP = 30
WARM_UP_SHARE = 0.2
"""Of what is left that a warm-up may take."""
UNCOUNTED_SHARE = 0.02
"""Of what is left that the first evaluation may take on a host for another to count in its place."""
ONCE_SHARE = 0.3
"""Of what is left that a single repeat of anything but a step may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The seconds of a probe, from the start of its process."""

    began: float
    """Moment of `time.perf_counter`."""
    seconds: float

    @property
    def spent_s(self) -> float:
        """Since the process started."""
        return time.perf_counter() - self.began

    @property
    def left_s(self) -> float:
        """0 once it is spent."""
        return max(self.seconds - self.spent_s, 0.0)


def is_settled(costs: Sequence[float]) -> bool:
    """Whether the last three of `costs` (seconds per token of each step so far) are typical for what comes.

    Their median is that of the three that began two steps earlier, to 5 %; no sooner than after two steps before them.
    """
    if len(costs) < WINDOW + 2:
        return False
    before, now = median(costs[-WINDOW - 2 : -2]), median(costs[-WINDOW:])
    return abs(now / before - 1) <= SETTLED


def discarded(costs: Sequence[float], spent_s: float, left_s: float) -> int | None:
    """Of the steps so far, how many were warm-up; None: go on. The time that a warm-up may take bounds it.

    Where five steps are a luxury, the first alone is discarded, in which kernels are made and memory is taken.
    """
    if is_settled(costs):
        return len(costs) - WINDOW
    if len(costs) > 1 and (spent_s > WARM_UP_SHARE * (spent_s + left_s) or len(costs) >= MOST_WARM_UP):
        return 1 if len(costs) < WINDOW + 2 else len(costs) - WINDOW
    return None


@dataclass(slots=True, kw_only=True)
class Total:
    """What was timed of every term, and what follows for the total of the run."""

    counts: Mapping[str, float]
    """Term -> how often the run pays it."""
    seconds: dict[str, list[float]] = field(default_factory=dict)
    """Term -> seconds of one unit, in the order in which they were timed."""
    tokens: list[float] = field(default_factory=list)
    """Of every step."""

    def add(self, term: str, seconds: float, tokens: float | None = None) -> None:
        """One unit of a term took so long; `tokens` for a step."""
        if tokens is not None:
            self.tokens.append(tokens)  # first, so that an interruption leaves no step without
        self.seconds.setdefault(term, []).append(seconds)

    def mean_s(self, term: str) -> float:
        """Of one unit; 0 where none was timed."""
        known = self.seconds.get(term)
        return sum(known) / len(known) if known else 0.0

    def error_s(self, term: str) -> float:
        """Standard error of the mean of one unit, the size of a step's batch taken out; infinite for no step yet."""
        known = self.seconds.get(term, [])
        if len(known) < WINDOW:
            return SINGLE * self.mean_s(term) / math.sqrt(max(len(known), 1)) if known else math.inf
        return mean_error(self.steps_alike() if term == "step" else np.array(known))

    def steps_alike(self) -> Draws:
        """Seconds of the steps, had all had batches of the mean size."""
        known = self.seconds["step"]
        return without_size(np.array(known), np.array(self.tokens[: len(known)]))

    def error(self, terms: Collection[str] | None = None) -> float:
        """Relative standard error of the run's total that `terms` (None: all) leave; infinite without a step."""
        total = sum(self.counts.get(term, 0.0) * self.mean_s(term) for term in self.seconds)
        if "step" not in self.seconds or total <= 0:
            return math.inf
        doubted = [term for term in self.seconds if terms is None or term in terms]
        return math.sqrt(sum((self.counts.get(term, 0.0) * self.error_s(term)) ** 2 for term in doubted)) / total

    def next(self, repeatable: Mapping[str, float], left_s: float) -> str:
        """The term whose next repeat takes most off the variance of the total per second (Neyman's allocation).

        `repeatable`: seconds that one more repeat of a term takes; `step` where nothing else is affordable.
        """

        def gain(term: str) -> float:
            repeats = len(self.seconds.get(term, ()))
            variance = (self.counts.get(term, 0.0) * self.error_s(term)) ** 2
            return variance / (repeats + 1) / max(repeatable[term], 1e-9)

        known = [term for term in repeatable if self.seconds.get(term)]
        affordable = [one for one in known if one == "step" or repeatable[one] < ONCE_SHARE * left_s]
        return max(affordable, key=gain, default="step")
