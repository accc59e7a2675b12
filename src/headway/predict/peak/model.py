"""Bytes by moment and group x factors -> the peak, with derivatives: the physics of the fitted memory predictor.

Owns the form: every group has a factor, and the moment with the largest sum decides. Factors are kept as logarithms.
"""

from __future__ import annotations

import numpy as np

from headway.domain.spread import Draws
from headway.predict.memory import FACTORS

NAMES = tuple(FACTORS)
DOUBT = np.array([0.02, 0.04, 0.04, 0.2])
"""Sd of the log factors that all stacks share, of `NAMES`: bytes of states follow from dtypes, of activations from what
autograd saves; a context is 0.3 to 0.8 GB."""
BETWEEN = np.array([0.1, 0.15, 0.15, 0.5])
"""Sd between stacks."""


def log_peak_and_slopes(bases: Draws, logs: Draws) -> tuple[Draws, Draws]:
    """Log bytes of peaks (rows,) and their derivatives by the log factors (rows, names): shares of the peak.

    `bases`: (rows, moments, groups), the first group without a factor; `logs`: (names,).
    """
    factors = np.concatenate([[1.0], np.exp(logs)])
    scaled = bases * factors
    totals = scaled.sum(axis=2)
    at = totals.argmax(axis=1)
    rows = np.arange(len(bases))
    peak = totals[rows, at]
    return np.asarray(np.log(peak)), np.asarray(scaled[rows, at, 1:] / peak[:, None])
