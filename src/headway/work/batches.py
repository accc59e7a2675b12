"""From rows of data to the tokens that are really computed: truncation, padding, packing, the last partial batch.

Owns the expectation over a length distribution, exact from its quantile function and so without sampling. Does not
own where the lengths come from (`plan/`, `catalog/`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from headway.domain.errors import UserError
from headway.domain.experiment import Batches, Lengths

LENGTH_SIGMA = 0.5
"""Spread of log length where only a mean is known: a log-normal with a coefficient of variation of 0.53. Assumed."""

_POINTS = 256
_EDGE = 1e-6
"""Shares 0 and 1 of a quantile table are read as this far inside, where the normal quantile is finite."""

_MIXED = (0.002, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.998)
"""Shares at which a mixture's lengths are kept."""
_MOVED = (0.5, 0.1, 0.01, 0.9, 0.99)
"""Shares whose quantile may be moved for a mean."""
_GRID = (np.arange(_POINTS) + 0.5) / _POINTS
_NORMAL = NormalDist()


@lru_cache(maxsize=256)
def _normal_of_largest(draws: int) -> NDArray[np.float64]:
    """Standard normal quantiles of the largest of `draws` values, at the midpoints of `_POINTS` equal shares.

    The largest of n has distribution F^n, so its quantile at v is Q(v^(1/n)).
    """
    shares = np.clip(_GRID ** (1.0 / draws), _EDGE, 1 - _EDGE * _EDGE)
    return np.array([_NORMAL.inv_cdf(share) for share in shares.tolist()])


@lru_cache(maxsize=256)
def _knots(lengths: Lengths) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The quantile table as (normal quantile, log tokens), between which lengths are interpolated."""
    pairs = sorted(lengths.quantiles)
    shares = [min(max(share, _EDGE), 1 - _EDGE) for share, _ in pairs]
    tokens = np.maximum.accumulate(np.maximum([tokens for _, tokens in pairs], 1.0))
    return np.array([_NORMAL.inv_cdf(share) for share in shares]), np.log(tokens)


def _largest(lengths: Lengths, draws: int, limit: float) -> NDArray[np.float64]:
    """Tokens of the longest of `draws` truncated rows, at equal shares."""
    if lengths.fixed:
        return np.full(_POINTS, min(lengths.mean, limit))
    normal = _normal_of_largest(draws)
    if not lengths.quantiles:
        # the grid's mean of a log-normal falls short of its exact mean by < 0.1 %; dividing by it keeps the mean
        shape = np.exp(LENGTH_SIGMA * _normal_of_largest(1)).mean()
        found = lengths.mean / shape * np.exp(LENGTH_SIGMA * normal)
    else:
        at, logs = _knots(lengths)
        inside = np.interp(normal, at, logs)
        if len(at) > 1:  # beyond the table: on along the log-normal through its last two points
            rise = (logs[-1] - logs[-2]) / (at[-1] - at[-2])
            inside += np.where(normal > at[-1], rise * (normal - at[-1]), 0.0)
            inside -= np.where(normal < at[0], (logs[1] - logs[0]) / (at[1] - at[0]) * (at[0] - normal), 0.0)
        if lengths.quantiles[-1][0] >= 1.0:
            inside = np.minimum(inside, logs[-1])  # the table holds the longest row there is
        found = np.exp(inside)
    clipped: NDArray[np.float64] = np.clip(found, min(1.0, limit), limit)
    return clipped


def mean_tokens(lengths: Lengths) -> float:
    """Mean of a length distribution as it is computed with, before truncation."""
    return float(_largest(lengths, 1, math.inf).mean())


def typical_rows(lengths: Lengths) -> tuple[int, ...]:
    """Tokens of 256 rows that stand for all: one at the middle of each equal share of the distribution."""
    return tuple(max(1, round(tokens)) for tokens in _largest(lengths, 1, math.inf).tolist())


def with_mean(lengths: Lengths, mean: float) -> Lengths:
    """The distribution between the same ends that has the stated mean; the nearest to it where none has.

    Its median is moved; where that is not enough, as for a mean close to one end, a quantile nearer to the other end.
    """
    (first, least), (last, most) = lengths.quantiles[0], lengths.quantiles[-1]

    def at(share: float, tokens: float) -> Lengths:
        inner = [pair for pair in lengths.quantiles[1:-1] if pair[0] != 0.5]
        held = [(one, min(size, tokens) if one < share else max(size, tokens)) for one, size in inner if one != share]
        return replace(lengths, quantiles=tuple(sorted(((first, least), (share, tokens), (last, most), *held))))

    for share in _MOVED:
        low, high = least, most
        if not mean_tokens(at(share, low)) <= mean <= mean_tokens(at(share, high)):
            continue
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if mean_tokens(at(share, middle)) < mean else (low, middle)
        return at(share, (low + high) / 2)
    return lengths


def mixed_quantiles(parts: Sequence[tuple[Lengths, float]]) -> tuple[tuple[float, float], ...]:
    """Quantile table of rows that come from several distributions, each with its share of the rows."""
    tokens = np.concatenate([_largest(lengths, 1, math.inf) for lengths, _ in parts])
    weights = np.concatenate([np.full(_POINTS, share / _POINTS) for _, share in parts])
    order = np.argsort(tokens, kind="stable")
    reached = (np.cumsum(weights[order]) - weights[order] / 2) / weights.sum()
    found = [(share, float(np.interp(share, reached, tokens[order]))) for share in _MIXED]
    ends = [max(lengths.quantiles)[1] for lengths, _ in parts if lengths.quantiles and max(lengths.quantiles)[0] >= 1.0]
    return (*found, (1.0, max(ends))) if len(ends) == len(parts) else tuple(found)


def _longest(lengths: Lengths, rows: int, limit: float) -> float:
    """The longest row of the data: known when the table ends with share 1, else expected of `rows` draws."""
    if lengths.quantiles and not lengths.fixed and max(lengths.quantiles)[0] >= 1.0:
        return min(max(lengths.quantiles)[1], limit)
    return float(_largest(lengths, max(rows, 1), limit).mean())


def steps_for(rows: float, batch: int, epochs: float = 1.0, drop_last: bool = False) -> int:
    """Optimizer steps of `epochs` passes over `rows` in batches of `batch`; a last partial batch is a step of its own.

    A part of an epoch is counted in steps, rounded up, as `transformers.Trainer` does. With `drop_last` the partial
    batch of every epoch is left out. Raises `UserError` when `batch` is not positive.
    """
    if batch < 1:
        raise UserError("a batch must hold at least one row", got=str(batch), field="recipe.batch")
    if rows <= 0 or epochs <= 0:
        return 0
    per_epoch = math.floor(rows / batch) if drop_last else math.ceil(rows / batch - 1e-9)
    return math.ceil(per_epoch * epochs - 1e-9)


def _refuse_nonsense(lengths: Lengths, max_length: int | None, **counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise UserError(f"{name} must be at least 1", got=str(count), field=name)
    if max_length is not None and max_length < 1:
        raise UserError("max_length must be at least 1 token", got=str(max_length), field="recipe.max_length")
    if not lengths.mean > 0 and not lengths.quantiles:
        raise UserError("rows must have a positive mean length", got=str(lengths.mean), field="dataset.tokens")


def _packed_rows(lengths: Lengths, rows: int, row: NDArray[np.float64], length: float) -> float:
    """Rows of `length` tokens that `rows` documents fill, whose lengths at equal shares are `row`."""
    if lengths.fixed:
        filled = rows / max(1, math.floor(length / float(row[0])))
    else:
        filled = rows * max(float(row.mean()) / length, float((row > length / 2).mean()))
    return min(float(rows), float(math.ceil(filled - 1e-9)))


def collate(
    lengths: Lengths,
    *,
    rows: int,
    micro_batch: int,
    grad_accum: int = 1,
    replicas: int = 1,
    max_length: int | None = None,
    pack: bool = False,
) -> Batches:
    """What the collator makes of `rows` rows of `lengths`: tokens computed per row and steps per epoch.

    Padding: a pass is as long as its longest row, E[max of n] = integral of Q(v^(1/n)) dv over (0, 1), n rows drawn at
    random. Packing: documents fill rows of `max_length`, attention sees the whole row, and an epoch has as many rows
    as the bin-packing lower bound asks for: tokens / max_length, or the rows longer than half of it, of which no two
    share one (Martello & Toth 1990, L2). First-fit packers come within 1 % of it (Krell et al. 2021, arXiv:2107.02027).
    Raises `UserError` for counts below 1.
    """
    _refuse_nonsense(lengths, max_length, rows=rows, micro_batch=micro_batch, grad_accum=grad_accum, replicas=replicas)
    limit = math.inf if max_length is None else float(max_length)
    row = _largest(lengths, 1, limit)
    real, longest, epoch_rows = float(row.mean()), _longest(lengths, rows, limit), float(rows)
    truncated = 0.0 if max_length is None else float((_largest(lengths, 1, math.inf) > limit).mean())
    batch = micro_batch * grad_accum * replicas
    if pack:
        length = longest if max_length is None else limit
        epoch_rows = _packed_rows(lengths, rows, row, length)
        tokens = real = rows * real / epoch_rows
        squared, longest = tokens * tokens, length if epoch_rows > 1 else tokens
    else:
        padded = _largest(lengths, min(micro_batch, rows), limit)
        tokens, squared = float(padded.mean()), float((padded * padded).mean())
        longest = max(longest, tokens)
    steps = steps_for(epoch_rows, batch)
    return Batches(
        rows_per_step=batch,
        micro_steps=grad_accum,
        micro_rows=micro_batch,
        row_tokens=tokens,
        row_tokens_squared=squared,
        real_row_tokens=real,
        longest_row_tokens=longest,
        steps_per_epoch=steps,
        last_batch_rows=round(epoch_rows) - (steps - 1) * batch,
        packed_rows=epoch_rows,
        truncated_share=truncated,
        padding_share=max(0.0, 1.0 - real / tokens),
    )
