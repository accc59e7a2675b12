"""The ledger of promises: exact statistics against tables and against simulated runs."""

from __future__ import annotations

from dataclasses import replace
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.check.verdicts.ledger import LEVEL, Held, ledger, median
from headway.check.verdicts.verdict import Verdict, compare

from .verdicts import promise, ran


def verdict(
    number: int, ratio: float, *, ends: tuple[float, float] = (900.0, 1100.0), device: str = "RTX 4090"
) -> Verdict:
    """A run of 1,000 s promised that took `ratio` times as long."""
    made = promise({"step": (1000, (ends[0], 1000.0, ends[1]))}, device=device)
    return compare(made, ran({"step": (1000, 1000.0 * ratio)}, run=f"r{number}", device=device), record="p")


# ---- shares


@pytest.mark.parametrize(
    ("held", "of", "low", "high"),
    # Clopper & Pearson's limits at 95 %, from tables of the beta distribution
    [
        (8, 10, 0.4439, 0.9748),
        (9, 10, 0.5550, 0.9975),
        (0, 3, 0.0, 0.7076),
        (3, 3, 0.2924, 1.0),
        (400, 500, 0.7622, 0.8342),
    ],
)
def test_the_interval_of_a_share_is_exact(held: int, of: int, low: float, high: float) -> None:
    found = Held(held=held, of=of, promised=0.8)
    assert found.interval == pytest.approx((low, high), abs=1e-4)


@given(st.integers(1, 60), st.data())
def test_the_probability_is_the_doubled_tail_of_the_binomial(of: int, data: st.DataObject) -> None:
    held = data.draw(st.integers(0, of))
    exact = [comb(of, k) * 0.8**k * 0.2 ** (of - k) for k in range(of + 1)]
    expected = min(1.0, 2 * min(sum(exact[: held + 1]), sum(exact[held:])))
    found = Held(held=held, of=of, promised=0.8)
    assert found.probability == pytest.approx(expected, abs=1e-12)
    low, high = found.interval
    # near the edge of the interval the two differ by rounding alone
    if abs(found.probability - (1 - LEVEL)) > 1e-9:
        assert found.compatible == (low <= 0.8 <= high)


def test_three_runs_outside_speak_already_three_inside_do_not() -> None:
    assert not Held(held=0, of=3, promised=0.8).compatible  # 2 x 0.2^3 = 0.016
    assert Held(held=3, of=3, promised=0.8).compatible
    assert Held(held=1, of=3, promised=0.8).compatible
    assert not Held(held=3, of=10, promised=0.8).compatible


# ---- medians


@pytest.mark.parametrize(
    ("values", "ends", "level"),
    [
        ([1.0], (1.0, 1.0), 0.0),
        ([1.0, 3.0], (1.0, 3.0), 0.5),
        ([1.0, 2.0, 9.0], (1.0, 9.0), 0.75),
        ([float(n) for n in range(1, 11)], (3.0, 8.0), 0.890625),
    ],
)
def test_a_median_says_how_sure_its_ends_are(values: list[float], ends: tuple[float, float], level: float) -> None:
    found = median(values)
    assert (found.low, found.high) == ends
    assert found.level == pytest.approx(level)
    assert found.value == float(np.median(values))


def test_the_ends_hold_the_true_median_as_often_as_they_say() -> None:
    # 4,000 samples of 3 and of 11 values of a skewed distribution whose median is 1
    generator = np.random.default_rng(1)
    for size in (3, 11):
        found = [median([float(one) for one in generator.lognormal(0.0, 0.7, size)]) for _ in range(4000)]
        share = sum(one.low <= 1.0 <= one.high for one in found) / len(found)
        assert share == pytest.approx(found[0].level, abs=0.02)


# ---- the whole ledger


def test_only_promises_count_that_were_made_before_for_this_device_of_finished_runs() -> None:
    good = verdict(1, 1.0)
    others = [
        replace(good, run="r2", before=False),
        replace(good, run="r3", progress=0.6),
        replace(good, run="r4", promised_device="H200"),
    ]
    found = ledger([good, *others])
    assert found.whole is not None
    assert (found.whole.runs, found.not_counted, found.promises) == (1, 3, 1)
    assert ledger(others).whole is None


def test_a_run_counts_once_with_its_latest_verdict() -> None:
    found = ledger([verdict(1, 2.0), verdict(1, 1.0), verdict(2, 1.05)])
    assert found.whole is not None
    assert (found.whole.inside.held, found.whole.inside.of) == (2, 2)
    assert found.whole.ratio.value == pytest.approx(1.025)


def test_a_promise_without_an_interval_says_nothing_of_coverage() -> None:
    found = ledger([verdict(1, 1.2, ends=(1000.0, 1000.0)), verdict(2, 1.0)])
    assert found.whole is not None
    assert (found.whole.runs, found.whole.inside.of, found.whole.below.of) == (2, 1, 1)


def test_lines_by_term_kind_and_device() -> None:
    found = ledger([verdict(1, 1.2), verdict(2, 1.0), verdict(3, 1.1, device="T4")])
    assert [(line.name, line.runs) for line in found.devices] == [("RTX 4090", 2), ("T4", 1)]
    (step,) = found.terms
    assert step.name == "step"
    assert step.each is not None and step.each.value == pytest.approx(1.1)
    assert [line.name for line in found.kinds] == ["predicted"]


def test_500_runs_that_are_as_promised_are_found_to_be() -> None:
    # measured is drawn from the promised distribution: lognormal whose p10, p50, p90 are the promise. Of ten such
    # ledgers one in twenty statements of coverage and one in five of the median may be wrong.
    generator, sigma = np.random.default_rng(7), 0.12
    ends = (1000 * float(np.exp(-1.2816 * sigma)), 1000 * float(np.exp(1.2816 * sigma)))
    lines = []
    for _ in range(10):
        ratios = np.exp(generator.normal(0.0, sigma, 500))
        book = ledger(verdict(n, float(ratio), ends=ends) for n, ratio in enumerate(ratios))
        assert book.whole is not None
        lines.append(book.whole)
    assert sum(line.inside.compatible for line in lines) >= 8
    assert sum(line.below.compatible for line in lines) >= 8
    assert sum(line.ratio.low <= 1.0 <= line.ratio.high for line in lines) >= 5


@pytest.mark.parametrize(("factor", "sigma"), [(1.0, 0.36), (1.3, 0.12)])
def test_500_runs_that_are_not_are_found_out(factor: float, sigma: float) -> None:
    generator, promised = np.random.default_rng(8), 0.12
    ends = (1000 * float(np.exp(-1.2816 * promised)), 1000 * float(np.exp(1.2816 * promised)))
    ratios = factor * np.exp(generator.normal(0.0, sigma, 500))
    book = ledger(verdict(n, float(ratio), ends=ends) for n, ratio in enumerate(ratios))
    assert book.whole is not None
    assert not book.whole.inside.compatible
    assert not book.whole.below.compatible
    assert book.whole.ratio.low <= factor <= book.whole.ratio.high


def test_ledgers_of_ten_runs_call_true_promises_false_as_seldom_as_they_say() -> None:
    generator = np.random.default_rng(9)
    held = generator.binomial(10, 0.8, 2000)
    wrong = sum(not Held(held=int(one), of=10, promised=0.8).compatible for one in held)
    assert wrong / 2000 <= 1 - LEVEL
