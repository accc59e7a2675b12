"""Which host this is, without torch: what a measurement of a CPU must have in common with the machine it counts for.

Owns the CPU's model, the cores that may be used, the memory that is free, and whether there is a GPU. The whole of a
machine is `facts.py`.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
from pathlib import Path

PROC = Path("/proc")
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


def free_host_bytes() -> int | None:
    """Memory that a new program could take, as Linux estimates it; None: not known."""
    try:
        said = (PROC / "meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", said, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def has_gpu() -> bool:
    """Whether a GPU's driver is there; torch would say it too, after seconds."""
    return any(Path(one).exists() for one in _DRIVERS) or shutil.which("nvidia-smi") is not None
