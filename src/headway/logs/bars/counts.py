"""What a bar counts that is no step: rows, of which a step takes several, and the batches of validations.

Owns turning such counts into steps; what a bar prints is `bar.py`, which bar is the training's `choice.py`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Final

from headway.logs.bars.bar import Bar
from headway.logs.bars.choice import Choice
from headway.logs.bars.followed import PROVEN, strength_of
from headway.logs.text import Problems

NAMED: Final = re.compile(r"\s{0,9}Train on (?P<rows>\d{1,9}) samples\b")
"""Keras up to 2.2 and that of TensorFlow 2.0, above the bars of rows (keras/engine/training_arrays.py)."""
DOWNLOAD: Final = "Downloading data from "
"""Above Keras' bars of bytes (keras/utils/data_utils.py)."""
STARTING: Final = re.compile(r"(?i)\bstart(?:ing)? (?:the )?training\b|\brunning training\b")
"""Of many scripts and of the Trainer: bars above it prepared."""
FEWEST_PRINTS: Final = 5
"""Counts of which the common divisor is a step's rows; as many multiples of it are hardly all further apart."""
EVERY_STEP: Final = 25
"""Counts of one pass from which steady gaps are those of steps: fewer may be those of evaluations, at each tenth."""
FEWEST_OF_KERAS: Final = 2
"""Of these the first is that of one step."""
SURELY_ROWS: Final = 3
MOST_BARS: Final = 1_000
UNREAD: Final = "the bar of the training counts rows, not steps: not read where nothing shows how many a step takes"
FEWEST_NAMED: Final = 2
"""Epochs that lines have named at a bar as it came to them, from which it counts them."""
VALIDATIONS: Final = (
    "the bar of the training counts the batches of validations too: they are taken off, and its total is not that of"
    " the steps"
)


@dataclass(slots=True)
class _Rows:
    """The counts that a bar has shown before it was full."""

    rows: bool = False
    """Whether they are surely of rows."""
    batch: int = 0
    """Rows of a step, once they are known."""
    divisor: int = 0
    least: int = 0
    gap: int = 0
    """The smallest between two of them."""
    seen: int = 0
    passed: int = 0
    """Of them in this pass."""
    last: int = 0

    def see(self, n: int) -> None:
        """Takes in the count of one print."""
        if n < self.last:
            self.last = self.passed = 0
        gap, self.last = n - self.last, n
        if gap == 0:
            return
        self.seen, self.passed = self.seen + 1, self.passed + 1
        self.divisor = math.gcd(self.divisor, n)
        self.least, self.gap = min(self.least or n, n), min(self.gap or gap, gap)

    def settle(self, *, keras: bool) -> None:
        """Finds the rows of a step, where the counts show them."""
        if keras:
            sure = self.seen >= FEWEST_OF_KERAS and self.divisor == self.least
        else:
            sure = self.seen >= FEWEST_PRINTS and (1 < self.divisor < self.gap or self.passed >= EVERY_STEP)
        if self.gap == 1 or (sure and self.divisor > 1):
            self.batch = self.divisor if self.gap > 1 else 1


class RowCounts:
    """Turns bars of rows into bars of steps."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._bars: dict[str, _Rows] = {}
        self._named: int | None = None
        self._downloading = False
        self.starting = False
        """Whether a line said that the training starts since that was last asked for."""

    def heed(self, message: str) -> None:
        """Takes in a line that is no bar: it may say what the bars below it count."""
        self._downloading = DOWNLOAD in message[:80]
        self.starting = self.starting or STARTING.search(message[:200]) is not None
        if match := NAMED.match(message):
            self._named = int(match["rows"])

    def in_steps(self, key: str, bar: Bar) -> Bar | None:
        """A print in steps; None where it counts rows and nothing has shown how many of them a step takes."""
        keras, full = bar.description == "keras", bar.n >= bar.total
        if not (keras or bar.rows):
            return bar
        if keras and self._downloading:
            return replace(bar, kind="")
        seen = self._bars.setdefault(key, _Rows())
        if len(self._bars) > MOST_BARS:
            self._bars.pop(next(iter(self._bars)))
        if not (full or bar.rounded):
            seen.see(bar.n)
        alike = full and seen.seen >= SURELY_ROWS and seen.divisor == seen.least > 1
        seen.rows = seen.rows or bar.rows or bar.total == self._named or alike
        if not seen.rows:
            return bar
        if not seen.batch:
            seen.settle(keras=keras)
        if not seen.batch:
            return None
        if seen.batch > 1:
            self._problems.append(f"a bar of {bar.total:,} counts rows: {seen.batch} of them are taken for a step")
        return replace(bar, n=-(-bar.n // seen.batch), total=-(-bar.total // seen.batch))


class Validations:
    """Takes the batches of validations out of a bar that counts them among its own, as Lightning's did up to 1.9.

    That it does is seen where it advances while the bar of a validation does, and as far.
    """

    def __init__(self, problems: Problems) -> None:
        self.counted = False
        """Whether the bar of the training counts them."""
        self._problems = problems
        self._taken_off = self._n = self._began_n = 0
        self._within: tuple[str, Bar] | None = None
        self._moved = False
        self._pair: tuple[int, int] | None = None
        self._over: tuple[str, Bar] | None = None

    def heed(self, key: str, bar: Bar) -> None:
        """Takes in a print of a validation's bar."""
        known = self._within[1] if self._within is not None else None
        if known is None and bar.n >= bar.total:
            return  # one that was over stands there again
        if known is None or bar.n < known.n or bar.total != known.total:
            self._close()
            self._began_n, self._pair = self._n, None
        self._within, self._moved = (key, bar), True
        if bar.n >= bar.total:
            self._close()
            self._over = None

    def in_steps(self, bar: Bar) -> Bar | None:
        """A print of the training's bar without them; None where it is in a validation, or may be."""
        if bar.n < self._n:
            self._close()
            self._taken_off = 0
        moved, self._n = bar.n > self._n, bar.n
        if self._within is not None and self.counted and bar.n - self._began_n >= self._within[1].total:
            self._close()
        if self._within is not None and moved and (self._moved or self.counted):
            if self._moved:
                self._learn(self._within[1].n, bar.n)
            self._moved = False
            return None
        off = self._taken_off
        return replace(bar, n=max(0, bar.n - off), total=max(1, bar.total - off)) if off else bar

    def over(self) -> tuple[str, Bar] | None:
        """Key and bar of a validation that is over, though its bar was not printed full; once."""
        over, self._over = self._over, None
        return over

    def _close(self) -> None:
        if self._within is not None and self.counted:
            key, bar = self._within
            self._taken_off += bar.total
            self._over = key, replace(bar, n=bar.total)
        self._within = None

    def _learn(self, validated: int, trained: int) -> None:
        """Compares how far both have come since the print before."""
        if self._pair is not None and not self.counted:
            one, other = validated - self._pair[0], trained - self._pair[1]
            if one > 0 and abs(other - one) <= 1 + one // 4:
                self.counted = True
                self._problems.append(VALIDATIONS)
        self._pair = validated, trained


class Counts:
    """Turns what bars print into steps."""

    def __init__(self, problems: Problems) -> None:
        self.rows, self.validations = RowCounts(problems), Validations(problems)
        self._problems = problems
        self.of_epochs: int | None = None
        """Length of a bar of the training that has turned out to count epochs, which its words and unit do not say."""

    def in_steps(self, key: str, bar: Bar, choice: Choice) -> Bar | None:
        """A print in steps, where its bar counts something else; None for one that tells of none."""
        if self.rows.starting:
            choice.starts()
            self.rows.starting = False
        if bar.kind == "evaluation":
            self.validations.heed(key, bar)
        if bar.kind != "train":
            return bar
        named = 0 if key != choice.main or choice.bar is None else choice.bar.epochs_named
        self.of_epochs = bar.total if bar.total > 1 and named >= FEWEST_NAMED else self.of_epochs
        counted = self.rows.in_steps(key, bar)
        if counted is not None:
            return self.validations.in_steps(counted) if key == choice.main else counted
        if choice.main not in (None, key):
            return bar  # its end alone tells something
        if strength_of(bar) >= PROVEN:
            choice.main = key  # no other is the training's, though this one is not read yet
            if bar.n >= bar.total:
                self._problems.append(UNREAD)
        return None
