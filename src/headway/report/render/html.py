"""A page as a fragment of HTML, for notebooks (`_repr_html_`): headings, a definition list, tables.

Owns the tags. No scripts, no outside resources, and every text escaped.
"""

from __future__ import annotations

import html
from collections.abc import Iterator

from headway.report.view import Code, Column, Fact, Item, Layout, Note, Page, Row, Table, visible


def render(page: Page, layout: Layout) -> Iterator[str]:
    """The fragment, one `<div class="headway">`."""
    view = page.view()
    yield f'<div class="headway">\n<h2>{escape(view.title)}</h2>\n'
    if view.subtitle:
        yield f"<p>{escape(view.subtitle)}</p>\n"
    for section in view.sections:
        if section.title:
            yield f"<h3>{escape(section.title)}</h3>\n"
        for item in section.items:
            yield from _item(item)
    if view.next_command:
        yield f"<p>Next: <code>{escape(view.next_command)}</code></p>\n"
    yield "</div>\n"


def _item(item: Item) -> Iterator[str]:
    if isinstance(item, Table):
        yield from _table(item)
    elif isinstance(item, Fact):
        words = " · ".join(escape(part) for part in (item.text, item.kind, item.note) if part)
        yield f"<p><b>{escape(item.label)}</b> {words}</p>\n"
    elif isinstance(item, Code):
        lines = "\n".join(escape(line) for line in item.text.splitlines())
        yield f"<pre><code>{lines}</code></pre>\n"
    else:
        yield _note(item)


def _note(note: Note) -> str:
    words = " ".join(part for part in (note.text, note.hint, f"({note.where})" if note.where else "") if part)
    sign = f"<b>{note.severity}</b> " if note.severity in ("error", "warning") else ""
    return f"<p>{sign}{escape(words)}</p>\n"


def _table(table: Table) -> Iterator[str]:
    yield "<table>\n"
    if table.title:
        yield f"<caption>{escape(table.title)}</caption>\n"
    names = "".join(f'<th style="text-align:{column.align}">{escape(column.name)}</th>' for column in table.columns)
    yield f"<thead><tr>{names}</tr></thead>\n<tbody>\n"
    for row in table.rows:
        yield _row(row, table.columns, "td")
    yield "</tbody>\n"
    if table.footer:
        yield "<tfoot>\n"
        for row in table.footer:
            yield _row(row, table.columns, "th")
        yield "</tfoot>\n"
    yield "</table>\n"
    if table.note:
        yield f"<p>{escape(table.note)}</p>\n"


def _row(row: Row, columns: tuple[Column, ...], tag: str) -> str:
    cells = []
    for index, (cell, column) in enumerate(zip(row.cells, columns, strict=True)):
        indent = f";padding-left:{row.level + 1}em" if index == 0 and row.level else ""
        cells.append(f'<{tag} style="text-align:{column.align}{indent}">{escape(cell)}</{tag}>')
    return f"<tr>{''.join(cells)}</tr>\n"


def escape(text: str) -> str:
    """Text that HTML shows as it is."""
    return html.escape(visible(text))
