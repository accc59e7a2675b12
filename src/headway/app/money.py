"""Hours of an estimate become bills, energy, calendar days and jobs.

Owns the translation from the nouns of `estimate/` to those of `cost/` and `schedule/`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from headway.app.inputs import Inputs, own_machine
from headway.app.machines import offered
from headway.app.timing import side_by_side
from headway.cost.billing import Bill, Pricing, bill
from headway.cost.energy import Energy, energy, is_owned
from headway.cost.scenarios import Booking, Scenario, booking, scenarios
from headway.cost.segments import Segment
from headway.cost.spot import interrupted_within
from headway.domain.errors import UserError
from headway.domain.lookup import Machine
from headway.domain.plan import Plan, Run
from headway.domain.spread import Spread
from headway.domain.units import Range, parse
from headway.estimate.nouns import Estimate, ExperimentEstimate, Rates
from headway.report.answer import MachineAnswer


def segments_of(estimate: Estimate, machine: Machine) -> list[Segment]:
    """The plan's stretches of machine time, in its order: one for each stage, or for an experiment timed as a whole."""
    if estimate.at_a_time > 1:
        wall = estimate.subtotal_wall_s
        busy = estimate.subtotal_gpu_s.p50 / wall.p50 if wall.p50 else 0.0
        return [Segment(id=estimate.plan, name=estimate.title, gpus=min(busy, machine.node.total_gpus), wall=wall)]
    counted = [item for item in estimate.experiments if not item.optional]
    return [segment for item in counted for segment in _segments(item, machine)]


def _segments(item: ExperimentEstimate, machine: Machine) -> list[Segment]:
    parts_s = sum(stage.wall_s.p50 for stage in item.stages)
    if item.wall_s.draws is not None or math.isclose(parts_s, item.wall_s.p50):
        return [
            _segment(f"{item.id}/{stage.name}", stage.by, stage.gpus.mid, stage.wall_s, item, machine)
            for stage in item.stages
        ]
    by = "gpu" if any(stage.by == "gpu" for stage in item.stages) else item.stages[0].by
    busy = item.gpu_s.p50 / item.wall_s.p50 if item.wall_s.p50 else 0.0
    return [_segment(item.id, by, busy, item.wall_s, item, machine)]


def _segment(id_: str, by: str, gpus: float, wall: Spread, item: ExperimentEstimate, machine: Machine) -> Segment:
    return Segment(
        id=id_,
        name=item.name,
        gpus=min(gpus, machine.node.total_gpus),
        wall=wall,
        by="cpu" if by == "cpu" else "human" if by == "human" else "gpu",
        optional=item.optional,
    )


def _bill(inputs: Inputs, estimate: Estimate, machine: Machine) -> Bill | None:
    """The bill as the plan wants to pay; None where the machine is too small for the plan."""
    run = inputs.plan.run
    try:
        return bill(
            segments_of(estimate, machine),
            machine,
            pricing=_pricing(run),
            idle="stop" if run.idle == "stop" else "keep",
            buffer_share=estimate.buffer_share,
            reserve_usd=run.reserve.range if run.reserve else None,
            today=inputs.today,
        )
    except UserError:
        return None


def _pricing(run: Run) -> Pricing:
    """How the plan wants to pay."""
    return "spot" if run.pricing == "spot" else "reserved" if run.pricing == "reserved" else "on-demand"


def machine_answers(inputs: Inputs, estimate: Estimate, rates: Rates, *, others: bool) -> tuple[MachineAnswer, ...]:
    """The plan's machine, and with `others` its further machines and catalog offers of the same device.

    Stated hours belong to the machine they were stated for: on others they are kept and marked as not transferred.
    Predictions are made anew for each device.
    """
    own = own_machine(inputs, estimate)
    if own is None:
        return ()
    found = [_answer(own, estimate, _bill(inputs, estimate, own), transferred=True)]
    if not others:
        return tuple(found)
    for name, machine in inputs.lookup.machines.items():
        if machine is not own:
            same = machine.node.device.name == own.node.device.name
            there = estimate if rates == "stated" else side_by_side(inputs, inputs.estimate(rates, name))
            made = _bill(inputs, there, machine)
            found.append(_answer(machine, there, made, transferred=rates != "stated" or same))
    return (*found, *_catalog_answers(inputs, estimate, own))


def _catalog_answers(inputs: Inputs, estimate: Estimate, own: Machine) -> list[MachineAnswer]:
    found = []
    for offer in inputs.lookup.offers:
        machine = offered(offer, own)
        answer = _answer(machine, estimate, _bill(inputs, estimate, machine), transferred=True)
        found.append(replace(answer, from_catalog=True))
    return found


def _answer(machine: Machine, estimate: Estimate, made: Bill | None, *, transferred: bool) -> MachineAnswer:
    return MachineAnswer(
        name=machine.name,
        provider=machine.provider,
        instance=machine.instance,
        device=machine.node.device.name,
        gpus=machine.node.total_gpus,
        estimate=estimate,
        bill=made,
        from_catalog=False,
        hours_transferred=transferred,
    )


def energy_of(inputs: Inputs, estimate: Estimate) -> Energy | None:
    """Electricity of the plan on its own machine."""
    machine = own_machine(inputs, estimate)
    return None if machine is None else energy(estimate.gpu_s, machine)


def node_scenarios(inputs: Inputs, estimate: Estimate) -> tuple[Scenario, ...]:
    """Ways to pay for the same work on a rented machine of several GPUs; empty for others."""
    machine = own_machine(inputs, estimate)
    if machine is None or is_owned(machine) or machine.node.total_gpus < 2:
        return ()
    run = inputs.plan.run
    return scenarios(
        segments_of(estimate, machine),
        machine,
        pricing=_pricing(run),
        buffer_share=estimate.buffer_share,
        reserve_usd=run.reserve.range if run.reserve else None,
        today=inputs.today,
    )


def bill_of(inputs: Inputs, estimate: Estimate) -> Bill | None:
    """The bill of the plan's own machine; None where there is none."""
    machine = own_machine(inputs, estimate)
    return None if machine is None else _bill(inputs, estimate, machine)


def booking_of(inputs: Inputs, machines: tuple[MachineAnswer, ...]) -> Booking | None:
    """What to type into the provider's form for the plan's own machine; None for one that is not rented."""
    if not machines or machines[0].bill is None:
        return None
    machine = inputs.lookup.machines[machines[0].name]
    return None if is_owned(machine) else booking(machines[0].bill, machine)


def interruptions(inputs: Inputs, estimate: Estimate) -> Mapping[str, float]:
    """Probability of losing a spot machine within the plan's wall time and within the times its author asks about."""
    machine = own_machine(inputs, estimate)
    if machine is None or machine.hazard_per_hour is None:
        return {}
    times = {text: parse(text, "s").range.mid for text in _claimed_times(inputs.plan)}
    times[f"{estimate.wall_s.p50 / 3600:.3g} h"] = estimate.wall_s.p50
    hazard: Range = machine.hazard_per_hour
    return {name: interrupted_within(seconds, hazard).mid for name, seconds in times.items()}


def _claimed_times(plan: Plan) -> list[str]:
    """Keys of `claims: {interrupted_within: {8 h: 35%}}`: the times that its author asks about."""
    return [c.path[1] for c in plan.claims if len(c.path) == 2 and c.path[0] == "interrupted_within"]
