"""Collating against Monte-Carlo draws, exact cases and laws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.domain.errors import UserError
from headway.domain.experiment import Lengths
from headway.work.batches import LENGTH_SIGMA, collate, mean_tokens, mixed_quantiles, steps_for, with_mean


def mean_only(mean: float) -> Lengths:
    return Lengths(mean=mean, mean_low=mean, mean_high=mean)


def exactly(tokens: float) -> Lengths:
    return Lengths(mean=tokens, mean_low=tokens, mean_high=tokens, fixed=True, kind="measured")


TABLE = Lengths(
    mean=180,
    mean_low=170,
    mean_high=190,
    quantiles=((0.0, 12), (0.25, 80), (0.5, 140), (0.75, 240), (0.95, 480), (1.0, 1900)),
)


@pytest.mark.parametrize(
    ("rows", "batch", "epochs", "drop_last", "steps"),
    [
        (304_000, 128, 1, False, 2375),
        (1000, 64, 1, False, 16),
        (1000, 64, 1, True, 15),
        (1000, 64, 3, False, 48),
        (3232, 1, 10, False, 32_320),
        (1000, 64, 0.5, False, 8),
        (5, 8, 1, True, 0),
        (0, 8, 1, False, 0),
    ],
)
def test_steps(rows: int, batch: int, epochs: float, drop_last: bool, steps: int) -> None:
    assert steps_for(rows, batch, epochs, drop_last) == steps


def test_fixed_rows_need_no_padding() -> None:
    found = collate(exactly(8192), rows=1000, micro_batch=2, grad_accum=4, replicas=8, max_length=8192)
    assert found.rows_per_step == 64
    assert (found.steps_per_epoch, found.last_batch_rows) == (16, 40)
    assert found.row_tokens == found.longest_row_tokens == found.real_row_tokens == 8192
    assert found.row_tokens_squared == 8192**2
    assert found.padding_share == found.truncated_share == 0
    assert found.tokens_per_step == 64 * 8192


def test_truncation_cuts_to_max_length() -> None:
    found = collate(exactly(3000), rows=10, micro_batch=2, max_length=2048)
    assert found.row_tokens == 2048
    assert found.truncated_share == 1.0


@pytest.mark.parametrize("batch", [1, 2, 8, 32])
@pytest.mark.parametrize("limit", [None, 300])
def test_expected_longest_row_against_random_draws(batch: int, limit: int | None) -> None:
    random = np.random.default_rng(7)
    logs = random.normal(np.log(200) - LENGTH_SIGMA**2 / 2, LENGTH_SIGMA, size=(40_000, batch))
    rows = np.minimum(np.exp(logs), limit or np.inf)
    found = collate(mean_only(200), rows=100_000, micro_batch=batch, max_length=limit)
    assert found.row_tokens == pytest.approx(rows.max(axis=1).mean(), rel=0.01)
    assert found.row_tokens_squared == pytest.approx((rows.max(axis=1) ** 2).mean(), rel=0.025)
    assert found.real_row_tokens == pytest.approx(rows.mean(), rel=0.01)
    assert found.padding_share == pytest.approx(1 - rows.mean() / rows.max(axis=1).mean(), abs=0.01)


def test_a_table_is_followed_at_its_points() -> None:
    found = collate(TABLE, rows=10_000, micro_batch=1, max_length=240)
    assert found.truncated_share == pytest.approx(0.25, abs=0.005)
    assert collate(TABLE, rows=10_000, micro_batch=1).longest_row_tokens == 1900


def test_a_table_without_its_end_goes_on_as_log_normal() -> None:
    # through the median 100 and the 84.13 % point 200: sigma = ln 2; the mean is 100 exp(sigma^2 / 2)
    table = Lengths(mean=127, mean_low=127, mean_high=127, quantiles=((0.5, 100.0), (0.8413447, 200.0)))
    found = collate(table, rows=1000, micro_batch=1)
    assert found.real_row_tokens == pytest.approx(100 * np.exp(np.log(2) ** 2 / 2), rel=0.01)
    assert found.longest_row_tokens > 700


def test_packing_fills_rows() -> None:
    found = collate(exactly(500), rows=1000, micro_batch=4, max_length=2048, pack=True)
    assert found.packed_rows == 250  # four of 500 in 2048
    assert found.row_tokens == 2000
    assert found.padding_share == 0
    assert found.steps_per_epoch == 63
    assert found.last_batch_rows == 2


def test_rows_over_half_a_packed_row_stay_alone() -> None:
    found = collate(exactly(1100), rows=1000, micro_batch=4, max_length=2048, pack=True)
    assert found.packed_rows == 1000


@pytest.mark.parametrize("wrong", [{"rows": 0}, {"micro_batch": 0}, {"grad_accum": -1}, {"max_length": 0}])
def test_counts_below_one_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UserError, match="at least 1"):
        collate(mean_only(100), **({"rows": 10, "micro_batch": 2} | wrong))
    with pytest.raises(UserError, match="at least one row"):
        steps_for(10, 0)


LENGTHS = st.one_of(st.just(TABLE), st.floats(5, 4000).map(mean_only), st.floats(5, 4000).map(exactly))


@given(lengths=LENGTHS, rows=st.integers(1, 10_000), batch=st.integers(1, 64), limit=st.none() | st.integers(1, 4096))
def test_expected_longest_lies_between_mean_and_longest(
    lengths: Lengths, rows: int, batch: int, limit: int | None
) -> None:
    found = collate(lengths, rows=rows, micro_batch=batch, max_length=limit)
    assert found.real_row_tokens <= found.row_tokens * (1 + 1e-12)
    assert found.row_tokens <= found.longest_row_tokens
    assert found.longest_row_tokens <= (limit or np.inf)
    assert found.row_tokens_squared >= found.row_tokens**2 * (1 - 1e-9)
    assert 1 <= found.last_batch_rows <= found.rows_per_step
    assert 0 <= found.padding_share < 1


@given(lengths=LENGTHS, batch=st.integers(1, 32), limit=st.integers(64, 4096))
def test_packing_never_computes_more_than_padding(lengths: Lengths, batch: int, limit: int) -> None:
    packed, padded = (collate(lengths, rows=5000, micro_batch=batch, max_length=limit, pack=p) for p in (True, False))
    assert packed.packed_rows * packed.row_tokens <= padded.packed_rows * padded.row_tokens * (1 + 1e-9)
    assert packed.row_tokens <= limit * (1 + 1e-9)
    assert packed.steps_per_epoch <= padded.steps_per_epoch


@given(rows=st.integers(1, 5000), batch=st.integers(1, 64))
def test_every_row_is_in_some_batch(rows: int, batch: int) -> None:
    found = collate(mean_only(100), rows=rows, micro_batch=batch)
    assert (found.steps_per_epoch - 1) * batch + found.last_batch_rows == rows


@pytest.mark.parametrize("mean", [60.0, 200.0, 420.0, 900.0])
def test_a_stated_mean_holds_between_stated_ends(mean: float) -> None:
    bounded = Lengths(mean=mean, mean_low=mean, mean_high=mean, quantiles=((0.0, 40.0), (1.0, 1000.0)))
    found = with_mean(bounded, mean)
    assert mean_tokens(found) == pytest.approx(mean, rel=1e-3)
    assert (found.quantiles[0], found.quantiles[-1]) == ((0.0, 40.0), (1.0, 1000.0))
    assert [tokens for _, tokens in found.quantiles] == sorted(tokens for _, tokens in found.quantiles)


def test_a_mixture_of_equal_parts_is_the_part_and_of_others_between_them() -> None:
    short = Lengths(mean=100, mean_low=100, mean_high=100, quantiles=((0.0, 50.0), (0.5, 100.0), (1.0, 150.0)))
    long = Lengths(mean=500, mean_low=500, mean_high=500, fixed=True, quantiles=((0.0, 500.0), (1.0, 500.0)))
    same = replace(short, quantiles=mixed_quantiles([(short, 0.3), (short, 0.7)]))
    assert mean_tokens(same) == pytest.approx(mean_tokens(short), rel=0.01)
    half = replace(short, quantiles=mixed_quantiles([(short, 0.5), (long, 0.5)]))
    assert mean_tokens(half) == pytest.approx((mean_tokens(short) + 500) / 2, rel=0.03)
    assert half.quantiles[-1] == (1.0, 500.0)
