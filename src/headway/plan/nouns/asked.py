"""What a plan is for and compared with: questions, references, options, decisions.

Owns their making; applying an option is `plan.expansion.options`.
"""

from __future__ import annotations

from headway.domain.errors import PlanError
from headway.domain.plan import Decision, Option, Question, Reference
from headway.domain.statement import Selector
from headway.plan.language.validate import axis_values
from headway.plan.nouns.data import title
from headway.plan.reading import forms, values
from headway.plan.reading.yaml import Map, Node, Text


def question(id_: str, node: Node) -> Question:
    """A research question."""
    entry = values.mapping(node)
    return Question(
        id=id_,
        ask=_text(entry, "ask"),
        answered_by=values.selector(entry["answered_by"]) if "answered_by" in entry else None,
        along=_text(entry, "along"),
        target=_text(entry, "target"),
        where=node.where,
    )


def reference(id_: str, node: Node) -> Reference:
    """An outside fact."""
    entry = values.mapping(node)
    scores = entry.get("scores", Text(""))
    return Reference(
        id=id_,
        name=_text(entry, "name") or title(id_),
        gpu=values.name(entry["gpu"]) if "gpu" in entry else None,
        rows=values.quantity(entry["rows"], "count") if "rows" in entry else None,
        wall=values.quantity(entry["wall"], "s") if "wall" in entry else None,
        speedup=values.quantity(entry["speedup"], "x") if "speedup" in entry else None,
        scores={key: values.quantity(item, "any") for key, item in scores.items()} if isinstance(scores, Map) else {},
        says=_text(entry, "says"),
        source=_text(entry, "source"),
        where=node.where,
    )


def option(id_: str, node: Node) -> Option:
    """A what-if. Raises PlanError for one that does nothing."""
    entry = values.mapping(node)
    made = Option(
        id=id_,
        name=_text(entry, "name") or title(id_),
        keep=values.selectors(entry["keep"]) if "keep" in entry else (),
        drop=values.selectors(entry["drop"]) if "drop" in entry else (),
        set={key: values.plain(item) for key, item in values.mapping(entry.get("set", Text(""))).items()},
        vary={
            key: tuple(values.plain(value) for value in axis_values(item))
            for key, item in values.mapping(entry.get("vary", Text(""))).items()
        },
        first=values.selector(entry["first"]) if "first" in entry else None,
        with_=values.texts(entry["with"]) if "with" in entry else (),
        where=node.where,
    )
    if not (made.keep or made.drop or made.set or made.vary or made.first or made.with_):
        raise values.fault(node, "an option keeps, drops, sets, varies, puts first or brings in something", id_)
    return made


def decision(id_: str, node: Node) -> Decision:
    """A fork in the road."""
    entry = values.mapping(node)
    predicate: dict[str, object] = {}
    words = ""
    if "if" in entry:
        condition = entry["if"]
        words = values.words(condition).get("stated_as", "")
        predicate = forms.predicate(condition)
    return Decision(
        id=id_,
        after=values.selector(entry["after"]) if "after" in entry else None,
        predicate=predicate,
        then=_branch(entry.get("then"), "keep"),
        otherwise=_branch(entry.get("else"), "stop"),
        stated_as=words,
        then_words=values.words(entry.get("then", Text(""))).get("stated_as", ""),
        otherwise_words=values.words(entry.get("else", Text(""))).get("stated_as", ""),
        where=node.where,
    )


def _branch(node: Node | None, default: str) -> Selector | str:
    """An option, `keep` or `stop` by name, or what is kept."""
    if node is None:
        return default
    if isinstance(node, Map) and not values.is_long(node):
        if "keep" not in node:
            raise values.fault(node, "a branch keeps something, or names an option", values.said(node))
        return values.selector(node["keep"])
    return values.text(node)


def _text(entry: Map, key: str) -> str:
    try:
        return values.text(entry[key]) if key in entry else ""
    except PlanError as problem:
        raise problem.at(entry.where, key) from None
