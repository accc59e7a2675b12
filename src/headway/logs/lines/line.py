"""What one printed line says of a step, or of an evaluation at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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
    rows_seen: float | None = None
    epoch: int | None = None
    epochs: int | None = None
    per_epoch: bool = False
    """Whether `step` and `total` are surely those of the epoch."""
    counts_rows: bool = False
    """Whether `step` and `total` are rows of the epoch, of which a step takes several."""
    rows_per_step: float | None = None
    """Of such a line, as far as its figures tell."""
    values: Mapping[str, float] = field(default_factory=dict)
