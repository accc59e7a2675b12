"""`LineReader`: what a training prints, of whatever tool, to observations as it comes.

Owns one clock for all that a log shows, and the order of what was said; which bar is the training's is `bars/`,
what one kind of line says `forms/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from headway.domain.observation import Observation
from headway.logs.bars.bar import Bar, bars_in
from headway.logs.bars.choice import Choice
from headway.logs.bars.counts import Counts
from headway.logs.bars.followed import PROVEN, Followed, counts_epochs, is_reprint
from headway.logs.forms.blocks.tools import Blocks
from headway.logs.forms.epochs import Epochs
from headway.logs.forms.known.mllog import MARK, Events
from headway.logs.forms.metric_lines import metrics_in
from headway.logs.hf_rows import STEP_KEYS, Rows, is_end, moment_of
from headway.logs.lines.axis import Axis
from headway.logs.lines.epochs_alone import EpochsAlone
from headway.logs.lines.evaluations import Evaluations
from headway.logs.lines.order import Order
from headway.logs.lines.prefix import moment_in, rank_of
from headway.logs.lines.printed import Joiner, alike, behind_bars, resumed_at, rows_in, settings_in
from headway.logs.lines.saves import Saves
from headway.logs.repair import Course
from headway.logs.text import LINE_END, LONGEST_LINE, Problems, finite, plain

SWIFT_KEY: Final = "global_step/max_steps"
FEWEST_SKIPPED: Final = 20
"""Steps in the first advance of a bar from which it may be a resume."""
MOST_HELD: Final = 8
"""Rows that wait for a bar."""


class LineReader:
    """Learns from a training's output as it is printed.

    `feed(text, at_s=None)` takes any piece of text and gives what its whole lines say, under the laws of `Course`;
    `at_s`, on any clock, is when the text came: give it always or never, for it is finer than what bars say. Without it
    what a bar says may wait for what shows whose it is. `close()` reads the last line without an end.
    """

    def __init__(self) -> None:
        self.facts: dict[str, float | str] = {}
        self.ends: list[Mapping[str, str]] = []
        """Rows that closed a training."""
        self.marks: set[str] = set()
        """Kinds of lines that were understood: `row`, `bar`, `line`, `epoch`, `mllog`."""
        self.course = Course()
        self.problems: Problems = self.course.problems
        """What was odd so far."""
        self._rows, self._events, self._blocks, self._epoch_count = Rows(), Events(), Blocks(), Epochs()
        self._rest, self._joiner, self._axis = "", Joiner(), Axis()
        self._choice, self.counts, self._order = Choice(), Counts(self.problems), Order(self.course)
        self._sure = self._stamped = False
        self._step: int | None = None
        self._seen: dict[int, int] = {}
        self._rows_seen: float | None = None
        self._resumed: int | None = None
        self._fed_s: float | None = None
        self._evaluations, self._saves, self._epochs_alone = Evaluations(), Saves(), EpochsAlone()
        self._held: list[tuple[Mapping[str, str], float | None, int]] = []
        self._total: int | None = None
        self._epoch_total: int | None = None

    @property
    def total_steps(self) -> int | None:
        """Optimizer steps that the run means to take, as far as it said."""
        return self._rows.total_steps or self._events.total_steps or self._total or self._epoch_total

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
        found = self.line(plain(rest)) if rest else []
        return found + self._believed() + self._let_go() + self._order.take(self._evaluations.pending())

    def line(self, line: str) -> list[Observation]:
        """What one whole line says."""
        line = self._joiner.whole(line)
        if not line.strip():
            return []
        rank, message = rank_of(line)
        bars = list(bars_in(message)) if "%|" in message or "/" in message else []
        behind = behind_bars(message, bars[-1].end) if bars else ""
        found = self._message(message.removesuffix(behind), bars, rank or 0)
        return found + (self._message(behind, [], rank or 0, beside=True) if behind else [])

    def _message(self, message: str, bars: list[Bar], rank: int, *, beside: bool = False) -> list[Observation]:
        """What a line says behind the rank that speaks, with its bars; `beside`: behind a bar, which tells the step."""
        moment = moment_in(message)
        self._stamped = moment is not None
        if self._fed_s is not None:
            self._axis.now_s = self._fed_s
        elif moment is not None:
            self._axis.now_s = self._axis.on("stamp", moment, self._choice.start_s)
        found: list[Observation] = []
        if MARK in message and (event := self._events.observe(message)) is not None:
            self.marks.add("mllog")
            at_s = self._axis.on("mllog", event[0], self._choice.start_s)
            self.facts |= self._events.facts
            return self._order.take([replace(item, at_s=at_s) for item in event[1]])
        for bar in bars:
            found += self._bar(bar, rank)
        for row in (rows := list(rows_in(message))):
            found += (self._let_go() if is_end(row) else []) + self._row(row, rank)
        if not bars:
            found += self._epoch(message, rank) if rows else self._other(message, rank, beside=beside)
        return found

    def _row(self, row: Mapping[str, str], rank: int) -> list[Observation]:
        """A row; without a step of its own it waits for the bar that tqdm prints anew below it."""
        believed = self._shown(row)
        if is_end(row):
            if any(alike(row, end) for end in self.ends):
                # `TrainOutput(...)` and the metrics of a script repeat the last row.
                return believed
            self.ends.append(row)
        at_s = self._axis.now_s
        if self._fed_s is None and not self._stamped:
            shown = moment_of(row)
            if shown is not None:
                at_s = self._axis.on(*shown, self._choice.start_s)
            elif self._choice.main is None and "stamp" in self._axis.zeros_s:
                at_s = self._axis.taken()
        if self._choice.ended and "loss" in row and self._choice.going is not None:
            self._choice.main, self._choice.ended = self._choice.going, False
        waits = self._choice.main is not None and not any(key in row for key in (*STEP_KEYS, SWIFT_KEY))
        if waits and not is_end(row):
            self._held.append((row, at_s, rank))
            return believed + ([] if len(self._held) < MOST_HELD else self._let_go())
        found = believed + self._told(row, at_s, rank)
        if is_end(row):
            # What comes after is another training of the same script.
            self._axis.opened = False
            self._choice.end(finite(row["train_runtime"]) or 0.0)
            self._axis.zeros_s.pop("elapsed", None)
            self._evaluations.forget()
        return found

    def _shown(self, row: Mapping[str, str]) -> list[Observation]:
        """What waited, where a row does not leave open whose it is: a loss is of the bar that goes on."""
        main = self._choice.bar
        if "loss" in row:
            self._choice.logged()
        if main is not None and is_end(row):
            main.strength = PROVEN
        is_open = main is not None and main.strength < PROVEN and self._fed_s is None
        return [] if is_open else self._believed()

    def _told(self, row: Mapping[str, str], at_s: float | None, rank: int) -> list[Observation]:
        """What a row says, at the step that is known now."""
        found = self._rows.observe(row, step=self._step, at_s=at_s, rank=rank)
        if not found:
            return []
        self.marks.add("row")
        self.facts |= self._rows.facts
        found = self._evaluations.of_row(found)
        steps = [item.step for item in found if item.kind == "step" and item.step is not None]
        self._trained(numbered=bool(steps))
        self._seen |= {rank: steps[-1]} if steps else {}
        return self._order.take(self._axis.begun(rank) + self._evaluations.pending() + found)

    def _bar(self, bar: Bar, rank: int) -> list[Observation]:
        """One print of a bar, in steps where it counts something else."""
        self.marks.add("bar")
        key = self._choice.key_of(bar, rank)
        counted = self.counts.in_steps(key, bar, self._choice)
        over = self.counts.validations.over()
        found = [] if over is None else self._printed(*over, rank)
        known = self._choice.bars.get(key)
        if counted is None or (known is not None and known.is_behind(counted)):
            return found
        return found + self._printed(key, counted, rank)

    def _printed(self, key: str, bar: Bar, rank: int) -> list[Observation]:
        """A bar of the training tells of steps, any other of its end alone."""
        choice = self._choice
        dated = self._stamped or self._fed_s is not None  # then it is known when the bar began, though it was not seen
        start_s = (self._axis.now_s or 0.0) - ((bar.elapsed_s or 0.0) if dated else 0.0)
        earlier = choice.bars.get(key)
        known, fresh, again = choice.followed(
            key, bar, rank, start_s=start_s, rows=self._evaluations.rows, meant=self._rows.total_steps or self._total
        )
        if fresh and earlier is not None and earlier.first is not None:
            self._order.wait([earlier.first])  # nothing has shown that it was a resume
        if fresh and known.another:
            self._seen.pop(rank, None)
        if bar.kind != "train" and key == choice.main:
            choice.main = self._epoch_total = None  # as it goes on it shows that it is none
            self._order.forget()
        believed = self._doubt(key, known, bar) if bar.kind == "train" else []
        if bar.kind == "train" and choice.main is None and bar.total > 1 and not known.outer:
            choice.main = key
        if bar.elapsed_s is not None and self._fed_s is None:
            self._axis.now_s = max(self._axis.now_s or 0.0, known.start_s + bar.elapsed_s)
        before, known.last = known.last, bar
        if bar.kind != "train" or not choice.is_main(key, bar):
            over = bar.n >= bar.total and (before.n < bar.total or fresh)
            return believed + (self._over(known, bar, rank) if over else [])
        # Printed anew with the rate it had, the bar shows the step that the rows above it are of.
        if is_reprint(before, bar) and not counts_epochs(bar):
            self._step = known.base + bar.n
        if known.first is not None and bar.n <= (known.first.step or 0):
            return believed
        found = (self._resolved(known, known.first, bar) if known.first is not None else []) + self._let_go()
        self._order.wait(self._steps(known, bar, rank, begins=fresh and known.base == 0, again=again))
        self._sure = self._sure or known.is_sure(live=self._fed_s is not None)
        return believed + found + (self._believed() if self._sure else [])

    def _over(self, known: Followed, bar: Bar, rank: int) -> list[Observation]:
        """What a bar that is not the training's says at its end."""
        around = known.outer or counts_epochs(bar) or (bar.kind == "train" and bar.total == 1)  # one is of anything
        kind = "" if around else {"train": "evaluation"}.get(bar.kind, bar.kind)
        if not kind or bar.elapsed_s is None:
            return []
        lasted_s = known.lasted_s(bar, self._fed_s)
        done = Observation(kind=kind, at_s=self._axis.now_s, seconds=lasted_s, step=self._step, rank=rank)
        if kind != "evaluation":
            return self._order.take([done])
        # The row of the same evaluation comes after its bar and is exact.
        if self._held or self._evaluations.rows > known.rows:
            return []
        waiting = self._evaluations.pending()
        self._evaluations.over(done)
        return self._order.take(waiting, doubtful=True)

    def _believed(self) -> list[Observation]:
        """What waited until it was sure that the bar is the training's."""
        self._sure = self._sure or self._choice.main is not None
        return self._order.let_go()

    def _doubt(self, key: str, known: Followed, bar: Bar) -> list[Observation]:
        """Another bar may show that the one that was taken for the training's is not; it is, where this is within it.

        In a file what a full one said waits for more: nothing needs it before.
        """
        main = self._choice.bar
        if main is None or key == self._choice.main or main.rank != known.rank:
            return []
        if self._choice.gives_way(key, bar, self._rows.total_steps or self._total, told=self._sure):
            return self._hand_over(key, main, known)
        if main.last.n == 0 or (main.is_done and self._fed_s is None):
            return []
        return self._believed()

    def _hand_over(self, key: str, main: Followed, known: Followed) -> list[Observation]:
        """Makes another bar the training's, and forgets what was not told yet of the one before."""
        if (said := self._choice.hand_over(key)) is not None:
            self.course.problems.append(said)
        if self._sure or known.base:
            self._resumed = known.base
        self._order.forget()
        self._order.wait([Observation(kind="begin", at_s=known.start_s, rank=known.rank)])
        self._step, self._seen, self._epoch_total = known.base + known.last.n, {}, None
        self._evaluations.forget()
        self._axis.opened = True
        self._sure = known.strength >= PROVEN or self._fed_s is not None
        return self._believed() if self._sure else []

    def _resolved(self, known: Followed, first: Observation, bar: Bar) -> list[Observation]:
        """The first advance of a bar, now that its second shows whether the steps in it were done or skipped."""
        known.first = None
        if known.skipped(first, bar, self._axis.now_s or 0.0):
            self.course.problems.append(f"resumed: the bar of the training begins at step {first.step}")
            first = replace(first, steps=1)
        now, self._step = self._step, first.step
        self._order.wait([first])
        found = (self._believed() if self._sure else []) + self._let_go()
        self._step = now
        return found

    def _steps(self, known: Followed, bar: Bar, rank: int, *, begins: bool, again: bool) -> list[Observation]:
        epochs = None if self.counts.validations.counted else self._choice.epochs_of(known, bar)
        self._epoch_total = bar.total * epochs if epochs and known.base < bar.total * epochs else None
        begin = Observation(kind="begin", at_s=known.start_s, step=0 if known.another else None, rank=rank)
        opened = [begin] if begins and (self._axis.opens("bar") or again) else []
        if counts_epochs(bar) and not (known.base or known.told):
            self._saves.trained()
            return opened + self._epochs_alone.of_bar(bar, known.start_s, self._axis.now_s, rank)
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
        self._trained()
        seconds = bar.elapsed_s if bar.description == "keras" and self._fed_s is None else None
        said = Observation(
            kind="step",
            at_s=self._axis.now_s,
            step=step,
            steps=bar.total if seconds is not None else steps,
            seconds=seconds,
            epoch=None if bar.epoch is None else float(bar.epoch),
            values=bar.values,
            rank=rank,
        )
        jumped = known.base == 0 and not known.told and step >= FEWEST_SKIPPED and bar.n < bar.total
        known.told = True
        if jumped and steps is None and seconds is None:
            known.first = said
            return [*opened, *self._evaluations.pending()]
        return [*opened, *self._evaluations.pending(), said]

    def _other(self, message: str, rank: int, *, beside: bool) -> list[Observation]:
        """Lines that are no bar and no row."""
        self._banner(message)
        if (saves := self._saves.observe(message, self._step, rank)) is not None:
            return self._order.take(saves)
        named = None if beside else metrics_in(message) or self._blocks.observe(message)
        if named is None or (line := self._epoch_count.through(named)) is None:
            return self._epoch(message, rank)
        self.marks.add("line")
        opened: list[Observation] = []
        elapsed = line.elapsed_s is not None and line.kind == "step"
        # An evaluation is timed by the moments around it only where nothing was trained between them.
        timed = line.kind == "step" or (line.step == self._step and line.elapsed_s is None)
        if elapsed and line.elapsed_s is not None and self._fed_s is None and not self._stamped:
            self._axis.now_s = self._axis.on("elapsed", line.elapsed_s, self._choice.start_s)
            opened = self._axis.begun(rank)
        if line.kind == "step":
            self._choice.logged(line.step)
            self._saves.trained()
            self._epochs_alone.trained()
        self._total = line.total or (None if self._epoch_count.begins_again else self._total)
        self._step = line.step if line.kind == "step" else self._step
        said = Observation(
            kind=line.kind,
            at_s=self._axis.now_s if timed and (self._stamped or elapsed or self._fed_s is not None) else None,
            seconds=line.each_s if line.kind == "evaluation" else None,
            step=line.step,
            rows=line.rows_since(self._rows_seen),
            values=line.values,
            rank=rank,
        )
        self._rows_seen = line.rows_seen
        said = self._evaluations.of_line(said) if said.kind == "evaluation" else said
        told = [*opened, *self._evaluations.pending(), *line.others(rank), said]
        return self._believed() + self._order.take(told, each_s=line.each_s)

    def _epoch(self, message: str, rank: int) -> list[Observation]:
        """Epochs that are over with a line that tells of no step."""
        at_s = self._axis.now_s if self._stamped or self._fed_s is not None else None
        found = self._epochs_alone.observe(message, at_s, rank, live=self._fed_s is not None)
        self.marks |= {item.kind for item in found}
        return self._order.take(found)

    def _banner(self, message: str) -> None:
        self._choice.heed(message)
        self.counts.rows.heed(message)
        settings = settings_in(message)
        self._total = int(settings.pop("total_steps", 0)) or self._total
        self.facts |= settings
        self._resumed = resumed_at(message) or self._resumed

    def _trained(self, *, numbered: bool = True) -> None:
        """Takes in that a bar or a row told of a step; `numbered`: and of which."""
        self._saves.trained()
        self._epoch_count.told_elsewhere()
        if numbered:
            self._epochs_alone.trained()

    def _let_go(self) -> list[Observation]:
        """What the rows that waited say."""
        held, self._held = self._held, []
        first = self._choice.first_advance()
        believed = self._believed() if held or first is not None else []
        return (believed + self._order.take([first]) if first is not None else believed) + [
            item for row, at_s, rank in held for item in self._told(row, at_s, rank)
        ]
