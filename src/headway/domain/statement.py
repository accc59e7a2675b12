"""What a plan's author says, with words, place and provenance: values, names, selectors, rates, claims.

Owns the nouns of single statements; what they add up to is `domain.plan`, which hands them on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from headway.domain.errors import Position
from headway.domain.units import Range


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A quantity as a plan states it, in base units, with its own words and provenance."""

    range: Range
    """Low, mid and high in the base unit of `unit`; all equal for a point."""
    unit: str
    """Base unit: `s bytes count share usd usd_per_hour usd_per_kwh w per_s per_hour x`."""
    noun: str = ""
    """What is counted or timed: `steps`, `tokens`, `samples`, `GPU-h`, `node-h`, `points`; empty where obvious."""
    text: str = ""
    """As written in the plan."""
    unknown: bool = False
    """The author wrote `unknown`: never to be read as 0."""
    statistics: Mapping[str, float] = field(default_factory=dict, hash=False)
    """A measured sample: any of mean, median, min, max, sd (base unit) and n. Compared, but not hashed: a map."""
    parts: Mapping[str, Value] = field(default_factory=dict, hash=False)
    """Named parts whose sum this is, each with its own expression. Compared, but not hashed."""
    stated_as: str = ""
    """The document's own words, where they differ from what is computed with."""
    source: str = ""
    date: str = ""
    note: str = ""
    others: tuple[Value, ...] = ()
    """The same thing said again in the same place; the first counts, all must agree."""
    where: Position = Position()

    @property
    def mid(self) -> float:
        """The middle value in base units."""
        return self.range.mid


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """The name of a model, device, dataset or instance: what is used, and what the document said."""

    use: str
    stated_as: str = ""
    source: str = ""
    date: str = ""
    note: str = ""
    where: Position = Position()

    @property
    def words(self) -> str:
        """The document's words, or the name itself."""
        return self.stated_as or self.use


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Phases and experiments, picked by id, glob or `all`."""

    patterns: tuple[str, ...]
    stated_as: str = ""
    where: Position = Position()


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """A stated influence on the total: `10-20% slower`, `2-5 min more`."""

    cause: str
    change: Value
    """Share (of the step time) or seconds (of the total), as a positive number."""
    sign: int
    """+1: slower or more; -1: faster or less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """Rates the plan's author believes, by term of the estimate. Empty where nothing was said.

    `terms` maps a term (`step`, `wall`, `evaluation`, `generation`, `checks`, `load`, `tokenize`, `compile`,
    `checkpoint`, `final_save`, `cleanup`) to its parts (`{"": value}` for a single one), each in seconds.
    `evaluation` is per task, `generation` and `checks` per sample, `checkpoint` per save, `step` per optimizer step.
    `wall` is the time of the whole thing it stands beside (plan, phase, experiment or stage) and never inherited by
    what is inside it: an experiment's own is in `Experiment.stated`, a phase's in `Phase.stated`; a phase that is one
    experiment passes it to that experiment, an experiment that is one stage keeps it to itself.
    """

    terms: Mapping[str, Mapping[str, Value]] = field(default_factory=dict, hash=False)
    throughput: tuple[Value, ...] = ()
    """Rates per second of steps, tokens, samples."""
    factors: tuple[Factor, ...] = ()
    convergence: Mapping[str, Value] = field(default_factory=dict, hash=False)
    """Bands of epochs: steep, moderate, diminishing, minimal."""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A result the author states; never an input. `owner` is the path of what it is about (empty: the plan)."""

    owner: str
    path: tuple[str, ...]
    """Keys below `claims`, e.g. `("wall", "low")`."""
    values: tuple[Value | str | bool, ...]
    """What was said, several times perhaps."""
    where: Position = Position()
