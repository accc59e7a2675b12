"""The page of `headway estimate`: the answer first, then the tables behind it, as far as they fit the plan.

Owns the order of the sections. What each says is a file of `sections/`; what programs read is `contract`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from headway.report.answer import Answer
from headway.report.contract import estimate_rows, streamed_document
from headway.report.sections import (
    calendar,
    checks,
    epochs,
    experiments,
    headline,
    imported,
    machines,
    node,
    options,
    phases,
    questions,
    remarks,
    samples,
    single,
)
from headway.report.view import Detail, Page, Section, View

PARTS: tuple[Callable[[Answer, Detail], Iterator[Section]], ...] = (
    headline.parts,
    phases.parts,
    questions.parts,
    experiments.parts,
    single.parts,
    samples.parts,
    epochs.parts,
    machines.parts,
    node.parts,
    calendar.parts,
    options.parts,
    imported.parts,
    checks.parts,
    remarks.parts,
)
"""Sections in reading order."""


def estimate_view(answer: Answer, detail: Detail | None = None) -> View:
    """The whole page. Every number on it is text in the unit that fits it, with its kind."""
    wanted = detail or Detail()
    sections = tuple(section for part in PARTS for section in part(answer, wanted))
    made = answer.estimate
    title = made.plan if not made.title or made.title == made.plan else f"{made.plan}: {made.title}"
    return View(title=title, subtitle=_subtitle(answer), sections=sections, next_command=answer.next_command)


def estimate_page(answer: Answer, detail: Detail | None = None) -> Page:
    """The answer in its three forms: for people, for programs, for spreadsheets."""
    return Page(
        view=lambda: estimate_view(answer, detail),
        document=lambda: streamed_document(answer),
        rows=lambda: estimate_rows(answer),
    )


def _subtitle(answer: Answer) -> str:
    """`63 experiments on 1 × RTX 4090 (home), rates: stated, 2026-11-21`."""
    counted = sum(1 for item in answer.estimate.experiments if not item.optional)
    runs = f"{counted:,} experiment{'' if counted == 1 else 's'}"
    where = ""
    if answer.machines:
        first = answer.machines[0]
        name = "" if first.name in ("", first.device) else f" ({first.name})"
        where = f" on {first.gpus} × {first.device}{name}"
    parts = [f"{runs}{where}", f"rates: {answer.estimate.rates}", answer.today]
    return ", ".join(part for part in parts if part)
