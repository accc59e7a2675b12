"""Axes of a matrix: their points, with what each adds to an id and to a name.

Owns principle 3: ids are the values as written, joined by hyphens; a bare number takes its key's name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from headway.plan.language.validate import axis_values
from headway.plan.nouns.data import title
from headway.plan.nouns.stage import Parts
from headway.plan.reading import values
from headway.plan.reading.values import fault
from headway.plan.reading.yaml import Map, Node, Seq, Text


@dataclass(frozen=True, slots=True)
class Point:
    """One value on an axis: what it adds to an id and to a name, its node, and its plain form."""

    id: str
    name: str
    node: Node
    plain: object


def axes_of(matrix: Node, parts: Parts) -> list[tuple[str, list[Point]]]:
    """Keys of one matrix with their points. Raises PlanError for an axis without values."""
    found = []
    for key, node in values.mapping(matrix).items():
        points = axis_values(node)
        if node == "each":
            known = parts.tasks if key == "evaluate" else parts.datasets
            points = [Text(id_, node.where) for id_ in known]
        if not points:
            hint = f"Define some under `{'tasks' if key == 'evaluate' else 'datasets'}`."
            raise fault(node, "an axis has at least one value", values.said(node), hint, f"matrix.{key}")
        found.append((key, [_point(key, point, parts) for point in points]))
    if not found:
        raise fault(
            matrix, "a matrix has at least one axis", values.said(matrix), "Write it like `matrix: {seed: [1, 2, 3]}`."
        )
    return found


def _point(key: str, node: Node, parts: Parts) -> Point:
    words = "-".join(_words(node, key))
    used = values.used(node) if values.is_long(node) else node
    name = ""
    if isinstance(used, Text) and key == "data" and used in parts.datasets:
        name = parts.datasets[used].name
    elif isinstance(used, Text) and key == "evaluate" and used in parts.tasks:
        name = parts.tasks[used].name
    return Point("-".join(words.split()), name or title(words), node, values.plain(used))


def _words(node: Node, key: str) -> Iterator[str]:
    """Words of one value; a bare number takes its key's name."""
    if values.is_long(node):
        node = values.used(node)
    if isinstance(node, Map):
        for inner, item in node.items():
            yield from _words(item, inner)
    elif isinstance(node, Seq):
        for item in node:
            yield from _words(item, key)
    else:
        bare = isinstance(values.resolved(node), int | float | bool)
        yield f"{key.rpartition('.')[2]}{node}" if bare else str(node)
