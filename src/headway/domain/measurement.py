"""What was measured: one term of one stage on one machine. Made by `worker/` and `logs/`, read by the spine.

Owns the nouns only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from headway.domain.experiment import Architecture, Batches, Recipe
from headway.domain.units import Range


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredWork:
    """What a measured step computed on one device, so that it teaches other stages when its own has left the plan."""

    architecture: Architecture
    recipe: Recipe
    batches: Batches


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredMemory:
    """The most memory of one device that a step on the longest rows held. The step ran."""

    peak_bytes: float
    seen_by: Literal["allocated", "device"]
    """`allocated`: torch's count of tensors on a GPU; `device`: all that the program held, as a CPU's process does."""
    longest_tokens: float | None = None
    """Of its longest row; None: rows were the run's own, which have none longer."""
    usable_bytes: float | None = None
    """What programs can use of the device, as the machine says."""
    source: str = ""
    """Who saw it, and when."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDoubt:
    """Why the mean of the timed steps is not that of a run; relative to the mean."""

    steps: int
    """That were timed."""
    noise: float
    """Standard deviation of what is new in every step: more steps average it away."""
    wander: float
    """Allan deviation of the machine's speed at long times: more steps hardly narrow it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Seconds of one term (`step`, `load`, `checkpoint`, ...) of one stage, measured on one kind of device."""

    stage: str
    """How fast it goes (`domain.plan.Stage.pace`): counts for every stage that shares it."""
    device: str
    gpus: int
    term: str
    seconds: Range
    """What one unit of the term costs on average over a run: p10, p50 and p90 of that mean, with what differs from run
    to run. A unit is a step (for `data_wait` too), an evaluation of a task, a save, a load; `tokenize` is paid once."""
    repeats: int
    source: str
    date: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    work: MeasuredWork | None = None
    """Of a step on one device, where it is known."""
    memory: MeasuredMemory | None = None
    """Of a step, where it is known."""
    doubt: StepDoubt | None = None
    """Of a step, where it is known: then the ends of `seconds` are made anew for a run of another length."""
