"""Tables that tools write as text: delimited columns under a header, and moments without a zone.

Owns text to cells and moments; what a column means is its reader's business.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from headway.logs.text import as_text, lines_of

_DELIMITERS: Final = ",;\t|"
_MOST_REPORTED: Final = 5
_MOMENT: Final = re.compile(
    r"(\d{4})[-/]?(\d{2})[-/]?(\d{2})[ T]+(\d{1,2}):(\d{2}):(\d{2}(?:\.\d{1,6})?)\d*\s*(Z|[+-]\d{2}:?\d{2})?"
)


def header_in(head: bytes) -> list[str]:
    """The cells of the first line that is not empty, for recognising a table; none where it has one column."""
    first = next((line for line in as_text(head).splitlines() if line.strip()), "")
    return cells_of(first)


def cells_of(line: str) -> list[str]:
    """The cells of one line by itself, under whichever delimiter it has most of."""
    return _cells(line, _delimiter(line))


def table(
    path: Path, problems: list[str], begins: Callable[[str], bool] = lambda line: True
) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column of each row, without empty ones; a header that comes again is passed over.

    `begins`: whether a line may be the header; those before it are passed over. Rows of another length are kept as far
    as they go and reported. Raises UserError where the file cannot be read.
    """
    header: list[str] = []
    delimiter, odd = ",", 0
    for number, line in lines_of(path, problems):
        if not line.strip():
            continue
        if not header and not begins(line):
            continue
        if not header:
            delimiter = _delimiter(line)
            header = _cells(line, delimiter)
            continue
        cells = _cells(line, delimiter)
        if cells == header:
            continue
        if len(cells) != len(header):
            odd += 1
            if odd <= _MOST_REPORTED:
                problems.append(f"line {number}: {len(cells)} cells under {len(header)} columns")
        yield number, {name: cell for name, cell in zip(header, cells, strict=False) if cell}
    if odd > _MOST_REPORTED:
        problems.append(f"{odd - _MOST_REPORTED} more lines have another number of cells than the header")


def moment_s(text: str) -> float | None:
    """Seconds since 1970 of `2024/09/08 13:03:31.000`, `2024-09-08T13:03:31` or `20240908 13:03:31`; None for others.

    A moment without a zone is taken as UTC, which is right where only differences of them are used.
    """
    match = _MOMENT.fullmatch(text.strip())
    if match is None:
        return None
    year, month, day, hour, minute = (int(part) for part in match.groups()[:5])
    try:
        found = datetime(year, month, day, hour, minute, tzinfo=UTC)
        return found.timestamp() + float(match[6]) - zone_s(match[7])
    except (ValueError, OverflowError):
        return None


def zone_s(zone: str | None) -> float:
    """Seconds that a zone (`Z`, `+02:00`, `+0200`) is ahead of UTC; none is taken as UTC."""
    if zone is None or zone == "Z":
        return 0.0
    digits = zone[1:].replace(":", "")
    return (-1 if zone[0] == "-" else 1) * (int(digits[:2]) * 3600 + int(digits[2:]) * 60)


def _delimiter(line: str) -> str:
    return max(_DELIMITERS, key=line.count)


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])]
    except csv.Error:
        return [cell.strip(' "') for cell in line.split(delimiter)]
