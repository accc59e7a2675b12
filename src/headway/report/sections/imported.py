"""What was read from a file of another tool, what its tool takes by default, and what was not read.

Owns the words of that section.
"""

from __future__ import annotations

from collections.abc import Iterator

from headway.plan import Imported
from headway.report.answer import Answer
from headway.report.view import Column, Detail, Fact, Item, Note, Section, by_columns

MOST_NAMED = 12
"""Keys that were not read and are named; `-v` names all of them."""


def parts(answer: Answer, detail: Detail) -> Iterator[Section]:
    """One section, for a plan that was made of another tool's file."""
    found = answer.imported
    if found is not None:
        yield Section(title="Imported", items=tuple(_items(found, detail)))


def _items(found: Imported, detail: Detail) -> Iterator[Item]:
    yield Fact(label="file", text=found.name, note=found.summary)
    both = [(one.field, one.value) for one in found.read] + [(one.field, one.value) for one in found.absent]
    yield by_columns(
        [
            (Column(name="field"), [name.replace("_", " ") for name, _ in both]),
            (Column(name="value", least=16), [value for _, value in both]),
            (
                Column(name="from", least=20, drop=1),
                [f"{one.key}{_line(one.where.line)}" for one in found.read]
                + [f"not said; {one.source}" for one in found.absent],
            ),
        ],
        title="Read, and taken by default",
    )
    for note in found.notes:
        yield Note(text=f"{note[:1].upper()}{note[1:]}.")
    if found.not_read:
        shown = found.not_read if detail.verbose else found.not_read[:MOST_NAMED]
        more = f" and {len(found.not_read) - len(shown)} more" if len(shown) < len(found.not_read) else ""
        yield Fact(label="not read", text=", ".join(one.key for one in shown) + more)


def _line(line: int) -> str:
    return f", line {line}" if line else ""
