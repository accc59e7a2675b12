"""Epochs, where nothing tells of steps: how many are over, and how long they took.

Owns the count of epochs, by lines and by bars; what a line says is `forms/named_epochs.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from headway.domain.observation import Observation
from headway.logs.bars.bar import Bar
from headway.logs.forms.named_epochs import (
    COMPLETE,
    LOOKED_AT,
    MARKS,
    ROW,
    NamedEpoch,
    Table,
    epoch_named,
    epochs_announced,
    row_of,
    table_in,
)

MOST_FORMS: Final = 32
GROWS: Final = 0.6
"""A time since the beginning grows by at least so much of an epoch's with each of them."""
GROWS_AS_SAID: Final = 0.2
"""And where its words say so: the first may have taken long."""
HELD: Final = 0.5
"""Lines that come sooner, as a share of the time that they name, were printed together."""


@dataclass(slots=True, kw_only=True)
class _Form:
    """Lines of one kind, as far as they came."""

    epoch: int
    from_0: bool
    epochs: int | None
    at_s: float | None
    rest: str
    within: bool = False
    """Whether several stand in one."""
    took_s: float | None = None
    summed: bool | None = None
    """Whether the times that they name are since the beginning."""

    @property
    def done(self) -> int:
        """Epochs that are over when the last one is."""
        return self.epoch + self.from_0

    def total(self, announced: int | None) -> int | None:
        """Epochs of the run: counted from 0 some print the last one's number instead (`Epoch 0/24`)."""
        if self.epochs is None or not self.from_0:
            return self.epochs
        last = self.epoch == self.epochs or (self.epochs % 5 == 4 and announced != self.epochs)
        return self.epochs + 1 if last else self.epochs


class EpochsAlone:
    """Takes the lines of one log in their order, and says when further epochs are over.

    An epoch is over when a line tells its figures, or when a line of the same kind names the next one.
    """

    def __init__(self) -> None:
        self._forms: dict[str, _Form] = {}
        self._done: int | None = None
        self._told = self._again = self._stepped = self._live = False
        self._timed = False
        """Whether lines name the times of epochs."""
        self._epochs: int | None = None
        self._announced: int | None = None
        """Epochs by a banner: of the training that begins next."""
        self._rank: int | None = None
        self._table: Table | None = None
        """The one that is printed."""
        self._bar: tuple[int, float] | None = None
        """Epochs and moment of the last print of a bar that counts them."""

    def trained(self) -> None:
        """Takes in that something told of steps, which are finer: epochs are not looked for any more."""
        self._stepped = True

    def of_bar(self, bar: Bar, began_s: float, now_s: float | None, rank: int) -> list[Observation]:
        """Epochs that are over with the print of a bar that counts them.

        What it says is finer than lines, which are not looked at any more.
        """
        self._stepped, self._epochs, done = True, bar.total, bar.n
        if self._bar is None and done == 0:
            self._bar = 0, began_s
        before, before_s = self._bar or (0, began_s)
        if done == before:
            return []
        first, self._rank, self._bar = self._bar is None, rank, (done, began_s if now_s is None else now_s)
        told, self._done = self._done or 0, None  # by lines, until now
        if done < max(before, told) or (first and done > 1):  # it begins again, or goes on with what was done
            return [self._said(done)]
        said = self._said(done, now_s, None if now_s is None else max(0.0, now_s - before_s))
        return [replace(said, values={**bar.values, **said.values})]

    def observe(self, message: str, at_s: float | None, rank: int, *, live: bool = False) -> list[Observation]:
        """The epochs that are over with a line of the moment `at_s`; of several ranks the first counts.

        `live`: the moment is when the line came, which it may have done late, with others.
        """
        self._live = live
        if self._stepped or not (self._table or any(mark in message for mark in MARKS)):
            return []
        if table := table_in(message):
            self._table = table
            if ROW in self._forms:  # a row of the next training, which may be of the same epoch
                self._begin_anew()
        named = row_of(message, self._table) or epoch_named(message[:LOOKED_AT])
        if named is None and self._epochs and self._done == self._epochs - 1 and COMPLETE.search(message[:LOOKED_AT]):
            self._done = self._epochs
            return [self._said(self._epochs, at_s)]
        if named is None:
            self._announced = epochs_announced(message[:4_000]) or self._announced
            return []
        if self._rank not in (None, rank):
            return []
        self._rank = rank
        return self._of_line(named, at_s)

    def _of_line(self, named: NamedEpoch, at_s: float | None) -> list[Observation]:
        known = self._forms.get(named.form)
        if known is not None and named.epoch < known.epoch:
            if 1 < named.epoch == known.epoch - 1:  # ranks that nothing tells apart
                return []
            self._begin_anew()  # another training, or the same one again
            known = None
        self._timed = self._timed or named.took_s is not None
        if known is None:
            form = self._first_of(named, at_s)
            took_s = named.took_s if not form.summed or named.took_s is None else named.took_s / max(1, form.done)
            return self._over(form, form.done, form.done - 1, took_s, at_s) if named.sure else []
        if named.epoch == known.epoch:
            # A line that stands there twice is one, of two loggers or ranks; a heading may begin its epoch once more.
            known.within = known.within or named.rest != known.rest
            known.at_s = known.at_s if known.within or named.over else at_s
            return []
        each_s = self._each_s(known, named, at_s)
        over, before = named.over and not known.within, known.done
        known.epoch, known.at_s, known.rest, known.epochs = named.epoch, at_s, named.rest, named.epochs or known.epochs
        # The first of its kind told of the end of an epoch, though that was not known then.
        found = self._over(known, before, before - 1, None, None) if over else []
        return found + self._over(known, known.done if over else known.done - 1, before - 1, each_s, at_s)

    def _begin_anew(self) -> None:
        self._forms, self._done, self._epochs, self._again = {}, None, None, True

    def _first_of(self, named: NamedEpoch, at_s: float | None) -> _Form:
        form = _Form(
            epoch=named.epoch, from_0=named.epoch == 0, epochs=named.epochs, at_s=at_s, took_s=named.took_s,
            rest=named.rest, summed=named.summed,
        )  # fmt: skip
        if len(self._forms) < MOST_FORMS:
            self._forms[named.form] = form
        return form

    def _each_s(self, known: _Form, named: NamedEpoch, at_s: float | None) -> float | None:
        """Seconds of an epoch since the line before of the same kind: by the moments, or by what the lines name."""
        between = named.epoch - known.epoch
        own_s, before_s = None if known.within else named.took_s, known.took_s
        known.took_s = own_s
        if own_s is not None and before_s is not None:
            grows = GROWS if named.summed is None else GROWS_AS_SAID
            told = known.summed is not False or named.summed is True
            known.summed = told and own_s >= before_s * (1.0 + between * grows / max(1, known.done))
            own_s = (own_s - before_s) / between if known.summed else own_s
        if at_s is None or known.at_s is None or at_s < known.at_s:
            return own_s
        passed_s = (at_s - known.at_s) / between
        together = self._live and own_s is not None and passed_s < HELD * own_s
        return own_s if together else passed_s

    def _over(self, form: _Form, done: int, begun: int, each_s: float | None, at_s: float | None) -> list[Observation]:
        """What is said when `done` epochs are over; `begun` were before the first line of that form."""
        before = max(0, begun) if self._done is None else self._done
        if done <= before or (self._timed and at_s is None and each_s is None):  # another line says how long it took
            return []
        self._epochs = form.total(self._announced) or self._epochs or self._announced
        # Others were done before what the log begins with, or it begins anew.
        found = [self._said(before)] if self._again or (before and not self._told) else []
        self._done, self._again, self._told = done, False, True
        return [*found, self._said(done, at_s, None if each_s is None else each_s * (done - before))]

    def _said(self, done: int, at_s: float | None = None, seconds: float | None = None) -> Observation:
        values = {"epochs": float(self._epochs)} if self._epochs and self._epochs >= done else {}
        rank = self._rank or 0
        return Observation(kind="epoch", at_s=at_s, seconds=seconds, epoch=float(done), values=values, rank=rank)


def of_one_unit(
    seen: list[Observation], total: int | None, bar_of_epochs: int | None
) -> tuple[list[Observation], int | None]:
    """What a file tells, in steps where it tells of these, else in epochs; and its steps in all.

    `bar_of_epochs`: the length of a bar of the training that has turned out to count epochs, which were told of as
    steps.
    """
    numbers = [item.step for item in seen if item.kind == "step" and item.step is not None]
    if numbers and bar_of_epochs is not None and bar_of_epochs == total and max(numbers) <= total:
        return [_as_epoch(item, total) for item in seen if item.kind != "epoch"], None
    # rows without a step may be placed by their epochs
    in_steps = numbers or any(item.kind == "step" and item.epoch is not None for item in seen)
    in_epochs = not in_steps and any(item.kind == "epoch" for item in seen)
    return [item for item in seen if item.kind != ("step" if in_epochs else "epoch")], total


def _as_epoch(item: Observation, total: int) -> Observation:
    if item.kind != "step":
        return replace(item, step=None)
    values = {**item.values, "epochs": float(total)}
    return replace(item, kind="epoch", step=None, steps=None, epoch=float(item.step or 0), values=values)
