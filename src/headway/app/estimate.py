"""The verb `estimate`: plan and catalog in, the whole answer out.

Owns the order in which the rooms are asked. Every figure comes from the room that owns it.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from headway.app.check import immediate
from headway.app.inputs import Inputs, Request, gather, own_machine
from headway.app.money import booking_of, energy_of, interruptions, machine_answers, node_scenarios
from headway.app.options import option_answers, unpriced
from headway.app.timing import calendar, jobs_of, side_by_side
from headway.domain.errors import Finding
from headway.domain.plan import Plan
from headway.domain.units import format_share
from headway.estimate.assemble import assemble
from headway.estimate.nouns import Estimate, Rates, StageEstimate
from headway.estimate.questions.epochs import epoch_table, grid
from headway.estimate.questions.reference import cross_checks
from headway.estimate.questions.sensitivity import Effect, effects
from headway.estimate.stages import BY_AUTHOR
from headway.estimate.step import MODEL
from headway.plan import PlanFile
from headway.predict.speed.situation import PLAIN
from headway.predict.speed.state import framework_of
from headway.report.answer import Answer
from headway.schedule.ladder import Rung, makespans
from headway.store.place import place_of
from headway.worker.machine.host import has_gpu

GPU_COUNTS = (1, 2, 4, 8)
LARGE = 2000
"""Experiments above which other machines, options, schedules and sensitivity are not computed beside the estimate."""


def answer(source: PlanFile, request: Request) -> Answer:
    """Everything about one plan. Raises PlanError where the plan does not decide what is run."""
    inputs, rates = gather(source, request), request.rates
    setting = inputs.setting(rates)
    serial = assemble(setting, inputs.predictor(setting))
    estimate = side_by_side(inputs, serial)
    beside = _beside(inputs, rates, estimate)
    small = len(inputs.plan.experiments) <= LARGE
    moved = effects(setting, serial) if request.sensitivity and small else ()
    machines = machine_answers(inputs, estimate, rates, others=small)
    return Answer(
        plan=inputs.plan,
        lookup=inputs.lookup,
        estimate=estimate,
        beside=beside,
        beside_ratio=_ratio(estimate, beside),
        machines=machines,
        calendar=calendar(inputs, estimate, machines),
        energy=energy_of(inputs, estimate),
        schedules=_schedules(inputs.plan, estimate) if small else (),
        options=option_answers(source, inputs, estimate, rates) if small and not request.option else (),
        node_scenarios=node_scenarios(inputs, estimate),
        booking=booking_of(inputs, machines),
        interrupted=interruptions(inputs, estimate),
        cross_checks=cross_checks(inputs.plan, estimate),
        epochs=epoch_table(inputs.plan, estimate),
        grid=grid(inputs.plan, estimate),
        sensitivity=moved,
        findings=_findings(inputs, estimate),
        narrower=_narrower(estimate, moved),
        next_command=_next(inputs, request, estimate),
        today=inputs.today.isoformat(),
        option=request.option or request.subset,
    )


def _beside(inputs: Inputs, rates: Rates, estimate: Estimate) -> Estimate | None:
    """The other reading: stated rates beside a prediction, a prediction beside stated rates; None without both."""
    if all(stage.stated_step_s is None for item in estimate.experiments for stage in item.stages):
        return None
    other = side_by_side(inputs, inputs.estimate("predicted" if rates == "stated" else "stated"))
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


def _findings(inputs: Inputs, estimate: Estimate) -> tuple[Finding, ...]:
    """What the rules say that need no more than an estimate, and what the rates asked for could not give."""
    plan, found = inputs.plan, list(immediate(inputs, estimate))
    if estimate.rates == "measured" and not estimate.measured:
        found.insert(
            0,
            Finding(
                code="HW001",
                severity="warning",
                message="no measurement of this plan is known, so measured rates give no times",
                hint="Ask for --rates best, which falls back to predictions.",
            ),
        )
    if unused := _unused(plan, estimate):
        message = f"the plan's rates for {', '.join(unused)} are not used: predictions go before what is stated"
        found.append(
            Finding(code="HW003", severity="info", message=message, hint="Ask for --rates stated to use them.")
        )
    if inputs.problem:
        message = f"what was measured could not be read: {inputs.problem}"
        found.append(
            Finding(code="HW006", severity="warning", message=message, hint="HEADWAY_STORE=none looks at none.")
        )
    found += [*_shared(estimate), *_unknown_framework(inputs)]
    found += [Finding(code="HW002", severity="info", message=remark) for remark in unpriced(plan)]
    return tuple(found)


def _unknown_framework(inputs: Inputs) -> list[Finding]:
    """A framework of which nothing was ever measured is predicted as a plain loop: said, as a name may be misspelt."""
    name = inputs.plan.run.framework
    framework = framework_of(name, inputs.speed)
    if not name or framework.stack or framework.family != PLAIN:
        return []
    known = ", ".join(sorted(stack.rpartition("/")[2] for stack in inputs.speed.stacks if "/" in stack)[:6])
    message = (
        f"no measurement of a framework called {name!r} is known: its steps are predicted as those of a plain loop"
    )
    hint = f"Measured are {known} and others; leave run.framework out for a Hugging Face trainer."
    return [
        Finding(code="HW005", severity="info", message=message, where=inputs.plan.where("run.framework"), hint=hint)
    ]


def _shared(estimate: Estimate) -> list[Finding]:
    """What `reuse: prefixes` leaves out, said once."""
    stages = [(item.id, stage) for item in estimate.experiments for stage in item.stages]
    taken = [[id, stage.name, stage.trained_in] for id, stage in stages if stage.trained_in]
    if not taken:
        return []
    id, _, trained_in = taken[0]
    message = f"{len(taken):,} trainings take a checkpoint of a longer one and train nothing: {id} is in {trained_in}"
    hint = "Where the learning rate has to fall for each of them, add a branch of about 20 % of its steps."
    return [Finding(code="HW004", severity="info", message=message, hint=hint, evidence={"taken": taken})]


def _unused(plan: Plan, estimate: Estimate) -> tuple[str, ...]:
    """Terms that the plan states a rate for, and a prediction stands for; the step is shown beside it anyway."""
    if estimate.rates == "stated":
        return ()
    stages = [stage for experiment in plan.experiments for stage in experiment.stages if stage.kind not in BY_AUTHOR]
    stated = dict.fromkeys(term for stage in stages for term in stage.stated.terms)
    replaced = {term for term, spread in estimate.terms_s.items() if spread.kind != "stated"}
    return tuple(term for term in stated if term in replaced and term != "step")


def _narrower(estimate: Estimate, moved: tuple[Effect, ...]) -> str:
    """What would narrow the interval most, in a sentence."""
    if estimate.wall_s.is_exact or not moved:
        return ""
    first = moved[0]
    reach = max(-first.favourable_share, first.unfavourable_share)
    if estimate.rates == "stated":
        return f"{first.name} moves the total most: {format_share(reach)} of it"
    bases = {stage.basis.narrows: stage.gpu_s.p50 for stage in _stages(estimate) if stage.basis is not None}
    if first.source == MODEL and bases:
        narrows = max(bases, key=lambda narrows: bases[narrows])
        return f"{narrows}; {first.name} alone moves the total by {format_share(reach)}"
    if first.kind == "measured":
        return f"what was measured moves the total by {format_share(reach)}: measure longer"
    return f"{first.name} alone moves the total by {format_share(reach)}: measure that first"


def _next(inputs: Inputs, request: Request, estimate: Estimate) -> str:
    """The command to type next: a run from flags is worth a plan, a plan a minute of measuring where that is kept."""
    file = inputs.plan.file
    if not Path(file).is_file():
        words = ["headway", "init"]
        words += [word for name in list(inputs.lookup.architectures)[:1] for word in ("--model", name)]
        machines = list(inputs.lookup.machines.values())[:1]
        words += [word for machine in machines for word in ("--gpu", machine.node.device.name)]
    elif request.rates == "stated":
        words = ["headway", "estimate", file]
    elif _worth_measuring(inputs, request, estimate):
        words = ["headway", "measure", file]
    else:
        words = ["headway", "explain", "totals.gpu_hours", file]
    return shlex.join(words)


def _worth_measuring(inputs: Inputs, request: Request, estimate: Estimate) -> bool:
    """Whether the plan trains on what this machine has, and no step of it was measured."""
    stages, machine = _stages(estimate), own_machine(inputs, estimate)
    known = any(stage.terms_s["step"].kind == "measured" for stage in stages if "step" in stage.terms_s)
    if known or machine is None or request.machine or request.subset or place_of(inputs.plan.file) == "none":
        return False
    return any(stage.kind == "train" for stage in stages) and (machine.node.device.is_assumed or has_gpu())
