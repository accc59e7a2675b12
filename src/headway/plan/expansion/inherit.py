"""Plan → phase → experiment → stage: what one level says over another.

Owns the rules: the nearest level wins, maps merge key by key, lists and scalars replace, `none` removes, a budget
(`steps`, `epochs`, `tokens`) replaces any other, and what an option sets is stronger than all. Merged maps are made
once and shared, so that a hundred thousand experiments hold a handful of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from headway.domain.errors import PlanError
from headway.domain.statement import Selector
from headway.plan.language.keys import ANYWHERE, BUDGETS, OWN
from headway.plan.reading.values import fault, merged
from headway.plan.reading.yaml import Map, Node, Text


@dataclass(frozen=True, slots=True)
class Setting:
    """What an option sets: a key (dotted path) of all or of selected experiments."""

    path: str
    value: Node
    selector: Selector | None = None


@dataclass(slots=True)
class Resolved:
    """What holds at one place: inherited keys, own keys of a single stage, and where stated terms come from."""

    values: dict[str, Node] = field(default_factory=dict)
    own: dict[str, Node] = field(default_factory=dict)
    stated_at: dict[str, str] = field(default_factory=dict)

    def copy(self) -> Resolved:
        """The same, to go on from; nodes are shared."""
        return Resolved(dict(self.values), dict(self.own), self.stated_at)


class Inheritance:
    """Merges levels, and keeps every merged map so that equal merges are one object."""

    def __init__(self) -> None:
        self._joined: dict[tuple[int, int], tuple[Node, Map, Map]] = {}
        self._nested: dict[tuple[int, str], tuple[Node, Map]] = {}

    def level(self, outer: Resolved, entry: Map, path: str, own: bool = True) -> Resolved:
        """`outer` with what `entry` says at level `path`; `own`: its stage's own keys count, too.

        Raises PlanError for two budgets at this level.
        """
        found = outer.copy()
        budgets = [key for key in BUDGETS if key in entry and entry[key] != "none"]
        if len(budgets) > 1:
            raise PlanError(
                "one level has one budget", got=" and ".join(budgets), where=entry.place(budgets[1]), field=path,
                hint="Keep steps, epochs or tokens.",
            )  # fmt: skip
        for key, item in entry.items():
            if key in ANYWHERE:
                self.put(found, key, item, path)
            elif own and key in OWN:
                found.own[key] = item
        return found

    def put(self, target: Resolved, key: str, item: Node, path: str) -> None:
        """Set one key (a dotted path) in `target`, by the rules of inheritance."""
        head, _, rest = key.partition(".")
        if head in OWN:
            before = target.own.get(head)
            target.own[head] = self._over(before, self._nest(item, rest)) if rest else item
            return
        if not rest and isinstance(item, Text) and item == "none" and not item.quoted:
            target.values.pop(head, None)
            return
        if rest:
            if head == "data" and not isinstance(target.values.get(head, Map()), Map):
                raise fault(
                    item,
                    "a dataset named in `datasets` is set there",
                    key,
                    "Write the dataset in place, or set `datasets.NAME`.",
                )
            item = self._nest(item, rest)
        if head == "stated" and isinstance(item, Map):
            item = self._without_wall(item)
            target.stated_at = {**target.stated_at, **dict.fromkeys(item, path)}
        if head in BUDGETS:
            for other in BUDGETS:
                target.values.pop(other, None)
        target.values[head] = self._over(target.values.get(head), item)

    def _nest(self, item: Node, rest: str) -> Node:
        """`rank` and 4 as `{rank: 4}`."""
        known = self._nested.get((id(item), rest))
        if known is None:
            node = item
            for part in reversed(rest.split(".")):
                node = Map({part: node}, item.where)
            assert isinstance(node, Map)
            known = self._nested[id(item), rest] = (item, node)
        return known[1]

    def _without_wall(self, item: Map) -> Map:
        """Stated terms that are inherited: all but the time of the whole thing they stand beside."""
        if "wall" not in item:
            return item
        known = self._nested.get((id(item), ""))
        if known is None:
            rest = Map({key: inner for key, inner in item.items() if key != "wall"}, item.where, item.places)
            known = self._nested[id(item), ""] = (item, rest)
        return known[1]

    def _over(self, outer: Node | None, inner: Node) -> Node:
        if not isinstance(outer, Map) or not isinstance(inner, Map) or not merged(outer, inner):
            return inner
        if not outer:
            return inner
        key = (id(outer), id(inner))
        if key not in self._joined:
            both = Map(outer, inner.where, {**outer.places, **inner.places})
            for name, item in inner.items():
                if isinstance(item, Text) and item == "none" and not item.quoted:
                    both.pop(name, None)
                else:
                    both[name] = self._over(outer.get(name), item)
            self._joined[key] = (outer, inner, both)
        return self._joined[key][2]
