"""The shipped constants: complete, sourced, in order, and drawn as they say."""

from __future__ import annotations

import numpy as np
import pytest
from machines import DRAWS, MIDDLE

from headway.catalog.calibration import shipped_calibration
from headway.predict.values import added, constant, larger, middle, root_of_squares, smaller

AROUND_A_STEP = (
    "import_s",
    "weights_load_bytes_per_s",
    "checkpoint_write_bytes_per_s",
    "tokenize_tokens_per_s",
    "compile_s",
    "data_wait_share",
    "evaluation_overhead_share",
    "evaluation_rows",
    "generation_tokens",
    "length_mean_share",
    "row_tokens",
)


def test_every_constant_says_what_it_is_and_where_it_comes_from() -> None:
    for name, one in shipped_calibration().constants.items():
        assert one.name == name
        assert one.unit
        assert len(one.source) > 10, name
        assert one.date >= "2026-11-01", name
        assert one.kind in ("assumed", "measured"), name
        assert one.range.low >= 0, name
        assert one.range.low < one.range.high or name == "sustained_share", name


def test_what_surrounds_a_step_is_there() -> None:
    assert set(AROUND_A_STEP) <= set(MIDDLE)


def test_variants_have_a_plain_constant_to_fall_back_on() -> None:
    plain = {name.split(".", maxsplit=1)[0] for name in MIDDLE if "." in name}
    assert plain <= set(MIDDLE)


def test_draws_have_the_quantiles_that_the_file_says() -> None:
    for name, one in shipped_calibration().constants.items():
        low, high = np.quantile(DRAWS[name], (0.1, 0.9))
        span = one.range.high - one.range.low
        assert low == pytest.approx(one.range.low, abs=0.01 * span + 1e-12), name
        assert high == pytest.approx(one.range.high, abs=0.01 * span + 1e-12), name


def test_unexplained_error_is_centred() -> None:
    for name in ("model_error", "model_error.huggingface"):
        assert MIDDLE[name] == 1.0


def test_a_variant_is_preferred_in_the_order_given() -> None:
    known = {"a": 1.0, "a.x": 2.0, "a.y": 3.0}
    assert [constant(known, "a", *v) for v in ((), ("x",), ("z", "y", "x"), ("z",))] == [1.0, 2.0, 3.0, 1.0]


def test_values_may_be_draws() -> None:
    draws = np.array([1.0, 5.0, 2.0])
    np.testing.assert_array_equal(np.asarray(larger(draws, 2.0)), [2.0, 5.0, 2.0])
    np.testing.assert_array_equal(np.asarray(smaller(2.0, draws)), [1.0, 2.0, 2.0])
    np.testing.assert_array_equal(np.asarray(added([draws, 1.0])), [2.0, 6.0, 3.0])
    np.testing.assert_allclose(np.asarray(root_of_squares(draws * 3, draws * 4)), draws * 5)
    assert root_of_squares(3.0, 4.0) == 5.0
    assert (larger(1.0, 2.0), smaller(1.0, 2.0), middle(draws), middle(3.0), added([])) == (2.0, 1.0, 2.0, 3.0, 0.0)
