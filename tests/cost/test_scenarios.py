"""The ways to pay for document 002's workflow, and its booking, against hand computation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headway.cost.billing import bill
from headway.cost.rentals import BillingTerms
from headway.cost.scenarios import Scenario, booking, scenarios
from headway.cost.segments import Segment
from headway.domain.lookup import Machine, Price
from headway.domain.spread import Spread
from headway.domain.units import Range

H = 3600.0
PER_SECOND = BillingTerms(granularity_s=1, minimum_s=60)


def costs(found: tuple[Scenario, ...]) -> dict[str, float]:
    return {one.name: one.bill.total_usd.p50 for one in found if one.bill.total_usd is not None}


def test_kernelbook_with_documentation_by_the_second(node: Machine, workflow: tuple[Segment, ...]) -> None:
    found = scenarios(workflow, node, with_optional=True, terms=PER_SECOND)
    up, needed = 9 + 5 / 60, 6 + 5 / 60  # hours kept; hours from the training to the validation
    assert costs(found) == pytest.approx(
        {
            "keep-running": up * 32.77,
            "shut-down": needed * 32.77,
            "spot": up * 12,
            "spot-stop": needed * 12,
        }
    )
    assert {one.bill.wall_s.p50 for one in found} == {32700}  # the same work in every scenario
    assert [one.bill.used_gpu_s.p50 for one in found] == pytest.approx([52800] * 4)


def test_kernelbook_in_the_plans_blocks_with_buffer(node: Machine, workflow: tuple[Segment, ...]) -> None:
    found = costs(scenarios(workflow, node, buffer_share=0.3))
    assert found["keep-running"] == pytest.approx(9 * 32.77)  # 8.558 h
    assert found["shut-down"] == pytest.approx(8 * 32.77)  # 7.908 h
    assert found["spot"] == pytest.approx(9 * 12)


def test_spot_says_what_interruptions_do(node: Machine, workflow: tuple[Segment, ...]) -> None:
    found = {one.name: one for one in scenarios(workflow, node, buffer_share=0.3, dump_s=60, restart_s=600)}
    risk = found["spot"].interruption
    assert risk is not None
    assert risk.interrupted_within.mid == pytest.approx(1 - 0.95 ** (395 / 60 * 1.3))  # 35.5 % in 8.558 h
    assert risk.extra_usd is not None and 0 < risk.extra_usd.low < risk.extra_usd.high
    assert any("fits the notice" in note for note in risk.notes)
    assert found["keep-running"].interruption is None
    calm = scenarios(workflow, replace(node, hazard_per_hour=None))
    assert {one.interruption for one in calm} == {None}


def test_ways_without_a_price_are_left_out(node: Machine, workflow: tuple[Segment, ...]) -> None:
    published = Price(usd_per_hour=Range.point(55.04), kind="measured", source="prices.csv")
    names = [one.name for one in scenarios(workflow, replace(node, price=published, spot_price=None))]
    assert names == ["keep-running", "shut-down"]
    blind = scenarios(workflow, replace(node, price=None, spot_price=None))
    assert [(one.name, one.bill.total_usd) for one in blind] == [("keep-running", None), ("shut-down", None)]


def test_a_stated_price_is_reserved_where_the_plan_says_so(node: Machine, workflow: tuple[Segment, ...]) -> None:
    found = costs(scenarios(workflow, node, pricing="reserved", terms=PER_SECOND))
    assert found == pytest.approx({"spot": 79, "spot-stop": 73, "reserved": 395 / 60 * 32.77})
    published = Price(usd_per_hour=Range.point(55.04), kind="measured", source="prices.csv")
    (only,) = scenarios(workflow, replace(node, price=published, spot_price=None), pricing="reserved")
    assert (only.name, only.bill.total_usd) == ("reserved", None)


def test_ones_own_machine_has_one_way(desk: Machine) -> None:
    work = [Segment(id="all", name="all", gpus=1, wall=Spread.exact(10 * H, "stated"))]
    found = scenarios(work, desk)
    assert costs(found) == pytest.approx({"keep-running": 4.5 * 0.15})


def test_what_to_book(node: Machine, workflow: tuple[Segment, ...]) -> None:
    work = [segment for segment in workflow if not segment.optional]
    asked = booking(bill(work, node, pricing="spot", buffer_share=0.3, terms=PER_SECOND), node)
    assert (asked.instance, asked.request, asked.gpu, asked.gpus) == ("p5.48xlarge", "spot", "H100 SXM 80GB", 8)
    assert asked.duration_s.p50 / H == pytest.approx(8.5583, abs=5e-5)
    assert asked.expected_usd is not None
    assert asked.expected_usd.p50 == pytest.approx(102.70)
    assert (asked.max_usd_per_hour, asked.notice_s) == (15, 120)
    assert asked.usd_per_hour == Range(10, 12, 15)


def test_an_on_demand_booking_has_no_spot_terms(node: Machine, workflow: tuple[Segment, ...]) -> None:
    asked = booking(bill(workflow, node), node)
    assert (asked.request, asked.max_usd_per_hour, asked.notice_s) == ("on-demand", None, None)
    assert asked.priced_on == "2026-01-01"
    silent = replace(node, spec=replace(node.spec, notice=None))
    assert booking(bill(workflow, silent, pricing="spot"), silent).notice_s == 120  # the provider's
