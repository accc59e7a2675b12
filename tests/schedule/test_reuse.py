"""Shared beginnings: what is contained in what, and that no hour is counted twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.domain.plan import Stage
from headway.schedule.reuse import Training, contained


def training(
    experiment: str, course: str, steps: int, *, phase: str = "p", alone: bool = True, step_s: float = 1.8
) -> Training:
    stage = Stage(name=experiment, kind="train", course=course)
    return Training(
        experiment=experiment, phase=phase, alone=alone, stage=stage, steps=steps, gpu_s=steps * step_s
    )  # fmt: skip


def hours(parts: object, cooldown: float = 0.0) -> float:
    return sum(one.saved_gpu_s(cooldown) for one in parts) / 3600  # type: ignore[attr-defined]


def test_three_scales_save_the_two_shorter_ones() -> None:
    # 1.8 s a step: 10k + 25k steps are 5 + 12.5 h of 42.5
    parts = contained([training(f"web-{k}k", "web", k * 1000) for k in (10, 25, 50)])
    assert [one.part.experiment for one in parts] == ["web-10k", "web-25k"]
    assert {one.whole.experiment for one in parts} == {"web-50k"}
    assert all(one.nested and one.same is None for one in parts)
    assert hours(parts) == pytest.approx(17.5)
    assert hours(parts, 0.2) == pytest.approx(14.0)


def test_an_exact_repeat_needs_no_cooldown() -> None:
    (part,) = contained([training("a", "web", 100), training("b", "web", 100)])
    assert (part.part.experiment, part.nested) == ("b", False)
    assert part.same is not None
    assert part.same.experiment == "a"
    assert part.saved_gpu_s(0.2) == part.part.gpu_s


def test_a_run_is_kept_before_an_equal_stage_of_a_chain() -> None:
    (part,) = contained([training("chain", "web", 100, alone=False), training("run", "web", 100)])
    assert (part.part.experiment, part.whole.experiment, part.nested) == ("chain", "run", False)


def test_scales_of_different_phases_are_no_nested_scales() -> None:
    (part,) = contained([training("a", "web", 50, phase="3A"), training("b", "web", 100, phase="2C")])
    assert not part.nested


def test_the_second_run_of_a_scale_is_a_repeat() -> None:
    runs = [training("a", "web", 50), training("b", "web", 50), training("c", "web", 100)]
    assert [(one.part.experiment, one.nested) for one in contained(runs)] == [("a", True), ("b", False)]


def test_other_courses_share_nothing() -> None:
    assert contained([training("a", "web", 50), training("b", "news", 100), training("c", "", 5)]) == ()


trainings = st.lists(
    st.builds(
        training,
        st.uuids().map(str),
        st.sampled_from(["web", "news", "code"]),
        st.integers(1, 60),
        phase=st.sampled_from(["2A", "2B"]),
        alone=st.booleans(),
    ),
    max_size=30,
)


@given(trainings)
def test_what_is_left_is_the_longest_of_each_course(runs: list[Training]) -> None:
    longest: dict[str, int] = {}
    for one in runs:
        longest[one.stage.course] = max(one.steps, longest.get(one.stage.course, 0))
    left = sum(one.steps for one in runs) - sum(one.part.steps for one in contained(runs))
    assert left == sum(longest.values())


@given(trainings, st.floats(0, 1))
def test_a_cooldown_costs_at_most_what_is_saved(runs: list[Training], cooldown: float) -> None:
    for one in contained(runs):
        assert 0 <= one.saved_gpu_s(cooldown) <= one.saved_gpu_s() == one.part.gpu_s
        assert one.part.steps <= one.whole.steps
        assert one.part.stage.course == one.whole.stage.course
