"""Stages of a plan that have the same thing wrong with them, as one cause: repeats stand in the evidence.

Owns the grouping, which every rule about stages shares.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from headway.check.case import Case
from headway.domain.errors import Position
from headway.domain.plan import Experiment, Stage
from headway.domain.selection import ancestry
from headway.estimate.nouns import Basis, StageEstimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One thing that is wrong, at the first stage that has it."""

    experiment: Experiment
    stage: Stage
    estimate: StageEstimate
    ids: list[str] = field(default_factory=list)
    """Experiments that share it."""

    @property
    def basis(self) -> Basis:
        """What the stage's prediction rests on; a rule that asks for it has made sure that there is one."""
        assert self.estimate.basis is not None
        return self.estimate.basis


Key = Callable[[Stage, StageEstimate], Hashable]


def causes(case: Case, key: Key) -> tuple[Cause, ...]:
    """One cause for each `key` that is not None, over all stages of the plan, in document order."""
    found: dict[Hashable, Cause] = {}
    for experiment, stage, estimate in case.stages:
        cause = key(stage, estimate)
        if cause is None:
            continue
        one = found.setdefault(cause, Cause(experiment=experiment, stage=stage, estimate=estimate))
        if one.ids[-1:] != [experiment.id]:  # the stages of an experiment follow each other
            one.ids.append(experiment.id)
    return tuple(found.values())


def written_at(case: Case, cause: Cause, key: str) -> Position:
    """Where `key` stands for the stage of a cause: in a phase around it, innermost first, or at the plan's top.

    The place of the stage itself where it stands in none of them.
    """
    chain = ancestry(case.plan.phases).get(cause.experiment.phase, ())
    for depth in range(len(chain) + 1):
        path = "".join(f"phases.{phase}." for phase in reversed(chain[depth:])) + key
        if path in case.plan.positions:
            return case.plan.positions[path]
    return cause.stage.where
