"""Saves that lines tell of, each of them once.

Owns the words of a save; how long one took is said by the moments around it, or by Megatron's timers.
"""

from __future__ import annotations

import re

from headway.domain.observation import Observation
from headway.logs.forms.metric_lines import saved_s

SAVING = re.compile(
    r"(?i)\bsav(?:ing|ed) (?:(?:the|a|best|new|final|fsdp|model|full) ){0,3}checkpoints?\b"
    r"(?! (?:every|each|in|after|to be))|\bsave checkpoint to\b|\bcheckpoint (?:of size \S{1,12} \S{1,4} )?saved\b"
    r"|\bsaved (?:state|adapter weights) to\b|\bmodel saved to\b|\bsaving state, iter\b|保存检查点"
)
"""Of accelerate's two lines the later one: `Saving current state to` mostly stands behind a bar. Adapter weights are
mlx_lm's, sizes torchtune's, iterations ssd.pytorch's."""
LOOKED_AT = 400
"""Characters of a line in which it tells of a save."""


class Saves:
    """Reads lines in their order: several tell of one save, that it begins, that it is over, its files."""

    def __init__(self) -> None:
        self._told = False

    def observe(self, message: str, step: int | None, rank: int) -> list[Observation] | None:
        """The save that a line tells of first, none where one before did; None for other lines."""
        if (seconds := saved_s(message)) is not None:
            return [Observation(kind="checkpoint", seconds=seconds, step=step, rank=rank)]
        if SAVING.search(message[:LOOKED_AT]) is None:
            return None
        told, self._told = self._told, True
        return [] if told else [Observation(kind="checkpoint", step=step, rank=rank)]

    def trained(self) -> None:
        """Takes in that steps were done: the next line is of another save."""
        self._told = False
