"""The spot model against Daly's published figures (2006, figures 3 to 5), hand computation and a simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.cost.spot import (
    daly_interval_s,
    expected_wall_s,
    hazard_per_hour,
    hazard_sensitivity,
    interrupted_within,
    interruption,
    mean_time_between_s,
    young_interval_s,
)
from headway.domain.errors import UserError
from headway.domain.spread import Spread
from headway.domain.units import Range

H = 3600.0
FIVE = Range.point(0.05)


def test_five_percent_an_hour_is_a_third_in_eight_hours() -> None:
    assert interrupted_within(8 * H, FIVE).mid == pytest.approx(1 - 0.95**8)
    assert round(interrupted_within(8 * H, FIVE).mid * 100, 2) == 33.66
    assert interrupted_within(10 * H, FIVE).mid == pytest.approx(0.4013, abs=1e-4)
    assert interrupted_within(0, FIVE).mid == 0


# Daly 2006: dump 5 min, restart 10 min, 500 h of work; published 117, 57 and 9.1 min.
@pytest.mark.parametrize(
    ("mean_h", "young_min", "daly_min", "wall_h"),
    [(24.0, 120.0, 116.7, 547.9), (6.0, 60.0, 56.7, 610.2), (0.25, 12.2, 9.14, 2504.0)],
)
def test_dalys_figures(mean_h: float, young_min: float, daly_min: float, wall_h: float) -> None:
    mean = mean_h * H
    tau = daly_interval_s(300, mean)
    assert young_interval_s(300, mean) / 60 == pytest.approx(young_min, rel=5e-3)
    assert tau / 60 == pytest.approx(daly_min, rel=6e-4)
    wall = expected_wall_s(500 * H, mean, restart_s=600, dump_s=300, interval_s=tau)
    assert wall / H == pytest.approx(wall_h, rel=2e-4)


@pytest.mark.parametrize("mean_h", [24.0, 6.0, 1.0])
def test_dalys_interval_is_near_the_best_one(mean_h: float) -> None:
    def wall(tau: float) -> float:
        return expected_wall_s(500 * H, mean_h * H, restart_s=600, dump_s=300, interval_s=tau)

    best = min(wall(tau) for tau in np.linspace(60, 5 * H, 2000))
    assert wall(daly_interval_s(300, mean_h * H)) <= best * 1.001


def test_eight_hours_from_zero_each_time_take_9_89() -> None:
    rate = -math.log(0.95)
    wall = expected_wall_s(8 * H, mean_time_between_s(0.05)) / H
    assert wall == pytest.approx((math.exp(8 * rate) - 1) / rate)
    assert round(wall, 2) == 9.89


def test_the_expected_wall_time_is_the_mean_of_a_simulation() -> None:
    generator, mean, restart, work = np.random.default_rng(3), 4.0, 0.5, 6.0
    walls = []
    for _ in range(20000):
        elapsed, needed = 0.0, work
        while (up := generator.exponential(mean)) < needed:
            elapsed, needed = elapsed + up, restart + work
        walls.append(elapsed + needed)
    wall = expected_wall_s(work * H, mean * H, restart_s=restart * H) / H
    assert np.mean(walls) == pytest.approx(wall, rel=0.02)


def test_no_hazard_costs_the_dumps_only() -> None:
    assert mean_time_between_s(0) == math.inf
    assert expected_wall_s(10 * H, math.inf) == 10 * H
    assert expected_wall_s(10 * H, math.inf, dump_s=60, interval_s=H) == 10 * H + 600
    assert daly_interval_s(60, math.inf) == math.inf
    assert expected_wall_s(0, 5.0, restart_s=10) == 0
    assert expected_wall_s(1e9, 1.0) == math.inf
    assert daly_interval_s(300, 100) == 100


def test_a_hazard_has_a_unit() -> None:
    assert hazard_per_hour(FIVE, "h").mid == pytest.approx(0.05)
    month = hazard_per_hour(Range(0.05, 0.1, 0.2), "month")
    assert month.mid == pytest.approx(1 - 0.9 ** (1 / 730))
    assert interrupted_within(730 * H, month).high == pytest.approx(0.2)
    assert hazard_per_hour(FIVE, "day").mid == pytest.approx(1 - 0.95 ** (1 / 24))


def test_the_unit_decides_the_answer() -> None:
    readings = {reading.per: reading for reading in hazard_sensitivity(8 * H, FIVE)}
    assert readings["h"].interrupted_within.mid == pytest.approx(0.3366, abs=1e-4)
    assert readings["day"].interrupted_within.mid == pytest.approx(1 - 0.95 ** (1 / 3))
    assert readings["month"].interrupted_within.mid == pytest.approx(0.00056, abs=1e-5)
    assert readings["h"].wall_without_checkpoints_s.mid / H == pytest.approx(9.89, abs=0.005)
    assert readings["month"].wall_without_checkpoints_s.mid / H == pytest.approx(8.0, abs=0.01)


@pytest.mark.parametrize("bad", [Range.point(1.0), Range(0.5, 0.9, 1.2)])
def test_a_hazard_of_certainty_is_refused(bad: Range) -> None:
    with pytest.raises(UserError, match="from 0 to below 1"):
        interrupted_within(H, bad)
    with pytest.raises(UserError, match="5%/month"):
        hazard_per_hour(bad, "month")


def test_interruptions_of_a_run() -> None:
    running = Spread(p10=6 * H, p50=8 * H, p90=12 * H, kind="predicted")
    risk = interruption(
        running, Range(0.02, 0.05, 0.2), dump_s=60, restart_s=600, usd_per_hour=Range(10, 12, 15), notice_s=120
    )
    assert risk.interrupted_within.low == pytest.approx(1 - 0.98**6)
    assert risk.interrupted_within.high == pytest.approx(1 - 0.8**12)
    assert risk.wall_with_checkpoints_s.mid < risk.wall_without_checkpoints_s.mid
    assert risk.interval_s is not None
    assert risk.interval_s.mid == pytest.approx(daly_interval_s(60, mean_time_between_s(0.05)))
    assert risk.extra_usd is not None
    assert risk.extra_usd.mid == pytest.approx((risk.wall_with_checkpoints_s.mid - 8 * H) / H * 12)
    assert any("fits the notice" in note for note in risk.notes)


def test_interruptions_without_checkpoints_or_price() -> None:
    risk = interruption(Spread.exact(8 * H, "stated"), FIVE, dump_s=0, restart_s=0, usd_per_hour=None, notice_s=120)
    assert risk.interval_s is None
    assert risk.extra_usd is None
    assert risk.wall_with_checkpoints_s == risk.wall_without_checkpoints_s
    assert len(risk.notes) == 1


@given(
    share=st.floats(0, 0.9),
    work=st.floats(0, 200, allow_subnormal=False),
    dump=st.floats(0.1, 600),
    restart=st.floats(0, 3600),
)
def test_interruptions_only_ever_add(share: float, work: float, dump: float, restart: float) -> None:
    risk = interruption(
        Spread.exact(work * H, "stated"), Range.point(share), dump_s=dump, restart_s=restart, usd_per_hour=None
    )
    assert risk.wall_with_checkpoints_s.mid >= work * H * (1 - 1e-9)
    assert risk.wall_without_checkpoints_s.mid >= work * H * (1 - 1e-9)
    assert 0 <= risk.interrupted_within.mid <= 1
