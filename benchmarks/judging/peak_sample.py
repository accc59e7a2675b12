"""Published peaks as the arrays that the memory predictor learns from.

Owns how far a row is trusted. Learning itself is `headway.predict.learning.peak_fit`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from headway.domain.spread import Draws
from headway.predict.learning.peak_fit import PeakSample
from headway.predict.memory import factor_name, memory
from headway.predict.peak.basis import basis, features
from headway.predict.peak.model import NAMES
from headway.work.parameters import count_parameters
from judging.sample import constants
from peaks import Peak

_TRUST = {"A": 1.0, "B": 0.5, "C": 0.1}


@cache
def arrays(peak: Peak) -> tuple[Draws, Draws]:
    """Bytes by moment and group before any fit, and the features; the row's measurement is not looked at."""
    unfitted = dict.fromkeys(("memory_doubt", *map(factor_name, NAMES)), 1.0)
    need = memory(peak.architecture, peak.recipe, peak.batches, constants() | unfitted, peak.software)
    parameters = count_parameters(peak.architecture).total
    return basis(need, peak.seen_by), features(peak.architecture, peak.recipe, peak.batches, peak.software, parameters)


def peak_sample(peaks: Sequence[Peak]) -> PeakSample:
    """What the memory predictor learns from."""
    found = [arrays(peak) for peak in peaks]
    return PeakSample(
        bases=np.array([one[0] for one in found]),
        features=np.array([one[1] for one in found]),
        log_bytes=np.log([peak.peak_bytes for peak in peaks]),
        weight=np.array([_TRUST[peak.label.trust] for peak in peaks]),
        stack=[peak.source for peak in peaks],
        configuration=["|".join(peak.configuration) for peak in peaks],
    )
