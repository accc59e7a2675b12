"""What it costs where: the plan's machines and catalog offers with price, date, hours and cost; energy.

Owns the comparison table. How a node's bill comes about is `node`.
"""

from __future__ import annotations

from collections.abc import Iterator

from headway.cost.energy import Energy
from headway.report.answer import Answer, MachineAnswer
from headway.report.figures import HOUR_S, NONE, UNKNOWN, dollars, ends, fixed, hours_column, interval_name, places, usd
from headway.report.sections.selection import is_known
from headway.report.view import Column, Detail, Fact, Item, Note, Section, Table, by_columns


def parts(answer: Answer, detail: Detail) -> Iterator[Section]:
    """Machines side by side, and the energy block."""
    items: list[Item] = []
    if answer.machines:
        items.append(_table(answer, detail))
    if items:
        yield Section(title="Machines", items=tuple(items))
    yield from _energy(answer, detail)


def _table(answer: Answer, detail: Detail) -> Table:
    machines = answer.machines
    costs = [machine.bill.total_usd if machine.bill and is_known(machine.estimate) else None for machine in machines]
    bounds = [None if cost is None else ends(cost, detail.confidence) for cost in costs]
    priced = [machine.bill.priced_on if machine.bill else "" for machine in machines]
    notes = [
        "Prices are the plan's (stated), or the catalog's with their date."
        if any(priced) else "",
        "* Hours of the plan's own machine: the stated rates say nothing of this device."
        if any(not machine.hours_transferred for machine in machines[1:]) else "",
    ]  # fmt: skip
    return by_columns(
        [
            (Column(name="Machine", least=12), [_name(machine) for machine in machines]),
            (Column(name="GPU", drop=3), [_gpu(machine) for machine in machines]),
            (Column(name="$/h", align="right"), [_rate(answer, machine) for machine in machines]),
            (Column(name="priced", drop=2), [_priced(machine) for machine in machines]),
            (Column(name="GPU-h", align="right"), _hours(answer)),
            (Column(name="cost", align="right"), [UNKNOWN if cost is None else dollars(cost.p50) for cost in costs]),
            (Column(name=interval_name(detail.confidence), align="right", drop=1),
             ["" if pair is None else f"{dollars(pair[0])}–{dollars(pair[1])}" for pair in bounds]),
        ],
        note=" ".join(note for note in notes if note),
    )  # fmt: skip


def _hours(answer: Answer) -> list[str]:
    cells = hours_column(
        [machine.estimate.gpu_s.p50 if is_known(machine.estimate) else None for machine in answer.machines]
    )
    own = answer.machines[0]
    return [
        f"{cell}*" if machine is not own and not machine.hours_transferred else cell
        for cell, machine in zip(cells, answer.machines, strict=True)
    ]


def _name(machine: MachineAnswer) -> str:
    """`aws-v100 (p3.2xlarge)`; offers by provider and instance."""
    if machine.from_catalog:
        return " ".join(part for part in (machine.provider, machine.instance) if part) or machine.name
    named = machine.instance and machine.instance != machine.name
    return f"{machine.name} ({machine.instance})" if named else machine.name


def _gpu(machine: MachineAnswer) -> str:
    return machine.device if machine.gpus == 1 else f"{machine.gpus} × {machine.device}"


def rate_usd_per_hour(answer: Answer, machine: MachineAnswer) -> float | None:
    """Dollars an hour of the whole machine, as the bill charges it; None where no price is known or none is paid.

    A bill of no hours charges nothing: the price is then that of the machine or of the offer.
    """
    bill = machine.bill
    lines = bill.lines if bill is not None and bill.billed_s is not None else ()
    compute = next((line for line in lines if line.name == "compute"), None)
    if bill is None or compute is None or compute.gpu_s is None or not compute.gpu_s.p50:
        return _machine_rate(answer, machine)
    return None if compute.usd is None else round(compute.usd.p50 / compute.gpu_s.p50 * HOUR_S * bill.gpus, 6)


def _machine_rate(answer: Answer, machine: MachineAnswer) -> float | None:
    """The price that the plan's way to pay has on this machine; that of the offer for one from the catalog."""
    spot = answer.plan.run.pricing == "spot"
    if machine.from_catalog:
        offers = (one for one in answer.lookup.offers if f"{one.provider} {one.instance}".strip() == machine.name)
        offer = next(offers, None)
        listed = None if offer is None else offer.spot_usd_per_hour if spot else offer.usd_per_hour
        return None if listed is None or offer is None else listed * machine.gpus / offer.gpus
    known = answer.lookup.machines.get(machine.name)
    price = None if known is None else known.spot_price if spot else known.price
    if price is None or (answer.plan.run.pricing == "reserved" and price.kind != "stated"):
        return None
    return price.usd_per_hour.mid


def _rate(answer: Answer, machine: MachineAnswer) -> str:
    bill = machine.bill
    if bill is not None and bill.billed_gpu_s is None:
        return "power" if bill.total_usd is not None else UNKNOWN
    rate = rate_usd_per_hour(answer, machine)
    return UNKNOWN if rate is None else fixed(rate, 2 if rate >= 0.1 else 3)


def _priced(machine: MachineAnswer) -> str:
    bill = machine.bill
    if bill is None or not bill.price_kind:
        return NONE
    return bill.priced_on or bill.price_kind


def _energy(answer: Answer, detail: Detail) -> Iterator[Section]:
    """Kilowatt-hours, which watt they are, and what their electricity costs."""
    energy = answer.energy
    if energy is None or not is_known(answer.estimate):
        return
    kwh = energy.kwh
    if kwh is None:
        fact = Fact(label="energy", text=UNKNOWN, note="; ".join(energy.notes))
        yield Section(title="Energy", items=(fact,))
        return
    bounds = ends(kwh, detail.confidence)
    decimals = places(kwh.p50)
    around = "" if bounds is None else f" ({fixed(bounds[0], decimals)}–{fixed(bounds[1], decimals)})"
    text = f"{fixed(kwh.p50, decimals)} kWh{around}"
    items: list[Item] = [Fact(label="energy", text=text, kind=kwh.kind, note=energy_basis(energy))]
    tariff = answer.lookup.machines[answer.machines[0].name].spec.electricity if _tariffed(answer) else None
    if energy.usd is not None:
        at = f" at ${tariff.mid:g}/kWh" if tariff else ""
        items.append(Fact(label="electricity", text=f"{usd(energy.usd, detail.confidence)}{at}", kind=energy.usd.kind))
    items += [Note(text=f"{note[:1].upper()}{note[1:]}.") for note in energy.notes]
    yield Section(title="Energy", items=tuple(items))


def energy_basis(energy: Energy) -> str:
    """Which watt this is, with the factor for cooling where the building's cooling is counted."""
    cooling = energy.terms.get("cooling")
    inside = sum(joule.mean for name, joule in energy.terms.items() if name != "cooling")
    if cooling is None or not inside:
        return energy.basis
    return f"{energy.basis} × {fixed(1 + cooling.mean / inside, 2)} for cooling"


def _tariffed(answer: Answer) -> bool:
    return bool(answer.machines) and answer.machines[0].name in answer.lookup.machines
