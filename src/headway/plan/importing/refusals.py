"""Files that are recognised and are no training run: what they are, and which file is wanted instead.

Owns the sentences.
"""

from __future__ import annotations

from headway.domain.errors import PlanError, Position
from headway.plan.importing.nouns import Source


def side_file(source: Source, what: str, belongs_to: str) -> PlanError:
    """For a file that says how a run is spread over GPUs, and not what is trained."""
    return PlanError(
        "a training configuration is needed, and this file only goes with one",
        got=what,
        where=Position(source.name, 1, 1),
        hint=f"It belongs to {belongs_to}: give that file, from which this one is read where it is named.",
    )


def no_training(source: Source, what: str, wanted: str) -> PlanError:
    """For a configuration of a tool's other work."""
    return PlanError(
        "a training configuration is needed, and this one trains nothing",
        got=what,
        where=Position(source.name, 1, 1),
        hint=f"Give {wanted}.",
    )
