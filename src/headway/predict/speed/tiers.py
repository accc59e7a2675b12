"""How far a prediction can be trusted: which evidence it stands on, and the interval that such evidence has earned.

Owns the tiers and the conformal quantiles (Vovk et al. 2005; cross-conformal): an interval is the quantile of errors
that were made on rows held out, in units of a local difficulty. No posterior is taken at its word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from headway.domain.spread import Draws

TIERS = ("measured", "same stack", "same device", "same generation", "never seen")
"""Same machine and stack measured; the stack on other devices; the device, or its generation, in other stacks; none."""

_ENOUGH = 20
"""Held-out errors from which a stack's own quantiles are taken instead of its tier's."""
_FEW_STACKS, _FEW_ROWS = 3, 40
"""Stacks, and rows of them, that a tier needs for quantiles of its own; with fewer it has those of the better one."""
_NARROWS = {
    "measured": "three of your own steps of different size would replace the published neighbours",
    "same stack": "60 s of steps on this device, in three sizes,",
    "same device": "60 s of steps of your stack on this device, in three sizes,",
    "same generation": "60 s of steps of your stack on this device, in three sizes,",
    "never seen": "60 s of steps of your stack on this device, in three sizes,",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiles:
    """p10 and p90 of held-out log errors (measured / predicted) in units of the difficulty, and how many there were."""

    low: float
    high: float
    count: int


def weighted_quantile(values: Draws, weights: Draws, share: float) -> float:
    """Quantile of weighted values (midpoints of the cumulated weights, linear between)."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) - weights[order] / 2
    return float(np.interp(share, reached / weights.sum(), values[order]))


def _even(groups: Sequence[str]) -> Draws:
    """Weights by which every group (stack) counts with the root of its rows."""
    size = Counter(groups)
    return np.array([size[name] ** -0.5 for name in groups])


def quantiles(scores: Draws, groups: list[str]) -> Quantiles:
    """Quantiles of scores in which every group (stack) counts with the root of its rows."""
    low, high = (weighted_quantile(scores, _even(groups), share) for share in (0.1, 0.9))
    return Quantiles(low=min(low, -1e-3), high=max(high, 1e-3), count=len(scores))


def even_quantiles(scores: Draws, groups: list[str]) -> Quantiles:
    """Quantiles of the scores' size: both sides take the same, for which way a new stack errs cannot be known."""
    wide = max(weighted_quantile(np.abs(scores), _even(groups), 0.8), 1e-3)
    return Quantiles(low=-wide, high=wide, count=len(scores))


def by_tier(scores: Draws, stacks: list[str], tiers: list[str]) -> dict[str, Quantiles]:
    """Quantiles of stacks held out: `unseen`, and of each tier, never under those of a better one."""
    found = {"unseen": even_quantiles(scores, stacks)}
    best = found["unseen"]
    for tier in TIERS[2:]:
        own = [i for i, one in enumerate(tiers) if one == tier]
        of = [stacks[i] for i in own]
        if len(set(of)) >= _FEW_STACKS and len(own) >= _FEW_ROWS:
            one = even_quantiles(scores[own], of)
            best = one if tier == TIERS[2] or one.high > best.high else best
        found[tier] = best
    return found


def quantiles_by_group(scores: Draws, groups: list[str], common: str) -> dict[str, Quantiles]:
    """The quantiles of all scores under `common`, and of each group that has enough of its own."""
    if not len(scores):
        return {}
    found = {common: quantiles(scores, groups)}
    for name in sorted(set(groups)):
        own = np.array([group == name for group in groups])
        if own.sum() >= _ENOUGH:
            found[name] = quantiles(scores[own], [name] * int(own.sum()))
    return found


def tier_of(stack_known: bool, device_in_stack: bool, device_known: bool, generation_known: bool) -> str:
    """The best tier that the evidence allows."""
    if stack_known:
        return "measured" if device_in_stack else "same stack"
    return "same device" if device_known else "same generation" if generation_known else "never seen"


def advice(tier: str, low: float, high: float, after: Mapping[str, float]) -> str:
    """What would narrow an interval of `low` to `high` (multiples of the median), with the width after it."""
    wide = (high - low) / 2
    reached = after.get("measured" if tier in ("measured", "same stack") else "after 3", 0.0)
    if tier == "measured":
        return _NARROWS[tier]
    now = f"±{100 * wide:.0f} %"
    if 0 < reached < wide:
        return f"{_NARROWS[tier]} would cut {now} to ±{100 * reached:.0f} %"
    return f"{_NARROWS[tier]} would put a measurement in the place of {now}"
