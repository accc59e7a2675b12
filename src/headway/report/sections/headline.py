"""The answer in a few lines: time, money, memory, what binds, what would narrow the interval.

Owns the first section of the page; the tables behind it are its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from headway.domain.units import format_bytes, format_share
from headway.estimate.nouns import Basis
from headway.report.answer import Answer
from headway.report.figures import HOUR_S, NONE, UNKNOWN, count, duration, fixed, gpu_hours, places, size, times, usd
from headway.report.sections.selection import is_single, trained
from headway.report.view import Detail, Fact, Section

BINDS = {
    "compute": "compute: the matrix units",
    "bandwidth": "bandwidth: GPU memory",
    "overhead": "overhead: launching kernels, not computing",
    "communication": "communication between GPUs",
}


def parts(answer: Answer, detail: Detail) -> Iterator[Section]:
    """The lines that answer the question; an unknown is said, never 0."""
    facts = [*_time(answer, detail), *_money(answer, detail), *_memory(answer, detail), *_binds(answer, detail)]
    if answer.narrower:
        facts.append(Fact(label="narrower", text=answer.narrower))
    yield Section(title="", items=tuple(facts))


def _time(answer: Answer, detail: Detail) -> Iterator[Fact]:
    made = answer.estimate
    kind = made.gpu_s.kind
    if not made.terms_s:
        yield Fact(label="time", text=UNKNOWN, note=f"no rate is known under --rates {made.rates}")
        return
    whole = gpu_hours(made.gpu_s, detail.confidence)
    one_gpu = made.gpu_s.p50 == made.wall_s.p50
    if one_gpu and made.wall_s.p50 < 24 * HOUR_S:
        yield Fact(label="time", text=duration(made.wall_s, detail.confidence), kind=kind)
        yield Fact(label="", text=f"{whole} on 1 GPU")
    else:
        yield Fact(label="time", text=whole, kind=kind)
        yield Fact(label="", text=_wall(answer, detail))
    if made.buffer_share:
        yield Fact(label="", text=f"{format_share(made.buffer_share)} buffer included")
    yield from _beside(answer, detail)


def _wall(answer: Answer, detail: Detail) -> str:
    """The wall clock, and the calendar where it fills days."""
    wall, calendar = answer.estimate.wall_s, answer.calendar
    serial = "one experiment after the other" if len(answer.estimate.experiments) > 1 else "from start to end"
    if wall.p50 < 48 * HOUR_S:
        return f"{duration(wall, detail.confidence)} {serial}"
    text = f"{fixed(calendar.days.p50, 1)} days around the clock"
    if calendar.hours_per_day < 24:
        text += f", {fixed(calendar.working_days.p50, 1)} days at {calendar.hours_per_day:g} h a day"
    return text


def _beside(answer: Answer, detail: Detail) -> Iterator[Fact]:
    """The prediction beside the stated rates, or the other way round."""
    other, ratio = answer.beside, answer.beside_ratio
    if other is None or ratio is None:
        return
    said = gpu_hours(other.gpu_s, detail.confidence)
    slower = f"{times(ratio)} slower" if ratio >= 1 else f"{times(1 / ratio)} faster"
    if answer.estimate.rates == "stated":
        yield Fact(label="", text=f"headway predicts {said}", kind=other.gpu_s.kind,
                   note=f"for what both cover, the stated rates are {slower} than the prediction")  # fmt: skip
    else:
        yield Fact(label="", text=f"the plan's own rates: {said}", kind=other.gpu_s.kind,
                   note=f"for what both cover, they are {slower} than the prediction")  # fmt: skip


def _money(answer: Answer, detail: Detail) -> Iterator[Fact]:
    first = answer.machines[0] if answer.machines else None
    bill = first.bill if first else None
    if bill is None or bill.total_usd is None:
        reason = bill.notes[0] if bill and bill.notes else "no price is known: give --price 0.59 or run.machine.price"
        yield Fact(label="money", text=UNKNOWN, note=reason)
    else:
        priced_on = f"priced {bill.priced_on}" if bill.priced_on else ""
        note = "; ".join(part for part in (_price(answer), priced_on) if part)
        yield Fact(label="money", text=f"{usd(bill.total_usd, detail.confidence)}{_for_what(answer)}",
                   kind=bill.total_usd.kind, note=note)  # fmt: skip
    priced = [m for m in answer.machines[1:] if m.bill is not None and m.bill.total_usd is not None]
    if priced:
        cheapest = min(priced, key=lambda m: m.bill.total_usd.p50 if m.bill and m.bill.total_usd else 0.0)
        if cheapest.bill:
            yield Fact(label="", text=f"cheapest of {count(len(priced), 'other machine')}: "
                       f"{usd(cheapest.bill.total_usd, detail.confidence)} on {cheapest.name}")  # fmt: skip


def _for_what(answer: Answer) -> str:
    bill = answer.machines[0].bill
    if bill is None or bill.billed_gpu_s is None:
        return " of electricity"
    return f" {bill.pricing} on {answer.machines[0].name}"


def _price(answer: Answer) -> str:
    """Where the money comes from: `153.8 kWh`, or `68.5 GPU-hours billed for 19.1 used`."""
    bill = answer.machines[0].bill
    if bill is None:
        return ""
    if bill.billed_gpu_s is None:
        kwh = answer.energy.kwh if answer.energy else None
        return "" if kwh is None else f"{fixed(kwh.p50, places(kwh.p50))} kWh"
    billed, used = bill.billed_gpu_s.p50 / HOUR_S, bill.used_gpu_s.p50 / HOUR_S
    if billed <= used * 1.01:
        return ""
    return f"{fixed(billed, places(billed))} GPU-hours billed for {fixed(used, places(used))} used"


def _memory(answer: Answer, detail: Detail) -> Iterator[Fact]:
    found = {id(basis): basis for _, _, basis in trained(answer)}
    if not found:
        yield Fact(label="memory", text=UNKNOWN, note="nothing is trained whose memory could be counted")
        return
    tightest = min(found.values(), key=lambda basis: (basis.fits_probability, -basis.peak_memory_bytes.p50))
    room = format_bytes(tightest.node.device.memory_bytes)
    verdict = {
        "yes": f"fits in {room}",
        "no": f"does not fit in {room}",
        "uncertain": f"may not fit in {room} (fits with {format_share(tightest.fits_probability)})",
    }[tightest.fits]
    peak = size(tightest.peak_memory_bytes, detail.confidence)
    several = "" if len(found) == 1 else f"the tightest of {len(found)} kinds of training; "
    yield Fact(label="memory", text=f"{verdict}: peak {peak}", kind=tightest.peak_memory_bytes.kind,
               note=f"{several}at the {tightest.memory_moment}".strip())  # fmt: skip


def _binds(answer: Answer, detail: Detail) -> Iterator[Fact]:
    found = trained(answer)
    if not found:
        return
    _, _, basis = max(found, key=lambda item: item[1].gpu_s.p50)
    shares = _largest(basis)
    used = f"{format_share(basis.utilisation.p50)} of the dense peak (MFU)"
    note = f"of a step: {shares}" if shares != NONE and (is_single(answer) or detail.verbose) else ""
    yield Fact(label="binds", text=f"{BINDS.get(basis.binds, basis.binds)}; {used}", kind=basis.step_s.kind, note=note)


def _largest(basis: Basis) -> str:
    """The three largest terms of a predicted step: `backward 58 %, forward 29 %, optimizer 8 %`."""
    total = sum(spread.p50 for spread in basis.step_terms_s.values())
    ranked: Iterable[tuple[str, float]] = sorted(
        ((name, spread.p50) for name, spread in basis.step_terms_s.items()), key=lambda item: -item[1]
    )
    named = [f"{name} {fixed(100 * seconds / total, 0)} %" for name, seconds in list(ranked)[:3] if total and seconds]
    return ", ".join(named) or NONE
