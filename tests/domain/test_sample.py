"""Statistics of repeated timings: laws, figures by hand, and whether the error of a mean covers what it says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.domain.sample import block_means, mean_error, outliers, summarise

TIMINGS = st.lists(st.floats(1e-6, 1e4), min_size=1, max_size=60)


def correlated(rng: np.random.Generator, runs: int, steps: int, share: float) -> np.ndarray:
    """Series of unit variance whose neighbours correlate by `share` (AR(1)), from their stationary state on."""
    shocks = rng.normal(size=(runs, steps)) * math.sqrt(1 - share**2)
    series = np.empty_like(shocks)
    series[:, 0] = rng.normal(size=runs)
    for step in range(1, steps):
        series[:, step] = share * series[:, step - 1] + shocks[:, step]
    return series


@given(TIMINGS)
def test_the_figures_of_a_summary_are_in_order(seconds: list[float]) -> None:
    found = summarise(seconds)
    assert found.low_s <= found.p10_s <= found.median_s <= found.p90_s <= found.high_s
    assert found.low_s * (1 - 1e-12) <= found.mean_s <= found.high_s * (1 + 1e-12)
    assert found.repeats == len(seconds)
    assert 0 <= found.outliers < max(len(seconds), 1)
    assert found.mean_error_s >= found.sd_s / math.sqrt(len(seconds)) * (1 - 1e-12)


@given(TIMINGS, st.floats(1e-3, 1e3))
def test_a_summary_scales_with_its_unit(seconds: list[float], factor: float) -> None:
    one, other = summarise(seconds), summarise([value * factor for value in seconds])
    assert other.mean_s == pytest.approx(one.mean_s * factor)
    if one.sd_s > 1e-6 * one.mean_s:  # below, rounding of the product is what is left
        assert other.relative_error == pytest.approx(one.relative_error, rel=1e-6)
        assert other.drift == pytest.approx(one.drift, rel=1e-6, abs=1e-9)


@given(st.floats(1e-6, 1e4), st.integers(2, 60))
def test_timings_that_are_all_the_same_leave_no_doubt(value: float, repeats: int) -> None:
    found = summarise([value] * repeats)
    assert found.relative_error == pytest.approx(0, abs=1e-12)
    assert found.outliers == 0
    assert found.drift == pytest.approx(0, abs=1e-12)


def test_a_summary_by_hand() -> None:
    found = summarise([1.0, 2.0, 3.0, 6.0])
    assert (found.mean_s, found.median_s, found.low_s, found.high_s) == (3.0, 2.5, 1.0, 6.0)
    assert found.sd_s == pytest.approx(math.sqrt((4 + 1 + 0 + 9) / 3))
    assert found.mean_error_s == pytest.approx(found.sd_s / 2)
    assert found.drift == pytest.approx(4.5 / 1.5 - 1)


def test_a_single_timing_has_no_known_error() -> None:
    assert math.isinf(summarise([2.0]).mean_error_s)
    with pytest.raises(ValueError, match="at least one"):
        summarise([])


def test_blocks_by_hand_drop_what_is_left_over_at_the_start() -> None:
    assert block_means(np.array([99.0, 1.0, 3.0, 5.0, 7.0]), 2).tolist() == [2.0, 6.0]
    # 8 timings: four blocks of two have means 1, 1, 5, 5, whose sd is 4/√3; over √4
    pairs = np.array([1.0, 1.0, 1.0, 1.0, 5.0, 5.0, 5.0, 5.0])
    assert mean_error(pairs) == pytest.approx(4 / math.sqrt(3) / 2)


def test_one_step_that_hangs_is_an_outlier_and_noise_is_none() -> None:
    values = np.array([1.0, 1.1, 0.9, 1.0, 1.05, 0.95, 9.0])
    assert outliers(values).tolist() == [False] * 6 + [True]
    rng = np.random.default_rng(3)
    assert outliers(rng.normal(10, 1, 20_000)).mean() < 0.002  # beyond 3.5 of a normal: 0.05 %


@pytest.mark.parametrize(
    ("steps", "share", "least", "most"),
    [(20, 0.0, 0.64, 0.78), (60, 0.0, 0.64, 0.78), (200, 0.5, 0.60, 0.75), (1000, 0.9, 0.60, 0.75)],
)
def test_the_error_covers_the_true_mean_as_often_as_it_says(
    steps: int, share: float, least: float, most: float
) -> None:
    """One standard error covers 68 %; of √n alone, 17 % for the last row."""
    series = correlated(np.random.default_rng(steps), 400, steps, share)
    errors = np.array([mean_error(one) for one in series])
    assert least <= np.mean(np.abs(series.mean(axis=1)) <= errors) <= most
    if share == 0.9:
        naive = series.std(axis=1, ddof=1) / math.sqrt(steps)
        assert np.mean(np.abs(series.mean(axis=1)) <= naive) < 0.3


def test_what_no_error_of_so_few_can_know_is_too_small() -> None:
    """20 steps that correlate by 0.9 are less than two independent ones: the error says a third of the truth."""
    series = correlated(np.random.default_rng(7), 400, 20, 0.9)
    said = np.mean([mean_error(one) for one in series])
    assert 0.25 < said / series.mean(axis=1).std() < 0.5
