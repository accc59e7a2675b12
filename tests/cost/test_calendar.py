"""Days, windows, budgets and deadlines against the documents' figures."""

from __future__ import annotations

from datetime import date

import pytest

from headway.cost.calendar import before_deadline, calendar_days, needs_resume, outlasting, over_budget
from headway.domain.errors import UserError
from headway.domain.spread import Spread
from headway.domain.statement import Value
from headway.domain.units import Range

H = 3600.0
PLAN = Spread.exact(341 * H + 2400, "stated")


def limit(amount: float, unit: str, noun: str = "") -> Value:
    return Value(range=Range.point(amount), unit=unit, noun=noun)


def test_341_667_hours_are_14_days_or_43_working_days() -> None:
    assert round(calendar_days(PLAN, 24).p50, 2) == 14.24
    assert round(calendar_days(PLAN, 8).p50, 2) == 42.71


@pytest.mark.parametrize("hours", [0, -1, 25, float("nan")])
def test_a_day_has_24_hours(hours: float) -> None:
    with pytest.raises(UserError, match="at most 24 hours"):
        calendar_days(PLAN, hours)


def test_runs_longer_than_a_day_need_to_resume() -> None:
    runs = {"short": 5 * H, "25k": 12.5 * H, "50k": 25 * H, "exact": 8 * H}
    assert needs_resume(runs, 8) == ("25k", "50k")
    assert needs_resume(runs, 24) == ()
    assert outlasting(runs, 24 * H) == ("50k",)


def test_each_budget_is_held_against_its_own_quantity() -> None:
    budget = (limit(10 * H, "s"), limit(100, "usd"), limit(20 * H, "s", "GPU-h"), limit(9 * H, "s", "node-h"))
    wall = Spread(p10=8 * H, p50=8.5 * H, p90=9.5 * H, kind="predicted")
    checks = over_budget(
        budget, wall_s=wall, cost_usd=Spread.exact(280.46, "stated"), gpu_s=Spread.exact(20 * H, "stated")
    )
    assert [(check.what, check.verdict) for check in checks] == [
        ("wall", "within"),
        ("cost", "over"),
        ("GPU-hours", "within"),
        ("wall", "uncertain"),
    ]
    assert [check.excess for check in checks] == pytest.approx([0, 180.46, 0, 0])


def test_an_unknown_cost_is_neither_within_nor_over() -> None:
    (check,) = over_budget((limit(100, "usd"),), wall_s=PLAN, cost_usd=None, gpu_s=PLAN)
    assert (check.verdict, check.excess) == ("unknown", None)
    unsaid = Value(range=Range.point(0), unit="usd", unknown=True)
    assert over_budget((unsaid,), wall_s=PLAN, cost_usd=None, gpu_s=PLAN) == ()


def test_a_budget_of_something_else_is_refused() -> None:
    with pytest.raises(UserError, match="a budget is time, money or GPU-hours"):
        over_budget((limit(5, "bytes"),), wall_s=PLAN, cost_usd=None, gpu_s=PLAN)


def test_a_deadline_leaves_whole_days() -> None:
    today = date(2026, 11, 21)
    around_the_clock = before_deadline(PLAN, 24, "2026-12-06", today)
    working = before_deadline(PLAN, 8, "2026-12-06", today)
    assert (around_the_clock.limit, around_the_clock.verdict) == (15, "within")
    assert working.verdict == "over"
    assert working.excess == pytest.approx(42.708 - 15, abs=1e-3)
    with pytest.raises(UserError, match="a deadline is a date, got Christmas"):
        before_deadline(PLAN, 24, "Christmas", today)
