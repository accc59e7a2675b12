"""One axis of time for all clocks that a log shows: stamps, elapsed times, bars, those of MLPerf.

Owns where each of them has its zero; what is read off them is `line_reader.py`.
"""

from __future__ import annotations

from headway.domain.observation import Observation


class Axis:
    """`now_s` is the moment of the last line that told of one; None: none did."""

    def __init__(self) -> None:
        self.now_s: float | None = None
        self.zeros_s: dict[str, float] = {}
        self.fresh = False
        """Whether nothing has taken the moment for its own since a stamp showed it."""
        self.opened = False
        """Whether the beginning of the training was told of."""

    def on(self, clock: str, shown_s: float, bar_s: float | None) -> float:
        """A moment that a clock shows; each is set by where it is first seen, and is `now_s` from then on.

        `bar_s`: when the bar of the training began, if there is one: elapsed time runs since then.
        """
        if clock not in self.zeros_s:
            if clock == "elapsed" and "stamp" not in self.zeros_s:
                self.zeros_s[clock] = bar_s if bar_s is not None else (self.now_s or 0.0)
            else:
                self.zeros_s[clock] = self.now_s - shown_s if self.now_s is not None else 0.0
        self.now_s, self.fresh = self.zeros_s[clock] + shown_s, True
        return self.now_s

    def taken(self) -> float | None:
        """`now_s` for what shows no moment of its own, once: what comes after it was later, and is not dated."""
        fresh, self.fresh = self.fresh, False
        return self.now_s if fresh else None

    def opens(self, clock: str) -> bool:
        """True once: where a clock that runs since the start of the training was first seen."""
        if self.opened or (clock == "elapsed" and clock not in self.zeros_s):
            return False
        self.opened = True
        return True

    def begun(self, rank: int) -> list[Observation]:
        """The beginning of a training whose elapsed time was first seen just now."""
        first = self.opens("elapsed")
        return [Observation(kind="begin", at_s=self.zeros_s["elapsed"], rank=rank)] if first else []
