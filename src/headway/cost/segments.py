"""Consecutive stretches of one machine's time, the input of every bill.

Owns the noun and its sums. Where the hours come from is `estimate/`; what they cost is `billing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from headway.domain.errors import UserError
from headway.domain.spread import Spread, total


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One stretch: so many GPUs of the machine are busy for so long. Raises UserError on a negative number of GPUs."""

    id: str
    name: str
    gpus: float
    """Busy GPUs, all nodes together; 0 for work without a GPU, a fraction where only some of the time needs one."""
    wall: Spread
    """Seconds."""
    by: Literal["gpu", "cpu", "human"] = "gpu"
    optional: bool = False

    def __post_init__(self) -> None:
        if not self.gpus >= 0:
            raise UserError("a stretch of work keeps no GPU busy or some, not fewer", got=f"{self.gpus} in {self.id}")

    @property
    def used_gpu_s(self) -> Spread:
        """Busy GPUs × wall time, in GPU-seconds."""
        return self.wall * self.gpus


def wall_s(segments: Sequence[Segment]) -> Spread:
    """Seconds from start to end, one stretch after another."""
    return total(segment.wall for segment in segments)


def used_gpu_s(segments: Sequence[Segment]) -> Spread:
    """GPU-seconds that the work itself needs, whatever is billed."""
    return total(segment.used_gpu_s for segment in segments)
