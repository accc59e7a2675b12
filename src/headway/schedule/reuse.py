"""Prefix reuse: trainings that others of the plan contain, and what training the common part once would save.

Owns the grouping by course (`domain.plan.Stage.course`: same start, model, data, recipe and seed) and the saving.
Which of them a plan should be told about is `check/`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from headway.domain.courses import by_course
from headway.domain.plan import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One stage that trains, where it stands in the plan and how long it takes."""

    experiment: str
    phase: str
    alone: bool
    """The only training of its experiment."""
    stage: Stage
    steps: int
    gpu_s: float
    """GPU-seconds of its steps alone: loading and saving are not saved by sharing them."""

    @property
    def course(self) -> str:
        """Identity of the training but for its length."""
        return self.stage.course


@dataclass(frozen=True, slots=True, kw_only=True)
class Contained:
    """A training that another one of the plan contains: a checkpoint of `whole` at `part.steps` is the same model."""

    part: Training
    whole: Training
    """The longest of the same course."""
    nested: bool
    """A step scale: `part` and a longer training of its phase are each the only training of their experiments."""
    same: Training | None
    """Another training of exactly this length, where there is one before it."""

    def saved_gpu_s(self, cooldown: float = 0.0) -> float:
        """GPU-seconds saved by taking the checkpoint instead of training `part`.

        `cooldown` is the share of the part's steps spent on a branch in which the learning rate falls to its end, as
        it would have in a run of that length (Hägele et al. 2024, arXiv:2405.18392: 20 % is enough). An exact repeat
        needs none.
        """
        repeated = self.part.steps == self.whole.steps or self.same is not None
        return self.part.gpu_s * (1.0 if repeated else 1.0 - cooldown)


def contained(trainings: Iterable[Training]) -> tuple[Contained, ...]:
    """Every training that need not be run, in the order given: all but the longest of each course.

    Of equally long ones a training that is its whole experiment is kept before a stage of a chain, the earlier before
    the later. What all of them save is the time of all trainings less that of the longest of each course.
    """
    ordered = list(trainings)
    found: dict[int, Contained] = {}
    for indices in by_course(ordered):
        found |= _of_course(ordered, indices)
    return tuple(found[index] for index in sorted(found))


def _of_course(ordered: list[Training], indices: list[int]) -> dict[int, Contained]:
    """The trainings of one course but its longest, by their place; `indices` as `by_course` orders them."""
    whole = ordered[indices[0]]
    longest: dict[str, int] = {}
    for index in indices:
        if ordered[index].alone:
            longest.setdefault(ordered[index].phase, ordered[index].steps)
    first = {whole.steps: whole}
    scales = {(whole.phase, whole.steps)} if whole.alone else set()
    found = {}
    for index in indices[1:]:
        part = ordered[index]
        scale = (part.phase, part.steps)
        nested = part.alone and scale not in scales and part.steps < longest[part.phase]
        if part.alone:
            scales.add(scale)
        found[index] = Contained(part=part, whole=whole, nested=nested, same=first.get(part.steps))
        first.setdefault(part.steps, part)
    return found
