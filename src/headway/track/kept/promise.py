"""What an estimate promised of the run that is tracked: read from the records beside its plan.

Owns which of them counts, and what of it a run in progress needs. Reading `headway.promise/1` is
`check/verdicts/promise.py`; making promises is the verb `estimate`, judging them the verb `verify`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headway.domain.errors import UsageError, UserError
from headway.domain.units import Range
from headway.track.slowdowns.machine import device_in_use
from headway.worker.machine.host import has_gpu, host_cpu

if TYPE_CHECKING:
    from headway.check.verdicts.promise import Promise as Promised
    from headway.check.verdicts.promise import PromisedStage
    from headway.domain.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """The newest estimate of one stage that speaks most for this run; all empty where nothing was promised."""

    plan: str = ""
    """Fingerprint of the plan."""
    experiment: str = ""
    stage: str = ""
    total_steps: int | None = None
    each_s: Mapping[str, Range] = field(default_factory=dict)
    """Seconds of one unit by term, at p10, p50 and p90."""
    units: Mapping[str, float] = field(default_factory=dict)
    p50_s: float | None = None
    """Of the whole stage."""
    p90_s: float | None = None
    usd_per_hour: float | None = None
    missing: str = ""
    """Why there is nothing to hold a run of a plan against; empty where there is, and without a plan."""

    def of(self, steps: float | None) -> Promise:
        """What was promised of so many of the steps, in proportion: a process that goes on has fewer to do."""
        if not self.total_steps or steps is None or self.p50_s is None or self.p90_s is None:
            return self
        share = steps / self.total_steps
        return replace(self, p50_s=self.p50_s * share, p90_s=self.p90_s * share)


def promised(plan_file: str, experiment: str = "", stage: str = "") -> Promise:
    """What the newest estimate of the plan says of an experiment (its only one, where none is named) and a stage.

    Where there are such, one for the device that is trained on, under the best rates, of the plan as it stands. Without
    a name the stage is the first that trains. Empty where there is no store or estimate. Raises UsageError for a plan
    that is not there, and for an experiment or stage that the estimate does not have.
    """
    if plan_file and not Path(plan_file).is_file():
        raise UsageError("the plan of a run is a file", got=f"{plan_file}: no such file")
    if not plan_file:
        return Promise(experiment=experiment, stage=stage)
    own = _as_it_stands(plan_file)
    why = f"no estimate of {plan_file} as it stands is on record: headway estimate {plan_file} makes one"
    try:
        body = _newest(plan_file, own, experiment)
    except UserError as error:  # a run is tracked whether its promise can be read or not
        body, why = None, f"the estimates of {plan_file} cannot be read: {error}"
    if body is None:
        return Promise(plan=own.fingerprint if own else "", experiment=experiment, stage=stage, missing=why)
    from headway.check.verdicts.promise import (  # numpy, which a run without a promise does not need
        experiments_of,
        promise_for,
    )

    plan = str(body["plan"]["fingerprint"])
    name = _named(experiments_of(body), experiment, "an experiment of the plan is tracked")
    several = f"the estimate of {plan_file} has several experiments or stages: say which one this is"
    try:
        said = promise_for(body, name) if name else None
    except UserError:
        said = None
    if said is None:
        return Promise(plan=plan, stage=stage, missing=several)
    wanted = _named([one.name for one in said.stages], stage, "a stage of the experiment is tracked") if stage else ""
    made = next((one for one in said.stages if (one.name == wanted if wanted else one.kind == "train")), None)
    if made is None:
        return Promise(plan=plan, experiment=said.experiment, missing=several)
    return _of_stage(said, made, body.get("usd_per_hour"))


def _as_it_stands(plan_file: str) -> Plan | None:
    """The plan; None where it cannot be read, which stops no training."""
    from headway.plan import read_plan  # YAML, which a run without a plan does not need

    try:
        return read_plan(plan_file).plan
    except UserError:
        return None


def _newest(plan_file: str, plan: Plan | None, experiment: str) -> Mapping[str, Any] | None:
    """The promise that speaks most for a run of the plan. Raises UserError for a store that cannot be read."""
    from headway.store import open_store
    from headway.store.place import is_there, place_of

    place = place_of(plan_file)
    if not is_there(place):
        return None
    with open_store(place) as store:
        bodies = [record.body for record in store.read("estimate")]
    named = [body for body in bodies if body.get("plan", {}).get("file") == Path(plan_file).name]
    own = [body for body in named if plan is None or _is_of(body, plan)]
    if not own:
        return None
    from headway.check.verdicts.promise import experiments_of, standing  # numpy, which a run without one does not need

    covering = [body for body in own if not experiment or experiment in experiments_of(body)] or own
    device = _device()
    newest: Mapping[str, Any] = max(reversed(covering), key=lambda body: standing(body, device))
    return newest


def _is_of(body: Mapping[str, Any], plan: Plan) -> bool:
    """Whether a promise is of the plan, under an option or assumption too, or of an experiment that it still has.

    Others may keep theirs in the same store, and call their files the same.
    """
    said, items = body["plan"], body.get("experiments") or ()
    if said.get("fingerprint") == plan.fingerprint:
        return True
    if said.get("name") == plan.name and (body.get("option") or body.get("assume")):
        return True
    known = {one.fingerprint for one in plan.experiments if one.fingerprint}
    return any(isinstance(item, Mapping) and item.get("fingerprint") in known for item in items)


def _device() -> str:
    """The catalog's name of the device that is trained on, as far as this process can tell; empty where it cannot."""
    if not has_gpu():
        return "CPU"
    said = device_in_use()
    if said in ("", host_cpu()):  # a GPU that torch has not begun to use
        return ""
    from headway.catalog import find_device

    try:
        return find_device(said).name
    except UserError:
        return said


def _named(names: Sequence[str], name: str, rule: str) -> str:
    """That name, or the only one where none is asked for; empty for one of several."""
    if not name:
        return names[0] if len(names) == 1 else ""
    if name not in names:
        raise UsageError(rule, got=name, hint=f"It has {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}.")
    return name


def _of_stage(said: Promised, made: PromisedStage, usd_per_hour: float | None) -> Promise:
    """One stage, whose time as a whole is what `verify` compares it with too."""
    counted = {term: one for term, one in made.terms.items() if one.units}
    whole = said.together(term.seconds for term in made.terms.values())
    return Promise(
        plan=said.plan,
        experiment=said.experiment,
        stage=made.name,
        total_steps=round(made.steps) if made.steps else None,
        each_s={
            term: Range(*(end / one.units for end in (one.seconds.p10, one.seconds.p50, one.seconds.p90)))
            for term, one in counted.items()
        },
        units={term: one.units for term, one in counted.items()},
        p50_s=whole.p50,
        p90_s=whole.p90,
        usd_per_hour=None if usd_per_hour is None else float(usd_per_hour),
    )
