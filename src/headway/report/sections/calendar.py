"""When it is done: days, jobs that outlast a day, budgets and the deadline, and more GPUs.

Owns the calendar's words. The hours themselves are the headline's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from headway.cost.calendar import LimitCheck
from headway.domain.units import format_duration, format_share
from headway.report.answer import Answer
from headway.report.figures import (
    HOUR_S,
    UNKNOWN,
    count,
    dollars,
    duration,
    fixed,
    hours_column,
    places,
    span_time,
    usd,
)
from headway.report.sections.selection import counted, is_known
from headway.report.view import Column, Detail, Fact, Item, Note, Section, Table, by_columns

NAMED = 3
"""Experiments that are named in a sentence; the others are counted."""
VERDICTS = {"within": "enough", "uncertain": "may not be enough", "over": "not enough", "unknown": "cannot be judged"}


def parts(answer: Answer, detail: Detail) -> Iterator[Section]:
    """Schedules on several GPUs; limits and what does not fit into a day."""
    if len(answer.schedules) > 1 and is_known(answer.estimate):
        yield Section(title="On more GPUs", items=(_rungs(answer),))
    if items := [*_limits(answer, detail), *_day(answer, detail), *_contingency(answer)]:
        yield Section(title="Calendar", items=tuple(items))


def _rungs(answer: Answer) -> Table:
    """Longest first, one experiment per GPU; the floor is what no number of GPUs gets below."""
    rungs = answer.schedules
    longest = max(item.wall_s.p50 for item in counted(answer)) / HOUR_S
    return by_columns(
        [
            (Column(name="GPUs", align="right"), [f"{rung.gpus}" for rung in rungs]),
            (Column(name="hours", align="right"), hours_column([rung.makespan_s for rung in rungs])),
            (Column(name="days", align="right"), [fixed(rung.days, 1) for rung in rungs]),
            (Column(name="floor, h", align="right"), hours_column([rung.floor_s for rung in rungs])),
            (Column(name="GPUs used", align="right", drop=1), [format_share(rung.utilisation) for rung in rungs]),
        ],
        note="Longest first, a chain of stages on one GPU; no schedule on so many GPUs gets below the floor, "
        f"and no number of GPUs below the longest experiment: {fixed(longest, places(longest))} h.",
    )


def _limits(answer: Answer, detail: Detail) -> Iterator[Fact]:
    """Each budget and the deadline against the need; several time budgets with an epoch table are told there."""
    checks = answer.calendar.limits if is_known(answer.estimate) else tuple(map(unjudged, answer.calendar.limits))
    if answer.epochs is not None and len(answer.epochs.budgets) > 1:
        checks = tuple(check for check in checks if check.what != "wall")
    for check in checks:
        label = "deadline" if check.what == "deadline" else "budget"
        need = need_words(check, detail.confidence)
        yield Fact(label=label, text=f"{limit_words(check)}: {VERDICTS[check.verdict]}, {need}")


def unjudged(check: LimitCheck) -> LimitCheck:
    """The same limit for a plan whose need is unknown."""
    return replace(check, need=None, verdict="unknown")


def limit_words(check: LimitCheck) -> str:
    """`$50.00`, `10.0 h`, `12 days left`, `1 day too late`."""
    if check.unit == "usd":
        return dollars(check.limit)
    if check.unit == "days":
        return f"{count(abs(check.limit), 'day')} {'too late' if check.limit < 0 else 'left'}"
    return f"{fixed(check.limit / HOUR_S, places(check.limit / HOUR_S))} {'GPU-h' if check.unit == 'GPU-s' else 'h'}"


def need_words(check: LimitCheck, confidence: float) -> str:
    """`needs $95.01 ($80.12–$120.40)`."""
    if check.need is None:
        return f"the need is {UNKNOWN}"
    if check.unit == "usd":
        return f"needs {usd(check.need, confidence)}"
    if check.unit == "days":
        return f"needs {fixed(check.need.p50, max(1, places(check.need.p50)))} days"
    return f"needs {duration(check.need, confidence)}{' of GPU time' if check.unit == 'GPU-s' else ''}"


def _day(answer: Answer, detail: Detail) -> Iterator[Item]:
    """What has to stop at night and go on in the morning."""
    names = answer.calendar.needs_resume
    if not names:
        return
    shown = names if detail.verbose else names[:NAMED]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    made = answer.calendar
    window = [f"a day of {made.hours_per_day:g} h"] if made.hours_per_day < 24 else []
    window += [f"a session of {format_duration(made.session_s)}"] if made.session_s else []
    yield Note(
        text=f"{count(len(names), 'experiment')} {'outlasts' if len(names) == 1 else 'outlast'} "
        f"{' or '.join(window)} and must be able to resume: {', '.join(shown)}{more}."
    )


def _contingency(answer: Answer) -> Iterator[Fact]:
    """Time that the plan sets aside beyond the total."""
    for name, aside in answer.calendar.contingency.items():
        yield Fact(label="set aside", text=f"{span_time(aside)} for {name}", kind="stated", note="not in the total")
