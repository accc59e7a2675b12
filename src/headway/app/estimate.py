"""The verb `estimate`: plan and catalog in, the whole answer out.

Owns the order in which the rooms are asked. Every figure comes from the room that owns it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from headway.app.money import booking_of, calendar, energy_of, interruptions, jobs_of, machine_answers, node_scenarios
from headway.app.options import option_answers
from headway.app.resolve import resolve
from headway.catalog.calibration import shipped_calibration
from headway.domain.calibration import Calibration
from headway.domain.errors import Finding, UsageError
from headway.domain.lookup import Lookup
from headway.domain.measurement import Measurement
from headway.domain.plan import Plan
from headway.estimate.assemble import assemble
from headway.estimate.epochs import epoch_table, grid
from headway.estimate.nouns import Estimate, Rates, StageEstimate
from headway.estimate.predicted import Predictor
from headway.estimate.reference import cross_checks
from headway.estimate.sensitivity import Effect, effects
from headway.estimate.setting import Memory, Setting, make_setting
from headway.plan import PlanFile
from headway.report.answer import Answer
from headway.schedule.ladder import Rung, makespans

GPU_COUNTS = (1, 2, 4, 8)
LARGE = 2000
"""Experiments above which machines, options and sensitivity are not computed beside the estimate itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What every question about one plan is answered with."""

    plan: Plan
    lookup: Lookup
    calibration: Calibration
    measurements: tuple[Measurement, ...]
    seed: int
    today: date
    memory: Memory = field(default_factory=Memory)
    stages: dict[tuple[object, ...], StageEstimate] = field(default_factory=dict)

    def setting(self, rates: Rates, machine: str = "") -> Setting:
        """A setting with draws of its own, the same for the same seed."""
        return make_setting(
            self.plan,
            self.lookup,
            self.calibration,
            rates=rates,
            machine=machine,
            measurements=self.measurements,
            seed=self.seed,
            memory=self.memory,
            stages=self.stages,
        )

    def changed(self, plan: Plan) -> Inputs:
        """The inputs of a variant of the plan; what costs the same there is not computed again."""
        same = plan.datasets == self.plan.datasets and plan.tasks == self.plan.tasks
        lookup = resolve(plan, self.calibration)
        kept = self.stages if same and lookup.lengths == self.lookup.lengths else {}
        return replace(self, plan=plan, lookup=lookup, stages=kept)

    def estimate(self, rates: Rates, machine: str = "") -> Estimate:
        """The plan under these rates."""
        setting = self.setting(rates, machine)
        return assemble(setting, Predictor(setting))


def answer(
    source: PlanFile,
    *,
    rates: Rates,
    machine: str,
    subset: str,
    option: str,
    seed: int,
    sensitivity: bool,
    measurements: tuple[Measurement, ...],
    today: str,
) -> Answer:
    """Everything about one plan. Raises PlanError where the plan does not decide what is run."""
    inputs = gather(source, machine, subset, option, seed, measurements, today)
    setting = inputs.setting(rates)
    estimate = assemble(setting, Predictor(setting))
    beside = _beside(inputs, rates, estimate)
    small = len(inputs.plan.experiments) <= LARGE
    moved = effects(setting, estimate) if sensitivity and small else ()
    machines = machine_answers(inputs, estimate, rates) if small else ()
    return Answer(
        plan=inputs.plan,
        lookup=inputs.lookup,
        estimate=estimate,
        beside=beside,
        beside_ratio=_ratio(estimate, beside),
        machines=machines,
        calendar=calendar(inputs, estimate, machines),
        energy=energy_of(inputs, estimate),
        schedules=_schedules(inputs.plan, estimate),
        options=option_answers(source, inputs, estimate, rates) if small and not option else (),
        node_scenarios=node_scenarios(inputs, estimate),
        booking=booking_of(inputs, estimate),
        interrupted=interruptions(inputs, estimate),
        cross_checks=cross_checks(inputs.plan, estimate),
        epochs=epoch_table(inputs.plan, estimate),
        grid=grid(inputs.plan, estimate),
        sensitivity=moved,
        findings=_findings(inputs, estimate, rates),
        narrower=_narrower(estimate, moved),
        next_command=_next(inputs.plan, rates),
        today=inputs.today.isoformat(),
    )


def gather(
    source: PlanFile,
    machine: str,
    subset: str,
    option: str,
    seed: int,
    measurements: Iterable[Measurement],
    today: str,
) -> Inputs:
    """The plan under an option or on another machine, with its names resolved."""
    plan = source.subset(subset) if subset else source.plan
    if option:
        variants = source.with_option(option)
        if len(variants) > 1:
            raise UsageError(
                f"option {option} varies something: it is several plans",
                got=", ".join(label for label, _ in variants),
                hint="Its variants stand in the options of the whole plan; leave --option out.",
            )
        plan = variants[0][1]
    if machine:
        if machine not in plan.run.machines:
            raise UsageError(
                "a machine of the plan is needed",
                got=machine,
                hint=f"It has {', '.join(plan.run.machines)}.",
                candidates=tuple(plan.run.machines),
            )
        plan = replace(plan, run=replace(plan.run, machine=machine))
    calibration = shipped_calibration()
    return Inputs(
        plan=plan,
        lookup=resolve(plan, calibration),
        calibration=calibration,
        measurements=tuple(measurements),
        seed=seed,
        today=date.fromisoformat(today) if today else datetime.now().astimezone().date(),
    )


def _beside(inputs: Inputs, rates: Rates, estimate: Estimate) -> Estimate | None:
    """The other reading: stated rates beside a prediction, a prediction beside stated rates; None without both."""
    if all(stage.stated_step_s is None for item in estimate.experiments for stage in item.stages):
        return None
    other = inputs.estimate("predicted" if rates == "stated" else "stated")
    return None if not other.gpu_s.p50 else other


def _ratio(estimate: Estimate, beside: Estimate | None) -> float | None:
    """Stated over predicted time of the training steps, the only term that both of them cover alike."""
    if beside is None:
        return None
    stated, other = (estimate, beside) if estimate.rates == "stated" else (beside, estimate)
    pairs = [
        (a.terms_s["step"].p50, b.terms_s["step"].p50)
        for a, b in zip(_stages(stated), _stages(other), strict=True)
        if "step" in a.terms_s and "step" in b.terms_s
    ]
    there = sum(pair[1] for pair in pairs)
    return sum(pair[0] for pair in pairs) / there if there else None


def _stages(estimate: Estimate) -> list[StageEstimate]:
    return [stage for item in estimate.experiments for stage in item.stages]


def _schedules(plan: Plan, estimate: Estimate) -> tuple[Rung, ...]:
    """One experiment per GPU on 1, 2, 4 and 8 GPUs, longest first."""
    jobs = jobs_of(plan, estimate)
    return makespans(jobs, GPU_COUNTS) if len(jobs) > 1 else ()


def _findings(inputs: Inputs, estimate: Estimate, rates: Rates) -> tuple[Finding, ...]:
    """The estimate's own remarks, and what the rates asked for could not give."""
    found = list(estimate.findings)
    if rates == "measured" and not estimate.measured:
        found.insert(
            0,
            Finding(
                code="HW001",
                severity="warning",
                message="no measurement of this plan is known, so measured rates give no times",
                hint="Ask for --rates best, which falls back to predictions.",
            ),
        )
    return tuple(found)


def _narrower(estimate: Estimate, moved: tuple[Effect, ...]) -> str:
    """What would narrow the interval most, in a sentence."""
    if estimate.wall_s.is_exact or not moved:
        return ""
    first = moved[0]
    reach = max(-first.favourable_share, first.unfavourable_share)
    if estimate.rates == "stated":
        return f"{first.name} moves the total most: {reach:.0%} of it"
    return f"measure one step on this machine: {first.name} alone moves the total by {reach:.0%}"


def _next(plan: Plan, rates: Rates) -> str:
    """The command to type next."""
    file = plan.file or "plan.yaml"
    if not plan.file:
        return "headway init > plan.yaml"
    if rates == "stated":
        return f"headway estimate {file}"
    return f"headway explain totals.gpu_hours {file}"
