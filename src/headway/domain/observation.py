"""What a run says of itself: observations in the order in which they were made, and a whole log of them.

Owns the nouns and their JSON line, which `track/` and `worker/` write and `logs/` reads; reading the logs of other
tools is `logs/`, what is left to do is `track/`, promised against measured is `check/`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from headway.domain.errors import UserError

SCHEMA = "headway.events/1"
EVENTS_FILE = "events.jsonl"
"""In the folder of a run: a header with the schema, then an observation on each line."""
TIMED = ("load", "tokenize", "compile", "step", "data_wait", "evaluation", "checkpoint", "final_save", "generation")
"""Kinds that take time, by the names of the terms of an estimate."""
KINDS = ("begin", *TIMED, "epoch", "device", "end")
"""`begin` opens a run or an attempt of it, `device` is a sample of the machine, `end` closes the run. `epoch` is told
of where nothing tells of steps: what was done within it is not told apart, and it is no term of an estimate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One thing that a run says of itself."""

    kind: str
    """One of `KINDS`."""
    at_s: float | None = None
    """Since the run's first known moment, when it was over; never runs backwards within an attempt. None: not said."""
    seconds: float | None = None
    """How long it took, where that is known from the log itself or from the moments before it; of an `epoch`: of all
    since the one before."""
    step: int | None = None
    """Optimizer steps of the run that were done with it."""
    steps: int | None = None
    """Optimizer steps that it covers, for `step`."""
    epoch: float | None = None
    """Passes over the data that were done with it, for `epoch`; where it is, for others."""
    rows: float | None = None
    """Rows processed in it."""
    tokens: float | None = None
    """Tokens processed in it, padding included."""
    wait_s: float | None = None
    """Of `seconds`, waiting for data."""
    values: Mapping[str, float] = field(default_factory=dict)
    """What else was said: `loss`, `learning_rate`, `memory_bytes`, `temperature_c`, `clock_hz`, `utilisation` ...; NaN
    and infinities stay what they are."""
    stage: str = ""
    """Name of the plan's stage, where the run has several."""
    attempt: int = 0
    """0 until the first restart."""
    rank: int = 0

    def to_line(self) -> str:
        """One line of JSON without what is not known; numbers that JSON lacks are text (`"NaN"`)."""
        said = {item.name: getattr(self, item.name) for item in fields(self)}
        kept = {name: _spelt(value) for name, value in said.items() if value not in (None, "", {}, 0) or name == "at_s"}
        return json.dumps({name: value for name, value in kept.items() if value is not None}, ensure_ascii=False)

    @classmethod
    def from_mapping(cls, said: Mapping[str, Any]) -> Observation:
        """The observation of a parsed line; unknown keys are ignored. Raises UserError for one that is none."""
        kind = said.get("kind")
        if kind not in KINDS:
            raise UserError("an event has a kind", got=repr(kind)[:80], hint=f"One of {', '.join(KINDS)}.")
        values = said.get("values")
        pairs = values.items() if isinstance(values, Mapping) else ()
        read = {str(name): number for name, value in pairs if (number := _number(value, finite=False)) is not None}
        return cls(
            kind=kind,
            at_s=_number(said.get("at_s")),
            seconds=_number(said.get("seconds")),
            step=_whole(said.get("step")),
            steps=_whole(said.get("steps")),
            epoch=_number(said.get("epoch")),
            rows=_number(said.get("rows")),
            tokens=_number(said.get("tokens")),
            wait_s=_number(said.get("wait_s")),
            values=read,
            stage=str(said.get("stage", "")),
            attempt=_whole(said.get("attempt")) or 0,
            rank=_whole(said.get("rank")) or 0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLog:
    """Everything that the files of one run say, repaired where they were cut, repeated or out of order."""

    format: str
    """The reader that understood it (`trainer_state`, `tfevents`, ...)."""
    name: str
    """Of the file or folder, without the folders it lies in."""
    observations: tuple[Observation, ...] = ()
    total_steps: int | None = None
    """Optimizer steps that the run means to take."""
    facts: Mapping[str, float | str] = field(default_factory=dict)
    """What the log says of the whole run, units in the keys: `train_runtime_s`, `train_samples_per_s`, `total_flop`,
    `micro_batch`, `grad_accum`, `gpus`, `device`, `epochs`, `plan`, `experiment`, `started` ..."""
    problems: tuple[str, ...] = ()
    """What could not be read or looked odd, in words, with the line where there is one."""

    @property
    def of_rank_0(self) -> tuple[Observation, ...]:
        """Without what other processes of the same run said of the same steps."""
        first = min((item.rank for item in self.observations), default=0)
        return tuple(item for item in self.observations if item.rank == first)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """How long one term took in a whole run, and how often it was paid."""

    seconds: float
    units: float
    """Steps, evaluations, saves, loads ..."""

    @property
    def each_s(self) -> float:
        """Mean seconds of one."""
        return self.seconds / self.units if self.units else 0.0


def times_of(observations: Iterable[Observation]) -> dict[str, Timed]:
    """Seconds and units by term of one process's observations; waiting for data is a term of its own.

    A step that says how many it covers counts as so many, for waiting too.
    """
    seconds: dict[str, float] = {}
    units: dict[str, float] = {}
    for item in observations:
        for term, timed in timed_in(item):
            seconds[term] = seconds.get(term, 0.0) + timed.seconds
            units[term] = units.get(term, 0.0) + timed.units
    return {term: Timed(seconds=seconds[term], units=units[term]) for term in TIMED if term in seconds}


def timed_in(item: Observation) -> Iterator[tuple[str, Timed]]:
    """What one observation adds to which term: a step its computing, and apart from it what it waited, if it says so.

    Nothing where it does not say how long it took.
    """
    if item.kind not in TIMED or item.seconds is None:
        return
    if item.kind != "step":
        yield item.kind, Timed(seconds=item.seconds, units=1)
        return
    wait_s, covered = min(item.wait_s or 0.0, item.seconds), item.steps or 1
    yield "step", Timed(seconds=item.seconds - wait_s, units=covered)
    if item.wait_s is not None:
        yield "data_wait", Timed(seconds=wait_s, units=covered)


def _spelt(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _spelt(item) for name, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    return value


def _number(value: Any, *, finite: bool = True) -> float | None:
    """A number, also one spelt as text; None for anything else, and for NaN and infinities where these mean nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) or not finite else None


def _whole(value: Any) -> int | None:
    found = _number(value)
    return None if found is None else int(found)
