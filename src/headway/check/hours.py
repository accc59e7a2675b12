"""Hours by which rules weigh what they find: the author's where the author timed all steps, else headway's.

Owns the choice, so that two findings about one run never disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from headway.check.case import Case, Reading


def reading_of_steps(case: Case) -> Reading:
    """By the author's rates where they time the steps of everything that is trained, else by prediction."""
    for item in case.stated.estimate.experiments:
        if any(stage.kind == "train" and "step" not in stage.terms_s for stage in item.stages):
            return case.predicted
    return case.stated


def gpu_seconds(reading: Reading) -> Mapping[str, float]:
    """Middle GPU-seconds of each experiment that is not optional."""
    return {item.id: item.gpu_s.p50 for item in reading.estimate.experiments if not item.optional}


def share_of(seconds: Iterable[float], reading: Reading) -> tuple[float, float]:
    """The sum of `seconds`, and its share of the GPU time of the plan without buffer (0 where that is nothing)."""
    found, total = sum(seconds), reading.estimate.subtotal_gpu_s.p50
    return found, found / total if total else 0.0
