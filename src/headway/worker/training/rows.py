"""Rows of tokens from what a task names, and the micro-batches that a trainer makes of them.

Owns tokenising, truncation, packing and the order of rows; reading texts is `texts.py`. Padding happens where a batch
is collated (`session.py`).
"""

from __future__ import annotations

import itertools
import math
import time
from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from headway.domain.errors import UserError
from headway.worker.task import Batching, Task
from headway.worker.training.texts import Tokenizer, read_texts, tokenizer_of

Row = NDArray[np.int64]
"""Token ids, shape (tokens,)."""
MicroBatch = tuple[Row, ...]
Step = tuple[MicroBatch, ...]
"""The micro-batches of one optimizer step."""
_T = TypeVar("_T")
_LOOKED_AT = 64
"""Steps in which another width is looked for."""
_POOL = 1 << 20
"""Random ids from which rows of given lengths are cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What a task trains and evaluates on, and what it cost to make."""

    train: tuple[Row, ...]
    """Truncated, and packed where that is asked for."""
    held_out: tuple[Row, ...]
    """As many as the evaluation reads; taken from the training rows where the data has no more."""
    new_held_out: int
    """Of these, rows that are not trained on."""
    pad: int
    """The id that fills short rows."""
    tokens: int
    """That were tokenised, before truncation; 0 where only lengths were given."""
    read_s: float
    tokenize_s: float
    """Of texts to ids, and packing; the tokenizer was there."""
    tokenizer_s: float
    """Loading or making the tokenizer."""

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.read_s + self.tokenize_s + self.tokenizer_s


def read_rows(task: Task, vocab: int) -> Rows:
    """The rows of a task whose model knows `vocab` ids. Raises UserError for data that cannot be read."""
    wanted = task.evaluation.rows if task.evaluation else 0
    read_s = tokenizer_s = encode_s = 0.0
    pad = tokens = 0
    rows: tuple[Row, ...]
    if task.data.lengths is not None:
        rows, more = _random_rows(task.data.lengths, task.rows or len(task.data.lengths), wanted, vocab, task.seed)
    else:
        moments = [time.perf_counter()]
        texts, others = _split(*read_texts(task.data), task.rows, wanted)
        moments.append(time.perf_counter())
        tokenizer = tokenizer_of(task.data, task.model.place, texts)
        moments.append(time.perf_counter())
        rows, more = _encoded(tokenizer, texts), _encoded(tokenizer, others)
        moments.append(time.perf_counter())
        read_s, tokenizer_s, encode_s = (after - before for before, after in itertools.pairwise(moments))
        tokens, pad = sum(map(len, rows)) + sum(map(len, more)), tokenizer.pad
    began = time.perf_counter()
    train = fitted(rows, task.batches)
    held = _truncated(more, task.batches.max_length)
    if not train:
        raise UserError("the data must hold rows", got="none with a token")
    _check_ids((*train, *held), vocab)
    topped = held + tuple(train[at % len(train)] for at in range(wanted - len(held)))
    packing_s = time.perf_counter() - began
    return Rows(train=train, held_out=topped, new_held_out=len(held), pad=pad, tokens=tokens,
                read_s=read_s, tokenize_s=encode_s + packing_s, tokenizer_s=tokenizer_s)  # fmt: skip


def _split(
    rows: Sequence[_T], others: Sequence[_T], first: int | None, wanted: int
) -> tuple[tuple[_T, ...], tuple[_T, ...]]:
    """The first rows to train on, and up to `wanted` others: of the data's own split, else those behind."""
    kept = rows[:first]
    return tuple(kept), tuple(others or rows[len(kept) :])[:wanted]


def _random_rows(
    lengths: Sequence[int], many: int, others: int, vocab: int, seed: int
) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """`many` rows of the given lengths, over and over, in any order; and `others`, each of one of these lengths.

    Views of one pool of random ids, so that a million of them take little memory.
    """
    chance = np.random.default_rng(seed)
    sizes = np.concatenate((chance.permutation(np.resize(lengths, many)), chance.choice(lengths, others)))
    longest = int(sizes.max())
    pool = chance.integers(0, vocab, size=longest + min(_POOL, int(sizes.sum())), dtype=np.int64)
    starts = chance.integers(0, len(pool) - longest + 1, size=len(sizes))
    rows = tuple(pool[start : start + size] for start, size in zip(starts.tolist(), sizes.tolist(), strict=True))
    return rows[:many], rows[many:]


def _encoded(tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[Row, ...]:
    return tuple(np.asarray(ids, dtype=np.int64) for ids in tokenizer.encode(texts) if ids)


def _check_ids(rows: Sequence[Row], vocab: int) -> None:
    largest = max(int(row.max()) for row in rows)
    if largest >= vocab:
        raise UserError("the tokenizer's ids must be in the model's vocabulary", got=f"id {largest} of {vocab:,}",
                        hint="Name the tokenizer that the model was made with, or train a smaller one.")  # fmt: skip


def _truncated(rows: Sequence[Row], limit: int | None) -> tuple[Row, ...]:
    return tuple(row[:limit] for row in rows if len(row))


def fitted(rows: Sequence[Row], batching: Batching) -> tuple[Row, ...]:
    """Rows cut at `max_length`, and packed into as few rows as best-fit decreasing finds (trl's default).

    A row stays whole; order is by the longest row first where rows are packed.
    """
    cut = _truncated(rows, batching.max_length)
    if not batching.pack or batching.max_length is None:
        return cut
    room: list[tuple[int, int]] = []  # tokens left, and which pack: sorted
    packs: list[list[Row]] = []
    for row in sorted(cut, key=len, reverse=True):
        at = bisect_left(room, (len(row), 0))
        left, which = room.pop(at) if at < len(room) else (batching.max_length, len(packs))
        if which == len(packs):
            packs.append([])
        packs[which].append(row)
        insort(room, (left - len(row), which))
    return tuple(np.concatenate(pack) for pack in packs)


def steps_per_epoch(rows: int, batching: Batching) -> int:
    """Optimizer steps that pass over `rows` once; the last one may be smaller."""
    return math.ceil(rows / (batching.micro_batch * batching.grad_accum))


def optimizer_steps(rows: Sequence[Row], batching: Batching, seed: int, done: int = 0) -> Iterator[Step]:
    """The micro-batches of one optimizer step after another, for ever: shuffled anew in every epoch.

    Begins behind the first `done` steps; the same seed gives the same order, wherever it begins. The last micro-batch
    and the last step of an epoch may be smaller, as in a standard trainer.
    """
    size, micro = batching.micro_batch * batching.grad_accum, batching.micro_batch
    epoch, skipped = divmod(done, steps_per_epoch(len(rows), batching))
    while True:
        order = np.random.default_rng([seed, epoch]).permutation(len(rows)).tolist()
        for start in range(skipped * size, len(rows), size):
            chosen = [rows[at] for at in order[start : start + size]]
            yield tuple(tuple(chosen[at : at + micro]) for at in range(0, len(chosen), micro))
        epoch, skipped = epoch + 1, 0


def unlike_batches(task: Task, rows: Sequence[Row]) -> tuple[MicroBatch, ...]:
    """Micro-batches that stand for the shapes of a run: its first, one of another width, an epoch's smaller last one.

    The second and third are left out where there are none.
    """
    batching, each = task.batches, steps_per_epoch(len(rows), task.batches)
    looked_at = itertools.islice(optimizer_steps(rows, batching, task.seed), min(each, _LOOKED_AT))
    seen = [batch for step in looked_at for batch in step]
    width = max(map(len, seen[0]))
    others = (batch for batch in seen if len(batch) == len(seen[0]) and max(map(len, batch)) != width)
    last = next(optimizer_steps(rows, batching, task.seed, each - 1))[-1]
    smaller = (last,) if len(last) < len(seen[0]) else ()
    return (seen[0], *itertools.islice(others, 1), *smaller)
