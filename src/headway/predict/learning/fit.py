"""Measured steps -> coefficients that all stacks share, and what each stack adds to them: robust, partially pooled.

Owns the fit (hierarchical Gauss-Newton on log seconds with Huber's loss). Does not own what is learnt from the rows'
neighbourhood (`residual`) nor intervals (`tiers`).

The shared coefficients theta are those of a typical stack: every stack has effects of its own, delta ~ N(0, tau^2),
which are integrated out when theta is solved for (Lindley & Smith 1972, JRSS B 34(1)); so a thousand rows of one stack
tell no more about another one than tau allows.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from headway.domain.spread import Draws
from headway.predict.learning.sample import Sample
from headway.predict.speed.model import BETWEEN, NAMES, PRIOR, log_seconds, log_seconds_and_slopes
from headway.predict.speed.residual import FEW, coordinates, covariance, noise_sd

CENTRE = np.array([PRIOR[name][0] for name in NAMES])
DOUBT = np.array([PRIOR[name][1] for name in NAMES])

_HUBER = 0.1
"""Log error from which a row counts linearly: what sources differ by on repeated runs (README lesson 8: 15 %)."""
_NOISE = 0.07
"""Log sd of a row around a stack's physics."""
_FULL = 100.0
"""Rows of one stack that count fully; more share that weight."""
_STEPS = 30
_FEW_STEPS = 3
_DONE = 1e-4


def _share(rows: Sample) -> float:
    return float(min(1.0, _FULL / rows.weight.sum()))


def _loss(rows: Sample, coefficients: Draws) -> float:
    """Huber's loss in units of the noise, the share of a large stack applied."""
    size = np.abs(rows.log_seconds - log_seconds(rows.basis, coefficients)) / _HUBER
    each = np.where(size < 1, size * size, 2 * size - 1)
    return float(_share(rows) * (rows.weight * each).sum() * (_HUBER / _NOISE) ** 2)


def _normal(rows: Sample, coefficients: Draws, effect: Draws) -> tuple[Draws, Draws]:
    """J'WJ and J'W(residual + J effect) of a stack, W with Huber's weights."""
    middle, slopes = log_seconds_and_slopes(rows.basis, coefficients + effect)
    residual = rows.log_seconds - middle
    weight = rows.weight * np.minimum(1.0, _HUBER / np.maximum(np.abs(residual), 1e-9)) * _share(rows) / _NOISE**2
    return slopes.T @ (weight[:, None] * slopes), slopes.T @ (weight * (residual + slopes @ effect))


def _effect_of_few(rows: Sample, coefficients: Draws, centre: Draws) -> tuple[Draws, Draws]:
    """As `learn_effect`, where what few rows share by chance must not pass for the stack's own way.

    Effect and residuals are one Gaussian model, in which rows that are near share what the stack has no effect for
    (generalised least squares); the neighbours say the rest.
    """
    effect, prior = centre.copy(), BETWEEN**2
    for _ in range(_FEW_STEPS):
        middle, slopes = log_seconds_and_slopes(rows.basis, coefficients + effect)
        at = coordinates(rows.features, middle, slopes)
        shared = covariance(at, at, rows.device, rows.device)
        total = (slopes * prior) @ slopes.T + shared + np.diag(noise_sd(len(rows)) ** 2 / rows.weight)
        gain = prior[:, None] * np.linalg.solve(total, slopes).T
        effect = centre + gain @ (rows.log_seconds - middle + slopes @ (effect - centre))
    return effect, np.sqrt(prior * (1 - (gain * slopes.T).sum(axis=1)))


def learn_effect(rows: Sample, coefficients: Draws, centre: Draws) -> tuple[Draws, Draws]:
    """Effect of one stack from its rows, shrunk towards `centre`, and what doubt is left; each (names,).

    With no rows it is the centre and its doubt the spread between stacks; each row takes away what it tells.
    """
    prior = np.diag(BETWEEN**-2)
    effect, damping = centre.copy(), 1e-3
    if not len(rows):
        return effect, BETWEEN.copy()
    if len(rows) <= FEW:
        return _effect_of_few(rows, coefficients, centre)

    def cost(at: Draws) -> float:
        return _loss(rows, coefficients + at) + float((((at - centre) / BETWEEN) ** 2).sum())

    best = cost(effect)
    for _ in range(_STEPS):
        information, pull = _normal(rows, coefficients, effect)
        slope = pull - information @ effect - prior @ (effect - centre)
        step, reached = effect, best
        while damping < 1e5:
            damped = information + prior + damping * np.diag(np.diag(information))
            step = effect + np.linalg.solve(damped, slope)
            reached = cost(step)
            if reached < best:
                break
            damping *= 4
        else:
            break
        gain, effect, best, damping = best - reached, step, reached, damping / 4
        if gain < _DONE * best:
            break
    information, _ = _normal(rows, coefficients, effect)
    return effect, np.sqrt(np.diag(np.linalg.inv(information + prior)))


def _proposal(
    stacks: Mapping[str, Sample], theta: Draws, effects: Mapping[str, Draws], damping: float
) -> tuple[Draws, dict[str, Draws]]:
    """One damped Gauss-Newton step of all coefficients together, the effects eliminated stack by stack."""
    between = np.diag(BETWEEN**-2)
    information, pull = np.diag(DOUBT**-2), (CENTRE - theta) / DOUBT**2
    parts = {}
    for name, rows in stacks.items():
        one, wanted = _normal(rows, theta, effects[name])
        parts[name] = one, wanted
        kept = between @ np.linalg.inv(one + between)
        information = information + kept @ one
        pull = pull + kept @ wanted
    step = np.linalg.solve(information + damping * np.diag(np.diag(information)), pull)
    moved: dict[str, Draws] = {}
    for name, (one, wanted) in parts.items():
        extra = damping * np.diag(np.diag(one))
        right = wanted - one @ step + extra @ effects[name]
        moved[name] = np.asarray(np.linalg.solve(one + between + extra, right))
    return theta + step, moved


def fit_coefficients(sample: Sample, start: Draws | None = None) -> tuple[Draws, dict[str, Draws]]:
    """Shared log coefficients (names,) and each stack's effect on them, from measured steps. Deterministic."""
    stacks = sample.by_stack()
    theta = CENTRE.copy() if start is None else start.copy()
    effects = {name: np.zeros(len(NAMES)) for name in stacks}
    if start is not None:
        effects = {name: learn_effect(rows, theta, effects[name])[0] for name, rows in stacks.items()}

    def cost(at: Draws, of: Mapping[str, Draws]) -> float:
        own = sum(_loss(rows, at + of[name]) + ((of[name] / BETWEEN) ** 2).sum() for name, rows in stacks.items())
        return float(own + (((at - CENTRE) / DOUBT) ** 2).sum())

    best, damping = cost(theta, effects), 1e-3
    for _ in range(_STEPS):
        while damping < 1e5:
            proposed, moved = _proposal(stacks, theta, effects, damping)
            reached = cost(proposed, moved)
            if reached < best:
                break
            damping *= 4
        else:
            break
        gain, theta, effects, best, damping = best - reached, proposed, moved, reached, damping / 4
        if gain < _DONE * best:
            break
    return theta, effects


def family_effects(families: Mapping[str, str], effects: Mapping[str, Draws], share: float = 0.5) -> dict[str, Draws]:
    """What stacks of a family have in common: their mean effect, shrunk; `share` of the variance is the family's."""
    found = {}
    for family in sorted(set(families.values())):
        own = [effects[name] for name in sorted(effects) if families[name] == family]
        if own:
            count = len(own)
            found[family] = np.asarray(np.mean(own, axis=0)) * (share * count / (share * count + 1 - share))
    return found
