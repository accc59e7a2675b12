"""Arithmetic on spreads that a bill needs beyond sums: rounding, differences, ratios, a price range beside draws.

Owns how two doubts are taken together: draw by draw, or end by end. Sums and products are `domain.spread`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from headway.domain.spread import Draws, Kind, Spread
from headway.domain.units import Range

Numbers = npt.NDArray[np.float64]

STREAMS = {
    name: float(np.sqrt(prime)) % 1
    for name, prime in (("price", 2), ("reserve", 3), ("watt", 5), ("pue", 7), ("share", 11), ("tariff", 13))
}
"""Steps of additive sequences; square roots of primes are independent over the rationals, so that the streams fill
their cube evenly (Weyl 1916, Satz 4)."""


def each(spread: Spread, rule: Callable[[Numbers], Numbers]) -> Spread:
    """`rule` applied to every draw, or to each of the three ends."""
    if spread.draws is not None:
        return Spread.from_draws(rule(spread.draws), spread.kind, spread.source)
    low, mid, high = (float(end) for end in rule(np.array([spread.p10, spread.p50, spread.p90])))
    return Spread(p10=low, p50=mid, p90=high, kind=spread.kind, source=spread.source)


def minus(left: Spread, right: Spread) -> Spread:
    """The difference that makes `right + difference == left` in every draw, or at every end.

    The ends belong to the low, middle and high case, so that sums stay exact; they need not be in order.
    """
    if left.draws is None and right.draws is None:
        low, mid, high = left.p10 - right.p10, left.p50 - right.p50, left.p90 - right.p90
        return Spread(p10=low, p50=mid, p90=high, kind=left.kind, source=left.source)
    return Spread.from_draws(np.asarray(_draws(left) - _draws(right)), left.kind, left.source)


def ratio(left: Spread, right: Spread) -> Spread | None:
    """`left / right` case by case, lowest and highest case as p10 and p90; None where `right` may be 0."""
    if left.draws is None and right.draws is None:
        if min(right.p10, right.p50, right.p90) <= 0:
            return None
        cases = (left.p10 / right.p10, left.p50 / right.p50, left.p90 / right.p90)
        return Spread(p10=min(cases), p50=cases[1], p90=max(cases), kind=left.kind, source=left.source)
    below = np.asarray(_draws(right))
    if below.min() <= 0:
        return None
    return Spread.from_draws(np.asarray(_draws(left) / below), left.kind, left.source)


def drawn(value: Range, kind: Kind, source: str, *, like: Spread, stream: str) -> Spread:
    """A stated range in the form of `like`: its ends, or as many draws, independent of those of `like`.

    The draws follow `Spread.quantile`: piecewise linear through p10, p50 and p90, stopping at the ends. They run
    through an additive sequence of their own (`STREAMS`), hence need no generator and are the same in every call.
    """
    ends = Spread.from_range(value, kind, source)
    if like.draws is None or ends.is_exact:
        return ends
    shares = (0.5 + STREAMS[stream] * np.arange(1, like.draws.size + 1)) % 1.0
    return Spread.from_draws(np.interp(shares, (0.1, 0.5, 0.9), (value.low, value.mid, value.high)), kind, source)


def _draws(spread: Spread) -> Draws | float:
    if spread.draws is None and not spread.is_exact:
        raise TypeError("ends and draws do not go together; draw from the ends first")
    return spread.p50 if spread.draws is None else spread.draws
