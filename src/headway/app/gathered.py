"""The events of a watched command on their way into its journal: short steps go together.

Owns which steps become one event. Bars are printed ten times a second, for days; loops that are tracked gather as they
count (`track/meter.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from headway.domain.observation import Observation
from headway.track.meter import LONE_EVENTS, MOST_EVENTS, SHORTEST_S


class Gathered:
    """Passes on to `write` what it is given, in order and with the same sums: steps at intervals as `Meter` keeps."""

    def __init__(self, write: Callable[[Observation], None]) -> None:
        self._write = write
        self._held: Observation | None = None
        self._next_s = 0.0
        self._lone = LONE_EVENTS

    def take(self, item: Observation) -> None:
        """Write it, after what waits; or let it wait for the next, where it is of a short step."""
        if self._held is not None and not _goes_with(self._held, item):
            self.flush()
        self._held = item if self._held is None else _together(self._held, item)
        at_s = self._held.at_s
        if item.kind != "step" or self._held.seconds is None or at_s is None or at_s >= self._next_s:
            self.flush()

    def let_go(self, at_s: float) -> None:
        """Write what waits, where at this moment it has waited for long enough."""
        if at_s >= self._next_s:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._held is None:
            return
        item, self._held = self._held, None
        self._write(item)
        if item.kind == "step" and item.at_s is not None:
            self._lone -= 1
            self._next_s = 0.0 if self._lone > 0 else item.at_s + max(SHORTEST_S, item.at_s / MOST_EVENTS)


def _goes_with(held: Observation, item: Observation) -> bool:
    """Whether both are steps of one attempt, of known time and number, or the later one figures of the same step."""
    alike = held.kind == item.kind == "step" and (held.attempt, held.stage) == (item.attempt, item.stage)
    counted = held.seconds is not None and held.steps is not None and item.steps is not None
    return alike and counted and (item.seconds is not None or item.steps == 0)


def _together(held: Observation, item: Observation) -> Observation:
    return replace(
        item,
        at_s=held.at_s if item.at_s is None else item.at_s,
        seconds=_sum(held.seconds, item.seconds),
        step=held.step if item.step is None else item.step,
        steps=(held.steps or 0) + (item.steps or 0),
        epoch=held.epoch if item.epoch is None else item.epoch,
        rows=_sum(held.rows, item.rows),
        tokens=_sum(held.tokens, item.tokens),
        wait_s=_sum(held.wait_s, item.wait_s),
        values={**held.values, **item.values},
    )


def _sum(one: float | None, other: float | None) -> float | None:
    """Without what is not known; None where neither is."""
    return other if one is None else one + (other or 0.0)
