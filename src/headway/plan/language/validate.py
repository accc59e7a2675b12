"""Is this tree a plan? Every key known and in its place, every value readable.

Owns the walk over a document by the table in `keys`. Unknown fields are collected and told together; anything else
stops at the first. What depends on other parts (names, selectors, budgets at one level) is checked where the plan is
made.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from headway.domain.errors import PlanError
from headway.domain.statement import Value
from headway.domain.units import UNITS
from headway.plan.language import claims, remedies
from headway.plan.language.foreign import FOREIGN
from headway.plan.language.keys import (
    ADAPTER,
    ANYWHERE,
    BUDGETS,
    CADENCE,
    DATASET,
    EVALUATE,
    MACHINE,
    OPTION,
    OWN,
    PLAN,
    RUN,
    STAGE,
    STATED,
)
from headway.plan.language.kinds import (
    COUNTS,
    Each,
    Either,
    Field,
    Kind,
    Leaf,
    Many,
    Record,
    Settings,
    flat,
    inside,
    takes,
)
from headway.plan.reading import forms, values
from headway.plan.reading.values import fault, said
from headway.plan.reading.yaml import Map, Node, Seq, Text

SETTABLE: Final = {**ANYWHERE, **OWN, "matrix": PLAN.fields["matrix"]}
"""Keys that an option may set on phases and experiments."""
_READERS: Final[dict[str, Callable[[Node], object]]] = {
    "text": values.text,
    "words": values.some_text,
    "texts": values.texts,
    "flag": values.flag,
    "number": values.number,
    "portion": values.share,
    "held_out": forms.held_out,
    "optimizer": forms.optimizer,
    "name": values.name,
    "selector": values.selector,
    "selectors": values.selectors,
    "cadence": forms.cadence,
    "keep": forms.keep,
    "warmup": forms.warmup,
    "length": forms.length,
    "factor": lambda node: forms.factor("", node),
    "hours_a_day": forms.hours_a_day,
    "budget": forms.budget,
    "date": forms.date,
    "assumed": forms.assumed,
    "claims": lambda node: list(claims.claims_of("", node)),
    "predicate": forms.predicate,
}
_QUANTITIES: Final = {*UNITS, "usd_per_hour", "usd_per_kwh", "per_s", "per_hour", "any"}
_UNKNOWN: Final = "unknown field"
_HOMES: Final = (
    ("the plan or a stage", STAGE), ("the plan", PLAN), ("run", RUN), ("run.machine", MACHINE), ("data", DATASET),
    ("adapter", ADAPTER), ("stated", STATED), ("evaluate", EVALUATE), ("save", CADENCE), ("an option", OPTION),
)  # fmt: skip


@dataclass(slots=True)
class _Walk:
    several: str = "matrix"
    """The key that takes lists of values here."""
    unknown: list[PlanError] = field(default_factory=list)


def validate(tree: Map) -> None:
    """Raises PlanError, with the place, when `tree` is not a plan."""
    if "headway" not in tree:
        raise fault(
            tree,
            "a plan says `headway: 1`",
            hint="Add the line, or write a plan with `headway init`.",
        )
    walk = _Walk()
    _check(tree, PLAN, "", walk)
    if walk.unknown:
        first, *others = sorted(walk.unknown, key=lambda error: error.where)
        if others:
            also = "; ".join(f"{error.got} at line {error.where.line}" for error in others[:8])
            first.hint = f"{first.hint} Also unknown: {also}{', ...' if len(others) > 8 else ''}.".strip()
        raise first


def check_setting(key: str, node: Node, listed: bool, several: str = "matrix") -> None:
    """Raises PlanError when `key` (as in `set`) is no key of the language, or `node` no value (or values) of it.

    `several` is the key that a list of values belongs under: `matrix`, or `vary` in an option.
    """
    _, path = split(key, node)
    walk, kind = _Walk(several), kind_at(path, node)
    if listed:
        _check_axis(path, node, kind)
    for item in axis_values(node) if listed else [node]:
        _check(item, kind, path, walk)
    if walk.unknown:
        raise walk.unknown[0]


def _check_axis(path: str, node: Node, kind: Kind) -> None:
    """Raises PlanError for an axis without values, or a range, which is one value in doubt, where a list is meant."""
    if not axis_values(node):
        raise fault(node, "an axis has at least one value", said(node), f"Write it like `{path}: [1, 2, 3]`.")
    spread = remedies.spread_of(node) if remedies.counts(kind) else None
    if spread is not None:
        found = values.used(node)
        raise fault(
            found, "an axis is a list of values, and a range is one", said(found),
            f"Write `{path}: {remedies.listed(spread)}`.",
        )  # fmt: skip


def axis_values(node: Node) -> list[Node]:
    """Values of an axis: a list, one item alone, or words with a list as `use`."""
    found = values.used(node, "a list of values") if values.is_long(node) else node
    if isinstance(found, Seq):
        return list(found)
    return [node]


def split(key: str, place: Node) -> tuple[str, str]:
    """`SELECTOR.key.path` as selector (empty: everything) and path. Raises PlanError when no part is a key."""
    head = key.partition(".")[0]
    if head in SETTABLE or head in PLAN.fields:
        return "", key
    for at, letter in enumerate(key):
        if letter == "." and key[at + 1 :].partition(".")[0] in SETTABLE:
            return key[:at], key[at + 1 :]
    raise _unknown(key.rpartition(".")[2], SETTABLE, Map(where=place.where), key)


def kind_at(path: str, place: Node) -> Kind:
    """What the key at dotted `path` may hold."""
    kind: Kind = Record("", {**PLAN.fields, **SETTABLE})
    done: list[str] = []
    for part in path.split("."):
        found = inside(kind, part)
        if found is None:
            fields = next((k.fields for k in flat(kind) if isinstance(k, Record)), {})
            raise _unknown(part, fields, Map(where=place.where), ".".join([*done, part]))
        kind = found
        done.append(part)
    return kind


def _check(node: Node, kind: Kind, path: str, walk: _Walk) -> None:
    form = _form(node)
    if not takes(kind, form) and not (node == "" and _is_container(kind)):
        raise fault(node, _needed(kind), said(node), remedies.other_form(node, kind, path, walk.several), path)
    match kind:
        case Leaf():
            _check_leaf(node, kind, path, walk.several)
        case Record() if isinstance(node, Map):
            _check_record(node, kind, path, walk)
        case Each(kind=inner):
            _check_ids(node, path)
            if isinstance(node, Map):
                for key, item in node.items():
                    _check(item, inner, f"{path}.{key}", walk)
        case Many(kind=inner):
            for index, item in enumerate(node if isinstance(node, Seq) else [node]):
                _check(item, inner, f"{path}.{index}" if isinstance(node, Seq) else path, walk)
        case Either(kinds=kinds):
            chosen = [inner for inner in kinds if takes(inner, form)] or [kinds[-1]]
            _check(node, chosen[0], path, walk)
        case Settings(listed=listed) if isinstance(node, Map):
            _check_settings(node, kind, listed, path)


def _check_ids(node: Node, path: str) -> None:
    """Raises PlanError for an empty id: nothing could name it, and it is what stands for "no parent"."""
    places = [(key, node.place(key)) for key in node] if isinstance(node, Map) else []
    if isinstance(node, Seq):
        places = [(item, item.where) for item in node if isinstance(item, Text)]
    for id_, where in places:
        if not id_.strip():
            raise fault(where, "an id is not empty", repr(str(id_)), "Give it a name.", path)


def _check_record(node: Map, kind: Record, path: str, walk: _Walk) -> None:
    for key, item in node.items():
        inner = f"{path}.{key}" if path else key
        known = kind.fields.get(key)
        if known is None:
            walk.unknown.append(_unknown(key, kind.fields, node, inner))
        elif not (known.inherited and item == "none"):
            _check(item, known.kind, inner, walk)


def _check_settings(node: Map, kind: Settings, listed: bool, path: str) -> None:
    budgets = [key for key in BUDGETS if key in node]
    if len(budgets) > 1:
        raise fault(node.place(budgets[1]), "one level has one budget", " and ".join(budgets), field=path)
    for key, item in node.items():
        try:
            if not kind.selecting and key.partition(".")[0] not in {**ANYWHERE, **OWN}:
                raise _unknown(key, {**ANYWHERE, **OWN}, node, f"{path}.{key}")
            if not (listed and item == "each" and key in ("evaluate", "data")) and item != "none":
                check_setting(key, item, listed, "vary" if kind.selecting else "matrix")
        except PlanError as problem:
            where = node.place(key) if problem.rule == _UNKNOWN else problem.where
            raise PlanError(
                problem.rule, got=problem.got, hint=problem.hint, where=where, field=f"{path}.{key}",
                candidates=problem.candidates,
            ) from None  # fmt: skip


def _check_leaf(node: Node, leaf: Leaf, path: str, several: str) -> None:
    try:
        if leaf.choices and (leaf.type == "choice" or values.used(node) in leaf.choices):
            _check_choice(node, leaf)
        elif leaf.type == "integer":
            values.integer(node, leaf.least)
            _check_quantity(node, values.quantity(node, "count"), leaf)
        elif leaf.type in _QUANTITIES:
            _check_quantity(node, values.quantity(node, leaf.type), leaf)
        else:
            found = _READERS[leaf.type](node)
            if isinstance(found, Value) and leaf.counts:
                _check_quantity(node, found, leaf)
    except PlanError as problem:
        found = problem.at(node.where, path)
        if leaf.type == "integer" and not found.hint:
            found.hint = remedies.one_number(node, path, several)
        raise found from None


def _check_quantity(node: Node, value: Value, leaf: Leaf) -> None:
    """Raises PlanError for another thing counted, nothing of it, or a band without an end where none is meant."""
    if leaf.counts and value.noun and value.noun not in COUNTS[leaf.counts]:
        raise fault(values.used(node), f"{leaf.counts} are counted here", said(values.used(node)), "Write it like 10k.")
    if not leaf.open and math.isinf(value.range.high):
        raise fault(values.used(node), "a value has two ends", said(values.used(node)), "Write a range, like 1-2.")
    least = value.mid if value.statistics else value.range.low
    if leaf.positive and not value.unknown and least <= 0:
        raise fault(
            values.used(node), f"{leaf.counts} are more than 0", said(values.used(node)),
            "Write a number above 0, or leave it out.",
        )  # fmt: skip
    for part in value.parts.values():  # of which some may be 0, where the sum is not
        _check_quantity(node, part, replace(leaf, positive=False))
    for other in value.others:
        _check_quantity(node, other, leaf)


def _check_choice(node: Node, leaf: Leaf) -> None:
    found = values.used(node)
    if found not in leaf.choices:
        near = _near(str(found), leaf.choices)
        hint = f"Write {', '.join(leaf.choices[:-1])} or {leaf.choices[-1]}." if leaf.choices[1:] else ""
        hint = leaf.remedy or hint or f"Write {leaf.choices[0]}."
        raise fault(found, "one of a few words is needed", said(found), hint, candidates=near)


def _form(node: Node) -> str:
    if isinstance(node, Text) or values.is_long(node) or values.is_statistics(node):
        return "text"
    return "list" if isinstance(node, Seq) else "map"


def _is_container(kind: Kind) -> bool:
    return any(isinstance(inner, Record | Each | Settings) for inner in flat(kind))


def _needed(kind: Kind) -> str:
    forms = [form for form in ("text", "list", "map") if takes(kind, form)]
    names = {"text": "one value", "list": "a list", "map": "a map"}
    return f"{' or '.join(names[form] for form in forms)} is needed"


def _near(word: str, known: object) -> tuple[str, ...]:
    from difflib import get_close_matches

    names = [str(name) for name in known] if hasattr(known, "__iter__") else []
    return tuple(get_close_matches(word, names, n=3, cutoff=0.6))


def _unknown(key: str, fields: dict[str, Field], node: Map, path: str) -> PlanError:
    """The error for a field that is not there: what to write instead, or the nearest name, or its right place."""
    near = _near(key, fields)
    homes = [home for home, record in _HOMES if key in record.fields]
    if key in FOREIGN:
        hint = f"Write {FOREIGN[key]}."
    elif homes:
        hint = f"{key} belongs to {homes[0]}."
    elif near:
        hint = f"Did you mean {near[0]}?"
    else:
        hint = f"Known here: {', '.join(sorted(fields)[:12])}{', ...' if len(fields) > 12 else ''}."
    return PlanError(_UNKNOWN, got=key, hint=hint, where=node.place(key), field=path, candidates=near)
