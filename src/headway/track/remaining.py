"""What is left of a run: seconds and money to its end, from what it said of itself so far.

Owns the sum over the phases to come, each at its own rate; the rate itself is `rhythm.py`. Knows no clock and no files:
observations come in, figures come out.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from headway.domain.observation import Observation
from headway.domain.units import Range
from headway.track.epochs import Epochs
from headway.track.rhythm import Rhythm, high_of_mean

ROUNDS = ("evaluation", "checkpoint", "final_save")
"""Phases that are paid per round, beside the steps."""
OVERDUE = 1.5
"""Rounds' distances after which one that did not come is not late, but further off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What a run means to do. What is None is learnt from the run, or stays unknown."""

    total_steps: int | None = None
    """Optimizer steps at its end; micro-batches are no steps."""
    total_epochs: int | None = None
    """Passes over the data at its end, for a run that tells of these alone."""
    evaluate_every: float | None = None
    """Optimizer steps between two evaluations; 0: none."""
    save_every: float | None = None
    """Optimizer steps between two checkpoints; 0: none."""
    round_at_end: Container[str] = ()
    """Phases that also follow the last step, where their interval does not end there."""
    final_saves: int = 0
    """Saves after the last step."""
    tokens_per_step: float | None = None
    """Mean tokens, padding included, of the steps to come; None: as in those seen."""
    promised: Mapping[str, Range] = field(default_factory=dict)
    """Seconds of one unit by term (`step`, `evaluation`, ...) of an estimate, for phases not seen yet."""
    promised_units: Mapping[str, float] = field(default_factory=dict)
    """How often each of them is paid in the whole run, where nothing else says it."""
    usd_per_hour: float | None = None
    """What all devices together cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One phase to come."""

    term: str
    units: float
    each_s: float | None
    """Median seconds of one; None: nothing is known of it."""
    p50_s: float | None
    p90_s: float | None
    kind: str
    """`measured` in this run, `promised` by the estimate, or `unknown`."""


class Progress(NamedTuple):
    """How far a run is."""

    done: int
    total: int | None
    unit: str
    """`step` or `epoch`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What is left of a run at one moment."""

    step: int
    total_steps: int | None
    elapsed_s: float
    """Of this process, since its first known moment."""
    parts: tuple[Part, ...]
    p50_s: float | None
    """Sum of the known parts; None where the number of steps or their rate is not known."""
    p90_s: float | None
    usd_per_hour: float | None = None
    own_steps: int | None = None
    """Of `total_steps`, those that no earlier process did, of which nothing was seen."""
    epoch: int | None = None
    """Epochs that are done, of a run that tells of these and of no steps."""
    total_epochs: int | None = None
    """Those at its end."""

    @property
    def progress(self) -> Progress:
        """How far it is: in steps, or in epochs where it tells of these alone."""
        if self.epoch is None:
            return Progress(self.step, self.total_steps, "step")
        return Progress(self.epoch, self.total_epochs, "epoch")

    @property
    def unknown(self) -> tuple[str, ...]:
        """Phases that come and of which nothing is known: the sums are without them."""
        return tuple(part.term for part in self.parts if part.kind == "unknown")

    @property
    def spent_usd(self) -> float | None:
        """Money so far; None without a price."""
        return self._usd(self.elapsed_s)

    @property
    def total_usd(self) -> float | None:
        """Money at the end, at the median; None without a price or a forecast."""
        return None if self.p50_s is None else self._usd(self.elapsed_s + self.p50_s)

    @property
    def total_p90_usd(self) -> float | None:
        """The same at p90."""
        return None if self.p90_s is None else self._usd(self.elapsed_s + self.p90_s)

    def _usd(self, seconds: float) -> float | None:
        return None if self.usd_per_hour is None else seconds / 3600.0 * self.usd_per_hour


class Remaining:
    """Fed with a run's observations in order, says what is left of it.

    Only this attempt's rates count: what an earlier attempt did is done, not fast. The first step of an attempt
    (compilation, caches, allocator) counts as time, not as rate, as soon as there is a second.
    """

    def __init__(self, course: Course) -> None:
        self.course = course
        self.step = 0
        self.elapsed_s = 0.0
        self.ended = False
        self._start = 0
        self._origin: int | None = None
        self._attempt = 0
        self._first: Observation | None = None
        self._pending_wait_s = 0.0
        self._rhythm = Rhythm()
        self._rounds: dict[str, dict[int, float]] = {kind: {} for kind in ROUNDS}
        self._epochs, self._stepped = Epochs(), False

    def feed(self, item: Observation) -> None:
        """Take in one observation; those of a kind without a future are elapsed time alone.

        A sample of the machine is not even that: the time since the last progress goes on.
        """
        if item.kind == "begin" or item.attempt > self._attempt:
            self._begin(item)
        if item.kind == "device":
            return
        if item.at_s is not None:
            self.elapsed_s = max(self.elapsed_s, item.at_s)
        elif item.seconds is not None:
            self.elapsed_s += item.seconds
        if item.kind == "step":
            self._step(item)
        elif item.kind in self._rounds and item.seconds is not None:
            rounds, at = self._rounds[item.kind], self.step if item.step is None else item.step
            rounds[at] = rounds.get(at, 0.0) + item.seconds  # several data sets at one step are one round
        elif item.kind == "data_wait":
            self._pending_wait_s += item.seconds or 0.0
        elif item.kind == "epoch":
            if item.seconds is None and (item.epoch or 0.0) < self._epochs.done:  # another training
                self._epochs = Epochs()
            self._epochs.feed(item)
        elif item.kind == "end":
            self.ended = True

    def _begin(self, item: Observation) -> None:
        """A fresh attempt: its rates are its own."""
        self._attempt = max(self._attempt, item.attempt)
        self._first, self._rhythm, self._pending_wait_s, self.ended = None, Rhythm(), 0.0, False
        if item.step is not None:
            self.step = item.step if item.kind != "step" else item.step - (item.steps or 1)
        self._start = self.step

    def _step(self, item: Observation) -> None:
        self.ended = False  # a loop that was over goes on
        self._stepped = self._stepped or item.step is not None or item.seconds is not None
        covered = item.steps or (item.step - self.step if item.step is not None else 1)
        if item.step is not None and item.step < self.step:  # it went back: a restart that nobody announced
            covered = item.steps or 1
            self._begin(item)
        if self._first is None and not self._rhythm and item.step is not None:
            self._start = item.step - covered
        self._origin = self._start if self._origin is None else self._origin
        self.step = self.step + covered if item.step is None else item.step
        if item.seconds is None or covered <= 0:
            return
        if self._first is None:
            self._first, self._pending_wait_s = item, 0.0
            self._rhythm.see_tokens(covered, item.tokens)
            return
        wait_s = self._pending_wait_s + min(item.wait_s or 0.0, item.seconds)
        self._rhythm.add(covered, item.seconds + self._pending_wait_s, wait_s, item.tokens)
        self._pending_wait_s = 0.0

    @property
    def done(self) -> int:
        """Optimizer steps since the first that was seen began: without those of an earlier process."""
        return 0 if self._origin is None else max(0, self.step - self._origin)

    @property
    def epochs(self) -> Epochs | None:
        """Its epochs, where it tells of these and of no steps."""
        return self._epochs if self._epochs.seen and not self._stepped else None

    @property
    def precision(self) -> float | None:
        """How sure the pace is: its p90 above its mean, as a share; None where too little was seen."""
        return self._rhythm.precision if self.epochs is None else self.epochs.precision

    def left(self) -> Left:
        """What is left now; arithmetic over at most some dozen batches, to be asked about once a second."""
        total, epochs = self.course.total_steps, self.epochs
        if epochs is None:
            done, end, parts = self.step, total, self._to_come(total)
        else:
            done, end = epochs.done, epochs.total(self.course.total_epochs)
            parts = self._of_epochs(epochs, end)
        known = [part for part in parts if part.p50_s is not None and part.p90_s is not None]
        paced = done == end or any(part.term in ("step", "epoch") for part in known)
        says = self.ended or (end is not None and paced)
        p50 = sum(part.p50_s or 0.0 for part in known)
        over = math.sqrt(sum(((part.p90_s or 0.0) - (part.p50_s or 0.0)) ** 2 for part in known))
        return Left(
            step=self.step,
            total_steps=total,
            elapsed_s=self.elapsed_s,
            parts=tuple(parts),
            p50_s=p50 if says else None,
            p90_s=p50 + over if says else None,
            usd_per_hour=self.course.usd_per_hour,
            own_steps=None if total is None else total - (self._start if self._origin is None else self._origin),
            epoch=None if epochs is None else epochs.done,
            total_epochs=None if epochs is None else end,
        )

    def _to_come(self, total: int | None) -> list[Part]:
        """All phases up to the last step."""
        if total is None or self.ended:
            return []
        evaluations = self._every("evaluation", self.course.evaluate_every, total)
        saves = self._every("checkpoint", self.course.save_every, total)
        return [*self._steps(max(0, total - self.step)), *evaluations, *saves, *self._final()]

    def _of_epochs(self, epochs: Epochs, total: int | None) -> list[Part]:
        """The epochs to come, with all that is done in them."""
        if total is None or self.ended or total <= epochs.done:
            return []
        each_s, high_s = epochs.each_s(total - epochs.done) or (None, None)
        return [_part("epoch", total - epochs.done, each_s, high_s)]

    def _steps(self, to_do: int) -> list[Part]:
        """Computing and waiting for the steps to do."""
        if not to_do:
            return []
        if not self._rhythm:
            return [self._early(to_do)]
        if not self._rhythm.seconds:  # lines that came at once, as from a pipe that was full, tell no pace
            return [_part("step", to_do, None, None)]
        pace = self._rhythm.pace(to_do, self.course.tokens_per_step)
        parts = [_part("step", to_do, pace.step_s, pace.step_high_s)]
        if pace.wait_s > 0:
            parts.append(_part("data_wait", to_do, pace.wait_s, pace.wait_high_s))
        return parts

    def _early(self, to_do: int) -> Part:
        """Before a second step: the promise, else the first step, which may be far too slow."""
        promised, first = self.course.promised.get("step"), self._first
        if promised is not None:
            return _part("step", to_do, promised.mid, promised.high, "promised")
        if first is None or first.seconds is None:
            return _part("step", to_do, None, None)
        each_s = first.seconds / max(1, first.steps or 1)
        return _part("step", to_do, each_s, high_of_mean([each_s], 1.0))

    def _seen_every(self, rounds: Sequence[int]) -> float | None:
        """Steps between rounds, by those seen; None where the only one was made when the training began."""
        if len(rounds) == 1 and rounds[0] - self._start <= 1 < self.step - rounds[0]:
            return None
        every, since = rounds[-1] - (rounds[-2] if len(rounds) > 1 else self._start), self.step - rounds[-1]
        # Where the next one did not come when it was due, they are further apart than these were.
        return float(since) if since > OVERDUE * every else float(every)

    def _every(self, term: str, every: float | None, total: int) -> list[Part]:
        """The rounds of one phase up to the last step: those due and not seen."""
        rounds = [at for at in self._rounds[term] if at > self._start]
        if every is None and rounds:
            every = self._seen_every(rounds)
        if every is None:
            units = self.course.promised_units.get(term, 0.0) * max(0.0, 1.0 - self.step / max(1, total))
            return [self._round(term, math.ceil(units - 1e-9), [])] if units > 0 else []
        if every <= 0:
            return []
        whole = math.ceil(total / every - 1e-9) if term in self.course.round_at_end else _rounds_up_to(total, every)
        due = whole - max(
            _rounds_up_to(max(self._start, self.step - 1), every),
            # inside a loop's body, the step that a round follows is not counted yet
            math.floor(max(rounds, default=self._start) / every + 0.5) if rounds else 0,
        )
        return [self._round(term, due, list(self._rounds[term].values()))] if due > 0 else []

    def _final(self) -> list[Part]:
        due = max(self.course.final_saves, round(self.course.promised_units.get("final_save", 0.0))) - len(
            self._rounds["final_save"]
        )
        if due <= 0:
            return []
        seen = list(self._rounds["final_save"].values()) or list(self._rounds["checkpoint"].values())
        return [self._round("final_save", due, seen)]

    def _round(self, term: str, due: int, seen: list[float]) -> Part:
        promised = self.course.promised.get(term)
        if seen:
            return _part(term, due, sum(seen) / len(seen), high_of_mean(seen, due))
        if promised is not None:
            return _part(term, due, promised.mid, promised.high, "promised")
        return _part(term, due, None, None)


def _rounds_up_to(step: float, every: float) -> int:
    return math.floor(step / every + 1e-9)


def _part(term: str, units: float, each_s: float | None, high_s: float | None, kind: str = "measured") -> Part:
    """`units` of a phase at `each_s` seconds, `high_s` at p90."""
    return Part(
        term=term,
        units=units,
        each_s=each_s,
        p50_s=None if each_s is None else units * each_s,
        p90_s=None if high_s is None else units * high_s,
        kind="unknown" if each_s is None else kind,
    )
