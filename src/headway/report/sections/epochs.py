"""How many epochs each time budget affords, and the table of step times by epochs.

Owns their words. The division is `estimate.epochs`.
"""

from __future__ import annotations

from collections.abc import Iterator

from headway.domain.units import format_duration
from headway.estimate.questions.epochs import Affordable
from headway.report.answer import Answer
from headway.report.figures import NONE, duration, fixed
from headway.report.view import Column, Detail, Fact, Item, Section, Table, by_columns


def parts(answer: Answer, detail: Detail) -> Iterator[Section]:
    """One epoch, epochs by budget, and the grid; nothing for a plan without time budgets unless all is asked for."""
    table = answer.epochs
    items: list[Item] = []
    if table is not None and (table.budgets or detail.verbose):
        steps = f"{table.rows:,.0f} rows in {table.steps_per_epoch:,.0f} steps"
        epoch = duration(table.epoch_s, detail.confidence)
        items.append(Fact(label="one epoch", text=epoch, kind=table.epoch_s.kind, note=steps))
        if table.fixed_s.p50:
            items.append(Fact(label="once", text=duration(table.fixed_s, detail.confidence), kind=table.fixed_s.kind))
    if table is not None and table.budgets:
        items.append(
            by_columns(
                [
                    (Column(name="Budget", align="right"),
                     [one.budget.text or format_duration(one.budget.mid) for one in table.budgets]),
                    (Column(name="epochs", align="right"), [f"{one.epochs}" for one in table.budgets]),
                    (Column(name="take", align="right"), [_taken(one) for one in table.budgets]),
                    (Column(name="sure (p90)", align="right"), [f"{one.epochs_p90}" for one in table.budgets]),
                ]
            )
        )  # fmt: skip
    if answer.grid is not None and table is not None and (table.budgets or detail.verbose):
        items.append(_grid(answer))
    if items:
        yield Section(title="Epochs", items=tuple(items))


def _taken(one: Affordable) -> str:
    return format_duration(one.wall_s) if one.epochs else NONE


def _grid(answer: Answer) -> Table:
    """Minutes by step time and epochs."""
    grid = answer.grid
    assert grid is not None  # the caller asked
    columns = [(Column(name="A step of", align="right"), [format_duration(step) for step in grid.step_s])]
    for index, epochs in enumerate(grid.epochs):
        cells = [fixed(row[index] / 60, 1) for row in grid.wall_s]
        columns.append((Column(name=f"{epochs:g} epoch{'' if epochs == 1 else 's'}, min", align="right"), cells))
    return by_columns(columns, note="Training steps only.")
