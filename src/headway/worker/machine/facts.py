"""What the machine is that a run or a probe happens on, and what it does right now.

Owns the facts that a record keeps; never a name of a person, a host or a path. Which of them matter for a prediction
is decided where records are read.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from headway.worker.machine.host import PROC as _PROC
from headway.worker.machine.host import free_host_bytes, host_cpu, sensor_errors, usable_cores

LIBRARIES = ("torch", "transformers", "peft", "tokenizers", "bitsandbytes", "flash_attn")


def machine(device: torch.device) -> dict[str, Any]:
    """The device's name as torch says it (a CPU's model), what drives it, its host and the libraries' versions.

    Bytes are of the whole device and host; `cores` is what this process may use. What is not known is left out.
    """
    host = host_cpu()
    found: dict[str, Any] = {
        "device": device_name(device),
        "host": host,
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "memory_bytes": host_memory_bytes(),
        "os": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }
    if device.type == "cuda":
        about = torch.cuda.get_device_properties(device)
        found |= {
            "device_memory_bytes": about.total_memory,
            "compute_capability": f"{about.major}.{about.minor}",
            "cuda": torch.version.cuda,
            "driver": driver(),
            "gpus_seen": torch.cuda.device_count(),
        }
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return {name: value for name, value in found.items() if value not in (None, "", 0)}


def device_name(device: torch.device) -> str:
    """`NVIDIA A100-SXM4-80GB`, or the model of the CPU."""
    return str(torch.cuda.get_device_name(device)) if device.type == "cuda" else host_cpu()


def host_memory_bytes() -> int | None:
    """Memory of the host; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def free_memory_bytes(device: torch.device) -> int | None:
    """Memory that a new tensor could take now: of the GPU, or of the host as Linux estimates it; None: not known."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return free_host_bytes()


def free_disk_bytes(folder: str | Path) -> int:
    """Free bytes of the disk that holds `folder`, or its nearest parent that exists."""
    place = Path(folder).absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def driver() -> str | None:
    """The GPU driver's version; None without NVIDIA's kernel module."""
    try:
        said = (_PROC / "driver/nvidia/version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(r"Module\s.*?(\d+\.\d+(?:\.\d+)?)", said)
    return found[1] if found else None


def sensors(device: torch.device) -> dict[str, float]:
    """What the GPU says of itself now: `temperature_c`, `clock_hz`, `power_w`, `utilisation`; {} without a library."""
    if device.type != "cuda":
        return {}
    per_watt = 1.0 if torch.version.hip else 1e3  # amdsmi says watts, nvml milliwatts
    readers: dict[str, Callable[[], float]] = {
        "temperature_c": lambda: float(torch.cuda.temperature(device)),
        "clock_hz": lambda: float(torch.cuda.clock_rate(device)) * 1e6,
        "power_w": lambda: float(torch.cuda.power_draw(device)) / per_watt,
        "utilisation": lambda: float(torch.cuda.utilization(device)) / 100,
    }
    found = {}
    for name, read in readers.items():
        try:
            found[name] = read()
        except sensor_errors():  # the library is missing, or says N/A
            return found
    return found


class Peak:
    """The most memory that was held since a moment: of tensors on a GPU, of the whole process on a CPU."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def forget(self) -> None:
        """Begin anew; where the system cannot, the peak stays that of the whole process."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            return
        try:
            (_PROC / "self/clear_refs").write_text("5", encoding="ascii")  # proc(5): resets the peak resident set
        except OSError:
            return

    def bytes(self) -> int:
        """The peak so far; 0 where the system does not say."""
        if self._device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self._device))
        try:
            said = (_PROC / "self/status").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return _peak_of_process()
        found = re.search(r"^VmHWM:\s+(\d+) kB$", said, re.MULTILINE)
        return int(found[1]) * 1024 if found else 0


def _peak_of_process() -> int:
    try:
        import resource
    except ImportError:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes on macOS, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
