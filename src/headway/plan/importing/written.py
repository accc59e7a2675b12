"""An imported run as a plan file with comments: what was read and where, what was taken by default, what is asked.

Owns the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from headway.domain.errors import Position
from headway.plan.importing.nouns import Imported
from headway.plan.reading.yaml import Map, Node, Seq, Text

_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "adapter": ("method",), "datasets": ("rows", "data"), "run": ("gpu",), "forward_passes": ("objective",),
    "tasks": ("evaluate",), "stages": ("objective",),
}  # fmt: skip
"""Keys of a plan -> fields of the reading that they were made of, where the names differ."""
_INSIDE: Final = frozenset(
    "rank alpha targets dropout rows data length keep tensor pipeline gpu batch micro_batch grad_accum max_length pack "
    "epochs steps save log learning_rate lr_schedule warmup weight_decay name hours gpu_hours model gpus "
    "total_batch".split()
)
"""Fields that stand inside a key of the plan, or in its stages."""
_WIDE: Final = 96
_MOST_NAMED: Final = 40


def written(imported: Imported, *, model: str = "", notes: tuple[str, ...] = ()) -> str:
    """The plan's text. `model` is what to compute with where the catalog lacks the model; `notes`: more sentences."""
    lines = [
        "# yaml-language-server: $schema=plan.schema.json",
        f"# From {_one_line(imported.name)}, {imported.summary}.",
        *(f"# Note: {_one_line(note)}." for note in (*imported.notes, *notes)),
        *(f"# Asked: {ask.key}: {_one_line(ask.why)}; for example --assume {_one_line(ask.example)}."
          for ask in imported.asks),
    ]  # fmt: skip
    known = Map({"use": Text(model), "stated_as": Text(imported.model)})
    for key, node in imported.plan.items():
        lines += _entry(key, known if key == "model" and model else node, _comment(imported, key))
    told = {field for key in imported.plan for field in (key, *_FIELDS.get(key, ()))} | _INSIDE
    beside = [one for one in imported.read if one.field not in told]
    if beside:
        lines += ["", "# Read, and no key of the plan:"]
        lines += [f"#   {one.field}: {_one_line(one.value)} ({_one_line(one.key)}{_line(one.where)})" for one in beside]
    absent = [one for one in imported.absent if one.field not in imported.plan]
    if absent:
        lines += ["", "# Not said in the file, and taken by default:"]
        lines += [f"#   {one.field}: {_one_line(one.value)} ({_one_line(one.source)})" for one in absent]
    if imported.not_read:
        names = [_one_line(one.key) for one in imported.not_read]
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        lines += ["", "# Not read:", *_filled(", ".join(names[:_MOST_NAMED]) + more)]
    return "\n".join(lines) + "\n"


def _one_line(text: str) -> str:
    """Text that cannot leave its comment."""
    return re.sub(r"[^\x20-\x7e\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd]+", " ", text)[:400].strip()


def _filled(text: str) -> Iterator[str]:
    """Comment lines of at most `_WIDE` characters."""
    line = "#  "
    for word in text.split(" "):
        if len(line) + len(word) > _WIDE and line != "#  ":
            yield line
            line = "#  "
        line += f" {word}"
    yield line


def _comment(imported: Imported, key: str) -> str:
    """Where the value of a key comes from."""
    for field in _FIELDS.get(key, (key,)):
        for one in imported.read:
            if one.field == field:
                return _one_line(f"{one.key}{_line(one.where)}")
        for absent in imported.absent:
            if absent.field == field:
                return _one_line(f"not said; {absent.source}")
    return ""


def _line(where: Position) -> str:
    return f", line {where.line}" if where.line else ""


def _entry(key: str, node: Node, comment: str, indent: int = 0) -> Iterator[str]:
    """One key in block style; what fits a line stands in one."""
    lead, flow = " " * indent, _flow(node)
    tail = f"  # {comment}" if comment else ""
    if isinstance(node, Text) or (len(flow) + len(key) + indent < _WIDE and not _holds_maps(node)):
        yield f"{lead}{_scalar(key)}: {flow}{tail}"
        return
    yield f"{lead}{_scalar(key)}:{tail}"
    if isinstance(node, Map):
        for inner, item in node.items():
            yield from _entry(inner, item, "", indent + 2)
        return
    for item in node:
        if isinstance(item, Map) and item:
            block = [line for inner, value in item.items() for line in _entry(inner, value, "", indent + 4)]
            yield f"{lead}  - {block[0].strip()}"
            yield from block[1:]
        else:
            yield f"{lead}  - {_flow(item)}"


def _holds_maps(node: Node) -> bool:
    items = list(node.values()) if isinstance(node, Map) else list(node) if isinstance(node, Seq) else []
    return any(isinstance(item, Map) for item in items)


def _flow(node: Node) -> str:
    if isinstance(node, Map):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(item)}" for key, item in node.items()) + "}"
    if isinstance(node, Seq):
        return f"[{', '.join(_flow(item) for item in node)}]"
    return _scalar(node)


def _scalar(text: str) -> str:
    """Text as one YAML scalar, in quotes where it needs them."""
    if (
        re.fullmatch(r"[A-Za-z0-9_][\w./%+ -]*", text)
        and not text.endswith(" ")
        and text.lower() not in ("null", "none")
    ):
        return text
    return "'" + (_one_line(text) or "unnamed").replace("'", "''") + "'"
