"""A page, or one section of it, as a reader of the terminal sees it."""

from __future__ import annotations

from headway.report.answer import Answer
from headway.report.estimate_view import estimate_view
from headway.report.render import text
from headway.report.view import Detail, Layout


def shown(answer: Answer, width: int = 80, **detail: bool) -> str:
    """The whole page."""
    return text(estimate_view(answer, Detail(**detail)), "table", Layout(width=width))


def section(answer: Answer, title: str, width: int = 100, **detail: bool) -> list[str]:
    """The lines of one section, without its title."""
    blocks = shown(answer, width, **detail).split("\n")
    start = next(index for index, line in enumerate(blocks) if line.startswith(title))
    end = next((i for i in range(start + 1, len(blocks)) if blocks[i] and not blocks[i].startswith(" ")), len(blocks))
    return [line for line in blocks[start + 1 : end] if line]
