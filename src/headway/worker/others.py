"""How much of the host's processors other programs take: what makes a probe on a shared machine less sure.

Owns the one figure, read from Linux's own accounts; elsewhere it is not known.
"""

from __future__ import annotations

import os
from pathlib import Path

_STAT = Path("/proc/stat")
_IDLE = (3, 4)
"""Fields of the line `cpu` in which nothing runs: idle and iowait (proc_stat(5))."""


class Others:
    """Shares of the host's processors that other programs took since it was made."""

    def __init__(self) -> None:
        """From now on."""
        self._busy_s, self._all_s = _accounts()
        self._own_s = _own_s()

    def share(self) -> float | None:
        """0..1, of all processors; time that a hypervisor took away counts. None: not known, or no time passed."""
        busy_s, all_s = _accounts()
        passed = all_s - self._all_s
        if passed <= 0:
            return None
        return min(max((busy_s - self._busy_s - (_own_s() - self._own_s)) / passed, 0.0), 1.0)


def _accounts() -> tuple[float, float]:
    """Seconds in which the processors did something, and all that passed on them."""
    try:
        fields = [int(one) for one in _STAT.read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return 0.0, 0.0
    tick = os.sysconf("SC_CLK_TCK")
    return sum(one for at, one in enumerate(fields) if at not in _IDLE) / tick, sum(fields) / tick


def _own_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
