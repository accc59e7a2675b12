"""What a log says, in the order in which it says it, though some waits until it is sure whose it is.

Owns what waits; the laws that all of it is brought under are `logs/repair.py`.
"""

from __future__ import annotations

from headway.domain.observation import Observation
from headway.logs.repair import Course


class Order:
    """Gives observations to a course in their order: behind what waits, everything does."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self._waiting: list[tuple[Observation, bool]] = []

    def take(
        self, said: list[Observation], each_s: float | None = None, *, doubtful: bool = False
    ) -> list[Observation]:
        """`said` under the laws, none of it while anything waits; `each_s` is the time of one step."""
        if self._waiting:
            self.wait(said, doubtful=doubtful)
            return []
        return [self._course.take(item, each_s=each_s if item.kind == "step" else None) for item in said]

    def wait(self, said: list[Observation], *, doubtful: bool = True) -> None:
        """Keeps `said` back; what is doubtful may be forgotten."""
        self._waiting += [(item, doubtful) for item in said]

    def let_go(self) -> list[Observation]:
        """What waited."""
        told, self._waiting = self._waiting, []
        return self.take([item for item, _ in told])

    def forget(self) -> None:
        """Drops what waits and is doubtful."""
        self._waiting = [(item, doubtful) for item, doubtful in self._waiting if not doubtful]
