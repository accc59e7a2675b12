"""The usual way: one utilisation for everything.

Owns the baseline that the table shows beside headway; it learns its one constant from the same rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from headway.work.parameters import count_parameters
from judging.prediction import Prediction, Predictor
from rows import Case

_INSTEAD = {"fp8": ("bf16", "fp16"), "bf16": ("fp16", "fp32"), "fp16": ("bf16", "fp32"), "tf32": ("fp32",)}


def _ideal_s(case: Case) -> float | None:
    """6 x parameters x tokens at the dense peak of all GPUs (Kaplan et al. 2020, arXiv:2001.08361, section 2.1)."""
    peaks = case.node.device.peak_flop_per_s
    dtype = next((d for d in (case.recipe.precision, *_INSTEAD.get(case.recipe.precision, ())) if d in peaks), None)
    if dtype is None:
        return None
    flop = 6.0 * count_parameters(case.architecture).active * case.tokens
    return flop / (peaks[dtype] * case.node.total_gpus)


def constant_utilisation(training: Sequence[Case] | None, own: Sequence[Case] = ()) -> Predictor:
    """Seconds at the median utilisation of `training` (of `own` rows, where there are some); 40 % without either.

    The interval is that of the training rows' own utilisations.
    """
    rows = own or training or ()
    shares = [ideal / case.seconds for case in rows if case.seconds and (ideal := _ideal_s(case))]
    low, middle, high = np.quantile(shares, (0.1, 0.5, 0.9)) if shares else (0.3, 0.4, 0.5)

    def answer(case: Case) -> Prediction | None:
        ideal = _ideal_s(case)
        if ideal is None:
            return None
        return Prediction(p10=ideal / high, p50=ideal / middle, p90=ideal / low, tier="constant utilisation")

    return answer
