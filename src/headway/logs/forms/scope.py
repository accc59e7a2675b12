"""Whether a count that stands beside an epoch is one of the epoch or of the run, which its total tells of then.

Owns that question where the form of a line leaves it open; the count through the run is `epochs.py`.
"""

from __future__ import annotations

from typing import Final

from headway.logs.forms.line import Line

SLACK: Final = 0.001
"""Share of the run by which epochs may end beside their steps: counts are rounded."""


class Scope:
    """Learns from lines in their order whether they count within an epoch; None while that is open."""

    def __init__(self) -> None:
        self._in_epoch: bool | None = None
        self._left = {0, 1}
        """What the first epoch may be called, were the steps counted through the run."""

    def within_epoch(self, line: Line, last: Line | None) -> bool | None:
        """Whether `line`, which names its epoch, counts in it; `last` is the one before."""
        if line.per_epoch:
            return True
        if line.total_of_run or line.epochs == 1:
            return False
        if line.epoch is None or not line.total:
            return None
        if self._in_epoch is None:
            self._in_epoch = self._seen(line.epoch, line.step, line.total, line.epochs, last)
        return self._in_epoch

    def _seen(self, epoch: int, step: int, total: int, epochs: int | None, last: Line | None) -> bool | None:
        if epochs:
            slack, of_epoch = 1 + SLACK * total, total / epochs
            self._left = {
                first
                for first in self._left
                if (epoch - first) * of_epoch - slack <= step <= (epoch - first + 1) * of_epoch + slack
            }
            if not self._left:
                return True
        if last is not None and last.epoch is not None and epoch > last.epoch:
            return step <= last.step
        return None
