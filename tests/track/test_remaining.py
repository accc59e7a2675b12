"""What is left of a run: by hand, and exact where every phase has one rate."""

from __future__ import annotations

import math
import random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.domain.observation import Observation
from headway.domain.units import Range
from headway.track.remaining import Course, Left, Remaining


def step(number: int, seconds: float, *, steps: int = 1, tokens: float | None = None, wait_s: float | None = None,
         attempt: int = 0) -> Observation:  # fmt: skip
    return Observation(kind="step", step=number, steps=steps, seconds=seconds, tokens=tokens, wait_s=wait_s,
                       attempt=attempt)  # fmt: skip


def fed(course: Course, *items: Observation) -> Left:
    remaining = Remaining(course)
    for item in items:
        remaining.feed(item)
    return remaining.left()


def test_nothing_is_known_before_the_first_step() -> None:
    left = fed(Course(total_steps=100), Observation(kind="begin"))
    assert left.p50_s is None
    assert left.unknown == ("step",)


def test_the_promise_stands_in_before_the_first_steps() -> None:
    course = Course(total_steps=100, promised={"step": Range(1.0, 2.0, 3.0)})
    assert fed(course).p50_s == 200.0
    assert fed(course, step(1, 9.0)).p50_s == 99 * 2.0


def test_the_first_step_is_time_and_no_rate() -> None:
    """100 steps, the first of 30 s with compilation, the others of 2 s: after 3 of them 97 x 2 s."""
    left = fed(Course(total_steps=100), step(1, 30.0), step(2, 2.0), step(3, 2.0))
    assert left.p50_s == pytest.approx(194.0)
    assert left.elapsed_s == 34.0


def test_a_lone_first_step_counts_until_there_is_a_second() -> None:
    left = fed(Course(total_steps=10), step(1, 4.0))
    assert left.p50_s == pytest.approx(36.0)
    assert left.p90_s is not None and left.p90_s > 36.0


def test_phases_each_at_their_own_rate() -> None:
    """20 steps of 1 s + 0.5 s of waiting, an evaluation of 10 s every 5, a save of 3 s every 10, a final one of 4 s.

    After step 10 with its evaluation and save: 10 steps, evaluations at 15 and 20, a save at 20, the final one.
    """
    items: list[Observation] = []
    for number in range(1, 11):
        items.append(step(number, 1.5, wait_s=0.5))
        if number % 5 == 0:
            items.append(Observation(kind="evaluation", seconds=10.0, step=number))
    items.append(Observation(kind="checkpoint", seconds=3.0, step=10))
    course = Course(total_steps=20, evaluate_every=5, save_every=10, final_saves=1,
                    promised={"final_save": Range.point(3.0)})  # fmt: skip
    left = fed(course, *items)
    assert {part.term: part.p50_s for part in left.parts} == pytest.approx(
        {"step": 10.0, "data_wait": 5.0, "evaluation": 20.0, "checkpoint": 3.0, "final_save": 3.0}
    )
    assert left.p50_s == pytest.approx(41.0)


def test_the_round_that_is_due_right_now_is_still_to_come() -> None:
    left = fed(Course(total_steps=10, evaluate_every=5), *(step(number, 1.0) for number in range(1, 6)))
    assert next(part for part in left.parts if part.term == "evaluation").units == 2


def test_an_evaluation_that_was_never_seen_is_unknown_and_said() -> None:
    left = fed(Course(total_steps=10, evaluate_every=5), step(1, 1.0), step(2, 1.0))
    assert left.unknown == ("evaluation",)
    assert left.p50_s == pytest.approx(8.0)


def test_the_rhythm_of_evaluations_is_learnt() -> None:
    """Seen at 4 and 8 of 20: three are to come, at 12, 16 and 20."""
    items = [*(step(number, 1.0) for number in range(1, 5)), Observation(kind="evaluation", seconds=6.0, step=4)]
    items += [*(step(number, 1.0) for number in range(5, 9)), Observation(kind="evaluation", seconds=6.0, step=8)]
    left = fed(Course(total_steps=20), *items)
    part = next(part for part in left.parts if part.term == "evaluation")
    assert (part.units, part.p50_s) == (3, 18.0)


@pytest.mark.parametrize(
    ("rounds", "now", "units"),
    [
        ([1], 40, None),  # mlx_lm evaluates at step 1, and then every 200: how often, nobody knows yet
        ([1, 200], 210, 4),  # each 199: 398, 597, 796, 995
        ([100], 140, 9),  # each 100
        ([100], 400, 2),  # none came at 200 and 300, so they are 300 apart or more: 600, 900
        ([100, 200], 640, 1),  # the same: 440 apart, 880
    ],
)
def test_a_round_that_did_not_come_when_it_was_due_is_further_off(
    rounds: list[int], now: int, units: int | None
) -> None:
    items = [step(number, 1.0) for number in range(1, now + 1)]
    for at in reversed(rounds):
        items.insert(at, Observation(kind="evaluation", seconds=6.0, step=at))
    parts = [part for part in fed(Course(total_steps=1000), *items).parts if part.term == "evaluation"]
    assert [part.units for part in parts] == ([] if units is None else [units])


def test_several_data_sets_at_one_step_are_one_round() -> None:
    items = [step(1, 1.0), step(2, 1.0), *(Observation(kind="evaluation", seconds=5.0, step=2) for _ in range(3))]
    left = fed(Course(total_steps=4, evaluate_every=2), *items)
    assert next(part for part in left.parts if part.term == "evaluation").p50_s == 15.0


def test_accumulated_micro_batches_are_one_step() -> None:
    """The stream says optimizer steps: 8 micro-batches of 0.25 s are a step of 2 s."""
    left = fed(Course(total_steps=50), *(step(number, 2.0) for number in range(1, 11)))
    assert left.p50_s == pytest.approx(80.0)


def test_longer_rows_ahead_take_longer() -> None:
    """0.2 s + 1 ms a token, seen at 100 to 400 tokens; the steps to come have 1,000."""
    tokens = [100, 100, 200, 300, 400, 200, 100]
    items = [step(number, 0.2 + 0.001 * count, tokens=count) for number, count in enumerate(tokens, start=1)]
    left = fed(Course(total_steps=17, tokens_per_step=1000.0), *items)
    assert left.p50_s == pytest.approx(10 * 1.2)


def test_an_earlier_attempts_steps_are_done_and_not_fast() -> None:
    """Steps 1 to 50 at 10 s; resumed at 50, each takes 2 s: 48 are left after step 52."""
    items = [step(number, 10.0) for number in range(1, 51)]
    items += [Observation(kind="begin", attempt=1, step=50)]
    items += [step(number, seconds, attempt=1) for number, seconds in ((51, 8.0), (52, 2.0))]
    left = fed(Course(total_steps=100), *items)
    assert left.p50_s == pytest.approx(48 * 2.0)


def test_a_resumed_run_knows_no_rate_of_what_it_did_not_do() -> None:
    """Resumed at step 900 of 1,000: two steps of 3 s, the first slow."""
    left = fed(Course(total_steps=1000), step(901, 9.0), step(902, 3.0))
    assert left.p50_s == pytest.approx(98 * 3.0)


def test_steps_that_go_back_are_a_restart() -> None:
    items = [step(number, 1.0) for number in range(1, 21)] + [step(11, 5.0), step(12, 4.0)]
    left = fed(Course(total_steps=20), *items)
    assert (left.step, left.p50_s) == (12, pytest.approx(32.0))


def test_a_new_pace_counts_from_where_it_began() -> None:
    items = [step(number, 1.0) for number in range(1, 31)] + [step(number, 2.0) for number in range(31, 41)]
    assert fed(Course(total_steps=140), *items).p50_s == pytest.approx(200.0)


def test_money_so_far_and_at_the_end() -> None:
    left = fed(Course(total_steps=4, usd_per_hour=3600.0), *(step(number, 2.0) for number in (1, 2)))
    assert (left.spent_usd, left.total_usd) == (4.0, 8.0)


def test_a_sample_of_the_machine_is_no_progress() -> None:
    items = [Observation(kind="step", at_s=2.0 * n, seconds=2.0, step=n, steps=1) for n in (1, 2)]
    left = fed(Course(total_steps=4), *items, Observation(kind="device", at_s=9.0, values={"temperature_c": 60.0}))
    assert (left.elapsed_s, left.p50_s) == (4.0, pytest.approx(4.0))


def test_the_end_leaves_nothing() -> None:
    left = fed(Course(total_steps=9), step(1, 1.0), step(2, 1.0), Observation(kind="end"))
    assert (left.p50_s, left.p90_s, left.parts) == (0.0, 0.0, ())


def test_without_a_number_of_steps_there_is_no_forecast() -> None:
    assert fed(Course(), step(1, 1.0), step(2, 1.0)).p50_s is None


@given(
    each_s=st.floats(1e-3, 1e3), wait=st.floats(0.0, 0.9), evaluation_s=st.floats(0.01, 1e4),
    save_s=st.floats(0.01, 1e3), every=st.integers(2, 40), save_every=st.integers(2, 40), rest=st.integers(1, 400),
    covered=st.integers(1, 3),
)  # fmt: skip
def test_at_constant_rates_it_is_exact_after_two_units_of_each_phase(
    each_s: float, wait: float, evaluation_s: float, save_s: float, every: int, save_every: int, rest: int, covered: int
) -> None:
    seen = 2 * max(every, save_every) * covered
    total = seen + rest
    remaining = Remaining(Course(total_steps=total, evaluate_every=every * covered, save_every=save_every * covered))

    def rounds(at: int) -> list[Observation]:
        due = [("evaluation", evaluation_s, every), ("checkpoint", save_s, save_every)]
        return [Observation(kind=kind, seconds=took, step=at) for kind, took, gap in due if at % (gap * covered) == 0]

    for number in range(covered, seen + 1, covered):
        items = [step(number, each_s * covered, steps=covered, wait_s=each_s * covered * wait), *rounds(number)]
        for item in items:
            remaining.feed(item)
    left_s = rest * each_s
    left_s += evaluation_s * (total // (every * covered) - seen // (every * covered))
    left_s += save_s * (total // (save_every * covered) - seen // (save_every * covered))
    found = remaining.left()
    assert found.p50_s == pytest.approx(left_s, rel=1e-6)
    assert found.p90_s is not None and found.p90_s >= left_s * (1 - 1e-6)


@given(factor=st.floats(1e-3, 1e3), seconds=st.lists(st.floats(0.5, 2.0), min_size=3, max_size=60))
def test_a_slower_clock_scales_everything(factor: float, seconds: list[float]) -> None:
    one = fed(Course(total_steps=200), *(step(n, s) for n, s in enumerate(seconds, start=1)))
    two = fed(Course(total_steps=200), *(step(n, s * factor) for n, s in enumerate(seconds, start=1)))
    assert one.p50_s is not None and two.p50_s is not None and one.p90_s is not None and two.p90_s is not None
    assert math.isclose(two.p50_s, one.p50_s * factor, rel_tol=1e-6)
    assert math.isclose(two.p90_s, one.p90_s * factor, rel_tol=1e-6)


def test_a_round_inside_the_body_of_its_step_is_done() -> None:
    """`headway.track` counts a step when its body is over: the evaluation after step 200 is told of at 199."""
    items = [step(1, 1.0), step(2, 1.0), step(199, 197.0, steps=197)]
    evaluation = Observation(kind="evaluation", step=199, seconds=9.0)
    left = fed(Course(total_steps=400, evaluate_every=200), *items, evaluation, step(200, 1.0))
    assert [part.units for part in left.parts if part.term == "evaluation"] == [1]


@pytest.mark.parametrize(
    ("total", "at_end", "rounds"),
    [(110, ("evaluation", "checkpoint"), (6, 6)), (110, ("checkpoint",), (5, 6)), (110, (), (5, 5)),
     (100, ("evaluation", "checkpoint"), (5, 5))],
)  # fmt: skip
def test_a_round_may_follow_the_last_step(total: int, at_end: tuple[str, ...], rounds: tuple[int, int]) -> None:
    course = Course(total_steps=total, evaluate_every=20, save_every=20, round_at_end=at_end)
    units = {part.term: part.units for part in fed(course, step(1, 1.0), step(2, 1.0)).parts}
    assert (units["evaluation"], units["checkpoint"]) == rounds


def test_a_run_that_goes_on_after_its_end_has_steps_to_do() -> None:
    course = Remaining(Course(total_steps=6))
    for item in (step(1, 1.0), step(2, 1.0), step(3, 1.0), Observation(kind="end", at_s=3.0)):
        course.feed(item)
    assert (course.ended, course.left().p50_s) == (True, 0.0)
    course.feed(step(4, 1.0))
    assert (course.ended, course.left().p50_s) == (False, pytest.approx(2.0))


@pytest.mark.parametrize(
    ("items", "done"),
    [
        ([step(901, 3.0), step(1000, 300.0, steps=99)], 100),
        ([step(10, 30.0, steps=10), step(20, 30.0)], 20),
        ([step(1, 1.0), step(100, 99.0, steps=99), step(51, 1.0), step(60, 9.0, steps=9)], 60),
        ([], 0),
    ],
    ids=["resumed", "from the beginning", "went back", "nothing"],
)
def test_steps_of_an_earlier_process_are_not_its_own(items: list[Observation], done: int) -> None:
    course = Remaining(Course(total_steps=1000))
    for item in items:
        course.feed(item)
    assert course.done == done


@pytest.mark.parametrize("spread", [0.05, 0.2])
def test_five_noisy_steps_are_no_trend(spread: float) -> None:
    """Mean error of 200 runs from 6 of 100 steps that vary at random, beside linear extrapolation."""
    ours, linear = [], []
    for seed in range(200):
        made = random.Random(seed)
        seconds = [max(0.1, made.gauss(1.0, spread)) for _ in range(100)]
        left = fed(Course(total_steps=100), *(step(n + 1, one) for n, one in enumerate(seconds[:6])))
        assert left.p50_s is not None
        ours.append(abs((left.elapsed_s + left.p50_s) / sum(seconds) - 1.0))
        linear.append(abs(sum(seconds[:6]) / 6 * 100 / sum(seconds) - 1.0))
    assert fmean(ours) < 1.6 * fmean(linear)


def test_p90_doubts_the_rows_to_come() -> None:
    """Time follows tokens exactly; which rows come is chance: the end is before p90 in about 9 of 10 runs."""
    held = 0
    for seed in range(100):
        made = random.Random(seed)
        tokens = [made.choice((64, 128, 256, 512, 1024)) for _ in range(400)]
        items = [step(n + 1, 0.01 + one * 2e-4, tokens=one) for n, one in enumerate(tokens[:80])]
        p90_s = fed(Course(total_steps=400), *items).p90_s
        assert p90_s is not None
        held += sum(0.01 + one * 2e-4 for one in tokens[80:]) <= p90_s
    assert 82 <= held <= 98


def test_steps_that_were_told_at_once_tell_no_pace() -> None:
    remaining = Remaining(Course(total_steps=100))
    for step in range(1, 9):
        remaining.feed(Observation(kind="step", at_s=5.0, seconds=0.0, step=step, steps=1))
    left = remaining.left()
    assert (left.p50_s, left.unknown) == (None, ("step",))
