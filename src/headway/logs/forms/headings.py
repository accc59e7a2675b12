"""Lines that stand above others and say what those leave out: the epoch, how many there are, the steps of one or all.

Owns such lines and what they add to the steps below them; counting through the run is `epochs.py`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from headway.logs.forms.line import Line

LONGEST: Final = 250
"""Characters of a heading, with what a logger puts before it."""
EPOCH: Final = re.compile(
    r"(?i)^(?:.{0,120}\binfo\b.{0,80}[-:|\]] {1,3})?[=#*\-\[ ]{0,60}(?:train(?:ing)?\]?:? {1,3})?epoch ?[:#]? {0,3}"
    r"\[?(?P<epoch>\d{1,6})(?: {0,2}(?:/|of) {0,2}(?P<epochs>\d{1,6}))?\]?:?[ =#*.\-]{0,80}$"
)
"""`Epoch [1/20]`, `Epoch: 3`, `======== Epoch 1 / 4 ========`, `[Training] Epoch 1:`, alone on a line."""
EPOCHS: Final = re.compile(r"\bScheduled epochs: (?P<epochs>\d{1,6})\b|^\s{0,8}# epochs?: (?P<of>\d{1,6})\s{0,4}$")
"""timm/train.py; the banners of Chainer's examples and of Probabilistic-Face-Embeddings (train.py)."""
EPOCH_STEPS: Final = re.compile(r"^\s{0,8}epoch_size: (?P<steps>\d{1,9})\s{0,4}$")
"""The last of these banners."""
RUN_STEPS: Final = re.compile(r"^\s{0,8}Starting training\.\.\., iters: (?P<steps>\d{1,12})\s{0,4}$")
"""mlx_lm/tuner/trainer.py."""


def heading_in(message: str) -> Line | None:
    """What a line says of those below it; None for any other line."""
    if len(message) > LONGEST or not any(mark in message for mark in ("poch", "POCH", "iters: ")):
        return None
    if said := EPOCHS.search(message):
        return Line(kind="heading", step=0, epochs=int(said["epochs"] or said["of"]))
    if said := EPOCH.match(message):
        epochs = int(said["epochs"]) if said["epochs"] else None
        return Line(kind="heading", step=0, epoch=int(said["epoch"]), epochs=epochs)
    if said := EPOCH_STEPS.match(message):
        return Line(kind="heading", step=0, total=int(said["steps"]), per_epoch=True)
    if said := RUN_STEPS.match(message):
        return Line(kind="heading", step=0, total=int(said["steps"]))
    return None


class Headings:
    """Keeps what headings said, and adds it to steps that leave it out."""

    def __init__(self) -> None:
        self._epoch: int | None = None
        self._epochs: int | None = None
        self._epoch_steps: int | None = None
        self._run_steps: int | None = None
        self._needed = True
        """Whether steps name no epoch themselves: where they do, they may begin at another number than headings."""

    def take(self, heading: Line) -> None:
        """Keeps what `heading` says, beside what others said of something else."""
        self._epoch = self._epoch if heading.epoch is None else heading.epoch
        self._epochs = heading.epochs or self._epochs
        if heading.per_epoch:
            self._epoch_steps = heading.total
        else:
            self._run_steps = heading.total or self._run_steps

    def under(self, line: Line) -> Line:
        """`line` with what it leaves out and a heading said; only steps are counted by epochs."""
        if line.kind != "step":
            return line
        self._needed = self._needed and line.epoch is None
        if self._needed and self._epoch is not None and not line.total_of_run:
            line = replace(line, epoch=self._epoch)
        if line.epoch is not None and line.epochs is None and self._epochs is not None:
            line = replace(line, epochs=self._epochs)
        if line.total is None and line.per_epoch and self._epoch_steps:
            line = replace(line, total=self._epoch_steps)
        if line.total is None and line.epoch is None and self._run_steps:
            line = replace(line, total=self._run_steps, total_of_run=True)
        return line
