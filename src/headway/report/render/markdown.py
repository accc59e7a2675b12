"""Markdown (GitHub's tables) of a page: for reports, pull requests and notebooks.

Owns the escaping and the shape; nothing is shortened or left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from headway.report.view import Code, Fact, Item, Layout, Note, Page, Row, Table, visible

_MARKS = re.compile(r"([\\`*_\[\]<>|#~])")
_SIGNS = {"error": "**Error.** ", "warning": "**Warning.** ", "info": "", None: ""}


def render(page: Page, layout: Layout) -> Iterator[str]:
    """The page with headings, a list for facts, and pipe tables."""
    view = page.view()
    yield f"# {escape(view.title)}\n"
    if view.subtitle:
        yield f"\n{escape(view.subtitle)}\n"
    for section in view.sections:
        if section.title:
            yield f"\n## {escape(section.title)}\n"
        previous: Item | None = None
        for item in section.items:
            if not (isinstance(item, Fact) and isinstance(previous, Fact)):
                yield "\n"
            yield from _item(item)
            previous = item
    if view.next_command:
        yield f"\nNext: `{visible(view.next_command)}`\n"


def escape(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _MARKS.sub(r"\\\1", " ".join(visible(text).split()))


def _item(item: Item) -> Iterator[str]:
    if isinstance(item, Table):
        yield from _table(item)
    elif isinstance(item, Fact):
        yield _fact(item)
    elif isinstance(item, Code):
        yield _code(item)
    else:
        yield _note(item)


def _fact(fact: Fact) -> str:
    """`- **time** 341.7 GPU-hours *(stated)*: a remark`; a fact without a label goes on below the last one."""
    head = f"- **{escape(fact.label)}** " if fact.label else "  - "
    kind = f" *({fact.kind})*" if fact.kind else ""
    note = f"{': ' if fact.text else ''}{escape(fact.note)}" if fact.note else ""
    return f"{head}{escape(fact.text)}{kind}{note}\n"


def _note(note: Note) -> str:
    where = f" ({escape(note.where)})" if note.where else ""
    hint = f" {escape(note.hint)}" if note.hint else ""
    return f"{'- ' if note.severity else ''}{_SIGNS[note.severity]}{escape(note.text)}{hint}{where}\n"


def _code(code: Code) -> str:
    """A fenced block; the fence is longer than any in the text (CommonMark 0.31, section 4.5)."""
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall(r"`+", code.text))])
    lines = "".join(f"{visible(line)}\n" for line in code.text.splitlines())
    return f"{fence}{code.language}\n{lines}{fence}\n"


def _table(table: Table) -> Iterator[str]:
    if table.title:
        yield f"**{escape(table.title)}**\n\n"
    yield f"| {' | '.join(escape(column.name) for column in table.columns)} |\n"
    yield f"|{'|'.join(' ---: ' if column.align == 'right' else ' --- ' for column in table.columns)}|\n"
    for row in (*table.rows, *table.footer):
        yield f"| {' | '.join(_cells(row, strong=row.strong or row in table.footer))} |\n"
    if table.note:
        yield f"\n{escape(table.note)}\n"


def _cells(row: Row, *, strong: bool) -> list[str]:
    cells = [f"**{escape(cell)}**" if strong and cell else escape(cell) for cell in row.cells]
    cells[0] = "&emsp;" * row.level + cells[0]
    return cells
