"""HW42x, calendar: more GPUs at once than there are, windows unlike the work in them, limits that are exceeded.

Owns what is drawn on a calendar against what fits it. Days and hours as figures are `figures`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from headway.check.case import Case, Reading
from headway.check.claims.scope import Scopes
from headway.check.claims.written import distance, dollars, said, values
from headway.check.rule import Rule
from headway.check.words import joined
from headway.cost.calendar import LimitCheck, before_deadline, over_budget
from headway.domain.errors import Finding, Position
from headway.domain.selection import select
from headway.domain.statement import Selector, Value
from headway.domain.units import Range, format_duration, format_number
from headway.schedule.jobs import Job
from headway.schedule.place import place

DONE = 1e-6
"""Seconds by which a bar may end after the next one begins without running beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar of a drawn timeline."""

    key: str
    value: Value
    start_s: float
    gpus: int
    experiments: tuple[str, ...]

    @property
    def end_s(self) -> float:
        """When it ends."""
        return self.start_s + self.value.mid


def _bars(case: Case) -> list[Bar]:
    """The bars of `claims: timeline` in document order; one that comes after an unknown bar starts at once."""
    drawn = {claim.path[1]: values(claim)[0] for claim in case.plan.claims
             if not claim.owner and claim.path[0] == "timeline" and len(claim.path) == 2 and values(claim)}  # fmt: skip
    held = {item.id: round(item.gpus) for item in case.stated.estimate.experiments} if drawn else {}
    ends: dict[str, float] = {}
    bars = []
    for key, value in drawn.items():
        start = ends.get(value.note.removeprefix("after ").strip(), 0.0)
        ends[key] = start + value.mid
        ids = select(case.plan, Selector(patterns=(key,)))
        gpus = max((held[id_] for id_ in ids), default=1)
        bars.append(Bar(key=key, value=value, start_s=start, gpus=gpus, experiments=ids))
    return bars


def _widest(bars: Sequence[Bar]) -> tuple[int, tuple[Bar, ...]]:
    """Most GPUs that are needed at once, and the bars that need them."""
    best: tuple[int, tuple[Bar, ...]] = (0, ())
    for one in bars:
        beside = tuple(bar for bar in bars if bar.start_s <= one.start_s < bar.end_s - DONE)
        needed = sum(bar.gpus for bar in beside)
        best = max(best, (needed, beside), key=lambda found: found[0])
    return best


def _at_once(case: Case) -> Iterator[Finding]:
    machine, jobs = case.machine, case.plan.run.jobs
    if machine is None:
        return
    gpus = machine.node.total_gpus
    needed, beside = _widest(_bars(case))
    if needed > gpus:
        end = max(bar.end_s for bar in _bars(case))
        yield TOO_MANY_AT_ONCE.finding(
            f"{joined(bar.key for bar in beside)} run at once from {format_duration(beside[-1].start_s)} on: {needed} "
            f"GPUs, and {machine.name} has {gpus}; the timeline ends after {format_number(end / 86400)} days, one GPU "
            f"takes {format_number(sum(bar.value.mid * bar.gpus for bar in _bars(case)) / 86400)}",
            where=beside[0].value.where,
            evidence={"gpus_needed": needed, "gpus": gpus, "bars": [bar.key for bar in beside], "ends_s": end},
            hint="Draw as many lanes as there are GPUs, or name a machine that has them.",
        )
    elif jobs > gpus:
        yield TOO_MANY_AT_ONCE.finding(
            f"{jobs} jobs run at once, and {machine.name} has {gpus} {'GPU' if gpus == 1 else 'GPUs'}",
            where=case.plan.where("run.jobs"),
            evidence={"jobs": jobs, "gpus": gpus},
            hint="Start as many jobs as there are GPUs.",
        )


def _serial(case: Case) -> Iterator[Finding]:
    """A timeline of several lanes whose bars are longer than their experiments need to take."""
    bars = _bars(case)
    lanes, _ = _widest(bars)
    estimates = {item.id: item for item in case.stated.estimate.experiments} if lanes > 1 else {}
    long = [bar for bar in bars if len(bar.experiments) > 1]
    waiting = any(phase.needs is not None for phase in case.plan.phases)
    if (
        lanes < 2
        or not long
        or waiting
        or not all(estimates[id_].wall_s.p50 for bar in bars for id_ in bar.experiments)
    ):
        return
    jobs = [Job(id=id_, duration_s=estimates[id_].wall_s.p50, gpus=round(estimates[id_].gpus))
            for id_ in dict.fromkeys(id_ for bar in bars for id_ in bar.experiments)]  # fmt: skip
    packed, drawn = place(jobs, max(lanes, *(job.gpus for job in jobs))).makespan_s, max(bar.end_s for bar in bars)
    if packed < drawn * 0.9:
        last = long[-1]
        longest = max(estimates[id_].wall_s.p50 for id_ in last.experiments)
        yield SERIAL_BARS.finding(
            f"bars hold experiments that need not wait for each other: {last.key} takes "
            f"{format_duration(last.value.mid)} as drawn, its longest experiment {format_duration(longest)}; packed, "
            f"{lanes} GPUs end after {format_duration(packed)}, not {format_duration(drawn)}",
            where=last.value.where,
            evidence={"lanes": lanes, "packed_s": packed, "drawn_s": drawn, "longest_s": longest},
            hint="Let headway place the experiments, longest first.",
        )


def _windows(case: Case) -> Iterator[Finding]:
    """Windows of `at` that all differ from the time that is stated of the same thing."""
    scopes, found = Scopes(case), []
    for claim in scopes.claims:
        scope = scopes.of(claim) if claim.path == ("at",) and values(claim) else None
        if scope is None or not scope.wall_s().p50 or len(scope.members) > 1:
            continue
        wall = scope.wall_s()
        stated = Range(wall.p10, wall.p50, wall.p90)
        lengths = [value.range.high - value.range.low for value in values(claim)]
        if all(distance(Range.point(length), stated) > 0.01 for length in lengths):
            found.append((claim.owner, values(claim)[0], lengths, wall.p50))
    if found:
        words = joined(
            f"{owner} has {joined(format_duration(one) for one in dict.fromkeys(lengths))} for {format_duration(wall)}"
            for owner, _, lengths, wall in found
        )
        short = any(max(lengths) < wall for _, _, lengths, wall in found)
        yield OTHER_WINDOW.finding(
            f"windows differ from the stated times: {words}",
            where=found[0][1].where,
            evidence={owner: [*lengths, wall] for owner, _, lengths, wall in found},
            hint="Keep one length of each, and let the schedule follow.",
            severity="error" if short else "warning",
        )


def _status(case: Case) -> Iterator[Finding]:
    for claim in case.plan.claims:
        if claim.path == ("done",):
            words = joined(str(value) for value in claim.values)
            held = [id_ for value in claim.values for id_ in select(case.plan, Selector(patterns=(str(value),)))]
            yield STATUS_IN_PLAN.finding(
                f"{words} is said to be done ({len(held)} experiments): a plan does not know what has run",
                where=claim.where,
                evidence={"experiments": held},
                hint="Leave it out; status comes from recorded runs.",
            )


def _limits(case: Case) -> Iterator[Finding]:
    run = case.plan.run
    reading = _complete(case) if run.budget or run.deadline else None
    if reading is None:
        return
    estimate, bill = reading.estimate, reading.bill
    budget = _largest(run.budget)
    checks = over_budget(
        budget, wall_s=estimate.wall_s, cost_usd=bill.total_usd if bill else None, gpu_s=estimate.gpu_s
    )
    for value, limit in zip(budget, checks, strict=True):
        if limit.verdict in ("over", "uncertain"):
            yield _exceeded(limit, f"the budget of {said(value)}", value.where, reading)
    if run.deadline:
        limit = before_deadline(estimate.wall_s, run.hours_per_day, run.deadline, case.known.today)
        if limit.verdict in ("over", "uncertain"):
            yield _exceeded(limit, f"the deadline of {run.deadline}", case.plan.where("run.deadline"), reading)


def _complete(case: Case) -> Reading | None:
    """By the author's rates where they cover the training, else as predicted; None where nothing takes time."""
    stated = case.stated
    covers = stated.estimate.wall_s.p50 and "step" not in stated.estimate.left_out
    reading = stated if covers else case.predicted
    return reading if reading.estimate.wall_s.p50 else None


def _largest(budget: tuple[Value, ...]) -> tuple[Value, ...]:
    """The largest of each kind: several of one kind are steps to choose from, not limits at once."""
    found: dict[tuple[str, str], Value] = {}
    for value in budget:
        if not value.unknown and value.mid > found.get((value.unit, value.noun), _NOTHING).mid:
            found[value.unit, value.noun] = value
    return tuple(found.values())


_NOTHING = Value(range=Range.point(0.0), unit="")


def _exceeded(limit: LimitCheck, name: str, where: Position, reading: Reading) -> Finding:
    assert limit.need is not None  # there is a verdict
    over, need = limit.verdict == "over", limit.need
    low, high = _amount(limit, need.p10), _amount(limit, need.p90)
    words = low if low == high else f"{low} to {high}"
    rates = "the stated rates need" if reading.estimate.rates == "stated" else "headway predicts"
    return EXCEEDED.finding(
        f"{name} {'is' if over else 'may be'} exceeded: {rates} {words}",
        where=where,
        evidence={"limit": limit.limit, "p10": need.p10, "p50": need.p50, "p90": need.p90, "unit": limit.unit},
        hint="Run less, run it on a faster machine, or move the limit.",
        severity="error" if over and reading.estimate.rates == "stated" else "warning",
    )


def _amount(limit: LimitCheck, number: float) -> str:
    if limit.unit == "usd":
        return dollars(number)
    if limit.unit == "days":
        return f"{format_number(number)} days"
    return f"{format_number(number / 3600)} GPU-h" if limit.unit == "GPU-s" else format_duration(number)


_TIMELINE = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 80k, length: 128}}
stated: {{step: 1.8 s}}
steps: 1k
phases:
  a: {{matrix: {{seed: [0, 1, 2, 3]}}}}
  b: {{matrix: {{seed: [4, 5]}}}}
run: {{machine: {{gpu: RTX 4090, gpus: {gpus}}}}}
claims: {{timeline: {{a: 2 h, b: {b}}}}}
"""
_WINDOW = """headway: 1
phases:
  one: {{do: tests, gpus: 1, stated: {{wall: 2 h}}, claims: {{at: {at}}}}}
run: {{machine: RTX 4090}}
"""
_DONE = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 80k, length: 128}}
phases: {{a: {{seed: 0}}, b: {{seed: 1}}}}
run: {{machine: RTX 4090}}
claims: {{{done}experiments: 2}}
"""
_LIMIT = """headway: 1
do: tests
gpus: 1
stated: {{wall: 12 h}}
run: {{machine: RTX 4090, budget: {budget}}}
"""

TOO_MANY_AT_ONCE = Rule(
    code="HW421",
    name="more GPUs than there are",
    severity="error",
    says="What runs at once fits the GPUs of the machine.",
    because="Every bar of a timeline is a lane, and every lane a GPU: without them the bars follow each other.",
    fails=_TIMELINE.format(gpus=1, b="1 h"),
    passes=_TIMELINE.format(gpus=1, b="1 h after a"),
    find=_at_once,
)
SERIAL_BARS = Rule(
    code="HW422",
    name="bars longer than needed",
    severity="info",
    says="A timeline of several lanes places experiments, not phases.",
    because="A phase drawn as one bar keeps one GPU busy and the others idle when its experiments could run "
    "beside each other; the floor is the longest experiment.",
    fails=_TIMELINE.format(gpus=2, b="1 h"),
    passes=_TIMELINE.format(gpus=2, b="1 h after a"),
    find=_serial,
)
OTHER_WINDOW = Rule(
    code="HW423",
    name="windows unlike the times",
    severity="error",
    says="A window of the calendar is as long as the time that is stated of its work.",
    because="A longer window is paid for, a shorter one is missed.",
    fails=_WINDOW.format(at="0-3 h"),
    passes=_WINDOW.format(at="0-2 h"),
    find=_windows,
)
STATUS_IN_PLAN = Rule(
    code="HW424",
    name="status in the plan",
    severity="info",
    says="What has run is known from runs.",
    because="A plan that says 'done' is right once; nobody edits it when the run is repeated or thrown away.",
    fails=_DONE.format(done="done: a, "),
    passes=_DONE.format(done=""),
    find=_status,
)
EXCEEDED = Rule(
    code="HW425",
    name="limit exceeded",
    severity="error",
    says="The plan fits its budget and ends before its deadline.",
    because="Compared is the largest budget of each kind, at the fast and the slow end. An error where even the fast "
    "end of the author's own rates exceeds it.",
    fails=_LIMIT.format(budget="10 h"),
    passes=_LIMIT.format(budget="13 h"),
    find=_limits,
)
RULES = (TOO_MANY_AT_ONCE, SERIAL_BARS, OTHER_WINDOW, STATUS_IN_PLAN, EXCEEDED)
