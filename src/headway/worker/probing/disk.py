"""How fast a folder's disk takes and gives bytes.

Owns a file of its own for a second; checkpoints are `checkpoint.py`.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

DISK_BYTES = 64_000_000
DISK_S = 1.0
PIECE = bytes(4_000_000)


def disk_speed(folder: Path) -> tuple[float, float, int]:
    """Seconds to write and to read (0: not known) and the bytes of a file that is on the disk when its clock stops."""
    path, size = folder / "speed", 0
    began = time.perf_counter()
    with path.open("wb", buffering=0) as opened:
        while size < DISK_BYTES and time.perf_counter() - began < DISK_S:
            size += opened.write(PIECE)
        os.fsync(opened.fileno())
        write_s = time.perf_counter() - began
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    began, read_s = time.perf_counter(), 0.0
    if hasattr(os, "posix_fadvise"):  # elsewhere the system's own memory would be measured
        with path.open("rb", buffering=0) as opened:
            while opened.read(len(PIECE)):
                pass
        read_s = time.perf_counter() - began
    path.unlink()
    return write_s, read_s, size
