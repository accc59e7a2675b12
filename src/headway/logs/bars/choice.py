"""Which bar of a log is the training's, among those that a script shows before it, within it and around it.

Owns the choice, and when another bar is chosen instead; a bar between its prints is `followed.py`, what the bar of the
training tells is `line_reader.py`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from headway.domain.observation import Observation
from headway.logs.bars.bar import EPOCH, Bar
from headway.logs.bars.followed import PROVEN, SURE_S, Followed, counts_epochs, goes_on_as, words_of

MOST_BARS: Final = 1_000
"""Bars that are remembered."""
EPOCH_WITHIN: Final = 100
"""Characters of a line in which it names its epoch."""
NEAR: Final = 0.02
"""Share of a training's time by which its bar may end beside it."""
LONGER: Final = 2.0
"""A bar that lasts so many times as long as one before it, of which nothing tells more, is likelier the training's."""


class Choice:
    """Follows the bars of a log; `main` is the key of the training's.

    That is the first that counts, until it is full and another has more that shows a training.
    """

    def __init__(self) -> None:
        self.main: str | None = None
        self.bars: dict[str, Followed] = {}
        self.going: str | None = None
        """The bar that may be a training's and that was last printed before it was full."""
        self.ended = False
        """Whether the last row of a training was read: what comes after is another one."""
        self._ends, self._ended_s = 0, 0.0
        self.within = False
        """Whether a bar of epochs stands around the training's."""
        self.epochs: int | None = None
        """Of the line `Epoch 1/5` that Keras prints above its bars, or of the bar around that of the steps."""
        self._started = False
        self._prepared: str | None = None
        """A bar that was over, or went on, when the training was said to start: another one may be that of it."""
        self._printed: dict[str, Bar] = {}
        self._same: dict[str, str] = {}

    @property
    def bar(self) -> Followed | None:
        """The bar of the training, as far as its steps were followed."""
        return self.bars.get(self.main or "")

    @property
    def running(self) -> Followed | None:
        """The bar that a row is of: the training's, or another that goes on and may turn out to be that."""
        main, going = self.bar, self.bars.get(self.going or "")
        is_open = main is not None and main.is_done and main.strength < PROVEN
        return going if is_open and going is not None and going.logged else main

    @property
    def start_s(self) -> float | None:
        """When the bar began that a row is of."""
        bar = self.running
        return None if bar is None else bar.start_s

    def key_of(self, bar: Bar, rank: int) -> str:
        """What all prints of one bar have in common: its words, its total, its process.

        Where other words stand at the bar of the training as it goes on, they were set since: it is the same.
        """
        own = f"{words_of(bar)}|{bar.total}|{rank}"
        key = self._same.get(own, own)
        if bar.kind != "train":
            return key
        main = self._printed.get(self.main) if self.main is not None and self.main.endswith(f"|{rank}") else None
        if self.main is not None and main is not None and key not in self._printed and goes_on_as(main, bar):
            key = self._same[own] = self.main
            if len(self._same) > MOST_BARS:
                self._same.pop(next(iter(self._same)))
        self._printed[key] = bar
        if len(self._printed) > MOST_BARS:
            self._printed.pop(next(iter(self._printed)))
        return key

    def followed(
        self, key: str, bar: Bar, rank: int, *, start_s: float, rows: int, meant: int | None
    ) -> tuple[Followed, bool, bool]:
        """The bar as far as it was seen, whether this print begins a pass of it, and whether that is another one.

        `start_s`: when a pass that begins now began; `rows`: evaluation rows that were seen; `meant`: steps of the run.
        """
        main, known = self.bar, self.bars.get(key)
        if key == self._prepared and not (known is not None and known.is_done and bar.n >= bar.total):
            self._prepared = None  # it goes on, or begins again
        around = counts_epochs(bar) or (known is not None and known.outer)
        if bar.kind == "train" and bar.n < bar.total and not around:
            self.going = key
        trained = main.base + main.last.n if main is not None and key != self.main else 0
        closes = self._closes(bar)
        next_one = known is not None and closes and known.is_done and 0 < known.closed_by < self._ends
        if known is not None and not (known.begins_again(bar, trained) or next_one):
            known.learn(bar, meant=bar.total == meant)
            known.closed_by = self._ends if closes else known.closed_by
            return known, False, False
        another = self.ended and key == self.main
        base, first = self._base(key, known, bar), replace(bar, n=0)
        made = Followed(start_s=start_s, last=first, rank=rank, base=base, another=another, rows=rows, trained=trained)
        if known is not None:
            made.strength, made.outer = known.strength, known.outer
            made.spent_s = known.spent_s + (known.last.elapsed_s or 0.0)
        made.learn(bar, meant=bar.total == meant)
        made.closed_by = self._ends if closes else 0
        self.bars[key] = made
        if len(self.bars) > MOST_BARS:
            self.bars.pop(next(other for other in self.bars if other not in (key, self.main)))
        return made, True, known is not None

    def end(self, runtime_s: float) -> None:
        """Takes in the last row of a training, which took so long."""
        self.ended, self._ended_s = True, runtime_s
        self._ends += 1

    def _closes(self, bar: Bar) -> bool:
        """Whether a full bar is that of the training which ended last: its clock shows as much."""
        if not self._ends or bar.n < bar.total or bar.elapsed_s is None:
            return False
        return abs(bar.elapsed_s - self._ended_s) <= SURE_S + NEAR * self._ended_s

    def _base(self, key: str, known: Followed | None, bar: Bar) -> int:
        """Steps before the first of a bar that begins again: those of the epochs before, none after a restart."""
        if known is None:
            return 0
        if self.ended and key == self.main:
            self.ended = False
            return 0
        ahead = bar.epoch is not None and known.last.epoch is not None and bar.epoch > known.last.epoch
        return known.base + known.last.total if ahead or known.is_done else 0

    def heed(self, message: str) -> None:
        """Takes in a line that is no bar: Keras names the epoch above each, others that which a bar has come to."""
        epoch = EPOCH.search(message[:EPOCH_WITHIN]) if "poch" in message else None
        if epoch is None:
            return
        main, epochs = self.bar, int(epoch["epochs"]) if epoch["epochs"] else None
        if main is not None and main.last.total == epochs and 0 <= int(epoch["epoch"]) - main.last.n <= 1:
            main.epochs_named += 1
        if epoch.span() == (0, len(message.rstrip())):
            self.epochs = epochs
            if main is not None:
                main.trained = -1  # what is printed full again is another pass

    def first_advance(self) -> Observation | None:
        """That of the training's bar, once, while it is open whether its steps were done or skipped."""
        main = self.bar
        first = None if main is None else main.first
        if main is not None:
            main.first = None
        return first

    def logged(self, step: int | None = None) -> None:
        """A loss was told of: it is of the bar that goes on; `step`: that which a line names, which no bar has to."""
        main = self.bar
        if step is not None and main is not None and counts_epochs(main.last):
            main.outer, self.main, self.epochs = True, None, main.last.total
        bar = self.bars.get(self.going or "")
        if bar is None or bar.is_done:
            return
        bar.logged = True
        if bar is self.bar:
            bar.strength = PROVEN

    def starts(self) -> None:
        """A line says that the training starts: what nothing has proven to be one was before it.

        Only the first does: those of later epochs or folds stand below bars of the training.
        """
        main, started, self._started = self.bar, self._started, True
        if main is not None and not started and main.last.n > 0 and main.strength < PROVEN:
            self._prepared = self.main

    def gives_way(self, key: str, bar: Bar, meant: int | None, *, told: bool) -> bool:
        """Whether a print of another bar shows that `main` is not the training's; `told`: whether its steps were."""
        main, other = self.bar, self.bars[key]
        if main is None or main.strength >= PROVEN or counts_epochs(main.last):
            return False
        if meant is not None and main.last.total != meant == bar.total:
            return True
        if counts_epochs(bar) and (bar.n > 0 or self.within):
            return False  # it stands around the one that goes on
        if self._prepared == self.main and main.last.total != meant and bar.total > 1:
            return True
        if not main.is_done:
            return main.strength == 0 < other.strength and main.last.n == 0
        if other.strength != main.strength or told:
            return other.strength > main.strength
        total_s = main.spent_s + (main.last.elapsed_s or 0.0)
        brief = not main.last.description and total_s < SURE_S and bar.total > main.last.total
        return brief or (bar.elapsed_s or 0.0) > LONGER * max(total_s, SURE_S)

    def hand_over(self, key: str) -> str | None:
        """Makes another bar the training's; one that has not moved yet may stand around it. What there is to say."""
        main = self.bar
        if main is not None and main.last.n == 0:
            main.outer, self.within, self.epochs = True, True, None
        self.main = key
        if main is None or not main.is_done:
            return None
        return f"a bar of {main.last.total:,} is not the training's: another one tells more of a training"

    def is_main(self, key: str, bar: Bar) -> bool:
        """Whether a bar is the training's: the one that was chosen, the one within it, or its later epochs."""
        main, known = self.bar, self.bars[key]
        if known.outer:
            self.epochs = bar.total if bar.n else self.epochs
            return False
        if key == self.main:
            return True
        if main is None or main.rank != known.rank or counts_epochs(bar):
            return False
        alike = bar.description and words_of(bar) == words_of(main.last)
        if counts_epochs(main.last) and not main.is_done:
            self.epochs, self.within, self.main = main.last.total, True, key
        elif alike and bar.epoch is not None and main.last.epoch != bar.epoch:
            self.main = key
        return key == self.main

    def epochs_of(self, known: Followed, bar: Bar) -> int | None:
        """Epochs of the run, each as long as the bar of the training; None where that is not known."""
        if counts_epochs(bar):
            return None
        if self.within or bar.description == "keras" or bar.one_epoch:
            return bar.epochs or self.epochs
        return bar.epochs or (None if bar.epoch is not None or known.base else 1)
