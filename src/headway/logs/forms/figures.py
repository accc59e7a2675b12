"""The numbers that a line names, under one name for the loss, the learning rate and memory.

Owns names and units of figures beside a step; the step itself is `metric_lines.py`.
"""

from __future__ import annotations

import re
from typing import Final

from headway.logs.bars.bar import named_numbers
from headway.logs.text import finite, number

MEMORY = re.compile(r"(?i)\bmem(?:ory)?\w*\s{0,3}[:=]\s{0,3}(?P<value>\d+\.?\d*)\s?(?P<unit>[GM]i?B)\b")
MEMORY_UNITS: Final = {"gib": 2.0**30, "mib": 2.0**20, "gb": 1e9, "mb": 1e6}
NAMES: Final = {
    "lm loss": "loss", "reduced_train_loss": "loss", "train_loss": "loss", "loss train": "loss",
    "lr": "learning_rate", "learning rate": "learning_rate", "grad norm": "grad_norm", "gnorm": "grad_norm",
}  # fmt: skip


def named(text: str) -> dict[str, float]:
    """The numbers that a line names, without its step and what loggers put before the message."""
    found: dict[str, float] = {}
    for name, value in named_numbers(text).items():
        short = name.rpartition(" - ")[2].strip()
        plain = NAMES.get(short.lower(), "loss" if short.lower() == "loss" else short)
        if not re.search(r"(?i)(?:step|iter|iteration|epoch|batch|\.py)$", plain):
            found.setdefault(plain, value)
    memory = MEMORY.search(text)
    if memory and (size := finite(memory["value"])) is not None:
        found["memory_bytes"] = size * MEMORY_UNITS[memory["unit"].lower()]
    return found


def fields(text: str) -> dict[str, float]:
    """The fields of `a: 1 | b: 2/3 |`, the first number of each."""
    found = {}
    for piece in text.split("|")[:60]:
        name, colon, value = piece.partition(":")
        words = value.strip().split("/")[0].split()
        if colon and words and (figure := number(words[0])) is not None:
            found[NAMES.get(name.strip(), name.strip())] = figure
    return found
