"""What runs say of the next one: hand figures and simulated runs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.check.verdicts.scatter import PRIOR_RUNS, Timing, deviations, next_cost, timings
from headway.domain.student import student

from .verdicts import ran


def timing(each_s: float, error_s: float = 0.0) -> Timing:
    return Timing(each_s=each_s, error_s=error_s, units=1000)


def test_one_run_is_as_sure_as_the_assumed_scatter() -> None:
    found = next_cost("step", [timing(2.0)])
    # 1.533 x 2 % x sqrt(1 + 1/1) to either side
    assert found.seconds.mid == pytest.approx(2.0)
    assert math.log(found.seconds.high / 2.0) == pytest.approx(1.533 * 0.02 * math.sqrt(2), rel=0.005)
    assert found.seconds.low * found.seconds.high == pytest.approx(4.0)
    assert found.repeats == 1000


def test_a_processor_shared_with_others_and_files_are_less_sure() -> None:
    width = {
        "gpu": next_cost("step", [timing(2.0)]).seconds.high,
        "cpu": next_cost("step", [timing(2.0)], cpu=True).seconds.high,
        "load": next_cost("load", [timing(2.0)]).seconds.high,
    }
    assert width["gpu"] < width["cpu"] < width["load"]


def test_a_short_run_is_less_sure_by_the_error_of_its_own_mean() -> None:
    short, long = next_cost("step", [timing(2.0, 0.2)]), next_cost("step", [timing(2.0, 0.0)])
    assert short.seconds.high > long.seconds.high
    reach = student(0.9, 4) * math.sqrt(2 * 0.02**2 + 0.1**2)
    assert math.log(short.seconds.high / 2.0) == pytest.approx(reach)


def test_deviations_are_from_each_groups_own_mean() -> None:
    groups = [[timing(1.0), timing(math.exp(0.2))], [timing(50.0)], [timing(7.0), timing(7.0), timing(7.0)]]
    squares, freedom = deviations(groups)
    assert squares == pytest.approx(2 * 0.1**2)
    assert freedom == 3


def test_what_was_free_stays_free() -> None:
    assert next_cost("data_wait", [timing(0.0)]).seconds.high == 0.0


def test_runs_that_name_no_stage_are_of_the_one_asked_for() -> None:
    named, nameless = ran({"step": (10, 20.0)}, stage="train"), ran({"step": (10, 30.0)})
    assert [one.each_s for one in timings([named, nameless], "train")["step"]] == [2.0, 3.0]


@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=8), st.floats(0.1, 10))
def test_seconds_scale_with_the_clock(each: list[float], factor: float) -> None:
    plain, scaled = (next_cost("step", [timing(one * by) for one in each]) for by in (1.0, factor))
    assert scaled.seconds.low == pytest.approx(plain.seconds.low * factor)
    assert scaled.seconds.high == pytest.approx(plain.seconds.high * factor)


def held_share(runs: int, sigmas: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    """Machines whose next run lies between p10 and p90 after `runs` of them that scatter by their sigma."""
    generator, held = np.random.default_rng(3), 0
    for sigma in sigmas:
        *known, following = np.exp(generator.normal(0.0, sigma, runs + 1))
        group = [timing(float(one)) for one in known]
        found = next_cost("step", group, deviations([group])).seconds
        held += bool(found.low <= following <= found.high)
    return held / len(sigmas)


@pytest.mark.parametrize("runs", [1, 2, 5])
def test_the_next_run_lies_between_the_ends_as_often_as_promised(runs: int) -> None:
    # machines whose scatter is drawn from what is assumed of it: 4 degrees of freedom around 2 %
    sigmas = 0.02 * np.sqrt(PRIOR_RUNS / np.random.default_rng(4).chisquare(PRIOR_RUNS, 2000))
    assert held_share(runs, sigmas) == pytest.approx(0.8, abs=0.03)


def test_where_the_assumption_is_wrong_runs_unlearn_it() -> None:
    five_times = np.full(1500, 0.10)
    assert held_share(2, five_times) < 0.5
    assert held_share(20, five_times) == pytest.approx(0.8, abs=0.05)
