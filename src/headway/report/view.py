"""What a page says, as plain data: facts, tables, notes, in sections, with the next command to type.

Owns the nouns between a result and its renderers. Every number in them is text already, formatted once by the views
(`report/sections/`), so that a terminal, Markdown and HTML cannot disagree; what programs read (`Page.document`,
`Page.rows`) is made from the same result, unrounded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from headway.domain.errors import Severity

Align = Literal["left", "right"]
_UNSEEN = dict.fromkeys(
    [*range(0x20), *range(0x7F, 0xA0), 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)], " "
)


def visible(text: str) -> str:
    """Text with spaces for control characters and marks that turn its direction: a plan may not steer a reader."""
    return text.translate(_UNSEEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line of an answer: `time   341.7 GPU-hours   stated`."""

    label: str
    """Empty where the line goes on with the one above."""
    text: str
    kind: str = ""
    """How the number is known: `measured`, `predicted`, `stated`, `assumed`; empty for words."""
    note: str = ""
    """What explains the text, in smaller voice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table and what may happen to it where the page is narrow."""

    name: str
    align: Align = "left"
    least: int = 0
    """Cells (terminal columns) it may be shortened to, with an ellipsis; 0: a renderer's choice, never for numbers."""
    drop: int = 0
    """Columns with the highest number are left out first; 0: last of all, text before numbers, never the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Cells of one line; `level` indents the first of them under the row above."""

    cells: tuple[str, ...]
    level: int = 0
    strong: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under named columns; `footer` holds subtotal, buffer and total."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    footer: tuple[Row, ...] = ()
    title: str = ""
    note: str = ""


def by_columns(
    columns: Iterable[tuple[Column, Sequence[str]]],
    *,
    levels: Sequence[int] = (),
    strong: Collection[int] = (),
    footers: int = 0,
    title: str = "",
    note: str = "",
) -> Table:
    """A table from whole columns; one without any text is left out. The last `footers` rows are its footer.

    `levels` indents the first rows one by one, `strong` are the indices of rows in bold.
    """
    kept = [(column, cells) for column, cells in columns if any(cells)]
    rows = [
        Row(cells=cells, level=levels[index] if index < len(levels) else 0, strong=index in strong)
        for index, cells in enumerate(zip(*(cells for _, cells in kept), strict=True))
    ]
    body = len(rows) - footers
    return Table(
        columns=tuple(column for column, _ in kept),
        rows=tuple(rows[:body]),
        footer=tuple(rows[body:]),
        title=title,
        note=note,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A sentence, plain or as a warning; `where` names the line of the plan it is about, `hint` what to do."""

    text: str
    severity: Severity | None = None
    where: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """Lines to copy, shown as they are: nothing is wrapped, cut or moved."""

    text: str
    language: str = "yaml"


Item = Fact | Table | Note | Code


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Things that belong together under one heading (empty: none)."""

    title: str
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A page for people."""

    title: str
    subtitle: str = ""
    sections: tuple[Section, ...] = ()
    next_command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """How much a reader wants to see."""

    confidence: float = 0.8
    """Share of the distribution between the two ends of a shown interval (0.8: p10 to p90)."""
    verbose: bool = False
    """Every experiment, every member, every assumption."""
    sensitivity: bool = False
    """All rows of the sensitivity table, not the largest ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a renderer may use of the place that it writes to."""

    width: int = 80
    color: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One result in its three forms; each is made when a renderer asks for it."""

    view: Callable[[], View]
    """For people."""
    document: Callable[[], Mapping[str, Any]]
    """For programs, with `schema` first; a value may be an iterator, so that 100,000 experiments need no list."""
    rows: Callable[[], Iterable[Mapping[str, object]]] = field(default=lambda: ())
    """For spreadsheets: one mapping per line, all with the same keys, units in the keys."""
