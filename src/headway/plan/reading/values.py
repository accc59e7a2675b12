"""What one value of a plan means: nodes of the tree to quantities, names, selectors and plain data.

Owns the forms a value may take: points and ranges with a unit, measured samples, expressions, sums of parts, a list
of the same thing said again, and the long form `{use, stated_as, source, date, note}`. Which key takes which kind of
value is written in `language/`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from headway.domain.errors import PlanError, Position, UserError
from headway.domain.statement import Name, Selector, Value
from headway.domain.units import Quantity, Range, parse, parse_any
from headway.plan.reading.expression import evaluate
from headway.plan.reading.yaml import Map, Node, Seq, Text

LONG: Final = frozenset({"use", "stated_as", "source", "date", "note"})
STATISTICS: Final = frozenset({"mean", "median", "min", "max", "sd", "n"})
COUNTED: Final = frozenset(
    "rows samples examples pairs sequences tokens steps epochs batches prompts generations experiments tasks runs "
    "checkpoints parameters params GPUs gpus layers classes passes shots row sample step epoch token".split()
)
"""Words that may follow a count; any other is a wrong unit."""
_ARITHMETIC = re.compile(r"[+*/%()]|\b(?:sum|min|max|ceil|floor)\b")
_SCALED: Final = {"gpu_hours": (3600.0, "GPU-h"), "days": (86400.0, "days"), "hours": (3600.0, "")}
"""Keys that end in their unit: a bare number, in so many seconds."""
_INTEGER = re.compile(r"[-+]?\d+")
_FLOAT = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def fault(
    node: Node | Position, rule: str, got: str = "", hint: str = "", field: str = "", candidates: tuple[str, ...] = ()
) -> PlanError:
    """A PlanError at the place of `node`."""
    where = node if isinstance(node, Position) else node.where
    return PlanError(rule, got=got, hint=hint, where=where, field=field, candidates=candidates)


def said(node: Node, limit: int = 60) -> str:
    """What stands there, for a message."""
    if isinstance(node, Text):
        return repr(str(node))[:limit] if node else "nothing"
    return "a list" if isinstance(node, Seq) else "a map"


def is_long(node: Node) -> bool:
    """True for `{use, stated_as, source, date, note}`."""
    return isinstance(node, Map) and bool(node) and LONG.issuperset(node) and ("use" in node or "stated_as" in node)


def is_statistics(node: Node) -> bool:
    """True for a measured sample, `{mean, median, min, max, sd, n}`."""
    return isinstance(node, Map) and bool(node) and STATISTICS.issuperset(node)


def used(node: Node, what: str = "a value") -> Node:
    """What is computed with: the `use` of a long form, or the node itself.

    Raises PlanError for a document's words without `use`.
    """
    if not is_long(node):
        return node
    assert isinstance(node, Map)
    if "use" not in node:
        words = node["stated_as"]
        raise fault(
            words, f"{what} is needed, and words are no value", said(words), "Add `use:` to say what to compute with."
        )
    return node["use"]


def words(node: Node) -> dict[str, str]:
    """The `stated_as`, `source`, `date` and `note` of a long form; empty for any other."""
    if not is_long(node):
        return {}
    assert isinstance(node, Map)
    return {key: text(item) for key, item in node.items() if key != "use"}


def worded(value: Value, node: Node) -> Value:
    """`value` with the words and provenance of the long form `node`."""
    found = words(node)
    return replace(
        value, stated_as=found.get("stated_as", ""), source=found.get("source", ""), date=found.get("date", ""),
        note=found.get("note", ""),
    )  # fmt: skip


def text(node: Node) -> str:
    """One piece of text."""
    node = used(node, "text")
    if not isinstance(node, Text):
        raise fault(node, "text is needed", said(node))
    return str(node)


def some_text(node: Node) -> str:
    """Text that is not empty: a name, by which something is called."""
    found = text(node)
    if not found.strip():
        raise fault(used(node), "a name is not empty", said(used(node)), "Write one, or leave it out.")
    return found


def texts(node: Node) -> tuple[str, ...]:
    """Text, or a list of it, or a map with nothing after its keys."""
    node = used(node, "text")
    if isinstance(node, Seq):
        return tuple(text(item) for item in node)
    if isinstance(node, Map):
        return tuple(node)
    return (str(node),) if node else ()


def mapping(node: Node) -> Map:
    """A map; names alone, or nothing, stand for entries that need no settings."""
    if isinstance(node, Map):
        return node
    names = [item for item in (node if isinstance(node, Seq) else [node]) if item]
    for item in names:
        if not isinstance(used(item, "text"), Text):
            raise fault(item, "entries with settings stand in a map, by name", f"{said(item)} in a list",
                        "Write each as `name: {…}`.")  # fmt: skip
    items = {text(item): Text("", item.where) for item in names}
    if len(items) < len(names):
        raise fault(node, "a name stands once", said(node))
    return Map(items, node.where, {key: item.where for key, item in items.items()})


def flag(node: Node) -> bool:
    """`true` or `false`."""
    node = used(node, "true or false")
    if node in ("true", "false"):
        return node == "true"
    raise fault(node, "true or false is needed", said(node))


def number(node: Node) -> float:
    """A bare number: finite and not negative."""
    node = used(node, "a number")
    if isinstance(node, Text) and _FLOAT.fullmatch(node) and 0 <= float(node) < math.inf:
        return float(node)
    raise fault(node, "a number is needed, finite and not negative", said(node))


def integer(node: Node, least: int = 0) -> int:
    """A whole count, at least `least`; an expression may say it."""
    value = quantity(node, "count")
    if value.unknown or not value.range.is_point or value.mid != int(value.mid) or value.mid < least:
        raise fault(used(node), f"a whole number is needed, at least {least}", said(used(node)))
    return int(value.mid)


def share(node: Node) -> float:
    """A share between 0 % and 100 %, as 0..1."""
    value = quantity(node, "share")
    if not value.range.is_point or value.mid > 1:
        raise fault(used(node), "a share is between 0% and 100%", said(used(node)), "Write it like 70%.")
    return value.mid


def name(node: Node) -> Name:
    """What is used, with the document's words beside it. Raises PlanError for words without `use`."""
    found = used(node, "a name")
    if not isinstance(found, Text) or not found:
        raise fault(found, "a name is needed", said(found))
    said_of = words(node)
    return Name(
        use=str(found), stated_as=said_of.get("stated_as", ""), source=said_of.get("source", ""),
        date=said_of.get("date", ""), note=said_of.get("note", ""), where=found.where,
    )  # fmt: skip


def selector(node: Node) -> Selector:
    """Phases and experiments by id, glob or `all`, or a list of them."""
    found = used(node, "a selector")
    patterns = texts(found) if not isinstance(found, Map) else ()
    if not patterns or not all(patterns):
        raise fault(found, "a phase, an experiment, a pattern, `all` or a list is needed", said(found))
    return Selector(patterns=patterns, stated_as=words(node).get("stated_as", ""), where=found.where)


def selectors(node: Node) -> tuple[Selector, ...]:
    """One selector, or several when a list has items with words of their own."""
    if isinstance(node, Seq) and any(isinstance(item, Map) for item in node):
        return tuple(selector(item) for item in node)
    return (selector(node),)


def quantity(node: Node, dimension: str) -> Value:
    """A quantity of `dimension` in base units: one of `domain.units`, or `gpu_hours`, `days`, `hours`, `any`.

    A list is the same thing said several times (the first counts); a map is a long form, a measured sample, or, for
    counts, parts to be summed. Raises PlanError at the place of what is wrong.
    """
    if isinstance(node, Seq):
        if not node:
            raise fault(node, "a value is needed", "an empty list")
        first, *others = (quantity(item, dimension) for item in node)
        return replace(first, others=tuple(others))
    if isinstance(node, Text):
        return _single(node, dimension)
    if is_long(node):
        return worded(quantity(used(node, "a number"), dimension), node)
    if is_statistics(node):
        return _sample(node, dimension)
    if dimension == "count" and node:
        return _sum(node)
    raise fault(node, "a value is needed", said(node))


def _single(node: Text, dimension: str) -> Value:
    if node == "unknown":
        return Value(range=Range.point(0.0), unit=_unit(dimension), text=str(node), unknown=True, where=node.where)
    try:
        found = _parsed(str(node), dimension)
    except UserError as problem:
        raise PlanError(
            problem.rule, got=problem.got, hint=problem.hint, where=node.where, candidates=problem.candidates
        ) from None
    return Value(range=found.range, unit=found.dimension, noun=found.noun, text=str(node), where=node.where)


def _unit(dimension: str) -> str:
    return "s" if dimension in _SCALED else "count" if dimension == "any" else dimension


@lru_cache(maxsize=65536)
def _parsed(words: str, dimension: str) -> Quantity:
    """`words` as a quantity, expressions and keys that end in their unit included."""
    if dimension == "any":
        return parse_any(words)
    if dimension in _SCALED:
        factor, noun = _SCALED[dimension]
        try:
            return Quantity(parse(words, "x").range * factor, "s", noun)
        except UserError:
            found = parse(words, "s")
            return Quantity(found.range, "s", found.noun or noun)
    if dimension != "count":
        return parse(words, dimension)
    try:
        found = parse(words, "count")
    except UserError:
        if _ARITHMETIC.search(words):
            return Quantity(Range.point(evaluate(words)), "count")
        raise
    if found.noun and found.noun not in COUNTED:
        if _ARITHMETIC.search(words):
            return Quantity(Range.point(evaluate(words)), "count")
        raise UserError(
            f"a count is needed: {found.noun} is not a unit of it",
            got=repr(words)[:80],
            hint="Write it like 4000, 10k or 1.5M.",
        )
    return found


def _sample(node: Map, dimension: str) -> Value:
    """A measured sample: its mean (or median, or middle) is computed with."""
    found: dict[str, float] = {}
    noun = ""
    for key, item in node.items():
        value = quantity(item, "count" if key == "n" else dimension)
        if value.unknown or not value.range.is_point:
            raise fault(item, f"the {key} of a sample is one number", said(item))
        found[key] = value.mid
        noun = noun or ("" if key == "n" else value.noun)
    low, high = found.get("min", -math.inf), found.get("max", math.inf)
    middle = found.get("mean", found.get("median"))
    if low > high or (middle is not None and not low <= middle <= high):
        raise fault(node, "a sample has min ≤ mean ≤ max", f"min {low:g}, mean {middle}, max {high:g} in base units")
    if middle is not None:
        spread = Range.point(middle)
    elif "min" in found and "max" in found:
        spread = Range(low, (low + high) / 2, high)
    else:
        raise fault(node, "a sample has a mean, a median, or min and max", ", ".join(node))
    written = ", ".join(f"{key} {item}" for key, item in node.items())
    return Value(range=spread, unit=_unit(dimension), noun=noun, text=written, statistics=found, where=node.where)


def _sum(node: Map) -> Value:
    parts = {key: quantity(item, "count") for key, item in node.items()}
    if any(part.unknown for part in parts.values()):
        return Value(range=Range.point(0.0), unit="count", unknown=True, parts=parts, where=node.where)
    total = Range.point(0.0)
    for part in parts.values():
        total = total + part.range
    return Value(range=total, unit="count", text=" + ".join(parts), parts=parts, where=node.where)


def resolved(node: Text) -> str | int | float | bool:
    """A scalar by the YAML 1.2 core schema: `1e-4` is a number, `no` and `"1"` are text."""
    if node.quoted:
        return str(node)
    if node in ("true", "false"):
        return node == "true"
    if _INTEGER.fullmatch(node) and len(node) <= 300:
        return int(node)
    if _FLOAT.fullmatch(node):
        value = float(node)
        if math.isfinite(value):
            return value
    if node.lower().lstrip("+-") in (".nan", ".inf"):
        raise fault(node, "a number is finite", said(node))
    return str(node)


def plain(node: Node) -> Any:
    """A tree as plain data: dicts, lists, text, numbers and booleans."""
    if isinstance(node, Map):
        return {key: plain(item) for key, item in node.items()}
    if isinstance(node, Seq):
        return [plain(item) for item in node]
    return resolved(node)


def identity(value: Value | None) -> object:
    """What of a quantity counts for a fingerprint: its numbers, not how they are written."""
    if value is None:
        return None
    if value.unknown:
        return "unknown"
    numbers = [value.range.low, value.range.mid, value.range.high]
    high: object = numbers if all(map(math.isfinite, numbers)) else [*numbers[:2], "open"]
    return [high, value.unit, dict(value.statistics)] if value.statistics else [high, value.unit]


def merged(outer: Mapping[str, Node], inner: Mapping[str, Node]) -> bool:
    """True when two maps at one key are merged key by key, not replaced: neither is a long form or a sample."""
    return not any(LONG.issuperset(side) or STATISTICS.issuperset(side) for side in (outer, inner) if side)
