"""Trainings that take the same course: same start, model, data, recipe and seed, some of them further than others.

Owns the order among them, and so which one contains the others. Hours are `estimate/`, savings `schedule/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class OnCourse(Protocol):
    """What decides which training contains which."""

    @property
    def course(self) -> str:
        """Identity of the training but for its length; empty where nothing is trained."""

    @property
    def steps(self) -> int:
        """Optimizer steps."""

    @property
    def alone(self) -> bool:
        """The only training of its experiment."""


def by_course(trainings: Sequence[OnCourse]) -> list[list[int]]:
    """Indices of the trainings of each course that several take, the one that contains the others first.

    That is the longest; of equally long ones a training that is its whole experiment before a stage of a chain, then
    the earlier.
    """
    courses: dict[str, list[int]] = {}
    for index, one in enumerate(trainings):
        if one.course:
            courses.setdefault(one.course, []).append(index)
    return [
        sorted(indices, key=lambda index: (-trainings[index].steps, not trainings[index].alone, index))
        for indices in courses.values()
        if len(indices) > 1
    ]
