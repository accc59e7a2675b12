"""When steps became slower, and what of all that was measured explains it.

Owns the detector and the order in which causes are asked; what each cause is called, its symptom and its remedy are
`causes.py`. Knows no clock and no files.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

from headway.domain.errors import Finding
from headway.domain.observation import Observation
from headway.track.rhythm import Line, clearest, fitted
from headway.track.slowdowns.causes import SLOWED, Span, explained, slower_rounds

WINDOW = 40
RULES = ((WINDOW // 2, 0.20, 4.0), (WINDOW, 0.12, 3.0))
"""Observations that a new pace has to hold, its smallest share above the old one, and standard errors that it is above
it, neighbours alike taken into account. Chosen on 200 streams of autocorrelated noise each, with blocks of steps that
are up to 10 % slower or faster: with blocks of 10 steps no quiet stream of 400 steps raises an alarm and 96 % of
slowdowns by 20 % are found within 40 steps; with blocks of 20 steps it is 4 % and 84 %."""
QUIET = 0.06
"""Where the latest are so near to all, nobody looks closer: that costs more than the step can afford."""
MOST_BASES = 2.0
"""A step counts as so many usual ones at most: the pace is what changed, not one step."""
GROWN = 1.5
GROWN_S = 1.0
"""An evaluation or save that takes so much more than those before, as a factor and in seconds, is worth a word."""
BATCH = 5
"""Observations whose median is one value: a single slow step is none."""
LEAST_BEFORE = 60
"""Observations to compare with."""
NOISE_SHARE = 0.01
"""Steps vary at least so much from batch to batch, whatever the few that were seen say."""
CHECK_EVERY = 5
KEPT = 400
"""Observations that are held: the pace before is that of the most recent ones."""
FIRST = 2 * WINDOW
CREPT = 0.20
CREPT_EVERY = 50
"""Steps that crept up, each window hardly slower than the one before: so many first observations are what the latest
are held against, the share that is worth a word, and how often anybody looks."""
SKIPPED = 3
"""First observations of an attempt, which compile and fill caches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One observation of steps, per step, with the machine as it was last seen."""

    step: int
    seconds: float
    wait_s: float
    tokens: float
    machine: dict[str, float] = field(default_factory=dict)


class Changes:
    """Fed with a run's observations, says once for each lasting slowdown what it is and why."""

    def __init__(self) -> None:
        self.found: list[Finding] = []
        self._points: deque[Point] = deque(maxlen=KEPT)
        self._first: list[Point] = []
        self._machine: dict[str, float] = {}
        self._rounds: dict[tuple[str, int], list[float]] = {}
        self._since_step: dict[str, int] = {}
        """Evaluations and saves since the last step: of several data sets, each is held against its own before."""
        self._step = 0
        self._seen = 0
        self._attempt = 0

    def feed(self, item: Observation) -> Finding | None:
        """Take in one observation; the finding it completes, if any (also kept in `found`)."""
        if item.kind == "begin" or item.attempt > self._attempt:
            self._restart()
            self._attempt = max(self._attempt, item.attempt)
        if item.kind == "device":
            self._machine = {**self._machine, **item.values}
        elif item.kind in SLOWED and item.seconds is not None:
            return self._round(item.kind, item.seconds)
        elif item.kind == "step" and item.seconds is not None and item.steps != 0:
            return self._point(item)
        return None

    def _round(self, kind: str, seconds: float) -> Finding | None:
        """An evaluation or a save: said once where it takes much longer than those before."""
        place = self._since_step.get(kind, 0)
        self._since_step[kind] = place + 1
        earlier = self._rounds.setdefault((kind, place), [])
        usual = median(earlier) if len(earlier) >= 2 else seconds
        earlier.append(seconds)
        if seconds < GROWN * usual or seconds - usual < GROWN_S:
            return None
        earlier[:] = [seconds, seconds]  # from here on that is usual
        found = slower_rounds(kind, usual, seconds, self._step)
        self.found.append(found)
        return found

    def _restart(self) -> None:
        self._points.clear()
        self._first.clear()
        self._seen = 0

    def _point(self, item: Observation) -> Finding | None:
        covered = max(1, item.steps or 1)
        self._since_step.clear()
        self._step = self._step + covered if item.step is None else item.step
        self._seen += 1
        if self._seen <= SKIPPED or item.seconds is None:
            return None
        point = Point(
            step=self._step,
            seconds=item.seconds / covered,
            wait_s=min(item.wait_s or 0.0, item.seconds) / covered,
            tokens=(item.tokens or 0.0) / covered,
            machine=self._machine,
        )
        self._points.append(point)
        if len(self._first) < FIRST:
            self._first.append(point)
        found = self._look() if self._seen % CHECK_EVERY == 0 else None
        return self._crept() if found is None and self._seen % CREPT_EVERY == 0 else found

    def _look(self) -> Finding | None:
        """Whether the last observations are slower than those before; a faster pace is taken over in silence."""
        points = list(self._points)
        for values in _both_ways(points):
            width, share = changed(values)
            if share > 0:
                return self._report(points, width)
            if share < 0:
                self._forget(width)
                break
        return None

    def _crept(self) -> Finding | None:
        """Whether the latest are slower than the first were, which the observations that are held do not reach."""
        if len(self._points) < KEPT or self._points[0].step <= self._first[-1].step:
            return None
        latest = list(self._points)[-WINDOW:]
        compared = [*self._first, *latest]
        if max(changed(values)[1] for values in _both_ways(compared)) < CREPT:
            return None
        usual_s = MOST_BASES * median(point.seconds for point in self._first)
        before, after = _span([point for point in self._first if point.seconds <= usual_s]), _span(latest)
        if after.seconds < (1.0 + CREPT / 2) * before.seconds:  # fewer tokens took longer each: nothing to wait for
            return None
        found = explained(before, after, self._first[0].step, crept=True)
        self._forget(WINDOW)
        self.found.append(found)
        return found

    def _report(self, points: Sequence[Point], width: int) -> Finding:
        cut = clearest([point.seconds for point in points[-2 * WINDOW :]])  # the window may begin before the change
        width = width if cut is None else len(points[-2 * WINDOW :]) - cut
        before, after = points[:-width], points[-width:]
        self._forget(width)
        finding = explained(_span(before), _span(after), after[0].step)
        self.found.append(finding)
        return finding

    def _forget(self, width: int) -> None:
        """From here on the last `width` observations are the pace to compare with."""
        latest = list(self._points)[-width:]
        self._points.clear()
        self._points.extend(latest)
        self._first = latest[:FIRST]


def changed(values: Sequence[float]) -> tuple[int, float]:
    """How many of the last values differ from those before, and by what share; (0, 0.0) where it may be chance."""
    if len(values) < LEAST_BEFORE or abs(median(values[-WINDOW // 2 :]) / max(median(values), 1e-12) - 1.0) < QUIET:
        return 0, 0.0
    for width, least, least_z in RULES:
        if len(values) - width < LEAST_BEFORE:
            continue
        before, after = _medians(values[:-width]), _medians(values[-width:])
        base = median(before)
        share = fmean(after) / base - 1.0 if base > 0 else 0.0
        share = (
            min(share, _clipped(values[-width:], base) / _clipped(values[:-width], base) - 1.0) if share > 0 else share
        )
        noise = math.sqrt(max(_long_run_variance(before, len(after)), (NOISE_SHARE * base) ** 2))
        error = noise * math.sqrt(1.0 / len(after) + 1.0 / len(before))
        if abs(share) >= least and abs(share) * base >= least_z * error:
            return width, share
    return 0, 0.0


def _clipped(values: Sequence[float], base: float) -> float:
    """Mean without the weight of single steps that took very long."""
    return fmean(min(value, MOST_BASES * base) for value in values)


def _medians(values: Sequence[float]) -> list[float]:
    """Medians of batches, the last one whole; what does not fill a batch at the beginning is left out."""
    first = len(values) % BATCH
    return [median(values[at : at + BATCH]) for at in range(first, len(values), BATCH)]


def _long_run_variance(values: Sequence[float], lags: int) -> float:
    """Variance of one value as it counts in a mean of `lags` neighbours: with Bartlett's weights (Newey and West,
    Econometrica 55(3), 1987), and for the few values it rests on.
    """
    mean, count = fmean(values), len(values)
    apart = [value - mean for value in values]
    total = sum(value * value for value in apart)
    for lag in range(1, min(lags, count // 2)):
        weight = 2.0 * (1.0 - lag / lags)
        total += weight * sum(one * two for one, two in zip(apart, apart[lag:], strict=False))
    small = count / max(1.0, count - lags)
    return max(total, sum(value * value for value in apart)) / max(1, count - 1) * small


def _both_ways(points: Sequence[Point]) -> Iterator[list[float]]:
    """What of each step its tokens do not explain, then the whole of it."""
    yield rest_after_tokens(points)
    yield [point.seconds for point in points]


def rest_after_tokens(points: Sequence[Point]) -> list[float]:
    """Seconds of each step over what its tokens account for, by the line through all but the last window."""
    earlier = points[:-WINDOW] or points
    if not all(point.tokens for point in points):
        return [point.seconds for point in points]
    line = _line(earlier)
    return [point.seconds / max(line.at(point.tokens), 1e-12) for point in points]


def _line(points: Sequence[Point]) -> Line:
    """Computing over tokens, step by step."""
    tokens, busy = [point.tokens for point in points], [point.seconds - point.wait_s for point in points]
    squared, product = sum(value**2 for value in tokens), sum(a * b for a, b in zip(tokens, busy, strict=True))
    return fitted(len(points), sum(tokens), sum(busy), squared, product)


def _span(points: Sequence[Point]) -> Span:
    """Means of a stretch, with the line through its steps."""
    machines = [point.machine for point in points if point.machine]
    names = {name for machine in machines for name in machine}
    return Span(
        seconds=fmean(point.seconds for point in points),
        wait_s=fmean(point.wait_s for point in points),
        tokens=fmean(point.tokens for point in points),
        line=_line(points),
        machine={name: fmean([machine[name] for machine in machines if name in machine]) for name in sorted(names)},
    )
