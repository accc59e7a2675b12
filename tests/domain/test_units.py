"""Quantities at the door: spellings, ranges, what is refused; and back to text."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.domain.errors import UserError
from headway.domain.units import (
    UNITS,
    Range,
    format_bytes,
    format_count,
    format_duration,
    format_flop,
    format_number,
    format_share,
    parse,
    parse_any,
)


@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        ("2h", "s", 7200),
        ("1h30m", "s", 5400),
        ("1 h 30 min", "s", 5400),
        ("2 days", "s", 172_800),
        ("521.34 ms", "s", 0.52134),
        ("5 µs", "s", 5e-6),
        ("64 node-h", "s", 230_400),
        ("75 GPU-h", "s", 270_000),
        ("$50", "usd", 50),
        ("50 USD", "usd", 50),
        ("$1.5k", "usd", 1500),
        ("$3.06/h", "usd_per_hour", 3.06),
        ("$0.15/kWh", "usd_per_kwh", 0.15),
        ("80 GB", "bytes", 80e9),
        ("80 GiB", "bytes", 80 * 2**30),
        ("24GB", "bytes", 24e9),
        ("512 MiB", "bytes", 512 * 2**20),
        ("10k", "count", 10_000),
        ("1.5M tokens", "count", 1_500_000),
        ("7B", "count", 7e9),
        ("1_000", "count", 1000),
        ("1e4", "count", 10_000),
        ("450 W", "w", 450),
        ("1.2 kW", "w", 1200),
        ("154 kWh", "joule", 154 * 3.6e6),
        ("989 TFLOP/s", "flop_per_s", 989e12),
        ("900 GB/s", "bytes_per_s", 900e9),
        ("2000 steps/h", "per_s", 2000 / 3600),
        ("10k tokens/s", "per_s", 10_000),
        ("5%/h", "per_hour", 0.05),
        ("70%", "share", 0.7),
        ("2.5", "x", 2.5),
        ("2x", "x", 2),
    ],
)
def test_point(text: str, dimension: str, value: float) -> None:
    found = parse(text, dimension)
    assert found.range.is_point
    assert found.range.mid == pytest.approx(value)
    assert found.dimension == dimension


def test_gb_is_not_gib() -> None:
    assert parse("80 GiB", "bytes").range.mid / parse("80 GB", "bytes").range.mid == pytest.approx(1.073741824)


@pytest.mark.parametrize(
    ("text", "dimension", "ends"),
    [
        ("0.8-1.2 s", "s", (0.8, 1.0, 1.2)),
        ("0.8–1.2 s", "s", (0.8, 1.0, 1.2)),
        ("30 s - 2 min", "s", (30, 75, 120)),
        ("$10-12-15/h", "usd_per_hour", (10, 12, 15)),
        ("1800-2000 steps/h", "per_s", (0.5, 1900 / 3600, 2000 / 3600)),
        ("30-40%", "share", (0.3, 0.35, 0.4)),
        ("2-5 GPU-h", "s", (7200, 12_600, 18_000)),
        ("over 1 s", "s", (1, 1, math.inf)),
        ("under 30 min", "s", (0, 1800, 1800)),
        ("negligible", "s", (0, 0, 0)),
    ],
)
def test_range(text: str, dimension: str, ends: tuple[float, float, float]) -> None:
    found = parse(text, dimension).range
    assert (found.low, found.mid, found.high) == pytest.approx(ends)


@pytest.mark.parametrize(
    ("text", "dimension"),
    [
        ("45", "s"), ("45 GB", "s"), ("-5 s", "s"), ("nan s", "s"), ("inf s", "s"), ("1e999 s", "s"), ("", "s"),
        ("5 s 3", "s"), ("5-3 s", "s"), ("1-2-3-4 s", "s"), ("s", "s"), ("5 s/h", "s"), ("over 1-2 s", "s"),
        ("80", "bytes"), ("80 gb", "bytes"), ("50", "usd"), ("$50/h", "usd"), ("$50", "usd_per_hour"),
        ("0.7", "share"), ("5%", "per_hour"), ("5 h", "count"), ("5%", "count"), ("1,000", "count"), ("3 s", "x"),
        ("9" * 300, "count"), ("5 steps", "per_s"), ("1h30m", "bytes"),
    ],
)  # fmt: skip
def test_refused(text: str, dimension: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(text, dimension)
    assert caught.value.hint


@pytest.mark.parametrize("value", [True, None, [1], math.nan, math.inf, -1])
def test_what_is_no_count(value: object) -> None:
    with pytest.raises(UserError):
        parse(value, "count")


def test_bare_numbers_are_counts_and_factors_only() -> None:
    assert parse(5, "count").range.mid == 5
    assert parse(2.5, "x").range.mid == 2.5
    with pytest.raises(UserError, match="the unit is missing"):
        parse(5, "s")


@pytest.mark.parametrize(
    ("text", "dimension"),
    [
        ("75 GPU-h", "s"),
        ("$230", "usd"),
        ("70%", "share"),
        ("5 min", "s"),
        ("50 steps", "count"),
        ("$3/h", "usd_per_hour"),
        ("30-40%", "share"),
        ("5%/h", "per_hour"),
        ("80 GB", "bytes"),
        ("$0.15/kWh", "usd_per_kwh"),
        ("450 W", "w"),
        ("154 kWh", "joule"),
        ("200 tokens/s", "per_s"),
        ("10k", "count"),
    ],
)
def test_any_dimension_is_told_by_its_unit(text: str, dimension: str) -> None:
    assert parse_any(text).dimension == dimension


def test_no_unit_is_spelled_the_same_in_two_dimensions() -> None:
    """`parse_any` tries one dimension after another: a unit in two of them would be read as the first."""
    seen: dict[str, str] = {}
    for dimension, table in UNITS.items():
        for unit in table:
            if dimension not in ("count", "x") and unit:
                assert seen.setdefault(unit, dimension) == dimension


@given(st.floats(1e-6, 1e12), st.floats(1e-6, 1e12), st.sampled_from(["s", "min", "h", "d"]))
def test_ranges_keep_their_order(a: float, b: float, unit: str) -> None:
    low, high = sorted((a, b))
    found = parse(f"{low!r}-{high!r} {unit}", "s").range
    assert found.low <= found.mid <= found.high
    assert found.low == pytest.approx(low * UNITS["s"][unit])


@given(st.floats(1e-3, 1e9))
def test_durations_come_back_within_three_digits(seconds: float) -> None:
    assert parse(format_duration(seconds).replace(",", ""), "s").range.mid == pytest.approx(seconds, rel=6e-3)


@given(st.floats(0, 9.9e17))
def test_sizes_come_back_within_three_digits(size: float) -> None:
    assert parse(format_bytes(size), "bytes").range.mid == pytest.approx(size, rel=6e-3, abs=0.01)


@given(st.floats(0, 1e14))
def test_counts_come_back_within_three_digits(count: float) -> None:
    assert parse(format_count(count).replace(",", ""), "count").range.mid == pytest.approx(count, rel=6e-3, abs=1e-5)


@given(st.text(max_size=30), st.sampled_from([*UNITS, "per_s", "per_hour", "usd_per_hour", "usd_per_kwh"]))
def test_any_text_is_a_quantity_or_refused(text: str, dimension: str) -> None:
    try:
        found = parse(text, dimension).range
    except UserError:
        return
    assert 0 <= found.low <= found.mid <= found.high


@given(st.lists(st.floats(0, 1e9), min_size=3, max_size=3).map(sorted), st.floats(0, 1e6))
def test_range_arithmetic(ends: list[float], factor: float) -> None:
    one = Range(*ends)
    assert (one * factor).high == one.high * factor
    both = one + one * 1.0
    assert (both.low, both.mid, both.high) == (2 * one.low, 2 * one.mid, 2 * one.high)
    if one.low > 0:
        again = one.inverse().inverse()
        assert (again.low, again.mid, again.high) == pytest.approx((one.low, one.mid, one.high))


def test_a_range_runs_from_low_to_high() -> None:
    with pytest.raises(UserError, match="from low to high"):
        Range(2, 1, 3)
    with pytest.raises(UserError):
        Range(math.nan, math.nan, math.nan)
    with pytest.raises(ValueError, match="positive"):
        Range(1, 2, 3) * -1


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (format_duration(0.52134), "521 ms"),
        (format_duration(0.0000031), "3.1 µs"),
        (format_duration(0), "0 s"),
        (format_duration(45), "45 s"),
        (format_duration(1685), "28.1 min"),
        (format_duration(18_000), "5 h"),
        (format_duration(341.7 * 3600), "341.7 h"),
        (format_duration(math.inf), "unknown"),
        (format_number(1234.5), "1,234"),
        (format_number(math.nan), "unknown"),
        (format_bytes(23.6e9), "23.6 GB"),
        (format_bytes(999.6e6), "1 GB"),
        (format_flop(3.069e12), "3.07 TFLOP"),
        (format_count(2375), "2,375"),
        (format_count(304_000), "304k"),
        (format_count(494_032_768), "494M"),
        (format_count(7.62e9), "7.62B"),
        (format_share(0.3366), "33.7 %"),
    ],
)
def test_for_people(made: str, text: str) -> None:
    assert made == text
