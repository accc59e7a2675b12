"""What the C library does with memory that a step frees: on a host it is kept for the next step, which asks the same.

glibc hands every large block back to the system when it is freed and asks for it anew: the pages of a 135M model's
step, cleared and mapped again each time, take a quarter of that step. Owns that choice; a GPU has torch's own cache.
"""

from __future__ import annotations

import ctypes
import os

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Parameters of mallopt(3)."""
MOST = 2**31 - 1
"""The largest value of one, a C int: 2 GiB may lie free at the end of the heap."""


def keep_freed_memory() -> bool:
    """From now on this process keeps what it frees; whether that was done.

    Not where the user has chosen (`MALLOC_…`, `GLIBC_TUNABLES`, an allocator preloaded), nor without glibc.
    """
    chosen = any(name.startswith("MALLOC_") or name in ("GLIBC_TUNABLES", "LD_PRELOAD") for name in os.environ)
    mallopt = None if chosen else _of_c_library("mallopt")
    if mallopt is None or _of_c_library("gnu_get_libc_version") is None:  # musl's is of no effect
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, MOST))


def _of_c_library(name: str) -> ctypes._NamedFuncPointer | None:
    try:
        return getattr(ctypes.CDLL(None), name, None)
    except (OSError, TypeError):  # TypeError: Windows has no program to look into
        return None
