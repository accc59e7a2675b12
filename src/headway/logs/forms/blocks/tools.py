"""Steps that several lines tell of: NeMo-RL's blocks, Composer's console, spaCy's table, AllenNLP, Coqui.

Owns what must be known of an earlier line to read a later one, with `frameworks.py` and `tutorials.py`;
lines that say all themselves are `metric_lines.py`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from headway.logs.forms.blocks.frameworks import FrameworkBlocks
from headway.logs.forms.blocks.tutorials import TutorialBlocks
from headway.logs.forms.figures import named
from headway.logs.forms.headings import heading_in
from headway.logs.forms.line import Line
from headway.logs.text import number

BANNER: Final = re.compile(r"={5,40} (?P<what>Step|Epoch) (?P<n>\d{1,9})/(?P<of>\d{1,9}) ={5,40}")
TOTAL_TIME: Final = re.compile(r"• Total step time: (?P<each>\d{1,9}\.\d{1,9})s")
VALIDATED: Final = re.compile(r"• Total validation time: (?P<each>\d{1,9}\.\d{1,9})s")
"""Within the step's time, and before it."""
NAMED: Final = re.compile(r"^\s{1,4}• (?P<name>[A-Z][\w ]{1,40}): (?P<value>-?\d{1,12}\.\d{1,12})\s*$")
"""nemo_rl/algorithms/sft.py and grpo.py: a banner, what is done, the results, the times."""
PROGRESS: Final = re.compile(
    r"(?:^|\s)(?:\[epoch=(?P<epoch>\d{1,6})\])?\[batch=(?P<step>\d{1,12})(?:/(?P<total>\d{1,12}))?\]:?\s*$"
)
OTHER_PROGRESS: Final = re.compile(r"(?:^|\s)\[(?:token|sample|iteration|second)=\d{1,18}/\d{1,18}\]:\s*$")
BATCHES: Final = re.compile(r"^\s{1,9}Train time/batch: (?P<done>\d{1,12})\s*$")
EVALUATED: Final = re.compile(r"(?:^|\s)\[Eval batch=(?P<n>\d{1,9})/(?P<of>\d{1,9})\] Eval on ")
"""composer/loggers/console_logger.py, `_get_progress_string`: what a run's length is counted in is what is shown."""
COLUMNS: Final = re.compile(r"^\s{0,2}E\s{2,6}#\s{2,9}\S")
"""spacy/training/loggers.py: epoch, step, losses, scores of the evaluation at that step."""
FEWEST_COLUMNS: Final = 3
ALLEN: Final = re.compile(
    r"\ballennlp\.[\w.]{1,60} - (?:Epoch (?P<epoch>\d{1,6})/(?P<last>\d{1,6})\s{0,4}$"
    r"|(?P<part>Training|Validating)\s{0,4}$|Batch (?P<step>\d{1,12})/(?P<total>\d{1,12}): (?P<figures>.{0,600}))"
)
"""allennlp/training/trainer.py: the epoch, counted from 0, and the last one; batches of the training and of the
validation look alike."""
COQUI: Final = re.compile(
    r"-> (?:TIME: .{0,40} -- )?STEP: (?P<in>\d{1,9})/\d{1,9} -- GLOBAL_STEP: (?P<step>\d{1,12})\s*$"
)
COQUI_MARKS: Final = ("| > ", "-> STEP: ", "-> TIME: ")
COQUI_NAMED: Final = re.compile(
    r"^\s{0,9}\| > (?P<name>\w{1,60}): (?P<now>-?\d{1,12}\.\d{1,9})\s{0,4}(?:\((?P<mean>-?\d{1,12}\.\d{1,9})\))?"
)
"""trainer/logging/console_logger.py of Coqui TTS: last values, and in parentheses means of the epoch so far."""


class Blocks:
    """Reads lines in their order; `observe` gives the step or the evaluation that one completes."""

    def __init__(self) -> None:
        self._step: tuple[int, int] | None = None
        self._epoch: tuple[int, int] | None = None
        self._values: dict[str, float] = {}
        self._validated_s = 0.0
        self._batch = 0
        self._by_batches = False
        self._columns: tuple[str, ...] = ()
        self._pass: tuple[int, int] | None = None
        self._trained: Line | None = None
        self._validates = False
        self._counted: tuple[int, int] | None = None
        self._frameworks, self._tutorials = FrameworkBlocks(), TutorialBlocks()

    def observe(self, message: str) -> Line | None:
        """What `message` completes, or a heading says; None for a line that does neither."""
        if len(message) > 1_000:
            return None
        return (
            self._block(message)
            or self._frameworks.observe(message)
            or self._tutorials.observe(message)
            or heading_in(message)
        )

    def _block(self, message: str) -> Line | None:
        if "allennlp." in message:
            return self._allen(message)
        if any(mark in message for mark in COQUI_MARKS):
            return self._coqui(message)
        if "=====" in message or "•" in message or "Training Results" in message:
            return self._nemo_rl(message)
        if "batch" in message or "[" in message:
            return self._composer(message)
        return self._spacy(message)

    def _nemo_rl(self, message: str) -> Line | None:
        if banner := BANNER.search(message):
            counted = int(banner["n"]), int(banner["of"])
            if banner["what"] == "Epoch":
                self._epoch = counted
            else:
                self._step, self._values, self._validated_s = counted, {}, 0.0
            return None
        if (validated := VALIDATED.search(message)) and self._step is not None:
            self._validated_s, self._values = float(validated["each"]), {}
            return Line(kind="evaluation", step=self._step[0], each_s=self._validated_s)
        if "Training Results" in message:
            self._values = {}
        if figure := NAMED.match(message):
            self._values[figure["name"].lower()] = float(figure["value"])
        time = TOTAL_TIME.search(message)
        if time is None or self._step is None:
            return None
        (step, total), self._step = self._step, None
        epoch, epochs = self._epoch or (None, None)
        each_s = max(0.0, float(time["each"]) - self._validated_s)
        return Line(kind="step", step=step, total=total, each_s=each_s, epoch=epoch, epochs=epochs,
                    per_epoch=bool(epochs and epochs > 1), values=self._values)  # fmt: skip

    def _composer(self, message: str) -> Line | None:
        if evaluated := EVALUATED.search(message):
            whole = evaluated["n"] == evaluated["of"]  # the others tell how far it is
            return Line(kind="evaluation", step=self._batch) if whole and self._batch else None
        if OTHER_PROGRESS.search(message):
            self._by_batches = True
            return None
        if self._by_batches and (batches := BATCHES.match(message)):
            self._by_batches = False
            self._batch = int(batches["done"]) + 1  # said when the batch begins
            return Line(kind="step", step=self._batch)
        if (progress := PROGRESS.search(message)) is None:
            return None
        self._batch = int(progress["step"])
        return Line(
            kind="step",
            step=self._batch,
            total=int(progress["total"]) if progress["total"] else None,
            epoch=int(progress["epoch"]) if progress["epoch"] else None,
            per_epoch=progress["epoch"] is not None,
        )

    def _spacy(self, message: str) -> Line | None:
        if COLUMNS.match(message) and "SCORE" in message:
            self._columns = tuple(name.lower() for name in re.split(r"\s{2,}", message.strip()))
            return None
        words = message.split()
        if not self._columns or len(words) != len(self._columns) or len(words) < FEWEST_COLUMNS:
            return None
        figures = [number(word) for word in words]
        if not (words[0].isdecimal() and words[1].isdecimal() and len(words[1]) <= 12) or None in figures[2:]:
            return None
        values = {name: value for name, value in zip(self._columns[2:], figures[2:], strict=True) if value is not None}
        return Line(kind="step", step=int(words[1]), values=values)

    def _allen(self, message: str) -> Line | None:
        said = ALLEN.search(message)
        if said is None:
            return None
        trained = self._trained
        if said["epoch"]:
            self._pass, self._trained = (int(said["epoch"]), int(said["last"]) + 1), None
            over, self._validates = self._validates and trained is not None, False
            return Line(kind="evaluation", step=trained.step) if over and trained else None
        if said["part"]:
            self._validates = said["part"] == "Validating"
            if not self._validates or trained is None or trained.total is None:
                return None
            # All batches of the epoch are done, though the last were not printed.
            self._trained = replace(trained, step=trained.total, values={})
            return self._trained
        if self._validates:
            return None
        epoch, epochs = self._pass or (None, None)
        self._trained = Line(kind="step", step=int(said["step"]), total=int(said["total"]), epoch=epoch, epochs=epochs,
                             per_epoch=True, values=named(said["figures"]))  # fmt: skip
        return self._trained if self._pass else replace(self._trained, total=None)

    def _coqui(self, message: str) -> Line | None:
        if "| > " not in message:
            counted = COQUI.search(message)
            self._counted, self._values = (int(counted["in"]), int(counted["step"])) if counted else None, {}
            return None
        said = COQUI_NAMED.match(message)
        if said is None or self._counted is None:
            return None
        if said["name"] != "step_time":
            self._values[said["name"]] = float(said["now"])
            return None
        (in_epoch, step), self._counted = self._counted, None
        each_s = float(said["mean"] or said["now"])
        return Line(kind="step", step=step, each_s=each_s, epoch_s=each_s * in_epoch if said["mean"] else None,
                    values=self._values)  # fmt: skip
