"""What a reader of one format of run logs offers.

Owns the protocol that each file of `formats/` keeps; who is asked, and in which order, is `read.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from headway.domain.observation import RunLog


class Reader(Protocol):
    """A module that reads the run logs of one tool."""

    @property
    def NAME(self) -> str:
        """Name of the format, as in `RunLog.format`."""
        ...

    def claims(self, path: Path, head: bytes) -> float:
        """How surely `path` is of this format: 0 is not, 1 is, 0.1 is any text at all.

        `head` is the first `HEAD_BYTES` of a file, unpacked where it is gzip; a folder is asked about with `b""`.
        """
        ...

    def read(self, path: Path) -> RunLog:
        """The log at `path`. Raises UserError alone, whatever the bytes are."""
        ...


HEAD_BYTES = 65_536
"""Bytes of a file that a format is recognised by."""
