"""The verb `watch`: a command that is run, read as it goes; and `measure -- COMMAND`.

Owns what a run's observations come to, and what of a command is read and kept when. Reading lines is `logs/`, what is
left is `track/`, the page `report/`; a run in progress is followed by its files in `watched_log.py`.
"""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from headway.app.gathered import Gathered
from headway.app.process import Process
from headway.domain.errors import UserError
from headway.domain.observation import TIMED, Observation, Timed, timed_in
from headway.domain.units import format_duration, format_share
from headway.logs.lines.line_reader import LineReader
from headway.report.view import Page
from headway.report.watch_view import Ahead, WatchAnswer, watch_page
from headway.track.kept.journal import WATCHED_BY, Journal, new_id, now
from headway.track.kept.promise import Promise, promised
from headway.track.remaining import Course, Left, Remaining
from headway.track.slowdowns.causes import standing
from headway.track.slowdowns.changes import Changes
from headway.track.slowdowns.machine import outside
from headway.track.status import Due, status_line

SURE_SHARE = 0.01
"""`measure -- COMMAND` stops when the mean step is known so well."""
NOTHING = (
    "nothing in the output was recognised as progress of a training: looked for the Trainer's rows ({'loss': ...}), "
    "progress bars (25%|... 100/400 [00:10<00:30]), step lines (Step 10 | loss: 1.2; iteration 10/100), "
    "lines of epochs (Epoch 3/20, loss: 1.2) and MLLOG lines"
)
MAKE_VISIBLE = "Log more often (logging_steps=10), let Python print at once (PYTHONUNBUFFERED=1), or use headway.track."
SAMPLE_S = 20.0
"""Between two looks at the device that a command uses."""
LEAST_S = 10.0
"""And not before so long: a few steps that are alike say nothing of the next minute. Half a budget that is shorter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line says."""

    plan: str = ""
    experiment: str = ""
    stage: str = ""
    price: float | None = None
    total_steps: int | None = None
    total_epochs: int | None = None
    once: bool = False
    every_s: float = 10.0
    stale_s: float = 600.0
    quiet: bool = False
    to_stderr: bool = False
    """The output of a command makes room for data on stdout."""


class Follower:
    """A run as far as it was seen: sums, however long it is."""

    def __init__(self, asked: Asked) -> None:
        self.promise = promised(asked.plan, asked.experiment, asked.stage) if asked.plan else Promise()
        self.asked, self.tells_its_end = asked, False
        missing = self.promise.missing
        self.remarks = (f"{missing[:1].upper()}{missing[1:]}.",) if missing else ()
        course = Course(
            total_steps=asked.total_steps or self.promise.total_steps,
            total_epochs=asked.total_epochs,
            promised=self.promise.each_s,
            promised_units=self.promise.units,
            usd_per_hour=self.promise.usd_per_hour if asked.price is None else asked.price,
        )
        self.remaining, self.changes = Remaining(course), Changes()
        self._rank: int | None = None
        self._times: dict[str, Timed] = {}
        self._machine: Mapping[str, float] = {}

    def take(self, items: Iterable[Observation], total_steps: int | None) -> list[Observation]:
        """Take in what is new; what one process of the run says is kept."""
        if total_steps and self.asked.total_steps is None:
            self.remaining.course = replace(self.remaining.course, total_steps=total_steps)
        kept = [item for item in items if self._rank in (None, item.rank)]
        for item in kept:
            self._rank = kept[0].rank
            self.remaining.feed(item)
            self.changes.feed(item)
            self._machine = item.values if item.kind == "device" else self._machine
            for term, timed in timed_in(item):
                before = self._times.get(term, Timed(seconds=0.0, units=0.0))
                self._times[term] = Timed(seconds=before.seconds + timed.seconds, units=before.units + timed.units)
        return kept

    @property
    def seen(self) -> bool:
        """Whether anything of the run was."""
        return self._rank is not None

    @property
    def ended(self) -> bool:
        """Whether the run said that it is over, as headway's own events do; or took its last step, and every evaluation
        and save that it showed before is done.
        """
        left = self.remaining.left()
        done, total, _ = left.progress
        if self.remaining.ended or self.tells_its_end or total is None or not done >= total > 0:
            return self.remaining.ended
        return not any(part.kind == "measured" for part in left.parts)

    @property
    def settles_s(self) -> float:
        """Seconds without news from which a run that did all it meant to do is over: epochs may begin again, as those
        of a policy's updates or of another fold do.
        """
        epochs = self.remaining.epochs
        return 0.0 if epochs is None or self.remaining.ended else epochs.timed.each_s

    def left(self, since_s: float = 0.0) -> Left:
        """What is left, `since_s` after the last progress that was seen."""
        left = self.remaining.left()
        later = left.elapsed_s + since_s
        if left.p50_s is None or left.p90_s is None:
            return replace(left, elapsed_s=later)
        return replace(
            left, elapsed_s=later, p50_s=max(0.0, left.p50_s - since_s), p90_s=max(0.0, left.p90_s - since_s)
        )

    def line(self, since_s: float = 0.0) -> str:
        """The line of its status."""
        left = self.left(since_s)
        return status_line(left, bar=False, promise_p90_s=self._promised(left).p90_s)

    def _promised(self, left: Left) -> Promise:
        """What was promised of the steps that are this process's own; of all where it has none to do."""
        return self.promise.of(left.own_steps if left.own_steps and left.own_steps > 0 else None)

    def answer(self, title: str, state: str, source: str, since_s: float = 0.0) -> WatchAnswer:
        """The page's figures."""
        left = self.left(since_s)
        promise = self._promised(left)
        times = {term: self._times[term] for term in TIMED if term in self._times}
        if (epochs := self.remaining.epochs) is not None and epochs.timed.units:
            times = {"epoch": epochs.timed}  # all else that was timed is in them
        seconds = {term: timed.seconds for term, timed in times.items()}
        slow = standing(seconds, max(left.elapsed_s, 1e-9), self._machine)
        codes = {finding.code for finding in self.changes.found}
        return WatchAnswer(
            title=title,
            state=state,
            source=source,
            step=left.step,
            total_steps=left.total_steps,
            epoch=left.epoch,
            total_epochs=left.total_epochs,
            elapsed_s=left.elapsed_s,
            times=times,
            ahead=tuple(
                Ahead(term=one.term, units=one.units, p50_s=one.p50_s, p90_s=one.p90_s, kind=one.kind)
                for one in left.parts
            ),
            left_p50_s=left.p50_s,
            left_p90_s=left.p90_s,
            spent_usd=left.spent_usd,
            total_usd=left.total_usd,
            total_p90_usd=left.total_p90_usd,
            promise_p50_s=promise.p50_s,
            promise_p90_s=promise.p90_s,
            remarks=self.remarks,
            findings=(*self.changes.found, *(one for one in slow if one.code not in codes)),
        )


class _Session:
    """A command that runs, and what its output told."""

    def __init__(self, words: Sequence[str], asked: Asked, *, budget_s: float | None = None) -> None:
        self.words, self.asked, self.budget_s = words, asked, budget_s
        self.follower, self.reader = Follower(asked), LineReader()
        # moments count since the command began, not since the first line that told of one
        self.reader.course.take(Observation(kind="device", at_s=0.0, rank=-1))
        self.heard: list[Observation] = []
        """All that was said, where a budget bounds it: a measurement is made of it."""
        self.journal: Journal | None = None
        self._events: Gathered | None = None
        self._total_steps: int | None = None
        """As the journal says."""
        self.why = ""
        self._due = Due(live=False)
        self._began = self._last = time.monotonic()
        self._next_sample_s = 0.0
        self._started, self._run = now(), new_id()
        self._process = Process(
            words, alone=budget_s is not None, to_stderr=asked.to_stderr, variables={WATCHED_BY: self._run}
        )

    def run(self) -> int:
        """To its end; its exit code."""
        code = self._process.run(self._saw, self._tick)
        self._take(self.reader.close())
        if code == 0:
            self._take(self._last_epoch())
        if self._events is not None:
            self._events.flush()
        return code

    def _last_epoch(self) -> list[Observation]:
        """The epoch that headings leave open (`Epoch 5/5`), of a program that ended by itself."""
        left = self.follower.left()
        if self.why or left.epoch is None or left.total_epochs != left.epoch + 1:
            return []
        return [Observation(kind="epoch", epoch=float(left.total_epochs), values={"epochs": float(left.total_epochs)})]

    def _saw(self, text: str) -> None:
        self._take(self.reader.feed(text, at_s=time.monotonic() - self._began))

    def _take(self, items: list[Observation]) -> None:
        kept = self.follower.take(items, self.reader.total_steps)
        if kept:
            self._last = time.monotonic()
        if self.budget_s is not None:
            self.heard += kept
            return
        total_steps = self.follower.remaining.course.total_steps
        if self.journal is not None and total_steps != self._total_steps:
            self.journal.head(total_steps=total_steps)
        self._total_steps = total_steps
        if self._events is None and kept:
            self._events = self._opened()
        if self._events is not None:
            for item in kept:
                self._events.take(item)

    def _opened(self) -> Gathered:
        """The way into a journal: a command that trains nothing has none."""
        promise = self.follower.promise
        header = {"plan": promise.plan, "experiment": promise.experiment, "stage": promise.stage,
                  "total_steps": self._total_steps}  # fmt: skip
        self.journal = Journal(header, plan_file=self.asked.plan, run=self._run, started=self._started)
        return Gathered(self.journal.write)

    def _tick(self) -> None:
        now = time.monotonic()
        passed = now - self._began
        if self._events is not None:
            self._events.let_go(passed)
        if self.follower.seen and passed >= self._next_sample_s:
            self._next_sample_s = passed + SAMPLE_S
            self._sample(passed)
        if self.follower.seen and not self.asked.quiet and self._due.at(passed):
            self._process.say(self.follower.line(now - self._last))
        if self.budget_s is None:
            return
        early = passed < min(LEAST_S, self.budget_s / 2)
        sure = None if early else self.follower.remaining.precision
        if not self.why and sure is not None and sure < SURE_SHARE:
            self.why = f"the mean step is known to {format_share(sure)}, less than {format_share(SURE_SHARE)}"
        if not self.why and passed > self.budget_s:
            self.why = f"the budget of {format_duration(self.budget_s)} is spent"
        if self.why:
            self._process.stop()

    def _sample(self, passed: float) -> None:
        """The device, looked at from outside; not again where there is none."""
        values = outside()
        if not values:
            self._next_sample_s = math.inf
            return
        item = Observation(kind="device", at_s=passed, values=values)
        self.follower.take([item], None)
        if self._events is not None:
            self._events.take(item)

    def answer(self, code: int) -> WatchAnswer:
        """The page's figures after the end, with the run's record in the store."""
        title, source = _short(self.words), "+".join(sorted(self.reader.marks))
        wall_s = self.follower.remaining.elapsed_s = time.monotonic() - self._began
        over = code == 0 or self.follower.ended
        state = "stopped" if self.why else "ended" if over else "failed"
        found = replace(self.follower.answer(title, state, source), exit_code=code)
        if not self.follower.seen:
            unseen = (f"{NOTHING[:1].upper()}{NOTHING[1:]}.", MAKE_VISIBLE)
            return replace(
                found, next_command="", remarks=unseen if code == 0 else ("The command failed before any progress.",)
            )
        if over and not self.why and found.left_p50_s:
            found = replace(found, left_p50_s=0.0, left_p90_s=0.0, ahead=())
        if self.journal is None:
            return replace(found, remarks=(f"Stopped because {self.why}.",) if self.why else ())
        record = self.journal.record(
            wall_s=wall_s, steps=self.follower.remaining.done, total_steps=found.total_steps,
            epochs=None if (seen := self.follower.remaining.epochs) is None
            else (seen.done - seen.begun, found.total_epochs),
            stage=self.follower.promise.stage, name=_called(self.words), source="console",
            command=f"headway watch -- {Path(self.words[0]).name}",
        )  # fmt: skip
        if not self.follower.remaining.ended:
            self.journal.write(Observation(kind="end", at_s=wall_s, step=found.step))
        self.journal.keep(record)
        self.journal.close()
        return replace(found, run=self.journal.run, next_command=verify_command(self.journal.run, self.asked))


def watch_command(words: Sequence[str], asked: Asked) -> WatchAnswer:
    """Run a command and learn from its output; `exit_code` is its own. Raises UserError where it cannot be started."""
    session = _Session(words, asked)
    return session.answer(session.run())


def measure_command(
    words: Sequence[str], budget_s: float, plan: str = "", experiment: str = "", *, quiet: bool = False
) -> tuple[Page, bool]:
    """The rhythm of a command's steps and when it would end: run until that is known to 1 %, or `budget_s` is spent.

    It is stopped then: SIGINT, after 10 s SIGTERM, then SIGKILL. Returns the page, and whether it failed by itself.
    Its output goes to stderr; `quiet`: without lines of status. What was learnt is kept as a measurement of the
    experiment of a plan, where one is named. Raises PlanError or UsageError for these before it is run, UserError where
    it cannot be started, and where nothing in its output tells of progress.
    """
    if plan:
        from headway.app.rhythm import keep_rhythm, refuse_unknown  # the estimator, which watching alone does not need

        refuse_unknown(plan, experiment)
    session = _Session(words, Asked(to_stderr=True, quiet=quiet), budget_s=budget_s)
    code = session.run()
    answer, failed = session.answer(code), code != 0 and not session.why
    if not answer.times:
        ended = "" if session.why else f" It ended by itself with exit code {code}."
        raise UserError(f"a training's progress is measured; {NOTHING}", hint=f"{MAKE_VISIBLE}{ended}")
    if not plan:
        return watch_page(replace(answer, next_command=f"headway watch -- {shlex.join(words)}")), failed
    try:
        learnt = keep_rhythm(session.heard, answer.title, plan, experiment)
    except UserError as error:  # the rhythm is known all the same
        learnt = (f"Not kept as a measurement: {error.rule}, got {error.got}.",)
    then = shlex.join(["headway", "estimate", plan])
    return watch_page(replace(answer, remarks=(*answer.remarks, *learnt), next_command=then)), failed


def verify_command(run: str, asked: Asked) -> str:
    """What holds a run against the plan that was asked for."""
    plan = f" --plan {shlex.quote(asked.plan)}" if asked.plan else ""
    experiment = f" --experiment {shlex.quote(asked.experiment)}" if asked.experiment else ""
    return f"headway verify {shlex.quote(run)}{plan}{experiment}"


def _called(words: Sequence[str]) -> str:
    """`python train.py`: what a record calls a command, without arguments, which may hold paths and secrets."""
    script = [word for word in words[1:2] if Path(word).suffix in (".py", ".sh") and Path(word).is_file()]
    return " ".join(Path(word).name for word in (*words[:1], *script))


def _short(words: Sequence[str]) -> str:
    """The command, cut where it is long."""
    text = shlex.join(words)
    return text if len(text) <= 60 else f"{text[:59]}…"
