"""Token lengths from a file beside the plan: how long the rows of a dataset are.

Owns the file forms: one whole number a line, a JSON list, or a JSON histogram `{"length": rows}`. Bounded like a plan.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from typing import Final

from headway.domain.errors import PlanError, Position
from headway.domain.statement import Value
from headway.domain.units import Range
from headway.plan.reading.values import fault
from headway.plan.reading.yaml import Node

MAX_BYTES: Final = 100_000_000
SHARES: Final = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
"""Shares of the rows at which lengths are kept."""


def of(name: str, folder: str, node: Node) -> tuple[Value, tuple[tuple[float, float], ...]]:
    """Mean tokens in a row, with its sample, and `(share, tokens)` quantiles, from file `name` (relative to `folder`).

    Raises PlanError at `node`: no such file, not readable, or at the file's own line: not a list of lengths.
    """
    path = os.path.join(folder, name)
    try:
        if os.path.getsize(path) > MAX_BYTES:
            raise fault(node, f"a file of lengths has at most {MAX_BYTES // 1_000_000} MB", repr(name))
        with open(path, encoding="utf-8") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as problem:
        raise fault(
            node, f"a file of lengths is readable: {problem.strerror or problem}", repr(name),
            "Its path starts at the plan's folder.",
        ) from None  # fmt: skip
    except UnicodeDecodeError:
        raise fault(node, "a file of lengths is text: one whole number a line", repr(name)) from None
    counted = _json(content, path) if content.lstrip()[:1] in ("[", "{") else _lines(content, path)
    if not counted:
        raise fault(node, "a file of lengths has at least one row", repr(name))
    return _value(counted, name, node), _quantiles(counted)


def _lines(content: str, path: str) -> Counter[int]:
    counted: Counter[int] = Counter()
    for row, line in enumerate(content.splitlines(), start=1):
        word = line.strip()
        if not word:
            continue
        if not word.isascii() or not word.isdigit() or len(word) > 12:
            raise PlanError(
                "a file of lengths has one whole number a line", got=repr(word)[:60], where=Position(path, row, 1)
            )
        counted[int(word)] += 1
    return counted


def _json(content: str, path: str) -> Counter[int]:
    rule = "a JSON file of lengths is a list of whole numbers, or a map from length to rows"
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as problem:
        line, column = getattr(problem, "lineno", 1), getattr(problem, "colno", 1)
        raise PlanError(rule, got=str(problem)[:60], where=Position(path, line, column)) from None
    pairs = list(found.items()) if isinstance(found, dict) else [(item, 1) for item in found]
    counted: Counter[int] = Counter()
    for length, rows in pairs:
        whole = str(length).isascii() and str(length).isdigit() and len(str(length)) <= 12
        if not whole or isinstance(rows, bool) or not isinstance(rows, int) or rows < 0:
            raise PlanError(rule, got=f"{length!r}: {rows!r}"[:60], where=Position(path))
        counted[int(length)] += rows
    return +counted


def _value(counted: Counter[int], name: str, node: Node) -> Value:
    rows = counted.total()
    mean = sum(length * count for length, count in counted.items()) / rows
    variance = sum(count * (length - mean) ** 2 for length, count in counted.items()) / rows
    statistics = {
        "mean": mean,
        "median": _quantile(counted, 0.5),
        "min": float(min(counted)),
        "max": float(max(counted)),
        "sd": math.sqrt(variance),
        "n": float(rows),
    }
    return Value(
        range=Range.point(mean), unit="count", noun="tokens", text=name, statistics=statistics, source=name,
        where=node.where,
    )  # fmt: skip


def _quantile(counted: Counter[int], share: float) -> float:
    """The shortest length that at least `share` of the rows do not exceed."""
    wanted, seen = share * counted.total(), 0
    for length in sorted(counted):
        seen += counted[length]
        if seen >= wanted:
            return float(length)
    return float(max(counted))


def _quantiles(counted: Counter[int]) -> tuple[tuple[float, float], ...]:
    return tuple((share, _quantile(counted, share)) for share in SHARES)
