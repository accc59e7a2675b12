"""The remaining time of published runs is nearer than linear extrapolation, and its p90 holds where the pace does."""

from __future__ import annotations

from statistics import median

import pytest

import remaining


@pytest.mark.parametrize(("share", "most"), [(0.2, 0.012), (0.5, 0.008)])
def test_it_beats_linear_extrapolation(share: float, most: float) -> None:
    """`most`: the median error of the whole time that the benchmark prints, rounded up."""
    ours, linear = [], []
    for moments in remaining.runs().values():
        total, end_s = moments[-1]
        seen = [moment for moment in moments if moment[0] <= share * total]
        if len(seen) >= 2:
            ours.append(abs(remaining.predicted(seen, total)[0] / end_s - 1.0))
            linear.append(abs(seen[-1][1] / seen[-1][0] * total / end_s - 1.0))
    assert len(ours) > 200
    assert median(ours) <= most
    assert median(ours) < median(linear) / 2
