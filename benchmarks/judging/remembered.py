"""The judge of memory: peaks predicted by what was learnt without them, beside what each card holds.

Owns the seam between published peaks and the memory predictor. Scores are `scores`, splits `folds`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from headway.catalog.peaks import shipped_peaks
from headway.predict.fits import usable_bytes
from headway.predict.learning.peak_fit import fit_peaks
from headway.predict.learning.peak_record import from_record
from headway.predict.peak.state import PeakFit, middle_and_difficulty
from judging import folds
from judging.peak_sample import arrays, peak_sample
from judging.prediction import Prediction
from judging.sample import constants
from judging.scores import Judgement
from peaks import Peak

PeakPredictor = Callable[[Peak], Prediction]


@cache
def _shipped() -> PeakFit:
    return from_record(shipped_peaks())


def memory_predictor(training: Sequence[Peak] | None) -> PeakPredictor:
    """Peak bytes of one GPU as the row's observer saw them, by what `training` taught (None: as shipped)."""
    fit = _shipped() if training is None else fit_peaks(peak_sample(training))

    def peak(one: Peak) -> Prediction:
        bases, features = arrays(one)
        stack = fit.stacks.get(one.source)
        logs, difficulties = middle_and_difficulty(fit, stack, bases[None], features[None])
        middle, difficulty = float(logs[0]), float(difficulties[0])
        quantiles, tier = fit.interval(one.source)
        low, high = quantiles.low * difficulty, quantiles.high * difficulty
        return Prediction(
            p10=math.exp(middle + low), p50=math.exp(middle), p90=math.exp(middle + high), tier=f"{tier} stack"
        )

    return peak


def capacity_bytes(peak: Peak) -> float:
    """Bytes that a program can allocate on the row's device."""
    return float(np.median(np.asarray(usable_bytes(peak.node.device, constants()))))


def judge_memory(usable: Sequence[Peak]) -> tuple[list[Judgement], list[float]]:
    """Peaks predicted by who did not learn from them, with their cards' capacities.

    A file with splits is judged by what is shipped; otherwise configurations are left out, and sources.
    """
    stated = any(peak.split for peak in usable)
    parts = folds.stated(usable) if stated else (*folds.known_stack(usable), *folds.unseen_stack(usable))
    judgements, capacities = [], []
    for fold in parts:
        predict = memory_predictor(fold.training)
        for peak in fold.held:
            judgements.append(
                Judgement(
                    label=peak.label,
                    split=fold.split,
                    prediction=predict(peak),
                    measured=peak.peak_bytes,
                    seen_by=peak.seen_by,
                )
            )
            capacities.append(capacity_bytes(peak))
    return judgements, capacities
