"""Schedules against document 000's job list, hand-made cases, exhaustive search, and the laws of list scheduling."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.domain.errors import UserError
from headway.schedule.jobs import Job, dependents, floor_s, in_order, preference, tails_s
from headway.schedule.ladder import makespans
from headway.schedule.place import Schedule, place

H = 3600.0

# Document 000: hours of every experiment by phase, in its order; each sequence of 3C is one serial job.
QWEN2 = {
    "1": [1 / 6] * 10,
    "2A": [5, 12.5, 25] * 3,
    "2B": [2.5, 5] * 3 + [5, 10] * 3,
    "2C": [5] * 6,
    "3A": [2.5] * 10,
    "3B": [5] * 7 + [7.5] * 2 + [10],
    "3C": [3, 5, 7.5, 5, 6.5, 3],
}


def qwen2(link: str = "after") -> list[Job]:
    """The 63 jobs, with the baselines before all others as `needs`, as `after`, or not at all."""
    baselines = tuple(f"1/{index}" for index in range(10))
    jobs = []
    for phase, hours in QWEN2.items():
        before = baselines if phase != "1" else ()
        for index, duration in enumerate(hours):
            jobs.append(
                Job(
                    id=f"{phase}/{index}",
                    duration_s=duration * H,
                    needs=before if link == "needs" else (),
                    after=before if link == "after" else (),
                )
            )
    return jobs


def check(made: Schedule, jobs: list[Job]) -> None:
    """Every job once on as many lanes as it takes, no overlap, needs respected, floor and makespan right."""
    places: dict[str, list[tuple[float, float]]] = {}
    for lane in made.lanes:
        for earlier, later in pairwise(lane):
            assert earlier.end_s <= later.start_s
        for slot in lane:
            places.setdefault(slot.job, []).append((slot.start_s, slot.end_s))
    for slot in made.beside:
        places.setdefault(slot.job, []).append((slot.start_s, slot.end_s))
    assert sorted(places) == sorted(job.id for job in jobs)
    for job in jobs:
        assert len(places[job.id]) == max(job.gpus, 1)
        assert len(set(places[job.id])) == 1
        start, end = places[job.id][0]
        assert end - start == pytest.approx(job.duration_s, abs=1e-6)
        for need in job.needs:
            assert places[need][0][1] <= start
    ends = [end for spans in places.values() for _, end in spans]
    assert made.makespan_s == max(ends, default=0.0)
    assert made.makespan_s >= made.floor_s * (1 - 1e-12)
    assert made.makespan_s <= sum(job.duration_s for job in jobs) * (1 + 1e-12)
    assert 0 <= made.utilisation <= 1 + 1e-12


def test_the_job_list_is_the_documents() -> None:
    hours = {phase: sum(durations) for phase, durations in QWEN2.items()}
    assert hours == pytest.approx({"1": 5 / 3, "2A": 127.5, "2B": 67.5, "2C": 30, "3A": 25, "3B": 60, "3C": 30})
    assert sum(len(durations) for durations in QWEN2.values()) == 63


@pytest.mark.parametrize(
    ("link", "hours"), [("after", [170.8, 85.5, 43.0]), ("none", [170.8, 85.5, 43.0]), ("needs", [170.8, 86.0, 43.3])]
)
def test_two_four_and_eight_gpus(link: str, hours: list[float]) -> None:
    jobs = qwen2(link)
    rungs = makespans(jobs, (2, 4, 8))
    assert [round(rung.hours, 1) for rung in rungs] == hours
    assert [rung.days for rung in rungs] == pytest.approx([rung.hours / 24 for rung in rungs])
    for gpus in (2, 4, 8):
        check(place(jobs, gpus), jobs)


def test_sixteen_gpus_meet_the_longest_run() -> None:
    one, sixteen = makespans(qwen2(), (1, 16))
    assert one.hours == pytest.approx(341.6667, abs=1e-4)
    assert (sixteen.hours, sixteen.floor_s) == (25, 25 * H)
    assert one.utilisation == pytest.approx(1)
    assert sixteen.utilisation == pytest.approx(341.6667 / 400, abs=1e-4)


def test_what_comes_after_is_later_within_a_lane_and_nothing_waits() -> None:
    made = place(qwen2("after"), 8)
    for lane in made.lanes:
        phases = [slot.job[0] == "1" for slot in lane]
        assert phases == sorted(phases, reverse=True)
    assert made.makespan_s == place(qwen2("none"), 8).makespan_s
    assert all(lane[0].start_s == 0 for lane in made.lanes)


def test_a_preference_for_an_absent_job_is_no_preference() -> None:
    jobs = [Job(id="a", duration_s=1, after=("gone",)), Job(id="b", duration_s=1, after=("a",))]
    assert preference(jobs) == {"a": 0, "b": 1}
    assert [slot.job for slot in place(jobs, 1).lanes[0]] == ["a", "b"]


def test_preferences_never_move_what_a_chain_depends_on() -> None:
    jobs = [
        Job(id="head", duration_s=3),
        Job(id="tail", duration_s=5, needs=("head",)),
        Job(id="later", duration_s=2, after=("small",)),
        Job(id="small", duration_s=1),
    ]
    for gpus in (1, 2):
        made = place(jobs, gpus)
        check(made, jobs)
        assert made.makespan_s == (11 if gpus == 1 else 8)
    order = [slot.job for slot in place(jobs, 1).lanes[0]]
    assert order == ["head", "tail", "small", "later"]


def test_the_same_jobs_give_the_same_schedule_in_any_order() -> None:
    jobs = qwen2("after")
    assert place(jobs, 4) == place(jobs[::-1], 4)


def test_the_longest_chain_goes_first() -> None:
    jobs = [
        Job(id="long", duration_s=6),
        Job(id="c1", duration_s=2),
        Job(id="c2", duration_s=4, needs=("c1",)),
        Job(id="c3", duration_s=4, needs=("c2",)),
    ]
    assert tails_s(in_order(jobs)) == {"long": 6, "c1": 10, "c2": 8, "c3": 4}
    made = place(jobs, 2)
    check(made, jobs)
    assert (made.makespan_s, made.floor_s) == (10, 10)


def test_wide_jobs_take_several_lanes_and_work_without_a_gpu_none() -> None:
    jobs = [
        Job(id="prep", duration_s=30, gpus=0),
        Job(id="sft", duration_s=20, gpus=8, needs=("prep",)),
        Job(id="extensions", duration_s=240),
        Job(id="testing", duration_s=45, gpus=8, needs=("sft", "extensions")),
        Job(id="validation", duration_s=60, gpus=2, needs=("testing",)),
    ]
    made = place(jobs, 8)
    check(made, jobs)
    assert [slot.job for slot in made.beside] == ["prep"]
    # Document 002: the extensions hold one GPU for four hours, so the training on all eight goes behind them.
    assert made.makespan_s == 240 + 20 + 45 + 60
    assert made.floor_s == 240 + 45 + 60


def test_contradictions_are_refused() -> None:
    with pytest.raises(UserError, match="wide needs more GPUs than there are, got 4 of 2"):
        place([Job(id="wide", duration_s=1, gpus=4)], 2)
    with pytest.raises(UserError, match="at least one GPU"):
        place([], 0)
    with pytest.raises(UserError, match="an id of its own, got a"):
        place([Job(id="a", duration_s=1), Job(id="a", duration_s=2)], 1)
    with pytest.raises(UserError, match="a needs a job that is not there, got b"):
        place([Job(id="a", duration_s=1, needs=("b",))], 1)
    with pytest.raises(UserError, match="in a circle, got a, b"):
        place([Job(id="b", duration_s=1, needs=("a",)), Job(id="a", duration_s=1, needs=("b",))], 1)
    with pytest.raises(UserError, match="in a circle"):
        place([Job(id="b", duration_s=1, after=("a",)), Job(id="a", duration_s=1, after=("b",))], 1)
    for duration in (-1.0, float("inf"), float("nan")):
        with pytest.raises(UserError, match="a finite time"):
            place([Job(id="a", duration_s=duration)], 1)


def test_nothing_to_do_takes_no_time() -> None:
    made = place([], 2)
    assert (made.makespan_s, made.floor_s, made.utilisation, made.lanes) == (0, 0, 0, ((), ()))
    assert makespans([Job(id="wide", duration_s=1, gpus=4)], (1, 2, 4))[0].gpus == 4


durations = st.floats(min_value=0, max_value=1e5, allow_subnormal=False)


@st.composite
def job_lists(draw: st.DrawFn) -> list[Job]:
    """Up to 24 jobs that need or come after earlier ones, on 0 to 4 GPUs."""
    jobs: list[Job] = []
    for index in range(draw(st.integers(0, 24))):
        earlier = [job.id for job in jobs]
        some = st.lists(st.sampled_from(earlier), max_size=3).map(tuple) if earlier else st.just(())
        jobs.append(
            Job(
                id=str(index),
                duration_s=draw(durations),
                gpus=draw(st.integers(0, 4)),
                needs=draw(some),
                after=draw(some),
            )
        )
    return jobs


@given(jobs=job_lists(), gpus=st.integers(4, 9))
def test_every_schedule_keeps_the_laws(jobs: list[Job], gpus: int) -> None:
    check(place(jobs, gpus), jobs)


# Distinct lengths: where they tie, a preference may choose another job.
@given(
    lengths=st.lists(durations, min_size=1, max_size=40, unique=True), gpus=st.integers(1, 9), spread=st.integers(1, 4)
)
def test_preferences_cost_nothing(lengths: list[float], gpus: int, spread: int) -> None:
    plain = [Job(id=str(index), duration_s=length) for index, length in enumerate(lengths)]
    asked = [
        Job(id=job.id, duration_s=job.duration_s, after=(str(index // (spread + 1)),) if index else ())
        for index, job in enumerate(plain)
    ]
    made = place(asked, gpus)
    check(made, asked)
    assert made.makespan_s == place(plain, gpus).makespan_s


@given(lengths=st.lists(st.integers(1, 20), min_size=1, max_size=7), gpus=st.integers(2, 3))
def test_longest_first_is_within_a_third_of_the_best(lengths: list[int], gpus: int) -> None:
    best = min(
        max(sum(length for length, lane in zip(lengths, lanes, strict=True) if lane == one) for one in range(gpus))
        for lanes in product(range(gpus), repeat=len(lengths))
    )
    jobs = [Job(id=str(index), duration_s=length) for index, length in enumerate(lengths)]
    made = place(jobs, gpus)
    assert floor_s(jobs, gpus) <= best <= made.makespan_s
    assert made.makespan_s <= best * (4 / 3 - 1 / (3 * gpus)) + 1e-9  # Graham 1969, theorem 2


def test_dependents_are_the_needs_turned_round() -> None:
    jobs = [
        Job(id="a", duration_s=1),
        Job(id="b", duration_s=1, needs=("a", "a")),
        Job(id="c", duration_s=1, needs=("a",)),
    ]
    assert dependents(jobs) == {"a": ("b", "c")}
