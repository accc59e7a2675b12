"""Steps counted anew in every epoch: PyTorch's and timm's examples, OpenMMLab, DETR, Swin, Flair, ESPnet, OpenCLIP,
tutorials.

Owns such lines, and the one count of steps of the whole run; lines that count through are `metric_lines.py`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from headway.logs.forms.headings import Headings
from headway.logs.forms.line import Line
from headway.logs.forms.pace import Pace
from headway.logs.forms.scaled import Scaled
from headway.logs.forms.scope import Scope
from headway.logs.text import finite

WITHIN: Final = re.compile(
    r"(?:\b[Ee]poch(?:\(train\))?:?\s{0,4}|\b[Tt]rain: )\[(?P<epoch>\d{1,6})(?:/(?P<epochs>\d{1,6}))?\]"
    r"\s{0,4}\[\s{0,8}(?P<step>\d{1,9})\s{0,4}/\s{0,4}(?P<total>\d{1,9})\]"
)
TIMM: Final = re.compile(
    r"\bTrain: (?P<epoch>\d{1,6}) \[\s{0,8}(?P<step>\d{1,9})/(?P<total>\d{1,9}) \(\s{0,3}\d{1,3}%\)\]"
)
"""timm/train.py: `Train: 0 [  50/1251 (  4%)]`, epochs and updates counted from 0."""
ESPNET: Final = re.compile(r"\b(?P<epoch>\d{1,6})epoch:train:\d{1,9}-(?P<step>\d{1,9})batch: ")
"""espnet2/train/trainer.py, the last batch of an interval; its `train_time` is of an update, which may be several."""
WORD_LM: Final = re.compile(
    r"\bepoch\s{1,4}(?P<epoch>\d{1,6}) \|\s{1,8}(?P<step>\d{1,9})/\s{0,8}(?P<total>\d{1,9}) batches\b"
)
"""word_language_model/main.py of PyTorch's examples."""
MS_PER_BATCH: Final = re.compile(r"\bms/batch\s{1,8}(?P<ms>\d{1,9}\.\d{1,9})")
"""The mean since the line before."""
TUTORIAL: Final = re.compile(r"^\s{0,4}\[(?P<epoch>\d{1,6}),\s{1,8}(?P<step>\d{1,9})\] loss: ")
"""PyTorch's tutorial of CIFAR-10: `[1,  2000] loss: 2.173`."""
FORMS: Final = (WITHIN, TIMM, ESPNET, WORD_LM, TUTORIAL)
OPEN_CLIP: Final = re.compile(
    r"\b(?:Train|Finetune) Epoch: (?P<epoch>\d{1,6}) \[\s{0,12}(?P<step>\d{1,12})/(?P<total>\d{1,12}) \(\d{1,3}%\)\]"
)
"""open_clip_train/train.py: rows, first those of one step; PyTorch's MNIST prints it too, with 0 first, which does not
tell how many a step takes."""
OPEN_CLIP_TIME: Final = re.compile(
    r"\bBatch \(t\): (?P<each>\d{1,6}\.\d{1,6})(?:, (?P<rate>\d{1,9}\.\d{0,9}(?:e\+\d\d)?)/s)?"
)
IMAGES: Final = re.compile(r"\(epoch: \d{1,6}, iters: \d{1,12}, time: \d{1,6}\.\d{1,6}(?:, data: \d{1,6}\.\d{1,6})?\)")
"""util/visualizer.py of CycleGAN and pix2pix: images, and the time of one; a step takes `batch_size` of them."""
TIME: Final = re.compile(
    r"(?i)\btime:?\s{1,4}(?P<now>\d{1,6}\.\d{1,9})s?(?:\s{0,4}\(\s{0,4}(?P<mean>\d{1,6}\.(?P<digits>\d{1,9})))?"
)
"""In parentheses the mean of the epoch so far: AverageMeter of PyTorch's ImageNet example and Swin, which is made anew
with each epoch, as is MetricLogger's `global_avg` of DETR's kin with each `log_every`."""
HELD: Final = 1.5
"""A step that took so many usual ones, and at which an evaluation was told first, has that in its time."""


def within_epoch(line: str, values: dict[str, float]) -> Line | None:
    """The step that `Epoch: [3][ 10/500]` tells of, counted in its epoch; None for other lines."""
    match = next((found for form in FORMS if (found := form.search(line))), None)
    if match is None:
        return _rows_of_epoch(line, values)
    total = match.groupdict().get("total")
    each_s, epoch_mean = _each_s(line, match.end())
    return Line(
        kind="step",
        step=int(match["step"]),
        total=int(total) if total else None,
        each_s=each_s,
        epoch_mean=epoch_mean,
        epoch=int(match["epoch"]),
        epochs=int(epochs) if (epochs := match.groupdict().get("epochs")) else None,
        first_epoch=0 if match.re is TIMM else None,
        per_epoch=True,
        values=values,
    )


def counts_rows(line: str) -> bool:
    """Whether a line tells how many rows or images of an epoch were done, of which a step takes several."""
    return "poch: " in line and (OPEN_CLIP.search(line[:400]) or IMAGES.search(line[:400])) is not None


def _each_s(line: str, start: int) -> tuple[float | None, tuple[float, float] | None]:
    """Seconds of a step that stand behind its count, and their mean over the epoch with what rounding leaves open."""
    if batch := MS_PER_BATCH.search(line, start):
        return float(batch["ms"]) / 1_000.0, None
    time = TIME.search(line, start)
    if time is None:
        return None, None
    if not time["mean"]:
        return finite(time["now"]), None
    mean_s = float(time["mean"])
    return mean_s, (mean_s, 0.5 * 10.0 ** -len(time["digits"]))


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
    """Turns steps that begin again with every epoch into those of the run, and batches into steps.

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
        self._batches_per_step = 0
        self._pace, self._scope = Pace(), Scope()
        self._in_epoch = 0
        self._evaluated: int | None = None
        self._each_s: float | None = None
        self._headings, self._scaled = Headings(), Scaled()
        self._told: int | None = None
        """The last step through the run."""
        self._whole: int | None = None
        """Steps of the run, as that line told them; `_of` those that it told itself."""
        self._of: int | None = None
        self._judged = False
        """Whether an evaluation was told of since."""
        self._plain = False
        """Whether steps are told of without an evaluation."""

    def through(self, line: Line) -> Line | None:
        """`line` with its step and total counted through the run, and its time; None where the step is not known."""
        if line.kind == "heading":
            self._headings.take(line)
            return None
        line = self._of_steps(self._as_either(self._scaled.exact(self._headings.under(line))))
        counted = self._counted(line) if line.kind == "step" else self._beside(line)
        if counted is None:
            return None
        done = self._alone(self._pace.timed(counted, self._in_epoch))
        if done.kind == "step":
            self._told, self._whole, self._of, self._judged = done.step, done.total, line.total, False
        self._judged = self._judged or done.kind == "evaluation"
        return done

    def told_elsewhere(self) -> None:
        """Takes in that a bar or a row told of a step: lines that may be of an evaluation are."""
        self._plain = True

    def _as_either(self, line: Line) -> Line:
        """A line that tells losses of the training and of an evaluation as what it is in this log."""
        if not line.both:
            self._plain = self._plain or line.kind == "step"
            return line
        return replace(line, kind="evaluation", each_s=None) if self._plain and line.kind == "step" else line

    def _beside(self, line: Line) -> Line | None:
        """An evaluation at the step it was at; None for one that is not over, or was told of."""
        if line.total and self._of and line.total not in (self._of, self._whole):
            # It counts its own batches.
            if line.step < line.total:
                return None
            line = replace(line, at_last=True)
        if line.epoch_s is not None:
            if self._judged:
                return None
            if self._last is None or self._last.step != self._last.total:
                line = replace(line, epoch_s=None)  # steps are in it that were not told of
        step = (self._told or 0) if line.at_last else line.step + self._base
        of_run = line.total and not line.at_last and line.epoch is None
        return replace(line, step=step, total=line.total if of_run else self._whole, at_last=False)

    def _of_steps(self, line: Line) -> Line:
        """An evaluation that stands at a batch, at its step."""
        if line.batches and line.step:
            self._batches_per_step = round(line.batches / line.step)
        elif line.kind == "evaluation" and self._batches_per_step:
            return replace(line, step=line.step // self._batches_per_step)
        return line

    def _alone(self, line: Line) -> Line:
        """A step without the evaluation in its time, which stands beside it.

        nanoGPT and llama2.c print the time of the last iteration, which begins with the evaluation and the save.
        """
        if line.kind != "step":
            self._evaluated = line.step if line.each_s is None else None
            return line
        held, self._evaluated = self._evaluated == line.step, None
        usual_s = self._each_s
        if line.each_s is not None and not held:
            self._each_s = line.each_s
        if not held or line.each_s is None or not usual_s or line.each_s <= HELD * usual_s:
            return line
        return replace(line, each_s=usual_s, beside=(*line.beside, ("evaluation", line.each_s - usual_s)))

    def _counted(self, line: Line) -> Line | None:
        if line.counts_rows:
            if not self._is_known(line):
                return None
            in_epoch = (line.total or 0) // self._rows_per_step or None
            line = replace(line, step=line.step // self._rows_per_step, total=in_epoch)
        if line.epoch is None:
            line = replace(line, total=None) if line.per_epoch else line
            return replace(line, step=line.step + self._base) if self._base else line
        last = self._last
        within = self._scope.within_epoch(line, last)
        if last is not None and last.epoch is not None:
            if line.epoch > last.epoch and (line.step < last.step or within):
                self._base += (last.total or last.step) * (line.epoch - last.epoch)
            elif line.epoch < last.epoch:
                self._base = self._done_before(line)
        elif within:
            self._base = self._done_before(line)
            # Counted from 0, the first line comes after the first step.
            self._first = 1 if line.step == 0 else 0
        self._last = line
        self._in_epoch = line.step + self._first
        if not (within or self._base):
            return line if within is False else replace(line, total=None)
        self.begins_again = True
        total = line.total * line.epochs if line.total and line.epochs else None
        return replace(line, step=line.step + self._base + self._first, total=total)

    def _done_before(self, line: Line) -> int:
        """Steps of the epochs before that of `line`, where it is known how many those are: it may go on with a run."""
        if line.first_epoch is None or line.epoch is None or not line.total:
            return 0
        return max(0, line.epoch - line.first_epoch) * line.total

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
