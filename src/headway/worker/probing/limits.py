"""The most rows that a micro-batch can have on this machine, without asking for memory that is not there.

Owns the tries. A GPU refuses and goes on; the host does not, where Linux ends the process that asked too much, so that
on a CPU the need of many rows is worked out from few.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from headway.domain.optimizer import OPTIMIZERS, optimizer_name
from headway.domain.units import format_bytes
from headway.worker.machine.facts import free_memory_bytes
from headway.worker.task import Task
from headway.worker.training.models import META
from headway.worker.training.rows import Row, Step
from headway.worker.training.session import Session, StepTime, is_out_of_memory
from headway.worker.training.weights import config_of, trained_model

CPU = torch.device("cpu")
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


def load_refusal(task: Task) -> str:
    """Why the host has no room for the model in training, in words; empty where it has, or where that is not known.

    Weights, gradients and the optimizer's states, of which the program needs at least so much; what a pass keeps beside
    them is found out step by step. Of a quantised model's weights a quarter counts.
    """
    free = free_memory_bytes(CPU)
    bare = replace(task, model=replace(task.model, place="-", config=config_of(task.model)),
                   recipe=replace(task.recipe, quantize="none"))  # fmt: skip
    share = 1.0 if task.recipe.quantize == "none" else 0.25
    states, others_bytes = OPTIMIZERS[optimizer_name(task.recipe.optimizer)]
    need = 0.0
    for one in trained_model(bare, META).parameters():
        width = one.element_size()
        need += one.numel() * (width * (2 + states) + others_bytes if one.requires_grad else width * share)
    if free is None or need <= free:
        return ""
    return (f"out of memory: weights, gradients and optimizer need {format_bytes(need)}, "
            f"{format_bytes(free)} are free")  # fmt: skip


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


def longest(session: Session, rows: Sequence[Row], most_s: float = math.inf) -> Longest:
    """Run the planned micro-batch on the longest rows; where memory is too small, find the most rows that run.

    On a CPU a step that would take over `most_s` seconds is not run where few rows show that it fits.
    """
    planned = session.task.batches.micro_batch
    if session.device.type == "cpu":
        need = host_need(session, rows)
        if need.rows < planned:
            return _most(session, rows, need.rows, worked_out=True)
        if need.seconds > most_s:
            tokens = max(map(len, rows))
            return Longest(tokens=tokens, rows=planned, fits=True, seconds=None, peak_bytes=need.peak_bytes,
                           worked_out=True)  # fmt: skip
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


@dataclass(frozen=True, slots=True, kw_only=True)
class HostNeed:
    """What a step on the longest rows takes of the host, worked out from few of them."""

    rows: int
    """The most, up to the planned ones, whose step stays within what is free; 0 where one row has no room."""
    peak_bytes: int = 0
    """Of the process with the planned rows."""
    seconds: float = 0.0
    """Of a step with the planned rows, in proportion."""


def host_need(session: Session, rows: Sequence[Row]) -> HostNeed:
    """From the peak of one row, and what one more adds. The planned rows where the system does not say what is free."""
    planned, micro_steps = session.task.batches.micro_batch, session.task.batches.grad_accum
    session.peak.forget()
    held, free = session.peak.bytes(), free_memory_bytes(session.device)
    if free is None or not held:
        return HostNeed(rows=planned)
    room, peaks, seconds, more = USABLE * free, {0: 0.0}, 0.0, 0.0
    for count in [one for one in TRIED if one <= planned]:
        session.peak.forget()
        took = tried(session, longest_step(rows, count, micro_steps))
        if took is None:
            return HostNeed(rows=max(peaks))
        peaks[count], seconds = session.peak.bytes() - held, took.seconds * planned / count
        if peaks[count] / count * planned < SMALL * free:  # as if all of it grew with rows
            return HostNeed(rows=planned, peak_bytes=held + int(peaks[count] / count * planned), seconds=seconds)
        below = max(one for one in peaks if one < count and (one or count == 1))
        more = max((peaks[count] - peaks[below]) / (count - below), 1.0)
        if peaks[count] + more * count > room:  # no room to try twice as many
            break
    high = max(peaks)
    fitting = min(planned, max(high + math.floor((room - peaks[high]) / more), 0))
    return HostNeed(rows=fitting, peak_bytes=held + int(peaks[high] + more * (planned - high)), seconds=seconds)
