"""What a claim is about: the plan, a phase, an experiment, a stage or an option, as experiments with their estimates.

Owns the way from a claim's owner to what it speaks of. What follows from it is `claims`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from headway.check.case import Case, Reading
from headway.domain.plan import Experiment, Stage
from headway.domain.selection import ancestry, select
from headway.domain.spread import Spread, total
from headway.domain.statement import Claim, Selector
from headway.domain.units import Range
from headway.estimate.nouns import ExperimentEstimate, StageEstimate

Found = TypeVar("Found", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Experiments that a claim is about, by the stated rates."""

    reading: Reading
    members: tuple[tuple[Experiment, ExperimentEstimate], ...]
    parts: tuple[tuple[str, int], ...] = ()
    """Name and number of experiments of the phases just inside it."""
    whole: bool = False
    """A plan, or a plan under an option: its totals have a buffer, a machine and a calendar."""
    stage: int | None = None
    """One stage of the only member."""

    def stages(self) -> Iterable[tuple[Stage, StageEstimate]]:
        """Every stage that it holds."""
        for experiment, estimate in self.members:
            pairs = list(zip(experiment.stages, estimate.stages, strict=True))
            yield from pairs if self.stage is None else pairs[self.stage : self.stage + 1]

    def trained(self) -> Iterable[tuple[Stage, StageEstimate]]:
        """Every stage that trains."""
        return (pair for pair in self.stages() if pair[1].basis is not None)

    def wall_s(self) -> Spread:
        """Seconds of everything in it, one after the other, without a buffer."""
        if self.stage is not None:
            return total(stage.wall_s for _, stage in self.stages())
        return self.reading.estimate.subtotal_wall_s if self.whole else total(e.wall_s for _, e in self.members)

    def gpu_s(self) -> Spread:
        """GPU-seconds of everything in it, without a buffer."""
        if self.stage is not None:
            return total(stage.gpu_s for _, stage in self.stages())
        return self.reading.estimate.subtotal_gpu_s if self.whole else total(e.gpu_s for _, e in self.members)

    def term_s(self, term: str) -> Spread | None:
        """Seconds of one term; None where it has none."""
        if self.stage is not None:
            found = [stage.terms_s[term] for _, stage in self.stages() if term in stage.terms_s]
        else:
            found = [estimate.terms_s[term] for _, estimate in self.members if term in estimate.terms_s]
        return total(found) if found else None


@dataclass(frozen=True, slots=True)
class Scopes:
    """The scopes of one case, each made once."""

    case: Case
    known: dict[str, Scope | None] = field(default_factory=dict)

    def of(self, claim: Claim) -> Scope | None:
        """What the claim is about; None where nothing can be computed of it (references, no stated rates)."""
        variant = claim.path[1] if claim.owner.startswith("options.") and len(claim.path) > 1 else ""
        key = f"{claim.owner}={variant}"
        if key not in self.known:
            self.known[key] = self._made(claim.owner, variant)
        return self.known[key]

    def plan(self) -> Scope:
        """The whole plan."""
        found = self.of(Claim(owner="", path=("wall",), values=()))
        assert found is not None  # a plan is about itself
        return found

    def _made(self, owner: str, variant: str) -> Scope | None:
        case = self.case
        head, _, id_ = owner.partition(".")
        if not owner:
            return _whole(case.stated)
        if head == "options" and id_ in case.plan.options:
            return self._option(id_, variant)
        if head == "decisions":
            decision, _, branch = id_.rpartition(".")
            asked = case.plan.decisions[decision]
            chosen = asked.then if branch == "then" else asked.otherwise
            return self._picked(chosen) if isinstance(chosen, Selector) else None
        if head == "references":
            return None
        return self._named(owner)

    def _option(self, id_: str, variant: str) -> Scope | None:
        """The plan under the option; what the option puts first, where it does no more."""
        option = self.case.plan.options[id_]
        if option.first is not None and not (option.keep or option.drop or option.set or option.vary):
            return self._picked(option.first)
        read = self.case.option(id_)
        if len(read) > 1:
            read = tuple(one for one in read if variant and one[0].endswith(f"={variant}"))
        return _whole(read[0][1]) if len(read) == 1 else None

    def _picked(self, selector: Selector) -> Scope:
        return _some(self.case.stated, frozenset(select(self.case.plan, selector)))

    def _named(self, owner: str) -> Scope | None:
        """A phase with everything inside it, an experiment, or one of its stages."""
        plan, stated = self.case.plan, self.case.stated
        name, _, index = owner.rpartition(".stages.")
        if index.isdecimal() and name:
            found = _some(stated, frozenset((name,)))
            return Scope(reading=stated, members=found.members, stage=int(index)) if found.members else None
        inside = {id_ for id_, chain in ancestry(plan.phases).items() if owner in chain}
        ids = frozenset(item.id for item in plan.experiments if item.phase in inside or item.id == owner)
        found = _some(stated, ids, keep_optional=True)
        return Scope(reading=stated, members=found.members, parts=_parts(stated, owner)) if found.members else None


def _whole(reading: Reading) -> Scope:
    ids = frozenset(item.id for item in reading.plan.experiments)
    return Scope(reading=reading, members=_some(reading, ids).members, parts=_parts(reading, ""), whole=True)


def _some(reading: Reading, ids: frozenset[str], *, keep_optional: bool = False) -> Scope:
    estimates = {item.id: item for item in reading.estimate.experiments}
    members = tuple(
        (item, estimates[item.id])
        for item in reading.plan.experiments
        if item.id in ids and (keep_optional or not item.optional)
    )
    return Scope(reading=reading, members=members)


def _parts(reading: Reading, parent: str) -> tuple[tuple[str, int], ...]:
    found = reading.estimate.phases
    return tuple((phase.id, phase.experiments) for phase in found if phase.parent == parent and not phase.optional)


def same(found: Iterable[Found]) -> Found | None:
    """The one thing that all of them are; None where they differ or there is none."""
    distinct = set(found)
    return distinct.pop() if len(distinct) == 1 else None


def ends(spread: Spread, end: str = "") -> Range:
    """A spread as a range, or the one end of it that a claim names (`low`, `mid`, `high`)."""
    points = {"low": spread.p10, "mid": spread.p50, "high": spread.p90}
    return Range.point(points[end]) if end in points else Range(spread.p10, spread.p50, spread.p90)
