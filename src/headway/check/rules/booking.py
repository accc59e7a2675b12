"""HW40x, what is paid for: buffers, people on the meter, and allocation taken for utilisation.

Owns the hours that a machine is up against the hours in which it is needed. Dollars are `money`.
"""

from __future__ import annotations

from collections.abc import Iterator

from headway.check.case import Case
from headway.check.claims.scope import Scopes
from headway.check.claims.written import GRAVE, SLIP, covered, dollars, said, values
from headway.check.rule import Rule
from headway.check.words import joined
from headway.cost.energy import is_owned
from headway.domain.errors import Finding
from headway.domain.statement import Value
from headway.domain.units import format_duration, format_number, format_share

UTILISATION = ("alloc", "busy", "mfu", "sm ", "occup", "billed")
"""Words in a label that say which utilisation is meant."""


def _buffers(case: Case) -> Iterator[Finding]:
    """Times that hold less than the buffer that the plan states, and more than none."""
    buffer = case.plan.run.buffer
    if buffer is None or buffer.unknown or not buffer.mid:
        return
    scopes, found = Scopes(case), []
    for claim in case.plan.claims:
        if claim.path not in (("wall",), ("total", "wall")) or not (
            not claim.owner or claim.owner.startswith("options.")
        ):
            continue
        scope = scopes.of(claim)
        if scope is None or not scope.whole or scope.reading.estimate.buffer_share != buffer.mid:
            continue
        bare = scope.wall_s().p50
        booked = bare * (1 + buffer.mid)
        for value in values(claim):
            around = covered(value)
            if 0 < bare < around.low and max(around.high, value.mid * (1 + SLIP)) < booked and value.range.is_point:
                found.append(
                    (claim.owner.removeprefix("options.") or ".".join(claim.path), value, value.mid / bare - 1)
                )
    if found:
        words = joined(f"{said(value)} for {name} holds {format_share(share)}" for name, value, share in found)
        yield SMALL_BUFFER.finding(
            f"a buffer of {said(buffer)} is stated, and {words}",
            where=found[0][1].where,
            evidence={name: [value.mid, share] for name, value, share in found},
            hint="Book the time with its buffer, or state the smaller buffer.",
        )


def _people(case: Case) -> Iterator[Finding]:
    """Work of people for which a rented machine is kept up."""
    machine = case.machine
    human = any(stage.by == "human" for item in case.plan.experiments for stage in item.stages)
    if machine is None or is_owned(machine) or machine.price is None or not human:
        return
    kept = case.plan.run.idle != "stop"
    manned = [(item, stage, estimate) for item, stage, estimate in case.stages
              if stage.by == "human" and not item.optional and (kept or estimate.gpus.mid > 0)]  # fmt: skip
    seconds = sum(estimate.wall_s.p50 for _, _, estimate in manned)
    if not seconds:
        return
    price = machine.spot_price if case.plan.run.pricing == "spot" and machine.spot_price else machine.price
    usd = seconds / 3600 * price.usd_per_hour.mid
    yield PEOPLE_ON_METER.finding(
        f"{format_duration(seconds)} of work by people ({joined(dict.fromkeys(item.id for item, _, _ in manned))}) "
        f"keep {machine.name} up at {dollars(price.usd_per_hour.mid)}/h: {dollars(usd)}",
        where=manned[0][1].where,
        evidence={"seconds": seconds, "usd": usd, "experiments": [item.id for item, _, _ in manned]},
        hint="Do it before renting, or on a small machine; give it gpus: 0 and run.idle: stop.",
    )


def _held(case: Case) -> Iterator[Finding]:
    """Experiments whose stated wall is counted on all their GPUs, though their stages use fewer for some of it."""
    if not any("wall" in item.stated.terms and len(item.stages) > 1 for item in case.plan.experiments):
        return
    for item, estimate in zip(case.plan.experiments, case.stated.estimate.experiments, strict=True):
        wall = item.stated.terms.get("wall")
        if not wall or len(item.stages) < 2 or not all(stage.wall_s.p50 for stage in estimate.stages):
            continue
        used = [sum(getattr(stage.gpu_s, end) for stage in estimate.stages) for end in ("p10", "p90")]
        if used[1] * (1 + GRAVE) < estimate.gpu_s.p10:
            yield HELD_IDLE.finding(
                f"{item.id} is counted as {format_duration(estimate.wall_s.p50)} on {estimate.gpus:g} GPUs, "
                f"{_gpu_hours(estimate.gpu_s.p50)}; its stages use {_gpu_hours(used[0])} to {_gpu_hours(used[1])}",
                where=next(iter(wall.values())).where,
                evidence={"held_gpu_s": estimate.gpu_s.p50, "used_gpu_s": used},
                hint="Count each stage on its own GPUs, or say that all of them are held.",
            )


def _gpu_hours(seconds: float) -> str:
    return f"{format_number(seconds / 3600)} GPU-h"


def _allocation(case: Case) -> Iterator[Finding]:
    """A bare efficiency of a machine of several GPUs that is the share of billed hours in use."""
    machine = case.machine
    claims = [claim for claim in case.plan.claims if claim.path[0] == "efficiency" and values(claim)]
    if machine is None or machine.node.total_gpus < 2 or not claims:
        return
    claim = claims[0]
    if any(word in " ".join(claim.path[1:]).lower() for word in UTILISATION):
        return
    bill, value = case.stated.bill, values(claim)[0]
    share = bill.allocated_share if bill is not None else None
    if bill is None or share is None:
        return
    buffer = 1 + case.stated.estimate.buffer_share
    without = f", {format_share(share.p50 / buffer)} without the buffer" if buffer > 1 else ""
    yield ALLOCATED.finding(
        f"an efficiency of {said(value)} is no utilisation: {format_share(share.p50)} of the billed GPU-hours are "
        f"allocated to work{without}; how busy the GPUs are in them is another share",
        where=value.where,
        evidence={"claimed": value.mid, "allocated": share.p50, "allocated_without_buffer": share.p50 / buffer,
                  "said_elsewhere": _said_ratio(case)},
        hint="Call it allocated, and measure busy time or MFU.",
    )  # fmt: skip


def _said_ratio(case: Case) -> float | None:
    """Claimed GPU-hours over claimed billed hours, as the author may have divided them."""
    hours: list[Value] = [value for claim in case.plan.claims if not claim.owner and claim.path[-1] == "gpu_hours"
                          for value in values(claim)]  # fmt: skip
    billed = [value for claim in case.plan.claims if claim.path == ("billed",) for value in values(claim)]
    return hours[-1].mid / billed[0].mid if hours and billed else None


_BUFFER = """headway: 1
do: tests
gpus: 1
stated: {{wall: 6 h}}
run: {{machine: RTX 4090, buffer: 50%}}
claims: {{wall: {wall}}}
"""
_HUMAN = """headway: 1
stages:
  - {{do: tests, gpus: 1, stated: {{wall: 1 h}}}}
  - {{do: writing, by: human, stated: {{wall: 4 h}}}}
run: {{machine: {{gpu: A100 SXM 80GB, price: $2/h}}, idle: {idle}}}
"""
_HELD = """headway: 1
stages:
  - {{do: tests, gpus: 8, stated: {{wall: 10 min}}}}
  - {{do: reports, gpus: 1, stated: {{wall: 50 min}}}}
run: {{machine: {{gpu: H100 SXM 80GB, gpus: 8}}}}
{wall}"""
_EFFICIENT = """headway: 1
do: tests
gpus: 2
stated: {{wall: 6 h}}
run: {{machine: {{gpu: H100 SXM 80GB, gpus: 8, price: $32/h}}}}
claims: {{efficiency: {{{word}: 25%}}}}
"""

SMALL_BUFFER = Rule(
    code="HW405",
    name="buffer not in the booking",
    severity="warning",
    says="A time that is booked holds the buffer that the plan states.",
    because="A buffer that stands in a table and not in the booking is none.",
    fails=_BUFFER.format(wall="7 h"),
    passes=_BUFFER.format(wall="9 h"),
    find=_buffers,
)
PEOPLE_ON_METER = Rule(
    code="HW407",
    name="people on the meter",
    severity="warning",
    says="Nobody writes or programs while a rented machine waits.",
    because="People's hours are long and need no GPU: not renting in them saves more than any other option.",
    fails=_HUMAN.format(idle="keep"),
    passes=_HUMAN.format(idle="stop"),
    find=_people,
)
HELD_IDLE = Rule(
    code="HW406",
    name="GPUs held, not used",
    severity="warning",
    says="GPU-hours are counted stage by stage: so many GPUs for so long.",
    because="The widest stage times the whole time counts GPUs that wait while a narrower stage runs.",
    fails=_HELD.format(wall="stated: {wall: 1 h}\n"),
    passes=_HELD.format(wall=""),
    find=_held,
)
ALLOCATED = Rule(
    code="HW408",
    name="allocation called efficiency",
    severity="info",
    says="A share of GPU time says what it counts: allocated, busy, or FLOP of the peak.",
    because="A GPU may be allocated all day, busy for half of it, and reach a tenth of its peak; only the last two can "
    "be raised by better code.",
    fails=_EFFICIENT.format(word="here"),
    passes=_EFFICIENT.format(word="allocated"),
    find=_allocation,
)
RULES = (SMALL_BUFFER, HELD_IDLE, PEOPLE_ON_METER, ALLOCATED)
