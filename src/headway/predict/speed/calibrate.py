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
from headway.predict.speed.residual import FEW, NOISE, Neighbours, learn_neighbours, total_variance
from headway.predict.speed.tiers import Quantiles, quantiles_by_group

_FOLDS = 10
AFTER = (1, 3)
"""Own rows for which intervals are measured."""
_CHOICES = 5
"""Choices of own rows that are tried on each stack."""
_KEPT = 400
"""Rows of a stack that are kept as neighbours; the physics is fitted on the same."""
_HEARSAY = 0.05
"""Of their weight, what rows with inferred lengths or settings (weight under 1) have in what all stacks share: they
speak for their own stack. Chosen by leave-stack-out on published rows (0.02 to 0.1 differ by a point)."""
_FEWEST = 2
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
    """Of held-out stacks: `unseen`, and after some rows of theirs: `after 1`, `after 3`."""

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
        return middle, np.zeros(len(basis)), np.sqrt(((slopes * BETWEEN) ** 2).sum(1) + total_variance(0) + NOISE**2)
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


def _after(speed: Speed, rows: Sample, count: int) -> tuple[Draws, list[str]]:
    """Scores of a stack's rows after `count` rows of other configurations were measured, several choices of them."""
    first = {str(one): index for index, one in reversed(list(enumerate(rows.configuration)))}
    order = np.random.default_rng(count).permutation(sorted(first.values()))
    scores: list[Draws] = []
    for start in range(0, min(len(order), _CHOICES * count), count):
        own = [int(row) for row in order[start : start + count]]
        taken = {str(rows.configuration[row]) for row in own}
        others = [i for i, one in enumerate(rows.configuration) if str(one) not in taken]
        if len(own) < count or not others:
            continue
        learnt = learn_stack(rows.stack[0], rows.take(own), speed.coefficients, speed.centre(rows.family[0]))
        scores.append(_scores(speed, learnt, rows.take(others)))
    found = np.concatenate(scores) if scores else np.zeros(0)
    return found, [rows.stack[0]] * len(found)


def _scores(speed: Speed, stack: Stack | None, held: Sample) -> Draws:
    """Log errors in units of the difficulty."""
    predicted = middle_and_difficulty(speed, stack, held.family[0], held.basis, held.features, list(held.device))
    middle, residual, difficulty = predicted
    return np.asarray((held.log_seconds - middle - residual) / difficulty)


def _unseen_quantiles(speed: Speed, sample: Sample) -> dict[str, Quantiles]:
    """Quantiles of every stack's certain rows: by a fit without the stack, and after 1 and 3 rows of it."""
    found: dict[str, list[tuple[Draws, list[str]]]] = {"unseen": [], **{f"after {count}": [] for count in AFTER}}
    for name in sorted(set(sample.stack)):
        certain = [i for i, one in enumerate(sample.stack) if one == name and sample.weight[i] == 1.0]
        if not certain:
            continue
        held = sample.take(certain)
        theta, families = _shared(sample.take([i for i, one in enumerate(sample.stack) if one != name]), speed.coefficients)
        without = replace(speed, coefficients=theta, families=families)
        found["unseen"].append((_scores(without, None, held), [name] * len(held)))
        for count in AFTER:
            found[f"after {count}"].append(_after(without, held, count))
    return {
        kind: quantiles_by_group(np.concatenate([one[0] for one in parts]), sum((one[1] for one in parts), []), kind)[kind]
        for kind, parts in found.items()
        if sum(len(one[0]) for one in parts)
    }


def fit(sample: Sample) -> Speed:
    """A predictor from measured steps of any stacks. Deterministic; the same rows give the same bits."""
    stacks = {name: _thinned(rows) for name, rows in sample.by_stack().items()}
    kept = _joined(list(stacks.values()))
    theta, families = _shared(kept)
    speed = Speed(theta, families, {}, frozenset(kept.device), frozenset(kept.generation), {}, {})
    learnt = {name: learn_stack(name, rows, theta, speed.centre(rows.family[0])) for name, rows in stacks.items()}
    known = quantiles_by_group(*_known_scores(speed, kept), "known")
    return replace(speed, stacks=learnt, known=known, unseen=_unseen_quantiles(speed, kept))


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
