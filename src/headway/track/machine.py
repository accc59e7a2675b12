"""What the machine does while a run runs: cheap samples, none of which can fail or wait.

Owns which figures are looked at. Names are those of `Observation.values` of kind `device`, which `causes.py` reads.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any


class Sampler:
    """Samples the machine; shares are of the time since the sample before."""

    def __init__(self) -> None:
        self._ticks = _ticks()
        self._own = (time.process_time(), time.monotonic())
        self._sources: list[Callable[[], dict[str, float]]] = [self._processors, _load, _swap, _device, _clocks]

    def sample(self) -> dict[str, float]:
        """Figures that this machine has; a source that fails once is not asked again."""
        found: dict[str, float] = {}
        for source in list(self._sources):
            try:
                found |= source()
            except Exception:  # drivers, containers and other systems lack what they like
                self._sources.remove(source)
        return found

    def _processors(self) -> dict[str, float]:
        own, now = time.process_time(), time.monotonic()
        passed = max(now - self._own[1], 1e-9)
        found = {"own_cpu_share": (own - self._own[0]) / passed}
        self._own = (own, now)
        ticks = _ticks()
        if ticks and self._ticks and (all_ticks := sum(ticks) - sum(self._ticks)) > 0:
            idle, waiting = ticks[3] - self._ticks[3], ticks[4] - self._ticks[4]
            found |= {"cpu_busy_share": 1.0 - (idle + waiting) / all_ticks, "io_wait_share": waiting / all_ticks}
        self._ticks = ticks
        return found


def _ticks() -> list[int]:
    """The line `cpu` of /proc/stat (proc(5)): user, nice, system, idle, iowait, irq, softirq, steal; else nothing."""
    with suppress(OSError, ValueError), open("/proc/stat", encoding="ascii") as lines:
        return [int(word) for word in lines.readline().split()[1:9]]
    return []


def _load() -> dict[str, float]:
    return {"load_per_cpu": os.getloadavg()[0] / (os.cpu_count() or 1)}


def _swap() -> dict[str, float]:
    said = {}
    with open("/proc/meminfo", encoding="ascii") as lines:
        for line in lines:
            name, _, rest = line.partition(":")
            if name in ("SwapTotal", "SwapFree"):
                said[name] = float(rest.split()[0]) * 1024
    return {"swap_bytes": said["SwapTotal"] - said["SwapFree"]}


def _cuda() -> Any:
    """`torch.cuda` of a process that already uses it; torch is never imported for a sample."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None


def _device() -> dict[str, float]:
    cuda = _cuda()
    if cuda is None:
        return {}
    free, whole = cuda.mem_get_info()
    return {
        "memory_bytes": float(whole - free),
        "memory_total_bytes": float(whole),
        "allocator_retries": float(cuda.memory_stats().get("num_alloc_retries", 0)),
    }


def _clocks() -> dict[str, float]:
    """Through NVML, where its Python binding is installed."""
    cuda = _cuda()
    if cuda is None:
        return {}
    return {
        "clock_hz": cuda.clock_rate() * 1e6,
        "temperature_c": float(cuda.temperature()),
        "utilisation": cuda.utilization() / 100.0,
        "power_w": cuda.power_draw() / 1e3,
    }
