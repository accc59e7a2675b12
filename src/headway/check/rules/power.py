"""HW2xx, power: watts that are not what they are taken for.

Owns stated wattages against the device's board limit. The energy model is `cost/energy`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from headway.check.case import Case
from headway.check.rule import Rule
from headway.cost.energy import energy
from headway.domain.errors import Finding
from headway.domain.lookup import Machine
from headway.domain.statement import Value
from headway.domain.units import format_duration, format_number

OF_ONE_GPU = ("stated", "average")
"""Keys of a machine's power that are watts of one GPU; a bare figure is `stated`."""
MEASURED_SHARE = 1.05
"""A board may draw this much more than its limit for moments, never on average."""
_J_PER_KWH = 3.6e6


def _stated(case: Case) -> Iterator[tuple[Machine, Value, float]]:
    """Every stated wattage of one GPU, with the board limit of its device."""
    for machine in case.lookup.machines.values():
        limit = machine.node.device.board_limit_w
        for key in OF_ONE_GPU:
            value = machine.spec.power.get(key)
            if limit and value is not None and not value.unknown:
                yield machine, value, limit


def _limits(case: Case) -> Iterator[Finding]:
    for machine, value, limit in _stated(case):
        if machine is not case.machine or not math.isclose(value.mid, limit, rel_tol=0.01):
            continue
        gpu_s = case.predicted.estimate.gpu_s if not case.stated.estimate.gpu_s.p50 else case.stated.estimate.gpu_s
        spec = replace(machine.spec, power={"board_limit": value})
        modelled = energy(gpu_s, replace(machine, spec=spec)).joule
        assert modelled is not None  # a board limit is given
        by_limit, low, high = (joule / _J_PER_KWH for joule in (gpu_s.p50 * limit, modelled.p10, modelled.p90))
        yield LIMIT_AS_DRAW.finding(
            f"{format_number(limit)} W is the board limit of {machine.node.device.name}, not what it draws in a run, "
            f"and the host is not in it: {format_duration(gpu_s.p50)} take {format_number(by_limit)} kWh by "
            f"it, {format_number(low)} to {format_number(high)} kWh from the wall by headway's shares",
            where=value.where,
            evidence={
                "machine": machine.name, "board_limit_w": limit, "kwh": by_limit, "kwh_with_host": [low, high],
            },
            hint=f"Say which watt it is: power: {{board_limit: {format_number(limit)} W}}, or measured: average, wall.",
        )  # fmt: skip


def _above(case: Case) -> Iterator[Finding]:
    for machine, value, limit in _stated(case):
        if value.range.low <= MEASURED_SHARE * limit:
            continue
        yield ABOVE_LIMIT.finding(
            f"{value.text} for one {machine.node.device.name} is over its board limit of {format_number(limit)} W",
            where=value.where,
            evidence={"machine": machine.name, "board_limit_w": limit, "stated_w": value.mid},
            hint="Watts of the whole machine go under power: {wall: ...}.",
        )


_POWER = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 10k, length: 128}}
stated: {{step: 0.2 s}}
run: {{machine: {{gpu: RTX 4090, power: {power}, electricity: $0.15/kWh}}}}
"""

LIMIT_AS_DRAW = Rule(
    code="HW207",
    name="board limit as draw",
    severity="info",
    says="A wattage that energy is counted from is a draw, not the limit on the box.",
    because="Nodes draw 55-82 % of their rated power in training, and host, fans and supply come on top of the board "
    "(arXiv 2412.08602 and 2506.14551).",
    fails=_POWER.format(power="450 W"),
    passes=_POWER.format(power="{board_limit: 450 W}"),
    find=_limits,
)
ABOVE_LIMIT = Rule(
    code="HW208",
    name="more watts than the board",
    severity="warning",
    says="The average draw of a GPU stays within its board limit.",
    because="The driver holds a board to its limit; more is a figure of the whole machine, multiplied by its GPUs.",
    fails=_POWER.format(power="600 W"),
    passes=_POWER.format(power="{wall: 600 W}"),
    find=_above,
)
RULES = (LIMIT_AS_DRAW, ABOVE_LIMIT)
