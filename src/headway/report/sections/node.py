"""A rented machine's bill: GPU-hours used against billed, line by line, ways to pay, interruptions, and the booking.

Owns the words of node billing. The arithmetic is `cost/`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from headway.cost.billing import Bill, BillLine
from headway.cost.scenarios import Booking, Scenario
from headway.domain.spread import Spread, total
from headway.domain.units import Range, format_duration, format_share
from headway.report.answer import Answer
from headway.report.figures import (
    HOUR_S,
    MEDIANS,
    UNKNOWN,
    apart,
    dollars,
    duration,
    ends,
    fixed,
    span,
    span_time,
    usd,
)
from headway.report.sections.selection import is_known
from headway.report.view import Column, Detail, Fact, Item, Note, Section, Table, by_columns

WAYS = {
    "keep-running": "on demand, kept running",
    "shut-down": "on demand, stopped when idle",
    "spot": "spot, kept running",
    "spot-stop": "spot, stopped when idle",
    "reserved": "reserved, paid from start to end",
}
AFTER = ("rounding", "reserve")
"""Lines that come on top of the time as it runs."""
LINES = {"compute": "GPU work", "idle": "idle", "buffer": "buffer", "rounding": "rounded up", "reserve": "set aside"}


def parts(answer: Answer, detail: Detail) -> Iterator[Section]:
    """The bill, the ways to pay where they differ, and what to book; nothing for a machine that is owned."""
    bill = answer.machines[0].bill if answer.machines else None
    if bill is None or bill.billed_gpu_s is None or not is_known(answer.estimate):
        return
    if len(bill.lines) > 1 or bill.gpus > 1 or bill.pricing != "on-demand" or detail.verbose:
        items: list[Item] = [_lines(bill), *_used(bill, detail)]
        yield Section(title=f"Bill of {bill.machine}", items=tuple(items))
    if _differ(answer.node_scenarios):
        yield Section(title="Ways to pay", items=(_ways(answer, detail), *_risk(answer)))
    if answer.booking is not None and (detail.verbose or bill.gpus > 1):
        yield Section(title="To book", items=tuple(_booking(answer.booking, detail)))


def _lines(bill: Bill) -> Table:
    """Each line of the bill; they sum to its total. Rounding stands apart, below what the time itself costs."""
    time = [line for line in bill.lines if line.name not in AFTER]
    after = [line for line in bill.lines if line.name in AFTER]
    rows = [_row(LINES.get(line.name, line.name), line.gpu_s, line.usd) for line in time]
    if after:
        rows.append(_row("As it runs", bill.running_gpu_s, _sum(time)))
    rows += [_row(LINES.get(line.name, line.name), line.gpu_s, line.usd) for line in after]
    rows.append(_row("Total", bill.billed_gpu_s, bill.total_usd))
    names, hours, costs = zip(*rows, strict=True)
    return by_columns(
        [
            (Column(name="Line"), names),
            (Column(name="GPU-h billed", align="right"), hours),
            (Column(name="cost", align="right"), costs),
        ],
        strong={len(rows) - 1},
        footers=len(rows) - len(time),
        note=MEDIANS if _uneasy(bill) else "",
    )


def _uneasy(bill: Bill) -> bool:
    """Whether the middles of the lines visibly differ from the middle of the bill."""
    known = [line.usd for line in bill.lines if line.usd is not None]
    return bill.total_usd is not None and apart(known, bill.total_usd)


def _row(name: str, gpu_s: Spread | None, cost: Spread | None) -> tuple[str, str, str]:
    paid = UNKNOWN if cost is None else dollars(cost.p50)
    return name, "" if gpu_s is None else _hours(gpu_s.p50), paid


def _sum(lines: Sequence[BillLine]) -> Spread | None:
    """Cost of some lines; None where one of them is unknown."""
    known = [line.usd for line in lines if line.usd is not None]
    return total(known) if len(known) == len(lines) else None


def _hours(gpu_s: float) -> str:
    return fixed(gpu_s / HOUR_S, 2 if abs(gpu_s) < 100 * HOUR_S else 1)


def _used(bill: Bill, detail: Detail) -> Iterator[Item]:
    """Used against billed, dollars per used GPU-hour, and the rounding that applies."""
    share = bill.allocated_share
    used = f"{_hours(bill.used_gpu_s.p50)} GPU-hours"
    yield Fact(label="used", text=used if share is None else f"{used}, {format_share(share.p50)} of what is billed",
               kind=bill.used_gpu_s.kind)  # fmt: skip
    if bill.usd_per_used_gpu_hour is not None:
        yield Fact(label="each", text=f"{usd(bill.usd_per_used_gpu_hour, detail.confidence)} per GPU-hour used")
    terms = bill.terms
    block = f"blocks of {format_duration(terms.granularity_s)}" if terms.granularity_s else "time as it runs"
    least = f", at least {format_duration(terms.minimum_s)}" if terms.minimum_s else ""
    yield Fact(label="billing", text=f"{'each GPU' if terms.unit == 'gpu' else 'the whole machine'}, {block}{least}",
               note=f"by {terms.source}" if terms.source else "")  # fmt: skip
    for note in bill.notes:
        yield Note(text=f"{note[:1].upper()}{note[1:]}.")


def _differ(scenarios: tuple[Scenario, ...]) -> bool:
    """True when the ways to pay do not all come to the same."""
    totals = {None if s.bill.total_usd is None else round(s.bill.total_usd.p50, 2) for s in scenarios}
    return len(totals) > 1


def _ways(answer: Answer, detail: Detail) -> Table:
    found = answer.node_scenarios
    costs = [scenario.bill.total_usd for scenario in found]
    bounds = [None if cost is None else ends(cost, detail.confidence) for cost in costs]
    more = any(scenario.bill.wall_s.p50 > answer.estimate.wall_s.p50 * 1.001 for scenario in found)
    return by_columns(
        [
            (Column(name="Way", least=12), [WAYS.get(scenario.name, scenario.name) for scenario in found]),
            (Column(name="up, h", align="right"), [_hours(scenario.bill.running_s.p50) for scenario in found]),
            (Column(name="GPU-h billed", align="right", drop=1),
             ["" if s.bill.billed_gpu_s is None else _hours(s.bill.billed_gpu_s.p50) for s in found]),
            (Column(name="cost", align="right"), [UNKNOWN if cost is None else dollars(cost.p50) for cost in costs]),
            (Column(name="low–high", align="right", drop=2),
             ["" if pair is None else f"{dollars(pair[0])}–{dollars(pair[1])}" for pair in bounds]),
        ],
        note="Optional phases included." if more else "",
    )  # fmt: skip


def _risk(answer: Answer) -> Iterator[Item]:
    """How likely an interruption is and what it costs in time."""
    for hours, chance in answer.interrupted.items():
        yield Fact(label="spot", text=f"interrupted within {hours}: {format_share(chance)}")
    kept = next((one for one in answer.node_scenarios if one.interruption is not None), None)
    risk = kept.interruption if kept else None
    if kept is None or risk is None:
        return
    hazard = span(risk.hazard_per_hour, 0.01, "% an hour")
    within = span(risk.interrupted_within, 0.01, "%")
    up = _hours(kept.bill.running_s.p50)
    yield Fact(label="", text=f"interrupted within the {up} h that it is up: {within}, at {hazard}", kind="stated")
    bare = span_time(risk.wall_without_checkpoints_s)
    saved = span_time(risk.wall_with_checkpoints_s)
    text = f"expected time up {bare} without checkpoints"
    yield Fact(label="", text=text if saved == bare else f"{text}, {saved} with them")
    for note in risk.notes:
        yield Note(text=f"{note[:1].upper()}{note[1:]}.")


def _rate(usd_per_hour: Range) -> str:
    """`$32.77/h`, or `$10–15/h`."""
    high = "" if usd_per_hour.is_point else f"–{usd_per_hour.high:g}"
    return f"${usd_per_hour.low:g}{high}/h"


def _booking(booking: Booking, detail: Detail) -> Iterator[Fact]:
    """What to type into the provider's form."""
    where = " ".join(part for part in (booking.provider, booking.instance, booking.region) if part)
    yield Fact(label="instance", text=f"{where or UNKNOWN}: {booking.gpus} × {booking.gpu}")
    limit = f", at most ${booking.max_usd_per_hour:g}/h" if booking.max_usd_per_hour else ""
    yield Fact(label="request", text=f"{booking.request}{limit}")
    yield Fact(label="duration", text=duration(booking.duration_s, detail.confidence), kind=booking.duration_s.kind)
    rate = f" at {_rate(booking.usd_per_hour)}" if booking.usd_per_hour else ""
    cost = booking.expected_usd
    yield Fact(label="cost", text=f"{usd(cost, detail.confidence)}{rate}", kind=cost.kind if cost else "")
    if booking.notice_s:
        yield Fact(label="notice", text=f"{format_duration(booking.notice_s)} before an interruption")
