"""Experiments side by side, sessions, saves by the clock, validation passes."""

from __future__ import annotations

from typing import Any

import pytest

from headway.app.load import Project
from headway.plan import plan_from_mapping
from headway.report.answer import Answer

PLAN: dict[str, Any] = {
    "headway": 1,
    "model": "Qwen/Qwen2-0.5B",
    "adapter": {"method": "lora", "rank": 4},
    "data": {"rows": 1000, "length": 100},
    "max_length": 128,
    "stated": {"step": "1 s"},
    "matrix": {"steps": [3600, 7200, 10800]},
}


def answer(rates: str = "stated", **changes: Any) -> Answer:
    merged = {key: value for key, value in {**PLAN, **changes}.items() if value is not None}
    return Project(plan_from_mapping(merged)).estimate(rates=rates, today="2026-11-21").answer  # type: ignore[arg-type]


def node(**run: Any) -> dict[str, Any]:
    return {"machine": {"gpu": "RTX 4090", "gpus": 4, "price": "$4/h"}, **run}


def test_one_at_a_time_unless_the_plan_says_more() -> None:
    """1, 2 and 3 h: 6 h in a row, 3 h on two GPUs (1 + 2 beside 3)."""
    serial, pair = answer(run=node()), answer(run=node(jobs=2))
    assert serial.estimate.wall_s.p50 / 3600 == pytest.approx(6)
    assert pair.estimate.wall_s.p50 / 3600 == pytest.approx(3)
    assert pair.estimate.gpu_s.p50 == serial.estimate.gpu_s.p50
    assert pair.calendar.days.p50 == pytest.approx(3 / 24)


def test_a_rented_machine_is_billed_for_the_shorter_time() -> None:
    serial, pair = (answer(run=node(jobs=jobs)).machines[0].bill for jobs in (1, 2))
    assert serial is not None
    assert pair is not None
    assert serial.total_usd is not None
    assert pair.total_usd is not None
    assert (serial.total_usd.p50, pair.total_usd.p50) == (pytest.approx(24), pytest.approx(12))
    assert pair.used_gpu_s.p50 == pytest.approx(serial.used_gpu_s.p50)


def test_no_more_jobs_than_gpus() -> None:
    assert answer(run=node(jobs=99)).estimate.wall_s.p50 / 3600 == pytest.approx(3)
    alone = {"machine": {"gpu": "RTX 4090", "gpus": 1, "price": "$1/h"}, "jobs": 3}
    assert answer(run=alone).estimate.wall_s.p50 / 3600 == pytest.approx(6)


def test_what_outlasts_a_session_must_resume() -> None:
    found = answer(run=node(session="150 min")).calendar
    assert found.session_s == 9000
    assert len(found.needs_resume) == 1


def test_saves_by_the_clock_are_counted_from_the_training_time() -> None:
    found = answer(matrix=None, steps=3600, save={"every": "10 min", "keep": 2}, run=node())
    saves = found.estimate.experiments[0].stages[0].saves
    assert saves is not None
    assert (saves.during, saves.kept) == (6, 2)


def test_validation_takes_rows_from_training_and_time_of_its_own() -> None:
    whole = answer("predicted", matrix=None, epochs=2, run=node()).estimate
    held = answer("predicted", matrix=None, epochs=2, validation="10%", run=node()).estimate
    assert held.experiments[0].steps < whole.experiments[0].steps
    assert "evaluation" not in whole.terms_s
    assert held.terms_s["evaluation"].p50 > 0
    assert held.terms_s["evaluation"].p50 < held.terms_s["step"].p50 / 3


def test_every_machine_is_billed_for_as_many_jobs_at_a_time() -> None:
    machine = {"gpus": 4, "price": "$4/h"}
    machines = {"a": {"gpu": "RTX 4090", **machine}, "b": {"gpu": "RTX 3090", **machine}}
    run = {"machines": machines, "machine": "a", "jobs": 3}
    seen = answer("predicted", stated=None, run=run)
    other = answer("predicted", stated=None, run={**run, "machine": "b"})
    there = next(one for one in seen.machines if one.name == "b").bill
    alone = other.machines[0].bill
    assert there is not None
    assert alone is not None
    assert other.estimate.at_a_time == 3
    assert there.total_usd.p50 == pytest.approx(alone.total_usd.p50)


def test_what_moves_the_total_does_not_depend_on_the_jobs() -> None:
    """1 to 3 s around 2 s: half the total up or down, however many run at a time."""
    for jobs in (1, 3):
        effect = next(one for one in answer(stated={"step": "1-3 s"}, run=node(jobs=jobs)).sensitivity)
        assert effect.unfavourable_s / effect.total_s == pytest.approx(0.5)


def test_a_discount_on_an_unknown_price_is_no_price() -> None:
    machine = {"gpu": "RTX 4090", "price": "unknown", "spot": {"discount": "50%"}}
    made = answer(run={"machine": machine, "pricing": "spot"}).machines[0].bill
    assert made is not None
    assert made.total_usd is None
