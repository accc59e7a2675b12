"""What the rhythm of a watched command says of a plan's stage: a measurement, kept beside the plan as any other.

Owns the way from a command's observations to the record. Watching is `watched.py`, the statistics are `recalibrate.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from headway.app.gpus import device_here
from headway.app.load import load
from headway.app.promised import History, promise_of_run
from headway.app.recalibrate import recalibrated
from headway.app.runs import ran_of, run_document
from headway.app.stored import records
from headway.check.verdicts.verdict import compare
from headway.domain.errors import UsageError
from headway.domain.observation import Observation, RunLog


def refuse_unknown(plan_file: str, experiment: str) -> None:
    """Raises PlanError for a plan that cannot be read, UsageError where it leaves open what a command runs."""
    ids = [one.id for one in load(plan_file).plan.experiments]
    if experiment in ids or (not experiment and len(ids) == 1):
        return
    raise UsageError("what a command runs is an experiment of the plan", got=experiment or "none named",
                     hint=f"It has {', '.join(ids[:5])}{', …' if len(ids) > 5 else ''}: "
                     f"headway measure {plan_file} {ids[0] if ids else 'ID'} -- …")  # fmt: skip


def keep_rhythm(seen: Sequence[Observation], title: str, plan_file: str, experiment: str) -> tuple[str, ...]:
    """Keep what a command's steps, evaluations and saves cost as a measurement of the plan's stage; remarks on it.

    Raises PlanError for the plan, UsageError where the experiment is left open, UserError where no step was timed.
    """
    project = load(plan_file)
    facts = {"plan": project.plan.fingerprint, "experiment": experiment, "device": device_here()}
    log = RunLog(format="console", name=title, observations=_without_warm_up(seen), facts=facts)
    ran = ran_of(run_document(log))
    history = History(project, records(plan_file=project.plan.file))
    chosen = promise_of_run(ran, experiment, history)
    verdict = compare(chosen.promise, ran, record=chosen.record, before=chosen.before)
    changed = recalibrated([(ran, verdict, True)], project, command="headway measure --")
    planned, here = chosen.promise.device, ran.device
    other = f" with --assume run.machine={quote(here)}" if here and planned and here != planned else ""
    kept = f"Kept as a measurement of {verdict.experiment}: estimates of this plan{other} use it from now on."
    return (*changed.remarks, kept)


def _without_warm_up(seen: Sequence[Observation]) -> tuple[Observation, ...]:
    """Without the first timed steps, in which kernels are made and caches filled, where there are later ones."""
    timed = [index for index, item in enumerate(seen) if item.kind == "step" and item.seconds is not None]
    first = timed[0] if len(timed) > 1 else -1
    return tuple(item for index, item in enumerate(seen) if index != first)
