"""A situation and a fitted predictor -> seconds of a step: terms, p10/p50/p90, tier, and what would narrow it.

Owns the prediction as a record. Learning is `predict.learning`; what surrounds a step is `estimate/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from headway.domain.spread import Draws
from headway.predict.speed.basis import basis
from headway.predict.speed.model import floor_seconds, seconds_by_term
from headway.predict.speed.residual import FEW
from headway.predict.speed.situation import Situation, features
from headway.predict.speed.state import Speed, Stack, log_middle_and_difficulty
from headway.predict.speed.tiers import Quantiles, advice, tier_of
from headway.predict.values import Constants

_CHUNK = 256
"""Situations that are predicted at a time: their closeness to 400 neighbours then stays in the cache."""
_AFTER = {"measured": 0.08, "after 3": 0.19}
"""Half-width that rows of the same machine, or three of a new stack, leave: half the judge's `width80`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Seconds of one optimizer step."""

    p10: float
    p50: float
    p90: float
    terms: Mapping[str, float]
    """Seconds by term at the median; they add up to `p50`."""
    tier: str
    """One of `tiers.TIERS`."""
    narrows: str
    """The measurement that would narrow the interval most."""


def _quantiles(speed: Speed, stack: Stack | None, tier: str) -> Quantiles:
    if stack is None:
        return speed.unseen.get(tier) or speed.unseen["unseen"]
    if stack.rows <= FEW:
        return speed.unseen["after 1" if stack.rows < 3 else "after 3"]
    return speed.known.get(stack.name) or speed.known["known"]


def _tier(speed: Speed, stack: Stack | None, situation: Situation) -> str:
    own = stack.neighbours.devices if stack else ()
    return tier_of(
        stack is not None,
        situation.device in own,
        situation.device in speed.devices,
        situation.generation in speed.generations,
    )


def log_quantiles(
    speed: Speed, stack: Stack | None, family: str, rows: Draws, coordinates: Draws, devices: list[str], tier: str
) -> tuple[Draws, Draws, Draws]:
    """Log of p10, p50 and p90 of situations of one stack, each (rows,): the vectorised prediction.

    All are of one stack and tier. `rows` (rows, columns) are those of `basis`, `coordinates` those of `features`.
    """
    middle, difficulty = np.empty(len(rows)), np.empty(len(rows))
    for start in range(0, len(rows), _CHUNK):
        part = slice(start, start + _CHUNK)
        found = log_middle_and_difficulty(speed, stack, family, rows[part], coordinates[part], devices[part])
        middle[part], difficulty[part] = found
    width = _quantiles(speed, stack, tier)
    floor = np.log(np.maximum(floor_seconds(rows), 1e-12))
    return np.maximum(middle + width.low * difficulty, floor), middle, middle + width.high * difficulty


def predict_step(situation: Situation, speed: Speed, constants: Constants) -> Prediction:
    """Seconds of one optimizer step with its interval, terms and tier.

    `constants` are the middles of the shipped calibration (rates that were never measured). A stack whose name is not
    known gets its family's effect. No prediction goes under the dense peak. Raises KeyError for a missing constant.
    """
    stack = speed.stacks.get(situation.stack)
    rows, coordinates = basis(situation, constants)[None, :], features(situation)[None, :]
    tier = _tier(speed, stack, situation)
    logs = log_quantiles(speed, stack, situation.family, rows, coordinates, [situation.device], tier)
    p10, p50, p90 = (float(np.exp(one[0])) for one in logs)
    effect = stack.effect if stack else speed.centre(situation.family)
    terms = {name: float(one[0]) for name, one in seconds_by_term(rows, speed.coefficients + effect).items()}
    total = sum(terms.values())
    return Prediction(
        p10=p10,
        p50=p50,
        p90=p90,
        terms={name: seconds * p50 / total for name, seconds in terms.items()},
        tier=tier,
        narrows=advice(tier, p10 / p50, p90 / p50, _AFTER),
    )
