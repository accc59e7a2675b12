"""What is asked, and what answering it takes: the key question of each phase, then the plan's research questions.

Owns the table of questions. Which experiments a selector picks is `domain.selection`.
"""

from __future__ import annotations

from collections.abc import Iterator

from headway.domain.selection import select
from headway.domain.spread import total
from headway.report.answer import Answer
from headway.report.figures import NONE, hours_column
from headway.report.sections.selection import counted, is_known, known_phases
from headway.report.view import Column, Detail, Section, by_columns

_Row = tuple[str, str, str, int, float | None]
"""Id, question, what answers it, runs, GPU-seconds (None: unknown)."""


def parts(answer: Answer, detail: Detail) -> Iterator[Section]:
    """One row per question with the runs that answer it and their GPU-hours; nothing where nothing is asked."""
    rows = [*_phases(answer), *_research(answer)]
    if not rows:
        return
    hours = hours_column([row[4] for row in rows])
    table = by_columns(
        [
            (Column(name="of"), [row[0] for row in rows]),
            (Column(name="Question", least=30), [row[1] for row in rows]),
            (Column(name="answered by", least=8, drop=1), [row[2] for row in rows]),
            (Column(name="Runs", align="right"), [f"{row[3]:,}" for row in rows]),
            (Column(name="GPU-h", align="right"),
             [cell if row[3] else NONE for cell, row in zip(hours, rows, strict=True)]),
        ]
    )  # fmt: skip
    yield Section(title="Questions", items=(table,))


def _phases(answer: Answer) -> Iterator[_Row]:
    """The question that each phase asks; its own runs answer it."""
    known = known_phases(answer.estimate)
    for phase in answer.estimate.phases:
        if phase.asks and phase.experiments and not phase.optional:
            yield phase.id, phase.asks, "", phase.experiments, phase.gpu_s.p50 if phase.id in known else None


def _research(answer: Answer) -> Iterator[_Row]:
    """The plan's research questions, and the experiments that are to answer them."""
    runs = {item.id: item for item in counted(answer)}
    for question in answer.plan.questions.values():
        chosen = select(answer.plan, question.answered_by) if question.answered_by else ()
        found = [runs[name] for name in chosen if name in runs]
        said = ", ".join(question.answered_by.patterns) if question.answered_by else "nothing"
        known = all(is_known(item) for item in found)
        hours = total(item.gpu_s for item in found).p50 if known else None
        yield question.id, question.ask, said, len(found), hours
