"""Errors on rows held out: of configurations, of whole stacks, and of stacks of which a few rows were measured.

Owns which rows are held out and the scores, from which intervals are made (`speed.tiers`). Also learns the stacks
and shared coefficients that holding out needs again and again.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from headway.domain.spread import Draws
from headway.predict.learning.fit import family_effects, fit_coefficients, learn_effect
from headway.predict.learning.neighbours import learn_neighbours
from headway.predict.learning.sample import Sample
from headway.predict.speed.state import Speed, Stack, log_middle_and_difficulty
from headway.predict.speed.tiers import Quantiles, by_tier, even_quantiles, quantiles_by_group, tier_of

AFTER = (1, 3)
"""Own rows for which intervals are measured."""
MOST_KEPT = 400
"""Rows of a stack that are kept as neighbours; the physics is fitted on the same."""
_CHOICES = 5
"""Choices of own rows that are tried on each stack."""
_FOLDS = 10
_FEWEST = 2
"""Configurations from which a stack's own held-out errors are counted."""
_HEARSAY = 0.05
"""Of their weight, what rows with inferred lengths or settings (weight under 1) have in what all stacks share: they
speak for their own stack. Chosen by leave-stack-out on published rows (0.02 to 0.1 differ by a point)."""


def shared_fit(sample: Sample, start: Draws | None = None) -> tuple[Draws, dict[str, Draws]]:
    """Shared log coefficients, and the effects that families have in common, from the rows of many stacks."""
    certain = np.where(sample.weight < 1, _HEARSAY * sample.weight, sample.weight)
    theta, effects = fit_coefficients(replace(sample, weight=certain), start)
    families = {name: rows.family[0] for name, rows in sample.by_stack().items()}
    return theta, family_effects(families, effects)


def learn_stack(name: str, rows: Sample, coefficients: Draws, centre: Draws) -> Stack:
    """A stack from its measured rows: its effect, shrunk towards `centre`, and its rows as neighbours."""
    rows = rows.thinned(MOST_KEPT)
    effect, doubt = learn_effect(rows, coefficients, centre)
    neighbours = learn_neighbours(rows, coefficients + effect)
    return Stack(name=name, family=rows.family[0], effect=effect, doubt=doubt, neighbours=neighbours, rows=len(rows))


def scores(speed: Speed, stack: Stack | None, held: Sample) -> Draws:
    """Log errors (measured / predicted) of held-out rows of one family, in units of their difficulty."""
    found = log_middle_and_difficulty(speed, stack, held.family[0], held.basis, held.features, held.device)
    return np.asarray((held.log_seconds - found[0]) / found[1])


def _held_out_configurations(speed: Speed, stack: str, rows: Sample) -> Draws:
    """Scores of a stack's rows, each predicted without its configuration's fold."""
    names = sorted(set(rows.configuration))
    order = np.random.default_rng(0).permutation(len(names)) % min(_FOLDS, len(names))
    fold = {name: int(order[index]) for index, name in enumerate(names)}
    folds = np.array([fold[one] for one in rows.configuration])
    found = np.zeros(len(rows))
    for number in range(int(order.max()) + 1):
        out = np.flatnonzero(folds == number)
        rest = rows.take(np.flatnonzero(folds != number))
        learnt = learn_stack(stack, rest, speed.coefficients, speed.centre(rows.family[0]))
        found[out] = scores(speed, learnt, rows.take(out))
    return found


def known_quantiles(speed: Speed, sample: Sample) -> dict[str, Quantiles]:
    """Quantiles of the certain rows, each predicted by its stack without its configuration: by stack and `known`."""
    found: list[Draws] = []
    groups: list[str] = []
    for name, rows in sample.by_stack().items():
        if len(set(rows.configuration)) >= _FEWEST:
            certain = rows.weight == 1.0
            found.append(_held_out_configurations(speed, name, rows)[certain])
            groups += [name] * int(certain.sum())
    return quantiles_by_group(np.concatenate([np.zeros(0), *found]), groups, "known")


def _after(speed: Speed, rows: Sample, count: int) -> Draws:
    """Scores of a stack's rows after `count` rows of other configurations were measured, several choices of them."""
    first = {one: index for index, one in reversed(list(enumerate(rows.configuration)))}
    order = np.random.default_rng(count).permutation(sorted(first.values()))
    found: list[Draws] = []
    for start in range(0, min(len(order), _CHOICES * count), count):
        own = [int(row) for row in order[start : start + count]]
        taken = {rows.configuration[row] for row in own}
        others = [i for i, one in enumerate(rows.configuration) if one not in taken]
        if len(own) < count or not others:
            continue
        learnt = learn_stack(rows.stack[0], rows.take(own), speed.coefficients, speed.centre(rows.family[0]))
        found.append(scores(speed, learnt, rows.take(others)))
    return np.concatenate([np.zeros(0), *found])


def unseen_quantiles(speed: Speed, sample: Sample) -> dict[str, Quantiles]:
    """Quantiles of every stack's certain rows: by a fit without the stack, by tier; and after 1 and 3 rows of it."""
    unseen: list[Draws] = [np.zeros(0)]
    stacks: list[str] = []
    tiers: list[str] = []
    after = {count: ([np.zeros(0)], list[str]()) for count in AFTER}
    for name, rows in sample.by_stack().items():
        held, rest = rows.take(np.flatnonzero(rows.weight == 1.0)), sample.without_stack(name)
        if not len(held):
            continue
        theta, families = shared_fit(rest, speed.coefficients)
        without = replace(speed, coefficients=theta, families=families)
        unseen.append(scores(without, None, held))
        stacks += [name] * len(held)
        devices, generations = set(rest.device), set(rest.generation)
        tiers += [
            tier_of(False, False, device in devices, generation in generations)
            for device, generation in zip(held.device, held.generation, strict=True)
        ]
        for count, (parts, groups) in after.items():
            parts.append(_after(without, held, count))
            groups.extend([name] * len(parts[-1]))
    found = by_tier(np.concatenate(unseen), stacks, tiers)
    for count, (parts, groups) in after.items():
        if groups:
            found[f"after {count}"] = even_quantiles(np.concatenate(parts), groups)
    return found
