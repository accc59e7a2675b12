"""Measurements -> a fitted predictor, and a fitted predictor + a few own measurements -> a better one.

Owns learning as a whole: physics (`fit`), neighbours (`residual`), intervals from held-out errors (`tiers`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from headway.domain.spread import Draws
from headway.predict.speed.fit import BETWEEN, Sample, family_effects, fit_coefficients, learn_effect
from headway.predict.speed.model import NAMES, log_seconds, log_seconds_and_slopes
from headway.predict.speed.residual import NOISE, TOTAL, Neighbours, learn_neighbours
from headway.predict.speed.tiers import Quantiles, quantiles_by_group

_FOLDS = 10
_KEPT = 400
"""Rows of a stack that are kept as neighbours; the physics is fitted on the same."""
_HEARSAY = 0.05
"""Of their weight, what rows with inferred lengths or settings (weight under 1) have in what all stacks share: they
speak for their own stack. Chosen by leave-stack-out on published rows (0.02 to 0.1 differ by a point)."""
_FEWEST = 4
"""Configurations from which a stack's own held-out errors are counted."""


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """What is known of one training stack."""

    name: str
    family: str
    effect: Draws
    """On the shared log coefficients, (names,)."""
    doubt: Draws
    """Sd that is left of it, (names,)."""
    neighbours: Neighbours
    rows: int


@dataclass(frozen=True, slots=True, eq=False)
class Speed:
    """A fitted predictor of step times."""

    coefficients: Draws
    """Shared log coefficients, (names,)."""
    families: Mapping[str, Draws]
    stacks: Mapping[str, Stack]
    devices: frozenset[str]
    generations: frozenset[str]
    known: Mapping[str, Quantiles]
    """Of held-out configurations: by stack, and `known` for all."""
    unseen: Mapping[str, Quantiles]
    """Of held-out stacks: `unseen`."""

    def centre(self, family: str) -> Draws:
        """The effect expected of a stack of which only the family is known, (names,)."""
        return self.families.get(family, np.zeros(len(NAMES)))


def middle_and_difficulty(
    speed: Speed, stack: Stack | None, family: str, basis: Draws, features: Draws, devices: list[str]
) -> tuple[Draws, Draws, Draws]:
    """Log seconds by physics, the neighbours' residual, and the local difficulty (log sd); each (rows,)."""
    effect = stack.effect if stack else speed.centre(family)
    middle, slopes = log_seconds_and_slopes(basis, speed.coefficients + effect)
    if stack is None:
        return middle, np.zeros(len(basis)), np.sqrt(((slopes * BETWEEN) ** 2).sum(1) + TOTAL + NOISE**2)
    residual, variance = stack.neighbours.residual(features, devices)
    return middle, residual, np.sqrt(variance + ((slopes * stack.doubt) ** 2).sum(1))


def learn_stack(name: str, rows: Sample, coefficients: Draws, centre: Draws) -> Stack:
    """A stack from its measured rows: its effect, shrunk towards `centre`, and its rows as neighbours."""
    rows = _thinned(rows)
    effect, doubt = learn_effect(rows, coefficients, centre)
    residuals = rows.log_seconds - log_seconds(rows.basis, coefficients + effect)
    neighbours = learn_neighbours(rows.features, rows.device, residuals, rows.weight)
    return Stack(name, rows.family[0], effect, doubt, neighbours, len(rows))


def _thinned(rows: Sample) -> Sample:
    """At most `_KEPT` rows, evenly over all."""
    if len(rows) <= _KEPT:
        return rows
    return rows.take(np.unique(np.linspace(0, len(rows) - 1, _KEPT).round().astype(int)))


def _held_out_configurations(speed: Speed, stack: str, rows: Sample) -> tuple[Draws, Draws]:
    """Log errors and difficulties of a stack's rows, each predicted without its configuration's fold."""
    names = sorted(set(map(str, rows.configuration)))
    order = np.random.default_rng(0).permutation(len(names)) % min(_FOLDS, len(names))
    fold = {name: int(order[index]) for index, name in enumerate(names)}
    folds = np.array([fold[str(one)] for one in rows.configuration])
    errors, difficulties = np.zeros(len(rows)), np.ones(len(rows))
    for number in range(int(order.max()) + 1):
        out = np.flatnonzero(folds == number)
        learnt = learn_stack(stack, rows.take(np.flatnonzero(folds != number)), speed.coefficients, speed.centre(""))
        held = rows.take(out)
        middle, residual, difficulty = middle_and_difficulty(speed, learnt, "", held.basis, held.features, list(held.device))
        errors[out], difficulties[out] = held.log_seconds - middle - residual, difficulty
    return errors, difficulties


def _known_scores(speed: Speed, sample: Sample) -> tuple[Draws, list[str]]:
    scores, groups = [], []
    for name, rows in sample.by_stack().items():
        kept = _thinned(rows)
        if len(set(map(str, kept.configuration))) >= _FEWEST:
            errors, difficulties = _held_out_configurations(speed, name, kept)
            trusted = kept.weight == 1.0
            scores.append((errors / difficulties)[trusted])
            groups += [name] * int(trusted.sum())
    return (np.concatenate(scores) if scores else np.zeros(0)), groups


def _shared(sample: Sample, start: Draws | None = None) -> tuple[Draws, dict[str, Draws]]:
    certain = np.where(sample.weight < 1, _HEARSAY * sample.weight, sample.weight)
    theta, effects = fit_coefficients(replace(sample, weight=certain), start)
    families = {name: rows.family[0] for name, rows in sample.by_stack().items()}
    return theta, family_effects(families, effects)


def _unseen_scores(speed: Speed, sample: Sample) -> tuple[Draws, list[str]]:
    """Scores of every stack's trusted rows, predicted by a fit without the stack."""
    scores, groups = [], []
    for name in sorted(set(sample.stack)):
        held = sample.take([i for i, one in enumerate(sample.stack) if one == name and sample.weight[i] == 1.0])
        if not len(held):
            continue
        rest = sample.take([i for i, one in enumerate(sample.stack) if one != name])
        theta, families = _shared(rest, speed.coefficients)
        without = replace(speed, coefficients=theta, families=families)
        middle, _, difficulty = middle_and_difficulty(without, None, held.family[0], held.basis, held.features, [])
        scores.append((held.log_seconds - middle) / difficulty)
        groups += [name] * len(held)
    return (np.concatenate(scores) if scores else np.zeros(0)), groups


def fit(sample: Sample) -> Speed:
    """A predictor from measured steps of any stacks. Deterministic; the same rows give the same bits."""
    stacks = {name: _thinned(rows) for name, rows in sample.by_stack().items()}
    kept = _joined(list(stacks.values()))
    theta, families = _shared(kept)
    speed = Speed(theta, families, {}, frozenset(kept.device), frozenset(kept.generation), {}, {})
    learnt = {name: learn_stack(name, rows, theta, speed.centre(rows.family[0])) for name, rows in stacks.items()}
    known = quantiles_by_group(*_known_scores(speed, kept), "known")
    unseen_scores, groups = _unseen_scores(speed, kept)
    unseen = {"unseen": quantiles_by_group(unseen_scores, groups, "unseen")["unseen"]}
    return replace(speed, stacks=learnt, known=known, unseen=unseen)


def _joined(parts: list[Sample]) -> Sample:
    return Sample(
        np.concatenate([one.basis for one in parts]),
        np.concatenate([one.features for one in parts]),
        np.concatenate([one.log_seconds for one in parts]),
        np.concatenate([one.weight for one in parts]),
        *([value for one in parts for value in getattr(one, name)] for name in ("stack", "family", "device", "generation")),
        [value for one in parts for value in one.configuration],
    )


def calibrate(prior: Speed, rows: Sample) -> Speed:
    """The predictor after a user's own measurements (1 to 5 are enough) of one or several stacks.

    A stack that is new is shrunk from its family's effect towards its rows; a known one of the same name is learnt
    anew from them. Raises ValueError for a sample without rows.
    """
    if not len(rows):
        raise ValueError("a calibration needs at least one measured step")
    stacks = dict(prior.stacks)
    for name, own in rows.by_stack().items():
        stacks[name] = learn_stack(name, own, prior.coefficients, prior.centre(own.family[0]))
    return replace(prior, stacks=stacks)
