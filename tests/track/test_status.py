"""The line of a run, and when it is due."""

from __future__ import annotations

import pytest

from headway.domain.observation import Observation
from headway.track.remaining import Course, Remaining
from headway.track.status import Due, clock, status_line


@pytest.mark.parametrize(("seconds", "text"), [(0, "00:00"), (405, "06:45"), (3723, "1:02:03"), (360000, "100:00:00")])
def test_clocks_look_as_in_progress_bars(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def remaining(steps: int, **course: float) -> Remaining:
    found = Remaining(Course(total_steps=3232, **course))
    for number in range(1, steps + 1):
        found.feed(Observation(kind="step", step=number, steps=1, seconds=0.5))
    return found


def test_the_line_has_the_shape_of_a_progress_bar_with_p90_and_money() -> None:
    """807 steps of 0.5 s: 06:44 done, 2,425 steps or 20:12 to come, p90 1.5 % above it."""
    line = status_line(remaining(807, usd_per_hour=3.6).left())
    assert line == "25%|██      | 807/3,232 [06:44<20:12 (p90 20:31), 500 ms/step, $0.40 of $1.62]"


def test_what_is_not_known_is_said() -> None:
    assert status_line(Remaining(Course()).left()) == "0 steps [00:00<?]"
    line = status_line(remaining(2, evaluate_every=100).left(), bar=False)
    assert line.endswith("+ evaluation, not seen yet, 500 ms/step]")


def test_a_run_that_will_end_beyond_the_estimates_p90_says_so() -> None:
    left = remaining(807).left()
    assert "beyond" not in status_line(left, promise_p90_s=1700.0)
    assert status_line(left, promise_p90_s=1500.0).endswith("] 116 s beyond the estimate's p90")


def test_a_terminal_gets_a_line_a_second_and_a_file_fewer_and_fewer() -> None:
    live, file = Due(live=True), Due(live=False)
    moments = [index / 10 for index in range(36_000)]
    assert sum(live.at(moment) for moment in moments) == 3599  # the first after a second, the hour's last not reached
    said = [moment for moment in moments if file.at(moment)]
    # gaps of 10 s, and 1.5 times the one before up to 10 min; seen at the next tenth of a second
    assert said == pytest.approx([10, 25, 47.5, 81.3, 131.9, 207.9, 321.8, 492.7, 749.1, 1133.7, 1710.3, 2310.3,
                                  2910.3, 3510.3], abs=0.5)  # fmt: skip
