"""From the steps of a probe to the step time of a whole run: size, mean, and the doubt that minutes leave about hours.

Owns the step model of a probe and how a machine wanders between a probe and the run. Timing the steps is `worker/`,
what repeated timings say by themselves `domain.sample`.

The mean of the steps is the estimate: outliers that a machine causes come again in a long run, so a median or a
trimmed mean promises too little (with one step in a hundred ten times as long, 1,000 steps: mean 2 %, median 10 %,
Huber 9 % from the run's mean). Only what a token costs is fitted robustly, and moves the mean from the batches that
the probe drew to those of the run (a control variate: Lavenberg & Welch 1981).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from headway.domain.calibration import P90_SCORE
from headway.domain.measurement import StepDoubt
from headway.domain.sample import block_means, mean_error
from headway.domain.spread import Draws
from headway.domain.student import student
from headway.domain.units import Range

Processor = Literal["cpu", "gpu"]

WANDER = {"cpu": 0.04, "gpu": 0.005}
"""Allan deviation of a machine's speed at long times, relative, before its own steps are seen. Of a shared CPU host: in
sixty trainings of five minutes, six passes of ten over two days, alone on one of two virtual cores, the mean of the
first 20 s is 7.0 % (rms) from that of all that follows, of 57 s 5.2 %, of 110 s 5.2 %; over `drift_of_means` that is
0.041, 0.034 and 0.036, and 0.02 to 0.05 by pass (benchmarks/pilot.py, 2026-11-22). Of a GPU, which wanders with its
temperature: assumed."""
OTHERS = 0.3
"""Allan deviation for a host whose processors all belong to other programs, which come and go: in proportion to their
share. Three runs of 3 to 4 minutes on two cores, others at about 0.7 of them: 0.1 at 10 s, 0.2 to 0.4 at a minute;
0.2 holds the mean of the next 80 s in 72 % to 89 % of windows (2026-11-21)."""
SINGLE = {"cpu": 0.10, "gpu": 0.02}
"""Relative spread of single steps, taken where fewer than `LEAST` were timed. Assumed."""
WANDER_WEIGHT = 3.0
"""Degrees of freedom that `WANDER` counts for beside the probe's own blocks, of which a minute has few long ones."""
LEAST = 3
LEAST_BLOCKS = 4
HUBER = 1.345
"""Robust spreads beyond which a step pulls less: 95 % efficient where noise is normal (Huber 1981)."""
ROUNDS = 12
TELLS_APART = 0.05
"""Share of a size's variation that must be left beside the other sizes for a coefficient of its own."""
SIZES = ("micro_steps", "tokens", "squares")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedStep:
    """One optimizer step of a probe, after warm-up."""

    seconds: float
    wait_s: float = 0.0
    """Of `seconds`, waiting for data."""
    tokens: float
    """Computed, padding included."""
    squares: float = 0.0
    """Sum over rows of the padded length squared: what attention pays."""
    micro_steps: float = 1.0
    planned: bool = True
    """The size that the run has; False for a step that was made shorter or fewer to tell the parts apart."""

    @property
    def compute_s(self) -> float:
        """Without the wait for data."""
        return max(self.seconds - self.wait_s, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSteps:
    """The steps of a whole run: how many, and the mean size of one."""

    steps: float
    tokens: float
    squares: float = 0.0
    micro_steps: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOfRun:
    """Mean seconds of one step over the run, waiting for data apart; ends are p10 and p90 of that mean."""

    p10_s: float
    p50_s: float
    p90_s: float
    parts_s: dict[str, float]
    """`constant`, `micro_steps`, `tokens`, `squares`: what of the step each pays; their sum is `p50_s`. A size that the
    probe did not vary is part of `constant`."""
    wait_s: Range
    """Mean wait for data in one step."""
    doubt: StepDoubt
    """What the ends are made of; `reach` has them for another number of steps."""


def project(steps: Sequence[TimedStep], run: RunSteps, processor: Processor, others_share: float = 0.0) -> StepOfRun:
    """The mean step of `run`, from steps in the order in which they were timed. Raises ValueError for none as planned.

    Mean of the planned steps, moved by the fitted cost of the difference in size; its doubt is that of `reach`.
    `others_share`: of the host's processors, what other programs took meanwhile (`others_share` of a probe), 0..1;
    counted for a CPU.
    """
    planned = [one for one in steps if one.planned]
    if not planned:
        raise ValueError("a projection needs at least one step as planned")
    seconds = np.array([one.compute_s for one in planned])
    sizes, coefficients = _fit(steps)
    at_run = np.array([getattr(run, name) for name in sizes])
    probed = np.array([[getattr(one, name) for name in sizes] for one in planned]).reshape(len(planned), len(sizes))
    here = probed.mean(axis=0)
    middle = max(float(seconds.mean() + coefficients @ (at_run - here)), float(seconds.min()) * 1e-3)
    alike = seconds - (probed - here) @ coefficients
    assumed = math.hypot(WANDER[processor], OTHERS * others_share if processor == "cpu" else 0.0)
    doubt = _doubt(alike / alike.mean(), SINGLE[processor], assumed)
    ends = math.exp(reach(doubt, run.steps))
    waits = np.array([one.wait_s for one in planned])
    return StepOfRun(
        p10_s=middle / ends,
        p50_s=middle,
        p90_s=middle * ends,
        parts_s=_parts(middle, dict(zip(sizes, (coefficients * at_run).tolist(), strict=True))),
        wait_s=_wait(waits),
        doubt=doubt,
    )


def reach(doubt: StepDoubt, run_steps: float) -> float:
    """ln(p90 / p50) of the mean step of a run of `run_steps` steps.

    Of the noise that is new in every step, what is left in the mean of those timed and in that of the run; of the
    machine's wander, what lies between the two (`drift_of_means`).
    """
    timed, run = float(doubt.steps), max(run_steps, 1.0)
    few = student(0.9, max(timed - 1, LEAST - 1))  # fewer have the assumed noise, which is not theirs
    return math.hypot(
        few * doubt.noise / math.sqrt(timed),
        P90_SCORE * doubt.noise / math.sqrt(run),
        P90_SCORE * doubt.wander * drift_of_means(timed, run),
    )


def drift_of_means(probe: float, run: float) -> float:
    """Standard deviation between the mean of a probe and that of the run after it, over the Allan deviation, for
    flicker noise; their lengths in one unit, whatever it is.

    Flicker noise has no time scale of its own: its Allan deviation is the same at all averaging times (Allan 1966,
    Statistics of atomic frequency standards). With autocovariance -h·ln(t) and Allan variance 2·ln(2)·h, the variance
    of the difference of the two means is h·(3 - ln(probe·run) + 2·mean ln of the distance between their moments);
    √2 for equal times, growing with the logarithm of run over probe.
    """
    ratio = max(run / probe, 1e-6)

    def twice_summed_log(x: float) -> float:
        return x * x * (math.log(x) / 2 - 0.75)

    apart = (twice_summed_log(1 + ratio) - twice_summed_log(1.0) - twice_summed_log(ratio)) / ratio
    return math.sqrt(max(3 - math.log(ratio) + 2 * apart, 0.0) / (2 * math.log(2)))


def white_and_flicker(values: Draws) -> tuple[float, float, float]:
    """(white, flicker, blocks): standard deviation of what is new in every value of a series, Allan deviation of what
    longer blocks do not average away, and how many of the longest blocks say so; a series too short has no flicker.

    Allan variances at block lengths 1, 2, 4 ... as white² / length + flicker², both not negative; a variance of m
    blocks is known to a share √(2/m) of itself, which weighs it.
    """
    lengths, variances, blocks = [], [], []
    length = 1
    while values.size // length >= LEAST_BLOCKS:
        count = values.size // length
        steps = np.diff(block_means(values, count))
        lengths.append(length)
        variances.append(float(np.mean(steps**2)) / 2)
        blocks.append(count)
        length *= 2
    if len(lengths) < 2:
        return float(values.std(ddof=1)), 0.0, 0.0
    weight = np.sqrt(blocks) / np.maximum(variances, 1e-18)
    design = np.column_stack((1 / np.array(lengths), np.ones(len(lengths)))) * weight[:, None]
    white2, flicker2 = non_negative(design, np.array(variances) * weight).tolist()
    return math.sqrt(white2), math.sqrt(flicker2), float(blocks[-1])


def non_negative(design: Draws, target: Draws) -> Draws:
    """Least squares with coefficients that are not negative: shape (terms,), for a design (rows, terms) of few terms.

    The best of the subsets whose plain least squares are feasible, which is the optimum (its support is one of them).
    """
    terms = design.shape[1]
    scale = np.maximum(np.abs(design).max(axis=0), 1e-300)
    best, least = np.zeros(terms), float(target @ target)
    for count in range(1, terms + 1):
        for subset in map(list, combinations(range(terms), count)):
            found = np.linalg.lstsq(design[:, subset] / scale[subset], target, rcond=None)[0]
            rest = target - (design[:, subset] / scale[subset]) @ found
            if found.min() >= 0 and float(rest @ rest) < least:
                best, least = np.zeros(terms), float(rest @ rest)
                best[subset] = found / scale[subset]
    return best


def _fit(steps: Sequence[TimedStep]) -> tuple[list[str], Draws]:
    """The sizes that the steps tell apart, and seconds per unit of each: robust, relative, not negative."""
    seconds = np.array([one.compute_s for one in steps])
    sizes = _told_apart(steps)
    if not sizes or not seconds.all():
        return [], np.zeros(0)
    design = np.array([[1.0, *(getattr(one, name) for name in sizes)] for one in steps])
    fitted = np.full(len(steps), seconds.mean())
    pull = np.ones(len(steps))
    for _ in range(ROUNDS):
        weight = np.sqrt(pull) / fitted
        found = non_negative(design * weight[:, None], seconds * weight)
        fitted = np.maximum(design @ found, seconds.mean() * 1e-3)
        away = np.abs(seconds / fitted - 1)
        spread = max(1.4826 * float(np.median(away)), 1e-6)
        pull = np.minimum(1.0, HUBER * spread / np.maximum(away, 1e-12))
    return sizes, found[1:]


def _told_apart(steps: Sequence[TimedStep]) -> list[str]:
    """Sizes that vary by themselves, the plain ones first, as many as the steps can carry."""
    kept: list[str] = []
    columns = [np.ones(len(steps))]
    for name in SIZES:
        column = np.array([getattr(one, name) for one in steps], dtype=float)
        others = np.column_stack(columns)
        left = column - others @ np.linalg.lstsq(others, column, rcond=None)[0]
        varied = float(column.std())
        enough = len(steps) > len(columns) + 1 and varied > 1e-3 * abs(float(column.mean()))
        if enough and float(left.std()) > TELLS_APART * varied:
            kept.append(name)
            columns.append(column / column.mean())
    return kept


def _doubt(relative: Draws, single: float, assumed: float) -> StepDoubt:
    """From steps of one size over their mean: what they say, and what is assumed where they are few.

    What the probe's few long blocks say of wander raises what is assumed, and does not lower it: quiet minutes promise
    no hours.
    """
    if relative.size < LEAST:
        return StepDoubt(steps=relative.size, noise=single, wander=assumed)
    white, flicker, blocks = white_and_flicker(relative)
    pooled = (WANDER_WEIGHT * assumed**2 + blocks * flicker**2) / (WANDER_WEIGHT + blocks)
    return StepDoubt(steps=relative.size, noise=white, wander=math.sqrt(max(pooled, assumed**2)))


def _wait(waits: Draws) -> Range:
    """Mean wait with its error; a single one is known to a factor of two."""
    mean = float(waits.mean())
    error = mean_error(waits) if waits.size >= LEAST else mean / 2
    return Range(max(mean - P90_SCORE * error, 0.0), mean, mean + P90_SCORE * error)


def _parts(total_s: float, varying: dict[str, float]) -> dict[str, float]:
    """The total split by what the sizes explain; the rest is the constant, noise in proportion."""
    explained = sum(varying.values())
    share = min(1.0, total_s / explained) if explained > 0 else 1.0
    parts = {name: varying.get(name, 0.0) * share for name in SIZES}
    return {"constant": max(total_s - sum(parts.values()), 0.0), **parts}
