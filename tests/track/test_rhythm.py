"""The rate of steps where clocks are coarse: lines that come in one piece have steps of no time between them."""

from __future__ import annotations

import math

import pytest

from headway.track.rhythm import Rhythm, clearest, drifted, latest_stretch, persistence


@pytest.mark.parametrize(
    "values",
    [[0.0] * 20, [0.0] * 10 + [0.5] * 10, [0.5] * 10 + [0.0] * 10, [0.5, 0.0] * 20, [5.0, *[0.0] * 30]],
    ids=["none", "then some", "then none", "every other", "the first alone"],
)
def test_steps_of_no_time_are_steps(values: list[float]) -> None:
    rhythm = Rhythm()
    for value in values:
        rhythm.add(1, value, 0.0, None)
    pace = rhythm.pace(100, None)
    assert 0.0 <= pace.step_s <= pace.step_high_s < math.inf
    assert 0.0 <= (rhythm.precision or 0.0) < math.inf
    assert all(map(math.isfinite, (*drifted(values, 10.0), persistence(values))))


def test_no_time_and_some_are_two_paces() -> None:
    assert clearest([0.0] * 20) is None
    assert latest_stretch([0.0] * 10 + [0.5] * 10) == 10
