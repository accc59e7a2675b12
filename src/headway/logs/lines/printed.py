"""Rows and settings that a training prints: dictionaries of Python or JSON, the Trainer's banner, a resume.

Owns finding them in a line; what a row says is `logs/hf_rows.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from headway.logs.lines.prefix import moment_in
from headway.logs.lines.saves import LOOKED_AT, SAVING
from headway.logs.text import finite

ROW = re.compile(r"\{\s{0,4}['\"][^{}]{1,20000}\}")
ROW_BEGUN = re.compile(r"\{\s{0,4}['\"][\w/]{1,60}['\"]\s?:[^{}]{0,4000}$")
ROW_PAIR = re.compile(
    r"""['"]([^'"]{1,120})['"]\s{0,4}:\s{0,4}(?:"([^"]{0,400})"|'([^']{0,400})'|(?:[\w.]{1,40}\()?([-+]?\w[\w.+-]{0,60})\)?)"""
)
BANNER: Final = (  # of streamed rows the epochs are 9,223,372,036,854,775,807, which says nothing
    ("total_steps", re.compile(r"Total (?:optimization )?steps\s?=\s?([\d,]{1,15})")),
    ("rows", re.compile(r"Num examples\s?=\s?([\d,]{1,15})")),
    ("epochs", re.compile(r"Num Epochs\s?=\s?([\d,]{1,15})(?![\d,])")),
    ("micro_batch", re.compile(r"[Bb]atch size per device\s?=\s?([\d,]{1,9})")),
    ("grad_accum", re.compile(r"Gradient [Aa]ccumulation steps\s?=\s?([\d,]{1,9})")),
    ("global_batch", re.compile(r"Total train batch size .{0,60}=\s?([\d,]{1,9})")),
)
RESUMED = re.compile(
    r"(?i)continuing training from global step (\d{1,12})|resum\w{1,3} .{0,80}?\bstep[ :=]{1,2}(\d{1,12})"
)


def rows_in(message: str) -> Iterator[Mapping[str, str]]:
    """The dictionaries printed in a line, Python's or JSON's, values as text."""
    if "{" not in message:
        return
    for match in ROW.finditer(message):
        row = {
            found[1]: next(part for part in (found[2], found[3], found[4], "") if part is not None)
            for found in ROW_PAIR.finditer(match.group())
        }
        if row:
            yield row


def alike(row: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether two last rows are of one training, printed with more or fewer digits."""
    one, two = finite(row["train_runtime"]), finite(other["train_runtime"])
    return one is not None and two is not None and abs(one - two) <= 0.001 * abs(two)


def begins_row(line: str) -> bool:
    """Whether a line ends within a row, which the next lines go on with."""
    return "{" in line and len(line) < 8_000 and ROW_BEGUN.search(line[-4_200:]) is not None


class Joiner:
    """Joins rows that were printed over several lines."""

    def __init__(self) -> None:
        self._begun = ""

    def whole(self, line: str) -> str:
        """The line with what it goes on with; empty while it is not whole."""
        if self._begun:
            line, self._begun = f"{self._begun} {line}", ""
        if not begins_row(line):
            return line
        self._begun = line
        return ""


def behind_bars(message: str, end: int) -> str:
    """What a program printed behind a bar, which has no end of line: another message, which has a moment of its own,
    or tells of a save or an epoch; empty where what stands there is of the bar.
    """
    behind = message[end:]
    if not behind or behind[0] in " ,":
        return ""
    is_own = behind.startswith("Epoch ") or SAVING.search(behind[:LOOKED_AT]) or moment_in(behind) is not None
    return behind if is_own else ""


def settings_in(message: str) -> dict[str, float]:
    """What the Trainer's banner says of the run: `total_steps`, `rows`, `epochs`, `micro_batch`, `grad_accum` ..."""
    if "=" not in message:
        return {}
    found = {name: match[1] for name, form in BANNER if (match := form.search(message[:1_000]))}
    return {name: value for name, text in found.items() if (value := finite(text)) is not None}


def resumed_at(message: str) -> int | None:
    """The step that a line says the training goes on from; None for other lines."""
    match = RESUMED.search(message[:1_000]) if "esum" in message or "ontinuing" in message else None
    return int(match[1] or match[2]) if match else None
