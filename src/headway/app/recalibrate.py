"""Runs become measurements: what their steps, saves and evaluations cost is what the next estimate says.

Owns which runs are taken together, the records `headway.measurement/1` made of them, and the estimate before and after.
The statistics are `check/verdicts/scatter.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headway.app.kept import CPU
from headway.app.probe import SCHEMA
from headway.app.stored import keep, made_now
from headway.check.verdicts.ran import Ran
from headway.check.verdicts.scatter import Cost, costs_of, deviations, timings
from headway.check.verdicts.verdict import ROUNDING, Verdict
from headway.domain.errors import UserError
from headway.domain.spread import Spread
from headway.report.verify_view import Learnt
from headway.worker.machine.host import host_cpu, usable_cores

if TYPE_CHECKING:
    from headway.app.load import Project


WORDS = {"data_wait": "waiting for data was", "evaluation": "evaluating was", "checkpoint": "saving was",
         "compile": "compiling was"}  # fmt: skip
"""Terms that a loop which times whole steps does not tell apart from them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalibrated:
    """What was learnt from runs."""

    bodies: tuple[Mapping[str, Any], ...]
    """Documents `headway.measurement/1`, one for each stage on each device."""
    learnt: tuple[Learnt, ...]
    """Experiments whose estimate moved; empty without a plan."""
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Group:
    """Runs of one stage on one kind of device."""

    device: str
    gpus: float
    pace: str
    name: str


def recalibrated(
    judged: Sequence[tuple[Ran, Verdict, bool]],
    project: Project | None,
    told: Callable[[str], None] | None = None,
    command: str = "headway verify --recalibrate",
) -> Recalibrated:
    """Measurements of the runs that were asked for, each with all runs of the same stage on the same device.

    They are recorded beside the plan, as made by `command`. Raises UserError where no run timed a stage apart.
    """
    remarks: dict[str, None] = {}
    groups = _groups(judged, remarks)
    scatter = _scatter(groups)
    bodies = [
        _body(group, [ran for ran, _ in members], scatter, [verdict for _, verdict in members])
        for group, members in groups.items()
        if any(asked for ran, _, asked in judged if any(ran is one for one, _ in members))
    ]
    bodies = [body for body in bodies if body["terms"]]
    if not bodies:
        raise UserError("a measurement is made of a run that timed its steps", got="; ".join(remarks) or "none",
                        hint="Track the run: headway.track(loader), or headway.TrainerCallback().")  # fmt: skip
    before = {} if project is None else _walls(project)
    for body in bodies:
        keep(made_now("measurement", body, command), _file(project), told)
    after = {} if project is None else _walls(project, bodies)
    moved = tuple(
        Learnt(experiment=id, before=before[id], after=after[id])
        for id in before
        if id in after and (before[id].p50, before[id].p90) != (after[id].p50, after[id].p90)
    )
    return Recalibrated(bodies=tuple(bodies), learnt=moved, remarks=tuple(remarks))


def _file(project: Project | None) -> str | None:
    return None if project is None else project.plan.file


def _groups(
    judged: Iterable[tuple[Ran, Verdict, bool]], remarks: dict[str, None]
) -> dict[_Group, list[tuple[Ran, Verdict]]]:
    found: dict[_Group, list[tuple[Ran, Verdict]]] = {}
    for ran, verdict, asked in judged:
        device = ran.device or verdict.promised_device
        told_apart = set(verdict.paces) <= set(ran.stages) or len(verdict.paces) == 1
        if asked and not told_apart:
            remarks[f"{ran.name} does not tell its stages apart: {', '.join(verdict.paces)}"] = None
        if asked and "step" not in ran.terms:
            remarks[f"{ran.name} did not time its steps"] = None
        if asked and not ran.device and device:
            remarks[f"{ran.name} does not say its device: taken as {device}, which was promised"] = None
        for name, pace in verdict.paces.items() if told_apart and device else ():
            group = _Group(device, verdict.gpus, pace, name if name in ran.stages else "")
            found.setdefault(group, []).append((ran, verdict))
    return found


def _scatter(groups: Mapping[_Group, list[tuple[Ran, Verdict]]]) -> dict[str, tuple[float, int]]:
    """By term: how much runs of the same stage on the same device differ, over all stages."""
    by_term: dict[str, list[Sequence[Any]]] = {}
    for group, members in groups.items():
        for term, found in timings([ran for ran, _ in members], group.name).items():
            by_term.setdefault(term, []).append(found)
    return {term: deviations(found) for term, found in by_term.items()}


def _body(
    group: _Group, runs: Sequence[Ran], scatter: Mapping[str, tuple[float, int]], verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    costs = costs_of(runs, group.name, scatter, cpu=group.device == CPU)
    remarks = [f"of {len(runs)} run{'' if len(runs) == 1 else 's'}: {', '.join(ran.id for ran in runs[-5:])}"]
    terms = {term: _ends(cost) for term, cost in costs.items()}
    for term in sorted(_in_steps(runs, verdicts) - terms.keys()) if "step" in terms else ():
        terms[term] = {"p10": 0.0, "p50": 0.0, "p90": 0.0, "repeats": costs["step"].repeats}
        remarks.append(f"{WORDS[term]} not timed apart: it is in the step")
    return {
        "schema": SCHEMA,
        "stage": group.pace,
        "stage_name": group.name,
        "experiment": verdicts[-1].experiment,
        "plan": verdicts[-1].plan,
        "device": group.device,
        "gpus": group.gpus,
        "terms": terms,
        "rates": {},
        "memory": {},
        "machine": _machine(group.device, runs[-1]),
        "task": {"runs": [ran.id for ran in runs]},
        "samples": {},
        "remarks": remarks,
    }


def _in_steps(runs: Sequence[Ran], verdicts: Sequence[Verdict]) -> set[str]:
    """Terms that are inside the steps of every run: all untold ones, where no time of a run is outside its terms."""
    found = set(WORDS)
    for ran, verdict in zip(runs, verdicts, strict=True):
        step = next((one for one in verdict.terms if one.term == "step"), None)
        told = {name: timed.seconds for name, timed in ran.terms.items()}
        held_s = sum(told.get(name, 0.0) for name in ("step", *(step.includes if step else ())))
        outside = step is None or step.measured_s > held_s * (1 + ROUNDING)
        found &= {"data_wait"} | set(() if outside or step is None else step.includes)
    return found


def _machine(device: str, ran: Ran) -> dict[str, Any]:
    """The machine as the run says; a CPU of this host as estimates tell CPUs apart (`app/kept.py`)."""
    said = {**ran.machine, "device": device}
    here = device == CPU and said.get("host", host_cpu()) == host_cpu()
    return {**said, "host": host_cpu(), "cores": usable_cores()} if here else said


def _ends(cost: Cost) -> dict[str, float]:
    return {"p10": cost.seconds.low, "p50": cost.seconds.mid, "p90": cost.seconds.high, "repeats": cost.repeats}


def _walls(project: Project, bodies: Iterable[Mapping[str, Any]] = ()) -> dict[str, Spread]:
    """Wall time of every experiment of the plan, with these measurements beside what is known."""
    from headway.app.kept import measurements_of

    own = [one for body in bodies for one in measurements_of(body, "", "measured in runs")]
    found = project.estimate(sensitivity=False, measurements=own).estimate
    return {item.id: item.wall_s for item in found.experiments}
