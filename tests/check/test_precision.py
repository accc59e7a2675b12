"""Figures at the precision they were written with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.check.precision import as_written, overlap
from headway.domain.statement import Value
from headway.domain.units import Range, parse


def written(text: str, dimension: str) -> Range:
    return as_written(Value(range=parse(text, dimension).range, unit=dimension, text=text))


@pytest.mark.parametrize(
    ("text", "dimension", "low", "high"),
    [
        ("2.5M", "count", 2.45e6, 2.55e6),
        ("500M", "count", 450e6, 550e6),  # trailing zeros tell nothing
        ("0.50%", "share", 0.00495, 0.00505),  # but decimals do
        ("14.2 h", "s", 14.15 * 3600, 14.25 * 3600),
        ("5 min", "s", 270, 330),
        ("40-50 min", "s", 35 * 60, 55 * 60),
        ("200-250", "count", 150, 255),
        ("2375", "count", 2374.5, 2375.5),
    ],
)
def test_half_a_unit_of_the_last_telling_digit(text: str, dimension: str, low: float, high: float) -> None:
    found = written(text, dimension)
    assert found.low == pytest.approx(low)
    assert found.high == pytest.approx(high)


def test_about_is_a_tenth_at_least() -> None:
    value = Value(range=Range.point(45.0), unit="s", text="45.00 s", stated_as="~45 seconds")
    assert as_written(value).low == pytest.approx(40.5)


def test_nothing_written_is_exact() -> None:
    assert as_written(Value(range=Range.point(3.0), unit="count", text="")) == Range.point(3.0)
    assert as_written(Value(range=Range.point(0.0), unit="count", text="0")) == Range.point(0.0)


@given(st.integers(1, 10**9), st.integers(0, 4))
def test_what_rounds_to_the_figure_is_covered(number: int, places: int) -> None:
    """Any rounding of a number covers the number."""
    text = f"{number / 10**places:.{max(0, places - 1)}f}"
    if float(text):
        found = written(text, "count")
        slack = 1e-9 * number
        assert found.low - slack <= number / 10**places <= found.high + slack


@given(st.tuples(st.floats(0, 10), st.floats(0, 10)), st.tuples(st.floats(0, 10), st.floats(0, 10)))
def test_overlap_is_mutual(one: tuple[float, float], other: tuple[float, float]) -> None:
    first, second = (Range(min(pair), sum(pair) / 2, max(pair)) for pair in (one, other))
    assert overlap(first, second) == overlap(second, first)
    assert overlap(first, first)
