"""Where a run that is tracked speaks: stderr, as a line that is written over or as lines of their own.

Owns how text gets there beside the bars of others. Nothing here raises: a terminal that is gone stops no training.
"""

from __future__ import annotations

import os
import sys
from typing import Any

NARROW = 80
"""Columns of a terminal that does not say."""


class Screen:
    """The line of a run's status. `beside_bar`: a trainer draws a bar of its own, so that lines are whole ones."""

    def __init__(self, *, loud: bool, beside_bar: bool = False) -> None:
        self.loud = loud and sys.stderr is not None
        self.live = self.loud and not beside_bar and not _bars() and is_terminal()
        """Whether the line is written over."""
        self._shown = 0

    def status(self, text: str, *, last: bool = False) -> None:
        """How the run goes."""
        if not self.live:
            warn(text)
            return
        text = fitted(text)
        put(f"\r{text.ljust(self._shown)}{chr(10) if last else ''}")
        self._shown = 0 if last else len(text)

    def warn(self, words: str) -> None:
        """One line of its own, in place of the status."""
        if self.live and self._shown:
            put(f"\r{' ' * self._shown}\r")
        warn(words)


def warn(words: str) -> None:
    """One line on stderr, where there is one."""
    put(f"headway: {words}\n")


def put(text: str) -> None:
    """`text` on stderr, whole lines above the bars that tqdm draws there."""
    tqdm: Any = getattr(sys.modules.get("tqdm"), "tqdm", None)
    stream: Any = sys.stderr
    try:
        if tqdm is not None and text.endswith("\n") and not text.startswith("\r"):
            tqdm.write(text, file=stream, end="")
        else:
            stream.write(text)
            stream.flush()
    except (OSError, ValueError, AttributeError):  # gone, closed, or not a stream
        pass


def is_terminal() -> bool:
    """Whether stderr is one."""
    try:
        return bool(sys.stderr.isatty())
    except (ValueError, AttributeError):
        return False


def fitted(text: str) -> str:
    """`text` cut to one row of the terminal: what wraps cannot be written over."""
    try:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns or NARROW
    except (OSError, ValueError, AttributeError):
        columns = NARROW
    return text if len(text) < columns else f"{text[: columns - 2]}…"


def _bars() -> bool:
    """Whether tqdm draws a bar now: around the loader, as a rule."""
    return bool(getattr(getattr(sys.modules.get("tqdm"), "tqdm", None), "_instances", ()))
