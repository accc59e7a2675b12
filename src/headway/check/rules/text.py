"""HW3xx, text: names that were read in the wrong encoding on their way here.

Owns the detection, and the words as they were.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from headway.check.case import Case
from headway.check.rule import Rule
from headway.domain.errors import Finding, Fix, Position

WRONGLY_READ_AS = ("mac_roman", "cp1252", "latin-1")
"""Encodings that UTF-8 is most often mistaken for: old Macs, Windows, the web's default."""
SHOWN = 60
"""Characters of a long text that a message repeats."""
LINES_AFTER = 30
"""Lines below the place of an entry within which its texts stand."""
_RUN = re.compile(r"[^\x00-\x7f]+(?:\s?[^\x00-\x7f]+)*")


def repaired(text: str) -> str:
    """The text with every run of letters decoded again that is UTF-8 read as something else; the same if none is."""
    return text if text.isascii() else _RUN.sub(lambda run: _decoded(run[0]), text)


def _decoded(run: str) -> str:
    for encoding in WRONGLY_READ_AS:
        try:
            meant = run.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
        return meant
    return run


def _texts(case: Case) -> Iterator[tuple[str, Position]]:
    """Everything that people read on a page, with its place or the nearest one that is known."""
    plan = case.plan
    yield plan.title, plan.where("title")
    for phase in plan.phases:
        yield phase.name, phase.where
        yield phase.asks, phase.where
    for experiment in plan.experiments:
        yield experiment.name, experiment.where
    for dataset in plan.datasets.values():
        yield dataset.name, dataset.where
    for task in plan.tasks.values():
        yield task.name, task.where
    for option in plan.options.values():
        yield option.name, option.where
    for question in plan.questions.values():
        yield question.ask, question.where
    for claim in plan.claims:
        for words in claim.values:
            if isinstance(words, str):
                yield words, claim.where


def _damaged(case: Case) -> Iterator[Finding]:
    lines, seen = case.text.splitlines(), set()
    for text, near in _texts(case):
        meant = repaired(text)
        if meant == text or text in seen:
            continue
        seen.add(text)
        where = _place(text, lines, near)
        yield DAMAGED.finding(
            f'"{text[:SHOWN]}" was read in the wrong encoding: it says "{meant[:SHOWN]}"',
            where=where,
            evidence={"text": text, "meant": meant, "characters": len(text) - len(meant)},
            hint="Read the source as UTF-8.",
            fix=Fix(where=where, old=text, new=meant, says="the text as it was written") if where != near else None,
        )


def _place(text: str, lines: list[str], near: Position) -> Position:
    """Where the text stands in the file, at or soon after the nearest known place, which it is otherwise."""
    for number in range(max(near.line, 1), min(near.line + LINES_AFTER, len(lines)) + 1):
        column = lines[number - 1].find(text)
        if column >= 0:
            return Position(near.file, number, column + 1)
    return near


_NAMED = """headway: 1
title: {title}
model: Qwen/Qwen2-0.5B
data: {{rows: 10k, length: 128}}
run: {{machine: RTX 4090}}
"""

DAMAGED = Rule(
    code="HW319",
    name="text in wrong encoding",
    severity="info",
    says="Names and titles are readable.",
    because="UTF-8 read as MacRoman or Windows-1252 turns one character into two to four, in every report of the plan.",
    fails=_NAMED.format(title="8\u221a\u00f32 runs"),
    passes=_NAMED.format(title="8\u00d72 runs"),
    find=_damaged,
)
RULES = (DAMAGED,)
