"""What rules look at: a plan, how long it takes by its own rates and by headway's, and what the catalog knows.

Owns the nouns only. `app/` fills them, each reading when a rule first asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from headway.cost.billing import Bill
from headway.cost.energy import Energy
from headway.domain.lookup import Lookup, Machine
from headway.domain.machine import Device, Offer
from headway.domain.plan import Experiment, Plan, Stage
from headway.estimate.nouns import Estimate, Rates, StageEstimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A plan under one choice of rates, with what that costs."""

    plan: Plan
    estimate: Estimate
    bill: Bill | None
    """Of the plan's own machine; None where nothing is billed."""
    energy: Energy | None = None
    makespan_s: float | None = None
    """One experiment per GPU of the machine, as many at a time as it has GPUs; None for a plan of one experiment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Why a name means no one thing, in the catalog's words."""

    rule: str
    hint: str
    candidates: tuple[str, ...]
    several: bool
    """It fits several things; False: there is no such thing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Facts of the catalog that rules compare with."""

    devices: Mapping[str, Device]
    offers: tuple[Offer, ...]
    """All of them: prices with their dates."""
    today: date
    rows: Mapping[str, int] = field(default_factory=dict)
    """Rows of well-known datasets by name, lower case."""
    benchmarks: frozenset[str] = frozenset()
    """Names, lower case, of datasets that are made for evaluation only."""
    doubt: Callable[[str, str], Doubt | None] = lambda kind, name: None
    """Of a name, `model` or `gpu`; None where it means one thing, or where the catalog does not know."""
    listed: Callable[[str, str, str], tuple[Offer, ...]] = lambda provider, instance, device: ()
    """Offers of an instance and a device, each empty where it does not matter; empty for what the catalog lacks."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One plan to be checked. Readings are made when first asked for, and kept."""

    plan: Plan
    lookup: Lookup
    known: Known
    text: str = ""
    """The plan file as written; empty for a plan made in Python."""
    read: Callable[[Rates], Reading]
    """The plan under these rates."""
    read_option: Callable[[str, Rates], tuple[tuple[str, Reading], ...]]
    """Label and reading of each variant of an option."""

    @cached_property
    def stated(self) -> Reading:
        """By the rates of the plan's author; what has none is left out (`estimate.left_out`)."""
        return self.read("stated")

    @cached_property
    def predicted(self) -> Reading:
        """By headway's own prediction."""
        return self.read("predicted")

    @cached_property
    def stages(self) -> tuple[tuple[Experiment, Stage, StageEstimate], ...]:
        """Every stage of every experiment, with its prediction."""
        return tuple(
            (experiment, stage, estimate)
            for experiment, made in zip(self.plan.experiments, self.predicted.estimate.experiments, strict=True)
            for stage, estimate in zip(experiment.stages, made.stages, strict=True)
        )

    @cached_property
    def _options(self) -> dict[tuple[str, Rates], tuple[tuple[str, Reading], ...]]:
        return {}

    def option(self, id: str, rates: Rates = "stated") -> tuple[tuple[str, Reading], ...]:
        """Label and reading of each variant of option `id`; read once."""
        if (id, rates) not in self._options:
            self._options[id, rates] = self.read_option(id, rates)
        return self._options[id, rates]

    @property
    def machine(self) -> Machine | None:
        """The machine that the plan runs on; None where it names none of several."""
        machines = self.lookup.machines
        return machines.get(self.plan.run.machine) or (next(iter(machines.values())) if len(machines) == 1 else None)
