"""What a fit of memory knows: shared factors, each stack's effect and neighbours, and the errors made when held out.

Owns the nouns and the prediction of many rows at once. How they are learnt is `predict.learning.peak_fit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from headway.domain.spread import Draws
from headway.predict.memory import difficulty
from headway.predict.peak.basis import FEATURES
from headway.predict.peak.model import log_peak_and_slopes
from headway.predict.speed.tiers import Quantiles

KNOWN, UNSEEN = "known", "unseen"
_LENGTHS = {
    "tokens": 0.75,
    "weights": 0.75,
    "trained": 0.35,
    "replicas": 0.75,
    "model_parallel": 0.75,
    "quantised": 0.35,
    "adapter": 0.35,
    "sparse": 0.25,
    "loss": 0.35,
}
"""Distance over which residuals stay alike, in the units of `basis.FEATURES`: a doubling, or another kind of run.
Half and twice of it, by leave-configuration-out on published rows, differ by less than a point."""
SCALE = np.array([1 / _LENGTHS[name] for name in FEATURES])
NEAR, NOISE = 0.12, 0.03
"""Log sd of what near neighbours share, and of a row."""


def covariance(left: Draws, right: Draws) -> Draws:
    """Covariances of log residuals of runs of one stack by their features, shape (left, right)."""
    apart = (left * SCALE)[:, None, :] - (right * SCALE)[None, :, :]
    return np.asarray(NEAR**2 * np.exp(-(apart**2).sum(axis=2) / 2))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PeakStack:
    """What is known of one stack's peaks."""

    effect: Draws
    """On the shared log factors, (names,)."""
    features: Draws
    """Of its measured runs, (rows, features)."""
    weights: Draws
    """By which their residuals speak, (rows,)."""

    def residual(self, features: Draws) -> Draws:
        """Log residual of runs by their measured neighbours, (runs,)."""
        if not len(self.weights):
            return np.zeros(len(features))
        return np.asarray(covariance(features, self.features) @ self.weights)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PeakFit:
    """A fitted predictor of memory peaks."""

    logs: Draws
    """Shared log factors, (names,)."""
    stacks: Mapping[str, PeakStack]
    quantiles: Mapping[str, Quantiles]
    """Of held-out configurations: by stack and `known`; of held-out stacks: `unseen`."""

    def interval(self, stack: str) -> tuple[Quantiles, str]:
        """Quantiles for a run of that stack, and the tier: `known` or `unseen`."""
        tier = KNOWN if stack in self.stacks else UNSEEN
        return self.quantiles.get(f"{KNOWN} {stack}", self.quantiles[tier]), tier


def middle_and_difficulty(fit: PeakFit, stack: PeakStack | None, bases: Draws, features: Draws) -> tuple[Draws, Draws]:
    """Log bytes of the peaks of one stack's runs, and their difficulty; each (rows,). None: an unseen stack."""
    logs, slopes = log_peak_and_slopes(bases, fit.logs if stack is None else fit.logs + stack.effect)
    if stack is not None:
        logs = logs + stack.residual(features)
    return logs, np.array([difficulty(1.0 - share) for share in slopes.sum(axis=1)])
