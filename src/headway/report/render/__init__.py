"""Renderers: a page as text for one kind of reader. One file a format, all in `FORMATS` or `OF_FINDINGS`.

Owns the list. A renderer arranges what a page says; it computes and rounds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from headway.report.render import csv, github, html, json, markdown, sarif, terminal
from headway.report.view import Layout, Page, View

Render = Callable[[Page, Layout], Iterator[str]]
"""Text in pieces, so that a long answer is written while it is made."""

FORMATS: dict[str, Render] = {
    "table": terminal.render,
    "md": markdown.render,
    "csv": csv.render,
    "json": json.render,
    "html": html.render,
}
"""For every page."""
OF_FINDINGS: dict[str, Render] = {"github": github.render, "sarif": sarif.render}
"""For pages of findings (`check_view`)."""


def text(view: View, name: str, layout: Layout | None = None) -> str:
    """A view in one of the formats for people: `table`, `md` or `html`; KeyError for another name."""
    return "".join(FORMATS[name](Page(view=lambda: view, document=dict), layout or Layout()))
