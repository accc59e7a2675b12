"""Rows of metrics told as observations: figures by hand, and laws."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.domain.observation import Observation, times_of
from headway.logs import hf_rows, rows
from headway.logs.formats import tfevents
from headway.logs.rows import Row

SAMPLES = Path(__file__).parent / "samples" / "trackers"


def trained(at_s: float | None, step: int, **values: float) -> Row:
    return Row(at_s=at_s, step=step, values={"train/loss": 1.0, **values})


def evaluated(at_s: float | None, step: int, **values: float) -> Row:
    return Row(at_s=at_s, step=step, values={"eval/loss": 1.0, **{f"eval/{name}": v for name, v in values.items()}})


def took(told: tuple[Observation, ...], kind: str) -> list[tuple[int | None, float | None]]:
    return [(item.step, item.seconds) for item in told if item.kind == kind]


def test_an_evaluation_between_two_logged_steps_ends_a_stretch_of_its_own() -> None:
    # 10 steps of 1 s; five more, then 7 s of evaluation, then five more.
    told, _ = rows.told([trained(0, 10), trained(10, 20), evaluated(22, 25, runtime=7.0), trained(27, 30)], [])
    assert took(told, "evaluation") == [(25, 7.0)]
    assert took(told, "step") == [(10, None), (20, 10.0), (25, 5.0), (30, 5.0)]


def test_without_a_runtime_it_has_what_the_usual_steps_leave() -> None:
    told, _ = rows.told([trained(0, 10), trained(10, 20), evaluated(22, 25), trained(27, 30)], [])
    assert took(told, "evaluation") == [(25, 7.0)]
    assert times_of(told)["step"].seconds == pytest.approx(20.0)


def test_a_row_of_both_is_steps_and_then_an_evaluation() -> None:
    both = Row(at_s=33, step=30, values={"train/loss": 0.5, "val/loss": 0.6})
    told, _ = rows.told([trained(0, 10), trained(10, 20), both, trained(43, 40)], [])
    assert took(told, "step") == [(10, None), (20, 10.0), (30, 10.0), (40, 10.0)]
    assert took(told, "evaluation") == [(30, 13.0)]


def test_what_nobody_knows_is_not_guessed() -> None:
    # One interval alone shows no usual step: whose its 12 s were stays open.
    told, _ = rows.told([trained(0, 10), evaluated(12, 20)], [])
    assert took(told, "evaluation") == [(20, None)]


def test_what_came_before_the_first_steps_is_loading() -> None:
    told, _ = rows.told([Row(at_s=1000, begins=True), trained(1060, 10), trained(1070, 20), trained(1080, 30)], [])
    assert took(told, "load") == [(None, 50.0)]
    assert (times_of(told)["step"].seconds, times_of(told)["step"].units) == (30.0, 30)


def test_a_log_that_begins_late_is_of_a_resumed_run() -> None:
    late = [trained(1010.0 + 10 * n, 5010 + 10 * n) for n in range(4)]
    told, _ = rows.told([Row(at_s=1000, begins=True), *late], [])
    assert (times_of(told)["step"].seconds, times_of(told)["step"].units) == (40.0, 40)
    # The first row of a run may come sooner than an interval, and a late evaluation does not make it late.
    told, _ = rows.told([trained(5, 1), trained(50, 10), trained(100, 20), trained(150, 30)], [])
    assert [item.steps for item in told] == [1, 9, 10, 10]


def test_where_every_row_is_of_both_nobody_knows_the_evaluations_time() -> None:
    problems: list[str] = []
    both = [Row(at_s=60.0 * n, step=250 * n, values={"train/loss": 0.5, "val/loss": 0.6}) for n in range(4)]
    told, _ = rows.told(both, problems)
    assert took(told, "evaluation") == [(0, None), (250, None), (500, None), (750, None)]
    assert times_of(told)["step"].seconds == 180.0
    assert any("3 evaluations are told with the steps" in problem for problem in problems)


def test_an_evaluation_alone_says_nothing_of_its_time() -> None:
    told, _ = rows.told([Row(at_s=1000, begins=True), Row(at_s=1069, step=0, values={"test_loss": 0.3})], [])
    assert took(told, "evaluation") == [(0, None)]


def test_the_means_of_an_epoch_are_no_more_steps() -> None:
    again = Row(at_s=10.1, step=20, values={"train_loss_epoch": 1.0})
    told, _ = rows.told([trained(0, 10), trained(10, 20), again, trained(20, 30)], [])
    assert took(told, "step") == [(10, None), (20, 10.0), (30, 10.0)]


def test_a_time_of_one_step_is_taken_for_all_that_a_row_covers() -> None:
    told, _ = rows.told([trained(None, 10, **{"train/step_time": 0.5}), trained(None, 20, step_time_ms=400.0)], [])
    assert took(told, "step") == [(10, 5.0), (20, 4.0)]


def test_a_step_that_goes_back_is_another_attempt_and_said() -> None:
    problems: list[str] = []
    told, _ = rows.told(
        [trained(0, 10), trained(10, 20), trained(20, 30), trained(500, 20), trained(510, 30)], problems
    )
    assert [item.attempt for item in told] == [0, 0, 0, 1, 1]
    assert took(told, "step")[3:] == [(20, None), (30, 10.0)]
    assert any("restarted" in problem for problem in problems)


def test_a_clock_that_jumps_is_said_and_replaced() -> None:
    problems: list[str] = []
    told, _ = rows.told([trained(10.0 * n + (1e6 if n > 5 else 0), 10 * n) for n in range(1, 10)], problems)
    assert times_of(told)["step"].seconds == pytest.approx(80.0)
    assert any("jumped" in problem for problem in problems)


def test_facts_are_told_once() -> None:
    final = Row(
        at_s=40, step=30, values={"train/train_runtime": 35.5, "train/total_flos": 1e12, "train/train_loss": 0.4}
    )
    told, facts = rows.told([trained(0, 10), final], [])
    assert facts == {"train_runtime_s": 35.5, "total_flop": 1e12, "train_loss": 0.4}
    assert took(told, "step") == [(10, None)]


def test_a_trainer_that_counts_no_flop_says_nothing_of_them() -> None:
    """Where it cannot, the Trainer says 0: unknown is not nothing (law 4)."""
    reading = hf_rows.Rows()
    reading.observe({"train_runtime": 35.5, "total_flos": 0.0, "epoch": 1.0})
    assert reading.facts == {"train_runtime_s": 35.5}


def test_settings_by_the_names_of_several_tools() -> None:
    assert rows.facts_of({"per_device_train_batch_size": "4", "num_train_epochs": 3, "max_steps": -1}) == {
        "micro_batch": 4.0,
        "epochs": 3.0,
    }
    assert rows.facts_of({"max_steps": 100, "max_epochs": 3}) == {"total_steps": 100.0}
    assert rows.facts_of({"gpu_type": "NVIDIA A100", "micro_batch_size": "NaN", "world_size": True}) == {
        "device": "NVIDIA A100"
    }


def test_runs_that_continue_each_other_are_one_and_others_are_left_out(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for name, source in (("a", "trainer"), ("b", "resumed"), ("c", "resumed")):
        (runs / name).mkdir(parents=True)
        files = sorted((SAMPLES / "tfevents" / source).iterdir())
        shutil.copy(files[1] if name == "c" else files[0], runs / name)
    log = tfevents.read(runs)
    assert {item.attempt for item in log.observations} == {0, 1}
    assert times_of(log.observations)["step"].units == 65
    assert any("1 earlier run" in problem for problem in log.problems)


moments = st.lists(st.floats(min_value=0.01, max_value=100), min_size=1, max_size=12)


@given(moments, st.integers(min_value=1, max_value=50), st.sets(st.integers(min_value=0, max_value=11)))
def test_steps_and_evaluations_never_take_longer_than_the_run(
    gaps_s: list[float], stride: int, evaluations: set[int]
) -> None:
    at_s, told = 0.0, []
    for number, gap_s in enumerate(gaps_s):
        at_s += gap_s
        told.append(trained(at_s, stride * (number + 1)))
        if number in evaluations:
            at_s += 1.0
            told.append(evaluated(at_s, stride * (number + 1)))
    found, _ = rows.told(told, [])
    times = times_of(found)
    assert sum(timed.seconds for timed in times.values()) <= at_s * (1 + 1e-9)
    assert times["step"].units <= stride * len(gaps_s) if "step" in times else True
    assert [item.step for item in found if item.kind == "step"] == [stride * (n + 1) for n in range(len(gaps_s))]


@given(
    st.lists(
        st.builds(
            Row,
            at_s=st.none() | st.floats(allow_nan=False, allow_infinity=False),
            step=st.none() | st.integers(min_value=-(2**63), max_value=2**63),
            values=st.dictionaries(
                st.sampled_from(["loss", "eval/loss", "eval/runtime", "epoch", "step_time"]), st.floats()
            ),
            begins=st.booleans(),
        ),
        max_size=12,
    )
)
def test_any_rows_are_told(given_rows: list[Row]) -> None:
    found, _ = rows.told(given_rows, [])
    for item in found:
        assert item.seconds is None or item.seconds >= 0
        assert item.at_s is None or not math.isnan(item.at_s)
