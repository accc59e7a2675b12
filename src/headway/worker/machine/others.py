"""How much of the processors other programs took from a probe: what makes its times less sure.

Owns the one figure, read from Linux's own accounts; elsewhere it is not known.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from headway.worker.machine.host import IDLE, IO_WAIT, PROC, processor_ticks

_STAT = PROC / "stat"


class Others:
    """What other programs took since it was made of the processors that this one may use."""

    def __init__(self, threads: int) -> None:
        """From now on, for a program that keeps so many threads busy."""
        self._threads = threads
        self._began_s = time.perf_counter()
        self._busy_s, self._all_s = _accounts(_STAT)
        self._own_s = _own_s()

    def share(self) -> float | None:
        """0..1: what others took of the usable processors, but no more than this program's threads went without.

        A program on a processor that is not needed takes nothing; time that a hypervisor took away counts. None: not
        known, or no time passed.
        """
        busy_s, all_s = _accounts(_STAT)
        own_s, wall_s = _own_s() - self._own_s, time.perf_counter() - self._began_s
        passed = all_s - self._all_s
        if passed <= 0 or wall_s <= 0:
            return None
        others = (busy_s - self._busy_s - own_s) / passed
        starved = 1 - own_s / (wall_s * self._threads)
        return min(max(min(others, starved), 0.0), 1.0)


def _accounts(stat: Path) -> tuple[float, float]:
    """Seconds in which the usable processors did something, and all that passed on them; 0 where that is not known."""
    ticks = processor_ticks(stat)
    if not any(ticks):  # not known, as on Windows, which has no sysconf either
        return 0.0, 0.0
    tick = os.sysconf("SC_CLK_TCK")
    return (sum(ticks) - ticks[IDLE] - ticks[IO_WAIT]) / tick, sum(ticks) / tick


def _own_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
