"""Bills against hand computation (document 002), laws of rounding, and the same sums with draws."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.cost.billing import Bill, bill
from headway.cost.rentals import BillingTerms, billed_seconds, billing_terms
from headway.cost.segments import Segment, used_gpu_s, wall_s
from headway.domain.errors import UserError
from headway.domain.lookup import Machine, Price
from headway.domain.machine import BillingRule, Device, Node
from headway.domain.plan import MachineSpec
from headway.domain.spread import Spread, total
from headway.domain.statement import Value
from headway.domain.units import Range

H = 3600.0
PER_SECOND = BillingTerms(granularity_s=1, minimum_s=60)
HOURLY = BillingTerms(granularity_s=3600)


def required(workflow: tuple[Segment, ...]) -> list[Segment]:
    return [segment for segment in workflow if not segment.optional]


def usd(made: Bill) -> dict[str, float]:
    return {line.name: line.usd.p50 for line in made.lines if line.usd is not None}


def test_kernelbook_uses_14_667_gpu_hours_in_6_583_hours(workflow: tuple[Segment, ...]) -> None:
    work = required(workflow)
    assert [segment.used_gpu_s.p50 / H for segment in work] == pytest.approx([0, 8 / 3, 4, 6, 2])
    assert used_gpu_s(work).p50 / H == pytest.approx(14 + 2 / 3)
    assert wall_s(work).p50 / H == pytest.approx(6 + 35 / 60)


def test_kernelbook_on_demand_by_the_second(node: Machine, workflow: tuple[Segment, ...]) -> None:
    made = bill(required(workflow), node, buffer_share=0.3, terms=PER_SECOND)
    hours = (6 + 35 / 60) * 1.3  # 8.558
    assert made.wall_s.p50 / H == pytest.approx(8.5583, abs=5e-5)
    assert made.used_gpu_s.p50 / H == pytest.approx(19.0667, abs=5e-5)
    assert made.billed_gpu_s is not None and made.billed_s is not None and made.total_usd is not None
    assert made.billed_gpu_s.p50 / H == pytest.approx(68.4667, abs=5e-5)
    assert made.total_usd.p50 == pytest.approx(hours * 32.77)
    assert round(made.total_usd.p50, 2) == 280.46
    assert usd(made) == pytest.approx(
        {"compute": 365 / 60 * 32.77, "idle": 0.5 * 32.77, "buffer": 0.3 * 395 / 60 * 32.77}
    )
    assert made.usd_per_used_gpu_hour is not None and made.allocated_share is not None
    assert made.usd_per_used_gpu_hour.p50 == pytest.approx(280.4566 / 19.06667, rel=1e-5)  # $14.71
    assert made.allocated_share.p50 == pytest.approx(19.06667 / 68.46667, rel=1e-6)  # 27.8 %
    assert (made.priced_on, made.price_kind) == ("2026-01-01", "stated")


def test_kernelbook_in_one_hour_blocks_bills_72_gpu_hours(node: Machine, workflow: tuple[Segment, ...]) -> None:
    made = bill(required(workflow), node, buffer_share=0.3)
    assert made.billed_gpu_s is not None and made.total_usd is not None and made.billed_s is not None
    assert made.billed_gpu_s.p50 / H == pytest.approx(72)
    assert made.billed_s.p50 / H == pytest.approx(9)
    assert made.total_usd.p50 == pytest.approx(9 * 32.77)
    assert usd(made)["rounding"] == pytest.approx((9 - 8.558333) * 32.77, rel=1e-5)
    assert any("aws rounds to 1 s" in note for note in made.notes)


def test_spot_keeps_the_range_of_its_price(node: Machine, workflow: tuple[Segment, ...]) -> None:
    made = bill(required(workflow), node, pricing="spot", buffer_share=0.3, terms=PER_SECOND)
    assert made.total_usd is not None
    ends = (made.total_usd.p10, made.total_usd.p50, made.total_usd.p90)
    assert ends == pytest.approx((85.583, 102.70, 128.375), rel=1e-4)


def test_stopping_bills_only_stretches_with_gpu_work(node: Machine, workflow: tuple[Segment, ...]) -> None:
    kept = bill(workflow, node, terms=PER_SECOND)
    stopped = bill(workflow, node, idle="stop", terms=PER_SECOND)
    assert kept.total_usd is not None and stopped.total_usd is not None
    assert kept.total_usd.p50 == pytest.approx((6 + 35 / 60 + 2.5) * 32.77)
    assert stopped.total_usd.p50 == pytest.approx((6 + 5 / 60) * 32.77)
    assert usd(kept)["idle"] == pytest.approx(3 * 32.77)
    assert "idle" not in usd(stopped)
    assert stopped.wall_s.p50 == kept.wall_s.p50


def test_each_restart_rounds_up_again_and_keeps_its_disks(node: Machine) -> None:
    def stretch(name: str, gpus: float, minutes: float) -> Segment:
        return Segment(id=name, name=name, gpus=gpus, wall=Spread.exact(minutes * 60, "stated"))

    work = [stretch("a", 8, 20), stretch("rest", 0, 300), stretch("b", 1, 61)]
    made = bill(work, node, idle="stop")
    assert made.billed_s is not None
    assert made.billed_s.p50 / H == pytest.approx(1 + 2)
    assert any("EBS billed" in note for note in made.notes)
    assert not any("EBS" in note for note in bill(work, node).notes)


def test_gpus_rented_one_by_one_are_billed_one_by_one(node: Machine, workflow: tuple[Segment, ...]) -> None:
    each = BillingTerms(granularity_s=1, unit="gpu")
    work = required(workflow)
    made = bill(work, node, idle="stop", terms=each)
    assert made.billed_gpu_s is not None and made.total_usd is not None and made.allocated_share is not None
    assert made.billed_gpu_s.p50 == pytest.approx(used_gpu_s(work).p50)
    assert made.total_usd.p50 == pytest.approx(14.66667 * 32.77 / 8, rel=1e-6)
    assert made.allocated_share.p50 == pytest.approx(1)
    kept = bill(work, node, terms=each)
    assert kept.billed_gpu_s is not None
    assert kept.billed_gpu_s.p50 / H == pytest.approx(14.66667 + 0.5)  # one GPU holds the place during data-prep


def test_a_reserve_is_a_line_of_its_own(node: Machine, workflow: tuple[Segment, ...]) -> None:
    eight = [Segment(id="all", name="all", gpus=8, wall=Spread.exact(8 * H, "stated"))]
    made = bill(eight, node, pricing="spot", reserve_usd=Range.point(20))
    assert made.total_usd is not None
    assert made.total_usd.p50 == pytest.approx(8 * 12 + 20)  # the document prints $120
    assert usd(made)["reserve"] == 20


def test_an_unknown_price_is_unknown_and_never_zero(node: Machine, workflow: tuple[Segment, ...]) -> None:
    blind = replace(node, price=None)
    made = bill(workflow, blind, reserve_usd=Range.point(20))
    assert made.total_usd is None
    assert made.usd_per_used_gpu_hour is None
    assert made.lines[0].usd is None
    assert made.billed_s is not None and made.billed_s.p50 / H == 10
    assert any("price" in note and "unknown" in note for note in made.notes)


def test_a_published_on_demand_price_is_not_a_reserved_one(node: Machine, workflow: tuple[Segment, ...]) -> None:
    published = replace(node, price=Price(usd_per_hour=Range.point(55.04), kind="measured", source="prices.csv"))
    assert bill(workflow, published, pricing="reserved").total_usd is None
    stated = bill(workflow, node, pricing="reserved", idle="stop")
    assert stated.idle == "keep"
    assert stated.total_usd is not None and stated.total_usd.p50 == pytest.approx(10 * 32.77)


def test_an_owned_machine_pays_its_electricity_only(desk: Machine) -> None:
    made = bill([Segment(id="all", name="all", gpus=1, wall=Spread.exact(1230000.0, "stated"))], desk)  # 341.667 h
    assert made.billed_gpu_s is None
    assert made.allocated_share is None
    assert usd(made) == pytest.approx({"electricity": 23.0625})
    dark = replace(desk, spec=MachineSpec(id="home"))
    unknown = bill([Segment(id="all", name="all", gpus=1, wall=Spread.exact(H, "stated"))], dark)
    assert unknown.total_usd is None
    assert "no electricity price is stated" in unknown.notes


def test_an_old_price_says_its_age(node: Machine, workflow: tuple[Segment, ...]) -> None:
    assert any("324 days old" in note for note in bill(workflow, node, today=date(2026, 11, 21)).notes)
    assert not any("old" in note for note in bill(workflow, node, today=date(2026, 2, 1)).notes)
    words = replace(node, price=Price(usd_per_hour=Range.point(1), kind="stated", source="", priced_on="last year"))
    assert not any("old" in note for note in bill(workflow, words, today=date(2026, 11, 21)).notes)


def test_more_gpus_than_the_machine_has_are_refused(node: Machine) -> None:
    work = [Segment(id="wide", name="wide", gpus=16, wall=Spread.exact(H, "stated"))]
    with pytest.raises(UserError, match=r"wide needs more GPUs than p5\.48xlarge has, got 16 of 8"):
        bill(work, node)
    with pytest.raises(UserError, match="not fewer"):
        Segment(id="less", name="less", gpus=-1, wall=Spread.exact(H, "stated"))


def test_the_plans_billing_goes_before_the_catalogs(aws: BillingRule) -> None:
    plain = MachineSpec(id="m")
    assert billed_seconds(Spread.exact(10.2, "stated"), aws, plain).p50 == 60
    assert billed_seconds(Spread.exact(100.2, "stated"), aws, plain).p50 == 101
    own = MachineSpec(id="m", billing_block=Value(range=Range.point(600), unit="s"))
    assert billed_seconds(Spread.exact(100.2, "stated"), aws, own).p50 == 600
    assert billing_terms(aws, own).minimum_s == 60
    assert billed_seconds(Spread.exact(100.2, "stated"), None, plain).p50 == 100.2
    assert "no billing rule is known" in billing_terms(None, plain).notes[0]
    assert "sells the whole node" in billing_terms(aws, MachineSpec(id="m", billing_unit="gpu")).notes[0]
    unsaid = MachineSpec(id="m", billing_block=Value(range=Range.point(0), unit="s", unknown=True))
    assert billing_terms(aws, unsaid).granularity_s == 1


def test_rounding_takes_every_draw_and_every_end() -> None:
    draws = Spread.from_draws(np.array([1.0, 3599.0, 3600.0, 3600.0001, 7300.0]), "predicted")
    rounded = HOURLY.billed_s(draws)
    assert rounded.draws is not None
    assert rounded.draws.tolist() == [3600, 3600, 3600, 7200, 10800]
    ends = HOURLY.billed_s(Spread(p10=1, p50=3600.0000001, p90=3700, kind="stated"))
    assert (ends.p10, ends.p50, ends.p90) == pytest.approx((3600, 3600, 7200))


def test_lines_sum_to_the_total_in_every_draw(node: Machine) -> None:
    generator = np.random.default_rng(7)
    work = [
        Segment(id="a", name="a", gpus=8, wall=Spread.from_draws(generator.gamma(4, 900, 4000), "predicted")),
        Segment(id="b", name="b", gpus=0, wall=Spread.exact(600, "stated")),
        Segment(id="c", name="c", gpus=2, wall=Spread.from_draws(generator.gamma(9, 200, 4000), "predicted")),
    ]
    made = bill(work, node, pricing="spot", buffer_share=0.1, reserve_usd=Range(10, 20, 40))
    assert made.total_usd is not None and made.total_usd.draws is not None and made.billed_s is not None
    again = total(line.usd for line in made.lines if line.usd is not None)
    assert again.draws is not None and made.billed_s.draws is not None
    assert np.allclose(again.draws, made.total_usd.draws)
    assert np.all(made.billed_s.draws % 3600 == 0)
    # Mean of the total by hand: hours and price independent; the price's mean is that of its piecewise linear form.
    price, reserve = 0.1 * 10 + 0.4 * 11 + 0.4 * 13.5 + 0.1 * 15, 0.1 * 10 + 0.4 * 15 + 0.4 * 30 + 0.1 * 40
    assert made.total_usd.mean == pytest.approx(made.billed_s.mean / H * price + reserve, rel=2e-3)
    assert made.total_usd.kind == "predicted"


hours = st.floats(min_value=0.0, max_value=400.0)
pieces = st.lists(st.tuples(hours, st.integers(0, 8)), min_size=1, max_size=6)
some_terms = st.builds(
    BillingTerms,
    granularity_s=st.sampled_from([0.0, 1.0, 60.0, 600.0, 3600.0]),
    minimum_s=st.sampled_from([0.0, 60.0, 3600.0]),
    unit=st.sampled_from(["node", "gpu"]),
)


def stretches(rows: list[tuple[float, int]]) -> list[Segment]:
    return [
        Segment(id=str(index), name="", gpus=gpus, wall=Spread.exact(length * H, "stated"))
        for index, (length, gpus) in enumerate(rows)
    ]


def rented() -> Machine:
    card = Device(
        name="card", vendor="", generation="", year=2020, memory_bytes=1, bandwidth_bytes_per_s=1, peak_flop_per_s={}
    )
    price = Price(usd_per_hour=Range.point(8.0), kind="stated", source="")
    return Machine(name="m", node=Node(device=card, gpus=8), spec=MachineSpec(id="m"), price=price)


def amount(rows: list[tuple[float, int]], terms: BillingTerms, idle: str = "keep") -> float:
    made = bill(stretches(rows), rented(), idle="stop" if idle == "stop" else "keep", terms=terms)
    assert made.total_usd is not None and made.billed_gpu_s is not None
    assert math.fsum(line.usd.p50 for line in made.lines if line.usd) == pytest.approx(made.total_usd.p50)
    assert made.total_usd.p50 == pytest.approx(made.billed_gpu_s.p50 / H)  # $1 per GPU-hour
    assert made.billed_gpu_s.p50 >= made.used_gpu_s.p50 * (1 - 1e-9)
    return made.total_usd.p50


@given(rows=pieces, longer=hours, terms=some_terms, idle=st.sampled_from(["keep", "stop"]))
def test_more_hours_never_cost_less(
    rows: list[tuple[float, int]], longer: float, terms: BillingTerms, idle: str
) -> None:
    more = [(rows[0][0] + longer, rows[0][1]), *rows[1:]]
    assert amount(more, terms, idle) >= amount(rows, terms, idle) - 1e-9


@given(seconds=st.floats(min_value=1e-6, max_value=1e7), terms=some_terms)
def test_a_rental_is_billed_whole_blocks_never_below_running_time_or_minimum(
    seconds: float, terms: BillingTerms
) -> None:
    billed = terms.billed_s(Spread.exact(seconds, "stated")).p50
    assert billed >= max(seconds, terms.minimum_s) * (1 - 1e-9)
    assert billed <= max(seconds + terms.granularity_s, terms.minimum_s) * (1 + 1e-9)


@given(rows=pieces, idle=st.sampled_from(["keep", "stop"]))
def test_seconds_cost_no_more_than_blocks(rows: list[tuple[float, int]], idle: str) -> None:
    assert amount(rows, BillingTerms(granularity_s=1), idle) <= amount(rows, HOURLY, idle) + 1e-9


@given(rows=pieces, unit=st.sampled_from(["node", "gpu"]))
def test_stopping_costs_no_more_when_a_restart_is_free(rows: list[tuple[float, int]], unit: str) -> None:
    free = BillingTerms(unit="gpu" if unit == "gpu" else "node")
    assert amount(rows, free, "stop") <= amount(rows, free, "keep") + 1e-9


@pytest.mark.parametrize(("price", "cost"), [(3.06, 1045.50), (2.48, 847.33), (3.06, 1045.50), (0.59, 201.58)])
def test_341_667_hours_at_the_four_providers_of_document_000(node: Machine, price: float, cost: float) -> None:
    # Ten baselines of 10 minutes, then 340 hours of training: one GPU, one after another, nothing stops between.
    baselines = [Segment(id=f"1/{n}", name="", gpus=1, wall=Spread.exact(600, "stated")) for n in range(10)]
    work = [*baselines, Segment(id="2-3", name="", gpus=1, wall=Spread.exact(340 * H, "stated"))]
    single = replace(node, node=replace(node.node, gpus=1), spec=MachineSpec(id="m"))
    made = bill(work, replace(single, price=Price(usd_per_hour=Range.point(price), kind="stated", source="the plan")))
    assert made.total_usd is not None
    assert round(made.total_usd.p50, 2) == cost
