"""Residuals of a stack's rows -> its neighbours: robust, and so that larger steps are not predicted to be faster.

Owns how the weights of neighbours are learnt (Rasmussen & Williams 2006, algorithm 2.1). Kernel and use are
`speed.residual`.
"""

from __future__ import annotations

import numpy as np

from headway.domain.spread import Draws
from headway.predict.learning.sample import Sample
from headway.predict.speed.basis import COLUMNS
from headway.predict.speed.model import log_seconds_and_slopes
from headway.predict.speed.residual import Neighbours, coordinates, covariance, noise_sd

_LARGE = 2.0
"""Standardised residual from which a row's noise is taken to be larger than usual."""
_ROUNDS, _LESS = 12, 3.0
"""Rounds in which noises are found, and the multiple by which a row's variance grows in each in which a larger step
than its own would be faster."""
_RATIOS = (1.2, 2.0, 5.0)
"""Sizes, as multiples of a row's own, at which it is looked whether larger is faster."""
_PER_TOKEN = (
    "linear linear_fp8 linear_fp4 recompute recompute_fp8 recompute_fp4 attention attention_new attention_eager"
    " attention_short head elementwise elementwise_eager scores loss tensor_inner tensor_outer experts_inner"
    " experts_outer pipeline floor"
).split()
_PER_PAIR = ("attention", "attention_new", "attention_eager", "scores")
_PER_WEIGHT = (
    "linear linear_fp8 linear_fp4 recompute recompute_fp8 recompute_fp4 optimizer dequantise data_inner data_outer"
    " floor"
).split()
_NOT_PER_LAYER = "head loss micro_step bubble old_flash rowwise graphs dropout".split()
_NOT_PER_WIDTH = ("loss",)


def _growths() -> Draws:
    """Powers with which columns grow with rows, length, layers and width, shape (4, columns)."""
    token, pair, weight = (np.isin(COLUMNS, names).astype(float) for names in (_PER_TOKEN, _PER_PAIR, _PER_WEIGHT))
    layers = 1.0 - np.isin(COLUMNS, _NOT_PER_LAYER)
    width = np.maximum(token * (1.0 - np.isin(COLUMNS, _NOT_PER_WIDTH)), 2 * weight)
    return np.array([token, token + pair, layers, width])


GROWTHS = _growths()
"""In the order of rows, length, layers, width."""
Kernels = list[list[tuple[Draws, Draws]]]


def _larger(rows: Sample, at: Draws, coefficients: Draws) -> Kernels:
    """Log seconds of the rows' steps made ever larger in each way, and covariances with the rows: by way, by ratio."""
    found: Kernels = []
    for growth in GROWTHS:
        found.append([])
        for ratio in _RATIOS:
            middle, slopes = log_seconds_and_slopes(rows.basis * ratio**growth, coefficients)
            there = coordinates(rows.features, middle, slopes)
            found[-1].append((middle, covariance(there, at, rows.device, rows.device)))
    return found


def _faster(reached: Draws, larger: Kernels, weights: Draws) -> Draws:
    """Which rows would be predicted slower than a larger step, or one of their larger steps than the next."""
    found = np.zeros(len(reached), dtype=bool)
    for steps in larger:
        before = reached
        for middle, kernel in steps:
            after = middle + kernel @ weights
            found |= after < before
            before = after
    return found


def learn_neighbours(rows: Sample, coefficients: Draws) -> Neighbours:
    """Neighbours of a stack from its rows' log residuals over the physics of `coefficients` (names,).

    A row's trust (its weight) divides the noise; outliers count less, and so do rows that would let a step with more
    rows, tokens, layers or width be faster than a smaller one.
    """
    middle, slopes = log_seconds_and_slopes(rows.basis, coefficients)
    at = coordinates(rows.features, middle, slopes)
    if not len(rows):
        return Neighbours(at, list(rows.device), np.zeros(0))
    residuals, larger = rows.log_seconds - middle, _larger(rows, at, coefficients)
    shared = covariance(at, at, rows.device, rows.device)
    usual = noise_sd(len(rows)) ** 2 / rows.weight
    noise = usual
    for _ in range(_ROUNDS):
        weights = np.asarray(np.linalg.solve(shared + np.diag(noise), residuals))
        usual = np.where(_faster(middle + shared @ weights, larger, weights), usual * _LESS, usual)
        noise = usual * np.maximum(1.0, np.abs(noise * weights) / np.sqrt(usual) / _LARGE)
    return Neighbours(at, list(rows.device), np.asarray(np.linalg.solve(shared + np.diag(noise), residuals)))
