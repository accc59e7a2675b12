"""YAML text as a tree in which every part knows its place.

Owns what YAML is allowed to be in a plan: one document of maps, lists and text, within bounds of size and depth; no
anchors, aliases, merge keys, tags or nulls. Scalars stay the text that was written (`10k`, `007`, `no`), so that ids
are what the author typed and nothing is guessed; what a text means is decided by the key it stands at (`values.py`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from headway.domain.errors import PlanError, Position

MAX_BYTES: Final = 10_000_000
"""Largest plan file: about a thousand times a long one; generated plans use matrices."""
MAX_DEPTH: Final = 64
_BRACKETS = re.compile(r"(?:[\[{]\s*){65}")
"""One more than `MAX_DEPTH` in a row: the scanner takes time in the square of them, so they are seen before it."""
_NULLS = frozenset({"null", "Null", "NULL", "~"})


class Text(str):
    """A scalar as written, and where."""

    __slots__ = ("quoted", "where")
    where: Position
    quoted: bool

    def __new__(cls, text: str, where: Position = Position(), quoted: bool = False) -> Text:
        """`text` at `where`; `quoted`: written in quotes, so never a number."""
        self = super().__new__(cls, text)
        self.where = where
        self.quoted = quoted
        return self


class Seq(list["Node"]):
    """A list, and where it begins."""

    __slots__ = ("where",)

    def __init__(self, items: Any = (), where: Position = Position()) -> None:
        super().__init__(items)
        self.where = where


class Map(dict[str, "Node"]):
    """A map, where it begins, and where each of its keys stands."""

    __slots__ = ("places", "where")

    def __init__(
        self,
        items: Any = (),
        where: Position = Position(),
        places: Mapping[str, Position] | None = None,
    ) -> None:
        super().__init__(items)
        self.where = where
        self.places = dict(places or {})

    def place(self, key: str) -> Position:
        """Where `key` stands; the map's own place when it was put in later."""
        return self.places.get(key, self.where)


Node: TypeAlias = Text | Seq | Map


@dataclass(frozen=True, slots=True)
class Document:
    """One file, read: its name for messages and its tree."""

    file: str
    tree: Map
    folder: str = ""
    """Where relative paths in the plan start; empty when the plan is no file."""


@dataclass(slots=True)
class _Frame:
    """A collection that is still open while events come in."""

    node: Map | Seq
    key: str | None = None
    place: Position = field(default_factory=Position)


def read(source: str | os.PathLike[str], text: str | None = None) -> Document:
    """The plan in file `source`, or in `text`, when `source` is only the name for messages.

    Raises PlanError: no such file, a directory, unreadable, empty, too big, binary, not UTF-8, not YAML, nested too
    deep, or YAML that a plan does not use.
    """
    name = os.fspath(source)
    folder = os.path.dirname(os.path.abspath(name)) if text is None else ""
    content = _content(name) if text is None else text
    if len(content) > MAX_BYTES:
        raise _too_big(name, len(content))
    if "\0" in content:
        raise PlanError("a plan is text", got="a binary file", where=Position(name))
    if deep := _BRACKETS.search(content):
        line, start = content.count("\n", 0, deep.start()) + 1, content.rfind("\n", 0, deep.start())
        raise _too_deep(Position(name, line, deep.start() - start))
    tree = _compose(name, content)
    if tree == "":
        raise PlanError("a plan is not empty", where=Position(name), hint="Write one with `headway init`.")
    if not isinstance(tree, Map):
        raise PlanError("a plan is a map of keys", got=_what(tree), where=tree.where, hint="Begin with `headway: 1`.")
    return Document(name, tree, folder)


def _too_big(name: str, size: int) -> PlanError:
    return PlanError(
        f"a plan file has at most {MAX_BYTES // 1_000_000} MB",
        got=f"{size / 1e6:.1f} MB",
        where=Position(name),
        hint="Say repeated runs with a matrix, and keep data in files of their own.",
    )


def _too_deep(where: Position) -> PlanError:
    return PlanError(f"a plan is nested at most {MAX_DEPTH} deep", where=where)


def _content(name: str) -> str:
    """The text of a file, without a byte order mark."""
    try:
        size = os.stat(name).st_size
        if size > MAX_BYTES:
            raise _too_big(name, size)
        with open(name, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as problem:
        reasons = {FileNotFoundError: "there is no such file", IsADirectoryError: "it is a directory"}
        reason = reasons.get(type(problem), f"it cannot be read ({problem.strerror})")
        hints = {
            FileNotFoundError: "Write a plan with `headway init`.",
            IsADirectoryError: f"Name the plan in it: {os.path.join(name, 'plan.yaml')}.",
        }
        hint = hints.get(type(problem), "")
        raise PlanError(f"a plan is a readable file: {reason}", where=Position(name), hint=hint) from None
    if b"\0" in data[:4096]:
        raise PlanError("a plan is text", got="a binary file", where=Position(name))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        column = problem.start - data.rfind(b"\n", 0, problem.start)
        raise PlanError(
            f"a plan is UTF-8 text: byte {problem.start} is not",
            got=f"0x{data[problem.start]:02x}",
            where=Position(name, line, column),
            hint="Save the file as UTF-8.",
        ) from None


def _compose(name: str, content: str) -> Node:
    """The tree of the only document in `content`."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.reader import ReaderError

    try:
        return _tree(name, YAML(typ="safe", pure=True).parse(content))
    except ReaderError as problem:
        line = content.count("\n", 0, problem.position) + 1
        column = problem.position - content.rfind("\n", 0, problem.position)
        raise PlanError(
            "YAML has no control characters", got=f"U+{ord(content[problem.position]):04X}",
            where=Position(name, line, column),
        ) from None  # fmt: skip
    except MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        where = Position(name, mark.line + 1, mark.column + 1) if mark else Position(name)
        said = " ".join(str(part) for part in (problem.context, problem.problem) if part)
        raise PlanError(f"this is not YAML: {said}", where=where, hint=_syntax_hint(said)) from None
    except (YAMLError, ValueError, RecursionError, AttributeError, TypeError, IndexError, AssertionError) as problem:
        raise PlanError(f"this is not YAML: {problem}", where=Position(name)) from None


def _syntax_hint(said: str) -> str:
    if "\\t" in said:
        return "Indent with spaces, not tabs."
    if "mapping values are not allowed" in said:
        return "Put text that contains `: ` in quotes, or check the indentation."
    return ""


def _tree(name: str, events: Iterator[Any]) -> Node:
    """Events to nodes, without recursion, so that no depth of nesting can hurt."""
    stack: list[_Frame] = []
    root: Node | None = None
    documents = 0
    for event in events:
        kind = type(event).__name__
        where = Position(name, event.start_mark.line + 1, event.start_mark.column + 1)
        if kind == "DocumentStartEvent":
            documents += 1
            if documents > 1:
                raise PlanError("a file holds one plan", got="a second document", where=where, hint="Remove the `---`.")
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            stack.pop()
        elif kind in ("StreamStartEvent", "StreamEndEvent", "DocumentEndEvent"):
            continue
        else:
            _refuse_extras(event, kind, where)
            node = _node(event, kind, where)
            if not stack:
                root = node
            else:
                _attach(stack[-1], node, where)
            if not isinstance(node, Text):
                if len(stack) >= MAX_DEPTH:
                    raise _too_deep(where)
                stack.append(_Frame(node))
    return root if root is not None else Text("", Position(name, 1, 1))


def _refuse_extras(event: Any, kind: str, where: Position) -> None:
    if kind == "AliasEvent" or event.anchor:
        what = "*" if kind == "AliasEvent" else "&"
        raise PlanError(
            "a plan has no anchors and aliases",
            got=f"{what}{event.anchor}",
            where=where,
            hint="Put what is shared at the plan or phase: it is inherited. Text that begins with * needs quotes.",
        )
    if event.ctag is not None:
        raise PlanError("a plan has no tags", got=str(event.tag), where=where, hint="Leave the tag out.")


def _node(event: Any, kind: str, where: Position) -> Node:
    if kind == "MappingStartEvent":
        return Map(where=where)
    if kind == "SequenceStartEvent":
        return Seq(where=where)
    quoted = event.style is not None
    if not quoted and event.value in _NULLS:
        raise PlanError(
            "a plan has no null", got=event.value, where=where,
            hint="Write `none` to remove what is inherited, or `unknown`; quote it where it is a name.",
        )  # fmt: skip
    return Text(event.value, where, quoted)


def _attach(frame: _Frame, node: Node, where: Position) -> None:
    """Put `node` into the open collection: as an item, a key, or the value of the key before it."""
    if isinstance(frame.node, Seq):
        frame.node.append(node)
    elif frame.key is None:
        if not isinstance(node, Text):
            raise PlanError("a key is text", got=_what(node), where=where)
        if node == "<<" and not node.quoted:
            raise PlanError("a plan has no merge keys", got="<<", where=where, hint="Inherited keys say it shorter.")
        if node in frame.node:
            first = frame.node.place(node)
            raise PlanError(f"a key stands once: {node} is already at line {first.line}", where=where, field=str(node))
        frame.key, frame.place = str(node), where
    else:
        frame.node[frame.key] = node
        frame.node.places[frame.key] = frame.place
        frame.key = None


def _what(node: Node) -> str:
    if isinstance(node, Text):
        return repr(str(node))[:60]
    return "a list" if isinstance(node, Seq) else "a map"


def node_from(value: object, where: Position = Position()) -> Node:
    """A tree made in Python (numbers, text, booleans, lists, mappings) as nodes; other values raise PlanError."""
    if isinstance(value, Text | Seq | Map):
        return value
    if isinstance(value, bool):
        return Text("true" if value else "false", where)
    if isinstance(value, str | int | float):
        return Text(str(value), where)
    if isinstance(value, Mapping):
        return Map({str(key): node_from(item, where) for key, item in value.items() if item is not None}, where)
    if isinstance(value, list | tuple):
        return Seq((node_from(item, where) for item in value), where)
    raise PlanError("a plan is made of text, numbers, lists and maps", got=type(value).__name__, where=where)


def positions(tree: Map) -> dict[str, Position]:
    """Dotted path of every key and list item of `tree` to its place (of the key, where there is one)."""
    found: dict[str, Position] = {}
    todo: list[tuple[str, Node]] = [("", tree)]
    while todo:
        path, node = todo.pop()
        if isinstance(node, Map):
            for key, item in node.items():
                found[f"{path}{key}"] = node.place(key)
                todo.append((f"{path}{key}.", item))
        elif isinstance(node, Seq):
            for index, item in enumerate(node):
                found[f"{path}{index}"] = item.where
                if not isinstance(item, Text):
                    todo.append((f"{path}{index}.", item))
    return found
