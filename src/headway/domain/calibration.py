"""What predictions rest on besides datasheets: constants with their doubt, fitted or assumed, each with its source.

Owns the noun. Shipped values are data (`catalog/data/calibration.json`); fitting them is `predict/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from headway.domain.spread import Draws, Kind
from headway.domain.units import Range


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """One number of the predictor: p10, p50, p90 in `unit`."""

    name: str
    title: str
    """What it is, in words for a page."""
    range: Range
    unit: str
    kind: Kind
    source: str
    date: str = ""
    notes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """All constants by name."""

    constants: Mapping[str, Constant]

    def __getitem__(self, name: str) -> Constant:
        return self.constants[name]

    def middle(self) -> dict[str, float]:
        """The p50 of every constant."""
        return {name: constant.range.mid for name, constant in self.constants.items()}

    def draws(self, rng: np.random.Generator, count: int) -> dict[str, Draws]:
        """`count` joint draws of every constant, in the order of their names (so that a seed decides them)."""
        return {name: draw_range(self.constants[name].range, rng, count) for name in sorted(self.constants)}


P90_SCORE = NormalDist().inv_cdf(0.9)
"""Standard normal score of the 90th percentile."""


@lru_cache(maxsize=8)
def _scores(count: int) -> Draws:
    """Normal scores at the middles of `count` equal shares, with p10 and p90 of the distribution at -1 and +1."""
    normal = NormalDist()
    scores = [normal.inv_cdf((index + 0.5) / count) for index in range(count)]
    return np.asarray(np.array(scores) / P90_SCORE)


def draw_range(value: Range, rng: np.random.Generator, count: int) -> Draws:
    """Draws whose p10, p50 and p90 are the ends and middle of `value`: two half-lognormals, or half-normals at 0.

    A positive range gets lognormal halves (rates and times err by factors); one that touches 0 gets normal halves
    cut at 0. Every draw stands for an equal share of the distribution (Latin hypercube sampling, McKay et al. 1979),
    so that a few hundred of them give steady quantiles. Shape (count,).
    """
    if value.is_point:
        return np.full(count, value.mid)
    score: Draws = rng.permutation(_scores(count))
    if value.low > 0:
        down, up = np.log(value.mid / value.low), np.log(value.high / value.mid)
        return np.asarray(value.mid * np.exp(np.where(score < 0, down, up) * score))
    drawn = value.mid + np.where(score < 0, value.mid - value.low, value.high - value.mid) * score
    return np.asarray(np.maximum(drawn, 0.0))
