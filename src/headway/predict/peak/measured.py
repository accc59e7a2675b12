"""The peak that a probe saw -> the peak of the whole run.

Owns how far the two are apart. What is predicted without a probe is `predict.memory` and the fit beside this.
"""

from __future__ import annotations

from collections.abc import Mapping

from headway.domain.measurement import MeasuredMemory
from headway.domain.units import Range

RUN_OVER_PROBE: Mapping[str, Range] = {"device": Range(0.97, 1.0, 1.06), "allocated": Range(1.0, 1.0, 1.03)}
"""The most memory of a run over that of a probe's step on the longest rows, by who saw it. Of a process on a CPU:
`benchmarks/pilot.py`, forty runs: 0.972, 1.009, 1.059 (a heap grows with what was freed and lies in pieces). Of tensors
on a GPU, which are counted one by one: assumed, for what a save holds beside them."""


def peak_of_run(memory: MeasuredMemory) -> Range:
    """Bytes of the run's peak: p10, p50 and p90, as the probe's observer sees them."""
    return RUN_OVER_PROBE[memory.seen_by] * memory.peak_bytes
