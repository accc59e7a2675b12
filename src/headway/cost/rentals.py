"""Which stretches of time are rented, and how running time becomes billed time.

Owns granularity, minimum, whole-node and per-GPU rental, and stopping between GPU work. Money is `billing`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, Literal

import numpy as np

from headway.cost.joint import Numbers, each
from headway.cost.segments import Segment, wall_s
from headway.domain.errors import UserError
from headway.domain.lookup import Machine
from headway.domain.machine import BillingRule
from headway.domain.plan import MachineSpec
from headway.domain.spread import Spread
from headway.domain.statement import Value
from headway.domain.units import format_duration

Idle = Literal["keep", "stop"]
UNROUNDED: Final = 1e-9
"""Share of a block by which a sum of floating-point durations may exceed it without starting the next one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingTerms:
    """The rounding that applies: every rental is rounded up to the granularity and never below the minimum."""

    granularity_s: float = 0.0
    """0: every second counts as it is."""
    minimum_s: float = 0.0
    unit: Literal["node", "gpu"] = "node"
    """`node`: all GPUs are billed, whatever is used; `gpu`: each GPU is rented for itself."""
    source: str = ""
    notes: tuple[str, ...] = ()

    def billed_s(self, running: Spread) -> Spread:
        """Billed seconds of one rental, for every draw or end; nothing for a rental of no length."""
        return each(running, self._rounded)

    def _rounded(self, seconds: Numbers) -> Numbers:
        blocks = seconds
        if self.granularity_s:
            blocks = np.ceil(seconds / self.granularity_s - UNROUNDED) * self.granularity_s
            blocks = np.maximum(blocks, seconds)
        return np.where(seconds > 0, np.maximum(blocks, self.minimum_s), 0.0)


def stated(value: Value | None) -> float | None:
    """The middle of what a plan says, in base units; None where it says nothing or `unknown`."""
    return None if value is None or value.unknown else value.mid


def billing_terms(rule: BillingRule | None, spec: MachineSpec) -> BillingTerms:
    """What the plan says of `billing`, key by key before the catalog's rule for the provider (`billing.csv`).

    Without a unit the machine is billed whole: an instance is rented as it is, used or not.
    """
    block, minimum = stated(spec.billing_block), stated(spec.billing_minimum)
    notes: list[str] = []
    if rule and block is not None and block != rule.granularity_s:
        known = format_duration(rule.granularity_s) if rule.granularity_s else "the second"
        dated = f", {rule.date}" if rule.date else ""
        notes.append(f"the plan bills blocks of {format_duration(block)}; {rule.provider} rounds to {known}{dated}")
    if rule and rule.whole_node and spec.billing_unit == "gpu":
        notes.append(f"the plan bills each GPU; {rule.provider} sells the whole node")
    if rule is None and block is None:
        notes.append("no billing rule is known: running time is billed as it is")
    return BillingTerms(
        granularity_s=block if block is not None else rule.granularity_s if rule else 0.0,
        minimum_s=minimum if minimum is not None else rule.minimum_s if rule else 0.0,
        unit="gpu" if spec.billing_unit == "gpu" else "node",
        source="the plan" if block is not None else rule.provider if rule else "",
        notes=tuple(notes),
    )


def billed_seconds(wall: Spread, rule: BillingRule | None, spec: MachineSpec) -> Spread:
    """Seconds billed for one rental of `wall` seconds: rounded up and at least the minimum, at every draw or end."""
    return billing_terms(rule, spec).billed_s(wall)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rental:
    """GPUs held without interruption from a start to a stop."""

    gpus: int
    work_s: Spread
    """Stretches in which the GPUs are needed."""
    idle_s: Spread
    """Stretches in which they are only held."""
    buffer_s: Spread
    billed_s: Spread

    @property
    def running_s(self) -> Spread:
        """Seconds from start to stop."""
        return self.work_s + self.idle_s + self.buffer_s


def rentals(
    segments: Sequence[Segment], machine: Machine, terms: BillingTerms, *, idle: Idle, buffer_share: float
) -> tuple[Rental, ...]:
    """Every rental that the stretches need, in order; `buffer_share` of its own length is added to each.

    `keep` holds the machine (per GPU: one of them) from start to end. `stop` lets go whenever no GPU is busy, and
    each restart is rounded up again. Raises UserError when a stretch needs more GPUs than the machine has.
    """
    gpus = machine.node.total_gpus
    for segment in segments:
        if segment.gpus > gpus:
            raise UserError(
                f"{segment.id} needs more GPUs than {machine.name} has",
                got=f"{segment.gpus:g} of {gpus}",
                hint="Choose a larger machine or give the stage fewer GPUs.",
            )
    made: list[Rental] = []
    for index, (size, needed) in enumerate(_lanes(segments, gpus, terms.unit)):
        held = [need or (idle == "keep" and index == 0) for need in needed]
        stretches = zip(held, needed, segments, strict=True)
        for on, run in groupby(stretches, key=lambda stretch: stretch[0]):
            if on:
                made.append(_rental(size, tuple(run), terms, buffer_share))
    return tuple(made)


def _lanes(segments: Sequence[Segment], gpus: int, unit: str) -> list[tuple[int, list[bool]]]:
    """What is rented at a time (GPUs), and in which stretches it is needed."""
    if unit == "node":
        return [(gpus, [segment.gpus > 0 for segment in segments])]
    widest = max((math.ceil(segment.gpus) for segment in segments), default=0)
    return [(1, [segment.gpus > lane for segment in segments]) for lane in range(max(widest, 1))]


def _rental(gpus: int, run: tuple[tuple[bool, bool, Segment], ...], terms: BillingTerms, buffer_share: float) -> Rental:
    work = wall_s([segment for _, needed, segment in run if needed])
    idle = wall_s([segment for _, needed, segment in run if not needed])
    buffer = (work + idle) * buffer_share
    return Rental(gpus=gpus, work_s=work, idle_s=idle, buffer_s=buffer, billed_s=terms.billed_s(work + idle + buffer))
