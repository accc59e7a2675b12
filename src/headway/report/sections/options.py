"""The plan's what-ifs, each priced on the whole plan: hours, what it saves, and which experiments it keeps.

Owns the options' table. What an option means is `plan/`.
"""

from __future__ import annotations

from collections.abc import Iterator

from headway.domain.units import format_share
from headway.report.answer import Answer, OptionAnswer
from headway.report.figures import HOUR_S, UNKNOWN, dollars, fixed, hours_column, interval_column, interval_name, places
from headway.report.view import Column, Detail, Fact, Item, Section, by_columns


def parts(answer: Answer, detail: Detail) -> Iterator[Section]:
    """One row per option and varied value; members by name when asked for every detail."""
    options = answer.options
    if not options:
        return
    table = by_columns(
        [
            (Column(name="Option", least=20), [_name(option) for option in options]),
            (Column(name="Runs", align="right", drop=2), [f"{option.experiments:,}" for option in options]),
            (Column(name="GPU-h", align="right"), hours_column([option.gpu_s.p50 for option in options])),
            (Column(name=interval_name(detail.confidence), align="right", drop=1),
             interval_column([option.gpu_s for option in options], detail.confidence)),
            (Column(name="saves", align="right"), [_saved(option, answer) for option in options]),
            (Column(name="done in", align="right"), [_makespan(option) for option in options]),
            (Column(name="cost", align="right", drop=3), [_cost(option) for option in options]),
        ],
    )  # fmt: skip
    items: list[Item] = [table]
    if detail.verbose:
        items += [Fact(label=option.id, text=", ".join(option.members)) for option in options if option.members]
    yield Section(title="Options", items=tuple(items))


def _name(option: OptionAnswer) -> str:
    if not option.label or option.label.startswith(option.id):
        return option.label or option.id
    return f"{option.id}: {option.label}"


def _saved(option: OptionAnswer, answer: Answer) -> str:
    """`75.0 h, 22 %`; what costs more is said with a plus."""
    saved = option.saves_gpu_s
    if saved is None:
        return ""
    hours, whole = saved.p50 / HOUR_S, answer.estimate.gpu_s.p50 / HOUR_S
    if round(hours, 3) == 0:
        return "nothing"
    sign = "+" if hours < 0 else ""
    share = f", {format_share(abs(hours) / whole)}" if whole and hours > 0 else ""
    return f"{sign}{fixed(abs(hours), places(hours))} h{share}"


def _makespan(option: OptionAnswer) -> str:
    rung = option.rung
    return "" if rung is None else f"{fixed(rung.hours, places(rung.hours))} h on {rung.gpus}"


def _cost(option: OptionAnswer) -> str:
    if option.bill is None:
        return ""
    return UNKNOWN if option.bill.total_usd is None else dollars(option.bill.total_usd.p50)
