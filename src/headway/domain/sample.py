"""Repeated timings of the same thing: what is typical, how sure the mean is, what looks wrong.

Owns the statistics that a probe stops by, a prediction rests on and a page shows. hyperfine (sharkdp/hyperfine) is
the model for what is shown; the doubt of a mean follows batch means (Law & Kelton, Simulation Modeling and Analysis,
section 9.5), as timings of neighbouring steps are not independent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headway.domain.spread import Draws

OUTLIER_SCORE = 3.5
"""Modified z-score beyond which a timing is an outlier (Iglewicz & Hoaglin 1993, as in hyperfine)."""
MOST_BLOCKS = 16
LEAST_BLOCKS = 4
FLOOR_SHARE = 1e-3
"""Of the median, taken for the spread of timings that are all the same: a clock has a resolution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What `repeats` timings of one thing say, in seconds."""

    repeats: int
    mean_s: float
    median_s: float
    low_s: float
    """Shortest."""
    high_s: float
    """Longest."""
    p10_s: float
    p90_s: float
    sd_s: float
    mean_error_s: float
    """Standard error of the mean, with timings that hang together counted as such; infinite for a single one."""
    outliers: int
    drift: float
    """Mean of the second half over that of the first, less 1: the machine heats up, or something else began."""

    @property
    def relative_error(self) -> float:
        """Standard error over the mean."""
        return self.mean_error_s / self.mean_s if self.mean_s > 0 else math.inf


def summarise(seconds: Sequence[float]) -> Summary:
    """The summary of timings in the order in which they were taken. Raises ValueError for none."""
    values = np.asarray(seconds, dtype=float)
    if not values.size:
        raise ValueError("a summary needs at least one timing")
    half = values.size // 2
    first, second = (values[:half].mean(), values[half:].mean()) if half else (values.mean(), values.mean())
    p10, median, p90 = (float(one) for one in np.quantile(values, (0.1, 0.5, 0.9)))
    return Summary(
        repeats=int(values.size),
        mean_s=float(values.mean()),
        median_s=median,
        low_s=float(values.min()),
        high_s=float(values.max()),
        p10_s=p10,
        p90_s=p90,
        sd_s=float(values.std(ddof=1)) if values.size > 1 else 0.0,
        mean_error_s=mean_error(values),
        outliers=int(outliers(values).sum()),
        drift=float(second / first - 1) if first > 0 else 0.0,
    )


def mean_error(values: Draws) -> float:
    """Standard error of the mean of a series, shape (n,): the largest over block lengths of the batch-means estimate.

    Blocks of one timing give the textbook s / √n; longer blocks grow with it where neighbours hang together.
    Infinite for fewer than two timings.
    """
    n = values.size
    if n < 2:
        return math.inf
    errors = [float(values.std(ddof=1)) / math.sqrt(n)]
    blocks = n // 2
    while blocks >= LEAST_BLOCKS:
        if blocks <= MOST_BLOCKS:
            means = block_means(values, blocks)
            errors.append(float(means.std(ddof=1)) / math.sqrt(blocks))
        blocks //= 2
    return max(errors)


def block_means(values: Draws, blocks: int) -> Draws:
    """Means of `blocks` equal stretches; what is left over at the start is dropped."""
    length = values.size // blocks
    kept = values[values.size - length * blocks :]
    return np.asarray(kept.reshape(blocks, length).mean(axis=1))


def outliers(values: Draws) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which timings lie far from the median, by their modified z-score."""
    median = np.median(values)
    spread = max(float(np.median(np.abs(values - median))), FLOOR_SHARE * abs(float(median)))
    far = 0.6745 * np.abs(values - median) > OUTLIER_SCORE * spread
    return np.asarray(far, dtype=np.bool_)


def without_size(values: Draws, sizes: Draws) -> Draws:
    """`values` as they were had all `sizes` been the mean one: what a straight line explains is taken out.

    Their mean stays; so few or so equal that no line can be told are returned as they are.
    """
    away = sizes - sizes.mean()
    power = float(away @ away)
    if values.size <= LEAST_BLOCKS or power <= (FLOOR_SHARE * float(sizes.mean())) ** 2 * sizes.size:
        return values
    return np.asarray(values - float(away @ values) / power * away)
