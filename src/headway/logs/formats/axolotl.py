"""Console logs of Axolotl: rows of the Hugging Face Trainer under its banner and loggers.

Owns only recognising them; the lines are those of `console.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from headway.domain.observation import RunLog
from headway.logs.formats.console import LOG_NAMES, read_as
from headway.logs.text import as_text

NAME: Final = "axolotl"
MARKS: Final = ("[axolotl.", "axolotl.cli", "axolotl-ai-cloud", "axolotl/utils", "axolotl.utils", "axolotl.train")


def claims(path: Path, head: bytes) -> float:
    """By the names of its loggers."""
    text = as_text(head)
    if text.lstrip().startswith("{") or not any(mark in text for mark in MARKS):
        return 0.0
    return 0.7 if "[axolotl." in text or LOG_NAMES.search(path.name) else 0.2


def read(path: Path) -> RunLog:
    """The log at `path`. Raises UserError for a text that tells of no training and is not named a log."""
    return read_as(NAME, path)
