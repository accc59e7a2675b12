"""What every question about a plan is answered with: the plan, its names resolved, the calibration, the seed.

Owns the gathering, and what was computed already and may be shared by the variants of a plan.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

from headway.app.doubt import Doubtful
from headway.app.kept import Kept
from headway.app.resolve import ASSUMED, resolve
from headway.catalog.calibration import shipped_calibration
from headway.catalog.speed import shipped_speed
from headway.domain.calibration import Calibration, Constant
from headway.domain.errors import PlanError, UsageError
from headway.domain.experiment import Architecture
from headway.domain.lookup import Lookup, Machine
from headway.domain.measurement import Measurement
from headway.domain.plan import Plan
from headway.domain.statement import Value
from headway.estimate.assemble import assemble
from headway.estimate.nouns import Estimate, Rates, StageEstimate
from headway.estimate.predicted import Predictor
from headway.estimate.setting import Memory, Setting, make_setting
from headway.estimate.step import MFU
from headway.plan import PlanFile
from headway.predict.learning.record import from_record
from headway.predict.speed.state import Speed


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked of a plan; see `app.load.Project.estimate`."""

    rates: Rates = "best"
    machine: str = ""
    subset: str = ""
    option: str = ""
    seed: int = 0
    sensitivity: bool = True
    measurements: tuple[Measurement, ...] = ()
    kept: Kept = field(default_factory=Kept)
    """What is known of this machine from earlier measurements; `measurements` count before it."""
    today: str = ""
    models: Mapping[str, Architecture] = field(default_factory=dict)
    """Models that need no looking up: those of an imported file."""
    served: bool = False
    """Completions are decoded by an inference engine, as an imported file says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What every question about one plan is answered with."""

    plan: Plan
    lookup: Lookup
    calibration: Calibration
    speed: Speed
    measurements: tuple[Measurement, ...]
    own: frozenset[str]
    """Constants of the calibration that were measured on the plan's machine."""
    problem: str = ""
    """Why earlier measurements could not be read."""
    seed: int
    today: date
    models: Mapping[str, Architecture] = field(default_factory=dict)
    served: bool = False
    memory: Memory = field(default_factory=Memory)
    stages: dict[tuple[object, ...], StageEstimate] = field(default_factory=dict)

    def setting(self, rates: Rates, machine: str = "") -> Setting:
        """A setting with draws of its own, the same for the same seed."""
        return make_setting(
            self.plan,
            self.lookup,
            self.calibration,
            self.speed,
            rates=rates,
            machine=machine,
            measurements=self.measurements,
            own=self.own,
            seed=self.seed,
            memory=self.memory,
            stages=self.stages,
        )

    def changed(self, plan: Plan) -> Inputs:
        """The inputs of a variant of the plan; what costs the same there is not computed again."""
        same = plan.datasets == self.plan.datasets and plan.tasks == self.plan.tasks
        lookup = resolve(plan, self.calibration, like=(self.plan, self.lookup), known=self.models)
        kept = self.stages if same and lookup.lengths == self.lookup.lengths else {}
        return replace(self, plan=plan, lookup=lookup, stages=kept)

    def estimate(self, rates: Rates, machine: str = "") -> Estimate:
        """The plan under these rates."""
        setting = self.setting(rates, machine)
        return assemble(setting, self.predictor(setting))

    def predictor(self, setting: Setting) -> Predictor:
        """Predictions for a setting; wider ones for models whose shape is assumed."""
        assumed = frozenset(name for name, arch in self.models.items() if ASSUMED in arch.source)
        return Doubtful(setting, assumed, self.served) if assumed or self.served else Predictor(setting)


def own_machine(inputs: Inputs, estimate: Estimate) -> Machine | None:
    """The machine that the plan runs on; None where it names none of several."""
    machines = inputs.lookup.machines
    return machines.get(estimate.machine) or (next(iter(machines.values())) if len(machines) == 1 else None)


def gather(source: PlanFile, request: Request) -> Inputs:
    """The plan under an option or on another machine, with its names resolved."""
    plan = _chosen(source, request)
    if request.machine:
        if request.machine not in plan.run.machines:
            known = tuple(plan.run.machines)
            raise UsageError("a machine of the plan is needed", got=request.machine,
                             hint=f"It has {', '.join(known)}.", candidates=known)  # fmt: skip
        plan = replace(plan, run=replace(plan.run, machine=request.machine))
    calibration = assumed(plan, shipped_calibration())
    lookup = resolve(plan, calibration, known=request.models)
    own = _own_rates(plan, lookup, request)
    return Inputs(
        plan=plan,
        lookup=lookup,
        models=request.models,
        served=request.served,
        calibration=Calibration(constants={**calibration.constants, **own}) if own else calibration,
        own=frozenset(own),
        speed=from_record(shipped_speed()),
        measurements=(*request.kept.measurements, *request.measurements),
        problem=request.kept.problem,
        seed=request.seed,
        today=_today(request),
    )


def _own_rates(plan: Plan, lookup: Lookup, request: Request) -> Mapping[str, Constant]:
    """What was measured on the device of the plan's machine, but for what the plan assumes otherwise."""
    machine = lookup.machines.get(plan.run.machine)
    known = request.kept.rates.get(machine.node.device.name, {}) if machine is not None else {}
    return {name: constant for name, constant in known.items() if name not in plan.assume}


def _today(request: Request) -> date:
    """As asked; else SOURCE_DATE_EPOCH (reproducible-builds.org), which makes documents repeatable; else the clock."""
    if request.today:
        return date.fromisoformat(request.today)
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if epoch.isdecimal():
        return datetime.fromtimestamp(int(epoch), tz=UTC).date()
    return datetime.now().astimezone().date()


def as_keys(assume: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides by dotted path: the name of a prior (`mfu`, `data_wait_share`) stands for its key under `assume`."""
    priors = {MFU, *shipped_calibration().constants}
    return {f"assume.{key}" if key in priors else key: value for key, value in assume.items()}


def assumed(plan: Plan, calibration: Calibration) -> Calibration:
    """The calibration with the priors that the plan assumes otherwise. PlanError for a name that is no prior."""
    changed = dict(calibration.constants)
    for name, value in plan.assume.items():
        if name == MFU:
            continue
        if name not in changed or not isinstance(value, Value):
            near = difflib.get_close_matches(name, (MFU, *changed), n=3) or [MFU]
            raise PlanError("assume names one of headway's priors, with a value", got=f"{name}: {value}"[:80],
                            hint=f"Nearest: {', '.join(near)}.", where=plan.where(f"assume.{name}"),
                            candidates=tuple(near))  # fmt: skip
        source = f"assumed by the plan: {value.text}"
        changed[name] = replace(changed[name], range=value.range, kind="stated", source=source)
    return Calibration(constants=changed)


def _chosen(source: PlanFile, request: Request) -> Plan:
    """The whole plan, its subset, or the plan under one option."""
    if request.subset:
        return source.subset(request.subset)
    if not request.option:
        return source.plan
    variants = source.with_option(request.option)
    if len(variants) > 1:
        raise UsageError(
            f"option {request.option} varies something: it is several plans",
            got=", ".join(label for label, _ in variants),
            hint="Its variants stand in the options of the whole plan; leave --option out.",
        )
    return variants[0][1]
