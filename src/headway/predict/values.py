"""Numbers that may be draws: reading constants, and the few functions that treat floats and arrays alike.

Owns the naming rule of constants: `name.variant` is used where it exists, else `name`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from headway.domain.spread import Draws

Value = float | Draws
"""A number, or joint draws of it, shape (draws,)."""

Constants = Mapping[str, Value]


def constant(constants: Constants, name: str, *variants: str) -> Value:
    """The constant `name`, in the first of the `variants` that exists (`matmul_efficiency.tuned`), else plain.

    Raises KeyError when the calibration has neither.
    """
    for variant in variants:
        found = constants.get(f"{name}.{variant}")
        if found is not None:
            return found
    return constants[name]


def larger(left: Value, right: Value) -> Value:
    """The larger of two, draw by draw."""
    if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
        return np.asarray(np.maximum(left, right))
    return max(left, right)


def smaller(left: Value, right: Value) -> Value:
    """The smaller of two, draw by draw."""
    return -larger(-left, -right)


def root_of_squares(left: Value, right: Value) -> Value:
    """sqrt(left^2 + right^2), draw by draw: between the larger of the two and their sum."""
    if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
        return np.asarray(np.hypot(left, right))
    return math.hypot(left, right)


def middle(value: Value) -> float:
    """The median of draws; a number as it is."""
    if not isinstance(value, np.ndarray):
        return float(value)
    ordered = np.sort(value)  # numpy.median would import numpy.ma
    half = len(ordered) // 2
    return float(ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2)


def added(values: Iterable[Value]) -> Value:
    """The sum, draw by draw; 0 for nothing."""
    return sum(values, start=0.0)
