"""Figures: one unit and one precision for a number and its interval; checked by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.domain.spread import Spread
from headway.domain.units import Range
from headway.report import figures


def spread(low: float, mid: float, high: float) -> Spread:
    return Spread(p10=low, p50=mid, p90=high, kind="stated")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        ((1.8, 1.8, 1.8), "1.80 s"),
        ((0.8, 1.0, 1.2), "1.00 s (0.80–1.20)"),
        ((2244.5, 2887.5, 3531.0), "48.1 min (37.4–58.9)"),
        ((0.52134, 0.52134, 0.52134), "521.3 ms"),
        ((60540.0, 103200.0, 232200.0), "28.7 h (16.8–64.5)"),
        ((0.0, 0.0, 0.0), "0 s"),
    ],
)
def test_a_duration_and_its_interval_share_unit_and_precision(seconds: tuple[float, float, float], text: str) -> None:
    assert figures.duration(spread(*seconds), 0.8) == text


def test_a_small_low_end_is_never_shown_as_zero() -> None:
    assert figures.duration(spread(36.0, 72000.0, 80000.0), 0.8) == "20.0 h (0.0100–22.2)"


def test_confidence_widens_the_interval_of_draws_by_their_quantiles() -> None:
    import numpy as np

    sample = Spread.from_draws(np.linspace(0.0, 100.0, 1001), "predicted")
    assert figures.ends(sample, 0.8) == pytest.approx((10.0, 90.0))
    assert figures.ends(sample, 0.5) == pytest.approx((25.0, 75.0))


@pytest.mark.parametrize(
    ("amount", "text"),
    [(1045.5, "$1,045.50"), (0.00042, "$0.00042"), (12345.6, "$12,346"), (0.0, "$0.00"), (9999.999, "$10,000")],
)
def test_dollars(amount: float, text: str) -> None:
    assert figures.dollars(amount) == text


def test_an_unknown_price_is_unknown_and_not_zero() -> None:
    assert figures.usd(None, 0.8) == "unknown"


@pytest.mark.parametrize(
    ("hours", "cells"),
    [
        ([1.667, 225.0, 127.5], ["1.7", "225.0", "127.5"]),
        ([0.333, 6.583], ["0.33", "6.58"]),
        ([0.0, 2.667], ["0.0", "2.7"]),
        ([0.0075, 20.0], ["0.007", "20.000"]),
    ],
)
def test_a_column_of_hours_has_one_precision(hours: list[float], cells: list[str]) -> None:
    assert figures.hours_column([3600 * value for value in hours]) == cells


def test_a_column_says_unknown_where_a_value_is() -> None:
    assert figures.hours_column([None, 7200.0]) == ["unknown", "2.0"]


def test_intervals_are_as_precise_as_their_column() -> None:
    spreads = [spread(3600.0, 7200.0, 10800.0), spread(720.0, 720.0, 720.0)]
    assert figures.hours_column([s.p50 for s in spreads]) == ["2.00", "0.20"]
    assert figures.interval_column(spreads, 0.8) == ["1.00–3.00", ""]


@pytest.mark.parametrize(("confidence", "name"), [(0.8, "p10–p90"), (0.5, "p25–p75"), (0.9, "p5–p95")])
def test_an_interval_is_named_by_its_ends(confidence: float, name: str) -> None:
    assert figures.interval_name(confidence) == name


def test_terms_keep_one_unit_along_a_row() -> None:
    assert figures.same_unit([47.0, 70.0, 93.0]) == ["47 s", "70 s", "93 s"]
    assert figures.same_unit([1900.0, 2375.0, 2850.0]) == ["31.7 min", "39.6 min", "47.5 min"]
    assert figures.same_unit([2.0, 2.5, 3.0]) == ["2.00 s", "2.50 s", "3.00 s"]


def test_a_stated_range_is_written_by_its_ends() -> None:
    assert figures.span(Range(2, 2.5, 3), 1, "×") == "2–3 ×"
    assert figures.span_time(Range(7200, 9000, 10800)) == "2–3 h"
    assert figures.span(Range.point(0.05), 0.01, "%") == "5 %"


@given(st.floats(1e-5, 1e9), st.floats(1, 4), st.floats(1, 4))
def test_a_shown_figure_is_within_a_percent_of_the_number(middle: float, down: float, up: float) -> None:
    text = figures.ranged(spread(middle / down, middle, middle * up), 0.8, 1.0, "x")
    shown = float(text.split(" ")[0].replace(",", ""))
    assert shown == pytest.approx(middle, rel=0.006)


def test_nan_is_unknown() -> None:
    assert figures.fixed(float("nan"), 1) == "unknown"
