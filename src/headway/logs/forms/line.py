"""What one printed line says of a step, or of an evaluation at it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from headway.domain.observation import Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What a line says of a step, or of an evaluation at it."""

    kind: str
    """`step` or `evaluation`."""
    step: int
    total: int | None = None
    each_s: float | None = None
    """Of one step, or of the evaluation."""
    elapsed_s: float | None = None
    epoch_s: float | None = None
    """Of the epoch's steps so far."""
    epoch_mean: tuple[float, float] | None = None
    """Seconds of one of the epoch's steps so far, and by how much they may be rounded."""
    interval_s: float | None = None
    """Of the steps since the line before of its kind; 0 where that one did not know them."""
    rows_seen: float | None = None
    batches: int | None = None
    """Batches that were done, of which a step takes several; evaluations of the same log stand at them."""
    epoch: int | None = None
    epochs: int | None = None
    per_epoch: bool = False
    """Whether `step` and `total` are surely those of the epoch."""
    total_of_run: bool = False
    """Whether `step` and `total` are surely those of the run, though an epoch stands beside them."""
    counts_rows: bool = False
    """Whether `step` and `total` are rows of the epoch, of which a step takes several."""
    rows_per_step: float | None = None
    """Of such a line, as far as its figures tell."""
    values: Mapping[str, float] = field(default_factory=dict)
    beside: tuple[tuple[str, float], ...] = ()
    """Kind and seconds of what was done at the step and is not in `each_s`."""

    def others(self, rank: int) -> list[Observation]:
        """What was done at the step beside it, as observations."""
        return [Observation(kind=kind, seconds=seconds, step=self.step, rank=rank) for kind, seconds in self.beside]


Form = tuple[re.Pattern[str], Callable[[re.Match[str], str], Line | None]]
"""What lines of a tool look like, and what such a line says: None for one that names no step."""
