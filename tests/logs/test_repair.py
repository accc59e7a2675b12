"""The laws that every log is brought under: one clock, attempts, and time that is told once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headway.domain.observation import Observation, times_of
from headway.logs.repair import Course, settled


def step(at_s: float | None, number: int, **more: float) -> Observation:
    return Observation(kind="step", at_s=at_s, step=number, **more)  # type: ignore[arg-type]


def steps(*pairs: tuple[float, int]) -> tuple[list[str], tuple[Observation, ...]]:
    problems: list[str] = []
    return problems, settled([Observation(kind="begin", at_s=100.0), *(step(at, n) for at, n in pairs)], problems)


def test_seconds_are_those_since_the_moment_before() -> None:
    problems, seen = steps((110.0, 5), (120.0, 10), (131.0, 15))
    assert [(item.at_s, item.seconds, item.steps) for item in seen[1:]] == [(10, 10, 5), (20, 10, 5), (31, 11, 5)]
    assert not problems


def test_what_was_timed_between_two_steps_is_not_training() -> None:
    said = [step(0.0, 1), Observation(kind="evaluation", seconds=4.0), step(6.0, 2)]
    said += [Observation(kind="evaluation", at_s=11.0, seconds=3.0), step(12.0, 3)]
    seen = settled(said, [])
    # 6 - 4, and 6 - 3: the steps before an evaluation that ends later are training too.
    assert [item.seconds for item in seen if item.kind == "step"] == [None, 2.0, 3.0]


def test_a_step_that_goes_back_begins_an_attempt_and_its_time_is_kept() -> None:
    problems, seen = steps((101.0, 1), (102.0, 2), (103.0, 3), (500.0, 2), (501.0, 3), (502.0, 4))
    assert [item.attempt for item in seen] == [0, 0, 0, 0, 1, 1, 1]
    assert problems == ["restarted: after step 3 comes step 2; 2 steps were done twice"]
    # The first step of an attempt has no moment before it.
    assert times_of(seen)["step"].seconds == 5
    assert max(item.step or 0 for item in seen) == 4


def test_a_clock_that_begins_anew_goes_on_after_the_last_attempt() -> None:
    said = [Observation(kind="begin", at_s=0.0), step(10.0, 1), step(20.0, 2)]
    seen = settled([*said, Observation(kind="begin", at_s=0.0), step(10.0, 3), step(20.0, 4)], [])
    assert [item.at_s for item in seen] == [0, 10, 20, 20, 30, 40]
    assert [item.attempt for item in seen] == [0, 0, 0, 1, 1, 1]
    assert times_of(seen)["step"].seconds == 40
    assert times_of(seen)["step"].units == 4


def test_a_clock_that_goes_back_is_said_and_replaced() -> None:
    problems, seen = steps((102.0, 1), (104.0, 2), (106.0, 3), (-3_494.0, 4), (-3_492.0, 5))
    assert [item.at_s for item in seen[1:]] == [2, 4, 6, 8, 10]
    assert problems == ["the clock went back by 3,600 s at step 4: replaced by the usual 2 s"]


def test_a_clock_that_jumps_ahead_is_said_and_replaced() -> None:
    problems, seen = steps((102.0, 1), (104.0, 2), (106.0, 3), (86_506.0, 4), (86_508.0, 5))
    assert [item.at_s for item in seen[1:]] == [2, 4, 6, 8, 10]
    assert problems[0].startswith("the clock jumped by 86,400 s at step 4: replaced by the usual 2 s (")
    assert len(problems) == 1


def test_a_long_evaluation_is_no_jump() -> None:
    problems: list[str] = []
    said = [step(float(n), n) for n in range(5)]
    said += [Observation(kind="evaluation", at_s=1_004.0, seconds=1_000.0), step(1_005.0, 5)]
    seen = settled(said, problems)
    assert not problems
    assert seen[-1].seconds == 1.0


def test_two_ranks_have_each_their_own_course() -> None:
    course = Course()
    said = [Observation(kind="step", at_s=float(n), step=n, rank=rank) for n in (1, 2, 3) for rank in (0, 1)]
    seen = [course.take(item) for item in said]
    assert not course.problems
    assert [item.seconds for item in seen if item.rank == 1] == [None, 1.0, 1.0]


def test_a_step_said_twice_counts_once() -> None:
    _, seen = steps((101.0, 1), (101.0, 1), (102.0, 2))
    assert times_of(seen)["step"].units == 2
    assert times_of(seen)["step"].seconds == 2


@given(
    st.lists(
        st.builds(
            Observation,
            kind=st.sampled_from(["begin", "step", "evaluation", "checkpoint", "end"]),
            at_s=st.none() | st.floats(-1e9, 1e9),
            seconds=st.none() | st.floats(0, 1e6),
            step=st.none() | st.integers(0, 1_000),
            rank=st.integers(0, 1),
        ),
        max_size=30,
    )
)
def test_no_order_of_events_makes_time_run_backwards(said: list[Observation]) -> None:
    problems: list[str] = []
    seen = settled(said, problems)
    assert len(seen) == len(said)
    for rank in (0, 1):
        last: dict[int, float] = {}
        for item in (item for item in seen if item.rank == rank):
            assert item.seconds is None or item.seconds >= 0
            if item.at_s is not None:
                assert item.at_s >= last.get(item.attempt, item.at_s) - 1e-6
                last[item.attempt] = item.at_s


@given(st.lists(st.floats(0.01, 50.0), min_size=1, max_size=40), st.integers(1, 20))
def test_the_steps_of_an_undisturbed_run_take_all_its_time(gaps: list[float], stride: int) -> None:
    at_s, said = 0.0, [Observation(kind="begin", at_s=0.0)]
    for index, gap in enumerate(gaps, start=1):
        at_s += gap
        said.append(step(at_s, stride * index))
    times = times_of(settled(said, []))["step"]
    assert abs(times.seconds - at_s) < 1e-6 * at_s + 1e-9
    assert times.units == stride * len(gaps)


def test_a_time_of_one_step_that_the_moments_deny_is_not_believed() -> None:
    course = Course()
    said = [(0.0, 10, 1.0), (10.0, 20, 1.0), (20.0, 30, 5.0), (21.0, 40, 1.0)]
    seen = [course.take(step(at_s, number), each_s=each_s) for at_s, number, each_s in said]
    # The last line came a second after the one before it, as lines do that were kept back: it says nothing.
    assert [item.seconds for item in seen] == [10.0, 10.0, 10.0, 10.0]
    assert len(course.problems) == 1
    assert "the moments are believed" in course.problems[0]
