"""A progress bar as it goes on: which prints are of one bar, and which begin another pass of it.

Owns the state of one bar between its prints; what a print says is `bars.py`, which bar is the training's
`line_reader.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from headway.domain.observation import Observation
from headway.logs.lines.bars import Bar

OF_EPOCHS: Final = re.compile(r"(?i)(?:\w+ )?epochs?")
"""Description of a bar that counts epochs: the steps are those of the bar within it."""
SURE_S: Final = 5.0
"""Elapsed from which a bar without a description or figures may be the training's: others are over by then."""


@dataclass(slots=True)
class Followed:
    """A bar in progress."""

    start_s: float
    last: Bar
    base: int = 0
    """Steps of the epochs before."""
    told: bool = False
    first: Observation | None = None
    """Its first advance, while that may be a resume, which moves it over the steps that were done before."""
    rows: int = 0
    """Evaluation rows that had been seen when it began."""
    said_s: float = -1.0
    """Elapsed when a step was last told of."""
    trained: int = 0
    """Steps of the training when this bar was last printed."""

    @property
    def is_done(self) -> bool:
        """Whether it is full."""
        return self.last.n >= self.last.total

    def begins_again(self, bar: Bar, trained: int) -> bool:
        """Whether a print is of another pass than the one before, at so many steps of the training.

        A full bar that is printed full again is one where its clock went back or the training went on: else it stands
        again below what was printed over it.
        """
        went_on, self.trained = trained > self.trained, trained
        if bar.n < self.last.n or (bar.epoch is not None and bar.epoch != self.last.epoch):
            return True
        if not (bar.n == bar.total == self.last.n):
            return False
        # Keras tells its last batch by its rate, then the whole: the clock may go back between them.
        back = bar.description != "keras" and (bar.elapsed_s or 0.0) < (self.last.elapsed_s or 0.0)
        return went_on or back


def key_of(bar: Bar, rank: int) -> str:
    """What all prints of one bar have in common: its words, its total, its process."""
    return re.sub(r"[\d\s.,:/=-]+", "#", bar.description)[:80] + f"|{bar.total}" + f"|{rank}"


def is_sure(bar: Bar) -> bool:
    """Whether a bar that may be the training's shows more than a preparation's, which has no words and ends at once."""
    return bool(bar.values or bar.description) or bar.elapsed_s is None or bar.elapsed_s >= SURE_S
