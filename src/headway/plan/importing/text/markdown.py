"""Tables of Markdown documents, each under the headings that it stands below.

Owns the form (`| a | b |` with a row of dashes); what columns mean is the importer's.
"""

from __future__ import annotations

import re
from typing import Final

from headway.domain.errors import Position
from headway.plan.importing.nouns import Grid
from headway.plan.reading.yaml import Text

MOST_CHARACTERS: Final = 1_000_000
MOST_ROWS: Final = 2_000
MOST_COLUMNS: Final = 60
MOST_WIDE: Final = 20_000
_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*\s*$")
_DASHES = re.compile(r"\s*\|?(\s*:?-{1,}:?\s*\|)+\s*(:?-{1,}:?\s*)?$")
_MARKS = re.compile(r"\*\*|__|`|~~|<br\s*/?>|\[([^\]]*)\]\([^)]*\)")


def grids(name: str, text: str) -> tuple[Grid, ...]:
    """The tables of a document; what stands in a fence of code is none."""
    lines = text[:MOST_CHARACTERS].splitlines()
    headings: list[tuple[int, str]] = []
    found: list[Grid] = []
    fenced, at, rows = False, 0, 0
    while at < len(lines) and rows < MOST_ROWS:
        line = lines[at]
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        elif fenced:
            pass
        elif heading := _HEADING.match(line[:500]):
            headings = [one for one in headings if one[0] < len(heading[1])] + [(len(heading[1]), _plain(heading[2]))]
        elif "|" in line and at + 1 < len(lines) and _DASHES.match(lines[at + 1][:2000]) and "-" in lines[at + 1]:
            grid, at = _grid(name, lines, at, tuple(words for _, words in headings))
            rows += len(grid.rows)
            found.append(grid)
            continue
        at += 1
    return tuple(found)


def _grid(name: str, lines: list[str], at: int, headings: tuple[str, ...]) -> tuple[Grid, int]:
    columns = tuple(str(cell) for cell in _cells(name, lines[at], at))
    begin, at = at, at + 2
    rows: list[tuple[Text, ...]] = []
    while at < len(lines) and "|" in lines[at] and len(rows) < MOST_ROWS:
        rows.append(_cells(name, lines[at], at))
        at += 1
    return Grid(headings=headings, columns=columns, rows=tuple(rows), where=Position(name, begin + 1, 1)), at


def _cells(name: str, line: str, at: int) -> tuple[Text, ...]:
    """Cells of a row, with the column each begins in; marks of emphasis are taken away."""
    inner = line[:MOST_WIDE].rstrip()
    start = len(inner) - len(inner.lstrip())
    start += inner[start : start + 1] == "|"
    end = len(inner) - (inner.endswith("|") and len(inner) > start)
    found, place = [], start
    for part in inner[start:end].replace("\\|", "\0").split("|", MOST_COLUMNS)[:MOST_COLUMNS]:
        column = place + len(part) - len(part.lstrip()) + 1
        found.append(Text(_plain(part.replace("\0", "|")), Position(name, at + 1, column)))
        place += len(part) + 1
    return tuple(found)


def _plain(text: str) -> str:
    return _MARKS.sub(lambda m: m[1] or "", text[:500]).strip()
