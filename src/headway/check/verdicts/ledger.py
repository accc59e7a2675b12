"""The ledger: how well promises were kept over many runs, and what that says of the next one.

Owns the statistics, which are exact for any number of runs: coverage against a binomial, bias as a median between order
statistics. A run counts once, with its latest verdict, when its promise was made before it began, for the device that
it ran on, and it was finished.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from headway.check.verdicts.verdict import TermVerdict, Verdict

INSIDE, BELOW = 0.8, 0.9
"""Shares of runs that lie between p10 and p90, and below p90, where promises are what they say."""
LEVEL = 0.95
"""Confidence of the interval of a share."""
MIDDLE_LEVEL = 0.8
"""Confidence wanted of the interval of a median."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """How often a promise held, out of how often it could."""

    held: int
    of: int
    promised: float
    """Share of times in which it should hold."""

    @property
    def interval(self) -> tuple[float, float]:
        """Shares that the count is compatible with, at 95 % (Clopper & Pearson 1934); everything for no runs."""
        tail = (1 - LEVEL) / 2
        low = 0.0 if not self.held else _solve(lambda share: 1 - _cumulated(self.held - 1, self.of, share), tail)
        high = 1.0 if self.held == self.of else _solve(lambda share: -_cumulated(self.held, self.of, share), -tail)
        return low, high

    @property
    def probability(self) -> float:
        """Of a count at least as far off, to either side, if the promise were true (exact binomial, doubled tail)."""
        below = _cumulated(self.held, self.of, self.promised)
        above = 1 - _cumulated(self.held - 1, self.of, self.promised)
        return min(1.0, 2 * min(below, above))

    @property
    def compatible(self) -> bool:
        """Whether the promised share may be true."""
        return self.probability >= 1 - LEVEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Middle:
    """A median with the order statistics around it, which hold the true one with probability `level`.

    The level is at least `MIDDLE_LEVEL` where there are enough values (4), else that of the smallest and the largest.
    """

    value: float
    low: float
    high: float
    level: float
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the ledger: what it is of, and how promises of it were kept."""

    name: str
    runs: int
    inside: Held
    """Between p10 and p90; of those that had an interval."""
    below: Held
    """Not above p90; likewise."""
    ratio: Middle
    """Measured over the middle that was promised."""
    each: Middle | None = None
    """The same of one unit (a step, a save): what recalibrating would multiply by. None: no unit is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Promises kept, over all runs that count."""

    whole: Line | None
    """Runs as a whole; None where none counts."""
    promises: int
    """Promises that they share: runs of one promise say less than as many of different ones."""
    not_counted: int
    """Runs whose promise was made afterwards or for another device, or that were not finished."""
    terms: tuple[Line, ...] = ()
    kinds: tuple[Line, ...] = ()
    devices: tuple[Line, ...] = ()


def ledger(verdicts: Iterable[Verdict]) -> Ledger:
    """The ledger of verdicts in the order in which they were made."""
    latest = list({verdict.run: verdict for verdict in verdicts}.values())
    counted = [verdict for verdict in latest if verdict.counts]
    terms = [term for verdict in counted for term in verdict.terms if term.promised is not None]
    return Ledger(
        whole=_of_runs("all runs", counted) if counted else None,
        promises=len({(verdict.promise, verdict.experiment) for verdict in counted}),
        not_counted=len(latest) - len(counted),
        terms=_grouped(terms, lambda term: term.term),
        kinds=_grouped(terms, lambda term: "" if term.promised is None else term.promised.kind),
        devices=tuple(
            _of_runs(device or "unknown", [one for one in counted if one.device == device])
            for device in dict.fromkeys(verdict.device for verdict in counted)
        ),
    )


def _of_runs(name: str, verdicts: Sequence[Verdict]) -> Line:
    judged = [verdict for verdict in verdicts if verdict.inside is not None]
    return Line(
        name=name,
        runs=len(verdicts),
        inside=Held(held=sum(bool(verdict.inside) for verdict in judged), of=len(judged), promised=INSIDE),
        below=Held(
            held=sum(one.measured_s <= one.promised.p90 for one in judged), of=len(judged), promised=BELOW
        ),
        ratio=median([verdict.measured_s / verdict.promised.p50 for verdict in verdicts]),
    )  # fmt: skip


def _grouped(terms: Sequence[TermVerdict], name_of: Callable[[TermVerdict], str]) -> tuple[Line, ...]:
    """A line for each name, of the terms whose promise was more than nothing."""
    groups: dict[str, list[TermVerdict]] = {}
    for term in terms:
        if term.promised is not None and term.promised.p50 > 0:
            groups.setdefault(name_of(term), []).append(term)
    return tuple(_of_terms(name, members) for name, members in groups.items())


def _of_terms(name: str, terms: Sequence[TermVerdict]) -> Line:
    spreads = [(term.promised, term) for term in terms if term.promised is not None]
    judged = [(spread, term) for spread, term in spreads if term.inside is not None]
    each = [ratio for term in terms if (ratio := term.each_ratio) is not None]
    return Line(
        name=name,
        runs=len(terms),
        inside=Held(held=sum(bool(term.inside) for _, term in judged), of=len(judged), promised=INSIDE),
        below=Held(
            held=sum(term.measured_s <= spread.p90 for spread, term in judged), of=len(judged), promised=BELOW
        ),
        ratio=median([term.measured_s / spread.p50 for spread, term in spreads]),
        each=median(each) if each else None,
    )  # fmt: skip


def median(values: Sequence[float]) -> Middle:
    """The median and the narrowest pair of order statistics around it of at least `MIDDLE_LEVEL`.

    The k-th value from either end leaves the true median out with probability 2 P(Binomial(n, 1/2) < k), whatever the
    values are distributed like (David & Nagaraja, Order Statistics, section 7.1). Raises ValueError for no values.
    """
    ordered = sorted(values)
    n = len(ordered)
    if not n:
        raise ValueError("a median needs at least one value")
    inner = max((k for k in range(1, n // 2 + 1) if _level(k, n) >= MIDDLE_LEVEL), default=1)
    middle = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    return Middle(value=middle, low=ordered[inner - 1], high=ordered[n - inner], level=_level(inner, n), of=n)


def _level(k: int, n: int) -> float:
    return max(0.0, 1 - 2 * _cumulated(k - 1, n, 0.5))


def _cumulated(k: int, n: int, share: float) -> float:
    """P(Binomial(n, share) <= k), by logarithms so that thousands of runs do not overflow."""
    if k < 0:
        return 0.0
    if k >= n or share <= 0:
        return 1.0
    if share >= 1:
        return 0.0
    log_of = [
        math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * math.log(share)
        + (n - i) * math.log1p(-share)
        for i in range(k + 1)
    ]  # fmt: skip
    return min(1.0, math.fsum(math.exp(one) for one in log_of))


def _solve(rising: Callable[[float], float], target: float) -> float:
    """The share (0..1) at which a rising function reaches `target`, by bisection to the last digits."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < target else (low, middle)
    return (low + high) / 2
