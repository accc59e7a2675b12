"""What a stack's measured neighbours say beyond its physics: a Gaussian process on log residuals, within the stack.

Owns coordinates and kernel (Rasmussen & Williams 2006, chapter 4), the same for every stack. The weights are learnt in
`learning.neighbours`.

Steps are near in what their time goes into (its logarithm and its shares by kind of work), in machine and in recipe.
Sizes are no coordinates of their own: more tokens, layers or width move the coordinates by little more than they move
the physics' log seconds (a share by at most twice that), so where the physics is flat what neighbours say is flat too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from headway.domain.spread import Draws
from headway.predict.speed.model import SHARES, shares
from headway.predict.speed.situation import FEATURES

LENGTHS: Mapping[str, float] = {
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
    "log_seconds": 2.0,
    **dict.fromkeys(SHARES, 0.3),
}
"""Distance over which residuals stay alike, in the units of the coordinate (`situation.features`, log seconds, shares).
Chosen by leave-configuration-out on published rows."""
COORDINATES = tuple(LENGTHS)
_SCALE = np.array([1 / LENGTHS[name] for name in COORDINATES])
_NARROW, _OFFSET, _DEVICE, NOISE = 0.0462, 0.0168, 0.0599, 0.0101
"""Log sd of what nearer neighbours (at 1/sqrt 2 of the lengths) share, of the stack, of a device, of a row."""
FEW = 8
"""Rows up to which a stack's effects are hardly known, so that neighbours have more to say, and further."""
_USUAL, _WIDE, _WIDE_NOISE = 0.0625, 0.3, 0.05
"""Log sd of what neighbours share for more rows than that; for few, and a row's noise then."""


def coordinates(features: Draws, log_seconds: Draws, slopes: Draws) -> Draws:
    """Where steps lie, in units of the lengths: (rows, coordinates).

    `features` (rows, features) of `situation`, log seconds of the physics and their slopes (rows, names).
    """
    return np.asarray(np.column_stack([features, log_seconds, shares(slopes)]) * _SCALE)


def _near_sd(rows: int) -> float:
    return _WIDE if 0 < rows <= FEW else _USUAL


def noise_sd(rows: int) -> float:
    """Log sd of a measured step of a stack of which `rows` are known."""
    return _WIDE_NOISE if rows <= FEW else NOISE


def total_variance(rows: int) -> float:
    """Variance of a stack's residuals where `rows` of it are known and none is near."""
    return _near_sd(rows) ** 2 + _NARROW**2 + _OFFSET**2 + _DEVICE**2


def _of_closeness(closeness: Draws, rows: int) -> Draws:
    """Covariance at exp(-distance^2 / 2), whose square has lengths 1/sqrt 2 as long."""
    return np.asarray(closeness * (_near_sd(rows) ** 2 + _NARROW**2 * closeness))


def _closeness(left: Draws, right: Draws) -> Draws:
    """exp(-distance^2 / 2) of every pair, shape (left, right)."""
    product = left @ right.T
    product -= (left * left).sum(1)[:, None] / 2
    product -= (right * right).sum(1)[None, :] / 2
    np.minimum(product, 0.0, out=product)
    return np.asarray(np.exp(product, out=product))


def covariance(at: Draws, to: Draws, devices: Sequence[str], of: Sequence[str]) -> Draws:
    """Covariances of log residuals, without noise, of steps at `at` on `devices` with a stack's known rows at `to`."""
    same = np.equal.outer(np.array(devices), np.array(of))
    return np.asarray(_of_closeness(_closeness(at, to), len(to)) + _OFFSET**2 + _DEVICE**2 * same)


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Measured situations of one stack and the weights by which their residuals speak."""

    coordinates: Draws
    """(rows, coordinates)."""
    devices: Sequence[str]
    weights: Draws

    def residual(self, at: Draws, devices: Sequence[str]) -> tuple[Draws, Draws]:
        """Log residual of situations, and the variance that is left by the nearest neighbour; each (situations,).

        In single precision around the neighbours' middle: differences are under 1e-5.
        """
        rows = len(self.weights)
        if not rows:
            return np.zeros(len(at)), np.full(len(at), total_variance(0) + NOISE**2)
        middle = self.coordinates.mean(axis=0)
        left, right = ((one - middle).astype(np.float32) for one in (at, self.coordinates))
        closeness = _closeness(left, right)
        covariances = _of_closeness(closeness, rows)
        found = covariances @ self.weights.astype(np.float32) + _OFFSET**2 * self.weights.sum()
        nearest = covariances.max(axis=1) + _OFFSET**2
        own = np.array(self.devices)
        for device in set(devices) & set(self.devices):
            here, there = np.array([one == device for one in devices]), own == device
            found[here] += _DEVICE**2 * self.weights[there].sum()
            nearest[here] = np.maximum(nearest[here], covariances[here][:, there].max(axis=1) + _OFFSET**2 + _DEVICE**2)
        most = total_variance(rows) + noise_sd(rows) ** 2
        return found.astype(np.float64), most - nearest.astype(np.float64) ** 2 / most
