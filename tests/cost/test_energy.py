"""Energy against the documents (450 W, $0.15/kWh), the published node factors, and its laws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.cost.energy import Energy, energy, is_owned
from headway.domain.lookup import Machine
from headway.domain.machine import Device, Node
from headway.domain.plan import MachineSpec
from headway.domain.spread import Spread
from headway.domain.statement import Value
from headway.domain.units import Range

H = 3600.0
CARD = Device(
    name="card",
    vendor="",
    generation="Ada",
    year=2022,
    memory_bytes=1,
    bandwidth_bytes_per_s=1,
    peak_flop_per_s={},
    board_limit_w=300,
)


def watt(low: float, high: float | None = None) -> Value:
    return Value(range=Range(low, (low + (high or low)) / 2, high or low), unit="w", source="the plan")


def desk_with(gpus: int = 1, device: Device = CARD, **power: Value) -> Machine:
    spec = MachineSpec(id="desk", power=power, electricity=Value(range=Range.point(0.2), unit="usd_per_kwh"))
    return Machine(name="desk", node=Node(device=device, gpus=gpus), spec=spec)


def kwh(used: Energy) -> float:
    assert used.kwh is not None
    return used.kwh.p50


def test_450_watt_for_341_667_hours(desk: Machine) -> None:
    used = energy(Spread.exact(341 * H + 2400, "stated"), desk)
    assert kwh(used) == pytest.approx(153.75)
    assert used.usd is not None
    assert used.usd.p50 == pytest.approx(23.0625)
    assert used.basis == "watt for each GPU, as stated"
    assert used.joule is not None and used.joule.kind == "stated"


def test_the_wall_draw_is_the_whole_machines() -> None:
    used = energy(Spread.exact(8 * H, "stated"), desk_with(gpus=4, wall=watt(1600), average=watt(300)))
    assert kwh(used) == pytest.approx(1.6 * 2)  # 8 GPU-hours of four GPUs are two hours
    assert "at the wall" in used.basis


def test_an_average_draw_is_a_gpus_and_pue_comes_on_top() -> None:
    pue = Value(range=Range(1.1, 1.2, 1.3), unit="x")
    used = energy(Spread.exact(10 * H, "stated"), desk_with(average=watt(200, 300), pue=pue))
    assert used.kwh is not None and used.joule is not None
    assert (used.kwh.p10, used.kwh.p50, used.kwh.p90) == pytest.approx((2 * 1.1, 2.5 * 1.2, 3 * 1.3))
    assert sum(term.p50 for term in used.terms.values()) == pytest.approx(used.joule.p50)


def test_an_h100_node_draws_0_97_kw_a_gpu_by_default(node: Machine) -> None:
    used = energy(Spread.exact(8 * H, "predicted"), node)
    at_it = used.terms["gpus"] + used.terms["host"]
    assert at_it.p50 / 3.6e6 / 8 == pytest.approx(0.968, abs=5e-4)  # 0.7 kW x 1.82 x 0.76
    assert (at_it.p10 / at_it.p50, at_it.p90 / at_it.p50) == pytest.approx((0.55 / 0.76, 0.82 / 0.76))
    assert kwh(used) == pytest.approx(8 * 0.968 * 1.58, rel=1e-3)
    assert used.joule is not None and used.joule.kind == "assumed"
    assert used.usd is None
    assert used.notes == ("electricity is part of the rent",)


def test_the_limit_is_the_datasheets_or_the_plans_and_other_gpus_are_extrapolated() -> None:
    sheet = energy(Spread.exact(H, "stated"), desk_with())
    own = energy(Spread.exact(H, "stated"), desk_with(board_limit=watt(150)))
    assert kwh(sheet) == pytest.approx(0.3 * 1.82 * 0.76)
    assert kwh(own) == pytest.approx(kwh(sheet) / 2)
    assert "cooling" not in sheet.terms
    assert any("extrapolated" in note for note in sheet.notes)
    assert "as stated" in own.basis and "as stated" not in sheet.basis


def test_no_wattage_is_unknown_energy() -> None:
    used = energy(Spread.exact(H, "stated"), desk_with(device=replace(CARD, board_limit_w=None)))
    assert used.joule is None
    assert used.usd is None
    assert used.kwh is None
    assert used.notes == ("no board limit of card is known; state one under power",)
    silent = Value(range=Range.point(0), unit="w", unknown=True)
    assert kwh(energy(Spread.exact(H, "stated"), desk_with(average=silent))) > 0


def test_no_electricity_price_is_unknown_money(desk: Machine) -> None:
    free = replace(desk, spec=replace(desk.spec, electricity=None))
    assert is_owned(free)
    assert energy(Spread.exact(H, "stated"), free).usd is None
    assert not is_owned(replace(desk, provider="lambda"))


def test_stated_ranges_meet_draws() -> None:
    hours = Spread.from_draws(np.random.default_rng(1).normal(100, 5, 5000) * H, "predicted")
    used = energy(hours, desk_with(average=watt(200, 300)))
    assert used.kwh is not None and used.usd is not None and used.usd.draws is not None
    assert used.kwh.mean == pytest.approx(100 * 0.25, rel=5e-3)
    assert np.corrcoef(hours.draws if hours.draws is not None else [], used.kwh.draws)[0, 1] < 0.8
    assert used.kwh.kind == "predicted"
    assert used.usd.mean == pytest.approx(25 * 0.2, rel=5e-3)


@given(hours=st.floats(1e-3, 1e6), factor=st.floats(0.01, 100))
def test_energy_is_linear_in_gpu_time(hours: float, factor: float) -> None:
    machine = desk_with()
    once = energy(Spread.exact(hours * H, "stated"), machine)
    more = energy(Spread.exact(hours * H * factor, "stated"), machine)
    assert kwh(more) == pytest.approx(kwh(once) * factor)
    assert once.usd is not None and more.usd is not None
    assert more.usd.p90 == pytest.approx(once.usd.p90 * factor)
