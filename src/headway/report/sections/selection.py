"""Which experiments and stages a section speaks of.

Owns the picking, so that no two sections count differently.
"""

from __future__ import annotations

from headway.estimate.nouns import Basis, Estimate, ExperimentEstimate, StageEstimate
from headway.report.answer import Answer

DAY_S = 86400.0
MAIN = {"step": "training steps", "generation": "generation"}
"""Terms without which the time of a stage is unknown, whatever else is known of it."""


def counted(answer: Answer) -> tuple[ExperimentEstimate, ...]:
    """The experiments that are in the totals: all but the optional ones."""
    return tuple(item for item in answer.estimate.experiments if not item.optional)


def trained(answer: Answer) -> list[tuple[ExperimentEstimate, StageEstimate, Basis]]:
    """Every training stage that a prediction exists for; under stated rates, that of the estimate beside."""
    sources = [answer.estimate] if answer.beside is None else [answer.estimate, answer.beside]
    for source in sources:
        found = [
            (item, stage, stage.basis)
            for item in source.experiments
            if not item.optional
            for stage in item.stages
            if stage.basis is not None
        ]
        if found:
            return found
    return []


def is_known(item: Estimate | ExperimentEstimate) -> bool:
    """False where no rate is known for any part, or for what it is there for: what is left is not its time."""
    if isinstance(item, Estimate):
        return item.wall_s.p90 > 0 and MAIN.keys().isdisjoint(item.left_out)
    return item.wall_s.p90 > 0 and not _lacks_rate(item)


def _lacks_rate(item: ExperimentEstimate) -> bool:
    return any(not MAIN.keys().isdisjoint(stage.left_out) for stage in item.stages)


def known_phases(made: Estimate) -> frozenset[str]:
    """Ids of the phases whose time is known: of everything in them, nested phases included."""
    parents = {phase.id: phase.parent for phase in made.phases}
    unknown = {phase.id for phase in made.phases if not phase.wall_s.p90 > 0}
    optional = {phase.id for phase in made.phases if phase.optional}
    for item in made.experiments:
        if not _lacks_rate(item):
            continue
        phase = item.phase
        while phase in parents:
            if not item.optional or phase in optional:
                unknown.add(phase)
            phase = parents[phase]
    return frozenset(parents) - unknown


def is_single(answer: Answer) -> bool:
    """True for a plan of one experiment, which is shown term by term."""
    return len(counted(answer)) == 1


def is_short(answer: Answer) -> bool:
    """True for less than a day on one GPU, which is said in minutes or hours and not in GPU-hours."""
    made = answer.estimate
    return made.gpu_s.p50 == made.wall_s.p50 and made.wall_s.p50 < DAY_S
