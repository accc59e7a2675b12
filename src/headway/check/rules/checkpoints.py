"""HW8xx, checkpoints: saved too often, too seldom, not as said, or not at all where a run must stop.

Owns how often to save. Sizes on disk are `disk`; the process that interrupts is `cost/spot`.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator
from dataclasses import dataclass

from headway.check.case import Case
from headway.check.causes import Cause, causes
from headway.check.claims.written import GRAVE, gap
from headway.check.rule import Rule
from headway.cost.spot import daly_interval_s, interrupted_within, mean_time_between_s, young_interval_s
from headway.domain.errors import Finding, Fix
from headway.domain.plan import Cadence, Stage
from headway.domain.selection import ancestry
from headway.domain.spread import Spread
from headway.domain.statement import Value
from headway.domain.units import Range, format_duration, format_share
from headway.estimate.nouns import StageEstimate

WORTH_SHARE = 0.05
"""Share of the wall time that checkpoints may take before it is worth a word."""
FAILURE_S = 24 * 3600.0
"""Time between failures where no hazard is stated: one a day, assumed (jobs of one node fail far less often)."""
TOO_SELDOM = 2.5
"""Times Daly's interval from which more is lost than an early save would cost: his optimum is flat."""
WORTH_S = 3600.0
"""Work of less may be lost without a word."""
WORTH_DUMPS_S = 60.0
"""Checkpoints that take less in all are nobody's trouble."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Saving:
    """How a stage saves: the cost of one checkpoint, and the work between two."""

    dump_s: float
    between_s: float
    step_s: float
    work_s: float

    @property
    def share(self) -> float:
        """Of the wall time that goes into checkpoints."""
        return self.dump_s / (self.dump_s + self.between_s)


def step_of(estimate: StageEstimate) -> Spread | None:
    """Seconds of a step: as the plan states it, else as predicted."""
    if estimate.stated_step_s is not None:
        return estimate.stated_step_s
    return None if estimate.basis is None else estimate.basis.step_s


def _saving(stage: Stage, estimate: StageEstimate) -> _Saving | None:
    """By the author's own times where there are any, as predicted where not; None for a stage that does not save."""
    step, saves, written = step_of(estimate), estimate.saves, estimate.terms_s.get("checkpoint")
    if step is None or saves is None or not saves.during:
        return None
    stated = stage.stated.terms.get("checkpoint", {})
    dump_s = sum(part.mid for part in stated.values()) if stated else written.p50 / saves.during if written else 0.0
    work_s = step.p50 * estimate.steps
    save = stage.save
    between_s = work_s / (saves.during + 1)
    if save is not None and (save.every_steps or save.every_s):
        between_s = save.every_steps * step.p50 if save.every_steps else save.every_s or between_s
    return _Saving(dump_s=dump_s, between_s=between_s, step_s=step.p50, work_s=work_s)


def _dear(stage: Stage, estimate: StageEstimate) -> Hashable:
    saving = _saving(stage, estimate)
    if saving is None or saving.share < WORTH_SHARE or saving.work_s / saving.between_s * saving.dump_s < WORTH_DUMPS_S:
        return None
    return (saving.dump_s, saving.between_s)


def _between_failures_s(case: Case) -> tuple[float, str]:
    """Mean seconds between interruptions on the plan's machine, and the words for it."""
    hazard = case.machine.hazard_per_hour if case.machine is not None else None
    if hazard is None or hazard.mid == 0:
        return FAILURE_S, "one failure a day (assumed)"
    between_s = mean_time_between_s(hazard.mid)
    return between_s, f"the stated hazard, one interruption in {format_duration(between_s)}"


def _too_often(case: Case) -> Iterator[Finding]:
    between_s, words = _between_failures_s(case)
    for cause in causes(case, _dear):
        saving, save = _saving(cause.stage, cause.estimate), cause.stage.save
        assert saving is not None and save is not None  # the cause says so
        best_s = young_interval_s(saving.dump_s, between_s)
        steps = nice_steps(best_s / saving.step_s)
        inside = best_s < saving.work_s and steps * saving.step_s > saving.between_s
        advice = f"every {steps:,} steps ({format_share(saving.dump_s / (saving.dump_s + steps * saving.step_s))})" \
            if inside else "at the end alone"  # fmt: skip
        risk = interrupted_within(saving.work_s, Range.point(-math.expm1(-3600 / between_s))).mid
        yield TAX.finding(
            f"checkpoints take {format_share(saving.share)} of the time: {format_duration(saving.dump_s)} after every "
            f"{format_duration(saving.between_s)}; with {words}, the best interval is {format_duration(best_s)} "
            f"(Young), and the {format_duration(saving.work_s)} of the stage are interrupted with {format_share(risk)}",
            where=save.where,
            evidence={
                "experiments": cause.ids, "dump_s": saving.dump_s, "between_s": saving.between_s,
                "share": saving.share, "young_s": best_s, "daly_s": daly_interval_s(saving.dump_s, between_s),
                "between_failures_s": between_s, "interrupted": risk,
            },
            hint=f"Save {advice}.",
            fix=_saving_every(save, steps) if inside and save.every_steps else None,
        )  # fmt: skip


def _saving_every(save: Cadence, steps: int) -> Fix:
    """Another interval: another run, and so nothing to change unasked."""
    return Fix(where=save.where, old=save.text, new=f"{steps} steps", says=f"a checkpoint every {steps:,} steps",
               safe=False)  # fmt: skip


def nice_steps(steps: float) -> int:
    """The largest of 1, 2, 2.5 and 5 times a power of ten that is not above `steps`; at least 1."""
    if steps < 1:
        return 1
    power = 10.0 ** (len(str(int(steps))) - 1)
    return int(max(factor * power for factor in (1, 2, 2.5, 5) if factor * power <= steps))


def _rare(case: Case, stage: Stage, estimate: StageEstimate) -> Hashable:
    saving = _saving(stage, estimate)
    hazard = case.machine.hazard_per_hour if case.machine is not None else None
    if saving is None or hazard is None or hazard.mid == 0 or saving.between_s < WORTH_S:
        return None
    best_s = daly_interval_s(saving.dump_s, mean_time_between_s(hazard.mid))
    return (saving.dump_s, saving.between_s) if saving.between_s > TOO_SELDOM * best_s else None


def _too_seldom(case: Case) -> Iterator[Finding]:
    for cause in causes(case, lambda stage, estimate: _rare(case, stage, estimate)):
        saving, save = _saving(cause.stage, cause.estimate), cause.stage.save
        assert saving is not None and save is not None  # the cause says so
        between_s, words = _between_failures_s(case)
        best_s = daly_interval_s(saving.dump_s, between_s)
        steps = nice_steps(best_s / saving.step_s)
        yield SELDOM.finding(
            f"a checkpoint after every {format_duration(saving.between_s)} loses half of it with each interruption; "
            f"with {words}, the best interval is {format_duration(best_s)} (Daly)",
            where=save.where,
            evidence={
                "experiments": cause.ids, "dump_s": saving.dump_s, "between_s": saving.between_s, "daly_s": best_s,
                "between_failures_s": between_s,
            },
            hint=f"Save every {steps:,} steps.",
            fix=_saving_every(save, steps) if save.every_steps else None,
        )  # fmt: skip


def _otherwise(case: Case) -> Iterator[Finding]:
    """Claims of minutes between saves against the steps between saves."""
    claims = [claim for claim in case.plan.claims if claim.path == ("save_every",)]
    saving = _by_owner(case) if claims else {}
    for claim in claims:
        found, value = saving.get(claim.owner), claim.values[0]
        if found is None or not isinstance(value, Value) or value.unit != "s" or value.unknown:
            continue
        steps, estimate = found.stage.save.every_steps if found.stage.save else None, found.estimate
        step = step_of(estimate)
        if not steps or step is None:
            continue
        computed = Range(step.p10 * steps, step.p50 * steps, step.p90 * steps)
        if gap(value, computed) <= GRAVE:
            continue
        spoken = format_duration(computed.mid)
        yield OTHERWISE.finding(
            f"a checkpoint every {value.text} is claimed; {steps:,} steps of {format_duration(step.p50)} are {spoken}",
            where=value.where,
            evidence={"claimed_s": value.mid, "steps": steps, "step_s": step.p50, "computed_s": computed.mid},
            hint="Say the time instead of the steps (save: {every: 5 min}), or correct the claim.",
            severity=None if estimate.stated_step_s is not None else "warning",
            fix=Fix(
                where=value.where, old=value.text, new=spoken.replace(",", ""), says="steps times the time of a step"
            ),
        )


def _by_owner(case: Case) -> dict[str, Cause]:
    """The first stage that saves, of the plan, of each phase and of each experiment."""
    around = ancestry(case.plan.phases)
    found: dict[str, Cause] = {}
    for experiment, stage, estimate in case.stages:
        if stage.save is not None and stage.save.every_steps:
            for owner in ("", experiment.id, *around.get(experiment.phase, ())):
                found.setdefault(owner, Cause(experiment=experiment, stage=stage, estimate=estimate))
    return found


def _window(case: Case) -> tuple[float, str]:
    """The longest time in one go, and the key that says so; infinite where nothing does."""
    run = case.plan.run
    found = [(math.inf, "")]
    if run.hours_per_day < 24:
        found.append((run.hours_per_day * 3600, "run.hours_per_day"))
    if run.session is not None and not run.session.unknown:
        found.append((run.session.range.high, "run.session"))
    return min(found)


def too_long(case: Case) -> Iterator[Finding]:
    """Runs that outlast their window and save nothing to be resumed from."""
    window_s, key = _window(case)
    if not key:
        return
    known = not case.stated.estimate.left_out.keys() & {"step"} and case.stated.estimate.wall_s.p50 > 0
    reading = case.stated if known else case.predicted
    walls = {item.id: item.wall_s.p50 for item in reading.estimate.experiments}
    unsaved = [
        (one.id, walls[one.id])
        for one in case.plan.experiments
        if walls[one.id] > window_s and all(stage.save is None for stage in one.stages if stage.kind == "train")
    ]
    if not unsaved:
        return
    id_, longest_s = max(unsaved, key=lambda one: one[1])
    many = f"{len(unsaved)} runs are" if len(unsaved) > 1 else "one run is"
    yield WINDOW.finding(
        f"{many} longer than {format_duration(window_s)} in one go, up to {format_duration(longest_s)} ({id_}), and "
        "nothing is saved to go on from",
        where=case.plan.where(key),
        evidence={"experiments": [one for one, _ in unsaved], "window_s": window_s, "longest_s": longest_s},
        hint="Save while training (save: {every: 30 min, keep: 2}) and resume, or run on where nothing stops it.",
    )


_OFTEN = """headway: 1
model: Qwen/Qwen2-7B
data: {{rows: 100k, length: 512}}
micro_batch: 4
adapter: {{method: lora, rank: 8}}
save: {{every: {every}, keep: 2}}
run: {{machine: A100 SXM 80GB}}
stated: {{step: 1 s, checkpoint: 8 s}}
claims: {{save_every: {claim}}}
"""
_SPOT = """headway: 1
model: Qwen/Qwen2-7B
data: {{rows: 800k, length: 512}}
micro_batch: 4
adapter: {{method: lora, rank: 8}}
save: {{every: {every}, keep: 2}}
stated: {{step: 1 s, checkpoint: 8 s}}
run:
  pricing: spot
  machine: {{gpu: A100 SXM 80GB, price: $3/h, spot: {{price: $1.5/h, hazard: 10%/h}}}}
"""
_DAY = """headway: 1
model: Qwen/Qwen2-7B
data: {{rows: 400k, length: 512}}
micro_batch: 4
adapter: {{method: lora, rank: 8}}
stated: {{step: 1 s}}
{save}run: {{machine: A100 SXM 80GB, hours_per_day: 8}}
"""

TAX = Rule(
    code="HW804",
    name="checkpoints too often",
    severity="warning",
    says="Checkpoints take less than 5 % of the time.",
    because="A save every 50 steps of a second that takes 7.5 s is 13 % of the bill. Best is sqrt(2 x save x time "
    "between failures) of work (Young 1974): saving then costs as much as the work that is lost.",
    fails=_OFTEN.format(every="50 steps", claim="50 s"),
    passes=_OFTEN.format(every="1000 steps", claim="1000 s"),
    find=_too_often,
)
SELDOM = Rule(
    code="HW805",
    name="checkpoints too seldom",
    severity="warning",
    says="Where a hazard is stated, work between checkpoints stays within 2.5 times Daly's interval.",
    because="An interruption loses half an interval on average (Daly 2006, equation 37).",
    fails=_SPOT.format(every="20k steps"),
    passes=_SPOT.format(every="1000 steps"),
    find=_too_seldom,
)
OTHERWISE = Rule(
    code="HW806",
    name="saves in steps and minutes",
    severity="error",
    says="A claimed time between saves is the steps between them times the time of a step.",
    because="Trainers count steps: every_n_train_steps=5 is not five minutes.",
    fails=_OFTEN.format(every="1000 steps", claim="5 min"),
    passes=_OFTEN.format(every="1000 steps", claim="17 min"),
    find=_otherwise,
)
WINDOW = Rule(
    code="HW807",
    name="run longer than its window",
    severity="warning",
    says="A run that is longer than the hours it may take in one go can be resumed.",
    because="At eight hours a day a run of 25 hours is stopped three times: without a checkpoint it never ends.",
    fails=_DAY.format(save=""),
    passes=_DAY.format(save="save: {every: 30 min, keep: 2}\n"),
    find=too_long,
)
RULES = (TAX, SELDOM, OTHERWISE, WINDOW)
