"""HW55x, experimental design: what one run, scored once at its end, cannot say.

Owns run-to-run noise and convergence that is asserted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

from headway.check.case import Case
from headway.check.contrast import contrasts
from headway.check.hours import gpu_seconds, reading_of_steps
from headway.check.rule import Rule
from headway.check.trained import counted_experiments
from headway.check.words import counted, listed
from headway.domain.errors import Finding
from headway.domain.plan import Experiment, Stage
from headway.domain.statement import Value
from headway.domain.units import format_duration

SEEDS = 3
"""Runs of one arm from which its spread can be told."""


def _one_seed(case: Case) -> Iterator[Finding]:
    runs = [one for one in counted_experiments(case.plan) if any(stage.kind == "train" for stage in one.stages)]
    if len(runs) < 2 or not (case.plan.questions or case.plan.decisions) or _has_replicates(case, runs):
        return
    seconds = gpu_seconds(reading_of_steps(case))
    more = (SEEDS - 1) * sum(seconds[one.id] for one in runs)
    yield ONE_SEED.finding(
        f"{counted(len(runs), 'trained arm')}, one run each: a difference of a point or two is inside run-to-run "
        "noise, and the best of many single runs is partly luck",
        where=case.plan.where("questions" if case.plan.questions else "decisions"),
        evidence={"arms": len(runs), "runs_each": 1, "gpu_hours_of_two_more_seeds": more / 3600},
        hint=f"Give the arms that decide a question seed: [0, 1, 2] in their matrix; for all of them it is "
        f"{format_duration(more)} more.",
    )


def _has_replicates(case: Case, runs: list[Experiment]) -> bool:
    """True where two runs differ in their seed alone; without two seeds nothing has to be compared."""
    if len({stage.seed for one in runs for stage in one.stages}) < 2:
        return False
    return any(len(seeds) > 1 for seeds in contrasts(runs, "seed", case.plan))


def _asserted_epochs(case: Case) -> Iterator[Finding]:
    for experiment in counted_experiments(case.plan):
        for stage in experiment.stages:
            bands = stage.stated.convergence
            if stage.kind != "train" or not bands or _is_watched(stage):
                continue
            said = [f"{name} {value.text}" for name, value in bands.items()]
            overlap = _overlap(bands)
            yield ASSERTED.finding(
                f"epochs are chosen by a convergence that is asserted ({listed(said)}), and nothing is evaluated "
                "between the first and the last" + (f"; {overlap} overlap" if overlap else ""),
                where=next(iter(bands.values())).where,
                evidence={"bands": {name: [value.range.low, value.range.high] for name, value in bands.items()}},
                hint="Say validation: 5% or evaluate: {tasks: ..., every: 1 epochs}: the curve tells when to stop.",
            )
            return


def _is_watched(stage: Stage) -> bool:
    """Something is measured while it trains."""
    asked = stage.evaluate
    return stage.validation_share > 0 or (asked is not None and bool(asked.every_epochs or asked.every_steps))


def _overlap(bands: Mapping[str, Value]) -> str:
    """Two bands that claim the same epochs; empty where none do."""
    pairs = sorted(bands.items(), key=lambda pair: (pair[1].range.low, pair[1].range.high))
    for (first, one), (second, other) in pairwise(pairs):
        if one.range.high > other.range.low and not one.range.is_point and not other.range.is_point:
            return f"{first} ({one.text}) and {second} ({other.text})"
    return ""


_SEEDS = """headway: 1
model: Qwen/Qwen2-0.5B
datasets: {papers: {rows: 100k, length: 200}}
data: papers
matrix: {learning_rate: [0.0001, 0.0002]}
questions: {rate: {ask: Which rate?, answered_by: all, along: learning_rate}}
run: {machine: RTX 4090}
"""
_EPOCHS = """headway: 1
model: Qwen/Qwen2-0.5B
data: {rows: 3k, length: 200}
epochs: 5
stated: {step: 1 s, convergence: {steep: 1-3 epochs, minimal: 9 epochs}}
run: {machine: RTX 4090}
"""

ONE_SEED = Rule(
    code="HW551",
    name="one run per arm",
    severity="warning",
    says="Where runs are compared, some differ in nothing but their seed.",
    because="Fine-tuning the same model on the same data with other seeds moves its score by points (Dodge et al. "
    "2020, arXiv:2002.06305). Without a repeat no difference can be called real.",
    fails=_SEEDS,
    passes=_SEEDS.replace("0.0002]", "0.0002], seed: [0, 1, 2]"),
    find=_one_seed,
)
ASSERTED = Rule(
    code="HW552",
    name="convergence asserted",
    severity="warning",
    says="A number of epochs is chosen by an evaluation after each.",
    because="Where a curve flattens depends on data, model and learning rate: bands from elsewhere are a guess, and "
    "one run with an evaluation per epoch measures them.",
    fails=_EPOCHS,
    passes=_EPOCHS.replace("epochs: 5", "epochs: 5\nvalidation: 5%"),
    find=_asserted_epochs,
)
RULES = (ONE_SEED, ASSERTED)
