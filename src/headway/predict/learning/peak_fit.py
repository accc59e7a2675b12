"""Measured peaks -> factors that all stacks share, each stack's effect and neighbours, and intervals: deterministic.

Owns the fit (partially pooled, Huber's loss; Lindley & Smith 1972, JRSS B 34(1)) and its held-out errors. The form is
`predict.peak`; how rows are read is their reader's affair.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from headway.domain.spread import Draws
from headway.predict.peak.model import BETWEEN, DOUBT, NAMES, log_peak_and_slopes
from headway.predict.peak.state import (
    KNOWN,
    NOISE,
    UNSEEN,
    PeakFit,
    PeakStack,
    covariance,
    middle_and_difficulty,
)
from headway.predict.speed.tiers import Quantiles, even_quantiles, quantiles, quantiles_by_group

_HUBER = 0.05
"""Log error from which a row counts linearly."""
_SPREAD = 0.07
"""Log sd of a row around a stack's factors."""
_FULL = 30.0
"""Rows of one stack that count fully; more share that weight."""
_FEW = 5
"""Held-out errors of a stack from which they may widen its interval."""
_ROUNDS, _STEPS, _FOLDS = 40, 15, 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PeakSample:
    """Measured peaks, one entry a row."""

    bases: Draws
    """`peak.basis`, (rows, moments, groups)."""
    features: Draws
    log_bytes: Draws
    weight: Draws
    """0 to 1: how far a row is trusted."""
    stack: Sequence[str]
    configuration: Sequence[str]
    """Rows that agree in it are never separated in cross-validation."""

    def __len__(self) -> int:
        return len(self.log_bytes)

    def take(self, rows: Iterable[int]) -> PeakSample:
        """The rows at these positions."""
        at = [int(row) for row in rows]
        return PeakSample(
            bases=self.bases[at],
            features=self.features[at],
            log_bytes=self.log_bytes[at],
            weight=self.weight[at],
            stack=[self.stack[i] for i in at],
            configuration=[self.configuration[i] for i in at],
        )

    def by_stack(self) -> dict[str, PeakSample]:
        """The rows of each stack, in the order of names."""
        names = sorted(set(self.stack))
        return {name: self.take(i for i, one in enumerate(self.stack) if one == name) for name in names}


def _own_logs(rows: PeakSample, centre: Draws) -> Draws:
    """Log factors of one stack, shrunk towards `centre`: damped Gauss-Newton with Huber's weights."""
    prior = np.diag(BETWEEN**-2)
    share = min(1.0, _FULL / rows.weight.sum()) / _SPREAD**2

    def cost(at: Draws) -> float:
        size = np.abs(rows.log_bytes - log_peak_and_slopes(rows.bases, at)[0]) / _HUBER
        each = np.where(size < 1, size * size, 2 * size - 1)
        return float(share * _HUBER**2 * (rows.weight * each).sum() + (((at - centre) / BETWEEN) ** 2).sum())

    logs, damping = centre.copy(), 1e-3
    best = cost(logs)
    for _ in range(_STEPS):
        middle, slopes = log_peak_and_slopes(rows.bases, logs)
        residual = rows.log_bytes - middle
        weight = share * rows.weight * np.minimum(1.0, _HUBER / np.maximum(np.abs(residual), 1e-9))
        information = slopes.T @ (weight[:, None] * slopes) + prior
        pull = slopes.T @ (weight * residual) - prior @ (logs - centre)
        moved = logs + np.linalg.solve(information + damping * np.diag(np.diag(information)), pull)
        reached = cost(moved)
        if reached < best:
            logs, best, damping = moved, reached, damping / 4
        else:
            damping *= 4
    return logs


def shared_logs(sample: PeakSample, start: Draws | None = None) -> Draws:
    """Log factors of a typical stack, (names,): each stack's own, averaged and shrunk to 0, again and again."""
    stacks, logs = sample.by_stack(), np.zeros(len(NAMES)) if start is None else start
    for _ in range(_ROUNDS):
        own = [_own_logs(rows, logs) for rows in stacks.values()]
        moved = np.asarray(np.sum(own, axis=0) / BETWEEN**2 / (len(own) / BETWEEN**2 + DOUBT**-2))
        if np.abs(moved - logs).max() < 1e-5:
            break
        logs = moved
    return logs


def learn_stack(rows: PeakSample, shared: Draws) -> PeakStack:
    """A stack from its rows: its effect on the shared factors, and the residuals of its rows as neighbours."""
    logs = _own_logs(rows, shared)
    residual = rows.log_bytes - log_peak_and_slopes(rows.bases, logs)[0]
    noise = np.diag(NOISE**2 / rows.weight)
    weights = np.asarray(np.linalg.solve(covariance(rows.features, rows.features) + noise, residual), dtype=np.float64)
    return PeakStack(effect=logs - shared, features=rows.features, weights=weights)


def _scores(fit: PeakFit, stack: PeakStack | None, held: PeakSample) -> Draws:
    """Log errors (measured / predicted) in units of their difficulty."""
    middle, difficulty = middle_and_difficulty(fit, stack, held.bases, held.features)
    return np.asarray((held.log_bytes - middle) / difficulty)


def _known_scores(fit: PeakFit, rows: PeakSample) -> Draws:
    """Scores of a stack's rows, each predicted without its configuration's fold."""
    names = sorted(set(rows.configuration))
    order = np.random.default_rng(0).permutation(len(names)) % min(_FOLDS, len(names))
    fold = {name: int(order[index]) for index, name in enumerate(names)}
    folds = np.array([fold[one] for one in rows.configuration])
    found = np.zeros(len(rows))
    for number in range(int(order.max()) + 1):
        out = np.flatnonzero(folds == number)
        rest = rows.take(np.flatnonzero(folds != number))
        found[out] = _scores(fit, learn_stack(rest, fit.logs), rows.take(out))
    return found


def _of_few(scores: Draws, groups: list[str], found: Mapping[str, Quantiles]) -> dict[str, Quantiles]:
    """Stacks with too few rows for quantiles of their own: the wider of theirs and of everyone's, on each side."""
    wider = {}
    for name in sorted(set(groups) - set(found)):
        own = quantiles(scores[[group == name for group in groups]], [name] * groups.count(name))
        if own.count >= _FEW:
            all_of_them = found[KNOWN]
            low, high = min(own.low, all_of_them.low), max(own.high, all_of_them.high)
            wider[name] = Quantiles(low=low, high=high, count=own.count)
    return wider


def _held_out(fit: PeakFit, sample: PeakSample) -> dict[str, Quantiles]:
    """Quantiles of held-out configurations of known stacks, and of stacks held out altogether."""
    known, groups, unseen, stacks = [np.zeros(0)], list[str](), [np.zeros(0)], list[str]()
    for name, rows in sample.by_stack().items():
        if len(set(rows.configuration)) > 1:
            known.append(_known_scores(fit, rows))
            groups += [f"{KNOWN} {name}"] * len(rows)
        rest = sample.take(i for i, one in enumerate(sample.stack) if one != name)
        if len(rest):
            without = replace(fit, logs=shared_logs(rest, fit.logs))
            unseen.append(_scores(without, None, rows))
            stacks += [name] * len(rows)
    found = quantiles_by_group(np.concatenate(known), groups, KNOWN)
    found |= _of_few(np.concatenate(known), groups, found)
    if stacks:
        found[UNSEEN] = even_quantiles(np.concatenate(unseen), stacks)
    return found


def fit_peaks(sample: PeakSample) -> PeakFit:
    """A predictor from measured peaks of at least two stacks. Raises ValueError for fewer."""
    if len(set(sample.stack)) < 2:
        raise ValueError("learning peaks needs the rows of two stacks or more")
    logs = shared_logs(sample)
    fit = PeakFit(logs=logs, stacks={}, quantiles={})
    stacks = {name: learn_stack(rows, logs) for name, rows in sample.by_stack().items()}
    return replace(fit, stacks=stacks, quantiles=_held_out(fit, sample))
