"""Rows of metrics in their order, told as observations: which steps each covers, and whose time lies before it.

Owns what is known of a run between two rows; what one row says is `rows.py`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Final

from headway.domain.observation import Observation

_LATE: Final = 2
"""A log that begins after so many of its intervals is of a run that was resumed."""
_WRITTEN_S: Final = 0.05
"""Rows that are so near each other were written one after the other, with nothing done between them."""
_AT_ONCE_S: Final = 1.0
"""What came before the first steps is told apart from them where it took longer than this and than they usually do."""
COPIED_ROW_S: Final = 0.001
"""Rows of so many steps that are nearer each other than this were written after the training, from a list of them."""
FEWEST_COPIED: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a row says: that a run begins, that steps were done, or that it was evaluated (and steps were done)."""

    kind: str
    at_s: float | None
    step: int | None
    seconds: float | None = None
    """Of the evaluation."""
    each_s: float | None = None
    """Of one step."""
    epoch: float | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    trained: Mapping[str, float] = field(default_factory=dict)
    """What a row of evaluation also says of training."""


def undated(parts: Sequence[Part]) -> list[Part]:
    """The parts without their moments, where those are of a copy, so that nothing was trained between them; an empty
    list where they are the run's own.
    """
    moments = [part.at_s for part in parts if part.kind == "step" and part.at_s is not None]
    gaps_s = [after - before for before, after in itertools.pairwise(moments)]
    if len(gaps_s) < FEWEST_COPIED or not median(gaps_s) < COPIED_ROW_S:
        return []
    return [replace(part, at_s=None) for part in parts]


def usual_s(parts: Sequence[Part]) -> float | None:
    """Median seconds of a step over the intervals between neighbouring training rows."""
    found = []
    for before, after in itertools.pairwise(parts):
        if before.kind == after.kind == "step" and None not in (before.at_s, after.at_s, before.step, after.step):
            steps = (after.step or 0) - (before.step or 0)
            gap_s = (after.at_s or 0.0) - (before.at_s or 0.0)
            if steps > 0 and gap_s >= 0:
                found.append(gap_s / steps)
    return median(found) if found else None


def stride(parts: Sequence[Part]) -> int | None:
    """The usual number of steps between training rows; None where fewer than three show it."""
    steps = [part.step for part in parts if part.kind == "step" and part.step is not None]
    found = [after - before for before, after in itertools.pairwise(steps) if after > before]
    return int(median(found)) if len(found) > 1 else None


class Teller:
    """Tells parts as observations, one after the other; knows how far the run is and when it last said something."""

    def __init__(self, usual_s: float | None, stride: int | None) -> None:
        self._usual_s = usual_s
        self._done: int | None = 0
        self._at_s: float | None = None
        self._attempts = 0
        self._stepped = False
        self._stride = stride
        self._at_start = False
        self._evaluated: int | None = None
        self.shared = 0
        """Evaluations whose time cannot be told from that of the steps before them."""

    def tell(self, part: Part) -> Iterable[Observation]:
        """The observations of one part."""
        if part.kind == "begin":
            told = [Observation(kind="begin", at_s=part.at_s, step=part.step)]
            self._attempts += 1
            self._done = 0 if self._attempts == 1 else None
            self._stepped = False
        elif part.kind == "step":
            told = self._step(part)
        else:
            told = self._evaluation(part)
        self._evaluated = part.step if part.kind == "evaluation" else None
        self._at_s = part.at_s if part.at_s is not None else self._at_s
        return told

    def _ahead(self, part: Part) -> int:
        """Steps that were done since the last that is known of."""
        return max(0, part.step - self._done) if part.step is not None and self._done is not None else 0

    def _beyond_s(self, part: Part) -> float | None:
        """What the interval before `part` lasts beyond its usual steps."""
        if part.at_s is None or self._at_s is None or self._usual_s is None:
            return None
        return part.at_s - self._at_s - self._usual_s * self._ahead(part)

    def _step(self, part: Part) -> list[Observation]:
        late = self._done is None or (not self._stepped and self._ahead(part) > _LATE * (self._stride or math.inf))
        resumed = late and part.step is not None and self._stride is not None
        if resumed:  # from a checkpoint that no row tells of; the interval of logging says how far back at most
            self._done = (part.step or 0) - (self._stride or 0)
        steps, first = self._ahead(part), not self._stepped
        if part.step is not None and part.step == self._done and not first:
            return []  # a step told twice, as Lightning tells the means of an epoch: nothing more was done
        told = []
        usual_s = (self._usual_s or 0.0) * steps
        before_s = self._beyond_s(part) if first and steps else None
        if before_s is not None and part.at_s is not None and before_s > max(_AT_ONCE_S, usual_s):
            told.append(Observation(kind="load", at_s=part.at_s - usual_s, seconds=before_s))
        step = _step(part, part.at_s, self._took_s(part, steps, part.at_s), part.values)
        told.append(replace(step, steps=steps) if resumed else step)
        self._went(part)
        return told

    def _evaluation(self, part: Part) -> list[Observation]:
        steps, took_s, told = self._ahead(part), part.seconds, []
        if took_s is not None and steps and self._is_alone(part, took_s):
            self._went(part)
            return [_evaluated(part, took_s)]
        if took_s is None and not steps and self._stepped and self._since_s(part) < _WRITTEN_S:
            self.shared += 1
            return [replace(_evaluated(part, None), at_s=None)]
        if steps:
            beyond_s = self._beyond_s(part)
            took_s = max(0.0, beyond_s) if took_s is None and beyond_s is not None else took_s
            if took_s is None and not part.trained:
                return [replace(_evaluated(part, None), at_s=None)]  # whose time it was, the next row shows
            at_s = part.at_s
            if at_s is not None and took_s is not None:
                at_s = max(at_s - took_s, self._at_s if self._at_s is not None else at_s - took_s)
            told.append(_step(part, at_s, self._took_s(part, steps, at_s), part.trained))
            self._went(part)
            if took_s is None:
                self.shared += 1
                return [*told, replace(_evaluated(part, None), at_s=None)]
        elif took_s is None and not self._stepped:
            if part.step == 0 and part.trained:
                told.append(_step(part, part.at_s, None, part.trained))
                self._went(part)
            # What else was done since the run began is not said.
            return [*told, replace(_evaluated(part, None), at_s=None)]
        return [*told, _evaluated(part, took_s)]

    def _since_s(self, part: Part) -> float:
        """Seconds since something was said; endless where a moment is missing."""
        return math.inf if part.at_s is None or self._at_s is None else part.at_s - self._at_s

    def _is_alone(self, part: Part, took_s: float) -> bool:
        """Whether a file begins with an evaluation, of a training that is not in it: that of its steps has another."""
        return not self._stepped and not part.trained and self._since_s(part) - took_s < _AT_ONCE_S

    def rest(self) -> list[Observation]:
        """The steps up to an evaluation after which nothing was said of training: done, nobody knows how fast."""
        if self._evaluated is None or self._done is None or self._evaluated <= self._done:
            return []
        return [Observation(kind="step", step=self._evaluated)]

    def _took_s(self, part: Part, steps: int, at_s: float | None) -> float | None:
        """Seconds of the steps before a row that says how long one takes, and of those from the start."""
        return part.each_s * steps if part.each_s is not None and steps else self._since_start_s(at_s)

    def _since_start_s(self, at_s: float | None) -> float | None:
        """Time of the first steps after a row of step 0, which shows when they began; None for any others."""
        if not self._at_start or at_s is None or self._at_s is None:
            return None
        return max(0.0, at_s - self._at_s)

    def _went(self, part: Part) -> None:
        self._stride = self._ahead(part) or self._stride
        self._at_start = not self._stepped and part.step == 0
        self._stepped = True
        self._done = part.step if part.step is not None else self._done


def _step(part: Part, at_s: float | None, seconds: float | None, values: Mapping[str, float]) -> Observation:
    return Observation(kind="step", at_s=at_s, step=part.step, seconds=seconds, epoch=part.epoch, values=values)


def _evaluated(part: Part, took_s: float | None) -> Observation:
    return Observation(
        kind="evaluation", at_s=part.at_s, step=part.step, seconds=took_s, epoch=part.epoch, values=part.values
    )
