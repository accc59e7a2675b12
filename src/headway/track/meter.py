"""One run being tracked: what its loop or trainer reports becomes events, a line now and then, and a record at the end.

Owns the grouping of short steps and what each of them may cost (tens of microseconds); clocks are read here.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from headway.domain.observation import Observation
from headway.track.kept.journal import Journal
from headway.track.kept.promise import promised
from headway.track.remaining import Course, Left, Remaining
from headway.track.screen import Screen
from headway.track.slowdowns.causes import standing
from headway.track.slowdowns.changes import Changes
from headway.track.slowdowns.machine import Sampler
from headway.track.status import Due, status_line

VARIABLE = "HEADWAY_TRACK"
"""`quiet`: no lines; `off`: no files either."""
SHORTEST_S = 0.5
"""Steps are gathered into events at least so long, and never more than `MOST_EVENTS` to the time so far: an event costs
half a millisecond, and a step of 10 ms may cost 50 microseconds (benchmarks/track.py)."""
MOST_EVENTS = 10_000
LONE_EVENTS = 3
"""First steps that are events of their own, however short: a first one that compiles must not stand for all."""
SAMPLE_S = 10.0
RANKS = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK")
"""Where a process finds its rank: torchrun's name first, which starts processes of its own under each of the others."""
TOLD_S = 60.0
"""A run that is shorter is a trial: nobody asks why it was slow."""


class Meter:
    """Counts and times the steps of a run, and writes and says so.

    `header` goes into the file of events; `course` is what the run means to do; `beside_bar` says that a trainer draws
    a progress bar too. Processes of rank above 0 count and say nothing.
    """

    def __init__(
        self,
        course: Course,
        *,
        plan: str = "",
        experiment: str = "",
        stage: str = "",
        run_dir: str | os.PathLike[str] | None = None,
        quiet: bool = False,
        beside_bar: bool = False,
        step: int = 0,
        **header: Any,
    ) -> None:
        promise = promised(plan, experiment, stage)
        self.promise, self.stage, self.step, self._start = promise, stage, step, step
        self.remaining, self.changes = Remaining(_with_promise(course, promise)), Changes()
        said = os.environ.get(VARIABLE, "")
        leads = _leads()
        loud = leads and not quiet and said not in ("quiet", "off")
        self._screen = Screen(loud=loud, beside_bar=beside_bar)
        if self._screen.loud and promise.missing:
            self._screen.warn(promise.missing)
        self._due, self._sampler = Due(live=self._screen.live), Sampler()
        names = {"plan": promise.plan, "experiment": promise.experiment or experiment, "stage": stage}
        total = self.remaining.course.total_steps
        self.journal = (
            Journal({**names, "total_steps": total, **header}, plan_file=plan, folder=run_dir)
            if leads and said != "off"
            else None
        )
        self._began = time.perf_counter()
        self._mark = self._began
        self._carried_s = self._wait_s = 0.0
        self._steps, self._tokens, self._rows = 0, 0.0, 0.0
        self._next_s = self._next_sample_s = 0.0
        self._lone = LONE_EVENTS
        self._epoch: float | None = None
        self.ended = self._said_end = False
        self._machine: dict[str, float] = {}
        self._see(Observation(kind="begin", at_s=0.0, step=step, stage=stage))

    def waited(self, seconds: float) -> None:
        """The loop waited so long for its next batch."""
        self._wait_s += seconds

    def batch(self, tokens: float = 0.0, rows: float = 0.0) -> None:
        """One micro-batch of the step in progress."""
        self._tokens += tokens
        self._rows += rows

    def step_done(self, epoch: float | None = None) -> None:
        """An optimizer step is over."""
        self.step += 1
        self._steps += 1
        self._epoch = epoch
        now = time.perf_counter()
        at_s = now - self._began
        if at_s >= self._next_s:
            self._flush(now)
            self._lone -= 1
            self._next_s = 0.0 if self._lone > 0 else at_s + max(SHORTEST_S, at_s / MOST_EVENTS)
            self._beside(at_s)

    @contextmanager
    def phase(self, kind: str) -> Iterator[None]:
        """Everything inside is one evaluation, checkpoint, final_save, load ..., and no part of a step.

        What an exception ends was none: its time is nobody's.
        """
        self.phase_begins()
        try:
            yield
        except BaseException:  # Ctrl-C too: an evaluation that was stopped is none; it goes on to whoever stopped it
            self._mark = time.perf_counter()
            raise
        self.phase_ends(kind)

    def phase_begins(self, at: float | None = None) -> None:
        """From now on, or from the moment `at` of `time.perf_counter`, time is a phase's, until `phase_ends`.

        After the end of the run, what lies between that and the phase is nobody's time.
        """
        now = time.perf_counter() if at is None else max(at, self._mark)
        if self.ended:
            self._began += now - self._mark
            self._mark = now
        elif self._steps:
            self._flush(now)
        else:
            self._carried_s += now - self._mark
            self._mark = now

    def phase_ends(self, kind: str) -> None:
        """What lasted since `phase_begins` was `kind`."""
        now = time.perf_counter()
        self._see(
            Observation(kind=kind, at_s=now - self._began, seconds=now - self._mark, step=self.step, stage=self.stage)
        )
        self._mark = now
        if self.ended:
            self.ended = False
            self.finish()

    def resume(self) -> None:
        """The loop goes on, also after it was closed: its next step is told at once, for `watch` to see that."""
        if self.ended:
            self.ended = self._said_end = False
            self._next_s = 0.0

    def goes_to(self, total_steps: int) -> None:
        """The run means to take so many steps, more than it said before."""
        self.remaining.course = replace(self.remaining.course, total_steps=total_steps)
        if self.journal is not None:
            self.journal.head(total_steps=total_steps)

    def left(self) -> Left:
        """What is left now."""
        return self.remaining.left()

    def finish(self, at: float | None = None) -> None:
        """Close the run, now or at the moment `at`: the last steps, `end`, and its record.

        A phase after it closes it once more.
        """
        if self.ended:
            return
        self.ended = True
        now = time.perf_counter() if at is None else max(at, self._mark)
        if self._steps:
            self._flush(now)
        self._mark = now
        self._see(Observation(kind="end", at_s=now - self._began, step=self.step, stage=self.stage))
        if self._screen.loud and now - self._began >= 1.0 and not self._said_end:
            self._say(last=True)
            self._said_end = True
            if now - self._began >= TOLD_S:
                self._tell_standing()
        if self.journal is not None:
            total = self.remaining.course.total_steps
            name = self.promise.experiment or self.journal.run
            wall_s, steps = now - self._began, self.step - self._start
            body = self.journal.record(wall_s=wall_s, steps=steps, total_steps=total, stage=self.stage, name=name)
            self.journal.keep(body)

    def _flush(self, now: float) -> None:
        """The gathered steps as one event."""
        seconds = now - self._mark + self._carried_s
        self._see(
            Observation(
                kind="step",
                at_s=now - self._began,
                seconds=seconds,
                step=self.step,
                steps=self._steps,
                epoch=self._epoch,
                rows=self._rows or None,
                tokens=self._tokens or None,
                wait_s=min(self._wait_s, seconds),
                stage=self.stage,
            )
        )
        self._mark, self._carried_s, self._wait_s = now, 0.0, 0.0
        self._steps, self._tokens, self._rows = 0, 0.0, 0.0

    def _see(self, item: Observation) -> None:
        self.remaining.feed(item)
        finding = self.changes.feed(item)
        if self.journal is not None:
            self.journal.write(item)
        if finding is not None and self._screen.loud:
            self._screen.warn(f"{finding.code} {finding.message}\n  {finding.hint}")

    def _beside(self, at_s: float) -> None:
        """A sample of the machine and a line, where they are due."""
        if at_s >= self._next_sample_s:
            self._next_sample_s = at_s + SAMPLE_S
            self._machine = self._sampler.sample()
            self._see(Observation(kind="device", at_s=at_s, values=self._machine, stage=self.stage))
        if self._screen.loud and self._lone < LONE_EVENTS - 1 and self._due.at(at_s):
            self._say()

    def _say(self, *, last: bool = False) -> None:
        left = self.left()
        text = status_line(left, bar=self._screen.live, promise_p90_s=self.promise.of(left.own_steps).p90_s)
        self._screen.status(text, last=last)

    def _tell_standing(self) -> None:
        """What was slow from the beginning, which no change of pace has told."""
        told = {one.code for one in self.changes.found}
        seconds = {} if self.journal is None else {term: t.seconds for term, t in self.journal.times().items()}
        for one in standing(seconds, self.remaining.elapsed_s, self._machine):
            if one.code not in told:
                self._screen.warn(f"{one.code} {one.message}\n  {one.hint}")


def _leads() -> bool:
    """Whether this process speaks for the run: torch knows, where its processes have met; else who started it."""
    torch = sys.modules.get("torch")
    distributed = getattr(torch, "distributed", None)
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return bool(distributed.get_rank() == 0)
    return next((said for name in RANKS if (said := os.environ.get(name))), "0") == "0"


def _with_promise(course: Course, promise: Any) -> Course:
    """The course, completed by what an estimate promised."""
    return replace(
        course,
        total_steps=course.total_steps or promise.total_steps,
        promised=course.promised or promise.each_s,
        promised_units=course.promised_units or promise.units,
        usd_per_hour=promise.usd_per_hour if course.usd_per_hour is None else course.usd_per_hour,
    )
