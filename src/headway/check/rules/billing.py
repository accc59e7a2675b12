"""HW3xx, billing: how a provider turns running time into billed time.

Owns stated blocks and tiers against the catalog's rules. The bill itself is `cost/billing`.
"""

from __future__ import annotations

from collections.abc import Iterator

from headway.check.case import Case
from headway.check.rule import Rule
from headway.domain.errors import Finding
from headway.domain.lookup import Machine
from headway.domain.units import format_duration

NO_TIER = "none"
"""What the catalog writes where a provider has no machines that it may take back."""


def is_foreign(machine: Machine) -> bool:
    """True where the plan states a longer block of billed time than the provider is known to round to."""
    block, rule = machine.spec.billing_block, machine.billing
    if block is None or block.unknown or rule is None:
        return False
    return block.mid > max(rule.granularity_s, rule.minimum_s)


def _blocks(case: Case) -> Iterator[Finding]:
    for machine in case.lookup.machines.values():
        block, rule = machine.spec.billing_block, machine.billing
        if block is None or rule is None or not is_foreign(machine):
            continue
        least = f", at least {format_duration(rule.minimum_s)}" if rule.minimum_s > rule.granularity_s else ""
        yield BLOCK.finding(
            f"{rule.provider} rounds time up to {format_duration(rule.granularity_s)}{least}, not to {block.text}",
            where=block.where,
            evidence={
                "machine": machine.name, "stated_s": block.mid, "granularity_s": rule.granularity_s,
                "minimum_s": rule.minimum_s, "date": rule.date, "confidence": rule.confidence,
            },
            hint="Leave billing.block out, or say which contract has it.",
        )  # fmt: skip


def _spot_is_asked(case: Case) -> Iterator[Machine]:
    """Machines for which the plan, or one of its options, wants to pay spot prices; each once."""
    run = case.plan.run
    asked = {run.machine} if run.pricing == "spot" else set()
    for option in case.plan.options.values():
        if option.set.get("run.pricing") == "spot":
            asked.add(str(option.set.get("run.machine", run.machine)))
    for name, machine in case.lookup.machines.items():
        if name in asked or machine.spec.spot_price is not None or machine.spec.spot_discount is not None:
            yield machine


def _tiers(case: Case) -> Iterator[Finding]:
    for machine in _spot_is_asked(case):
        if machine.billing is None or machine.billing.spot_name != NO_TIER:
            continue
        spec, rule = machine.spec, machine.billing
        where = spec.spot_price.where if spec.spot_price else case.plan.where("run.pricing")
        yield TIER.finding(
            f"{rule.provider} rents out no spot machines: everything is on demand",
            where=where if where.line else spec.where,
            evidence={"machine": machine.name, "provider": rule.provider, "date": rule.date, "source": rule.evidence},
            hint="Plan with its price on demand, or with a provider that has a spot tier.",
        )


_RENTED = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 10k, length: 128}}
run: {{machine: {{{machine}}}}}
"""

BLOCK = Rule(
    code="HW318",
    name="billing block of another time",
    severity="warning",
    says="Time is rounded up as the provider does it.",
    because="AWS bills Linux instances by the second, 60 s at least, since 2017-10-02; hourly blocks make short phases "
    "look dear and shutting down in between useless.",
    fails=_RENTED.format(machine="instance: p5.48xlarge, billing: {unit: node, block: 1 h}"),
    passes=_RENTED.format(machine="instance: p5.48xlarge, billing: {unit: node, block: 1 s}"),
    find=_blocks,
)
TIER = Rule(
    code="HW320",
    name="spot tier that is not there",
    severity="warning",
    says="The provider has a spot tier where a plan counts on one.",
    because="Lambda, for one, rents out on demand and by reservation only (docs.lambda.ai).",
    fails=_RENTED.format(machine="provider: Lambda Labs, gpu: A10, price: $1.29/h, spot: {discount: 50%}"),
    passes=_RENTED.format(machine="provider: AWS, gpu: A10G, price: $1.01/h, spot: {discount: 50%}"),
    find=_tiers,
)
RULES = (BLOCK, TIER)
