"""What a stack's measured neighbours say beyond its physics: a Gaussian process on log residuals, within the stack.

Owns coordinates and kernel (Rasmussen & Williams 2006, chapter 4), the same for every stack. The weights are learnt in
`learning.neighbours`.

Steps are near in what their time goes into (its logarithm and its shares by kind of work), in machine and in recipe.
Sizes are no coordinates of their own: more tokens, layers or width move the coordinates by little more than they move
the physics' log seconds (a share by at most twice that), so where the physics is flat what neighbours say is flat too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

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
Single = npt.NDArray[np.float32]
COORDINATES = (*FEATURES, "log_seconds", *SHARES)
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
    _prepared: _Prepared = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_prepared", _prepare(self.coordinates, self.devices, self.weights))

    def residual(self, at: Draws, devices: Sequence[str]) -> tuple[Draws, Draws]:
        """Log residual of situations, and the variance that is left by the nearest neighbour; each (situations,).

        In single precision around the neighbours' middle: differences are under 1e-5.
        """
        rows, found, variance = len(self.weights), np.zeros(len(at)), np.empty(len(at))
        most = total_variance(rows) + noise_sd(rows) ** 2
        if not rows:
            return found, np.full(len(at), most)
        for device in set(devices):
            here = np.array([one == device for one in devices]) if len(set(devices)) > 1 else slice(None)
            found[here], nearest = self._prepared.of_device(at[here], device)
            variance[here] = most - nearest**2 / most
        return found, variance


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """Neighbours in single precision, sorted by device, around their middle."""

    middle: Draws
    right: Single
    """Transposed, with two more lines by which a product with (x, -x^2/2, 1) is -distance^2 / 2."""
    near: Single
    narrow: Single
    """Weights times the variances of the kernel's two parts."""
    of_each: Mapping[str, tuple[slice, float]]
    """Rows of a device, and the sum of their weights."""

    def of_device(self, at: Draws, device: str) -> tuple[Draws, Draws]:
        """Log residuals of situations on a device, and the largest covariance with a neighbour, each (situations,)."""
        centred, rows = at - self.middle, len(self.near)
        squares = -0.5 * (centred * centred).sum(axis=1)
        left = np.column_stack([centred, squares, np.ones(len(at))]).astype(np.float32)
        closeness = left @ self.right
        np.exp(closeness, out=closeness)
        there, own = self.of_each.get(device, (slice(0, 0), 0.0))
        everywhere = _OFFSET**2 * sum(total for _, total in self.of_each.values())
        found = closeness @ self.near + (closeness * closeness) @ self.narrow + (everywhere + _DEVICE**2 * own)
        nearest = _of_closeness(closeness.max(axis=1), rows) + _OFFSET**2
        if there.stop > there.start:
            beside = _of_closeness(closeness[:, there].max(axis=1), rows) + _OFFSET**2 + _DEVICE**2
            nearest = np.maximum(nearest, beside)
        return found, nearest


def _prepare(at: Draws, devices: Sequence[str], weights: Draws) -> _Prepared:
    order = sorted(range(len(devices)), key=lambda row: devices[row])
    names, ordered = [devices[row] for row in order], weights[order]
    of_each = {}
    for name in dict.fromkeys(names):
        start, stop = names.index(name), len(names) - names[::-1].index(name)
        of_each[name] = slice(start, stop), float(ordered[start:stop].sum())
    middle = at.mean(axis=0) if len(at) else np.zeros(at.shape[1])
    centred = at[order] - middle
    right = np.column_stack([centred, np.ones(len(at)), -0.5 * (centred * centred).sum(axis=1)])
    near, narrow = _near_sd(len(at)) ** 2 * ordered, _NARROW**2 * ordered
    return _Prepared(middle, _single(right.T), _single(near), _single(narrow), of_each)


def _single(values: Draws) -> Single:
    return np.ascontiguousarray(values, dtype=np.float32)
