"""Trainers that tell of a step in several lines: MindSpore's monitors, PaddleNLP's Trainer, Chainer's table.

Owns what must be known of their earlier lines to read a later one; other blocks are `tools.py`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from headway.logs.forms.figures import named
from headway.logs.forms.line import Line, MarkedForm, unread
from headway.logs.text import number

LOSS_MONITOR: Final = re.compile(
    r"\bepoch: (?P<epoch>\d{1,6}) step: (?P<step>\d{1,9}), loss is (?P<loss>[-+\w.]{1,30})"
)
TIME_MONITOR: Final = re.compile(
    r"\bepoch time: \d{1,12}(?:\.\d{1,9})? ms, per step time: (?P<ms>\d{1,9}(?:\.\d{1,9})?) ms\b"
)
"""mindspore/train/callback: epochs and steps of the epoch from 1; both tell of the end of an epoch where the data is
sunk, else the one of each step."""
PADDLE_NLP: Final = re.compile(
    r"\bglobal_step: (?P<step>\d{1,12}),.{0,800}?\binterval_runtime: (?P<s>\d{1,9}\.\d{1,6})\b"
    r"(?:.{0,400}?\binterval_steps_per_second: (?P<rate>\d{1,9}\.\d{1,6})\b)?"
)
"""paddlenlp/trainer/trainer.py: the time since the line before, which holds what else was done in it."""
PADDLE_NLP_EVAL: Final = re.compile(r"\beval_loss: .{1,600}?\beval_runtime: (?P<s>\d{1,9}\.\d{1,6})\b")
PADDLE_NLP_SAVED: Final = re.compile(r" file saved in .{1,400}?\bcheckpoint-\d")
HELD: Final = 1.5
"""A step that takes so many usual ones, and before which something was saved or evaluated, has that in its time."""
TABLE: Final = re.compile(r"^\s{0,4}(?P<epoch>epoch\s{2,30})?iteration\s{2,30}\S.{0,400}\selapsed_time\s{0,9}$")
"""chainer/training/extensions/print_report.py, with the time since the start; without a column of iterations it tells
of epochs alone."""
FEWEST_COLUMNS: Final = 3

UNREAD: Final[tuple[MarkedForm, ...]] = (("interval_runtime: ", PADDLE_NLP, unread),)
"""Lines of these that `metric_lines.py` would read for others."""


class FrameworkBlocks:
    """Reads lines in their order; `observe` gives the step or the evaluation that one completes."""

    def __init__(self) -> None:
        self._sunk: Line | None = None
        self._each_step = False
        """Whether MindSpore's losses come within epochs."""
        self._usual_s: float | None = None
        self._evaluated_s = 0.0
        self._saved = False
        self._columns, self._counted = 0, 0

    def observe(self, message: str) -> Line | None:
        """What `message` completes; None for a line that completes nothing."""
        if "epoch" in message and ("loss is " in message or "step time: " in message):
            return self._mind_spore(message)
        if "_runtime: " in message or " file saved in " in message:
            return self._paddle_nlp(message)
        return self._chainer(message)

    def _mind_spore(self, message: str) -> Line | None:
        held, self._sunk = self._sunk, None
        if time := TIME_MONITOR.search(message):
            return None if held is None else replace(held, each_s=float(time["ms"]) / 1_000.0)
        if (said := LOSS_MONITOR.search(message)) is None:
            self._sunk = held
            return None
        loss = number(said["loss"])
        line = Line(kind="step", step=int(said["step"]), epoch=int(said["epoch"]), per_epoch=True,
                    values={} if loss is None else {"loss": loss})  # fmt: skip
        self._each_step = self._each_step or (held is not None and held.epoch == line.epoch)
        if self._each_step:
            return line
        # Its time may stand in the next line.
        self._sunk = line
        return held

    def _paddle_nlp(self, message: str) -> Line | None:
        if over := PADDLE_NLP_EVAL.search(message):
            self._evaluated_s += float(over["s"])
            values = named(message[over.start() :])
            return Line(kind="evaluation", step=0, at_last=True, each_s=float(over["s"]), values=values)
        if (said := PADDLE_NLP.search(message)) is None:
            self._saved = self._saved or PADDLE_NLP_SAVED.search(message) is not None
            return None
        evaluated_s, self._evaluated_s = self._evaluated_s, 0.0
        saved, self._saved = self._saved, False
        line = Line(kind="step", step=int(said["step"]), values=named(message))
        rest_s = max(0.0, float(said["s"]) - evaluated_s)
        steps = round(float(said["s"]) * float(said["rate"] or 0.0))
        if not steps:
            return replace(line, interval_s=rest_s)
        if not (saved or evaluated_s):
            self._usual_s = rest_s / steps
            return replace(line, each_s=self._usual_s)
        usual_s = self._usual_s
        if usual_s is None:
            return line
        if rest_s <= HELD * usual_s * steps:
            return replace(line, each_s=rest_s / steps)
        beside = (("checkpoint", rest_s - usual_s * steps),) if saved else ()
        return replace(line, each_s=usual_s, beside=beside)

    def _chainer(self, message: str) -> Line | None:
        if "iteration" in message and (head := TABLE.match(message)):
            self._columns, self._counted = len(message.split()), 1 if head["epoch"] else 0
            return None
        words = message.split() if self._columns else []
        figures = [number(word) for word in words]
        if not FEWEST_COLUMNS <= len(words) <= self._columns or None in figures:
            return None
        count, passed_s = words[self._counted], figures[-1]
        if not (count.isdecimal() and len(count) <= 12) or passed_s is None:
            return None
        step = int(count)
        # A resumed run's first row does not tell how many of its steps are of that time.
        return Line(kind="step", step=step, each_s=passed_s if step == 1 else None, epoch_s=passed_s)
