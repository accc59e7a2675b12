"""The machines and stretches that the tests of this room bill: an 8-GPU node, a desk, and an invented rental."""

from __future__ import annotations

import pytest

from headway.cost.segments import Segment
from headway.domain.lookup import Machine, Price
from headway.domain.machine import BillingRule, Device, Node
from headway.domain.plan import MachineSpec
from headway.domain.spread import Spread
from headway.domain.statement import Value
from headway.domain.units import Range

H100 = Device(
    name="H100 SXM 80GB",
    vendor="NVIDIA",
    generation="Hopper",
    year=2022,
    memory_bytes=80e9,
    bandwidth_bytes_per_s=3.35e12,
    peak_flop_per_s={"bf16": 989e12},
    board_limit_w=700,
)
RTX4090 = Device(
    name="RTX 4090",
    vendor="NVIDIA",
    generation="Ada",
    year=2022,
    memory_bytes=24e9,
    bandwidth_bytes_per_s=1.008e12,
    peak_flop_per_s={"bf16": 165e12},
    board_limit_w=450,
)
AWS = BillingRule(
    provider="aws",
    granularity_s=1,
    minimum_s=60,
    whole_node=True,
    spot_notice_s=120,
    storage_when_stopped="EBS billed; instance not",
    date="2026-11-21",
)


@pytest.fixture
def aws() -> BillingRule:
    """Billed per second, at least a minute, whole nodes (document: billing.csv, provider aws)."""
    return AWS


@pytest.fixture
def node() -> Machine:
    """Document 002: eight H100 at $32.77/h, spot $10-12-15/h, 5 %/h, billed in blocks of one hour."""
    return Machine(
        name="p5.48xlarge",
        node=Node(device=H100, gpus=8),
        provider="aws",
        instance="p5.48xlarge",
        spec=MachineSpec(
            id="node",
            billing_unit="node",
            billing_block=Value(range=Range.point(3600), unit="s", text="1 h"),
            max_price=Value(range=Range.point(15), unit="usd_per_hour", text="$15/h"),
            notice=Value(range=Range.point(120), unit="s", text="2 min"),
        ),
        price=Price(usd_per_hour=Range.point(32.77), kind="stated", source="the plan", priced_on="2026-01-01"),
        spot_price=Price(usd_per_hour=Range(10, 12, 15), kind="stated", source="the plan"),
        billing=AWS,
        hazard_per_hour=Range.point(0.05),
    )


@pytest.fixture
def desk() -> Machine:
    """Document 000: one's own RTX 4090, 450 W, $0.15/kWh."""
    return Machine(
        name="home",
        node=Node(device=RTX4090),
        spec=MachineSpec(
            id="home",
            power={"stated": Value(range=Range.point(450), unit="w", text="450 W")},
            electricity=Value(range=Range.point(0.15), unit="usd_per_kwh", text="$0.15/kWh"),
        ),
    )


@pytest.fixture
def workflow() -> tuple[Segment, ...]:
    """Document 002, phase by phase: 6 h 35 min, and 2.5 h of documentation on top if wanted."""
    rows = [
        ("data-prep", 0, 30, "cpu"),
        ("sft", 8, 20, "gpu"),
        ("extensions", 1, 240, "human"),
        ("testing", 8, 45, "gpu"),
        ("validation", 2, 60, "gpu"),
        ("documentation", 0, 150, "human"),
    ]
    return tuple(
        Segment(
            id=name,
            name=name,
            gpus=gpus,
            wall=Spread.exact(minutes * 60, "stated", "document 002"),
            by=by,
            optional=name == "documentation",
        )
        for name, gpus, minutes, by in rows
    )
