"""One training step, timed: warm-up discarded, device events, medians, peak memory.

Owns the measuring. Running out of memory is a result.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from truth.models import dtype_of
from truth.points import Point

WARM_UP = 3
LEAST, MOST = 5, 50
ENOUGH_S = 3.0
"""Measured steps: at least 5, then until 3 s have passed, at most 50."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Seconds of one optimizer step over the repeats, and the peak of memory (None where nobody counts it)."""

    seconds: tuple[float, ...]
    peak_bytes: float | None = None
    reserved_bytes: float | None = None
    out_of_memory: bool = False

    @property
    def median_s(self) -> float:
        """The middle of the repeats."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Standard deviation over the median."""
        return statistics.pstdev(self.seconds) / self.median_s


def optimizer_of(model: nn.Module, device: torch.device) -> torch.optim.Optimizer:
    """AdamW over what is trained; fused on CUDA."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(trained, lr=1e-5, fused=device.type == "cuda")


def _stepper(model: nn.Module, optimizer: torch.optim.Optimizer, tokens: torch.Tensor) -> Callable[[], None]:
    device = tokens.device
    adapters = any(not parameter.requires_grad for parameter in model.parameters())

    def step() -> None:
        # PEFT keeps adapters in fp32, and the Trainer multiplies them under autocast
        with torch.autocast(device.type, dtype=dtype_of(device), enabled=adapters and device.type == "cuda"):
            loss = model(tokens)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def _timed_on_cuda(step: Callable[[], None]) -> list[float]:
    """Seconds of each step between device events; the host runs ahead as it does in training."""
    started, marks = time.perf_counter(), [torch.cuda.Event(enable_timing=True)]
    marks[0].record()
    while len(marks) <= LEAST or (len(marks) <= MOST and time.perf_counter() - started < ENOUGH_S):
        step()
        marks.append(torch.cuda.Event(enable_timing=True))
        marks[-1].record()
        if len(marks) > LEAST:
            marks[-2].synchronize()
    torch.cuda.synchronize()
    return [before.elapsed_time(after) / 1e3 for before, after in pairwise(marks)]


def _timed_on_host(step: Callable[[], None]) -> list[float]:
    seconds: list[float] = []
    while len(seconds) < LEAST or (len(seconds) < MOST and sum(seconds) < ENOUGH_S):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    return seconds


def measure(model: nn.Module, optimizer: torch.optim.Optimizer, point: Point, device: torch.device) -> Measured:
    """Time a step of `point`. Out of memory is a result, with the peak that was reached; other errors are raised."""
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(point.setup.shape.vocab, (point.batch, point.length), generator=generator).to(device)
    step = _stepper(model, optimizer, tokens)
    seconds: list[float] = []
    full = False
    try:
        for _ in range(WARM_UP):
            step()
        seconds = _timed_on_cuda(step) if cuda else _timed_on_host(step)
    except torch.OutOfMemoryError:
        full = True
        optimizer.zero_grad(set_to_none=True)
    peak = float(torch.cuda.max_memory_allocated(device)) if cuda else None
    reserved = float(torch.cuda.max_memory_reserved(device)) if cuda else None
    return Measured(seconds=tuple(seconds), peak_bytes=peak, reserved_bytes=reserved, out_of_memory=full)
