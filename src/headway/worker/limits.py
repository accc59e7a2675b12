"""The most rows that a micro-batch can have on this machine, without asking for memory that is not there.

Owns the tries. A GPU refuses and goes on; the host does not, where Linux ends the process that asked too much, so that
on a CPU the need of many rows is worked out from few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headway.worker.machine import free_memory_bytes
from headway.worker.rows import Row, Step
from headway.worker.session import Session, StepTime, is_out_of_memory

USABLE = 0.9
"""Of the host's available memory that a step may take."""
SMALL = 0.5
"""Of the available memory: what surely needs less is not worked out."""
TRIED = (1, 2, 4)
"""Rows from which the need of more is worked out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Longest:
    """A step on the longest rows of the data: the most memory that the run will ask for."""

    tokens: int
    """Of the longest row."""
    rows: int
    """In the micro-batch that ran, the planned one where it fits; 0: not even one row."""
    fits: bool
    seconds: float | None
    peak_bytes: int
    """Of tensors on a GPU, of the whole process on a CPU."""
    worked_out: bool = False
    """The verdict rests on fewer rows: a step as planned was not tried."""


def longest_step(rows: Sequence[Row], micro_batch: int, micro_steps: int) -> Step:
    """The longest rows there are as one step; two micro-steps show what gradients beside a pass take."""
    found = tuple(sorted(rows, key=len, reverse=True)[:micro_batch])
    return (found,) * min(micro_steps, 2)


def tried(session: Session, step: Step) -> StepTime | None:
    """The step, or None where memory ran out; what it held is given back then."""
    try:
        return session.step(step)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    session.recover()  # behind the handler: the error holds the tensors of its frames
    return None


def longest(session: Session, rows: Sequence[Row]) -> Longest:
    """Run the planned micro-batch on the longest rows; where memory is too small, find the most rows that run."""
    planned = session.task.batches.micro_batch
    if session.device.type == "cpu" and (most := rows_by_memory(session, rows)) < planned:
        return _most(session, rows, most, worked_out=True)
    found = _try(session, rows, planned)
    return found if found is not None else _most(session, rows, planned - 1, worked_out=False)


def _try(session: Session, rows: Sequence[Row], micro_batch: int) -> Longest | None:
    step = longest_step(rows, micro_batch, session.task.batches.grad_accum)
    session.peak.forget()
    took = tried(session, step)
    return None if took is None else Longest(
        tokens=took.longest, rows=micro_batch, fits=micro_batch >= session.task.batches.micro_batch,
        seconds=took.seconds, peak_bytes=session.peak.bytes(),
    )  # fmt: skip


def _most(session: Session, rows: Sequence[Row], at_most: int, *, worked_out: bool) -> Longest:
    """The largest micro-batch up to `at_most` that runs, by halving what is open; it does not fit as planned.

    What was worked out is tried first, as it is mostly right.
    """
    best, low, high = None, 0, at_most + 1
    middle = at_most if worked_out else high // 2
    while high - low > 1:
        if (found := _try(session, rows, middle)) is None:
            high = middle
        else:
            best, low = found, middle
        middle = (low + high) // 2
    if best is None:
        tokens = max(map(len, rows))
        return Longest(tokens=tokens, rows=0, fits=False, seconds=None, peak_bytes=0, worked_out=worked_out)
    return Longest(tokens=best.tokens, rows=best.rows, fits=False, seconds=best.seconds, peak_bytes=best.peak_bytes,
                   worked_out=worked_out)  # fmt: skip


def rows_by_memory(session: Session, rows: Sequence[Row]) -> int:
    """The most rows up to the planned ones whose step stays within the host's free memory.

    From the peak of one row, and what one more adds; 0 where one row has no room. The planned number where the system
    does not say what is free.
    """
    planned = session.task.batches.micro_batch
    session.peak.forget()
    held, free = session.peak.bytes(), free_memory_bytes(session.device)
    if free is None or not held:
        return planned
    room = USABLE * free
    peaks: dict[int, int] = {}
    for count in [one for one in TRIED if one <= planned]:
        session.peak.forget()
        if tried(session, longest_step(rows, count, session.task.batches.grad_accum)) is None:
            return max(peaks, default=0)
        peaks[count] = session.peak.bytes() - held
        if peaks[count] / count * planned < SMALL * free:  # as if all of it grew with rows
            return planned
        low, high = min(peaks), max(peaks)
        more = (peaks[high] - peaks[low]) / (high - low) if high > low else peaks[high]
        if peaks[high] + more * high > room and count < planned:  # no room to try twice as many
            break
    return min(planned, max(high + int((room - peaks[high]) / max(more, 1.0)), 0))
