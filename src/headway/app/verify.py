"""The verb `verify`: runs held against what was promised of them, and the ledger of all promises kept.

Owns which runs are meant, and what is recorded of them. Which promise counts is `promised.py`, the comparison `check/`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from headway.app.promised import History, promise_of_run, some, versions
from headway.app.recalibrate import recalibrated
from headway.app.runs import ran_of, read_run, run_folders
from headway.app.stored import keep, made_now, records
from headway.check.verdicts.ledger import ledger
from headway.check.verdicts.ran import Ran
from headway.check.verdicts.verdict import Verdict, compare, document, verdict_from
from headway.domain.errors import UsageError, UserError
from headway.domain.observation import EVENTS_FILE
from headway.domain.record import fingerprint, utc_text
from headway.report.render import text
from headway.report.verify_view import VerifyAnswer, verify_document, verify_page, verify_view
from headway.report.view import Detail, Page

if TYPE_CHECKING:
    from headway.app.load import Project

COMMAND = "headway verify"
RECORDING_S = 5.0
"""From the moment that a record calls the end of a run to its last event on the disk, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be verified."""

    runs: tuple[str, ...] = ()
    """Folders, logs, or ids of recorded runs or their beginnings; none: those of the plan without a verdict."""
    experiment: str = ""
    tolerance: float | None = None
    """Share of the promised middle that a run may be off by, either way; None: up to the p90."""
    every: bool = False
    """All recorded runs of the plan, those with a verdict too."""
    recalibrate: bool = False


@dataclass(frozen=True, slots=True)
class Verified:
    """What `verify` found; shows itself in notebooks and turns into plain data."""

    answer: VerifyAnswer

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """One for each run."""
        return self.answer.verdicts

    @property
    def missed(self) -> tuple[Verdict, ...]:
        """Runs that were off by more than is tolerated."""
        return self.answer.missed

    def page(self, detail: Detail | None = None) -> Page:
        """The page in all its forms."""
        return verify_page(self.answer, detail)

    def to_dict(self) -> dict[str, Any]:
        """The JSON document `headway.verify/1`."""
        return verify_document(self.answer)

    def _repr_markdown_(self) -> str:
        return text(verify_view(self.answer), "md")

    def _repr_html_(self) -> str:
        return text(verify_view(self.answer), "html")


def verify(asked: Asked, project: Project | None = None, told: Callable[[str], None] | None = None) -> Verified:
    """Runs beside their promises; every new run and verdict is recorded.

    The promise is the latest one of the plan that was recorded before the run began and covers its experiment; where
    there is none, the first later one, or what the plan promises now: neither is counted by the ledger. `told` is
    called with what could not be recorded. Raises UserError where there is no run, no promise, or a run cannot be told
    apart.
    """
    history = History(project, records(plan_file=None if project is None else project.plan.file))
    judged = _judged(_runs(asked, history), asked, history)
    for body, verdict in judged:
        _record(body, verdict, history, told)
    verdicts = tuple(verdict for _, verdict in judged)
    known = [*(verdict for _, verdict in _past(history)), *verdicts]
    devices = {verdict.device for verdict in verdicts}
    changed = recalibrated(_ran(judged, history), project, told) if asked.recalibrate else None
    answer = VerifyAnswer(
        verdicts=verdicts,
        tolerance=asked.tolerance,
        ledger=ledger(known),
        here=ledger(verdict for verdict in known if verdict.device in devices),
        remarks=(*history.remarks, *(changed.remarks if changed else ())),
        measurements=None if changed is None else changed.bodies,
        learnt=changed.learnt if changed else (),
        next_command=_next(asked, history, verdicts),
    )
    return Verified(answer)


def _runs(asked: Asked, history: History) -> list[list[Mapping[str, Any]]]:
    """Documents of the runs that are meant; where none is named, the new ones of the plan, and then all of it."""
    recorded = _recorded(history)
    if asked.runs:
        return [[_run(word, recorded) for word in asked.runs]]
    done, here = _done(history), run_folders(history.file)
    for folder in here:
        known = recorded.get(folder.name)
        if known is None or not known.get("finished", True) or _written_after(folder, known):
            try:
                body = read_run(folder)
                if known is None or _went_on(known, body):
                    recorded[str(body["run"])] = body
                    done.discard(str(body["run"]))
            except UserError as error:
                history.remark(f"{folder.name} is left out: {error}")
    told = {str(body["run"]): body for body in _told_once(recorded).values()}
    own = _of_plan(_in_time(told.values()), history, {folder.name for folder in here})
    if not own:
        others = f" of this plan, {len(told):,} of others" if told else ""
        raise UserError("there is a run to verify", got=f"none recorded {_beside(history.file)}{others}",
                        hint="Name a log: headway verify trainer_log.jsonl --plan plan.yaml; or record a run: "
                        "headway watch -- python train.py.")  # fmt: skip
    found = _of_experiment(own, asked.experiment)
    fresh = [body for body in found if str(body["run"]) not in done]
    return [found] if asked.every else [fresh, found]


def _written_after(folder: Path, known: Mapping[str, Any]) -> bool:
    """Whether a run went on after it was recorded, as a loop does that is iterated again."""
    written = utc_text(datetime.fromtimestamp((folder / EVENTS_FILE).stat().st_mtime - RECORDING_S, UTC))
    return written > str(known.get("ended") or "")


def _recorded(history: History) -> dict[str, Mapping[str, Any]]:
    """What was recorded of each run, by its id; of one that was recorded more than once, what goes furthest."""
    bodies = [record.body for record in history.of("run") if "run" in record.body]
    return {str(body["run"]): body for body in _in_time(bodies)}


def _told_once(recorded: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Runs by their ids, where what `watch -- COMMAND` saw of one that recorded itself is that one, which knows more.

    One that took little of its steps and its time was another loop of the program, as one over its data.
    """
    found = dict(recorded)
    for own in sorted(recorded.values(), key=_done_in):
        seen = recorded.get(str(own.get("watched_by")))
        if seen is None or all(2 * (own.get(name) or 0) < (seen.get(name) or 0) for name in ("steps", "wall_s")):
            continue
        # What it is of was said to the one that watched.
        named = {name: own.get(name) or seen.get(name) for name in ("plan", "experiment")}
        found[str(own["run"])] = found[str(seen["run"])] = {**own, **named}
    return found


def _done_in(body: Mapping[str, Any]) -> tuple[float, float]:
    """How far a run came: steps, and epochs where it tells of these alone."""
    return body.get("steps") or 0, body.get("epochs") or 0


def _in_time(bodies: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Runs in the order in which they began, and what was recorded of one of them in the order in which it went on."""

    def moment(body: Mapping[str, Any]) -> tuple[str, str, tuple[float, float], float]:
        return str(body.get("started") or ""), str(body["run"]), _done_in(body), body.get("wall_s") or 0

    return sorted(bodies, key=moment)


def _done(history: History) -> set[str]:
    """Runs of which nothing was recorded after their newest verdict."""
    recorded = {str(record.body.get("run")): record.made for record in history.of("run")}
    return {verdict.run for made, verdict in _past(history) if made >= recorded.get(verdict.run, "")}


def _of_plan(bodies: list[Mapping[str, Any]], history: History, here: set[str]) -> list[Mapping[str, Any]]:
    """Runs of the history's plan, where it has one: other plans and other people may share its store.

    One that names no plan is of this one where its folder is `here`, or where it was held against this plan before.
    """
    if history.project is None:
        return bodies
    own = versions(history)
    held = {verdict.run for _, verdict in _past(history) if verdict.plan in own}

    def is_own(body: Mapping[str, Any]) -> bool:
        if not body.get("plan"):
            return body["run"] in here or body["run"] in held
        known = own.get(str(body["plan"]), frozenset())
        return known is None or str(body.get("experiment") or "") in known

    return [body for body in bodies if is_own(body)]


def _of_experiment(bodies: list[Mapping[str, Any]], name: str) -> list[Mapping[str, Any]]:
    """Runs that name no other experiment, where one is named. Raises UsageError where all do."""
    found = [body for body in bodies if name in ("", body.get("experiment") or name)]
    if not found:
        known = tuple(dict.fromkeys(str(body["experiment"]) for body in bodies))
        raise UsageError("an experiment that was run is verified", got=name, hint=f"Runs are of {some(known)}.")
    return found


def _beside(file: str | None) -> str:
    return f"beside {Path(file).name}" if file else "in .headway of this folder"


def _run(word: str, recorded: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """A folder or log, else the recorded run of that id, of its beginning or its last part. Raises UserError.

    What `watch -- COMMAND` saw of a run that recorded itself is that run.
    """
    if os.path.exists(word):
        return read_run(word)
    found = [run for run in recorded if run.startswith(word) or run.endswith(f"-{word}")]
    if word in recorded or len(found) == 1:
        return _told_once(recorded)[word if word in recorded else found[0]]
    if found:
        several = ", ".join(found[:5]) + (", …" if len(found) > 5 else "")
        raise UsageError("a run is named so that it is one", got=word, hint=f"Meant may be {several}.")
    known = f"Recorded: {', '.join(list(recorded)[-5:])}." if recorded else "Nothing is recorded."
    raise UserError("a run is a folder, a log, or the id of a recorded run", got=word, hint=known)


def _judged(
    choices: Iterable[list[Mapping[str, Any]]], asked: Asked, history: History
) -> list[tuple[Mapping[str, Any], Verdict]]:
    """Each run with its verdict, of the first list in which any can be compared; one that cannot be is a remark."""
    refused: list[UserError] = []
    for bodies in choices:
        found = []
        for body in bodies:
            name = str(body.get("name") or body["run"])
            try:
                ran = ran_of(body)
                found.append((body, _verdict(ran, asked.experiment, history)))
                for problem in ran.problems[:3]:
                    history.remark(f"{name}: {problem}")
            except UserError as error:
                refused.append(error)
                history.remark(f"{name} is left out: {error}")
        if found:
            return found
    raise refused[0]


def _verdict(ran: Ran, experiment: str, history: History) -> Verdict:
    """The run beside the promise that counts for it; why the ledger will not count it is a remark."""
    if experiment and ran.experiment not in ("", experiment):
        raise UsageError("a run is of the experiment that it names", got=f"{experiment} for {ran.experiment}",
                         hint="Leave --experiment out.")  # fmt: skip
    found = promise_of_run(ran, experiment, history)
    if not found.before:
        why = "no promise was made before it began" if ran.started else "its log does not say when it began"
        history.remark(f"{ran.name}: {why}. It is compared with a later promise, which the ledger does not count.")
    elif ran.device and found.promise.device and ran.device != found.promise.device:
        history.remark(f"{ran.name} ran on {ran.device}, promised was {found.promise.device}: the ledger does not "
                       "count it.")  # fmt: skip
    return compare(found.promise, ran, record=found.record, before=found.before)


def _record(body: Mapping[str, Any], verdict: Verdict, history: History, told: Callable[[str], None] | None) -> None:
    """Keep the run, unless what was recorded of it goes as far, and its verdict, unless the newest is the same and not
    older than that.
    """
    ran, judged = (
        [record for record in history.of(kind) if record.body.get("run") == body["run"]] for kind in ("run", "verdict")
    )
    if not ran or _went_on(_in_time(record.body for record in ran)[-1], body):
        keep(made_now("run", body, COMMAND), history.file, told)
    made = document(verdict)
    same = bool(judged) and fingerprint(judged[-1].body) == fingerprint(made)
    if not same or (ran and judged[-1].made < ran[-1].made):
        keep(made_now("verdict", made, COMMAND), history.file, told)


def _went_on(known: Mapping[str, Any], run: Mapping[str, Any]) -> bool:
    """Whether a run has done more, or has ended, since it was recorded while it was in progress."""
    return _done_in(run) > _done_in(known) or bool(run.get("finished") and not known.get("finished", True))


def _past(history: History) -> list[tuple[str, Verdict]]:
    """Stored verdicts with when they were made, oldest first; one that this version cannot read counts for nothing."""
    found = []
    for record in history.of("verdict"):
        try:
            found.append((record.made, verdict_from(record.body)))
        except UserError as error:
            history.remark(f"A stored verdict is left out: {error}")
    return found


def _ran(judged: list[tuple[Mapping[str, Any], Verdict]], history: History) -> list[tuple[Ran, Verdict, bool]]:
    """All runs with a verdict, the stored ones too; True for those that were asked for."""
    bodies = _recorded(history)
    asked = {verdict.run for _, verdict in judged}
    latest = {verdict.run: verdict for _, verdict in _past(history) if verdict.run in bodies.keys() - asked}
    past = []
    for run, verdict in latest.items():
        try:
            past.append((ran_of(bodies[run]), verdict, False))
        except UserError as error:
            history.remark(f"{run} is left out: {error}")
    return past + [(ran_of(body), verdict, True) for body, verdict in judged]


def _next(asked: Asked, history: History, verdicts: tuple[Verdict, ...]) -> str:
    file = history.file or _plan_here(history)
    plan = quote(file) if file else ""
    if asked.recalibrate:
        return f"headway estimate {plan or 'PLAN'}"
    runs = " ".join(map(quote, asked.runs)) or " ".join(quote(one.run) for one in verdicts[:1])
    experiment = f" --experiment {quote(asked.experiment)}" if asked.experiment else ""
    return f"headway verify {runs}{f' --plan {plan}' if plan else ''}{experiment} --recalibrate"


def _plan_here(history: History) -> str:
    """The file of the newest promise, where it lies in the working directory."""
    names = [str(record.body.get("plan", {}).get("file", "")) for record in history.of("estimate")]
    return names[-1] if names and names[-1] and Path(names[-1]).is_file() else ""
