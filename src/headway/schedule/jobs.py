"""Jobs to be placed: how long, on how many GPUs, after what.

Owns the noun, its consistency and its chains. Placing is `place`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headway.domain.errors import UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run that is not split: a chain of stages on the same GPUs, from start to end."""

    id: str
    duration_s: float
    gpus: int = 1
    """0 for work without a GPU."""
    needs: tuple[str, ...] = ()
    """Ids of jobs whose results it uses: it never starts before they end."""
    after: tuple[str, ...] = ()
    """Ids of jobs that are better done first: an order, not a dependency, and no GPU waits for it."""


def in_order(jobs: Sequence[Job]) -> tuple[Job, ...]:
    """The jobs with every job behind those it needs, otherwise as given.

    Raises UserError on a duplicate id, a negative or infinite duration, a need that is not there, or a cycle.
    """
    known: dict[str, Job] = {}
    for job in jobs:
        if job.id in known:
            raise UserError("every job has an id of its own", got=job.id)
        if not (0 <= job.duration_s < math.inf and job.gpus >= 0):
            raise UserError("a job takes a finite time and no negative number of GPUs", got=str(job))
        known[job.id] = job
    waiting = {job.id: len(_needed(job, known)) for job in jobs}
    followers = dependents(jobs)
    ready = [job.id for job in jobs if not waiting[job.id]]
    for done in ready:
        for follower in followers.get(done, ()):
            waiting[follower] -= 1
            if not waiting[follower]:
                ready.append(follower)
    if len(ready) < len(known):
        stuck = sorted(set(known) - set(ready))
        raise UserError("jobs cannot need each other in a circle", got=", ".join(stuck[:8]))
    return tuple(known[job] for job in ready)


def dependents(jobs: Sequence[Job]) -> Mapping[str, tuple[str, ...]]:
    """Id of a job -> ids of the jobs that need it; jobs that nobody needs are absent."""
    found: dict[str, list[str]] = {}
    for job in jobs:
        for need in dict.fromkeys(job.needs):
            found.setdefault(need, []).append(job.id)
    return {need: tuple(followers) for need, followers in found.items()}


def tails_s(ordered: Sequence[Job]) -> Mapping[str, float]:
    """Id -> seconds of the longest chain that starts with the job; `ordered` as `in_order` gives it."""
    tails: dict[str, float] = {}
    longest_after: dict[str, float] = {}
    for job in reversed(ordered):
        tails[job.id] = job.duration_s + longest_after.get(job.id, 0.0)
        for need in job.needs:
            longest_after[need] = max(longest_after.get(need, 0.0), tails[job.id])
    return tails


def floor_s(jobs: Sequence[Job], gpus: int) -> float:
    """Seconds that no schedule on `gpus` GPUs gets below: the longest chain, or all GPU time shared evenly."""
    longest = max(tails_s(in_order(jobs)).values(), default=0.0)
    return max(longest, math.fsum(job.duration_s * job.gpus for job in jobs) / gpus)


def preference(jobs: Sequence[Job]) -> Mapping[str, int]:
    """Id -> how many steps of `after` lead to the job, 0 for those that come first; absent jobs are ignored.

    Raises UserError where jobs are to come after each other in a circle.
    """
    if not any(job.after for job in jobs):
        return dict.fromkeys((job.id for job in jobs), 0)
    known = {job.id for job in jobs}
    depth: dict[str, int] = {}
    asked = [Job(id=job.id, duration_s=0, needs=tuple(one for one in job.after if one in known)) for job in jobs]
    for job in in_order(asked):
        depth[job.id] = max((depth[earlier] + 1 for earlier in job.needs), default=0)
    return depth


def _needed(job: Job, known: Mapping[str, Job]) -> tuple[str, ...]:
    for need in job.needs:
        if need not in known:
            raise UserError(f"{job.id} needs a job that is not there", got=need)
    return tuple(dict.fromkeys(job.needs))
