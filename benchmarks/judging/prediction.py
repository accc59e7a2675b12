"""What is judged: the one place where headway's own predictors are made from the rows that they may learn from.

Owns the seam between the judge and the predictor. Who may learn what is `folds`, scores are `scores`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from headway.catalog.speed import shipped_speed
from headway.predict.learning.calibrate import calibrate, fit
from headway.predict.learning.record import from_record
from headway.predict.speed.predict import predict_step
from headway.predict.speed.state import Speed
from judging.sample import constants, sample, situation
from rows import Case

LEARNS = "cross-validated: fitted anew without what is judged"
"""What `predictor` makes of its training rows, for the title of the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """An answer: p10, p50 and p90 of seconds or bytes, and what it rests on."""

    p10: float
    p50: float
    p90: float
    tier: str = ""


Predictor = Callable[[Case], Prediction | None]
"""None: no answer."""


@cache
def _shipped() -> Speed:
    return from_record(shipped_speed())


@cache
def _learnt(training: tuple[Case, ...]) -> Speed:
    return fit(sample(training))


def predictor(training: Sequence[Case] | None, own: Sequence[Case] = ()) -> Predictor:
    """Seconds of a step, by a predictor that learnt from `training` (None: as shipped) and from a user's `own` rows."""
    speed = _shipped() if training is None else _learnt(tuple(training))
    if own:
        speed = calibrate(speed, sample(own))

    def answer(case: Case) -> Prediction:
        found = predict_step(situation(case), speed, constants())
        return Prediction(p10=found.p10_s, p50=found.p50_s, p90=found.p90_s, tier=found.tier)

    return answer
