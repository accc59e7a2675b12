"""HW2xx, samples: row lengths that nobody counted, and measured steps that say more or less than they seem to.

Owns the statistics of stated samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from headway.check.case import Case
from headway.check.rule import Rule
from headway.domain.errors import Finding
from headway.domain.statement import Value
from headway.domain.units import format_duration, format_number, format_share

GUESSED = 1.2
"""High over low end of a stated range of row lengths from which the work is open."""
WANTED = 0.01
"""Standard error of a mean step, as a share of it, that is enough for any plan."""
TOO_MANY = 4.0
"""Times the needed batches from which a sample is a waste."""
WORTH_S = 60.0
"""A waste of less is none."""
TOO_WIDE = 0.05
"""Standard error from which the total is in doubt because of the sample alone."""
FEWEST = 5
"""Batches below which a standard deviation is itself a guess."""
IN_ORDER = (("min", "max"), ("min", "median"), ("median", "max"), ("min", "mean"), ("mean", "max"))
"""Statistics of which the first is never over the second."""
SKEWED = 3.0
"""Standard errors between mean and median from which the mean rests on its tail."""


def _lengths(case: Case) -> Iterator[Finding]:
    for name in sorted(case.plan.trained_on):
        dataset = case.plan.datasets.get(name)
        length = dataset.length if dataset else None
        if dataset is None or length is None or length.unknown or length.source:
            continue
        low, high = length.range.low, length.range.high
        if length.statistics or dataset.length_quantiles or not 0 < low * GUESSED <= high < math.inf:
            continue
        caps = {stage.recipe.max_length for one in case.plan.experiments for stage in one.stages if stage.data == name}
        yield GUESSED_LENGTHS.finding(
            f"rows of {length.text} tokens are a guess: its ends are {format_number(high / low)} x apart, and so is "
            "the work of a step",
            where=length.where,
            evidence={"dataset": name, "tokens": [low, high], "max_length": sorted(cap for cap in caps if cap)},
            hint="Tokenize a few hundred rows with the prompt template, and give mean and max, or a file of lengths.",
        )


def _samples(case: Case) -> Iterator[Value]:
    """Stated steps that were measured: a mean and a standard deviation of so many batches; each once."""
    found: dict[object, Value] = {}
    for experiment in case.plan.experiments:
        for stage in experiment.stages:
            for value in stage.stated.terms.get("step", {}).values():
                if {"mean", "sd", "n"} <= value.statistics.keys() and value.statistics["n"] >= 1:
                    found.setdefault(value.where, value)
    return iter(found.values())


def standard_error_s(sample: Value) -> float:
    """Standard error of the mean of a measured step, in seconds."""
    return sample.statistics["sd"] / math.sqrt(sample.statistics["n"])


def needed(sample: Value) -> int:
    """Batches after which the mean is known within `WANTED` of itself (one standard error)."""
    return math.ceil((sample.statistics["sd"] / sample.statistics["mean"] / WANTED) ** 2)


def _batches(sample: Value) -> str:
    n = sample.statistics["n"]
    return "one batch leaves" if n == 1 else f"{n:,.0f} batches leave"


def _evidence(sample: Value) -> dict[str, object]:
    error_s = standard_error_s(sample)
    return {
        **sample.statistics,
        "standard_error_s": error_s,
        "standard_error_share": error_s / sample.statistics["mean"],
        "needed": needed(sample),
    }


def _large(case: Case) -> Iterator[Finding]:
    for sample in _samples(case):
        n, mean, enough = sample.statistics["n"], sample.statistics["mean"], max(needed(sample), 10)
        if n < TOO_MANY * enough or n * mean < WORTH_S:
            continue
        share = standard_error_s(sample) / mean
        yield LARGE_SAMPLE.finding(
            f"{n:,.0f} batches in a row took {format_duration(n * mean)} for a mean within {format_share(share)}: "
            f"{enough} give {format_share(WANTED)}, and a row of them sees one temperature and one mix of lengths",
            where=sample.where,
            evidence=_evidence(sample),
            hint=f"Time about {enough} batches, spread over short and long rows.",
        )


def _small(case: Case) -> Iterator[Finding]:
    for sample in _samples(case):
        share = standard_error_s(sample) / sample.statistics["mean"]
        if share <= TOO_WIDE and sample.statistics["n"] >= FEWEST:
            continue
        yield SMALL_SAMPLE.finding(
            f"{_batches(sample)} the mean step in doubt by {format_share(share)} (one standard error)",
            where=sample.where,
            evidence=_evidence(sample),
            hint=f"Time {max(needed(sample), FEWEST)} batches for {format_share(WANTED)}.",
        )


def _disorder(case: Case) -> Iterator[Finding]:
    """Samples whose figures cannot come from one set of numbers: of steps and of row lengths."""
    lengths = (one.length for one in case.plan.datasets.values() if one.length is not None)
    for sample in (*_samples(case), *lengths):
        known = sample.statistics
        for low, high in IN_ORDER:
            if low in known and high in known and known[low] > known[high]:
                yield DISORDER.finding(
                    f"the {low} of a sample, {_shown(known[low], sample)}, is over its {high}, "
                    f"{_shown(known[high], sample)}",
                    where=sample.where,
                    evidence=dict(known),
                    hint="Look at the sample again: one of the two is in another unit, or of another sample.",
                )
                break


def _shown(figure: float, sample: Value) -> str:
    return format_duration(figure) if sample.unit == "s" else format_number(figure)


def _skew(case: Case) -> Iterator[Finding]:
    for sample in _samples(case):
        median, mean, error_s = sample.statistics.get("median"), sample.statistics["mean"], standard_error_s(sample)
        if median is None or not 0 <= SKEWED * error_s < abs(mean - median):
            continue
        slow = mean > median
        errors = f"{format_number(abs(mean - median) / error_s)} standard errors " if error_s else ""
        yield SKEWED_SAMPLE.finding(
            f"the mean step of {format_duration(mean)} is {errors}{'over' if slow else 'under'} the median of "
            f"{format_duration(median)}: "
            + ("first steps, which compile and warm up, or outliers are in it" if slow else "one of them is wrong"),
            where=sample.where,
            evidence=_evidence(sample),
            hint="Leave out the first batches, and look at the slowest ones before believing the mean."
            if slow
            else "Look at the sample again: few steps are faster than most.",
        )


_ROWS = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 10k, length: {length}}}
max_length: 512
run: {{machine: A100 SXM 80GB}}
"""
_STEP = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 10k, length: 128}}
run: {{machine: T4}}
stated:
  step: {{mean: 520 ms, median: {median}, sd: {sd}, n: {n}}}
"""

GUESSED_LENGTHS = Rule(
    code="HW209",
    name="row lengths not counted",
    severity="info",
    says="The lengths of training rows are counted, not guessed, where the ends are 1.2 times apart or more.",
    because="The work of a step grows with its tokens: 300 instead of 200 is half as much again. A tokenizer settles "
    "it in seconds.",
    fails=_ROWS.format(length="200-300"),
    passes=_ROWS.format(length="{mean: 250, max: 480}"),
    find=_lengths,
)
LARGE_SAMPLE = Rule(
    code="HW211",
    name="more batches than needed",
    severity="info",
    says="A step is timed for as many batches as its mean needs, and no more.",
    because="The standard error falls with the root of the batches: four times as many for half of it.",
    fails=_STEP.format(median="519 ms", sd="35 ms", n=500),
    passes=_STEP.format(median="519 ms", sd="35 ms", n=60),
    find=_large,
)
SMALL_SAMPLE = Rule(
    code="HW212",
    name="too few batches",
    severity="warning",
    says="The mean of a measured step is known within 5 %.",
    because="The error of the step is the error of every hour of the plan.",
    fails=_STEP.format(median="519 ms", sd="350 ms", n=10),
    passes=_STEP.format(median="519 ms", sd="350 ms", n=200),
    find=_small,
)
SKEWED_SAMPLE = Rule(
    code="HW213",
    name="mean far from the median",
    severity="info",
    says="The mean of a measured step lies near its median.",
    because="First steps compile, fill caches and choose kernels; they belong to the start, not to every step.",
    fails=_STEP.format(median="505 ms", sd="35 ms", n=100),
    passes=_STEP.format(median="519 ms", sd="35 ms", n=100),
    find=_skew,
)
DISORDER = Rule(
    code="HW214",
    name="sample out of order",
    severity="error",
    says="In a sample the least is at most the median and the mean, and these are at most the greatest.",
    because="Statistics that no set of numbers has were mistyped, or put together from two samples.",
    fails=_ROWS.format(length="{mean: 250, median: 2400, max: 480}"),
    passes=_ROWS.format(length="{mean: 250, median: 240, max: 480}"),
    find=_disorder,
)
RULES = (GUESSED_LENGTHS, LARGE_SAMPLE, SMALL_SAMPLE, SKEWED_SAMPLE, DISORDER)
