"""A quantity with its doubt: p10, p50, p90, what kind of knowledge it is, and where it comes from.

Owns the arithmetic of doubt. Two forms: *ends* (stated ranges: all lows add up, all highs add up, as documents do) and
*draws* (joint samples: sums are taken draw by draw, so that shared doubt stays shared). A total always equals the sum
of its terms: end by end in the first form, draw by draw in the second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from headway.domain.units import Range

Kind = Literal["measured", "predicted", "stated", "assumed"]
MOST_SOURCES = 4
"""Sources that a sum names, those of its largest terms first."""
Draws = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spread:
    """One uncertain quantity in a base unit; `draws` is None in the form of ends."""

    p10: float
    p50: float
    p90: float
    kind: Kind
    source: str = ""
    draws: Draws | None = field(default=None, repr=False)

    @classmethod
    def exact(cls, value: float, kind: Kind, source: str = "") -> Spread:
        """A quantity without doubt."""
        return cls(p10=value, p50=value, p90=value, kind=kind, source=source)

    @classmethod
    def from_range(cls, value: Range, kind: Kind, source: str = "") -> Spread:
        """Low, mid and high as p10, p50 and p90."""
        return cls(p10=value.low, p50=value.mid, p90=value.high, kind=kind, source=source)

    @classmethod
    def from_draws(cls, draws: Draws, kind: Kind, source: str = "") -> Spread:
        """Quantiles of a sample of shape (draws,)."""
        p10, p50, p90 = _quantiles(draws)
        return cls(p10=p10, p50=p50, p90=p90, kind=kind, source=source, draws=draws)

    @property
    def is_exact(self) -> bool:
        """True when nothing is in doubt."""
        return self.p10 == self.p90 and self.draws is None

    @property
    def mean(self) -> float:
        """Mean of the draws; the middle in the form of ends."""
        return self.p50 if self.draws is None else float(self.draws.mean())

    def quantile(self, share: float) -> float:
        """The value that is not exceeded with probability `share` (0..1).

        Ends are read as p10, p50 and p90 of a piecewise linear distribution that stops at them.
        """
        if self.draws is not None:
            return float(np.quantile(self.draws, share))
        return float(np.interp(share, (0.1, 0.5, 0.9), (self.p10, self.p50, self.p90)))

    def drawn(self, count: int) -> Draws:
        """Draws of shape (count,): its own, which are as many, else `count` times its middle."""
        return np.full(count, self.p50) if self.draws is None else self.draws

    def __add__(self, other: Spread) -> Spread:
        return total((self, other))

    def __mul__(self, factor: float) -> Spread:
        """Scaled by an exact factor, not below 0."""
        if factor < 0:
            raise ValueError("a spread can be scaled by a positive factor only")
        draws = None if self.draws is None else self.draws * factor
        return Spread(
            p10=self.p10 * factor,
            p50=self.p50 * factor,
            p90=self.p90 * factor,
            kind=self.kind,
            source=self.source,
            draws=draws,
        )

    __rmul__ = __mul__

    def times(self, other: Spread) -> Spread:
        """The product of two spreads that are not negative; ends multiply end by end (both high together)."""
        kind, source = _provenance((self, other))
        left, right = _aligned((self, other))
        if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
            return Spread.from_draws(np.asarray(left * right), kind, source)
        return Spread(
            p10=self.p10 * other.p10, p50=self.p50 * other.p50, p90=self.p90 * other.p90, kind=kind, source=source
        )

    def relabelled(self, kind: Kind, source: str) -> Spread:
        """The same numbers, otherwise known."""
        return Spread(p10=self.p10, p50=self.p50, p90=self.p90, kind=kind, source=source, draws=self.draws)

    def to_dict(self) -> dict[str, Any]:
        """`{"p10", "p50", "p90", "kind", "source"}`."""
        return {"p10": self.p10, "p50": self.p50, "p90": self.p90, "kind": self.kind, "source": self.source}


def total(spreads: Iterable[Spread]) -> Spread:
    """The sum, draw by draw or end by end; its kind is that of the largest share, its source names the terms' sources.

    Raises TypeError when ends that are not exact meet draws: draw from the ends first.
    """
    terms = tuple(spreads)
    if not terms:
        return Spread.exact(0.0, "assumed")
    if len(terms) == 1:
        return terms[0]
    kind, source = _provenance(terms)
    parts = _aligned(terms)
    if any(isinstance(part, np.ndarray) for part in parts):
        return Spread.from_draws(np.asarray(sum(parts)), kind, source)
    return Spread(
        p10=sum(t.p10 for t in terms),
        p50=sum(t.p50 for t in terms),
        p90=sum(t.p90 for t in terms),
        kind=kind,
        source=source,
    )


def total_of(terms: Mapping[str, Spread]) -> Spread:
    """The sum of named terms."""
    return total(terms.values())


def dominant_kind(terms: Iterable[Spread]) -> Kind:
    """The kind of knowledge behind the largest share of a sum (by p50)."""
    shares: dict[Kind, float] = {}
    for term in terms:
        shares[term.kind] = shares.get(term.kind, 0.0) + abs(term.p50)
    return max(shares, key=lambda kind: shares[kind]) if shares else "assumed"


def _quantiles(draws: Draws) -> tuple[float, float, float]:
    """p10, p50 and p90 as `numpy.quantile` gives them, ten times faster on small samples."""
    ordered = np.sort(draws)
    last = len(ordered) - 1
    values = []
    for share in (0.1, 0.5, 0.9):
        below = int(share * last)
        above = min(below + 1, last)
        values.append(float(ordered[below] + (ordered[above] - ordered[below]) * (share * last - below)))
    return values[0], values[1], values[2]


def _provenance(terms: tuple[Spread, ...]) -> tuple[Kind, str]:
    ranked = sorted(terms, key=lambda term: -abs(term.p50))
    sources = dict.fromkeys(source for term in ranked[:MOST_SOURCES] for source in term.source.split("; ") if source)
    return dominant_kind(terms), "; ".join(list(sources)[:MOST_SOURCES])


def _aligned(terms: tuple[Spread, ...]) -> list[Draws | float]:
    """Draws of each term, or its one value; only floats when no term has draws."""
    if all(term.draws is None for term in terms):
        return [term.p50 for term in terms]
    parts: list[Draws | float] = []
    for term in terms:
        if term.draws is None and not term.is_exact:
            raise TypeError("ends and draws do not add up; draw from the ends first")
        parts.append(term.p50 if term.draws is None else term.draws)
    return parts
