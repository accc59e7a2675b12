"""What a stack's measured neighbours say beyond its physics: a Gaussian process on log residuals, within the stack.

Owns kernel and solution (Rasmussen & Williams 2006, algorithm 2.1). Length scales and variances were chosen once, by
leave-configuration-out on published rows, and are the same for every stack.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from headway.domain.spread import Draws
from headway.predict.speed.situation import FEATURES

LENGTHS: Mapping[str, float] = {
    "tokens": 0.94,
    "hidden": 2.2,
    "layers": 1.6,
    "length": 4.2,
    "accumulation": 1.5,
    "data": 9.8,
    "tensor": 0.59,
    "pipeline": 1.5,
    "context": 7.1,
    "peak": 0.94,
    "bandwidth": 0.73,
    "checkpointing": 0.23,
    "quantised": 2.6,
    "adapter": 2.1,
    "sparse": 10.0,
    "nodes": 3.5,
    "sharding": 12.0,
    "head_dim": 1.15,
    "virtual": 3.1,
    "format": 7.9,
    "fused": 1.9,
}
"""Distance over which residuals stay alike, in the units of `situation.features`."""
_SCALE = np.array([1 / LENGTHS[name] for name in FEATURES])
_NARROW, _OFFSET, _DEVICE, NOISE = 0.0462, 0.0168, 0.0599, 0.0101
"""Log sd of what near neighbours (0.73 of the lengths) share, of the stack, of a device, of a row."""
_NARROWER = 0.732
FEW = 8
"""Rows up to which a stack's effects are hardly known, so that neighbours have more to say, and further."""
_WIDE, _USUAL = (0.25, 1.5), (0.0625, 1.0)
"""Log sd of what neighbours share, and their lengths as multiples, for few rows and for more."""
_LARGE = 2.0
"""Standardised residual from which a row's noise is taken to be larger than usual."""


def total_variance(rows: int) -> float:
    """Variance of a stack's residuals where `rows` of it are known and none is near."""
    near = (_WIDE if rows <= FEW else _USUAL)[0] if rows else _USUAL[0]
    return near**2 + _NARROW**2 + _OFFSET**2 + _DEVICE**2


def _kernel(left: Draws, right: Draws, same_device: Draws, rows: int) -> Draws:
    """Covariances of the residuals of situations of a stack of which `rows` are known, shape (left, right)."""
    sd, reach = _WIDE if rows <= FEW else _USUAL
    squares = (left**2).sum(1)[:, None] + (right**2).sum(1)[None, :] - 2 * left @ right.T
    distance = np.maximum(squares, 0.0)
    near = sd**2 * np.exp(-distance / 2 / reach**2) + _NARROW**2 * np.exp(-distance / 2 / _NARROWER**2)
    return np.asarray(near + _OFFSET**2 + _DEVICE**2 * same_device)


def _same(left: Sequence[str], right: Sequence[str]) -> Draws:
    """1 where two devices are the same, else 0, shape (left, right)."""
    number = {device: index for index, device in enumerate(dict.fromkeys([*left, *right]))}
    rows, columns = (np.array([number[device] for device in side]) for side in (left, right))
    return np.asarray(np.equal.outer(rows, columns), dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Measured situations of one stack and the weights by which their residuals speak."""

    features: Draws
    """(rows, features)."""
    devices: Sequence[str]
    weights: Draws

    def residual(self, features: Draws, devices: Sequence[str]) -> tuple[Draws, Draws]:
        """Log residual of situations, and the variance that is left by the nearest neighbour; each (situations,)."""
        if not len(self.weights):
            return np.zeros(len(features)), np.full(len(features), total_variance(0) + NOISE**2)
        rows = len(self.weights)
        same = _same(devices, self.devices)
        covariance = _kernel(features * _SCALE, self.features * _SCALE, same, rows)
        nearest, most = covariance.max(axis=1), total_variance(rows) + NOISE**2
        return covariance @ self.weights, most - nearest**2 / most


def learn_neighbours(features: Draws, devices: Sequence[str], residuals: Draws, trust: Draws) -> Neighbours:
    """Neighbours of a stack from its log residuals; `trust` (0 to 1) divides the noise, outliers count less."""
    if not len(residuals):
        return Neighbours(features, list(devices), np.zeros(0))
    covariance = _kernel(features * _SCALE, features * _SCALE, _same(devices, devices), len(residuals))
    usual = NOISE**2 / trust
    first = np.linalg.solve(covariance + np.diag(usual), residuals)
    size = np.abs(usual * first) / np.sqrt(usual)
    noise = usual * np.maximum(1.0, size / _LARGE)
    weights = np.asarray(np.linalg.solve(covariance + np.diag(noise), residuals))
    return Neighbours(features, list(devices), weights)
