"""Cases as situations of the fitted predictor, and as the arrays that it learns from.

Owns what of a row a predictor may see, and how far a row is trusted. Learning itself is `headway.predict.learning`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from headway.catalog.calibration import shipped_calibration
from headway.domain.spread import Draws
from headway.predict.learning.sample import Sample
from headway.predict.speed.basis import basis
from headway.predict.speed.situation import Situation, family_of, features
from rows import Case

_TRUST = {"A": 0.8, "B": 0.4, "C": 0.1}
"""Weight of rows whose lengths or settings are inferred; rows with all of them stated weigh 1."""
_INFERRED_LENGTH = 0.3


@cache
def constants() -> dict[str, float]:
    """Middles of the shipped constants: rates of devices that nobody measured."""
    return shipped_calibration().middle()


@cache
def situation(case: Case) -> Situation:
    """A case without its measurement. A source is a stack; MLPerf's entries are of vendors' stacks like NeMo's."""
    framework = "mlperf" if case.source.startswith("mlcommons") else case.framework
    plain = case.source.startswith("sitar-lab")  # models of transformers in a loop of its own
    return Situation(
        architecture=case.architecture,
        recipe=case.recipe,
        batches=case.batches,
        node=case.node,
        stack=case.source,
        family="plain" if plain else family_of(framework),
        kernels=case.framework.lower(),
        context=case.context,
        virtual=case.virtual,
        expert=case.expert,
        number_format=case.stated_precision.lower(),
        optimizer_step=case.optimizer_step,
    )


@cache
def _arrays(case: Case) -> tuple[Draws, Draws]:
    one = situation(case)
    return basis(one, constants()), features(one)


def _weight(case: Case) -> float:
    if case.judged:
        return 1.0
    return _TRUST[case.trust] * (1.0 if case.length_known else _INFERRED_LENGTH)


def sample(cases: Sequence[Case]) -> Sample:
    """What a predictor learns from: the cases that have a time. Raises ValueError where none has."""
    timed = [case for case in cases if case.seconds]
    if not timed:
        raise ValueError("learning needs at least one measured step")
    found, situations = [_arrays(case) for case in timed], [situation(case) for case in timed]
    return Sample(
        basis=np.array([one[0] for one in found]),
        features=np.array([one[1] for one in found]),
        log_seconds=np.log([case.seconds or np.nan for case in timed]),
        weight=np.array([_weight(case) for case in timed]),
        stack=[one.stack for one in situations],
        family=[one.family for one in situations],
        device=[one.device for one in situations],
        generation=[one.generation for one in situations],
        configuration=["|".join(case.configuration) for case in timed],
    )
