"""From a probe's steps to a run's: parts that come back, laws of the fit, and how often the interval holds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.predict.pilot import (
    WANDER,
    RunSteps,
    TimedStep,
    drift_of_means,
    non_negative,
    project,
    white_and_flicker,
)

CONSTANT_S, MICRO_S, TOKEN_S, SQUARE_S = 0.02, 0.01, 4e-5, 2e-8


def true_s(tokens: float, micro_steps: float, squares: float = 0.0) -> float:
    return CONSTANT_S + MICRO_S * micro_steps + TOKEN_S * tokens + SQUARE_S * squares


def probed(rng: np.random.Generator, noise: np.ndarray, *, squares: bool = False) -> list[TimedStep]:
    """Planned steps of 4 micro-steps and varied tokens, and six shorter and six fewer."""
    made = []
    for index, factor in enumerate(noise):
        micro = 1.0 if index % 20 == 18 else 4.0
        tokens = rng.lognormal(7, 0.3) * micro * (0.5 if index % 20 == 19 else 1)
        square = tokens * rng.lognormal(6, 0.6) if squares else 0.0
        made.append(TimedStep(seconds=true_s(tokens, micro, square) * factor, tokens=tokens, squares=square,
                              micro_steps=micro, planned=index % 20 < 18))  # fmt: skip
    return made


def test_parts_come_back_from_steps_without_noise() -> None:
    steps = probed(np.random.default_rng(1), np.ones(60), squares=True)
    found = project(steps, RunSteps(steps=1000, tokens=5000, squares=3e6, micro_steps=4), "gpu")
    assert found.p50_s == pytest.approx(true_s(5000, 4, 3e6), rel=1e-9)
    expected = {"constant": CONSTANT_S, "micro_steps": 4 * MICRO_S, "tokens": 5000 * TOKEN_S, "squares": 3e6 * SQUARE_S}
    assert found.parts_s == pytest.approx(expected, rel=1e-6)


def test_one_slow_step_does_not_bend_the_cost_of_a_token_but_raises_the_mean() -> None:
    rng = np.random.default_rng(2)
    steps = probed(rng, np.exp(rng.normal(0, 0.01, 100)))
    longest = max((one for one in steps if one.planned), key=lambda one: one.tokens)
    slow = [replace(one, seconds=one.seconds * 10) if one is longest else one for one in steps]
    run = RunSteps(steps=1000, tokens=4000, micro_steps=4)
    before, after = project(steps, run, "gpu"), project(slow, run, "gpu")
    extra = longest.seconds * 9 / sum(one.planned for one in steps)
    assert after.p50_s - before.p50_s == pytest.approx(extra, rel=0.05)
    assert after.parts_s["tokens"] == pytest.approx(before.parts_s["tokens"], rel=0.01)


def test_the_planned_size_alone_sets_the_mean() -> None:
    """Steps of another size tell parts apart: they do not move the mean of batches like the run's."""
    rng = np.random.default_rng(3)
    steps = [TimedStep(seconds=float(one), tokens=1000) for one in rng.normal(1, 0.05, 40)]
    other = [TimedStep(seconds=0.7, tokens=500, planned=False) for _ in range(5)]
    run = RunSteps(steps=100, tokens=1000)
    assert project(steps + other, run, "cpu").p50_s == pytest.approx(np.mean([one.seconds for one in steps]))


def test_other_programs_on_the_host_widen_the_promise() -> None:
    steps = [TimedStep(seconds=1.0, tokens=10.0)] * 30
    run = RunSteps(steps=300, tokens=10)
    quiet, busy = project(steps, run, "cpu"), project(steps, run, "cpu", others_share=0.5)
    assert busy.p50_s == quiet.p50_s
    assert math.log(busy.p90_s / busy.p10_s) > 3 * math.log(quiet.p90_s / quiet.p10_s)
    assert project(steps, run, "gpu", others_share=0.5) == project(steps, run, "gpu")


def test_waiting_for_data_is_apart() -> None:
    steps = [TimedStep(seconds=1.2, wait_s=0.2, tokens=10.0)] * 10
    found = project(steps, RunSteps(steps=100, tokens=10), "cpu")
    assert (found.p50_s, found.wait_s.mid) == (pytest.approx(1.0), pytest.approx(0.2))


@pytest.mark.parametrize("count", [1, 2])
def test_a_step_or_two_are_a_wide_promise(count: int) -> None:
    found = project([TimedStep(seconds=1.0, tokens=10.0)] * count, RunSteps(steps=100, tokens=10), "cpu")
    assert 0 < found.p10_s < found.p50_s == 1.0 < found.p90_s < 3
    assert found.p90_s > 1.1 * found.p50_s


def test_steps_of_other_sizes_alone_promise_nothing() -> None:
    with pytest.raises(ValueError, match="as planned"):
        project([TimedStep(seconds=1.0, tokens=1.0, planned=False)], RunSteps(steps=1, tokens=1), "cpu")


@given(
    st.lists(st.tuples(st.floats(1e-4, 10), st.floats(1, 1e5), st.integers(1, 8)), min_size=1, max_size=25),
    st.floats(1, 1e5),
)
def test_the_promise_is_in_order_and_its_parts_add_up(rows: list[tuple[float, float, int]], tokens: float) -> None:
    steps = [TimedStep(seconds=s, tokens=t, squares=t * 100, micro_steps=m) for s, t, m in rows]
    found = project(steps, RunSteps(steps=500, tokens=tokens, squares=tokens * 100, micro_steps=2), "cpu")
    assert 0 < found.p10_s < found.p50_s < found.p90_s < math.inf
    assert sum(found.parts_s.values()) == pytest.approx(found.p50_s)
    assert min(found.parts_s.values()) >= 0


@given(st.integers(0, 10**6), st.integers(1, 4))
def test_non_negative_least_squares_meet_their_conditions(seed: int, terms: int) -> None:
    """Karush-Kuhn-Tucker: no slope to gain upwards, none at all where a coefficient is above 0."""
    rng = np.random.default_rng(seed)
    design, target = rng.normal(size=(8, terms)), rng.normal(size=8)
    found = non_negative(design, target)
    slope = design.T @ (target - design @ found)
    assert found.min() >= 0
    assert slope.max() <= 1e-6
    assert np.abs(slope[found > 1e-9]).max(initial=0) <= 1e-6


def flicker(rng: np.random.Generator, steps: int, allan: float) -> np.ndarray:
    """Noise of power 1/f with an Allan deviation of `allan`: made of sines, twice as long as what is kept of it.

    A bin k of N points carries variance 4/(k·N²), so S(f) = 4/(f·N²), and flicker's Allan variance is 2·ln 2·f·S(f).
    """
    power = np.concatenate(([0.0], np.sqrt(1 / np.arange(1, steps + 1))))
    waves = power * (rng.normal(size=steps + 1) + 1j * rng.normal(size=steps + 1))
    return np.fft.irfft(waves, 2 * steps)[:steps] * allan * 2 * steps / math.sqrt(8 * math.log(2))


def test_means_of_flicker_noise_differ_as_said() -> None:
    """Against noise made in the frequency domain, power 1/f: sd between adjacent means over the Allan deviation."""
    assert drift_of_means(60, 60) == pytest.approx(math.sqrt(2))
    rng = np.random.default_rng(4)
    probe = 256
    between: dict[int, list[float]] = {1: [], 5: [], 20: []}
    for _ in range(400):
        series = flicker(rng, 2**13, 1.0)
        for ratio, kept in between.items():
            kept.append(series[:probe].mean() - series[probe : probe * (1 + ratio)].mean())
    for ratio, kept in between.items():
        assert np.std(kept) == pytest.approx(drift_of_means(1, ratio), rel=0.1)


def test_white_noise_averages_away_and_wander_does_not() -> None:
    rng = np.random.default_rng(5)
    white = 1 + rng.normal(0, 0.05, 2048)
    assert white_and_flicker(white)[1] < 0.004
    found, wander, _ = white_and_flicker(white + flicker(rng, 2048, 0.02))
    assert found == pytest.approx(0.05, rel=0.1)
    assert 0.01 < wander < 0.04
    assert white_and_flicker(white[:5]) == (pytest.approx(np.std(white[:5], ddof=1)), 0.0, 0.0)


@pytest.mark.parametrize("kind", ["white", "flicker"])
def test_the_interval_holds_the_mean_of_the_run(kind: str) -> None:
    """80 % of runs of ten times the probe lie between p10 and p90: wander as assumed, or none and so more of them."""
    rng = np.random.default_rng(6)
    n, probe, inside = 2200, 200, []
    for _ in range(200):
        tokens = rng.lognormal(7, 0.3, n)
        noise = np.exp(rng.normal(0, 0.05, n)) * (1 + (flicker(rng, n, WANDER["cpu"]) if kind == "flicker" else 0))
        seconds = (CONSTANT_S + TOKEN_S * tokens) * noise
        steps = [TimedStep(seconds=s, tokens=t) for s, t in zip(seconds[:probe], tokens[:probe], strict=True)]
        run = RunSteps(steps=n - probe, tokens=float(tokens[probe:].mean()))
        found = project(steps, run, "cpu")
        inside.append(found.p10_s <= seconds[probe:].mean() <= found.p90_s)
    share = np.mean(inside)
    assert 0.72 <= share <= 0.88 if kind == "flicker" else share >= 0.95


@pytest.mark.parametrize("run_steps", [10, 40, 4000])
def test_the_mean_of_a_short_run_is_in_doubt_itself(monkeypatch: pytest.MonkeyPatch, run_steps: int) -> None:
    """Steps with noise alone, on a machine that does not wander: 80 % of runs lie between the ends, however short."""
    monkeypatch.setitem(WANDER, "cpu", 0.0)
    rng, held = np.random.default_rng(7), 0
    for _ in range(400):
        probe = [TimedStep(seconds=float(one), tokens=100.0) for one in np.exp(rng.normal(0, 0.1, 40))]
        found = project(probe, RunSteps(steps=run_steps, tokens=100.0), "cpu")
        held += found.p10_s <= np.exp(rng.normal(0, 0.1, run_steps)).mean() <= found.p90_s
    assert 0.74 <= held / 400 <= 0.9
