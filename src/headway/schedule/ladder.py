"""The same jobs on 1, 2, 4, 8 … GPUs.

Owns the table of makespans. One schedule is `place`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headway.schedule.jobs import Job
from headway.schedule.place import place


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One number of GPUs and what it brings."""

    gpus: int
    makespan_s: float
    floor_s: float
    utilisation: float
    """Share of the GPU time allocated to jobs, 0..1."""

    @property
    def hours(self) -> float:
        """Makespan in hours."""
        return self.makespan_s / 3600

    @property
    def days(self) -> float:
        """Makespan in days around the clock."""
        return self.makespan_s / 86400


def makespans(jobs: Sequence[Job], gpu_counts: Sequence[int]) -> tuple[Rung, ...]:
    """Longest-first schedules of `jobs` on each number of GPUs, in the order given; too few GPUs for a job are skipped.

    Raises UserError as `place` does for jobs that contradict themselves.
    """
    widest = max((job.gpus for job in jobs), default=0)
    rungs = []
    for gpus in gpu_counts:
        if gpus < widest:
            continue
        made = place(jobs, gpus)
        rungs.append(Rung(gpus=gpus, makespan_s=made.makespan_s, floor_s=made.floor_s, utilisation=made.utilisation))
    return tuple(rungs)
