"""What is left of a run that tells of epochs alone."""

from __future__ import annotations

import pytest

from headway.domain.observation import Observation
from headway.track.remaining import Course, Left, Remaining
from headway.track.status import status_line


def epoch(done: int, seconds: float | None, of: int | None = None) -> Observation:
    return Observation(kind="epoch", epoch=float(done), seconds=seconds, values={"epochs": float(of)} if of else {})


def fed(course: Course, *items: Observation) -> Left:
    remaining = Remaining(course)
    for item in items:
        remaining.feed(item)
    return remaining.left()


def test_epochs_to_come_at_the_pace_of_those_after_the_first() -> None:
    """The first took 90 s with its compilation, the others 60: 26 of 30 are left."""
    left = fed(Course(), epoch(1, 90.0, of=30), *(epoch(done, 60.0, of=30) for done in (2, 3, 4)))
    assert (left.epoch, left.total_epochs, left.elapsed_s) == (4, 30, 270.0)
    assert left.p50_s == pytest.approx(26 * 60.0)
    assert left.p90_s is not None and left.p90_s > 26 * 60.0


def test_a_lone_first_epoch_counts_until_there_is_a_second() -> None:
    assert fed(Course(), epoch(1, 90.0, of=3)).p50_s == pytest.approx(180.0)


def test_epochs_that_are_meant_come_before_what_the_log_says() -> None:
    assert fed(Course(total_epochs=10), epoch(1, None), epoch(2, 5.0, of=100)).p50_s == pytest.approx(40.0)


def test_without_their_number_or_a_time_nothing_is_said() -> None:
    assert fed(Course(), epoch(1, 5.0), epoch(2, 5.0)).p50_s is None
    assert fed(Course(total_epochs=10), epoch(1, None), epoch(2, None)).p50_s is None


def test_after_the_last_nothing_is_left() -> None:
    left = fed(Course(), epoch(1, 5.0, of=2), epoch(2, 5.0, of=2))
    assert (left.p50_s, left.parts) == (0.0, ())


def test_where_steps_are_told_of_they_count() -> None:
    steps = [Observation(kind="step", step=n, steps=1, seconds=1.0) for n in (1, 2)]
    left = fed(Course(total_steps=10), epoch(1, 50.0, of=3), *steps)
    assert left.epoch is None
    assert left.p50_s == pytest.approx(8.0)


def test_another_training_has_a_pace_of_its_own() -> None:
    left = fed(Course(), *(epoch(k, 60.0, of=3) for k in (1, 2, 3)), epoch(0, None, of=3), epoch(1, 10.0, of=3))
    assert left.p50_s == pytest.approx(20.0)


def test_epochs_before_a_resume_are_done_and_have_no_pace() -> None:
    left = fed(Course(), epoch(144, None, of=150), epoch(145, 50.0, of=150), epoch(146, 50.0, of=150))
    assert left.p50_s == pytest.approx(200.0)


def test_the_line_counts_epochs() -> None:
    left = fed(Course(), *(epoch(done, 60.0, of=30) for done in range(1, 7)))
    assert status_line(left, bar=False) == "20% 6/30 epochs [06:00<24:00 (p90 24:22), 60 s/epoch]"
    assert status_line(fed(Course(), epoch(2, None)), bar=False) == "2 epochs [00:00<?]"
