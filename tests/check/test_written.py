"""Figures at the precision they are written with: what they cover, and how far apart two of them are."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.check.claims.written import covered, dollars, end_covered, gap, said, severity, shown
from headway.domain.errors import Position
from headway.domain.statement import Value
from headway.domain.units import Range
from headway.plan.reading.values import quantity
from headway.plan.reading.yaml import Text


def value(text: str, dimension: str = "s") -> Value:
    """A figure as a plan writes it."""
    return quantity(Text(text, Position("plan.yaml", 1, 1)), dimension)


@pytest.mark.parametrize(
    ("text", "dimension", "low", "high"),
    [
        ("14.2", "days", 14.15 * 86400, 14.25 * 86400),
        ("2375", "count", 2374.5, 2375.5),
        ("304k", "count", 303_500, 304_500),
        ("82", "gpu_hours", 81.5 * 3600, 82.5 * 3600),
        ("$1046", "usd", 1045.5, 1046.5),
        ("$0", "usd", 0.0, 0.5),
        ("0.5%", "share", 0.0045, 0.0055),
        ("2.5-3 h", "s", 2.45 * 3600, 3.5 * 3600),
        ("200-300 ms", "s", 0.1995, 0.3005),
        ("$10-12-15/h", "usd_per_hour", 9.5, 15.5),
        ("0-1 h", "s", 0.0, 1.5 * 3600),
        ("1h30m", "s", 89.5 * 60, 90.5 * 60),
        ("over 1 s", "s", 0.5, math.inf),
        ("0", "gpu_hours", 0.0, 1800.0),
        ("1000 * 3", "count", 3000, 3000),
    ],
)
def test_a_figure_covers_what_rounds_to_it(text: str, dimension: str, low: float, high: float) -> None:
    found = covered(value(text, dimension))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_words_that_say_about_cover_a_whole_unit_of_the_last_digit_that_is_not_zero() -> None:
    about = Value(range=Range.point(260.0), unit="usd", text="$260", stated_as="~$260")
    assert (covered(about).low, covered(about).high) == (250, 270)


def test_what_it_comes_after_is_no_part_of_a_time() -> None:
    bar = Value(range=Range.point(54000.0), unit="s", text="15 h after 1", note="after 1")
    assert covered(bar).high == pytest.approx(15.5 * 3600)
    assert said(bar) == "15 h"


@given(st.floats(0.01, 1e5), st.integers(0, 4), st.sampled_from(["s", "min", "h"]))
def test_a_rounded_figure_never_contradicts_what_it_was_rounded_from(number: float, places: int, unit: str) -> None:
    factor = {"s": 1.0, "min": 60.0, "h": 3600.0}[unit]
    assert gap(value(f"{number:.{places}f} {unit}"), Range.point(number * factor)) == 0


@given(st.floats(1, 1e4), st.floats(0.03, 3))
def test_a_figure_that_is_further_off_than_its_last_digit_is_told(number: float, share: float) -> None:
    off = gap(value(f"{number:.4f} s"), Range.point(number * (1 + share)))
    assert off == pytest.approx(share, rel=1e-2)


@given(st.floats(0.1, 1e4), st.floats(0, 1e4))
def test_ranges_that_overlap_do_not_contradict_each_other(low: float, width: float) -> None:
    said_of = value(f"{low:.3f}-{low + width:.3f} s")
    assert gap(said_of, Range(low + width / 2, low + width / 2, low + 2 * width + 1)) == 0


def test_each_end_of_a_range_has_its_own_precision() -> None:
    found = value("2.5-3 h")
    assert end_covered(found, high=False).high == pytest.approx(2.55 * 3600)
    assert end_covered(found, high=True).low == pytest.approx(2.5 * 3600)
    assert end_covered(value("over 3 h"), high=True).low == math.inf


def test_small_slips_are_remarks_and_large_ones_errors() -> None:
    assert [severity(share) for share in (0.0, 0.02, 0.05, 0.2, math.inf)] == [
        "info", "info", "warning", "error", "error",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("number", "like", "text"),
    [
        (Range(6462.0, 8000.0, 9696.0), value("100-150 min"), "107.7 to 161.6 min"),
        (Range.point(52.1), value("5-10 min"), "52.1 s"),
        (Range.point(294000.0), value("82", "gpu_hours"), "81.7 GPU-h"),
        (Range(3232.0, 3232.0, math.inf), value("over 50 min"), "over 53.9 min"),
        (Range.point(63.0), value("72", "count"), "63"),
        (Range.point(0.22), value("40%", "share"), "22 %"),
    ],
)
def test_a_result_is_shown_in_the_unit_of_the_claim(number: Range, like: Value, text: str) -> None:
    assert shown(number, like) == text


def test_dollars_have_cents_where_they_matter() -> None:
    assert [dollars(amount) for amount in (4.0, 8.19, 278.545)] == ["$4", "$8.19", "$279"]
