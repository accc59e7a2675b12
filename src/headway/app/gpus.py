"""What this machine computes on, by its driver: without torch, which takes seconds and may be missing.

Owns the question to nvidia-smi. Whether there is a GPU is `worker/machine/host.py`, which device a name means the
catalog.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from headway.app.kept import CPU
from headway.catalog import find_device
from headway.domain.errors import UserError
from headway.worker.machine.host import has_gpu

ASKED = ("name", "memory.total", "mig.mode.current")
"""Of what `nvidia-smi --help-query-gpu` lists; memory is in MiB."""
HIDDEN = ("", "-1")
"""Values of CUDA_VISIBLE_DEVICES that leave a program no GPU."""


def device_here() -> str:
    """The GPU that programs find here, by the catalog's name or else the driver's; `CPU` where they find none.

    Empty where it is not known: GPUs of several kinds, in slices, or without nvidia-smi.
    """
    if not has_gpu() or os.environ.get("CUDA_VISIBLE_DEVICES") in HIDDEN:
        return CPU
    kinds = kinds_in(_asked())
    return kinds.pop() if len(kinds) == 1 else ""


def kinds_in(said: str) -> set[str]:
    """The kinds of GPU in lines of nvidia-smi with the fields `ASKED`; an empty one for slices."""
    lines = [[word.strip() for word in line.split(",")] for line in said.splitlines()]
    return {
        "" if words[2] == "Enabled" else catalogued(words[0], float(words[1]) * 2**20 if words[1].isdigit() else None)
        for words in lines
        if len(words) == len(ASKED)
    }


def catalogued(said: str, memory_bytes: float | None) -> str:
    """The catalog's name of a device with this memory; its driver's own where the catalog has none."""
    try:
        return find_device(said, memory_bytes=memory_bytes).name
    except UserError:
        return said


def _asked() -> str:
    """What nvidia-smi says; empty where there is none, or no driver below it."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    words = [program, f"--query-gpu={','.join(ASKED)}", "--format=csv,noheader,nounits"]
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=20.0, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
