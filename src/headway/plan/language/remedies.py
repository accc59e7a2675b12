"""What to write instead: the line that was probably meant, for values of the wrong form.

Owns the sentences; whether a value is wrong is decided by `validate`.
"""

from __future__ import annotations

from typing import Final

from headway.domain.errors import PlanError
from headway.domain.units import Range
from headway.plan.language.keys import ANYWHERE
from headway.plan.language.kinds import Each, Kind, Leaf, Record, flat, inside
from headway.plan.reading import values
from headway.plan.reading.yaml import Node, Seq, Text

LEVELS: Final = frozenset({"phases", "experiments", "stages"})
"""Keys below which inherited keys stand."""
LONGEST_LIST: Final = 10
"""A range of more whole numbers than this is written by its two ends."""


def other_form(node: Node, kind: Kind, path: str, several: str) -> str:
    """What to write where `node` is text, list or map and `kind` takes another form; empty where nothing is near.

    `several` is the key that takes lists of values here: `matrix`, or `vary` in an option.
    """
    key = path.rpartition(".")[2]
    if isinstance(node, Seq):
        axis = _axis(path)
        if path.startswith("run."):
            return f"Name one here; compare several in an option: `vary: {{{path}: {_list(node)}}}`."
        return f"Put it under `{several}: {{{axis}: {_list(node)}}}`." if axis else ""
    if not isinstance(node, Text) or not node:
        return ""
    for inner in flat(kind):
        if isinstance(inner, Record) and inner.lone:
            return f"Write `{key}: {{{inner.lone}: {node}}}`."
        if isinstance(inner, Each):
            return f"Write `{key}: {{NAME: {node}}}`."
    return ""


def one_number(node: Node, path: str, several: str) -> str:
    """What to write where a whole number is needed: for a range a list, where several values may stand."""
    axis, spread = _axis(path), spread_of(node)
    if spread is None or not axis:
        return "Write one whole number, like 8."
    return f"Put it under `{several}: {{{axis}: {listed(spread)}}}`."


def spread_of(node: Node) -> Range | None:
    """The ends of a count that is written as a range; None for any other value."""
    try:
        found = values.quantity(node, "count") if isinstance(values.used(node), Text) else None
    except PlanError:
        return None
    return None if found is None or found.range.is_point else found.range


def counts(kind: Kind) -> bool:
    """Whether a key holds a count, in which `1-3` is one value in doubt and not three."""
    return any(isinstance(inner, Leaf) and inner.type in ("count", "integer") for inner in flat(kind))


def listed(spread: Range) -> str:
    """`1-3` as `[1, 2, 3]`; the ends alone where more lies between."""
    low, high = spread.low, spread.high
    if low == int(low) and high == int(high) and high - low < LONGEST_LIST:
        return f"[{', '.join(str(number) for number in range(int(low), int(high) + 1))}]"
    return f"[{low:.15g}, {high:.15g}]"


def _axis(path: str) -> str:
    """The part of `path` that may stand in a matrix: an inherited key with what is below it; empty where there is none.

    Ids of phases may be words of the language, so a key is found from the left, where what follows fits it.
    """
    parts = path.split(".")
    if parts[0] not in LEVELS and parts[0] not in ANYWHERE:
        return ""
    for at, part in enumerate(parts):
        kind = ANYWHERE[part].kind if part in ANYWHERE else None
        for below in parts[at + 1 :]:
            kind = inside(kind, below) if kind is not None else None
        if kind is not None:
            return ".".join(parts[at:])
    return ""


def _list(node: Seq) -> str:
    return f"[{', '.join(str(item) if isinstance(item, Text) else '...' for item in node)}]"
