"""Every experiment of every phase, identical ones as one line, and the ladder from steps to hours.

Owns the long tables that `-v` shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from headway.domain.spread import Spread, total
from headway.estimate.nouns import ExperimentEstimate, PhaseEstimate
from headway.report.answer import Answer
from headway.report.figures import (
    MEDIANS,
    NONE,
    apart,
    duration,
    hours_column,
    interval_column,
    interval_name,
    shared_kind,
)
from headway.report.sections.selection import counted, is_known, is_single
from headway.report.view import Column, Detail, Section, Table, by_columns

LADDER = (1_000, 5_000, 10_000, 20_000, 50_000)
"""Steps of the ladder; it is shown where the plan's runs differ in length."""
ALIKE = 8
"""More neighbours than these that cost the same are one row."""
FEW = 60
"""Rows of one phase that are shown; more are said to be there."""


def parts(answer: Answer, detail: Detail) -> Iterator[Section]:
    """The ladder for runs of several lengths; one table per phase when asked for every detail."""
    if is_single(answer):
        return
    yield from _ladder(answer, detail)
    if detail.verbose:
        members = {
            phase.id: [item for item in answer.estimate.experiments if item.phase == phase.id]
            for phase in answer.estimate.phases
        }
        tables = [_table(phase, members[phase.id], detail) for phase in answer.estimate.phases if members[phase.id]]
        if tables:
            yield Section(title="Experiments", items=tuple(tables))


def _ladder(answer: Answer, detail: Detail) -> Iterator[Section]:
    """Steps to time, at the step time of the most steps."""
    steps_of: dict[int, list[tuple[Spread, int]]] = {}
    for item in counted(answer):
        for stage in item.stages:
            if stage.steps and "step" in stage.terms_s:
                each = stage.terms_s["step"] * (1 / stage.steps)
                steps_of.setdefault(round(each.p50 * 1e9), []).append((each, stage.steps))
    lengths = {steps for found in steps_of.values() for _, steps in found}
    if len(lengths) < 2:
        return
    found = max(steps_of.values(), key=lambda group: sum(steps for _, steps in group))
    each = found[0][0]
    spreads = [each * steps for steps in LADDER]
    same = "every step" if len(steps_of) == 1 else f"{sum(s for _, s in found):,} steps"
    table = by_columns(
        [
            (Column(name="Steps", align="right"), [f"{steps:,}" for steps in LADDER]),
            (Column(name="Hours", align="right"), hours_column([spread.p50 for spread in spreads])),
            (Column(name=interval_name(detail.confidence), align="right"), interval_column(spreads, detail.confidence)),
        ],
        note=f"{duration(each, detail.confidence)} a step, for {same} of the plan; nothing but steps counted.",
    )
    yield Section(title=f"Steps and time ({each.kind})", items=(table,))


def _table(phase: PhaseEstimate, members: list[ExperimentEstimate], detail: Detail) -> Table:
    """The phase's own experiments; neighbours that cost the same as one line, `10 × 5,000 steps`."""
    groups = list(_groups(members))
    shown = groups if len(groups) <= FEW else groups[:FEW]
    sums = [total(item.gpu_s for item in group) for group in shown]
    whole = total(item.gpu_s for item in members)
    spreads = [*sums, whole]
    known = [*(is_known(group[0]) for group in shown), all(is_known(item) for item in members)]
    hours = [spread.p50 if sure else None for spread, sure in zip(spreads, known, strict=True)]
    bounds = interval_column(spreads, detail.confidence)
    kind = shared_kind(spread for spread in spreads if spread.p50)
    steps = sum(item.steps for item in members)
    lengths = [*(_steps(group) for group in shown), f"{steps:,}" if steps else NONE]
    hidden = len(groups) - len(shown)
    uneasy = not hidden and all(known) and apart(sums, whole)
    notes = [f"{hidden:,} more rows; --format csv has all." if hidden else "", MEDIANS if uneasy else ""]
    return by_columns(
        [
            (Column(name="Experiment", least=12), [*(_name(group) for group in shown), "Subtotal"]),
            (Column(name="Steps", align="right", drop=2), lengths),
            (Column(name="GPU-h", align="right"), hours_column(hours)),
            (Column(name=interval_name(detail.confidence), align="right", drop=1),
             [cell if sure else "" for cell, sure in zip(bounds, known, strict=True)]),
        ],
        strong={len(shown)},
        footers=1,
        title=f"{phase.id}: {phase.name}{f' ({kind})' if kind else ''}" if phase.name != phase.id else phase.id,
        note=" ".join(part for part in notes if part),
    )  # fmt: skip


def _groups(members: list[ExperimentEstimate]) -> Iterator[list[ExperimentEstimate]]:
    for _, alike in groupby(members, key=_cost):
        group = list(alike)
        yield from [group] if len(group) > ALIKE else [[item] for item in group]


def _cost(item: ExperimentEstimate) -> tuple[object, ...]:
    """What identical runs share: stages, steps and time."""
    return (is_known(item), len(item.stages), item.steps, item.gpu_s.p10, item.gpu_s.p50, item.gpu_s.p90)


def _name(group: list[ExperimentEstimate]) -> str:
    """The experiment with its number of stages; of many, the first and the last in plan order."""
    first, last = group[0], group[-1]
    if first is not last:
        return f"{len(group)} alike ({first.name or first.id} … {last.name or last.id})"
    return f"{first.name or first.id} ({len(first.stages)} stages)" if len(first.stages) > 1 else first.name or first.id


def _steps(group: list[ExperimentEstimate]) -> str:
    steps = group[0].steps
    if not steps:
        return NONE
    return f"{steps:,}" if len(group) == 1 else f"{len(group)} × {steps:,}"
