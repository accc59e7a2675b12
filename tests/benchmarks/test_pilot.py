"""The pilots' figures: what a progress bar says, by hand; scores, by hand; jobs that are plans."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headway.plan import plan_from_mapping
from pilots.bars import totals_by_bar
from pilots.jobs import JOBS, LONG, MODELS, SHORT
from pilots.score import covered, errors, markdown, summary
from pilots.texts import write_rows

STEADY = [10.0 + 0.5 * (index + 1) for index in range(100)]
"""Ends of 100 steps of half a second after ten seconds of loading."""


@pytest.mark.parametrize("now", [10.6, 20.0, 59.9])
def test_a_bar_is_right_on_steady_steps(now: float) -> None:
    assert totals_by_bar(STEADY, 10.0, 100, now) == pytest.approx(60.0)


def test_a_bar_without_a_step_says_nothing() -> None:
    assert totals_by_bar(STEADY, 10.0, 100, 10.4) is None


def test_a_bar_follows_the_latest_rate() -> None:
    # one step of 1 s, one of 2 s: both means weigh the last 0.3 and the first 0.7 * 0.3, over 1 - 0.7 ** 2
    steps, seconds = (0.3 * 1 + 0.21 * 1) / 0.51, (0.3 * 2 + 0.21 * 1) / 0.51
    assert totals_by_bar([1.0, 3.0], 0.0, 10, 3.0) == pytest.approx(3.0 + 8 * seconds / steps)


def test_a_bar_is_not_redrawn_for_steps_of_a_millisecond() -> None:
    moments = [0.001 * (index + 1) for index in range(1000)]
    assert totals_by_bar(moments, 0.0, 2000, 1.0) == pytest.approx(2.0, rel=1e-6)


def row(predicted: float, actual: float, late: float | None = None) -> dict[str, object]:
    return {
        "job": "a", "long": True, "actual_s": actual,
        "predicted_s": {"p10": 0.9 * predicted, "p50": predicted, "p90": 1.1 * predicted},
        "bars_s": {"0.05": None, "0.2": late, "0.5": late}, "tracked_s": {"0.05": late, "0.2": late, "0.5": late},
        "peak_bytes": {"probe": 1e9, "run": 1e7 * actual},
    }  # fmt: skip


def test_scores_by_hand() -> None:
    rows = [row(100, 100, 110), row(110, 100, 100), row(80, 100)]
    assert errors(rows) == pytest.approx([0.0, 0.1, -0.2])
    assert covered(rows) == pytest.approx(2 / 3)  # 99..121 and 90..110 hold 100, 72..88 does not
    found = summary(rows)
    assert found["probe"] == {"median": pytest.approx(0.1), "worst": pytest.approx(0.2), "within_5_percent": 1, "of": 3}
    assert found["peak"] == {"p10": 1.0, "median": 1.0, "p90": 1.0}
    assert found["bars_at_5%"] is None
    assert found["bars_at_20%"] == {
        "median": pytest.approx(0.05), "worst": pytest.approx(0.1), "within_5_percent": 1, "of": 2,
    }  # fmt: skip
    assert "| 3 jobs |".replace("jobs", "of it") in markdown({"of it": found})


def test_there_are_ten_long_jobs_and_thirty_short_ones_and_all_are_plans() -> None:
    assert (len(LONG), len(SHORT), len(JOBS)) == (10, 30, 40)
    for job in JOBS.values():
        made = plan_from_mapping(job.plan(1000)).plan
        (stage,) = made.experiments[0].stages
        assert stage.steps is not None
        assert stage.steps.mid == 1000
        assert job.model in MODELS


def test_rows_are_as_long_as_asked_and_the_same_for_a_seed(tmp_path: Path) -> None:
    write_rows(tmp_path / "one", 500, {"mean": 90, "min": 16, "max": 256}, seed=3)
    write_rows(tmp_path / "two", 500, {"mean": 90, "min": 16, "max": 256}, seed=3)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    lengths = [len(json.loads(line)["text"].split()) for line in (tmp_path / "one").read_text().splitlines()]
    assert min(lengths) >= 16
    assert max(lengths) <= 256
    assert sum(lengths) / 500 == pytest.approx(90, rel=0.1)
