"""Much-copied loops that tell of a step in several lines: BERT's tutorial, ssd.pytorch, faster-rcnn.pytorch, char-rnn.

Owns what must be known of their earlier lines to read a later one; other blocks are `tools.py`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from headway.logs.forms.figures import named
from headway.logs.forms.known.tutorials import CLOCK
from headway.logs.forms.line import Line, MarkedForm, unread
from headway.logs.text import duration_s, number

BATCH_OF: Final = re.compile(
    r"^\s{0,8}Batch\s{1,9}(?P<step>\d[\d,]{0,12})\s{1,4}of\s{1,9}(?P<total>\d[\d,]{0,12})\.\s{1,9}"
    rf"Elapsed:\s{{1,4}}(?P<passed>{CLOCK})"
)
TOOK: Final = re.compile(rf"^\s{{0,8}}(?P<what>Training ep(?:oc|co)h|Validation) took:\s{{1,4}}(?P<passed>{CLOCK})")
"""Chris McCormick's tutorial of BERT, with its slip of the pen: batches of the epoch, the time since it began; which
epoch of how many stands above."""
TIMER: Final = re.compile(r"^\s{0,8}[Tt]imer: (?P<s>\d{1,6}\.\d{1,6})(?: sec\.?)?\s{0,4}$")
TIMED_BEFORE: Final = re.compile(
    r"\biter[: ]\s{0,4}(?P<step>\d{1,9}) \|\| Loss: ?(?P<loss>[-+\w.]{1,30})(?!.{0,3000}\b[Bb]?(?:atch ?)?[Tt]imer?\b)"
)
"""train.py of amdegroot/ssd.pytorch and of S3FD and DSFD: the time of a batch, then its line, steps of the run from 0.
The former prints the next time behind the line, unless a warning comes between."""
FEWEST_TIMERS: Final = 2
"""The first stands alone in either case."""
RCNN: Final = re.compile(
    r"\[session \d{1,6}\]\[epoch\s{1,6}(?P<epoch>\d{1,6})\]\[iter\s{1,9}(?P<step>\d{1,9})/\s{0,9}(?P<total>\d{1,9})\]"
    r" loss: [-+\w.]{1,30}"
)
RCNN_TIME: Final = re.compile(r"\bfg/bg=\(\d{1,9}/\d{1,9}\), time cost: (?P<s>\d{1,9}\.\d{1,9})")
"""trainval_net.py of jwyang/faster-rcnn.pytorch: epochs from 1, batches from 0; the time is that since the line before,
or since the epoch began."""
CHAR_RNN: Final = re.compile(
    r"(?:^|\s)(?:iter )?(?P<step>\d{1,9})(?:/(?P<total>\d{1,9}))? \(epoch \d{1,6}(?:\.\d{1,6})?\), "
    r"train_loss = (?P<loss>[-+\w.]{1,30}),.{0,120}?\btime/batch = (?P<s>\d{1,6}\.\d{1,9})"
)
READ: Final = re.compile(r"^\s{0,40}Read data: (?P<s>\d{1,6}\.\d{1,18})\s{0,4}$")
"""karpathy/char-rnn, sherjilozair/char-rnn-tensorflow: steps of the run; ruotianluo/ImageCaptioning.pytorch prints the
reading before it, which is not in its time."""
GRAPH: Final = re.compile(
    r"^\s{0,8}step (?P<step>\d{1,9}) / (?P<total>\d{1,9}) \(epoch \d{1,6}\.\d{1,6} / \d{1,6}(?:\.\d{1,6})?\):\s{0,4}$"
)
WALL: Final = re.compile(r"^\s{0,8}time: \d{1,9}s \(wall (?P<s>\d{1,9})s\)\s{0,4}$")
"""lib/models.py of mdeff/cnn_graph: a step, its losses, those of a validation, the time since the start."""

UNREAD: Final[tuple[MarkedForm, ...]] = (
    (" || Loss:", TIMED_BEFORE, unread),
    ("Elapsed:", BATCH_OF, unread),
    ("[session ", RCNN, unread),
    ("), train_loss = ", CHAR_RNN, unread),
)
"""Lines of these that `metric_lines.py` would read for others."""


def _count(text: str) -> int:
    return int(text.replace(",", ""))


class TutorialBlocks:
    """Reads lines in their order; `observe` gives the step or the evaluation that one completes."""

    def __init__(self) -> None:
        self._batch: Line | None = None
        self._timers = 0
        self._timer_s: float | None = None
        self._roi: Line | None = None
        self._read_s = 0.0
        self._graph: Line | None = None

    def observe(self, message: str) -> Line | None:
        """What `message` completes; None for a line that completes nothing."""
        if " took:" in message or "Elapsed:" in message:
            return self._bert(message)
        if "[session " in message or "time cost: " in message:
            return self._rcnn(message)
        if "imer: " in message or " || Loss:" in message:
            return self._ssd(message)
        if "time/batch" in message or "Read data: " in message:
            return self._char_rnn(message)
        return self._cnn_graph(message)

    def _bert(self, message: str) -> Line | None:
        if said := BATCH_OF.match(message):
            step, passed_s = _count(said["step"]), duration_s(said["passed"])
            each_s = passed_s / step if passed_s is not None and step else None
            self._batch = Line(kind="step", step=step, total=_count(said["total"]), each_s=each_s, epoch_s=passed_s,
                               per_epoch=True)  # fmt: skip
            return self._batch
        if (took := TOOK.match(message)) is None:
            return None
        passed_s = duration_s(took["passed"])
        if took["what"] == "Validation":
            return Line(kind="evaluation", step=0, at_last=True, each_s=passed_s)
        batch, self._batch = self._batch, None
        # All batches are done, though the last were not printed.
        return None if batch is None else replace(batch, step=batch.total or batch.step, epoch_s=passed_s)

    def _ssd(self, message: str) -> Line | None:
        if timer := TIMER.match(message):
            self._timers, self._timer_s = self._timers + 1, float(timer["s"])
            return None
        if (said := TIMED_BEFORE.search(message)) is None:
            return None
        each_s, self._timer_s = self._timer_s, None
        loss = number(said["loss"])
        return Line(kind="step", step=int(said["step"]), each_s=each_s if self._timers >= FEWEST_TIMERS else None,
                    values={} if loss is None else {"loss": loss})  # fmt: skip

    def _rcnn(self, message: str) -> Line | None:
        held, self._roi = self._roi, None
        if said := RCNN.search(message):
            step = int(said["step"]) + 1
            self._roi = Line(kind="step", step=step, total=int(said["total"]), epoch=int(said["epoch"]), first_epoch=1,
                             per_epoch=True, interval_s=0.0, values=named(message[said.end("total") :]))  # fmt: skip
            return held
        if held is None or (time := RCNN_TIME.search(message)) is None:
            return held
        return replace(held, interval_s=float(time["s"]) if held.step > 1 else 0.0)

    def _char_rnn(self, message: str) -> Line | None:
        if read := READ.match(message):
            self._read_s = float(read["s"])
            return None
        if (said := CHAR_RNN.search(message)) is None:
            return None
        read_s, self._read_s = self._read_s, 0.0
        loss = number(said["loss"])
        return Line(kind="step", step=int(said["step"]), total=int(said["total"]) if said["total"] else None,
                    total_of_run=True, each_s=read_s + float(said["s"]),
                    values={} if loss is None else {"loss": loss})  # fmt: skip

    def _cnn_graph(self, message: str) -> Line | None:
        if "(epoch " in message and (said := GRAPH.match(message)):
            self._graph = Line(kind="step", step=int(said["step"]), total=int(said["total"]), total_of_run=True)
            return None
        held = self._graph
        if held is None or "(wall " not in message or (wall := WALL.match(message)) is None:
            return None
        self._graph, passed_s = None, float(wall["s"])
        return replace(held, each_s=passed_s / held.step if held.step else None, epoch_s=passed_s)
