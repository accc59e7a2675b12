"""Findings as GitHub annotations: workflow commands that show them beside the lines of a pull request.

Owns the escaping. Source: docs.github.com, "Workflow commands for GitHub Actions", setting an error message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from headway.report.view import Layout, Page, visible

_COMMAND = {"error": "error", "warning": "warning", "info": "notice"}


def render(page: Page, layout: Layout) -> Iterator[str]:
    """One line for each finding of the page's document."""
    found = page.document()
    for finding in (*found.get("findings", ()), *found.get("found", ())):
        where: Mapping[str, Any] = finding["where"]
        place = {"file": where["file"], "line": where["line"], "col": where["column"], "title": finding["code"]}
        said = ",".join(f"{key}={_property(str(value))}" for key, value in place.items() if value)
        text = f"{finding['message']}. {finding['hint']}".strip()
        yield f"::{_COMMAND[finding['severity']]} {said}::{_data(visible(text))}\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
