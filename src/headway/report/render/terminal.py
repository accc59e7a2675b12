"""The page in a terminal: aligned columns, no boxes, as wide as the window and never wider.

Owns widths (in cells: a CJK character takes two), wrapping, and the few colours. Where a table is too wide, its long
cells are shortened first and its least important columns then left out, which the table says. Lines to copy stay whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from rich.cells import cell_len, set_cell_size

from headway.report.view import Code, Column, Fact, Item, Layout, Note, Page, Row, Section, Table, View, visible

_BOLD, _DIM, _RED, _YELLOW, _PLAIN = "1", "2", "31", "33", ""
_MARGIN = "  "
_GAP = 2
_READABLE = 100
"""Sentences are not set wider than this, whatever the window."""
_KIND = 9
"""Cells of the longest kind, `predicted`."""
_LEAST_WIDTH = 30
_LONGEST_LABEL = 24
_SHORTEST = 12
"""Cells that text keeps where its column says nothing else."""


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
        yield f"{pen.paint('next:', _DIM)} {visible(view.next_command)}"


def _section(section: Section, pen: _Pen) -> Iterator[str]:
    if section.title:
        yield from (pen.paint(line, _BOLD) for line in wrap(section.title, pen.width))
    labels = max((cell_len(item.label) for item in section.items if isinstance(item, Fact)), default=0)
    labels = min(labels, _LONGEST_LABEL)
    facts = [item for item in section.items if isinstance(item, Fact)]
    names = iter(shortened([visible(fact.label) for fact in facts], labels))
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
            yield from _fact(item, next(names), labels, pen)
        elif isinstance(item, Code):
            yield from (f"{_MARGIN}{visible(line)}".rstrip() for line in item.text.splitlines())
        else:
            yield from _note(item, pen)
        previous = item


def _fact(fact: Fact, label: str, labels: int, pen: _Pen) -> Iterator[str]:
    """Label, text, and the kind at the right edge; the note below the text."""
    head = _MARGIN + _fill(label, labels, "left") + "  "
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
    chosen = [table.columns[index] for index in kept]
    cells = [
        [shorten(visible(column.name), width), *shortened([_indented(row)[index] for row in rows], width)]
        for index, column, width in zip(kept, chosen, widths, strict=True)
    ]
    head, *lines = (_line(line, chosen, widths) for line in zip(*cells, strict=True))
    yield pen.paint(head, _DIM)
    for row, line in zip(table.rows, lines, strict=False):
        yield pen.paint(line, _BOLD if row.strong else _PLAIN)
    if table.footer:
        yield pen.paint(_MARGIN + "─" * (sum(widths) + _GAP * (len(kept) - 1)), _DIM)
    for row, line in zip(table.footer, lines[len(table.rows) :], strict=True):
        yield pen.paint(line, _BOLD if row.strong else _PLAIN)
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
        if sum(widths) + _GAP * (len(kept) - 1) <= room or len(kept) == 1:
            return kept, [min(width, room) for width in widths]
        text = [index for index in kept[1:] if columns[index].align == "left"]
        last = max(droppable, key=lambda index: (columns[index].drop, index)) if droppable else (text or kept)[-1]
        kept.remove(last)


def _shrink(widths: list[int], columns: list[Column], room: int) -> list[int]:
    """Widths after the widest shortenable columns gave what is missing."""
    excess = sum(widths) + _GAP * (len(widths) - 1) - room
    while excess > 0:
        spare = [index for index, column in enumerate(columns) if widths[index] > _least(column, widths[index])]
        if not spare:
            break
        widest = max(spare, key=lambda index: widths[index])
        widths[widest] -= 1
        excess -= 1
    return widths


def _least(column: Column, width: int) -> int:
    """Cells that a column keeps: text that says nothing of it can be shortened before a number is left out."""
    if column.least:
        return column.least
    return _SHORTEST if column.align == "left" and not column.drop else width


def _indented(row: Row) -> tuple[str, ...]:
    head, *rest = map(visible, row.cells)
    return (" " * (2 * row.level) + head, *rest)


def _line(cells: Iterable[str], columns: list[Column], widths: list[int]) -> str:
    parts = [_fill(cell, width, column.align) for cell, column, width in zip(cells, columns, widths, strict=True)]
    return (_MARGIN + (" " * _GAP).join(parts)).rstrip()


def shorten(text: str, width: int) -> str:
    """`text` in at most `width` cells, with `…` where something was cut."""
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


def shortened(texts: list[str], width: int) -> list[str]:
    """Each text in at most `width` cells; those that differ stay different where one of the ways to cut allows it.

    At the end; in the middle (`financial sent…-rate 2e-5`); or what all long ones begin with.
    """
    long = sorted(text for text in texts if cell_len(text) > width)
    if not long:
        return texts
    alike = zip(long[0], long[-1], strict=False)  # the first and the last in order differ earliest
    begin = next((index for index, (one, other) in enumerate(alike) if one != other), 0)
    ways: list[Callable[[str], str]] = [
        lambda text: shorten(text, width),
        lambda text: _without_middle(text, width),
        lambda text: shorten(f"…{text[begin:]}", width) if cell_len(text) > width else text,
    ]
    tried = [[way(text) for text in texts] for way in ways]
    return max(tried, key=lambda cells: len(set(cells)))  # the first of equals


def _without_middle(text: str, width: int) -> str:
    if cell_len(text) <= width:
        return text
    tail = text[-1:]
    while len(tail) < len(text) and cell_len(tail) < (width - 1) // 2:
        tail = text[-len(tail) - 1 :]
    return shorten(text, max(width - cell_len(tail), 2)) + tail


def _fill(text: str, width: int, align: str) -> str:
    space = " " * max(0, width - cell_len(text))
    return space + text if align == "right" else text + space


def wrap(text: str, width: int) -> list[str]:
    """Words in lines of at most `width` cells; a longer word is broken where the line ends."""
    lines: list[str] = []
    current = ""
    for word in visible(text).split():
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
