"""What a training prints: the console's text, of whatever tool, kept in a file or seen while it runs.

Owns `LineReader`, which takes text as it comes, and the format `console`. One kind of line each is known in
`hf_rows.py`, `bars.py`, `metric_lines.py`, `mllog.py`; moments and ranks before a line in `prefix.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from headway.domain.errors import Position, UserError
from headway.domain.observation import Observation, RunLog
from headway.logs.bars import EPOCH, Bar, bars_in
from headway.logs.hf_rows import Rows, moment_of, with_mean_steps
from headway.logs.metric_lines import Line, metrics_in, saved_s
from headway.logs.mllog import MARK, Events
from headway.logs.prefix import moment_in, rank_of
from headway.logs.repair import Course
from headway.logs.text import LINE_END, LONGEST_LINE, Problems, as_text, finite, lines_of, plain

NAME: Final = "console"
ROW = re.compile(r"\{\s{0,4}['\"][^{}]{1,20000}\}")
ROW_BEGUN = re.compile(r"\{\s{0,4}['\"][\w/]{1,60}['\"]\s?:[^{}]{0,4000}$")
ROW_PAIR = re.compile(
    r"""['"]([^'"]{1,120})['"]\s{0,4}:\s{0,4}(?:"([^"]{0,400})"|'([^']{0,400})'|(?:[\w.]{1,40}\()?([-+]?\w[\w.+-]{0,60})\)?)"""
)
BANNER: Final = (
    ("total_steps", re.compile(r"Total optimization steps\s?=\s?([\d,]{1,15})")),
    ("rows", re.compile(r"Num examples\s?=\s?([\d,]{1,15})")),
    ("epochs", re.compile(r"Num Epochs\s?=\s?([\d,]{1,15})")),
    ("micro_batch", re.compile(r"[Bb]atch size per device\s?=\s?([\d,]{1,9})")),
    ("grad_accum", re.compile(r"Gradient [Aa]ccumulation steps\s?=\s?([\d,]{1,9})")),
    ("global_batch", re.compile(r"Total train batch size .{0,60}=\s?([\d,]{1,9})")),
)
RESUMED = re.compile(
    r"(?i)continuing training from global step (\d{1,12})|resum\w{1,3} .{0,80}?\bstep[ :=]{1,2}(\d{1,12})"
)
SAVING = re.compile(r"(?i)saving model checkpoint to|saving checkpoint(?: at iteration)?\b|saved checkpoint")
LOG_NAMES: Final = re.compile(r"(?i)\.(?:log|out|err|txt)(?:\.\w+)?$|^nohup|console|stdout|slurm|output\.log")


@dataclass(slots=True)
class _Bar:
    """A bar in progress."""

    start_s: float
    last: Bar
    base: int = 0
    """Steps of the epochs before."""
    said_s: float = -1.0
    """Elapsed when a step was last told of."""


class LineReader:
    """Learns from a training's output as it is printed.

    `feed(text, at_s=None)` takes any piece of text and gives what its whole lines say, under the laws of `Course`;
    `at_s`, on any clock, is when the text came: give it always or never, for it is finer than what bars say. `close()`
    reads the last line without an end.
    """

    def __init__(self) -> None:
        self.facts: dict[str, float | str] = {}
        self.runtimes_s: list[float] = []
        self.marks: set[str] = set()
        """Kinds of lines that were understood: `row`, `bar`, `line`, `mllog`."""
        self.course = Course()
        self._rows, self._events = Rows(), Events()
        self._rest = self._begun_row = ""
        self._now_s: float | None = None
        self._zeros_s: dict[str, float] = {}
        self._bars: dict[str, _Bar] = {}
        self._main: str | None = None
        self._step: int | None = None
        self._seen: dict[int, int] = {}
        self._rows_seen: float | None = None
        self._evaluated: Observation | None = None
        self._resumed: int | None = None
        self._fed_s: float | None = None
        self._runtime: str = ""
        self._total: int | None = None
        self._epoch_total: int | None = None
        self._epochs: int | None = None
        """Of the line `Epoch 1/5` that Keras prints above its bars."""

    @property
    def total_steps(self) -> int | None:
        """Optimizer steps that the run means to take, as far as it said."""
        return self._rows.total_steps or self._events.total_steps or self._total or self._epoch_total

    @property
    def problems(self) -> Problems:
        """What was odd so far."""
        return self.course.problems

    def feed(self, text: str, *, at_s: float | None = None) -> list[Observation]:
        """What the lines that `text` completes say."""
        self._fed_s = at_s
        text = self._rest + text
        found: list[Observation] = []
        start = 0
        for match in LINE_END.finditer(text):
            found += self.line(plain(text[start : match.start()]))
            start = match.end()
        self._rest = text[start:]
        if len(self._rest) > LONGEST_LINE:
            found += self.line(plain(self._rest))
            self._rest = ""
        return found

    def close(self) -> list[Observation]:
        """What the last line, which has no end, says, and what waited for another to be sure."""
        rest, self._rest = self._rest, ""
        return (self.line(plain(rest)) if rest else []) + self._taken(self._pending())

    def line(self, line: str) -> list[Observation]:
        """What one whole line says."""
        line = self._joined(line)
        if not line.strip():
            return []
        rank, message = rank_of(line)
        moment = moment_in(message)
        if self._fed_s is not None:
            self._now_s = self._fed_s
        elif moment is not None:
            self._now_s = self._on_axis("stamp", moment)
        found: list[Observation] = []
        if MARK in message and (event := self._events.observe(message)) is not None:
            self.marks.add("mllog")
            at_s = self._on_axis("mllog", event[0])
            found += self._taken([replace(item, at_s=at_s) for item in event[1]])
            self.facts |= self._events.facts
            return found
        seen = False
        for bar in bars_in(message) if "%|" in message or "/" in message else ():
            seen = True
            found += self._taken(self._bar(bar, rank or 0))
        for row in _rows_in(message):
            seen = True
            found += self._row(row, message, rank or 0, moment is not None)
        return found if seen else found + self._other(message, rank or 0, moment is not None)

    # ---- one kind of line each

    def _row(self, row: Mapping[str, str], message: str, rank: int, stamped: bool) -> list[Observation]:
        if (runtime := row.get("train_runtime")) is not None:
            if runtime == self._runtime:
                # `TrainOutput(...)` and the metrics of a script repeat the last row.
                return []
            self._runtime = runtime
            self.runtimes_s += [seconds] if (seconds := finite(runtime)) is not None else []
        at_s = self._now_s
        if (shown := moment_of(row)) is not None and self._fed_s is None and not stamped:
            at_s = self._on_axis(shown[0], shown[1])
        found = self._rows.observe(row, step=self._step, at_s=at_s, rank=rank)
        if not found:
            return []
        self.marks.add("row")
        self.facts |= self._rows.facts
        if any(item.kind == "evaluation" and item.seconds is not None for item in found):
            self._evaluated = None
        begun = [Observation(kind="begin", at_s=self._zeros_s["elapsed"], rank=rank)] if self._opens("elapsed") else []
        return self._taken(begun + self._pending() + found)

    def _bar(self, bar: Bar, rank: int) -> list[Observation]:
        """A bar of the training tells of steps, any other of its end alone."""
        self.marks.add("bar")
        key = re.sub(r"[\d.,:/=-]+", "#", bar.description)[:80] + f"|{bar.total}" + f"|{rank}"
        known, fresh = self._bars.get(key), False
        if known is None or bar.n < known.last.n or (bar.epoch is not None and bar.epoch != known.last.epoch):
            fresh = True
            start_s = (self._now_s or 0.0) if self._fed_s is None else self._fed_s - (bar.elapsed_s or 0.0)
            base = self._base(known, bar)
            known = self._bars[key] = _Bar(start_s=start_s, last=replace(bar, n=0), base=base)
            if len(self._bars) > 1_000:
                self._bars.pop(next(iter(self._bars)))
        if bar.kind == "train" and self._main is None and bar.total > 1:
            self._main = key
        elapsed_s = bar.elapsed_s
        if elapsed_s is not None and self._fed_s is None:
            self._now_s = max(self._now_s or 0.0, known.start_s + elapsed_s)
        before, known.last = known.last, bar
        if bar.kind == "train" and self._is_main(key, bar):
            return self._steps(known, bar, rank, begins=fresh and known.base == 0)
        kind = "evaluation" if bar.kind == "train" else bar.kind
        if not kind or bar.n < bar.total or (before.n >= bar.total and not fresh) or elapsed_s is None:
            return []
        done = Observation(kind=kind, at_s=self._now_s, seconds=elapsed_s, step=self._step, rank=rank)
        if kind != "evaluation":
            return [done]
        # The row of the same evaluation comes after its bar and is exact.
        waiting, self._evaluated = self._pending(), done
        return waiting

    def _is_main(self, key: str, bar: Bar) -> bool:
        """Whether a bar is the training's: the first that counted, its later epochs, and after its end the next."""
        if key == self._main:
            return True
        main = self._bars.get(self._main or "")
        alike = key.partition("|")[0] == (self._main or "").partition("|")[0]
        if main is not None and alike and bar.description and bar.epoch is not None and main.last.epoch != bar.epoch:
            self._main = key
        return key == self._main

    def _base(self, known: _Bar | None, bar: Bar) -> int:
        """Steps before the first of a bar that begins again: those of the epochs before, none after a restart."""
        if known is None:
            return 0
        ahead = bar.epoch is not None and known.last.epoch is not None and bar.epoch > known.last.epoch
        return known.base + known.last.total if ahead or known.last.n >= known.last.total else 0

    def _steps(self, known: _Bar, bar: Bar, rank: int, *, begins: bool) -> list[Observation]:
        epochs = bar.epochs or (None if bar.epoch is not None or known.base else 1)
        epochs = epochs if bar.description != "keras" else self._epochs
        self._epoch_total = bar.total * epochs if epochs and known.base < bar.total * epochs else None
        opened = [Observation(kind="begin", at_s=known.start_s, rank=rank)] if begins and self._opens("bar") else []
        step = known.base + bar.n
        self._step = step
        quiet = bar.elapsed_s is not None and bar.elapsed_s <= known.said_s and bar.n < bar.total
        if bar.description == "keras" and self._fed_s is None and bar.elapsed_s is None:
            # Its bars in progress show no time, and its last of an epoch covers them.
            return opened
        if bar.n == 0 or (step == self._seen.get(rank) and not bar.values) or (quiet and self._fed_s is None):
            return opened
        known.said_s = bar.elapsed_s if bar.elapsed_s is not None else known.said_s
        resumed, self._resumed = self._resumed, None
        steps = step - resumed if resumed is not None and resumed < step else None
        self._seen[rank] = step
        seconds = bar.elapsed_s if bar.description == "keras" and self._fed_s is None else None
        said = Observation(
            kind="step",
            at_s=self._now_s,
            step=step,
            steps=bar.total if seconds is not None else steps,
            seconds=seconds,
            epoch=None if bar.epoch is None else float(bar.epoch),
            values=bar.values,
            rank=rank,
        )
        return [*opened, *self._pending(), said]

    def _other(self, message: str, rank: int, stamped: bool) -> list[Observation]:
        """Lines that are no bar and no row."""
        self._banner(message)
        if (seconds := saved_s(message)) is not None:
            return self._taken([Observation(kind="checkpoint", seconds=seconds, step=self._step, rank=rank)])
        if SAVING.search(message[:400]):
            return self._taken([Observation(kind="checkpoint", step=self._step, rank=rank)])
        line = (
            metrics_in(message)
            if any(mark in message for mark in ("tep", "ter", "TEP", "TER", "atch", "pdate"))
            else None
        )
        if line is None:
            return []
        self.marks.add("line")
        opened: list[Observation] = []
        elapsed = line.elapsed_s is not None and line.kind == "step"
        # An evaluation is timed by the moments around it only where nothing was trained between them.
        timed = line.kind == "step" or (line.step == self._step and line.elapsed_s is None)
        if elapsed and line.elapsed_s is not None and self._fed_s is None and not stamped:
            self._now_s = self._on_axis("elapsed", line.elapsed_s)
            opened = (
                [Observation(kind="begin", at_s=self._zeros_s["elapsed"], rank=rank)] if self._opens("elapsed") else []
            )
        self._total = line.total or self._total
        self._step = line.step if line.kind == "step" else self._step
        said = Observation(
            kind=line.kind,
            at_s=self._now_s if timed and (stamped or elapsed or self._fed_s is not None) else None,
            step=line.step,
            rows=self._new_rows(line),
            values=line.values,
            rank=rank,
        )
        return self._taken([*opened, *self._pending(), said], each_s=line.each_s)

    def _banner(self, message: str) -> None:
        if (
            message.startswith("Epoch ")
            and len(message) < 100
            and (epoch := EPOCH.fullmatch(message.strip()))
            and epoch["epochs"]
        ):
            self._epochs = int(epoch["epochs"])
        for name, form in BANNER:
            if "=" in message and (match := form.search(message)):
                self.facts[name] = float(match[1].replace(",", "") or 0)
        if "otal optimization steps" in message and self.facts.get("total_steps"):
            self._total = int(float(self.facts.pop("total_steps")))
        if ("esum" in message or "ontinuing" in message) and (match := RESUMED.search(message[:1_000])):
            self._resumed = int(match[1] or match[2])

    # ---- clocks, and what waits

    def _on_axis(self, clock: str, shown_s: float) -> float:
        """A moment that one of a log's clocks shows, on the one axis of all; each is set by where it is first seen."""
        if clock not in self._zeros_s:
            since_start = clock == "elapsed"
            known = self._now_s is not None
            self._zeros_s[clock] = (self._now_s or 0.0) - (shown_s if known and not since_start else 0.0)
        self._now_s = self._zeros_s[clock] + shown_s
        return self._now_s

    def _opens(self, clock: str) -> bool:
        """True once: where a clock that runs since the start of the training was first seen."""
        if f"{clock} begun" in self._zeros_s or (clock == "elapsed" and clock not in self._zeros_s):
            return False
        self._zeros_s[f"{clock} begun"] = 0.0
        return True

    def _pending(self) -> list[Observation]:
        waiting, self._evaluated = self._evaluated, None
        return [] if waiting is None else [waiting]

    def _new_rows(self, line: Line) -> float | None:
        before, self._rows_seen = self._rows_seen, line.rows_seen
        if line.rows_seen is None or (before is not None and line.rows_seen < before):
            return None
        return line.rows_seen - (before or 0.0) if before is not None else None

    def _taken(self, said: list[Observation], each_s: float | None = None) -> list[Observation]:
        return [self.course.take(item, each_s=each_s if item.kind == "step" else None) for item in said]

    def _joined(self, line: str) -> str:
        """A row that was printed over several lines, as one."""
        if self._begun_row:
            line, self._begun_row = f"{self._begun_row} {line}", ""
        if "{" in line and len(line) < 8_000 and ROW_BEGUN.search(line[-4_200:]):
            self._begun_row = line
            return ""
        return line


def _rows_in(message: str) -> Iterator[Mapping[str, str]]:
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


def claims(path: Path, head: bytes) -> float:
    """A little for any text, more for one in whose beginning a line tells of training."""
    if not head or (head.count(0) > len(head) // 50 and not head.startswith((b"\xff\xfe", b"\xfe\xff"))):
        return 0.0
    reader = LineReader()
    text = as_text(head)
    reader.feed(text[:65_536] + "\n")
    if reader.marks:
        return 0.45
    return 0.1 if LOG_NAMES.search(path.name) else 0.05


def read(path: Path) -> RunLog:
    """The log at `path`, line by line. Raises UserError for a text that tells of no training and is not named a log."""
    return read_as(NAME, path)


def read_as(name: str, path: Path) -> RunLog:
    """As `read`, under the name of a format that prints the same lines."""
    problems = Problems()
    reader = LineReader()
    seen: list[Observation] = []
    lines = 0
    for _, line in lines_of(path, problems):
        lines += 1
        seen += reader.line(line)
    seen += reader.close()
    problems.extend(reader.problems)
    if not seen:
        if not LOG_NAMES.search(path.name):
            raise UserError(
                "a console log has a line that tells of training",
                got=f"{lines:,} lines without a step, a loss or a progress bar",
                where=Position(path.name),
            )
        problems.append(f"no line of {lines:,} tells of a step, a loss or a progress bar")
    return RunLog(
        format=name,
        name=path.name,
        observations=with_mean_steps(seen, reader.runtimes_s, problems),
        total_steps=reader.total_steps,
        facts=reader.facts,
        problems=tuple(problems),
    )
