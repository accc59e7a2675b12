"""What the machine does while a run runs: cheap samples, none of which can fail or wait.

Owns which figures are looked at. `Sampler` looks from inside the process that trains, `outside()` at the devices of a
machine where something else trains. Names are those of `Observation.values` of kind `device`, which `causes.py` reads.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from headway.worker.machine.host import (
    IDLE,
    IO_WAIT,
    has_gpu,
    host_cpu,
    memory_figures,
    processor_ticks,
    sensor_errors,
)


class Sampler:
    """Samples the machine; shares are of the time since the sample before."""

    def __init__(self) -> None:
        self._ticks = processor_ticks()
        self._own = (time.process_time(), time.monotonic())
        self._paged: tuple[float, float, float, float] | None = None
        self._sources: list[Callable[[], dict[str, float]]] = [
            self._processors, self._pages, _load, _swap, _device, _clocks
        ]  # fmt: skip

    def sample(self) -> dict[str, float]:
        """Figures that this machine has; a source that fails once is not asked again."""
        found: dict[str, float] = {}
        for source in list(self._sources):
            try:
                found |= source()
            except sensor_errors():  # a driver, container or system that lacks it
                self._sources.remove(source)
        return found

    def _processors(self) -> dict[str, float]:
        own, now = time.process_time(), time.monotonic()
        passed = max(now - self._own[1], 1e-9)
        found = {"own_cpu_share": (own - self._own[0]) / passed}
        self._own = (own, now)
        ticks = processor_ticks()
        if (all_ticks := sum(ticks) - sum(self._ticks)) > 0:
            idle, waiting = ticks[IDLE] - self._ticks[IDLE], ticks[IO_WAIT] - self._ticks[IO_WAIT]
            found |= {"cpu_busy_share": 1.0 - (idle + waiting) / all_ticks, "io_wait_share": waiting / all_ticks}
        self._ticks = ticks
        return found

    def _pages(self) -> dict[str, float]:
        """Pages that this process was given anew, and the system's share of its processor time, which gives them."""
        import resource  # which Windows has not

        said = resource.getrusage(resource.RUSAGE_SELF)
        before, self._paged = self._paged, (said.ru_minflt, said.ru_stime, said.ru_utime, time.monotonic())
        if before is None:
            return {}
        faults, system_s, user_s, passed = (now - was for now, was in zip(self._paged, before, strict=True))
        busy_s = max(system_s + user_s, 1e-9)
        return {"page_faults_per_s": faults / max(passed, 1e-9), "system_share": system_s / busy_s}


def _load() -> dict[str, float]:
    return {"load_per_cpu": os.getloadavg()[0] / (os.cpu_count() or 1)}


def _swap() -> dict[str, float]:
    said = memory_figures()
    return {"swap_bytes": float(said["SwapTotal"] - said["SwapFree"])}


def _cuda() -> Any:
    """`torch.cuda` of a process that already uses it; torch is never imported for a sample."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None


def device_in_use() -> str:
    """What torch computes on in this process, as its driver names it or by its CPU; empty where that is not certain:
    torch is not used, or not alone, or has another device that it may yet use.
    """
    cuda, torch = _cuda(), sys.modules.get("torch")
    if cuda is not None:
        return str(cuda.get_device_name())
    if torch is None or "jax" in sys.modules or has_gpu() or torch.backends.mps.is_available():
        return ""
    return host_cpu()


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
    from headway.worker.machine.facts import sensors  # torch, which is there

    return sensors(sys.modules["torch"].device("cuda", cuda.current_device()))


ASKED = ("clocks.sm", "temperature.gpu", "utilization.gpu", "power.draw", "power.limit", "memory.used", "memory.total")
"""Of what `nvidia-smi --help-query-gpu` lists; names and units are those of its logs (`logs/formats/nvidia_smi.py`)."""


def outside() -> dict[str, float]:
    """The busiest NVIDIA device as nvidia-smi sees it, in some 50 ms; nothing where there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return {}
    words = [program, f"--query-gpu={','.join(ASKED)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=5.0, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    return read_devices(done.stdout)


def read_devices(text: str) -> dict[str, float]:
    """The device with the highest utilisation of nvidia-smi's lines; figures that it does not know are left out."""
    from headway.logs.formats.nvidia_smi import QUERY  # all readers with it, which a training loop does not need

    found: list[dict[str, float]] = []
    for line in text.splitlines():
        device: dict[str, float] = {}
        for field, word in zip(ASKED, line.split(","), strict=False):
            name, unit = QUERY[field]
            with suppress(ValueError):
                device[name] = float(word) * unit
        found.append(device)
    return max(found, key=lambda device: device.get("utilisation", -1.0), default={})
