"""Measurements -> a fitted predictor, and a fitted predictor + a few own measurements -> a better one.

Owns learning as a whole. Its parts: physics (`fit`), neighbours (`speed.residual`), held-out errors (`holdout`).
"""

from __future__ import annotations

from dataclasses import replace

from headway.predict.learning.holdout import MOST_KEPT, known_quantiles, learn_stack, shared_fit, unseen_quantiles
from headway.predict.learning.sample import Sample
from headway.predict.speed.state import Speed


def fit(sample: Sample) -> Speed:
    """A predictor from measured steps of any stacks. Deterministic; the same rows give the same bits."""
    kept = sample.thinned(MOST_KEPT)
    theta, families = shared_fit(kept)
    speed = Speed(
        coefficients=theta,
        families=families,
        stacks={},
        devices=frozenset(kept.device),
        generations=frozenset(kept.generation),
        known={},
        unseen={},
    )
    learnt = {
        name: learn_stack(name, rows, theta, speed.centre(rows.family[0])) for name, rows in kept.by_stack().items()
    }
    return replace(speed, stacks=learnt, known=known_quantiles(speed, kept), unseen=unseen_quantiles(speed, kept))


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
