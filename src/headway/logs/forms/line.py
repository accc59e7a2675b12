"""What one printed line says of a step, or of an evaluation at it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from headway.domain.observation import Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What a line says of a step, or of an evaluation at it."""

    kind: str
    """`step` or `evaluation`; `heading` tells of what comes below it (`headings.py`)."""
    step: int
    at_last: bool = False
    """Whether it is of the last step that was told of, for it names none: `step` means nothing then."""
    both: bool = False
    """Whether it tells losses of the training and of an evaluation: of a step, unless other lines tell of steps."""
    rounded: int = 0
    """By how many steps `step` may be off, where it is written in thousands."""
    total: int | None = None
    each_s: float | None = None
    """Of one step, or of the evaluation."""
    elapsed_s: float | None = None
    epoch_s: float | None = None
    """Of the epoch's steps so far, or of those of the run; of an evaluation: of the epoch with it."""
    epoch_mean: tuple[float, float] | None = None
    """Seconds of one of the epoch's steps so far, and by how much they may be rounded."""
    interval_s: float | None = None
    """Of the steps since the line before of its kind; 0 where that one did not know them."""
    rows_seen: float | None = None
    batches: int | None = None
    """Batches that were done, of which a step takes several; evaluations of the same log stand at them."""
    epoch: int | None = None
    epochs: int | None = None
    first_epoch: int | None = None
    """What the first epoch of a run is called, where that is known: a log may begin with a later one."""
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

    def rows_since(self, before: float | None) -> float | None:
        """Rows since a line that had seen `before`; None where one of them does not tell, or they were counted anew."""
        if self.rows_seen is None or before is None or self.rows_seen < before:
            return None
        return self.rows_seen - before

    def others(self, rank: int) -> list[Observation]:
        """What was done at the step beside it, as observations."""
        return [Observation(kind=kind, seconds=seconds, step=self.step, rank=rank) for kind, seconds in self.beside]


Form = tuple[re.Pattern[str], Callable[[re.Match[str], str], Line | None]]
"""What lines of a tool look like, and what such a line says: None for one that names no step."""
MarkedForm = tuple[str, re.Pattern[str], Callable[[re.Match[str], str], Line | None]]
"""As `Form`, with what stands in each such line first: looking for it is quick."""


STAMP: Final = re.compile(r"\d\d:\d\d:\d\d")


def is_stamped(line: str, end: int) -> bool:
    """Whether a logger put a moment before what begins at `end`: moments tell of all steps, which a sample does not."""
    return STAMP.search(line, 0, end) is not None


def unread(match: re.Match[str], line: str) -> None:
    """A line that alone tells of no step: none of its numbers is one, or others are needed to read it."""
