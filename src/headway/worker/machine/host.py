"""Which host this is, without torch: what a measurement of a CPU must have in common with the machine it counts for.

Owns the CPU's model, the cores that may be used with what they did, the host's memory (Linux's accounts), and whether
there is a GPU. The whole of a machine is `facts.py`.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from pathlib import Path

PROC = Path("/proc")
IDLE, IO_WAIT = 3, 4
"""Of `processor_ticks`, those in which nothing runs."""
_DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""There is a GPU's driver where one of these is: NVIDIA's, AMD's, that of a Windows host."""


def host_cpu() -> str:
    """The CPU's model as its maker writes it, else the architecture."""
    try:
        said = (PROC / "cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    named = re.search(r"^model name\s*:\s*(.+)$", said, re.MULTILINE)
    return " ".join(named[1].split()) if named else platform.machine()


def usable_cores() -> int:
    """Logical cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor_ticks(stat: Path = PROC / "stat") -> tuple[int, ...]:
    """Ticks of the processors that this process may run on, since the system began; all 0 where that is not known.

    Their fields: user, nice, system, idle, iowait, irq, softirq, steal (proc_stat(5)).
    """
    usable = {f"cpu{core}" for core in os.sched_getaffinity(0)} if hasattr(os, "sched_getaffinity") else set()
    try:
        lines = [line.split() for line in stat.read_text(encoding="ascii").splitlines()]
        fields = [[int(one) for one in words[1:9]] for words in lines if words[0] in usable]
    except (OSError, ValueError, IndexError):
        fields = []
    return tuple(map(sum, zip(*fields, strict=True))) if fields else (0,) * 8


def memory_figures() -> dict[str, int]:
    """Bytes of the host's memory by the names of /proc/meminfo; {} where there is none."""
    try:
        said = (PROC / "meminfo").read_text(encoding="ascii")
    except OSError:
        return {}
    return {name: int(kilobytes) * 1024 for name, kilobytes in re.findall(r"^(\w+):\s+(\d+) kB$", said, re.MULTILINE)}


def free_host_bytes() -> int | None:
    """Memory that a new program could take, as Linux estimates it; None: not known."""
    return memory_figures().get("MemAvailable")


def has_gpu() -> bool:
    """Whether a GPU's driver is there; torch would say it too, after seconds."""
    return any(Path(one).exists() for one in _DRIVERS) or shutil.which("nvidia-smi") is not None


def sensor_errors() -> tuple[type[Exception], ...]:
    """What reading a sensor may raise where something lacks it: torch's, Linux's, NVML's and AMD SMI's own."""
    own: list[type[Exception]] = [
        found
        for library, name in (("pynvml", "NVMLError"), ("amdsmi", "AmdSmiException"))
        if (found := getattr(sys.modules.get(library), name, None)) is not None
    ]
    return (OSError, ValueError, LookupError, AttributeError, ImportError, RuntimeError, *own)
