"""Evaluations that bars, rows and lines tell of, each of them once.

Owns which of them are the same; that a bar is one of an evaluation is known by `bars/`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Final

from headway.domain.observation import Observation

ROUNDED_S: Final = 1.5
"""Of a bar's elapsed time, which is cut to whole seconds, and of what is done around the evaluation."""
ROUNDED: Final = 0.02
MOST_ALONE: Final = 8


class Evaluations:
    """Waits with what a bar says for the row or the line of the same evaluation, which come after it and say more."""

    def __init__(self) -> None:
        self.rows = 0
        """Rows of evaluations that were seen."""
        self._waiting: Observation | None = None
        self._alone: deque[Observation] = deque(maxlen=MOST_ALONE)
        """Told of by their bars; their rows may come late, where a file is written in blocks."""

    def over(self, done: Observation) -> None:
        """Takes in an evaluation whose bar is full."""
        self._waiting = done

    def pending(self) -> list[Observation]:
        """What waited for a row that did not come."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return []
        self._alone.append(waiting)
        return [waiting]

    def of_row(self, found: list[Observation]) -> list[Observation]:
        """What a row says, without an evaluation that its bar told of long before."""
        said = next((item for item in found if item.kind == "evaluation" and item.seconds is not None), None)
        if said is None:
            return found
        self.rows += 1
        if self._waiting is not None:
            self._waiting = None
            return found
        told = next((one for one in self._alone if _alike(one, said)), None)
        if told is None:
            return found
        self._alone.remove(told)
        return [item for item in found if item is not said]

    def of_line(self, said: Observation) -> Observation:
        """What a line says of an evaluation, with the time of its bar where it names none."""
        waiting, self._waiting = self._waiting, None
        return said if waiting is None or said.seconds is not None else replace(said, seconds=waiting.seconds)

    def forget(self) -> None:
        """Another training begins, or the one before was none: what waited is not of this one."""
        self._waiting = None
        self._alone.clear()


def _alike(told: Observation, said: Observation) -> bool:
    shown_s, exact_s = told.seconds or 0.0, said.seconds or 0.0
    return -ROUNDED_S <= shown_s - exact_s <= ROUNDED_S + ROUNDED * exact_s
