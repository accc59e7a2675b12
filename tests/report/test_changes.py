"""What differs between two versions of a plan, by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from headway.app.estimate import answer
from headway.app.inputs import Request
from headway.plan import plan_from_mapping
from headway.report.answer import Answer
from headway.report.changes import Changes, compared
from headway.report.diff_view import diff_page

PLAN: Mapping[str, Any] = {
    "model": "Qwen/Qwen2-0.5B",
    "adapter": {"method": "lora", "rank": 4},
    "data": {"rows": 1000, "length": {"mean": 100, "max": 100}},
    "micro_batch": 8,
    "run": {"machine": {"gpu": "RTX 4090", "price": "$0.50/h"}},
    "experiments": {"a": {"steps": 100}, "b": {"steps": 200}, "c": {"steps": 300}},
}


def answered(**changes: Any) -> Answer:
    plan = {key: value for key, value in {**PLAN, **changes}.items() if value is not None}
    return answer(plan_from_mapping(plan), Request(sensitivity=False, today="2026-11-21"))


def changes(before: Answer, after: Answer) -> Changes:
    return compared("old", "new", before, after, (), ())


def test_nothing_changes_between_a_plan_and_itself() -> None:
    same = changes(answered(), answered())
    assert (same.experiments, same.alike, same.unchanged, same.circumstance) == ((), 0, 3, ())


def test_what_comes_goes_and_changes() -> None:
    found = changes(answered(), answered(experiments={"a": {"steps": 100}, "b": {"steps": 400}, "d": {"steps": 50}}))
    by_id = {change.id: change for change in found.experiments}
    assert {id: change.sign for id, change in by_id.items()} == {"b": "~", "c": "-", "d": "+"}
    assert by_id["b"].what == ("steps 200 → 400",)
    b = by_id["b"]
    assert b.before is not None
    assert b.after is not None
    assert 1.5 < b.after.gpu_s / b.before.gpu_s < 2.05
    assert b.after.cost_usd == pytest.approx(b.after.gpu_s / 3600 * 0.5, rel=0.01)
    assert found.unchanged == 1


def test_a_new_name_for_the_same_run_is_a_new_name() -> None:
    found = changes(
        answered(), answered(experiments={"a": {"steps": 100}, "b": {"steps": 200}, "long": {"steps": 300}})
    )
    assert [(change.sign, change.id, change.what) for change in found.experiments] == [
        ("~", "long", ("renamed from c",))
    ]


def test_what_all_share_is_said_once() -> None:
    found = changes(answered(), answered(adapter={"method": "lora", "rank": 5}))
    assert found.circumstance == ("every changed experiment: adapter.rank 4 → 5",)
    assert all(not change.what for change in found.experiments)
    assert len(found.experiments) + found.alike == 3


def test_another_machine_changes_hours_and_no_experiment() -> None:
    found = changes(answered(), answered(run={"machine": "A100 SXM 80GB"}))
    assert found.circumstance[0] == "machine 1 × RTX 4090 → 1 × A100 SXM 80GB"
    assert {change.sign for change in found.experiments} == {"~"}
    assert all(not change.what for change in found.experiments)


def test_what_stops_to_fit_is_named() -> None:
    big = {"model": "Qwen/Qwen2-7B", "adapter": None}
    found = changes(answered(), answered(**big))
    shown = str(diff_page(found).view())
    assert "fits no more" in shown
    assert "c, b, a" in shown  # the largest change of time first


def test_totals_of_the_document_are_sums_of_its_changes() -> None:
    document = diff_page(changes(answered(), answered(experiments={"a": {"steps": 900}}))).document()
    assert document["schema"] == "headway.diff/1"
    before, after = document["totals"]["before"]["gpu_hours"]["p50"], document["totals"]["after"]["gpu_hours"]["p50"]
    moved = sum(
        (change["after"] or {"gpu_hours": 0})["gpu_hours"] - (change["before"] or {"gpu_hours": 0})["gpu_hours"]
        for change in document["experiments"]
    )
    assert after - before == pytest.approx(moved, abs=0.02 * after)  # medians of sums are not sums of medians
