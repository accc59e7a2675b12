"""Steps counted anew in every epoch: PyTorch's and timm's examples, OpenMMLab, DETR, Swin, Flair, ESPnet, tutorials.

Owns such lines, and the one count of steps of the whole run; lines that count through are `metric_lines.py`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from headway.logs.lines.line import Line
from headway.logs.text import finite

WITHIN: Final = re.compile(
    r"(?:\b[Ee]poch(?:\(train\))?:?\s{0,4}|\b[Tt]rain: )\[(?P<epoch>\d{1,6})(?:/(?P<epochs>\d{1,6}))?\]"
    r"\s{0,4}\[\s{0,8}(?P<step>\d{1,9})\s{0,4}/\s{0,4}(?P<total>\d{1,9})\]"
)
TIMM: Final = re.compile(
    r"\bTrain: (?P<epoch>\d{1,6}) \[\s{0,8}(?P<step>\d{1,9})/(?P<total>\d{1,9}) \(\s{0,3}\d{1,3}%\)\]"
)
"""timm/train.py: `Train: 0 [  50/1251 (  4%)]`, updates counted from 0."""
ESPNET: Final = re.compile(r"\b(?P<epoch>\d{1,6})epoch:train:\d{1,9}-(?P<step>\d{1,9})batch: ")
"""espnet2/train/trainer.py, the last batch of an interval; its `train_time` is of an update, which may be several."""
TIME: Final = re.compile(
    r"(?i)\btime:?\s{1,4}(?P<now>\d{1,6}\.\d{1,9})s?(?:\s{0,4}\(\s{0,4}(?P<mean>\d{1,6}\.\d{1,9}))?"
)


def within_epoch(line: str, values: dict[str, float]) -> Line | None:
    """The step that `Epoch: [3][ 10/500]` tells of, counted in its epoch; None for other lines."""
    match = WITHIN.search(line) or TIMM.search(line) or ESPNET.search(line)
    if match is None:
        return None
    time = TIME.search(line, match.end())
    total = match.groupdict().get("total")
    return Line(
        kind="step",
        step=int(match["step"]),
        total=int(total) if total else None,
        each_s=None if time is None else finite(time["mean"] or time["now"]),
        epoch=int(match["epoch"]),
        epochs=int(epochs) if (epochs := match.groupdict().get("epochs")) else None,
        per_epoch=True,
        values=values,
    )


class Epochs:
    """Turns steps that begin again with every epoch into those of the run.

    A count that goes back where the epoch goes on is one of the epoch; where the epoch does not, it is a restart and
    is left as it is.
    """

    def __init__(self) -> None:
        self._last: Line | None = None
        self._base = 0
        self._first = 0
        self.begins_again = False
        """Whether the count is one of the epoch: a total is known only where the epochs are."""

    def through(self, line: Line) -> Line:
        """`line` with its step and total counted through the run."""
        if line.kind != "step" or line.epoch is None:
            return replace(line, step=line.step + self._base) if self._base else line
        last = self._last
        if last is not None and last.epoch is not None:
            if line.epoch > last.epoch and (line.step < last.step or line.per_epoch):
                self._base += (last.total or last.step) * (line.epoch - last.epoch)
            elif line.epoch < last.epoch:
                self._base = 0
        elif line.per_epoch and line.step == 0:
            # Counted from 0, the first line comes after the first step.
            self._first = 1
        self._last = line
        if not (line.per_epoch or self._base):
            return line
        self.begins_again = True
        total = line.total * line.epochs if line.total and line.epochs else None
        return replace(line, step=line.step + self._base + self._first, total=total)
