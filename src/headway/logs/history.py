"""What the rows of a history say only together: which steps its last start did, which evaluations were one round.

Owns what resumes and several sets of data leave in the history of a Hugging Face Trainer; what one row says is
`hf_rows.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from headway.domain.observation import Observation

SURELY_LESS: Final = 0.9
"""A last start with more of the steps than that is taken for the whole: logged losses are rounded."""
ONE_SET: Final = frozenset(("eval", "evaluation", "test", "predict", "val", "valid", "validation"))
"""What an evaluation of one set is named, which names no set."""


def last_start(
    part: Sequence[Observation], rows: Sequence[Observation], done: tuple[float, float] | None
) -> tuple[int, int] | None:
    """Index of the first of `rows` that the last start trained, and the step that it went on from; None: all are its.

    `part` is one history, its `end` last, `rows` are its steps, `done` the steps that the rate of its last row says,
    and the doubt in them. A resume is from a checkpoint, and where those are, rows and evaluations mostly are too: the
    nearest of them to what the figures say is taken, for these are rounded.
    """
    by_rate = _by_rate(rows, done)
    after = by_rate if by_rate is not None else _by_loss(rows, part[-1])
    if after is None:
        return None
    told = {item.step for item in (*rows, *part) if item.kind in ("step", "evaluation") and item.step is not None}
    places = {step for step in told if step < (rows[-1].step or 0)}
    if not places:
        return None
    resumed = min(places, key=lambda step: (abs(step - after), step))
    first = 1 + max((at for at, item in enumerate(rows) if (item.step or 0) <= resumed), default=-1)
    return (first, resumed) if 0 < first < len(rows) else None


def evaluations_s(part: Sequence[Observation], resumed: int | None = None) -> float:
    """Seconds of the evaluations of a history, of those after the step that the last start went on from if it did.

    The one at that step was made before its checkpoint was saved.
    """
    before = max((at for at, item in enumerate(part) if _is_before(item, resumed)), default=-1)
    return sum(item.seconds or 0.0 for item in part[before + 1 :] if item.kind == "evaluation")


def _is_before(item: Observation, resumed: int | None) -> bool:
    return resumed is not None and item.step is not None and item.step <= resumed


def _by_rate(rows: Sequence[Observation], done: tuple[float, float] | None) -> float | None:
    """Steps before those that the rate is of; None where it is of all of them, as that of most Trainers."""
    last = rows[-1].step or 0
    return None if done is None or sum(done) >= SURELY_LESS * last else last - done[0]


def _by_loss(rows: Sequence[Observation], end: Observation) -> float | None:
    """Steps before the last start, which sums the loss of its own steps and divides by all; None where it did all."""
    mean, last, losses = end.values.get("train_loss"), rows[-1].step, _losses(rows)
    if mean is None or not last or any(not 0 < loss < math.inf for loss in losses):
        return None
    summed = sum(loss * (item.steps or 0) for item, loss in zip(rows, losses, strict=False))
    left = mean * last
    if not 0 < left < SURELY_LESS * summed:
        return None
    for item, loss in zip(reversed(rows), reversed(losses), strict=False):
        own = loss * (item.steps or 0)
        if own >= left:
            return (item.step or 0) - (item.steps or 0) * left / own
        left -= own
    return None


def _losses(rows: Sequence[Observation]) -> list[float]:
    """The logged loss of each row, that of a neighbour where it has none, as the steps after the last logged one."""
    latest = next((loss for item in rows if (loss := item.values.get("loss")) is not None), None)
    found = []
    for item in rows:
        latest = item.values.get("loss", latest)
        if latest is not None:
            found.append(latest)
    return found


def rounds(observations: Sequence[Observation]) -> tuple[Observation, ...]:
    """Evaluations of several data sets at one step as one, which took as long as all of them; its values are theirs.

    The Trainer evaluates a dictionary of sets one after the other and logs a row for each (`eval_NAME_runtime`).
    """
    found: list[Observation] = []
    for item in observations:
        before = found[-1] if found else None
        sets = _sets(item.values) if item.kind == "evaluation" and item.step is not None else set()
        beside = _sets(before.values) if before is not None and sets else set()
        if before is None or not beside or sets & beside or _place(before) != _place(item):
            found.append(item)
            continue
        found[-1] = replace(
            item,
            seconds=None if None in (before.seconds, item.seconds) else (before.seconds or 0.0) + (item.seconds or 0.0),
            rows=None if None in (before.rows, item.rows) else (before.rows or 0.0) + (item.rows or 0.0),
            at_s=item.at_s if item.at_s is not None else before.at_s,
            values={**before.values, **item.values},
        )
    return tuple(found)


def _place(item: Observation) -> tuple[str, int | None, int, int]:
    return item.kind, item.step, item.attempt, item.rank


def _sets(values: Mapping[str, float]) -> set[str]:
    """The stems of the names under which an evaluation tells how long it took for which set, `eval_NAME`."""
    return {stem for stem in timed_stems(values) if stem not in ONE_SET}


def timed_stems(values: Mapping[str, object]) -> list[str]:
    """What stands before `_runtime`, where the rate of rows is told beside it."""
    stems = (key.removesuffix("_runtime") for key in values if key.endswith("_runtime"))
    return [stem for stem in stems if f"{stem}_samples_per_second" in values]
