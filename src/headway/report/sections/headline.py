"""The answer in a few lines: time, money, memory, what binds, what would narrow the interval.

Owns the first section of the page; the tables behind it are its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from headway.cost.spot import interrupted_within
from headway.domain.spread import Spread
from headway.domain.units import format_duration, format_share
from headway.estimate.nouns import Basis, Estimate, StageEstimate
from headway.report.answer import Answer
from headway.report.figures import HOUR_S, NONE, UNKNOWN, duration, fixed, gpu_hours, places, size, times, usable, usd
from headway.report.sections.remarks import MOST_ERRORS, errors, finding_note
from headway.report.sections.selection import MAIN, is_known, is_short, is_single, trained
from headway.report.view import Detail, Fact, Section

BINDS = {
    "compute": "compute: the matrix units",
    "bandwidth": "bandwidth: GPU memory",
    "overhead": "overhead: launching kernels, not computing",
    "communication": "communication between GPUs",
}

MOMENTS = {
    "load": "loading",
    "loss": "the loss",
    "backward_start": "the backward pass",
    "backward_end": "the backward pass",
    "lookup": "the backward pass",
    "optimizer": "the optimizer step",
}


def parts(answer: Answer, detail: Detail) -> Iterator[Section]:
    """The lines that answer the question; an unknown is said, never 0."""
    facts: list[Fact] = [
        *_time(answer, detail),
        *_money(answer, detail),
        *_memory(answer, detail),
        *_binds(answer, detail),
    ]
    if answer.narrower:
        facts.append(Fact(label="narrower", text=answer.narrower))
    facts.append(Fact(label="next", text=answer.next_command, note=_or_explain(answer.next_command)))
    urgent = tuple(finding_note(finding) for finding in errors(answer)[:MOST_ERRORS])
    yield Section(title="", items=(*facts, *urgent))


def _or_explain(next_command: str) -> str:
    """Where a measurement comes next: the way to a number's source too."""
    chain = next_command.replace("headway measure", "headway explain totals.gpu_hours", 1)
    return f"or {chain}: where a number comes from" if chain != next_command else ""


def _time(answer: Answer, detail: Detail) -> Iterator[Fact]:
    made = answer.estimate
    kind = made.gpu_s.kind
    if not is_known(made):
        yield Fact(label="time", text=_unknown(made, detail), note=_fallback(made.rates))
        return
    whole = gpu_hours(made.gpu_s, detail.confidence)
    if is_short(answer):
        yield Fact(label="time", text=duration(made.wall_s, detail.confidence), kind=kind)
        yield Fact(label="", text=f"{whole} on 1 GPU")
    else:
        yield Fact(label="time", text=whole, kind=kind)
        yield Fact(label="", text=_wall(answer, detail))
    if made.buffer_share:
        yield Fact(label="", text=f"{format_share(made.buffer_share)} buffer included")
    yield from _beside(answer, detail)


def _unknown(made: Estimate, detail: Detail) -> str:
    """`unknown: no rate for training steps under --rates measured; 2.50 GPU-hours of other terms are known`."""
    missing = [f"{words} ({made.left_out[term]})" for term, words in MAIN.items() if term in made.left_out]
    if not missing:
        return f"{UNKNOWN}: no rate is known under --rates {made.rates}"
    text = f"{UNKNOWN}: no rate for {' and '.join(missing)} under --rates {made.rates}"
    if not made.wall_s.p90 > 0:
        return text
    return f"{text}; {gpu_hours(made.gpu_s, detail.confidence)} of everything else are known"


def _fallback(rates: str) -> str:
    return "" if rates == "best" else "--rates best falls back to predictions"


def _step(answer: Answer, detail: Detail) -> str:
    """`a step: 1.80 s stated (2,000 an hour), 125 ms predicted; ` of the stage with the most steps."""
    found = [(stage, basis) for _, stage, basis in trained(answer) if stage.stated_step_s is not None]
    if not found:
        return ""
    stage, basis = max(found, key=lambda pair: pair[0].steps)
    stated = stage.stated_step_s
    if stated is None or not stated.p50:
        return ""
    said = f"{duration(stated, detail.confidence)} stated ({HOUR_S / stated.p50:,.0f} an hour)"
    known = _known_step(stage, basis)
    return f"a step: {said}, {duration(known, detail.confidence)} {known.kind}; "


def _known_step(stage: StageEstimate, basis: Basis) -> Spread:
    """One step as it was measured, where that is what the total is made of; else as predicted."""
    whole, count = stage.terms_s.get("step"), stage.counts.get("step")
    if whole is None or not count or whole.kind != "measured":
        return basis.step_s
    return whole * (1 / count)


def _wall(answer: Answer, detail: Detail) -> str:
    """The wall clock, and the calendar where it fills days."""
    wall, calendar = answer.estimate.wall_s, answer.calendar
    serial = "one experiment after the other" if len(answer.estimate.experiments) > 1 else "from start to end"
    if answer.estimate.at_a_time > 1:
        serial = f"{answer.estimate.at_a_time} experiments at a time"
    if wall.p50 < 48 * HOUR_S:
        return f"{duration(wall, detail.confidence)} {serial}"
    text = f"{fixed(calendar.days.p50, 1)} days around the clock"
    if calendar.hours_per_day < 24:
        text += f", {fixed(calendar.working_days.p50, 1)} days at {calendar.hours_per_day:g} h a day"
    return text


def _beside(answer: Answer, detail: Detail) -> Iterator[Fact]:
    """The prediction beside the stated rates, or the other way round."""
    other, ratio = answer.beside, answer.beside_ratio
    if other is None or ratio is None or not is_known(other):
        return
    said = duration(other.wall_s, detail.confidence) if is_short(answer) else gpu_hours(other.gpu_s, detail.confidence)
    slower = f"{times(ratio)} slower" if ratio >= 1 else f"{times(1 / ratio)} faster"
    who = "headway predicts" if answer.estimate.rates == "stated" else "the plan's own rates say"
    steps = {(stage.stated_step_s.p50, basis.step_s.p50) for _, stage, basis in trained(answer) if stage.stated_step_s}
    over = "over all steps " if len(steps) > 1 else ""
    known = "what was measured" if answer.estimate.terms_s["step"].kind == "measured" else "the prediction"
    yield Fact(label="", text=f"{who} {said}", kind=other.gpu_s.kind,
               note=f"{_step(answer, detail)}{over}the stated rates are {slower} than {known}")  # fmt: skip


def _money(answer: Answer, detail: Detail) -> Iterator[Fact]:
    first = answer.machines[0] if answer.machines else None
    bill = first.bill if first else None
    if bill is None or bill.total_usd is None or not is_known(answer.estimate):
        yield Fact(label="money", text=UNKNOWN, note=_why_unknown(answer))
    else:
        said = [f"priced {bill.priced_on}" if bill.priced_on else "", _uninterrupted(answer)]
        note = "; ".join(part for part in said if part)
        yield Fact(label="money", text=f"{usd(bill.total_usd, detail.confidence)}{_for_what(answer)}",
                   kind=bill.total_usd.kind, note=note)  # fmt: skip
        if more := _billed(answer):
            yield Fact(label="", text=more)
    priced = [m for m in answer.machines[1:] if m.bill is not None and m.bill.total_usd is not None]
    if priced and is_known(answer.estimate):
        cheapest = min(priced, key=lambda m: m.bill.total_usd.p50 if m.bill and m.bill.total_usd else 0.0)
        if cheapest.bill:
            yield Fact(label="", text="cheapest elsewhere: "
                       f"{usd(cheapest.bill.total_usd, detail.confidence)} on {cheapest.name}")  # fmt: skip


def _why_unknown(answer: Answer) -> str:
    """What has to be said before there is a cost."""
    if not is_known(answer.estimate):
        return "without a time there is no cost"
    bill = answer.machines[0].bill if answer.machines else None
    if bill is not None and bill.billed_gpu_s is not None and bill.notes:
        return bill.notes[0]
    return "no price of the machine is stated, and no price of electricity: run.machine.price, or --price 0.59"


def _for_what(answer: Answer) -> str:
    """` of electricity, 153.8 kWh`, or ` on-demand on p5.48xlarge`."""
    bill = answer.machines[0].bill
    if bill is not None and bill.billed_gpu_s is not None:
        return f" {bill.pricing} on {answer.machines[0].name}"
    kwh = answer.energy.kwh if answer.energy else None
    return " of electricity" + ("" if kwh is None else f", {fixed(kwh.p50, places(kwh.p50))} kWh")


def _billed(answer: Answer) -> str:
    """`72.0 GPU-hours billed for 19.1 used`, where that is more."""
    bill = answer.machines[0].bill
    if bill is None or bill.billed_gpu_s is None:
        return ""
    billed, used = bill.billed_gpu_s.p50 / HOUR_S, answer.estimate.gpu_s.p50 / HOUR_S
    if billed <= used * 1.01:
        return ""
    return f"{fixed(billed, places(billed))} GPU-hours billed for {fixed(used, places(used))} used"


def _uninterrupted(answer: Answer) -> str:
    """`no interruption counted; 100 % likely within 230 h` for a spot machine whose hazard is known."""
    first = answer.machines[0]
    machine = answer.lookup.machines.get(first.name)
    if first.bill is None or first.bill.pricing != "spot" or machine is None or machine.hazard_per_hour is None:
        return ""
    wall_s = answer.estimate.wall_s.p50
    chance = interrupted_within(wall_s, machine.hazard_per_hour).mid
    return f"no interruption counted; one is {format_share(chance)} likely within {format_duration(wall_s)}"


def _memory(answer: Answer, detail: Detail) -> Iterator[Fact]:
    found = {id(basis): basis for _, _, basis in trained(answer)}
    if not found:
        yield Fact(label="memory", text=UNKNOWN, note="nothing is trained whose memory could be counted")
        return
    tightest = min(found.values(), key=lambda basis: (basis.fits_probability, -basis.peak_memory_bytes.p50))
    verdict = {
        "yes": "fits: ",
        "no": "does not fit: ",
        "uncertain": f"may not fit: fits with a probability of {fixed(100 * tightest.fits_probability, 0)} %; ",
    }[tightest.fits]
    peak = f"{size(tightest.peak_memory_bytes, detail.confidence)} of {usable(tightest)}"
    several = "the tightest run; " if len(found) > 1 and not is_single(answer) else ""
    moment = MOMENTS.get(tightest.memory_moment, tightest.memory_moment)
    yield Fact(label="memory", text=f"{verdict}peak {peak}", kind=tightest.peak_memory_bytes.kind,
               note=f"{several}highest during {moment}")  # fmt: skip


def _binds(answer: Answer, detail: Detail) -> Iterator[Fact]:
    found = trained(answer)
    if not found:
        return
    _, _, basis = max(found, key=lambda item: item[1].gpu_s.p50)
    shares = _largest(basis)
    used = f"{format_share(basis.utilisation.p50)} of the dense peak (MFU)"
    note = f"of a step: {shares}" if shares != NONE and (is_single(answer) or detail.verbose) else ""
    yield Fact(label="binds", text=f"{BINDS.get(basis.binds, basis.binds)}; {used}", kind=basis.step_s.kind, note=note)
    if answer.estimate.rates != "stated":
        yield Fact(label="evidence", text=f"{basis.tier}: {basis.evidence}")


def _largest(basis: Basis) -> str:
    """The three largest terms of a predicted step: `backward 58 %, forward 29 %, optimizer 8 %`."""
    total = sum(spread.p50 for spread in basis.step_terms_s.values())
    ranked: Iterable[tuple[str, float]] = sorted(
        ((name, spread.p50) for name, spread in basis.step_terms_s.items()), key=lambda item: -item[1]
    )
    named = [f"{name} {fixed(100 * seconds / total, 0)} %" for name, seconds in list(ranked)[:3] if total and seconds]
    return ", ".join(named) or NONE
