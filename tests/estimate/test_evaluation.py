"""What a task costs: by its own rows and shots, whatever else the plan holds."""

from __future__ import annotations

from typing import Any

import pytest

from headway.app.load import Project
from headway.plan import plan_from_mapping

from .made import SMALL, estimated, plan, stage

TASKS: dict[str, Any] = {
    "data": None,
    "datasets": {
        "own": {"rows": 25_000, "length": 100},
        "other": {"rows": 1000, "length": 100},
        "both": {"mix": {"own": "50%", "other": "50%"}},
    },
    "tasks": {"own": {}},
    "steps": 100,
    "phases": {
        "base": {"matrix": {"evaluate": ["own"]}},
        "mixed": {"data": "both"},
        "plain": {"data": "other", "evaluate": "own"},
    },
    "options": {"less": {"keep": ["base", "plain"]}},
}


def test_a_task_costs_the_same_in_a_subset() -> None:
    """`own` is trained on in a mixture: its rows are those of the training split, where that run is dropped too."""
    made = Project(plan_from_mapping({key: value for key, value in {**SMALL, **TASKS}.items() if value is not None}))
    whole, less = (made.estimate(subset=subset, today="2026-11-21").answer for subset in ("", "less"))
    found = {item.id: item.wall_s.p50 for item in whole.estimate.experiments}
    kept = {item.id: item.wall_s.p50 for item in less.estimate.experiments}
    assert 0 < len(kept) < len(found)
    assert kept == pytest.approx({id_: found[id_] for id_ in kept})
    assert "own" in made.plan.trained_on


def test_shots_count_where_all_else_is_alike() -> None:
    """Two stages of one plan that differ in nothing but the shots of their evaluation."""
    tasks = {"data": None, "datasets": {"d": SMALL["data"]}, "tasks": {"d": {}}, "steps": 10}
    few, many = estimated(
        plan(
            **tasks,
            phases={
                id_: {"data": "d", "evaluate": {"tasks": "d", "shots": shots}}
                for id_, shots in (("few", 0), ("many", 5))
            },
        )
    ).experiments
    assert many.stages[0].terms_s["evaluation"].p50 > few.stages[0].terms_s["evaluation"].p50


def test_an_assumed_utilisation_on_a_device_without_fp32() -> None:
    """Vendors print no fp32 figure for TPUs."""
    half, whole = (
        stage(run={"machine": "TPU v4"}, steps=10, assume={"mfu": mfu}).terms_s["step"].p50 for mfu in ("20%", "40%")
    )
    assert half == pytest.approx(2 * whole, rel=1e-6)
