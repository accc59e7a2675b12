"""Comma-separated values: a header and one line per row of the page (RFC 4180, line feeds at the ends).

Owns the quoting. Numbers are unrounded and their units stand in the column names.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping

from headway.report.view import Layout, Page, visible


def render(page: Page, layout: Layout) -> Iterator[str]:
    """The page's rows, a line at a time; an unknown is an empty field, never 0."""
    header: tuple[str, ...] | None = None
    for row in page.rows():
        if header is None:
            header = tuple(row)
            yield _line(dict(zip(header, header, strict=True)))
        yield _line(row)


def _line(row: Mapping[str, object]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow("" if cell is None else _safe(cell) for cell in row.values())
    return buffer.getvalue()


def _safe(cell: object) -> object:
    """A spreadsheet runs text that begins like a formula (OWASP, CSV injection): a quote before it keeps it text."""
    if not isinstance(cell, str):
        return cell
    text = visible(cell)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") or cell[:1] in ("\t", "\r") else text
