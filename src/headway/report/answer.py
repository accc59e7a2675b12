"""Everything the verb `estimate` found out about a plan: the one input of its view.

Owns the noun only. `app/` fills it from the rooms below; `report/estimate_view.py` turns it into sentences and tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from headway.cost.billing import Bill
from headway.cost.calendar import LimitCheck
from headway.cost.energy import Energy
from headway.cost.scenarios import Booking, Scenario
from headway.domain.errors import Finding
from headway.domain.lookup import Lookup
from headway.domain.plan import Plan
from headway.domain.spread import Spread
from headway.domain.units import Range
from headway.estimate.nouns import Estimate
from headway.estimate.questions.epochs import EpochTable, Grid
from headway.estimate.questions.reference import CrossCheck
from headway.estimate.questions.sensitivity import Effect
from headway.plan import Imported
from headway.schedule.ladder import Rung


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """The wall time of the plan on a calendar."""

    days: Spread
    """Around the clock."""
    working_days: Spread
    """At `hours_per_day`."""
    hours_per_day: float
    session_s: float | None = None
    """Longest time the machine is to be had at once."""
    needs_resume: tuple[str, ...]
    """Experiments that outlast a working day or a session."""
    limits: tuple[LimitCheck, ...]
    """Budgets and the deadline against what is needed."""
    contingency: Mapping[str, Range]
    """Seconds that the plan sets aside, by what for; not in any total."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineAnswer:
    """One machine or catalog offer: its hours, its bill."""

    name: str
    provider: str
    instance: str
    device: str
    gpus: int
    estimate: Estimate
    bill: Bill | None
    from_catalog: bool
    hours_transferred: bool
    """True when the hours were computed for this device; False when the plan machine's stated hours were kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionAnswer:
    """One option of the plan, priced on the whole plan."""

    id: str
    label: str
    """The option's name, with the varied value where it has several."""
    experiments: int
    members: tuple[str, ...]
    """Ids of the experiments that it keeps, where it keeps or drops."""
    gpu_s: Spread
    saves_gpu_s: Spread | None
    rung: Rung | None = None
    """The makespan, for an option that varies the number of GPUs."""
    bill: Bill | None = None
    note: str = ""
    """What of the option has no price before it runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The whole answer. `beside` is the same plan under the other rates: the prediction beside a stated rate."""

    plan: Plan
    lookup: Lookup
    estimate: Estimate
    beside: Estimate | None
    beside_ratio: float | None
    """Stated over predicted GPU-hours of what both of them cover."""
    machines: tuple[MachineAnswer, ...]
    """The plan's own machine first."""
    calendar: Calendar
    energy: Energy | None
    schedules: tuple[Rung, ...]
    """On 1, 2, 4 and 8 GPUs, one experiment per GPU; empty for a plan of one experiment."""
    options: tuple[OptionAnswer, ...]
    node_scenarios: tuple[Scenario, ...]
    """Keep running, shut down, spot, ...; empty for a machine that is not rented."""
    booking: Booking | None = None
    interrupted: Mapping[str, float] = field(default_factory=dict)
    """Probability that a spot machine is interrupted within so many hours (`8 h`)."""
    cross_checks: tuple[CrossCheck, ...] = ()
    epochs: EpochTable | None = None
    grid: Grid | None = None
    sensitivity: tuple[Effect, ...] = ()
    findings: tuple[Finding, ...] = ()
    narrower: str = ""
    """What would narrow the interval most."""
    imported: Imported | None = None
    """What was read from a file of another tool, where the plan was made of one."""
    next_command: str = ""
    today: str = ""
    option: str = ""
    """The option or subset of the plan that was asked for; empty: the whole plan."""
    command: str = ""
