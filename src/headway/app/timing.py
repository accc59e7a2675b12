"""When the plan is done: experiments as jobs, as many at a time as the plan allows, on the calendar.

Owns the translation from estimates to `schedule/` and to days.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from headway.app.inputs import Inputs, own_machine
from headway.cost.calendar import before_deadline, calendar_days, needs_resume, outlasting, over_budget
from headway.domain.plan import Plan
from headway.domain.selection import select
from headway.domain.spread import Spread
from headway.estimate.nouns import Estimate
from headway.report.answer import Calendar, MachineAnswer
from headway.schedule.jobs import Job
from headway.schedule.place import place


def side_by_side(inputs: Inputs, estimate: Estimate) -> Estimate:
    """The estimate with its wall time for `run.jobs` experiments at a time on the plan's machine, longest first."""
    machine, allowed = own_machine(inputs, estimate), inputs.plan.run.jobs
    jobs = jobs_of(inputs.plan, estimate)
    serial_s = sum(job.duration_s for job in jobs)
    if allowed <= 1 or machine is None or not serial_s:
        return estimate
    widest = max(1, *(job.gpus for job in jobs))
    ratio = place(jobs, min(machine.node.total_gpus, allowed * widest)).makespan_s / serial_s
    return replace(
        estimate,
        at_a_time=allowed,
        wall_s=estimate.wall_s * ratio,
        subtotal_wall_s=estimate.subtotal_wall_s * ratio,
        scenarios=tuple(replace(one, wall_s=one.wall_s * ratio) for one in estimate.scenarios),
    )


def calendar(inputs: Inputs, estimate: Estimate, machines: tuple[MachineAnswer, ...]) -> Calendar:
    """Days, jobs that outlast a working day or a session, budgets and the deadline."""
    run = inputs.plan.run
    cost: Spread | None = machines[0].bill.total_usd if machines and machines[0].bill else None
    limits = over_budget(run.budget, wall_s=estimate.wall_s, cost_usd=cost, gpu_s=estimate.gpu_s)
    if run.deadline:
        limits = (*limits, before_deadline(estimate.wall_s, run.hours_per_day, run.deadline, inputs.today))
    durations = {item.id: item.wall_s.p50 for item in estimate.experiments if not item.optional}
    longer = needs_resume(durations, run.hours_per_day)
    if run.session is not None:
        longer = tuple(dict.fromkeys((*longer, *outlasting(durations, run.session.mid))))
    return Calendar(
        days=calendar_days(estimate.wall_s, 24),
        working_days=calendar_days(estimate.wall_s, run.hours_per_day),
        hours_per_day=run.hours_per_day,
        session_s=None if run.session is None else run.session.mid,
        needs_resume=longer,
        limits=limits,
        contingency={name: value.range for name, value in run.contingency.items()},
    )


def jobs_of(plan: Plan, estimate: Estimate) -> list[Job]:
    """Experiments as jobs: each one serial, on one GPU unless it needs more; `needs` are waited for, `after` is not."""
    needs = experiment_needs(plan)
    counted = {item.id for item in estimate.experiments if not item.optional}
    return [
        Job(
            id=item.id,
            duration_s=item.wall_s.p50,
            gpus=round(item.gpus),
            needs=tuple(name for name in needs.get(item.id, ()) if name in counted),
        )
        for item in estimate.experiments
        if item.id in counted
    ]


def experiment_needs(plan: Plan) -> Mapping[str, tuple[str, ...]]:
    """Ids of the experiments that each one waits for, from its phase's `needs` and those of the phases around it."""
    parents = {phase.id: phase for phase in plan.phases}
    waited: dict[str, tuple[str, ...]] = {}
    for phase in plan.phases:
        names: list[str] = []
        around = phase
        while True:
            if around.needs is not None:
                names += select(plan, around.needs)
            if around.parent not in parents:
                break
            around = parents[around.parent]
        waited[phase.id] = tuple(dict.fromkeys(names))
    return {item.id: waited[item.phase] for item in plan.experiments if waited.get(item.phase)}
