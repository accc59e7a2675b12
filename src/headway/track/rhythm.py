"""How fast steps come: seconds per step now, and how sure that is.

Owns the rate and its doubt, in bounded memory however long the run: observations are gathered into batches, and
batches into larger ones (the method of batch means, which is right for steps that resemble their neighbours: Law and
Kelton, Simulation Modeling and Analysis, 4th ed., section 9.5.3). Where the pace changed, only what came after counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from headway.domain.student import student

MOST_BATCHES = 64
LEAST_BATCHES = 10
"""Before so many, a small spread is luck."""
LONE_SHARE = 0.2
"""How far above a single measurement p90 is, where nothing says how much it varies; assumed."""
DRIFT_SHARE = 0.015
"""What p90 keeps for a pace that drifts in ways that the past does not show, however long that is; assumed."""
LEAST_CHANGE = 0.02
"""Changes of pace below this share are left in the mean."""
CHANGE_Z = 5.0
"""Standard errors from which two stretches have two paces, `surely` many values seen."""
TREND_Z = 4.0
"""Standard errors from which a slope is a trend, `surely` many values seen."""
TREND_SHARE = 0.005
"""And what it has to add over the steps seen."""
NOISE_SHARE = 0.002
"""Steps that seem to vary less than this share are taken to vary so much: clocks and logs are rounded."""
LEAST_SPREAD = 0.01
"""Spread of the tokens per step, as a share of their mean, from which the time is fitted to them."""


def high_of_mean(seen: Sequence[float], to_come: float) -> float:
    """p90 of the mean of `to_come` further values like those seen."""
    mean = sum(seen) / len(seen)
    if len(seen) < 2:
        return mean * (1.0 + LONE_SHARE)
    variance = sum((value - mean) ** 2 for value in seen) / (len(seen) - 1)
    doubt = student(0.9, len(seen) - 1) * math.sqrt(variance * (1.0 / len(seen) + 1.0 / max(to_come, 1e-9)))
    return mean + math.hypot(doubt, DRIFT_SHARE * mean)


def surely(errors: float, freedom: int) -> float:
    """`errors` standard errors of many values, as many as they have to be where the error itself rests on few.

    Close to Student's t at equal chance, 0.1 % for 4 to 5 errors; half an opinion on five noisy steps is none.
    """
    return errors * (1.0 + 10.0 / max(1, freedom) ** 2)


def persistence(around: Sequence[float]) -> float:
    """How much longer neighbours alike make the standard error of a mean: values around 0 of a first-order process."""
    squares = sum(value * value for value in around)
    if squares <= 0:
        return 1.0
    alike = sum(one * two for one, two in pairwise(around)) / squares
    alike = min(0.9, max(0.0, alike - 2.0 / math.sqrt(len(around))))  # below that it may be chance
    return math.sqrt((1.0 + alike) / (1.0 - alike))


@dataclass(slots=True)
class _Batch:
    """Sums over observations that follow each other."""

    observations: int = 0
    steps: float = 0.0
    busy_s: float = 0.0
    wait_s: float = 0.0
    tokens: float = 0.0
    tokens_squared: float = 0.0
    """Steps x (tokens per step) squared."""
    product: float = 0.0
    """Tokens x seconds per step."""

    def join(self, other: _Batch) -> None:
        self.observations += other.observations
        self.steps += other.steps
        self.busy_s += other.busy_s
        self.wait_s += other.wait_s
        self.tokens += other.tokens
        self.tokens_squared += other.tokens_squared
        self.product += other.product


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds per step to come, at the median and at p90: computing, and waiting for data."""

    step_s: float
    step_high_s: float
    wait_s: float
    wait_high_s: float


@dataclass(frozen=True, slots=True)
class Line:
    """Seconds of a step = constant + per token."""

    constant_s: float
    per_token_s: float

    def at(self, tokens: float) -> float:
        """Seconds of a step of `tokens`."""
        return self.constant_s + self.per_token_s * tokens


def fitted(steps: float, tokens: float, seconds: float, squared: float, product: float) -> Line:
    """The least-squares line through steps, each weighing 1; neither part of it is negative.

    `squared` and `product` are sums of tokens² and tokens × seconds; a flat line where tokens hardly vary.
    """
    mean_tokens, mean_s = tokens / steps, seconds / steps
    spread = squared / steps - mean_tokens**2
    if mean_tokens <= 0 or spread <= (LEAST_SPREAD * mean_tokens) ** 2:
        return Line(mean_s, 0.0)
    slope = max(0.0, (product / steps - mean_tokens * mean_s) / spread)
    constant = mean_s - slope * mean_tokens
    return Line(constant, slope) if constant >= 0 else Line(0.0, mean_s / mean_tokens)


class Rhythm:
    """The steps of one attempt, without its first."""

    def __init__(self) -> None:
        self._batches: list[_Batch] = []
        self._size = 1
        self._all_tokens = 0.0
        self._all_steps = 0.0

    def __bool__(self) -> bool:
        return bool(self._batches)

    @property
    def seconds(self) -> float:
        """Of all its steps."""
        return sum(batch.busy_s + batch.wait_s for batch in self._batches)

    def see_tokens(self, steps: float, tokens: float | None) -> None:
        """Tokens of steps whose time does not count."""
        if tokens is not None:
            self._all_tokens += tokens
            self._all_steps += steps

    def add(self, steps: float, seconds: float, wait_s: float, tokens: float | None) -> None:
        """Steps that took `seconds` together, `wait_s` of it waiting."""
        busy_s, held = seconds - wait_s, tokens or 0.0
        self.see_tokens(steps, tokens)
        item = _Batch(1, steps, busy_s, wait_s, held, held * held / steps, held * busy_s / steps)
        if self._batches and self._batches[-1].observations < self._size:
            self._batches[-1].join(item)
            return
        if len(self._batches) == MOST_BATCHES:
            for left, right in zip(self._batches[::2], self._batches[1::2], strict=True):
                left.join(right)
            del self._batches[1::2]
            self._size *= 2
        self._batches.append(item)

    def pace(self, to_do: float, tokens_per_step: float | None) -> Pace:
        """The pace of `to_do` steps to come, of `tokens_per_step` each (None: as many as in those seen)."""
        batches, line = self._batches, self._line()
        ratios = [batch.busy_s / max(line.at(batch.tokens / batch.steps) * batch.steps, 1e-12) for batch in batches]
        begin = latest_stretch(ratios)
        ratios, batches = ratios[begin:], batches[begin:]
        steps = [batch.steps for batch in batches]
        ahead = to_do / (sum(steps) / len(steps))
        level = _mean(ratios, steps)
        low, high = drifted(ratios, ahead)
        known = tokens_per_step is not None
        if tokens_per_step is None:
            tokens_per_step = self._all_tokens / self._all_steps if self._all_steps else 0.0
        one_s = line.at(tokens_per_step)
        doubt_s = one_s * (high_of_mean(ratios, ahead) - sum(ratios) / len(ratios))
        if not known and line.per_token_s:  # which rows are still to come is as uncertain as those seen were unlike
            doubt_s = math.hypot(doubt_s, level * line.per_token_s * self._tokens_doubt(to_do))
        waits = [batch.wait_s / batch.steps for batch in batches]
        wait_s = _mean(waits, steps)
        return Pace(
            step_s=one_s * max(0.0, level + low),
            step_high_s=one_s * max(level + low, level + high) + doubt_s,
            wait_s=wait_s,
            wait_high_s=wait_s + high_of_mean(waits, ahead) - sum(waits) / len(waits),
        )

    def _tokens_doubt(self, to_do: float) -> float:
        """How far above those seen the mean tokens of the steps to come may be, at p90."""
        tokens = [batch.tokens / batch.steps for batch in self._batches]
        ahead = to_do * len(tokens) / sum(batch.steps for batch in self._batches)
        return high_of_mean(tokens, ahead) - sum(tokens) / len(tokens)

    @property
    def precision(self) -> float | None:
        """How far above the mean its p90 lies, as a share, by what was seen alone; None below 10 batches."""
        each = [(batch.busy_s + batch.wait_s) / batch.steps for batch in self._batches]
        each = each[latest_stretch(each) :]
        mean = sum(each) / len(each) if each else 0.0
        if len(each) < LEAST_BATCHES or mean <= 0:
            return None
        variance = sum((value - mean) ** 2 for value in each) / (len(each) - 1)
        return student(0.9, len(each) - 1) * math.sqrt(variance / len(each)) / mean

    def _line(self) -> Line:
        whole = _Batch()
        for batch in self._batches:
            whole.join(batch)
        if not all(batch.tokens for batch in self._batches) or whole.observations < 3:
            return Line(whole.busy_s / whole.steps, 0.0)
        return fitted(whole.steps, whole.tokens, whole.busy_s, whole.tokens_squared, whole.product)


def latest_stretch(values: Sequence[float]) -> int:
    """Where the last stretch of one level begins: cut in two at the clearest change, again, until there is none."""
    begin = 0
    while (cut := clearest(values[begin:])) is not None:
        begin += cut
    return begin


def drifted(values: Sequence[float], ahead: float) -> tuple[float, float]:
    """What a clear trend adds to the mean of the values for the mean of `ahead` to come: at the median, and at p90.

    At p90 the trend goes on as it did; at the median it fades to half of that, as damped trends do better than
    straight ones (Gardner and McKenzie, Management Science 31(10), 1985). Nothing where no trend is clear.
    """
    count = len(values)
    if count < 4:
        return 0.0, 0.0
    middle, mean = (count - 1) / 2, sum(values) / count
    spread = count * (count * count - 1) / 12.0
    slope = sum((index - middle) * value for index, value in enumerate(values)) / spread
    around = [value - mean - slope * (index - middle) for index, value in enumerate(values)]
    noise = max(math.sqrt(sum(value * value for value in around) / (count - 2)), NOISE_SHARE * mean)
    noise *= persistence(around)
    if abs(slope) * math.sqrt(spread) < surely(TREND_Z, count - 2) * noise or abs(slope) * count < TREND_SHARE * mean:
        return 0.0, 0.0
    now, later = slope * middle, slope * ahead / 2
    return now + later / 2, now + later


def clearest(values: Sequence[float]) -> int | None:
    """Where two means differ most, in standard errors; None where no difference is clear and large enough."""
    count, total, squares = len(values), sum(values), sum(value * value for value in values)
    best, where, left, left_squares = surely(CHANGE_Z, count - 2), 0, 0.0, 0.0
    for cut in range(1, count - 1):  # two values at least after it
        left += values[cut - 1]
        left_squares += values[cut - 1] ** 2
        before, after = left / cut, (total - left) / (count - cut)
        inner = max(0.0, left_squares - cut * before**2 + squares - left_squares - (count - cut) * after**2)
        # lines that arrive together have steps of no time at all between them
        noise = max(math.sqrt(inner / max(1, count - 2)), NOISE_SHARE * before, 1e-12)
        z = abs(after - before) / (noise * math.sqrt(1.0 / cut + 1.0 / (count - cut)))
        if z > best and abs(after - before) > LEAST_CHANGE * before:
            best, where = z, cut
    if not where:
        return None
    sides = (values[:where], values[where:])
    around = [value - mean for side in sides for mean in (sum(side) / len(side),) for value in side]
    return where if best > surely(CHANGE_Z, count - 2) * persistence(around) else None


def _mean(values: Sequence[float], weights: Sequence[float]) -> float:
    return sum(value * weight for value, weight in zip(values, weights, strict=True)) / sum(weights)
