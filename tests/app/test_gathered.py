"""Short steps on their way into a journal: few events, the same sums, nothing out of order."""

from __future__ import annotations

import pytest

from headway.app.gathered import Gathered
from headway.domain.observation import Observation, times_of


def step(number: int, at_s: float, seconds: float = 0.01) -> Observation:
    return Observation(kind="step", at_s=at_s, seconds=seconds, step=number, steps=1, values={"loss": 1.0 / number})


def test_short_steps_are_one_event_and_the_first_are_their_own() -> None:
    written: list[Observation] = []
    events = Gathered(written.append)
    for number in range(1, 1001):
        events.take(step(number, number / 100))
    events.flush()
    assert 15 <= len(written) <= 30
    assert [item.step for item in written[:3]] == [1, 2, 3]
    assert (written[-1].step, written[-1].values) == (1000, {"loss": 0.001})
    assert times_of(written)["step"].units == 1000
    assert times_of(written)["step"].seconds == pytest.approx(10.0)


def test_long_steps_do_not_wait() -> None:
    written: list[Observation] = []
    events = Gathered(written.append)
    items = [step(number, 60.0 * number, 60.0) for number in range(1, 10)]
    for item in items:
        events.take(item)
    assert written == items


def test_what_is_no_step_ends_what_was_gathered() -> None:
    """So do steps of another attempt; figures of a step go with it."""
    written: list[Observation] = []
    events = Gathered(written.append)
    for number in range(1, 6):
        events.take(step(number, number / 100))
    events.take(Observation(kind="step", at_s=0.051, step=5, steps=0, values={"grad_norm": 2.0}))
    events.take(Observation(kind="evaluation", at_s=0.3, seconds=0.2, step=5))
    events.take(step(6, 0.31))
    events.take(Observation(kind="step", at_s=0.32, seconds=0.01, step=1, steps=1, attempt=1))
    events.flush()
    assert [(item.kind, item.step, item.steps) for item in written[3:]] == [
        ("step", 5, 2), ("evaluation", 5, None), ("step", 6, 1), ("step", 1, 1)
    ]  # fmt: skip
    assert (written[3].at_s, dict(written[3].values)) == (0.051, {"loss": 0.2, "grad_norm": 2.0})


def test_nothing_waits_for_a_step_that_takes_long() -> None:
    written: list[Observation] = []
    events = Gathered(written.append)
    for number in range(1, 5):
        events.take(step(number, number / 100))
    events.let_go(0.4)
    assert len(written) == 3
    events.let_go(1.0)
    assert written[3].step == 4
