"""Laws of sizes with a stack's neighbours, on its published steps: a larger one is not faster, nor does it jump."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from headway.catalog.speed import shipped_speed
from headway.domain.spread import Draws
from headway.predict.learning.calibrate import calibrate
from headway.predict.learning.neighbours import GROWTHS
from headway.predict.learning.record import from_record
from headway.predict.speed.basis import basis
from headway.predict.speed.model import log_seconds as physics
from headway.predict.speed.predict import log_quantiles
from headway.predict.speed.situation import Situation, features
from headway.predict.speed.state import Speed
from judging.sample import constants, sample, situation
from rows import Case, cases, load

SPEED = from_record(shipped_speed())
BY_STACK: dict[str, list[Case]] = {}
for _case in cases(load())[0]:
    if _case.seconds:
        BY_STACK.setdefault(_case.source, []).append(_case)
WAYS = ("rows", "length", "layers", "width")


def larger(one: Situation, way: str, ratio: float) -> tuple[Situation, float]:
    """The step with more rows, longer rows, more layers, or more heads and a wider model; and how much more."""
    had, arch = one.batches, one.architecture
    if way == "rows":
        times = max(2, round(ratio))
        return replace(
            one, batches=replace(had, rows_per_step=had.rows_per_step * times, micro_rows=had.micro_rows * times)
        ), times
    if way == "length":
        lengths = {name: getattr(had, name) * ratio for name in ("row_tokens", "real_row_tokens", "longest_row_tokens")}
        return replace(
            one, batches=replace(had, **lengths, row_tokens_squared=had.row_tokens_squared * ratio**2)
        ), ratio
    if way == "layers":
        layers = max(arch.layers + 1, round(arch.layers * ratio))
        return replace(one, architecture=replace(arch, layers=layers)), layers / arch.layers
    groups = arch.heads // arch.kv_heads
    kv_heads = max(arch.kv_heads + 1, round(arch.kv_heads * ratio))
    times = kv_heads / arch.kv_heads
    wide = {"hidden": round(arch.hidden * times), "ffn": round(arch.ffn * times)}
    return replace(one, architecture=replace(arch, heads=groups * kv_heads, kv_heads=kv_heads, **wide)), times


def log_seconds(speed: Speed, stack: str, steps: list[Situation]) -> Draws:
    rows, coordinates = (np.array([of(one) for one in steps]) for of in (lambda s: basis(s, constants()), features))
    devices = [one.device for one in steps]
    return log_quantiles(speed, speed.stacks[stack], steps[0].family, rows, coordinates, devices, "measured")[1]


def changes(speed: Speed, names: list[str], count: int, most: float, seed: int) -> tuple[Draws, Draws]:
    """Log of larger over smaller step, and of the sizes' ratio, of so many random pairs of every named stack."""
    rng = np.random.default_rng(seed)
    found, sizes = [], []
    for name in names:
        own = [situation(BY_STACK[name][i]) for i in rng.integers(len(BY_STACK[name]), size=count)]
        ratios = np.exp(rng.uniform(np.log(1.05), np.log(most), size=count))
        made = [larger(one, WAYS[i % 4], float(ratio)) for i, (one, ratio) in enumerate(zip(own, ratios, strict=True))]
        found.append(log_seconds(speed, name, [one for one, _ in made]) - log_seconds(speed, name, own))
        sizes.append(np.log([ratio for _, ratio in made]))
    return np.concatenate(found), np.concatenate(sizes)


def test_a_larger_step_of_a_known_stack_is_not_faster() -> None:
    """Of 1,320 pairs (60 of each stack; one size, 1.05 to 8 times as large) at most 1 in 200 is, and by under 2 %."""
    change, _ = changes(SPEED, list(BY_STACK), 60, most=8.0, seed=1)
    assert len(change) >= 1000
    assert np.mean(change < 0) <= 0.005
    assert change.min() > np.log(0.98)


def test_neighbouring_sizes_of_a_known_stack_do_not_jump() -> None:
    """Steps grow with a power of the size of at most 2 (attention in length, weights in width), and 10 % besides."""
    change, size = changes(SPEED, list(BY_STACK), 40, most=1.06, seed=2)
    assert (change - 2 * size).max() < np.log(1.10)


@pytest.mark.parametrize("own_rows", [1, 3, 8])
def test_a_larger_step_is_not_faster_after_a_few_own_rows(own_rows: int) -> None:
    names = [name for name, rows in BY_STACK.items() if len(rows) > 8]
    rng = np.random.default_rng(own_rows)
    taken = [BY_STACK[name][i] for name in names for i in rng.choice(len(BY_STACK[name]), own_rows, replace=False)]
    change, _ = changes(calibrate(SPEED, sample(taken)), names, 20, most=8.0, seed=own_rows)
    assert change.min() > np.log(0.99)


@pytest.mark.parametrize("way", WAYS)
def test_columns_grow_as_learning_takes_them_to(way: str) -> None:
    """The physics of a step twice as large, counted anew, and by the powers with which its columns grow."""
    steps = [situation(rows[len(rows) // 2]) for rows in BY_STACK.values()]
    pairs = [(one, *larger(one, way, 2.0)) for one in steps]
    ratios = np.array([ratio for _, _, ratio in pairs])[:, None]
    had, counted = (np.array([basis(pair[i], constants()) for pair in pairs]) for i in (0, 1))
    grown = had * ratios ** GROWTHS[WAYS.index(way)]
    difference = physics(counted, SPEED.coefficients) - physics(grown, SPEED.coefficients)
    assert np.median(np.abs(difference)) < 0.02
    assert np.abs(difference).max() < 0.15
