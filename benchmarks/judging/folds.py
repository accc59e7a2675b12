"""Who may learn from which rows: leave-configuration-out, leave-source-out, and a stack's own first rows.

Owns the splits; they depend on the rows alone, never on chance. Nothing is predicted here.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

KNOWN, UNSEEN = "known_stack", "unseen_stack"
CONFIGURATION_FOLDS = 5
PICKS = 5
"""Choices of a stack's own first rows; each other row is judged after one of them."""


class Published(Protocol):
    """What splits are made by: a measured step or a measured peak."""

    @property
    def source(self) -> str:
        """Where the row was published."""
        ...

    @property
    def split(self) -> str:
        """The row's own split; empty where the file has none."""
        ...

    @property
    def configuration(self) -> tuple[str, ...]:
        """Rows that agree in it are never separated."""
        ...


R = TypeVar("R", bound=Published)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold(Generic[R]):
    """Rows to learn from (None: the shipped calibration), a user's own rows, and the rows to judge."""

    split: str
    training: tuple[R, ...] | None
    held: tuple[R, ...]
    own: tuple[R, ...] = ()


def _order(text: str) -> str:
    """A fixed order that has nothing to do with what the text means."""
    return hashlib.sha256(text.encode()).hexdigest()


def by_source(cases: Sequence[R]) -> dict[str, list[R]]:
    """Cases of each source, in the order of the file."""
    found: defaultdict[str, list[R]] = defaultdict(list)
    for case in cases:
        found[case.source].append(case)
    return dict(found)


def _configurations(cases: Sequence[R]) -> list[tuple[str, ...]]:
    """The configurations of one source, shuffled the same way every time."""
    return sorted({case.configuration for case in cases}, key=lambda key: _order(repr(key)))


def known_stack(cases: Sequence[R]) -> Iterator[Fold[R]]:
    """Leave configurations out: those of each source are dealt to five folds.

    A source with a single configuration is never a known stack and is not judged here.
    """
    fold_of: dict[tuple[str, ...], int] = {}
    for rows in by_source(cases).values():
        keys = _configurations(rows)
        if len(keys) > 1:
            fold_of |= {key: index % CONFIGURATION_FOLDS for index, key in enumerate(keys)}
    for fold in range(CONFIGURATION_FOLDS):
        held = tuple(case for case in cases if fold_of.get(case.configuration) == fold)
        training = tuple(case for case in cases if fold_of.get(case.configuration) != fold)
        if held:
            yield Fold(split=KNOWN, training=training, held=held)


def unseen_stack(cases: Sequence[R]) -> Iterator[Fold[R]]:
    """Leave sources out, one at a time."""
    for source, rows in by_source(cases).items():
        training = tuple(case for case in cases if case.source != source)
        yield Fold(split=UNSEEN, training=training, held=tuple(rows))


def after(cases: Sequence[R], own_rows: int, training: tuple[R, ...] | None = None) -> Iterator[Fold[R]]:
    """A stack that nobody knew, after `own_rows` configurations of it were measured.

    Five choices of own configurations; a row is judged after one of the choices that lack its configuration.
    `training`: what is known besides; None takes the rows of all other sources.
    """
    for source, rows in by_source(cases).items():
        keys = _configurations(rows)
        if len(keys) <= own_rows:
            continue
        others = training if training is not None else tuple(case for case in cases if case.source != source)
        picks = [tuple(keys[(pick * own_rows + i) % len(keys)] for i in range(own_rows)) for pick in range(PICKS)]
        held: defaultdict[int, list[R]] = defaultdict(list)
        for index, case in enumerate(rows):
            free = [pick for pick in range(PICKS) if case.configuration not in picks[pick]]
            if free:
                held[free[index % len(free)]].append(case)
        for pick, judged in sorted(held.items()):
            own = tuple(next(case for case in rows if case.configuration == key) for key in picks[pick])
            yield Fold(split=f"after_{own_rows}", training=others, held=tuple(judged), own=own)


def stated(cases: Sequence[R]) -> Iterator[Fold[R]]:
    """The file's own splits: judged by what is shipped, nothing of the file is learnt from."""
    for split in dict.fromkeys(case.split for case in cases):
        yield Fold(split=split, training=None, held=tuple(case for case in cases if case.split == split))
