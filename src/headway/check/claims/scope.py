"""What a claim is about: the plan, a phase, an experiment, a stage or an option, as experiments with their estimates.

Owns the way from a claim's owner to what it speaks of. What follows from it is `computed`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

from headway.check.case import Case, Reading
from headway.domain.plan import Experiment, Stage
from headway.domain.selection import ancestry, select
from headway.domain.spread import Spread, total
from headway.domain.statement import Claim, Selector
from headway.domain.units import Range
from headway.estimate.nouns import ExperimentEstimate, PhaseEstimate, StageEstimate

Found = TypeVar("Found", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Experiments that a claim is about, by the stated rates."""

    reading: Reading
    members: tuple[tuple[Experiment, ExperimentEstimate], ...]
    parts: tuple[PhaseEstimate, ...] = ()
    """The phases just inside it, optional ones left out."""
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

    def unrated(self) -> frozenset[str]:
        """Terms that cost time here and have no stated rate."""
        return frozenset(term for _, stage in self.stages() for term in stage.left_out)

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


@dataclass(frozen=True)
class Scopes:
    """The claims of one case and what they are about; each scope is made once."""

    case: Case
    known: dict[str, Scope | None] = field(default_factory=dict)

    @cached_property
    def claims(self) -> tuple[Claim, ...]:
        """Every claim of the file once: those of a stage of a matrix stand with each experiment that it makes."""
        return tuple({(claim.where, claim.path): claim for claim in reversed(self.case.plan.claims)}.values())[::-1]

    @cached_property
    def by_owner(self) -> Mapping[str, tuple[Claim, ...]]:
        """The claims of each owner."""
        found: dict[str, list[Claim]] = {}
        for claim in self.claims:
            found.setdefault(claim.owner, []).append(claim)
        return {owner: tuple(claims) for owner, claims in found.items()}

    @cached_property
    def around(self) -> Mapping[str, tuple[str, ...]]:
        """Every phase to itself and the phases around it."""
        return ancestry(self.case.plan.phases)

    @cached_property
    def _estimates(self) -> Mapping[str, ExperimentEstimate]:
        return {item.id: item for item in self.case.stated.estimate.experiments}

    @cached_property
    def _inside(self) -> Mapping[str, tuple[Experiment, ...]]:
        """Experiments by their own id, and by each phase that holds them."""
        found: dict[str, list[Experiment]] = {}
        for item in self.case.plan.experiments:
            for id_ in dict.fromkeys((item.id, *self.around.get(item.phase, ()))):
                found.setdefault(id_, []).append(item)
        return {id_: tuple(items) for id_, items in found.items()}

    @cached_property
    def _parts(self) -> Mapping[str, tuple[PhaseEstimate, ...]]:
        return _parts(self.case.stated)

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
        return self._some(self._inside[id_][0] for id_ in select(self.case.plan, selector))

    def _named(self, owner: str) -> Scope | None:
        """A phase with everything inside it, an experiment, or one of its stages."""
        name, _, index = owner.rpartition(".stages.")
        if index.isdecimal() and name in self._inside:
            return replace(self._some(self._inside[name][:1]), stage=int(index))
        if owner not in self._inside:
            return None
        return replace(self._some(self._inside[owner]), parts=self._parts.get(owner, ()))

    def _some(self, items: Iterable[Experiment]) -> Scope:
        members = tuple((item, self._estimates[item.id]) for item in items)
        return Scope(reading=self.case.stated, members=members)


def _whole(reading: Reading) -> Scope:
    """Everything that counts: optional experiments stand outside the totals."""
    pairs = zip(reading.plan.experiments, reading.estimate.experiments, strict=True)
    members = tuple((item, estimate) for item, estimate in pairs if not item.optional)
    return Scope(reading=reading, members=members, parts=_parts(reading).get("", ()), whole=True)


def _parts(reading: Reading) -> Mapping[str, tuple[PhaseEstimate, ...]]:
    """The phases just inside each phase, and inside the plan."""
    found: dict[str, list[PhaseEstimate]] = {}
    for phase in reading.estimate.phases:
        if not phase.optional:
            found.setdefault(phase.parent, []).append(phase)
    return {parent: tuple(phases) for parent, phases in found.items()}


def same(found: Iterable[Found]) -> Found | None:
    """The one thing that all of them are; None where they differ or there is none."""
    distinct = set(found)
    return distinct.pop() if len(distinct) == 1 else None


def ends(spread: Spread, end: str = "") -> Range:
    """A spread as a range, or the one end of it that a claim names (`low`, `mid`, `high`)."""
    points = {"low": spread.p10, "mid": spread.p50, "high": spread.p90}
    return Range.point(points[end]) if end in points else Range(spread.p10, spread.p50, spread.p90)
