"""Does it fit: a memory need against a device, with the probability; and the largest micro-batch that does.

Owns how much of a device's memory a program can use. What is needed is `memory`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from headway.domain.experiment import Architecture, Batches, Recipe
from headway.domain.machine import Device
from headway.domain.software import ORDINARY, Software
from headway.predict.memory import MemoryNeed, memory
from headway.predict.values import Constants, Value, constant

Fits = Literal["yes", "no", "uncertain"]

SURE = 0.9
"""Probability from which the verdict is `yes`, and under one minus which it is `no`."""
_MOST_ROWS = 4096


def usable_bytes(device: Device, constants: Constants) -> Value:
    """Bytes of device memory that a program can allocate, all of it.

    Datasheets print GB and mostly mean GiB: "24 GB" is 24,564 MiB on an RTX 4090, of which CUDA offers 23.6 GiB;
    ECC on GDDR takes a sixteenth (L4, L40S, A10, T4). `usable_memory_share` (by exact device name where it is known)
    times the nominal GB covers both.
    """
    return device.memory_bytes * constant(constants, "usable_memory_share", device.name)


def verdict(need: MemoryNeed, usable: Value) -> tuple[Fits, float]:
    """Whether `need` stays within `usable` bytes, and with what probability (the share of draws in which it does).

    Points know no doubt: the probability is then 0 or 1.
    """
    probability = float(np.mean(np.asarray(need.peak_bytes) <= np.asarray(usable)))
    return said(probability), probability


def said(probability: float) -> Fits:
    """The verdict of a probability to fit."""
    if probability >= SURE:
        return "yes"
    return "no" if probability <= 1 - SURE else "uncertain"


def largest_micro_batch(
    arch: Architecture,
    recipe: Recipe,
    batches: Batches,
    device: Device,
    constants: Constants,
    software: Software = ORDINARY,
) -> int:
    """The most rows in one pass that fit with probability 0.9 or more; 0 when one row does not, at most 4,096.

    Row lengths stay those of `batches`: the longest row decides, however many stand beside it.
    """

    def fits(rows: int) -> bool:
        need = memory(arch, replace(recipe, micro_batch=rows), replace(batches, micro_rows=rows), constants, software)
        return verdict(need, usable)[0] == "yes"

    usable = usable_bytes(device, constants)
    low, high = 0, 1
    while high <= _MOST_ROWS and fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        half = (low + high) // 2
        low, high = (half, high) if fits(half) else (low, half)
    return min(low, _MOST_ROWS)
