"""HW61x, omissions: what guards a run and is not there: saves, room for failures, something to stop by or judge by.

Owns safeguards. Work without a time is `omissions`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from headway.check.case import Case
from headway.check.hours import reading_of_steps
from headway.check.rule import Rule
from headway.check.rules.checkpoints import too_long
from headway.check.trained import counted_experiments
from headway.check.words import counted, listed
from headway.domain.errors import Finding, Position
from headway.domain.plan import Experiment, Plan, Stage
from headway.domain.selection import select
from headway.domain.units import format_duration

LONG_RUN_S = 4 * 3600.0
"""What losing a run at its end may cost: half a working day."""
LONG_PLAN_S = 24 * 3600.0
_QUALITY = re.compile(r"accura(?:cy|te)|\bf1\b|\bbleu\b|perplexity|exact.match|quality|\bscores?\b", re.IGNORECASE)


def _unsaved(case: Case) -> Iterator[Finding]:
    if any(too_long(case)):
        return  # what outlasts its window is to be saved anyway, and the others with it
    reading = reading_of_steps(case)
    walls = {item.id: [stage.wall_s.p50 for stage in item.stages] for item in reading.estimate.experiments}
    long: dict[str, float] = {}
    first: Stage | None = None
    for experiment in counted_experiments(case.plan):
        for stage, wall_s in zip(experiment.stages, walls[experiment.id], strict=True):
            if stage.kind == "train" and stage.save is None and wall_s > LONG_RUN_S:
                long[experiment.id] = max(wall_s, long.get(experiment.id, 0.0))
                first = first or stage
    if first is None:
        return
    worst = max(long, key=lambda id: long[id])
    yield UNSAVED.finding(
        f"{counted(len(long), 'run')} of up to {format_duration(long[worst])} ({worst}) "
        f"save{'s' if len(long) == 1 else ''} nothing before the end: an interruption costs all of it",
        where=_budget_at(first, case.plan),
        evidence={"runs": list(long), "longest_hours": long[worst] / 3600, "rates": reading.estimate.rates},
        hint="Say save: {every: 30 min, keep: 2}.",
    )


def _budget_at(stage: Stage, plan: Plan) -> Position:
    for value in (stage.steps, stage.epochs, stage.tokens):
        if value is not None and value.where.line:
            return value.where
    return stage.where if stage.where.line else plan.where("data")


def _without_buffer(case: Case) -> Iterator[Finding]:
    run = case.plan.run
    if run.buffer is not None or run.contingency:
        return
    reading = reading_of_steps(case)
    wall_s = reading.estimate.subtotal_wall_s.p50
    if wall_s > LONG_PLAN_S:
        runs = sum(not item.optional for item in reading.estimate.experiments)
        yield NO_BUFFER.finding(
            f"{format_duration(wall_s)} in {counted(runs, 'run')} without a buffer: nothing is left for failures and "
            "runs that have to be repeated",
            where=case.plan.where("run"),
            evidence={"hours": wall_s / 3600, "runs": runs, "rates": reading.estimate.rates},
            hint="Say run: {buffer: 20%}, or contingency: {what: time}.",
        )


def _unvalidated(case: Case) -> Iterator[Finding]:
    if any(_is_measured(stage) for one in case.plan.experiments for stage in one.stages):
        return
    if not any(stage.kind == "train" for one in case.plan.experiments for stage in one.stages):
        return
    for source, words in _promises(case.plan):
        match = _QUALITY.search(words)
        if match is not None:
            yield UNVALIDATED.finding(
                f"{source} speaks of {match[0]!r}, and no run holds rows out or evaluates anything (validation 0 %)",
                where=case.plan.where("validation" if "validation" in case.plan.positions else source),
                evidence={"says": words, "source": source, "validation_share": 0},
                hint="Say validation: 1%, or evaluate a task at the end: it cannot be seen otherwise.",
            )
            return


def _is_measured(stage: Stage) -> bool:
    return stage.evaluate is not None or stage.validation_share > 0 or stage.kind in ("evaluate", "verify")


def _promises(plan: Plan) -> Iterator[tuple[str, str]]:
    """Where the plan may promise quality, and the words; questions are not promises."""
    yield from ((f"references.{one.id}", one.says) for one in plan.references.values())
    for claim in plan.claims:
        if claim.path == ("says",):
            yield "claims.says", " ".join(str(value) for value in claim.values)


def _stops_by_nothing(case: Case) -> Iterator[Finding]:
    trained = [stage for one in case.plan.experiments for stage in one.stages if stage.kind == "train"]
    blind = [stage for stage in trained if not _is_watched(stage)]
    if not blind:
        return
    asked = [("early_stop", stage.early_stop) for stage in blind]
    asked += [
        (f"options.{option.id}.set.{key}", str(value))
        for option in case.plan.options.values()
        for key, value in option.set.items()
        if key.rpartition(".")[2] == "early_stop" and not any("validation" in one or "evaluate" in one
                                                              for one in option.set)
    ]  # fmt: skip
    for path, quantity in asked:
        if quantity in ("", "none") or "train" in quantity:
            continue
        yield STOPS_BY_NOTHING.finding(
            f"early_stop watches {quantity}, and {counted(len(blind), 'training')} hold{'s' * (len(blind) == 1)} no "
            "rows out and evaluate nothing on the way: there is nothing to stop by",
            where=case.plan.where(path),
            evidence={"watched": quantity, "trainings": len(blind), "validation_share": 0},
            hint="Say validation: 5%, or evaluate: {tasks: ..., every: 500 steps}.",
        )
        return


def _is_watched(stage: Stage) -> bool:
    asked = stage.evaluate
    return stage.validation_share > 0 or (asked is not None and bool(asked.every_steps or asked.every_epochs))


def _unjudged(case: Case) -> Iterator[Finding]:
    used = {
        id for phase in case.plan.phases if phase.needs is not None for id in select(case.plan, phase.needs)
    }  # what a later phase works with
    samples: dict[str, int] = {}
    for experiment in counted_experiments(case.plan):
        count = _generated_last(experiment)
        if count and experiment.id not in used:
            samples[experiment.id] = count
    if samples:
        first = next(one for one in case.plan.experiments if one.id in samples)
        yield UNJUDGED.finding(
            f"{sum(samples.values()):,} samples are generated and nothing looks at them: {listed(list(samples))}",
            where=next(stage.where for stage in first.stages if stage.kind == "generate"),
            evidence={"samples": samples},
            hint="Add a stage that verifies or evaluates them: {verify: generations, stated: {checks: {tests: 1 s}}}.",
        )


def _generated_last(experiment: Experiment) -> int:
    """Samples of the last generation after which nothing is verified, evaluated or done; 0 where there is none."""
    count = 0
    for stage in experiment.stages:
        if stage.generate is not None:
            count = stage.generate.total
        elif stage.kind in ("verify", "evaluate", "do", "train"):
            count = 0
    return count


_PLAN = """headway: 1
model: Qwen/Qwen2-0.5B
data: {rows: 1M, length: 200}
steps: NUMBER
KEY
stated: {step: 1 s}
run: {machine: RTX 4090}
"""


def _plan(steps: str, key: str) -> str:
    return _PLAN.replace("NUMBER", steps).replace("KEY", key)


_SAID = "references: {paper: {says: near-perfect accuracy after an hour}}"
_GENERATED = """headway: 1
model: Qwen/Qwen2-0.5B
stages:
  - {generate: {prompts: 20, samples: 10}, stated: {generation: 3 s}}
run: {machine: RTX 4090}
"""

UNSAVED = Rule(
    code="HW611",
    name="long run without a save",
    severity="warning",
    says="A run of over 4 hours saves checkpoints.",
    because="A crash, a full disk or a closed lid at the end costs the whole run; a checkpoint of an adapter costs "
    "seconds.",
    fails=_plan("20k", "micro_batch: 8"),
    passes=_plan("20k", "save: {every: 1000 steps, keep: 2}"),
    find=_unsaved,
)
NO_BUFFER = Rule(
    code="HW612",
    name="no buffer",
    severity="info",
    says="A plan of over a day has a buffer or a contingency.",
    because="Runs fail and are repeated with another setting: a plan without room for that is late at once.",
    fails=_plan("100k", "micro_batch: 8"),
    passes=_plan("100k", "micro_batch: 8").replace("4090}", "4090, buffer: 20%}"),
    find=_without_buffer,
)
UNVALIDATED = Rule(
    code="HW613",
    name="quality without validation",
    severity="warning",
    says="Where a plan speaks of accuracy or scores, something measures them.",
    because="Saving the time of validation gives up seeing whether the goal is reached, during the run and after it.",
    fails=_plan("1k", _SAID),
    passes=_plan("1k", f"validation: 1%\n{_SAID}"),
    find=_unvalidated,
)
STOPS_BY_NOTHING = Rule(
    code="HW614",
    name="early stopping without validation",
    severity="warning",
    says="What early stopping watches is computed during training.",
    because="A trainer without held-out rows has no validation loss: it refuses to start, or never stops early, and "
    "the time that was to be saved is not.",
    fails=_plan("1k", "early_stop: validation_loss"),
    passes=_plan("1k", "early_stop: validation_loss\nvalidation: 1%"),
    find=_stops_by_nothing,
)
UNJUDGED = Rule(
    code="HW615",
    name="generation that nothing judges",
    severity="warning",
    says="Generated samples are verified or evaluated.",
    because="Generation is among the slowest things a model does; samples nobody checks are its most costly waste.",
    fails=_GENERATED,
    passes=_GENERATED.replace("run:", "  - {verify: generations, stated: {checks: {tests: 1 s}}}\nrun:"),
    find=_unjudged,
)
RULES = (UNSAVED, NO_BUFFER, UNVALIDATED, STOPS_BY_NOTHING, UNJUDGED)
