"""A progress bar as it goes on: which prints are of one bar, and which begin another pass of it.

Owns the state of one bar between its prints; what a print says is `bar.py`, which bar is the training's `choice.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from headway.domain.observation import Observation
from headway.logs.bars.bar import Bar

OF_EPOCHS: Final = re.compile(r"(?i)(?:\w+ )?epochs?")
"""Description of a bar that counts epochs: the steps are those of the bar within it."""
EPOCH_RATE: Final = re.compile(r"(?i)(?<![a-z])epochs?/s|s/epochs?\b")
FIGURES: Final = re.compile(r"(?i)(?:[\d\s.,:/=-]|\b(?:nan|inf)\b)+")
"""What moves in a description while its bar goes on."""
OF_TRAINING: Final = re.compile(r"(?i)\btrain|\bepochs?\b|\bsteps?\b|\biter(?:ation)?s?\b")
LIKELY: Final = 1
"""Strength of a bar with words of a training, or with figures of anything."""
PROVEN: Final = 2
"""Strength of a bar with a loss or a number of its epoch, or that is as long as the run means to be."""
SURE_S: Final = 5.0
"""Elapsed from which a bar that nothing tells of may be the training's: most others are over by then."""
LONGEST_RATE_S: Final = 11.0
"""After so long a bar has a new rate, by chance the same: tqdm looks at least every 10 s (`maxinterval`)."""
MOST_BEHIND: Final = 2
"""Steps by which a process of a run may be behind another one that shows the same bar."""


@dataclass(slots=True)
class Followed:
    """A bar in progress."""

    start_s: float
    last: Bar
    rank: int = 0
    base: int = 0
    """Steps of the epochs before."""
    another: bool = False
    """Whether it is of another training than the pass before it."""
    closed_by: int = 0
    """Number of the last row of a training that it was full with, counted from 1; a full one of the next is another."""
    epochs_named: int = 0
    """Lines that named the epoch which its count had come to, of as many as its length."""
    told: bool = False
    first: Observation | None = None
    """Its first advance, while that may be a resume, which moves it over the steps that were done before."""
    rows: int = 0
    """Evaluation rows that had been seen when it began."""
    said_s: float = -1.0
    """Elapsed when a step was last told of."""
    trained: int = 0
    """Steps of the training when this bar was last printed."""
    strength: int = 0
    """How surely it is a training's: `LIKELY`, `PROVEN`, or nothing shows it."""
    logged: bool = False
    """Whether a loss was told of since it began; that it goes on after it shows whose it was."""
    outer: bool = False
    """Whether the bar of the training goes on within it."""
    spent_s: float = 0.0
    """Of its passes before."""

    @property
    def is_done(self) -> bool:
        """Whether it is full."""
        return self.last.n >= self.last.total

    def lasted_s(self, bar: Bar, now_s: float | None) -> float | None:
        """Seconds of a full bar: those it shows, which are cut to whole ones, or by when its prints came (`now_s`)."""
        if bar.elapsed_s is None or now_s is None:
            return bar.elapsed_s
        return min(max(bar.elapsed_s, now_s - self.start_s), bar.elapsed_s + 1.0)

    def learn(self, bar: Bar, *, meant: bool) -> None:
        """How surely it is a training's, after another print; `meant`: it is as long as the run means to be."""
        went_on = self.logged and bar.n > self.last.n
        self.strength = max(self.strength, PROVEN if meant or went_on else strength_of(bar))

    def is_sure(self, *, live: bool) -> bool:
        """Whether its steps may be told of as the training's; `live`: while it goes on, less makes sure."""
        elapsed_s = self.last.elapsed_s
        early = self.strength > 0 or elapsed_s is None or elapsed_s >= SURE_S
        return self.strength >= PROVEN or (live and early)

    def is_behind(self, bar: Bar) -> bool:
        """Whether a print is of another process that shows the same bar and is a step or two behind."""
        last = self.last
        if bar.epoch is not None and last.epoch is not None and bar.epoch != last.epoch:
            at_the_end = bar.total - bar.n <= MOST_BEHIND and last.n <= MOST_BEHIND
            return bar.epoch + 1 == last.epoch and at_the_end
        fall = last.n - bar.n
        if not 0 < fall <= MOST_BEHIND or bar.elapsed_s is None or last.elapsed_s is None:
            return False
        if self.is_done and bar.n <= 2 * fall:
            return False  # so short a bar is as likely to begin again
        return last.elapsed_s - bar.elapsed_s <= self._few_steps_s

    @property
    def _few_steps_s(self) -> float:
        """The time of a few steps; elapsed time is shown in whole seconds."""
        return 1.0 + 3.0 * (self.last.elapsed_s or 0.0) / max(1, self.last.n)

    def begins_again(self, bar: Bar, trained: int) -> bool:
        """Whether a print is of another pass than the one before, at so many steps of the training.

        A full bar that is printed full again is one where its clock went back or the training went on: else it stands
        again below what was printed over it.
        """
        went_on, self.trained = trained > self.trained, trained
        last = self.last
        other = bar.epoch is not None and last.epoch is not None and bar.epoch != last.epoch
        if bar.n < last.n or (other and not counts_epochs(bar)):
            return True
        if not (bar.n == bar.total == last.n):
            return False
        # Keras tells its last batch by its rate, then the whole: the clock may go back between them.
        fell_s = (last.elapsed_s or 0.0) - (bar.elapsed_s or 0.0)
        return went_on or (bar.description != "keras" and fell_s > self._few_steps_s)

    def skipped(self, first: Observation, bar: Bar, now_s: float) -> bool:
        """Whether the steps of its first advance were done before it began, as the second shows."""
        if first.step is None or first.at_s is None or bar.n >= bar.total:
            return False
        first_s, since_s = first.at_s - self.start_s, now_s - first.at_s
        more = self.base + bar.n - first.step
        # Both elapsed times are cut to whole seconds.
        slower = 5.0 * (first_s + 1.0) / first.step < max(0.0, since_s - 1.0) / more
        return slower or (first_s <= 1.0 and 20 * more <= first.step)


def words_of(bar: Bar) -> str:
    """The description of a bar without what moves in it."""
    return FIGURES.sub("#", bar.description)[:80]


def is_reprint(before: Bar, bar: Bar) -> bool:
    """Whether a bar stands there anew, with the rate it had, below what was printed over it."""
    since_s = (bar.elapsed_s or 0.0) - (before.elapsed_s or 0.0)
    return bool(bar.rate) and bar.rate == before.rate and bar.n >= before.n and since_s <= LONGEST_RATE_S


def counts_epochs(bar: Bar) -> bool:
    """Whether a bar counts epochs, by its words or its unit, or by a number of them that is its length."""
    if bar.kind != "train":
        return False
    if OF_EPOCHS.fullmatch(bar.description) or EPOCH_RATE.search(bar.rate):
        return True
    if bar.epoch is None or bar.epochs != bar.total or "epoch" not in bar.description.lower():
        return False
    return abs(bar.n - bar.epoch) <= 1  # a bar of as many steps soon is further


def strength_of(bar: Bar) -> int:
    """How surely a bar is a training's, by one print of it."""
    loss = "loss" in bar.description.lower() or any("loss" in name.lower() for name in bar.values)
    if loss or bar.sure or bar.epoch is not None or bar.description == "keras":
        return PROVEN
    return LIKELY if bar.values or OF_TRAINING.search(bar.description) else 0


def goes_on_as(before: Bar, bar: Bar) -> bool:
    """Whether a print under other words may be of the same bar, whose description was set since."""
    if bar.total != before.total or not before.n <= bar.n or before.n >= before.total:
        return False
    other = bar.epoch is not None and before.epoch is not None and bar.epoch != before.epoch
    if other or counts_epochs(before) or counts_epochs(bar):
        return False
    return (bar.elapsed_s or 0.0) >= (before.elapsed_s or 0.0)
