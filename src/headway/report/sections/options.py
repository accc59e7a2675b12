"""The plan's what-ifs, each priced on the whole plan: hours, what it saves, and which experiments it keeps.

Owns the options' table. What an option means is `plan/`.
"""

from __future__ import annotations

from collections.abc import Iterator

from headway.domain.units import format_duration, format_share
from headway.report.answer import Answer, OptionAnswer
from headway.report.figures import HOUR_S, UNKNOWN, dollars, fixed, hours_column, interval_column, interval_name, places
from headway.report.sections.selection import is_known, is_short
from headway.report.view import Column, Detail, Fact, Item, Note, Section, by_columns


def parts(answer: Answer, detail: Detail) -> Iterator[Section]:
    """One row per option and varied value, nothing where no time is known; members by name when all is asked for."""
    options = answer.options
    if not options or not is_known(answer.estimate):
        return
    short = is_short(answer)
    known = any(option.bill is not None and option.bill.total_usd is not None for option in options)
    table = by_columns(
        [
            (Column(name="Option", least=20), [_name(option) for option in options]),
            (Column(name="Runs", align="right", drop=2), [f"{option.experiments:,}" for option in options]),
            (Column(name="time" if short else "GPU-h", align="right"), _times(options, short)),
            (Column(name=interval_name(detail.confidence), align="right", drop=1),
             [""] * len(options) if short else interval_column([o.gpu_s for o in options], detail.confidence)),
            (Column(name="saves", align="right"), [_saved(option, answer) for option in options]),
            (Column(name="done in", align="right"), [_makespan(option) for option in options]),
            (Column(name="cost", align="right", drop=3), [_cost(option) if known else "" for option in options]),
        ],
        note=_note(answer),
    )  # fmt: skip
    items: list[Item] = [table]
    items += [Fact(label=option.id, text=f"keeps {chosen}") for option in options if (chosen := _kept(option, answer))]
    items += [Note(text=f"{option.id}: {option.note}.") for option in options if option.note]
    if detail.verbose:
        items += [Fact(label=option.id, text=", ".join(option.members)) for option in options if option.members]
    yield Section(title="Options", items=tuple(items))


def _note(answer: Answer) -> str:
    """Said where a difference of middles is not the middle of the difference."""
    drawn = any(o.saves_gpu_s is not None and o.saves_gpu_s.draws is not None for o in answer.options)
    whole = answer.estimate.gpu_s.p50
    uneven = any(
        o.saves_gpu_s is not None and o.is_known and abs(whole - o.gpu_s.p50 - o.saves_gpu_s.p50) > 0.005 * whole
        for o in answer.options
    )  # fmt: skip
    return "`saves` is the p50 of the difference, not the difference of the p50s." if drawn and uneven else ""


def _kept(option: OptionAnswer, answer: Answer) -> str:
    """What a subset keeps, as the plan chooses it: ids and globs."""
    known = answer.plan.options.get(option.id)
    return ", ".join(pattern for selector in known.keep for pattern in selector.patterns) if known else ""


def _times(options: tuple[OptionAnswer, ...], short: bool) -> list[str]:
    if short:
        return [format_duration(option.gpu_s.p50) if option.is_known else UNKNOWN for option in options]
    return hours_column([option.gpu_s.p50 if option.is_known else None for option in options])


def _name(option: OptionAnswer) -> str:
    if not option.label or option.label.startswith(option.id):
        return option.label or option.id
    return f"{option.id}: {option.label}"


def _saved(option: OptionAnswer, answer: Answer) -> str:
    """`75.0 h, 22 %`; what costs more is said with a plus."""
    saved = option.saves_gpu_s
    if saved is None or not option.is_known:
        return ""
    whole = answer.estimate.gpu_s.p50
    if abs(saved.p50) < 1e-6 * whole:
        return "nothing"
    if saved.p50 < 0:
        return f"+{_length(-saved.p50, answer)}"
    return f"{_length(saved.p50, answer)}, {format_share(saved.p50 / whole)}"


def _length(seconds: float, answer: Answer) -> str:
    hours = seconds / HOUR_S
    return format_duration(seconds) if is_short(answer) else f"{fixed(hours, places(hours))} h"


def _makespan(option: OptionAnswer) -> str:
    rung = option.rung
    return "" if rung is None else f"{fixed(rung.hours, places(rung.hours))} h on {rung.gpus}"


def _cost(option: OptionAnswer) -> str:
    if option.bill is None:
        return ""
    return UNKNOWN if option.bill.total_usd is None else dollars(option.bill.total_usd.p50)
