"""HW40x, money: costs that are not hours times price, and hours of one machine at the price of another.

Owns claimed amounts. What an offer really costs is `facts`; how hours are billed is `billing`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from headway.check.case import Case
from headway.check.claims.amounts import Amount, Costing, costing, meets, nearest
from headway.check.claims.scope import Scopes
from headway.check.claims.written import SLIP, covered, distance, dollars, said, values
from headway.check.rule import Rule
from headway.check.rules.billing import is_foreign
from headway.check.words import joined
from headway.domain.errors import Finding
from headway.domain.lookup import Machine
from headway.domain.statement import Claim, Value
from headway.domain.units import Range, format_share


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """One claimed cost with what it can be."""

    claim: Claim
    value: Value
    costing: Costing

    def missed(self) -> list[float]:
        """The ends of the claimed cost that no hours times price make."""
        if self.costing.free and self.value.mid == 0:
            return []
        ends = dict.fromkeys((self.value.range.low, self.value.range.high))
        return [end for end in ends if not meets(self.value, end, self.costing.whole)]


def _priced(case: Case) -> Iterator[Priced]:
    scopes = Scopes(case)
    for claim in scopes.claims:
        found = costing(case, scopes, claim) if "cost" in claim.path and values(claim) else None
        if found is not None:
            yield from (Priced(claim=claim, value=value, costing=found) for value in values(claim))


def _transferred(case: Case) -> Iterator[Finding]:
    """Costs on machines with another GPU than the one that the stated hours are of."""
    own = case.machine
    claims = [claim for claim in case.plan.claims if not claim.owner and claim.path[0] == "cost" and values(claim)]
    other = [
        (claim, case.lookup.machines[claim.path[-1]]) for claim in claims if claim.path[-1] in case.lookup.machines
    ]
    if own is None or not other or not case.stated.estimate.gpu_s.p50:
        return
    scopes = Scopes(case)
    wrong = [(claim, machine) for claim, machine in other if not _same_device(case, machine)
             and (found := costing(case, scopes, claim)) is not None
             and meets(values(claim)[0], values(claim)[0].range.low, found.whole)]  # fmt: skip
    if wrong:
        words = joined(f"{said(values(claim)[0])} for {machine.name}" for claim, machine in wrong)
        devices = joined(dict.fromkeys(machine.node.device.name for _, machine in wrong))
        yield OTHER_DEVICE.finding(
            f"hours of {own.node.device.name} are priced on {devices}: {words}",
            where=values(wrong[0][0])[0].where,
            evidence={machine.name: values(claim)[0].mid for claim, machine in wrong},
            hint=f"Predict the hours of each GPU: headway estimate --machine {wrong[0][1].name}.",
        )


def _same_device(case: Case, machine: Machine) -> bool:
    """True where hours of the plan's machine are hours of this one."""
    return case.machine is None or machine.node.device.name == case.machine.node.device.name


def _products(case: Case) -> Iterator[Finding]:
    owners: dict[str, list[tuple[Priced, float, Amount]]] = {}
    for one in _priced(case):
        for end in one.missed() if _same_device(case, one.costing.machine) else ():
            if not meets(one.value, end, one.costing.shared):
                owners.setdefault(one.claim.owner, []).append((one, end, nearest(one.value, end, one.costing)))
    for owner, several in owners.items():
        words = "; ".join(
            f"{dollars(end)} is claimed, {right.words} is {dollars(right.usd)}" for _, end, right in several
        )
        worst = max(distance(covered(one.value), Range.point(right.usd)) for one, _, right in several)
        of = owner.removeprefix("options.") or "the plan"
        yield NOT_HOURS_TIMES_PRICE.finding(
            f"cost of {of}: {words}",
            where=several[0][0].value.where,
            evidence={f"{'.'.join(one.claim.path)} {end:g}": right.usd for one, end, right in several},
            hint="Multiply the exact hours, and round the dollars.",
            severity="info" if worst <= SLIP else "warning",
        )


def _shares(case: Case) -> Iterator[Finding]:
    """Money for some GPUs of a machine that is billed whole."""
    found: list[tuple[Priced, Amount, Amount]] = []
    for one in _priced(case):
        machine = one.costing.machine
        whole = machine.spec.billing_unit == "node" or (
            machine.spec.billing_unit != "gpu" and machine.billing is not None and machine.billing.whole_node
        )
        shared = [end for end in one.missed() if end and meets(one.value, end, one.costing.shared)]
        if whole and shared:
            right = next(amount for amount in one.costing.shared if meets(one.value, shared[0], (amount,)))
            bill = next(amount for amount in one.costing.whole if right.words.startswith(amount.words))
            found.append((one, right, bill))
    if found:
        words = joined(
            f"{said(one.value)} for {one.claim.owner or 'the plan'} is {right.words}, and the bill says "
            f"{dollars(bill.usd)}" for one, right, bill in found
        )  # fmt: skip
        yield BILLED_WHOLE.finding(
            f"the machine is billed whole: {words}",
            where=found[0][0].value.where,
            evidence={one.claim.owner or "plan": [one.value.mid, bill.usd] for one, _, bill in found},
            hint="Count the whole machine, or rent an instance with fewer GPUs for this part.",
        )


def _rounded_blocks(case: Case) -> Iterator[Finding]:
    """Totals without the rounding of billed time that the plan states."""
    machine = case.machine
    if machine is None or machine.spec.billing_block is None or is_foreign(machine):
        return  # blocks that the provider does not have are to be dropped, not counted
    claims = [claim for claim in case.plan.claims if not claim.owner and "cost" in claim.path and values(claim)
              and claim.path[0] not in ("safe", "active") and claim.path[-1] not in case.lookup.machines]  # fmt: skip
    pricing = case.plan.run.pricing
    claims = [claim for claim in claims if claim.path[-1] in ("cost", pricing)]
    bill = case.stated.bill if claims else None
    rounding = [line.usd.p50 for line in bill.lines if line.name == "rounding" and line.usd] if bill else []
    if bill is None or bill.total_usd is None or bill.billed_s is None or not rounding or rounding[0] <= 0:
        return
    value = values(claims[0])[0]
    if covered(value).high < bill.total_usd.p50:
        yield WITHOUT_BLOCKS.finding(
            f"{said(value)} leaves out the rounding that the plan states: {bill.running_s.p50 / 3600:.2f} h are "
            f"billed as {bill.billed_s.p50 / 3600:g} h, {dollars(bill.total_usd.p50)}",
            where=value.where,
            evidence={"claimed_usd": value.mid, "billed_usd": bill.total_usd.p50, "rounding_usd": rounding[0]},
            hint="Round each rental up to its block, or correct the block.",
        )


def _discounts(case: Case) -> Iterator[Finding]:
    for machine in case.lookup.machines.values():
        spec = machine.spec
        if spec.spot_discount is None or spec.spot_price is None or spec.price is None or spec.price.mid <= 0:
            continue
        off = Range(*(1 - price / spec.price.mid for price in
                      (spec.spot_price.range.high, spec.spot_price.range.mid, spec.spot_price.range.low)))  # fmt: skip
        compared = Range.point(off.mid) if spec.spot_discount.range.is_point else off
        if off.low >= 0 and distance(covered(spec.spot_discount), compared):
            ends = "" if off.is_point else f" ({format_share(off.low)} to {format_share(off.high)})"
            yield OTHER_DISCOUNT.finding(
                f"a discount of {said(spec.spot_discount)} is stated, and {said(spec.spot_price)} against "
                f"{said(spec.price)} is {format_share(off.mid)}{ends}",
                where=spec.spot_discount.where,
                evidence={"stated": spec.spot_discount.mid, "computed": [off.low, off.mid, off.high]},
                hint="Keep the price, and let the discount follow.",
            )


_COST = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 8k, length: 128}}
micro_batch: 8
stated: {{step: 3.6 s, load: 0 s}}
run:
  machine: {machine}
  machines:
    mine: {{gpu: RTX 4090}}
    rented: {{gpu: {gpu}, price: $2/h{more}}}
claims: {{cost: {cost}}}
"""
_NODE = """headway: 1
phases:
  one: {{do: tests, gpus: 1, stated: {{wall: 4 h}}, claims: {{cost: {cost}}}}}
run: {{machine: {{gpu: H100 SXM 80GB, gpus: 8, price: $32/h, billing: {{unit: node{block}}}}}}}
"""
_BLOCKS = """headway: 1
do: tests
gpus: 8
stated: {{wall: 90 min}}
run: {{machine: {{gpu: H100 SXM 80GB, gpus: 8, price: $32/h, billing: {{unit: node, block: 1 h}}}}}}
claims: {{cost: {cost}}}
"""
_DISCOUNT = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 8k, length: 128}}
run: {{machine: {{gpu: RTX 4090, price: $1/h, spot: {{price: $0.40/h, discount: {off}}}}}}}
"""

OTHER_DEVICE = Rule(
    code="HW401",
    name="hours of another GPU",
    severity="error",
    says="A price is multiplied with the hours of the GPU that it rents.",
    because="Hours measured or believed on one GPU are not those of another: memory, formats and rates differ, and the "
    "job may not even fit.",
    fails=_COST.format(machine="mine", gpu="T4", more="", cost="{rented: $2}"),
    passes=_COST.format(machine="mine", gpu="RTX 4090", more="", cost="{rented: $2}"),
    find=_transferred,
)
NOT_HOURS_TIMES_PRICE = Rule(
    code="HW402",
    name="cost not hours times price",
    severity="warning",
    says="A claimed cost is some hours of the plan times a price of the plan.",
    because="Tried are the claimed and computed hours of the same thing, with and without buffer, at every "
    "stated price and at the share of the GPUs used; the nearest is shown.",
    fails=_COST.format(machine="rented", gpu="RTX 4090", more="", cost="$3"),
    passes=_COST.format(machine="rented", gpu="RTX 4090", more="", cost="$2"),
    find=_products,
)
BILLED_WHOLE = Rule(
    code="HW403",
    name="share of a whole machine",
    severity="error",
    says="A machine that is billed whole costs its whole price, however many GPUs are used.",
    because="An instance of eight GPUs has one price; using one of them does not make it an eighth.",
    fails=_NODE.format(cost="$16", block=""),
    passes=_NODE.format(cost="$128", block=""),
    find=_shares,
)
WITHOUT_BLOCKS = Rule(
    code="HW404",
    name="billed blocks left out",
    severity="warning",
    says="A total holds the rounding of billed time that the plan states.",
    because="Blocks of an hour bill 8.6 h as 9, and each restart once more.",
    fails=_BLOCKS.format(cost="$48"),
    passes=_BLOCKS.format(cost="$64"),
    find=_rounded_blocks,
)
OTHER_DISCOUNT = Rule(
    code="HW409",
    name="discount unlike the prices",
    severity="warning",
    says="A stated discount is what the two prices beside it make.",
    because="A discount taken from the cheapest end of a price range is met in the cheapest hour only.",
    fails=_DISCOUNT.format(off="70%"),
    passes=_DISCOUNT.format(off="60%"),
    find=_discounts,
)
RULES = (OTHER_DEVICE, NOT_HOURS_TIMES_PRICE, BILLED_WHOLE, WITHOUT_BLOCKS, OTHER_DISCOUNT)
