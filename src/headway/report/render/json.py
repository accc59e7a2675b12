"""JSON for programs: the page's document, with long lists one item per line.

Owns the layout of the text only; what the keys mean is `report/contract.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from headway.report.view import Layout, Page


def render(page: Page, layout: Layout) -> Iterator[str]:
    """The document, top-level keys on lines of their own; iterators are written item by item, never held whole."""
    separator = "{\n"
    for key, value in page.document().items():
        yield f"{separator}{_text(key)}: "
        if isinstance(value, list | tuple | Iterator):
            yield from _items(iter(value))
        else:
            yield _text(value)
        separator = ",\n"
    yield "\n}\n"


def _items(items: Iterator[Any]) -> Iterator[str]:
    separator = "[\n  "
    for item in items:
        yield separator + _text(item)
        separator = ",\n  "
    yield "[]" if separator.startswith("[") else "\n]"


def _text(value: object) -> str:
    """JSON that every parser reads: no NaN, no infinities; wide characters as they are."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
