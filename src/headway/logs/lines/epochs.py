"""Steps counted anew in every epoch: PyTorch's and timm's examples, OpenMMLab, DETR, Swin, Flair, ESPnet, OpenCLIP,
tutorials.

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
OPEN_CLIP: Final = re.compile(
    r"\b(?:Train|Finetune) Epoch: (?P<epoch>\d{1,6}) \[\s{0,12}(?P<step>\d{1,12})/(?P<total>\d{1,12}) \(\d{1,3}%\)\]"
)
"""open_clip_train/train.py: rows, first those of one step; PyTorch's MNIST prints it too, with 0 first, which does not
tell how many a step takes."""
OPEN_CLIP_TIME: Final = re.compile(
    r"\bBatch \(t\): (?P<each>\d{1,6}\.\d{1,6})(?:, (?P<rate>\d{1,9}\.\d{0,9}(?:e\+\d\d)?)/s)?"
)
TIME: Final = re.compile(
    r"(?i)\btime:?\s{1,4}(?P<now>\d{1,6}\.\d{1,9})s?(?:\s{0,4}\(\s{0,4}(?P<mean>\d{1,6}\.\d{1,9}))?"
)


def within_epoch(line: str, values: dict[str, float]) -> Line | None:
    """The step that `Epoch: [3][ 10/500]` tells of, counted in its epoch; None for other lines."""
    match = WITHIN.search(line) or TIMM.search(line) or ESPNET.search(line)
    if match is None:
        return _rows_of_epoch(line, values)
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


def _rows_of_epoch(line: str, values: dict[str, float]) -> Line | None:
    match = OPEN_CLIP.search(line)
    if match is None:
        return None
    time = OPEN_CLIP_TIME.search(line, match.end())
    each_s = None if time is None else finite(time["each"])
    rate = None if time is None else finite(time["rate"])
    return Line(
        kind="step",
        step=int(match["step"]),
        total=int(match["total"]),
        each_s=each_s,
        epoch=int(match["epoch"]),
        per_epoch=True,
        counts_rows=True,
        rows_per_step=None if rate is None or each_s is None else rate * each_s,
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
        self._rows, self._rows_per_step = 0, 0

    def through(self, line: Line) -> Line | None:
        """`line` with its step and total counted through the run; None where they are not known."""
        if line.counts_rows:
            if not self._is_known(line):
                return None
            in_epoch = (line.total or 0) // self._rows_per_step or None
            line = replace(line, step=line.step // self._rows_per_step, total=in_epoch)
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

    def _is_known(self, line: Line) -> bool:
        """Whether the rows of a step are known: those of a first line, where the next is some whole steps further on,
        or its own rate and time say the same.
        """
        first, self._rows = self._rows, line.step
        if not self._rows_per_step:
            if first and line.step - first >= 2 * first and (line.step - first) % first == 0:
                self._rows_per_step = first
            elif line.rows_per_step and abs(line.rows_per_step - line.step) <= 0.02 * line.step:
                self._rows_per_step = line.step
        return self._rows_per_step > 0
