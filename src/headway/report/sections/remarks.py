"""What the reader has to know beside the numbers: what was left out, assumed, read differently, and what looks wrong.

Owns the closing sections of the page.
"""

from __future__ import annotations

from collections.abc import Iterator

from headway.domain.errors import Finding
from headway.report.answer import Answer
from headway.report.sections.selection import trained
from headway.report.view import Detail, Fact, Item, Note, Section

WORDS = {
    "step": "training steps",
    "load": "loading the model",
    "final_save": "saving the final model",
    "data_wait": "waiting for data",
    "evaluation": "evaluation",
    "checkpoint": "checkpoints",
}

MOST_ERRORS = 3
"""Errors that are said at once, below the headline; the others are among the findings."""


def parts(answer: Answer, detail: Detail) -> Iterator[Section]:
    """Left out, assumed, and the findings that the headline did not say."""
    if answer.estimate.left_out:
        facts = tuple(
            Fact(label=WORDS.get(term, term.replace("_", " ")), text=what)
            for term, what in answer.estimate.left_out.items()
        )
        note = Note(text=f"No rate is known for these under --rates {answer.estimate.rates}.")
        yield Section(title="Left out of the total", items=(*facts, note))
    if assumed := _assumed(answer, detail):
        yield Section(title="Assumed", items=tuple(assumed))
    urgent = errors(answer)
    rest = [*urgent[MOST_ERRORS:], *(finding for finding in answer.findings if finding.severity != "error")]
    if rest:
        yield Section(title="Findings", items=tuple(finding_note(finding) for finding in rest))


def errors(answer: Answer) -> list[Finding]:
    """The findings that make the answer doubtful as a whole."""
    return [finding for finding in answer.findings if finding.severity == "error"]


def _assumed(answer: Answer, detail: Detail) -> list[Item]:
    """What the plan did not say and what was taken instead, each once; how unclear names were read."""
    said: dict[str, str] = {}
    for _, _, basis in trained(answer):
        for name, what in basis.assumed.items():
            said.setdefault(name, what)
        for index, warning in enumerate(basis.warnings):
            said.setdefault(f"note {index + 1}", warning)
    found: list[Item] = [Fact(label=name.replace("_", " "), text=what) for name, what in said.items()]
    return found + [Fact(label=name, text=note) for name, note in answer.lookup.notes.items()]


def finding_note(finding: Finding) -> Note:
    """A finding as sentences, with what to do, its code and its place."""
    text = finding.message if not finding.hint or finding.message.endswith((".", "?", "!")) else f"{finding.message}."
    place = ", ".join(part for part in (finding.code, str(finding.where) if finding.where.line else "") if part)
    return Note(text=text, severity=finding.severity, where=place, hint=finding.hint)
