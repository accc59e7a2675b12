"""JSON for programs: the page's document, two levels of it one item per line.

Owns the layout of the text only; what the keys mean is `report/contract.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from headway.report.view import Layout, Page

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
"""JSON that every parser reads: no NaN, no infinities; wide characters as they are."""


def render(page: Page, layout: Layout) -> Iterator[str]:
    """The document, top-level keys on lines of their own; iterators are written item by item, never held whole."""
    separator = "{\n"
    for key, value in page.document().items():
        yield f"{separator}{_text(key)}: "
        if isinstance(value, list | tuple | Iterator):
            yield from _items("[]", (_text(item) for item in value))
        elif isinstance(value, Mapping):
            yield from _items("{}", (f"{_text(name)}: {_text(item)}" for name, item in value.items()))
        else:
            yield _text(value)
        separator = ",\n"
    yield "\n}\n"


def _items(brackets: str, items: Iterable[str]) -> Iterator[str]:
    """A list or an object with one item per line."""
    separator = f"{brackets[0]}\n  "
    for item in items:
        yield separator + item
        separator = ",\n  "
    yield brackets if separator[0] == brackets[0] else f"\n{brackets[1]}"


def _text(value: object) -> str:
    return _ENCODER.encode(value)
