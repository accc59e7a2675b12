"""What one unit of a term costs by the runs that were made, and how much such runs differ from each other.

Owns the statistics behind recalibration: seconds of a step, a save, an evaluation for the *next* run, from one run or
several. Choosing the runs and keeping the result is `app/`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from headway.check.verdicts.ran import Ran
from headway.domain.student import student
from headway.domain.units import Range

SCATTER = {"gpu": 0.02, "cpu": 0.05}
"""Standard deviation of the logarithm of a mean time between runs of the same thing on the same kind of machine, before
any were compared. Of 1,264 published MLPerf Llama-2-70B LoRA runs, 135 groups of repeats on one machine scatter by
0.8 % (pooled; half of the groups by less than 0.5 %), of 63 groups of modded-nanogpt on 8 H100 half by less than 0.1 %.
Other days, other machines of the kind and shared hosts are worse: assumed."""
SETUP_SCATTER = 0.25
"""The same for what reads and writes files or fills caches: a second load is read from memory. Assumed."""
SETUP = ("load", "tokenize", "compile", "checkpoint", "final_save")
PRIOR_RUNS = 4.0
"""Degrees of freedom that the assumption is worth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Seconds of one unit of a term in the next run."""

    seconds: Range
    repeats: int
    """Units that were timed."""
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The mean of one term in one run."""

    each_s: float
    error_s: float
    """Standard error of that mean; 0: unknown, or too small to matter."""
    units: float


def timings(runs: Iterable[Ran], stage: str) -> dict[str, list[Timing]]:
    """By term, what each run says of a stage; a run that names no stage is one of it."""
    found: dict[str, list[Timing]] = {}
    for ran in runs:
        name = stage if stage in ran.stages else ""
        errors = ran.errors_s.get(name, {})
        for term, timed in ran.stages.get(name, {}).items():
            if timed.units and timed.seconds >= 0:
                one = Timing(each_s=timed.each_s, error_s=errors.get(term, 0.0), units=timed.units)
                found.setdefault(term, []).append(one)
    return found


def deviations(groups: Iterable[Sequence[Timing]]) -> tuple[float, int]:
    """Sum of squared deviations of the logarithms from their group's mean, and its degrees of freedom.

    A group is runs of the same thing on the same machine; groups of one run say nothing.
    """
    squares, freedom = 0.0, 0
    for group in groups:
        logs = [math.log(one.each_s) for one in group if one.each_s > 0]
        if len(logs) > 1:
            mean = fmean(logs)
            squares += sum((one - mean) ** 2 for one in logs)
            freedom += len(logs) - 1
    return squares, freedom


def next_cost(term: str, group: Sequence[Timing], scatter: tuple[float, int] = (0.0, 0), *, cpu: bool = False) -> Cost:
    """Seconds of one unit in the next run: p10, p50 and p90 of Student's predictive distribution of its logarithm.

    `scatter` is `deviations` of all groups of this term, this one included; to it comes the assumed scatter, worth
    `PRIOR_RUNS`. The error of the runs' own means is added in quadrature. Raises ValueError for no timing.
    """
    repeats, runs = round(sum(one.units for one in group)), len(group)
    positive = [one for one in group if one.each_s > 0]
    if not group:
        raise ValueError("a cost needs at least one timing")
    if not positive:
        return Cost(seconds=Range.point(0.0), repeats=repeats, runs=runs)
    prior = SETUP_SCATTER if term in SETUP else SCATTER["cpu" if cpu else "gpu"]
    squares, freedom = scatter
    variance = (PRIOR_RUNS * prior**2 + squares) / (PRIOR_RUNS + freedom)
    own = fmean((one.error_s / one.each_s) ** 2 if math.isfinite(one.error_s) else prior**2 for one in positive)
    reach = student(0.9, PRIOR_RUNS + freedom) * math.sqrt(variance * (1 + 1 / len(positive)) + own / len(positive))
    middle = fmean(math.log(one.each_s) for one in positive)
    seconds = Range(math.exp(middle - reach), math.exp(middle), math.exp(middle + reach))
    return Cost(seconds=seconds, repeats=repeats, runs=runs)


def costs_of(
    runs: Sequence[Ran], stage: str, scatter: Mapping[str, tuple[float, int]], *, cpu: bool = False
) -> dict[str, Cost]:
    """The next cost of every term of a stage, from its runs on one machine."""
    return {
        term: next_cost(term, group, scatter.get(term, deviations([group])), cpu=cpu)
        for term, group in timings(runs, stage).items()
    }
