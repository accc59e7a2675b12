"""The verb `check`: rules over a plan, with what they look at gathered when they ask for it.

Owns the wiring. Rules are `check/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

from headway.app.inputs import Inputs, Request, gather, own_machine
from headway.app.money import bill_of, energy_of
from headway.app.timing import jobs_of, side_by_side
from headway.catalog import find_device, find_model, find_offers
from headway.catalog.datasets import benchmark_names, dataset_rows
from headway.catalog.devices import Ambiguous, Nonexistent, devices
from headway.check.case import Case, Doubt, Known, Reading
from headway.check.rules import facts, memory, physics
from headway.check.run import check
from headway.domain.errors import Finding, UserError
from headway.domain.machine import Offer
from headway.estimate.nouns import Estimate, Rates
from headway.plan import PlanFile
from headway.schedule.place import place

IMMEDIATE = (physics.EXCEEDS_PEAK, physics.NEAR_PEAK, physics.WASTES_PEAK, *facts.RULES, memory.TOO_LARGE)
"""Rules that need nothing but an estimate: what `estimate` says on its own page."""


def findings(
    source: PlanFile,
    request: Request,
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    text: str | None = None,
) -> tuple[Finding, ...]:
    """Everything that these rules find in the plan; `text` is what it was read from where its file holds another one.

    Raises UsageError for a code that no rule has.
    """
    from headway.check.registry import chosen  # all rules: `estimate` needs a few

    rules = chosen(select, ignore)
    return check(case_of(source, gather(source, request), plan_text(source.plan.file) if text is None else text), rules)


def immediate(inputs: Inputs, estimate: Estimate) -> tuple[Finding, ...]:
    """What the rules say that look at an estimate alone."""
    only = Reading(plan=inputs.plan, estimate=estimate, bill=None)
    nothing = Known(devices={}, offers=(), today=inputs.today)
    case = Case(plan=inputs.plan, lookup=inputs.lookup, known=nothing, read=lambda _: only, read_option=lambda *_: ())
    return check(case, IMMEDIATE)


def case_of(source: PlanFile, inputs: Inputs, text: str) -> Case:
    """The plan, which `text` holds, with its readings, made when a rule asks."""

    def read_option(id: str, rates: Rates) -> tuple[tuple[str, Reading], ...]:
        return tuple((label, _reading(inputs.changed(plan), rates)) for label, plan in source.with_option(id))

    return Case(
        plan=inputs.plan,
        lookup=inputs.lookup,
        known=_known(inputs),
        text=text,
        read=lambda rates: _reading(inputs, rates),
        read_option=read_option,
    )


def _reading(inputs: Inputs, rates: Rates) -> Reading:
    estimate = side_by_side(inputs, inputs.estimate(rates))
    machine, jobs = own_machine(inputs, estimate), jobs_of(inputs.plan, estimate)
    several = machine is not None and len(jobs) > 1
    return Reading(
        plan=inputs.plan,
        estimate=estimate,
        bill=bill_of(inputs, estimate),
        energy=energy_of(inputs, estimate),
        makespan_s=place(jobs, machine.node.total_gpus).makespan_s if several and machine else None,
    )


def _known(inputs: Inputs) -> Known:
    return Known(
        devices=devices(),
        offers=find_offers(),
        today=inputs.today,
        rows=dataset_rows(),
        benchmarks=benchmark_names(),
        doubt=_doubt,
        listed=_listed,
    )


@cache
def _doubt(kind: str, name: str) -> Doubt | None:
    """What the catalog has against a name. One that it has never heard of may exist all the same."""
    try:
        find_model(name) if kind == "model" else find_device(name)
    except (Ambiguous, Nonexistent) as error:
        several = isinstance(error, Ambiguous)
        return Doubt(rule=error.rule, hint=error.hint, candidates=error.candidates, several=several)
    except UserError:
        pass
    return None


@cache
def _listed(provider: str, instance: str, device: str) -> tuple[Offer, ...]:
    find = partial(find_offers, device=device or None, provider=provider or None, instance=instance or None)
    try:
        return tuple(dict.fromkeys((*find(), *find(spot=True))))
    except UserError:
        return ()


def plan_text(file: str) -> str:
    """The plan file as it stands, its line ends included; empty for a plan made in Python."""
    path = Path(file)
    if not path.is_file():
        return ""
    with open(path, encoding="utf-8-sig", newline="") as lines:
        return lines.read()
