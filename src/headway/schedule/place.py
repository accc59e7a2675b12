"""Longest-first placement of jobs on GPUs.

Owns the list scheduler and the schedule it makes. Which machines there are and what they cost is not asked here.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from headway.domain.errors import UserError
from headway.schedule.jobs import Job, dependents, floor_s, in_order, preference, tails_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One job on one GPU."""

    job: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When each job runs on which GPU."""

    gpus: int
    lanes: tuple[tuple[Slot, ...], ...]
    """One lane for each GPU, in time order; a job on several GPUs stands in as many lanes."""
    beside: tuple[Slot, ...]
    """Work without a GPU, in time order."""
    makespan_s: float
    floor_s: float
    """What no schedule gets below: the longest chain, or all GPU time shared evenly."""

    @property
    def utilisation(self) -> float:
        """Share of the GPU time until the makespan that is allocated to jobs, 0..1."""
        held = math.fsum(slot.end_s - slot.start_s for lane in self.lanes for slot in lane)
        return held / (self.gpus * self.makespan_s) if self.makespan_s else 0.0


@dataclass(slots=True)
class _Floor:
    """The state of a placement: who may start, what is free, what runs."""

    jobs: Mapping[str, Job]
    rank: Mapping[str, int]
    ready: dict[int, list[tuple[int, str]]] = field(default_factory=dict)
    """Number of GPUs -> heap of (rank, id)."""
    free: list[int] = field(default_factory=list)
    running: list[tuple[float, int, str, tuple[int, ...]]] = field(default_factory=list)
    lanes: list[list[Slot]] = field(default_factory=list)
    beside: list[Slot] = field(default_factory=list)

    def offer(self, job: str) -> None:
        heapq.heappush(self.ready.setdefault(self.jobs[job].gpus, []), (self.rank[job], job))

    def start_what_fits(self, now_s: float) -> None:
        """Start ready jobs, first in rank first, as long as one fits the free GPUs."""
        while True:
            fitting = [heap[0] for width, heap in self.ready.items() if heap and width <= len(self.free)]
            if not fitting:
                return
            rank, name = min(fitting)
            job = self.jobs[name]
            heapq.heappop(self.ready[job.gpus])
            taken = tuple(heapq.heappop(self.free) for _ in range(job.gpus))
            slot = Slot(job=name, start_s=now_s, end_s=now_s + job.duration_s)
            for lane in taken:
                self.lanes[lane].append(slot)
            if not taken:
                self.beside.append(slot)
            heapq.heappush(self.running, (slot.end_s, rank, name, taken))

    def next_end(self) -> tuple[float, list[str]]:
        """The next moment at which jobs end, and which; their GPUs are free again."""
        now_s, ended = self.running[0][0], []
        while self.running and self.running[0][0] <= now_s:
            _, _, name, taken = heapq.heappop(self.running)
            ended.append(name)
            for lane in taken:
                heapq.heappush(self.free, lane)
        return now_s, ended


def place(jobs: Sequence[Job], gpus: int) -> Schedule:
    """Place `jobs` on `gpus` GPUs, the longest chain of dependent work first (list scheduling, Graham 1969).

    Whenever GPUs are free, the first ready job that fits starts. Equal chains go wider first, then by `after`, then
    by id: the same jobs always give the same schedule. For single-GPU jobs without needs this is longest-first (LPT),
    never more than 4/3 of the best. Within a lane, jobs outside any chain stand in the order of `after`, at no cost.
    Raises UserError when a job needs more GPUs than there are, or the jobs contradict themselves (`in_order`).
    """
    if gpus < 1:
        raise UserError("a schedule needs at least one GPU", got=str(gpus))
    for job in jobs:
        if job.gpus > gpus:
            raise UserError(f"{job.id} needs more GPUs than there are", got=f"{job.gpus} of {gpus}")
    ordered, depth, followers = in_order(jobs), preference(jobs), dependents(jobs)
    floor = _Floor(
        jobs={job.id: job for job in jobs},
        rank=_ranks(ordered, depth),
        free=list(range(gpus)),
        lanes=[[] for _ in range(gpus)],
    )
    makespan_s = _run(floor, followers)
    movable = {job.id for job in jobs if job.gpus == 1 and not job.needs and job.id not in followers}
    lanes = tuple(tuple(lane) for lane in floor.lanes)
    if any(depth.values()):
        lanes = tuple(_in_preferred_order(lane, movable, depth) for lane in lanes)
    lowest = floor_s(jobs, gpus)
    return Schedule(gpus=gpus, lanes=lanes, beside=tuple(floor.beside), makespan_s=makespan_s, floor_s=lowest)


def _run(floor: _Floor, followers: Mapping[str, tuple[str, ...]]) -> float:
    """Start and end every job; the moment of the last end."""
    waiting = {job.id: len(set(job.needs)) for job in floor.jobs.values()}
    for name, needs in waiting.items():
        if not needs:
            floor.offer(name)
    now_s = 0.0
    floor.start_what_fits(now_s)
    while floor.running:
        now_s, ended = floor.next_end()
        for follower in (name for done in ended for name in followers.get(done, ())):
            waiting[follower] -= 1
            if not waiting[follower]:
                floor.offer(follower)
        floor.start_what_fits(now_s)
    return now_s


def _ranks(ordered: Sequence[Job], depth: Mapping[str, int]) -> Mapping[str, int]:
    """Id -> place in the order in which ready jobs are taken."""
    tails = tails_s(ordered)
    by_length = sorted(ordered, key=lambda job: (-tails[job.id], -job.gpus, depth[job.id], job.id))
    return {job.id: index for index, job in enumerate(by_length)}


def _in_preferred_order(lane: Sequence[Slot], movable: set[str], depth: Mapping[str, int]) -> tuple[Slot, ...]:
    """The lane with each gapless run of movable jobs sorted by `after`, in the same time altogether."""
    placed: list[Slot] = []
    run: list[Slot] = []
    for slot in lane:
        if run and (slot.job not in movable or slot.start_s > run[-1].end_s):
            placed += _packed(run, depth)
            run = []
        (run if slot.job in movable else placed).append(slot)
    return (*placed, *_packed(run, depth))


def _packed(run: Sequence[Slot], depth: Mapping[str, int]) -> list[Slot]:
    """The jobs of a gapless run, back to back in the same stretch of time, by `after`."""
    packed: list[Slot] = []
    if not run:
        return packed
    now_s, last_s = run[0].start_s, run[-1].end_s
    for slot in sorted(run, key=lambda one: depth[one.job]):
        # Summed in another order, the ends may differ in the last digit: none may reach into what follows.
        end_s = min(now_s + (slot.end_s - slot.start_s), last_s)
        packed.append(Slot(job=slot.job, start_s=now_s, end_s=end_s))
        now_s = end_s
    packed[-1] = Slot(job=packed[-1].job, start_s=packed[-1].start_s, end_s=last_s)
    return packed
