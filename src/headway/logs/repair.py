"""The laws that every run log is brought under: one clock, attempts, steps that are covered, seconds from moments.

Owns what readers share once a line is understood: restarts, clock jumps, several ranks, gaps between moments. Works
on one observation after the other, so that a run in progress is read by the same rules as a whole file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Final

from headway.domain.observation import TIMED, Observation
from headway.logs.text import Problems

JUMP: Final = 100.0
"""A gap of so many usual ones is a jump of the clock (or the machine slept): nothing that a run does is that long."""
SHORTEST_JUMP_S: Final = 60.0
"""Below that an unsaid evaluation or save is likelier than a clock that was set."""
SLACK_S: Final = 1.5
"""Moments are written in whole seconds and by several threads: so far back is not a jump."""
MOST_UNTOLD: Final = 1_000
"""Steps that a log's first line may stand for: nobody is told of less than every thousandth."""
AT_ODDS: Final = 2.0
"""A time of one step that makes so many times what passed is not of one step, or not of all of them."""


@dataclass(slots=True)
class _Track:
    """Where one process of the run is."""

    attempt: int = 0
    step: int | None = None
    stride: int | None = None
    at_s: float | None = None
    offset_s: float = 0.0
    moving: bool = False
    """Whether the attempt has shown a moment, from which the next gap counts."""
    passed_s: float = 0.0
    """Since the last step."""
    taken_s: float = 0.0
    """Of `passed_s`, by what is not training."""
    untold: int = 0
    """Steps since the last moment that showed none and no time: that of the next one is theirs too."""
    gaps_s: deque[float] = field(default_factory=lambda: deque(maxlen=101))
    begun: bool = False
    fresh: bool = False
    """Whether the attempt has begun and has shown no step yet."""


class Course:
    """Puts observations, given in the order of the file, under the laws.

    `at_s` may come on any clock (since the start, or since 1970) and goes out since the first known moment; `seconds`
    of a step, where it is not said, is the time since the moment before, less what else was timed in between;
    `steps`, where it is not said, are those since the step before. A step that goes back, or a second `begin`, starts
    another attempt.
    """

    def __init__(self, *, restarts: bool = True) -> None:
        self.problems = Problems()
        self._restarts = restarts
        self._zero_s: float | None = None
        self._tracks: dict[int, _Track] = {}

    def take(self, said: Observation, *, each_s: float | None = None) -> Observation:
        """`said` under the laws; `each_s` is the time of one step, where the log says that instead."""
        track = self._tracks.setdefault(said.rank, _Track())
        self._attempt(track, said)
        steps = self._steps(track, said)
        if each_s is not None and steps:
            steps = 1 if track.step is None and said.steps is None and self._before(said, each_s) else steps
            said = replace(said, seconds=self._believed_s(track, said, each_s * steps))
        at_s, seconds = self._moment(track, said, steps)
        if said.kind == "step" and said.step is not None:
            track.step = said.step
            if said.at_s is None and seconds is None:
                track.untold += steps or 0
            elif steps:
                track.untold = 0
        return replace(said, at_s=at_s, seconds=seconds, steps=steps, attempt=track.attempt)

    def _attempt(self, track: _Track, said: Observation) -> None:
        """Counts a new attempt where one begins, and moves its clock behind the last one's."""
        again = said.kind == "begin" and track.begun
        back = said.kind == "step" and said.step is not None and track.step is not None and said.step < track.step
        # Rows without a step may stand before the first bar of the training that they are of.
        numbered = said.kind == "step" and said.step is not None
        track.begun = track.begun or numbered or said.kind in ("begin", "end")
        if not self._restarts or not (again or back or said.attempt > track.attempt):
            track.fresh = track.fresh and said.kind != "step"
            return
        # A step that goes back after a `begin` is of the attempt which that opened.
        if not (back and track.fresh):
            track.attempt = max(track.attempt + 1, said.attempt)
            if said.at_s is not None and self._zero_s is not None and track.at_s is not None:
                shown = said.at_s - self._zero_s + track.offset_s
                track.offset_s += max(0.0, track.at_s - shown)
            track.moving, track.untold = False, 0
        track.fresh = said.kind == "begin"
        if said.kind == "begin" and said.step is not None:
            track.step = said.step  # of another training, whose steps are others
        if back and said.step is not None and track.step is not None:
            before = max(0, said.step - (said.steps or track.stride or 1))
            twice = track.step - before
            self.problems.append(
                f"restarted: after step {track.step} comes step {said.step}; {twice} steps were done twice"
            )
            track.step = before

    def _steps(self, track: _Track, said: Observation) -> int | None:
        if said.kind != "step" or said.step is None:
            return said.steps
        if track.step is None:
            steps = said.steps if said.steps is not None else (said.step if track.attempt == 0 else None)
        else:
            steps = max(0, said.step - track.step)
            track.stride = steps or track.stride
        return said.steps if said.steps is not None else steps

    def _before(self, said: Observation, each_s: float) -> bool:
        """Whether the first step that is told of cannot end all steps up to it: a log was cut, or its run resumed."""
        if said.step is None or said.step > MOST_UNTOLD:
            return True
        if said.at_s is None or self._zero_s is None:
            return False
        return said.step * each_s > AT_ODDS * (said.at_s - self._zero_s) + SLACK_S

    def _believed_s(self, track: _Track, said: Observation, own_s: float) -> float:
        """Seconds of steps by the time of one, or what the moments leave where that is less than half of it.

        Moments that are near each other say nothing: lines may come at once that were written one after the other.
        """
        if said.at_s is None or self._zero_s is None or track.at_s is None or not track.moving:
            return own_s
        passed_s = track.passed_s + said.at_s - self._zero_s + track.offset_s - track.at_s
        if not SLACK_S < passed_s < own_s / AT_ODDS:
            return own_s
        self.problems.append(
            f"the time of one step is {AT_ODDS:g} times what the moments leave it, or more: the moments are believed"
        )
        return max(0.0, passed_s - track.taken_s)

    def _moment(self, track: _Track, said: Observation, steps: int | None) -> tuple[float | None, float | None]:
        """When `said` was over, and how long it took."""
        timed = said.kind in TIMED and said.kind != "step"
        if said.at_s is None:
            track.taken_s += (said.seconds or 0.0) if timed else 0.0
            return None, said.seconds
        if self._zero_s is None:
            # The first known moment is when the first thing that was timed began.
            self._zero_s = said.at_s - (said.seconds or 0.0)
        at_s = said.at_s - self._zero_s + track.offset_s
        if said.kind == "epoch":  # told of beside steps: their gaps go on
            return max(at_s, 0.0), said.seconds
        if not track.moving:
            track.at_s = at_s if track.at_s is None else max(at_s, track.at_s)
            track.moving, track.taken_s, track.passed_s = True, 0.0, 0.0
            return track.at_s, said.seconds
        last_s = track.at_s or 0.0
        gap = self._gap(track, said, at_s - last_s, steps)
        if abs(gap - (at_s - last_s)) > SLACK_S:
            track.offset_s += gap - (at_s - last_s)
        track.at_s = last_s + gap
        track.passed_s += gap
        own = self._own_s(track, said, gap, steps)
        if timed:
            track.taken_s += own or 0.0
        if said.kind == "begin" or (said.kind == "step" and steps):
            track.taken_s, track.passed_s = 0.0, 0.0
        return track.at_s, own

    def _own_s(self, track: _Track, said: Observation, gap: float, steps: int | None) -> float | None:
        """Seconds of `said`: a step has what passed since the last one and was not something else's."""
        if said.kind == "step" and steps:
            training_s = max(0.0, track.passed_s - track.taken_s)
            if track.untold:
                training_s *= steps / (steps + track.untold)
            track.gaps_s.append(training_s / steps)
            return training_s if said.seconds is None else said.seconds
        return gap if said.seconds is None and said.kind in ("evaluation", "checkpoint") else said.seconds

    def _gap(self, track: _Track, said: Observation, gap: float, steps: int | None) -> float:
        """The time since the moment before, a usual one where the clock jumped."""
        usual = (median(track.gaps_s) if track.gaps_s else 0.0) * ((steps or 1) + track.untold)
        place = f"at step {said.step}" if said.step is not None else f"at a line of kind {said.kind}"
        if gap < 0:
            if gap >= -SLACK_S:
                return 0.0
            self.problems.append(f"the clock went back by {-gap:,.0f} s {place}: replaced by the usual {usual:.3g} s")
            return usual
        limit = max(JUMP * max(usual, said.seconds or 0.0), SHORTEST_JUMP_S) + track.taken_s
        if len(track.gaps_s) >= 3 and gap > limit and said.kind == "step":
            self.problems.append(
                f"the clock jumped by {gap:,.0f} s {place}: replaced by the usual {usual:.3g} s"
                " (it was set, the machine slept, or what the log does not name took that long)"
            )
            return usual
        return gap


def settled(
    observations: Iterable[Observation], problems: list[str], *, restarts: bool = True
) -> tuple[Observation, ...]:
    """All `observations` of a file under the laws of `Course`; what was repaired is added to `problems`."""
    course = Course(restarts=restarts)
    found = tuple(course.take(item) for item in observations)
    problems.extend(course.problems)
    return found
