"""Which promise counts for a run: the latest that was made before it began, of its experiment, for its device.

Owns the choice, and the promise that a plan makes now where none was kept. Promises are made in `promise.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headway.check.verdicts.promise import Promise, experiments_of, promise_for, standing
from headway.check.verdicts.ran import Ran
from headway.domain.errors import UsageError, UserError
from headway.domain.record import Record
from headway.store.rows import plan_of

if TYPE_CHECKING:
    from headway.app.load import Project


@dataclass(slots=True)
class History:
    """What is stored beside a plan or in the working directory, and what was noticed on the way."""

    project: Project | None
    stored: list[Record]
    remarks: dict[str, None] = field(default_factory=dict)
    """In the order in which they were made, each once."""
    made: Mapping[str, Any] | None = None
    """What the plan promises now, once it was asked."""

    @property
    def file(self) -> str | None:
        """The plan file that the store lies beside."""
        return None if self.project is None else self.project.plan.file

    def of(self, kind: str) -> list[Record]:
        """Stored records of a kind, oldest first."""
        return [record for record in self.stored if record.kind == kind]

    def remark(self, text: str) -> None:
        """Note something for the page."""
        self.remarks[text] = None

    def promise_now(self) -> Mapping[str, Any]:
        """What the plan promises today. Raises UserError where there is no plan."""
        if self.project is None:
            raise UserError("a run is verified against a promise made before it", got="no promise on record",
                            hint="Name the plan with --plan PLAN: what it promises now is compared.")  # fmt: skip
        if self.made is None:
            from headway.app.promise import promise_of

            self.made = promise_of(self.project.estimate(sensitivity=False).answer)
        return self.made


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The promise that a run is held against."""

    promise: Promise
    record: str
    """Its id; empty for one that is made now."""
    before: bool
    """Whether it was made before the run began, as far as is known."""


def promise_of_run(ran: Ran, experiment: str, history: History) -> Chosen:
    """The latest promise from before the run: for its device, under the best rates, of the plan as it stands, as far as
    there are such.

    Where none was made before it, the first later one of that kind, else today's. Raises UserError where there is none
    and no plan to make one, UsageError where the experiment is left open.
    """
    name = experiment or ran.experiment
    stored = [record for record in history.of("estimate") if _covers(record.body, ran, name, history)]
    before = [record for record in stored if ran.started and record.made <= ran.started]

    def claim(record: Record) -> tuple[bool, bool, bool]:
        return standing(record.body, ran.device)

    chosen = max(reversed(before), key=claim, default=None) or max(stored, key=claim, default=None)
    body = _today(ran, name, history) if chosen is None else chosen.body
    promise = promise_for(body, _experiment(body, name, history))
    if promise is None:
        raise _no_experiment(name, body)
    return Chosen(promise=promise, record="" if chosen is None else chosen.id, before=bool(before))


def versions(history: History) -> dict[str, frozenset[str] | None]:
    """The plan as it stands and its other versions that promised something, by fingerprint, each with the experiments
    that are the plan's; None: all of them. A run that names none (empty) may be one of them.

    What the plan is under an option or an assumption is a version of it too, whatever that trains.
    """
    if history.project is None:
        return {}
    plan = history.project.plan
    same = {one.fingerprint for one in plan.experiments if one.fingerprint}
    found: dict[str, frozenset[str] | None] = {}
    for record in history.of("estimate"):
        if _supposes(record.body, plan.name, Path(plan.file).name):
            found[plan_of(record)] = None
        items = [item for item in record.body.get("experiments") or () if isinstance(item, Mapping)]
        ids = {str(item.get("id")) for item in items if str(item.get("fingerprint")) in same}
        if ids and (known := found.get(plan_of(record), frozenset({""}))) is not None:
            found[plan_of(record)] = known | ids
    return {**found, plan.fingerprint: None}


def _supposes(body: Mapping[str, Any], name: str, file: str) -> bool:
    """Whether an estimate is of a plan of that name and file under an option or an assumption."""
    said = body.get("plan")
    of_it = isinstance(said, Mapping) and (said.get("name"), said.get("file")) == (name, file)
    return of_it and bool(body.get("option") or body.get("assume"))


def _covers(body: Mapping[str, Any], ran: Ran, name: str, history: History) -> bool:
    """Whether a stored promise is of the run's experiment: of its plan, or of the same one in another version of it."""
    own = () if history.project is None else history.project.plan.experiments
    wanted = ran.plan or ("" if history.project is None else history.project.plan.fingerprint)
    same = {one.fingerprint for one in own if one.fingerprint and (not name or name in (one.id, one.fingerprint))}
    try:
        if not wanted or str(body["plan"]["fingerprint"]) == wanted:
            return not name or promise_for(body, name) is not None
        return any(promise_for(body, one) is not None for one in same)
    except (UserError, KeyError, TypeError):
        history.remark("A stored promise is left out: it is not of the form headway.promise/1.")
        return False


def _today(ran: Ran, name: str, history: History) -> Mapping[str, Any]:
    """What the plan promises now; without one, the experiments that promises of the run's plan do cover are named."""
    if history.project is None and name:
        for record in history.of("estimate"):
            if _covers(record.body, ran, "", history):
                raise _no_experiment(name, record.body)
    return history.promise_now()


def _experiment(body: Mapping[str, Any], name: str, history: History) -> str:
    """The experiment that was run: as said, else the only one. Raises UsageError where there are several."""
    known = experiments_of(body)
    if not name and len(known) == 1:
        return known[0]
    if not name:
        raise UsageError("which experiment was run is said where the plan has several", got="none named",
                         hint=f"Add --experiment ID: {some(known)}.")  # fmt: skip
    if name not in known and history.project is not None:
        same = [one.fingerprint for one in history.project.plan.experiments if one.id == name]
        return same[0] if same else name
    return name


def _no_experiment(name: str, body: Mapping[str, Any]) -> UsageError:
    known = experiments_of(body)
    return UsageError("an experiment of the plan is compared", got=name, hint=f"It has {some(known)}.")


def some(ids: tuple[str, ...]) -> str:
    """The first of several names."""
    return ", ".join(ids[:5]) + (", …" if len(ids) > 5 else "")
