"""Picking phases and experiments of a plan: by id, by pattern, or all.

Owns the one meaning of a `Selector`, for dependencies, questions, options and decisions alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from headway.domain.plan import Phase, Plan
from headway.domain.statement import Selector

ALL = "all"


def pattern(text: str) -> re.Pattern[str]:
    """`*` stands for any letters, `?` for one; everything else is meant as it is written."""
    return re.compile(re.escape(text).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


def ancestry(phases: Iterable[Phase]) -> dict[str, tuple[str, ...]]:
    """Every phase's id to itself and the phases around it, innermost first."""
    parents = {phase.id: phase.parent for phase in phases}
    found: dict[str, tuple[str, ...]] = {"": ()}

    def around(id_: str) -> tuple[str, ...]:
        if id_ not in found:
            found[id_] = (id_, *around(parents.get(id_, "")))
        return found[id_]

    for id_ in parents:
        around(id_)
    return found


def matching(
    patterns: Iterable[str], experiments: Mapping[str, str], around: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """Ids out of `experiments` (id to phase) that any pattern picks, itself or by a phase around it, in their order."""
    picked: set[str] = set()
    known = {id_ for chain in around.values() for id_ in chain}
    for text in patterns:
        if text == ALL:
            return tuple(experiments)
        if text in experiments:
            picked.add(text)
        form = pattern(text)
        phases = {id_ for id_ in known if form.fullmatch(id_)}
        inside = {id_ for id_, chain in around.items() if not phases.isdisjoint(chain)}
        globbed = "*" in text or "?" in text
        picked |= {id_ for id_, phase in experiments.items() if phase in inside or (globbed and form.fullmatch(id_))}
    return tuple(id_ for id_ in experiments if id_ in picked)


def select(plan: Plan, selector: Selector) -> tuple[str, ...]:
    """Ids of the plan's experiments that `selector` picks, in the plan's order; empty when it picks nothing."""
    experiments = {experiment.id: experiment.phase for experiment in plan.experiments}
    return matching(selector.patterns, experiments, ancestry(plan.phases))


def select_phases(plan: Plan, selector: Selector) -> tuple[str, ...]:
    """Ids of the phases that `selector` touches: those it names, those inside them, and those of picked experiments."""
    around = ancestry(plan.phases)
    picked = set(select(plan, selector))
    touched = {experiment.phase for experiment in plan.experiments if experiment.id in picked}
    forms = [pattern(text) for text in selector.patterns]
    for phase in plan.phases:
        if any(form.fullmatch(id_) for form in forms for id_ in around[phase.id]):
            touched.add(phase.id)
    return tuple(phase.id for phase in plan.phases if phase.id in touched)
