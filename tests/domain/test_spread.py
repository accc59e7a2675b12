"""Doubt: totals equal the sum of their terms, end by end and draw by draw."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.domain.spread import Spread, dominant_kind, total, total_of
from headway.domain.units import Range

ENDS = st.lists(st.floats(0, 1e9), min_size=3, max_size=3).map(sorted).map(lambda e: Range(*e))


def drawn(seed: int, size: int = 2000) -> Spread:
    return Spread.from_draws(np.random.default_rng(seed).lognormal(size=size), "predicted", f"model {seed}")


@given(st.lists(ENDS, min_size=1, max_size=6))
def test_ends_add_up_end_by_end(ranges: list[Range]) -> None:
    made = total(Spread.from_range(one, "stated") for one in ranges)
    assert made.p10 == pytest.approx(sum(one.low for one in ranges))
    assert made.p50 == pytest.approx(sum(one.mid for one in ranges))
    assert made.p90 == pytest.approx(sum(one.high for one in ranges))
    assert made.p10 <= made.p50 <= made.p90


@given(st.lists(st.integers(0, 99), min_size=2, max_size=5))
def test_draws_add_up_draw_by_draw(seeds: list[int]) -> None:
    terms = [drawn(seed, 50) for seed in seeds]
    made = total(terms)
    assert made.draws is not None
    np.testing.assert_allclose(made.draws, sum(term.draws for term in terms))  # type: ignore[arg-type, misc]
    assert made.p50 == pytest.approx(np.quantile(made.draws, 0.5))


def test_shared_doubt_stays_shared() -> None:
    """x + x is twice as wide as x; two strangers are narrower than that (a sum of squares)."""
    one, other = drawn(1), drawn(2)
    shared, apart = one + one, one + other
    assert shared.p90 - shared.p10 == pytest.approx(2 * (one.p90 - one.p10))
    assert apart.p90 - apart.p10 < 0.9 * (shared.p90 - shared.p10)


def test_an_exact_term_shifts_draws() -> None:
    one = drawn(3)
    made = one + Spread.exact(10.0, "stated", "plan")
    assert made.p10 == pytest.approx(one.p10 + 10)
    assert made.source == "plan; model 3"  # the larger share first


def test_ends_and_draws_do_not_mix() -> None:
    with pytest.raises(TypeError, match="draw from the ends first"):
        drawn(1) + Spread.from_range(Range(1, 2, 3), "stated")


def test_products() -> None:
    one = Spread.from_range(Range(1, 2, 3), "stated")
    two = Spread.from_range(Range(10, 20, 30), "assumed")
    made = one.times(two)
    assert (made.p10, made.p50, made.p90) == (10, 40, 90)
    assert (2 * one).p90 == 6
    draws = drawn(4).times(Spread.exact(3.0, "stated"))
    assert draws.p50 == pytest.approx(3 * drawn(4).p50)
    with pytest.raises(ValueError, match="positive"):
        one * -1


@given(ENDS, st.floats(0, 1), st.floats(0, 1))
def test_quantiles_grow(ends: Range, a: float, b: float) -> None:
    one = Spread.from_range(ends, "stated")
    low, high = sorted((a, b))
    assert one.quantile(low) <= one.quantile(high)
    assert (one.quantile(0.1), one.quantile(0.5), one.quantile(0.9)) == (ends.low, ends.mid, ends.high)


def test_the_kind_of_a_sum_is_that_of_its_largest_share() -> None:
    terms = {
        "step": Spread.exact(100.0, "predicted"),
        "load": Spread.exact(30.0, "stated"),
        "save": Spread.exact(80.0, "stated"),
    }
    assert total_of(terms).kind == "stated"
    assert total_of(terms).p50 == 210
    assert dominant_kind([]) == "assumed"


def test_nothing_adds_up_to_an_exact_zero() -> None:
    assert total([]).is_exact
    assert total([]).p50 == 0


def test_as_data() -> None:
    assert Spread.exact(5.0, "measured", "run 1").to_dict() == {
        "p10": 5.0, "p50": 5.0, "p90": 5.0, "kind": "measured", "source": "run 1",
    }  # fmt: skip
    relabelled = drawn(5).relabelled("measured", "log")
    assert (relabelled.kind, relabelled.source, relabelled.mean) == ("measured", "log", pytest.approx(drawn(5).mean))
