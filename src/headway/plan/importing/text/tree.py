"""YAML and JSON of other tools as trees in which every part knows its place.

Owns what foreign files may use and plans may not: anchors, aliases, merge keys, tags, nulls, a key said twice (the last
counts, as in those tools). Nulls are empty text. Bounded in size and depth; aliases are shared, never copied, so that a
few lines cannot grow into a large tree.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from headway.domain.errors import Position
from headway.plan.reading.yaml import Map, Node, Seq, Text

MOST_CHARACTERS: Final = 200_000
"""Longest file that is taken for a configuration: a hundred times a long one, read in less than a second."""
MOST_DEEP: Final = 40
MOST_NODES: Final = 20_000
_NULLS: Final = frozenset({"", "null", "Null", "NULL", "~"})
_DEEP: Final = re.compile(r"(?:[\[{]\s*){41}|(?:-[ \t]+){41}")
_JSON: Final = re.compile(r'\s*(?://[^\n]*\s*)*("(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+)', re.DOTALL)


def yaml_tree(name: str, text: str) -> Map | None:
    """The first document of YAML `text` as a map; None where it is no YAML, no map, or beyond the bounds."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if len(text) > MOST_CHARACTERS or _DEEP.search(text):
        return None
    try:
        found = _Composer(name).compose(YAML(typ="safe", pure=True).parse(text))
    except (YAMLError, ValueError, RecursionError, AttributeError, TypeError, IndexError, AssertionError):
        return None  # what ruamel raises for text that is not YAML, malformed escapes and numbers among it
    return found if isinstance(found, Map) else None


class _Composer:
    """Parser events to nodes, without recursion; aliases become the very node they name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.anchors: dict[str, Node] = {}
        self.stack: list[tuple[Node, list[Text]]] = []
        self.root: Node | None = None
        self.nodes = 0

    def compose(self, events: Iterator[Any]) -> Node | None:
        for event in events:
            kind = type(event).__name__
            if kind == "DocumentEndEvent":
                return self.root
            if kind in ("MappingEndEvent", "SequenceEndEvent"):
                self.stack.pop()
            elif kind in ("ScalarEvent", "AliasEvent", "MappingStartEvent", "SequenceStartEvent"):
                self._add(event, kind)
        return self.root

    def _add(self, event: Any, kind: str) -> None:
        where = Position(self.name, event.start_mark.line + 1, event.start_mark.column + 1)
        self.nodes += 1
        if self.nodes > MOST_NODES or len(self.stack) > MOST_DEEP:
            raise ValueError("beyond what a configuration holds")
        node = (
            self.anchors.get(event.anchor, Text("", where)) if kind == "AliasEvent" else self._made(event, kind, where)
        )
        if self.stack:
            self._attach(node, where)
        elif self.root is None:
            self.root = node
        if kind in ("MappingStartEvent", "SequenceStartEvent"):
            self.stack.append((node, []))

    def _made(self, event: Any, kind: str, where: Position) -> Node:
        node: Node
        if kind == "ScalarEvent":
            quoted = event.style is not None
            node = Text("" if not quoted and event.value in _NULLS else event.value, where, quoted)
        else:
            node = Map(where=where) if kind == "MappingStartEvent" else Seq(where=where)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def _attach(self, node: Node, where: Position) -> None:
        parent, keys = self.stack[-1]
        if isinstance(parent, Seq):
            parent.append(node)
        elif isinstance(parent, Map):
            if not keys:
                keys.append(Text(str(node) if isinstance(node, Text) else "?", where))
                return
            key = keys.pop()
            if key == "<<":
                _merge(parent, node)
                return
            parent[str(key)] = node
            parent.places[str(key)] = key.where


def _merge(into: Map, node: Node) -> None:
    """A YAML merge key: what is written beside it goes before what it brings."""
    for one in node if isinstance(node, Seq) else [node]:
        if isinstance(one, Map):
            for key, item in list(one.items()):
                if key not in into:
                    into[key] = item
                    into.places[key] = one.place(key)


def json_tree(name: str, text: str) -> Map | None:
    """JSON `text` (comments and trailing commas pardoned) as a map; None where it is none, or beyond the bounds."""
    if len(text) > 2 * MOST_CHARACTERS or _DEEP.search(text):
        return None
    try:
        found = _parsed(_tokens(name, text))
    except (ValueError, IndexError):
        return None
    return found if isinstance(found, Map) else None


def _tokens(name: str, text: str) -> Iterator[Text]:
    """Words of JSON with their places."""
    at, line, start = 0, 1, 0
    while match := _JSON.match(text, at):
        begin = match.start(1)
        line += text.count("\n", at, begin)
        start = text.rfind("\n", 0, begin) + 1
        yield Text(match[1], Position(name, line, begin - start + 1))
        line += text.count("\n", begin, match.end())
        at = match.end()
    if text[at:].strip():
        raise ValueError("not JSON")


def _parsed(tokens: Iterator[Text]) -> Node:
    """Words of JSON to nodes, without recursion."""
    stack: list[Map | Seq] = []
    key: list[Text | None] = []
    root: Node | None = None
    for number, word in enumerate(tokens):
        if number > 3 * MOST_NODES or len(stack) > MOST_DEEP or (root is not None and not stack):
            raise ValueError("beyond what a configuration holds")
        if word in (",", ":"):
            continue
        if word in ("}", "]"):
            stack.pop()
            key.pop()
            continue
        node: Node = Map(where=word.where) if word == "{" else Seq(where=word.where) if word == "[" else _scalar(word)
        if stack:
            parent = stack[-1]
            if isinstance(parent, Map):
                if key[-1] is None:
                    key[-1] = Text(str(node), word.where)
                    continue
                parent[str(key[-1])] = node
                parent.places[str(key[-1])] = key[-1].where
                key[-1] = None
            else:
                parent.append(node)
        root = node if root is None else root
        if isinstance(node, Map | Seq):
            stack.append(node)
            key.append(None)
    if root is None or stack:
        raise ValueError("not JSON")
    return root


def _scalar(word: Text) -> Text:
    if word.startswith('"'):
        return Text(json.loads(word, strict=False), word.where, quoted=True)
    if word == "null":
        return Text("", word.where)
    if word in ("true", "false") or re.fullmatch(r"-?[\d.]+(?:[eE][-+]?\d+)?|NaN|-?Infinity", word):
        return word
    raise ValueError("not JSON")


def leaves(tree: Map, most: int = 2000) -> Iterator[tuple[str, Position, Node]]:
    """Dotted path, place and node of every key that holds no map; at most `most`, at most 8 deep.

    Lists count as one key. A path that says nothing (null) is left out.
    """
    todo: list[tuple[str, Map, int]] = [("", tree, 0)]
    found = 0
    while todo:
        prefix, node, depth = todo.pop(0)
        for key, item in node.items():
            if isinstance(item, Map) and item and depth < 8:
                todo.append((f"{prefix}{key}.", item, depth + 1))
            elif item or isinstance(item, Map):
                yield f"{prefix}{key}", node.place(key), item
            found += 1
            if found > most:
                return
