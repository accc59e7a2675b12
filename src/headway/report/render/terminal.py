"""The page in a terminal: aligned columns, no boxes, as wide as the window and never wider.

Owns widths (in cells: a CJK character takes two), wrapping, shortening and the few colours. Where a table is too
wide, its long cells are shortened first and its least important columns then left out, which the table says.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len, set_cell_size

from headway.report.view import Column, Fact, Item, Layout, Note, Page, Row, Section, Table, View

_BOLD, _DIM, _RED, _YELLOW, _PLAIN = "1", "2", "31", "33", ""
_MARGIN = "  "
_GAP = 2
_READABLE = 100
"""Sentences are not set wider than this, whatever the window."""
_KIND = 9
"""Cells of the longest kind, `predicted`."""
_LEAST_WIDTH = 30
_LONGEST_LABEL = 24
_UNSEEN = dict.fromkeys(
    [*range(0x20), *range(0x7F, 0xA0), 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)], " "
)
"""Control characters and marks that turn the direction of text: a plan may not steer the terminal."""


def render(page: Page, layout: Layout) -> Iterator[str]:
    """The page, line by line, each at most `layout.width` cells wide."""
    for line in _page(page.view(), _Pen(layout)):
        yield f"{line}\n"


class _Pen:
    """The width to keep and whether to colour."""

    def __init__(self, layout: Layout) -> None:
        self.width = max(layout.width, _LEAST_WIDTH)
        self.prose = min(self.width, _READABLE)
        self.color = layout.color

    def paint(self, text: str, *codes: str) -> str:
        """`text` in ANSI colours (ECMA-48 SGR), or as it is."""
        chosen = ";".join(code for code in codes if code)
        return f"\x1b[{chosen}m{text}\x1b[0m" if self.color and chosen and text else text


def _page(view: View, pen: _Pen) -> Iterator[str]:
    for line in wrap(view.title, pen.prose):
        yield pen.paint(line, _BOLD)
    for line in wrap(view.subtitle, pen.prose):
        yield pen.paint(line, _DIM)
    for section in view.sections:
        yield ""
        yield from _section(section, pen)
    if view.next_command:
        yield ""
        yield f"{pen.paint('next:', _DIM)} {view.next_command}"


def _section(section: Section, pen: _Pen) -> Iterator[str]:
    if section.title:
        yield from (pen.paint(line, _BOLD) for line in wrap(section.title, pen.width))
    labels = max((cell_len(item.label) for item in section.items if isinstance(item, Fact)), default=0)
    labels = min(labels, _LONGEST_LABEL)
    previous: Item | None = None
    for item in section.items:
        if previous is not None and (
            isinstance(item, Table)
            or isinstance(previous, Table)
            or (isinstance(item, Note) and isinstance(previous, Fact) and item.severity)
        ):
            yield ""
        if isinstance(item, Table):
            yield from _table(item, pen)
        elif isinstance(item, Fact):
            yield from _fact(item, labels, pen)
        else:
            yield from _note(item, pen)
        previous = item


def _fact(fact: Fact, labels: int, pen: _Pen) -> Iterator[str]:
    """Label, text, and the kind at the right edge; the note below the text."""
    head = _MARGIN + _fill(shorten(fact.label.translate(_UNSEEN), labels), labels, "left") + "  "
    room = pen.prose - cell_len(head)
    text = wrap(fact.text, room - (_KIND + _GAP if fact.kind else 0))
    for index, line in enumerate(text):
        start = pen.paint(head, _DIM) if index == 0 else " " * cell_len(head)
        if index or not fact.kind:
            yield f"{start}{line}"
        else:
            yield f"{start}{_fill(line, room - _KIND, 'left')}{pen.paint(_fill(fact.kind, _KIND, 'right'), _DIM)}"
    for index, line in enumerate(wrap(fact.note, room)):
        start = head if not text and index == 0 else " " * cell_len(head)
        yield pen.paint(f"{start}{line}", _DIM)


def _note(note: Note, pen: _Pen) -> Iterator[str]:
    """A sentence; `warning:` and `error:` stand out, place and hint come after it."""
    sign = f"{note.severity}: " if note.severity in ("error", "warning") else ""
    color = {"error": _RED, "warning": _YELLOW}.get(note.severity or "", _PLAIN)
    place = f" ({note.where})" if note.where else ""
    hint = f" {note.hint}" if note.hint else ""
    lines = wrap(f"{sign}{note.text}{hint}{place}", pen.prose - len(_MARGIN) - 2)
    for index, line in enumerate(lines):
        if index == 0 and sign and line.startswith(sign.strip()):
            cut = len(sign.strip())
            line = pen.paint(line[:cut], _BOLD, color) + line[cut:]  # noqa: PLW2901 - the same line, coloured
        yield f"{_MARGIN}{'' if index == 0 else '  '}{line}"


def _table(table: Table, pen: _Pen) -> Iterator[str]:
    if table.title:
        yield from (pen.paint(f"{_MARGIN}{line}", _BOLD) for line in wrap(table.title, pen.prose - len(_MARGIN)))
    rows = [*table.rows, *table.footer]
    kept, widths = _fit(table.columns, rows, pen.width - len(_MARGIN))
    yield pen.paint(_line(tuple(column.name for column in table.columns), kept, widths, table.columns), _DIM)
    for row in table.rows:
        yield pen.paint(_line(_indented(row), kept, widths, table.columns), _BOLD if row.strong else _PLAIN)
    if table.footer:
        yield pen.paint(_MARGIN + "─" * (sum(widths) + _GAP * (len(kept) - 1)), _DIM)
    for row in table.footer:
        yield pen.paint(_line(_indented(row), kept, widths, table.columns), _BOLD if row.strong else _PLAIN)
    hidden = [column.name for index, column in enumerate(table.columns) if index not in kept]
    left_out = f"Left out at this width: {', '.join(hidden)}." if hidden else ""
    for line in wrap(" ".join(part for part in (table.note, left_out) if part), pen.prose - len(_MARGIN)):
        yield pen.paint(f"{_MARGIN}{line}", _DIM)


def _fit(columns: tuple[Column, ...], rows: list[Row], room: int) -> tuple[list[int], list[int]]:
    """Indices of the columns that stay, and their widths in cells."""
    natural = [
        max([cell_len(column.name), *(cell_len(_indented(row)[index]) for row in rows)])
        for index, column in enumerate(columns)
    ]
    kept = [index for index in range(len(columns)) if natural[index]]
    while True:
        widths = _shrink([natural[index] for index in kept], [columns[index] for index in kept], room)
        droppable = [index for index in kept if columns[index].drop]
        if sum(widths) + _GAP * (len(kept) - 1) <= room or (not droppable and len(kept) == 1):
            return kept, widths
        kept.remove(max(droppable, key=lambda index: (columns[index].drop, index)) if droppable else kept[-1])


def _shrink(widths: list[int], columns: list[Column], room: int) -> list[int]:
    """Widths after the widest shortenable columns gave what is missing."""
    excess = sum(widths) + _GAP * (len(widths) - 1) - room
    while excess > 0:
        spare = [index for index, column in enumerate(columns) if column.least and widths[index] > column.least]
        if not spare:
            break
        widest = max(spare, key=lambda index: widths[index])
        widths[widest] -= 1
        excess -= 1
    return widths


def _indented(row: Row) -> tuple[str, ...]:
    head, *rest = (cell.translate(_UNSEEN) for cell in row.cells)
    return (" " * (2 * row.level) + head, *rest)


def _line(cells: tuple[str, ...], kept: list[int], widths: list[int], columns: tuple[Column, ...]) -> str:
    parts = [
        _fill(shorten(cells[index], width), width, columns[index].align)
        for index, width in zip(kept, widths, strict=True)
    ]
    return (_MARGIN + (" " * _GAP).join(parts)).rstrip()


def shorten(text: str, width: int) -> str:
    """`text` in at most `width` cells, with `…` where something was cut."""
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


def _fill(text: str, width: int, align: str) -> str:
    space = " " * max(0, width - cell_len(text))
    return space + text if align == "right" else text + space


def wrap(text: str, width: int) -> list[str]:
    """Words in lines of at most `width` cells; a longer word is broken where the line ends."""
    lines: list[str] = []
    current = ""
    for word in text.translate(_UNSEEN).split():
        rest = word
        if current and cell_len(current) + 1 + cell_len(rest) <= width:
            current = f"{current} {rest}"
            continue
        if current:
            lines.append(current)
        while cell_len(rest) > width:
            head = set_cell_size(rest, width).rstrip()
            lines.append(head)
            rest = rest[len(head) :]
        current = rest
    return [*lines, current] if current else lines
