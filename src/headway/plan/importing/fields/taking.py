"""Fields taken from a source, one by one, each with the key and the line it comes from.

Owns what a value of a foreign file may look like (`true`, `yes`, `1e-4`, `auto`, null), and which keys were used.
Nothing here raises: a value of the wrong kind is not taken, and its key is listed among those not read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from headway.domain.errors import Position
from headway.plan.importing.nouns import Default, NotRead, Read, Source
from headway.plan.importing.text.tree import leaves
from headway.plan.reading.yaml import Map, Node, Seq, Text

_YES: Final = frozenset({"true", "yes", "on", "1", "y"})
_NO: Final = frozenset({"false", "no", "off", "0", "n", "none"})
_HOLE = re.compile(r"\$\{([\w.]+)\}")
MOST_NOT_READ: Final = 200


@dataclass(frozen=True, slots=True)
class Hit:
    """A value that was found: under which key, where."""

    value: str
    key: str
    where: Position


class Taking:
    """The fields of one run as they are taken from a source."""

    def __init__(self, source: Source, given: Mapping[str, str] | None = None) -> None:
        self.source = source
        self.given = dict(given or {})
        """What `--assume` says: gpu, gpus, samples, tokens_per_sample, model, params, epochs, steps."""
        self.fields: dict[str, Hit] = {}
        """Fields by name; a default's key is empty."""
        self.read: dict[str, Read] = {}
        self.absent: dict[str, Default] = {}
        self.notes: list[str] = []
        self.used: set[str] = set()
        self.part = False
        """Only a part of the dataset is taken (`train[:10%]`)."""
        self.shape: dict[str, str] = {}
        """A model that is written out, in the keys of a `config.json`."""

    # ---- looking up

    def node(self, key: str) -> Node | None:
        """What stands at a dotted path; None where nothing does, or null. Marks nothing as used."""
        found: Node | None = self.source.tree
        if key in self.source.tree:
            found = self.source.tree[key]
        else:
            for part in key.split("."):
                found = found.get(part) if isinstance(found, Map) else None
        if isinstance(found, Text) and "${" in found:
            found = self._interpolated(found)
        return None if found is None or found == "" else found

    def place(self, key: str) -> Position:
        """Where the key of a dotted path stands."""
        holder: Node = self.source.tree
        if key in self.source.tree:
            return self.source.tree.place(key)
        parts = key.split(".")
        for part in parts[:-1]:
            holder = holder.get(part, Map()) if isinstance(holder, Map) else Map()
        return holder.place(parts[-1]) if isinstance(holder, Map) else Position(self.source.name)

    def _interpolated(self, text: Text) -> Text:
        """`${a.b}` filled in, as OmegaConf does, for torchtune and Hydra."""
        words = str(text)
        for _ in range(5):
            if "${" not in words or len(words) > 2000:
                break
            words = _HOLE.sub(lambda m: str(self._plain(m[1])), words)
        return Text(words, text.where, text.quoted)

    def _plain(self, key: str) -> str:
        found: Node | None = self.source.tree
        for part in key.split("."):
            found = found.get(part) if isinstance(found, Map) else None
        return str(found)[:500] if isinstance(found, Text) else ""

    def word(self, *keys: str) -> Hit | None:
        """The first of these keys that holds text or a number."""
        for key in keys:
            found = self.node(key)
            if isinstance(found, Text) and found.strip():
                self.used.add(key)
                if found.strip().lower() in ("none", "null"):  # Python's word for nothing, on command lines
                    continue
                return Hit(str(found).strip(), key, self.place(key))
        return None

    def number(self, *keys: str) -> Hit | None:
        """The first of these keys that holds a finite number that is not negative."""
        for key in keys:
            found = self.node(key)
            value = as_number(found)
            if value is not None and value >= 0:
                self.used.add(key)
                return Hit(f"{value:.15g}", key, self.place(key))
        return None

    def whole(self, *keys: str, least: int = 1) -> Hit | None:
        """The first of these keys that holds a whole number from `least` on (`3.0` is one)."""
        for key in keys:
            value = as_number(self.node(key))
            if value is not None and value == int(value) and least <= value < 1e15:
                self.used.add(key)
                return Hit(str(int(value)), key, self.place(key))
        return None

    def flag(self, *keys: str) -> Hit | None:
        """The first of these keys that says yes or no, as `true` or `false`."""
        for key in keys:
            value = as_flag(self.node(key))
            if value is not None:
                self.used.add(key)
                return Hit("true" if value else "false", key, self.place(key))
        return None

    def on(self, *keys: str) -> bool:
        """Whether the first of these keys that says yes or no says yes."""
        found = self.flag(*keys)
        return found is not None and found.value == "true"

    def words(self, *keys: str) -> list[Hit]:
        """The items of the first of these keys that holds a list, or text with commas."""
        for key in keys:
            found = self.node(key)
            items: list[Node] = []
            if isinstance(found, Seq):
                items = list(found)[:500]
            elif isinstance(found, Text):
                items = [Text(part, found.where) for part in re.split(r"[,\s]+", found.strip("[]() "))[:500]]
            texts = [item for item in items if isinstance(item, Text) and item.strip("'\" ")]
            if texts:
                self.used.add(key)
                return [Hit(str(item).strip("'\" "), key, self.place(key)) for item in texts]
        return []

    def has(self, *keys: str) -> bool:
        """Whether any of these keys says something."""
        return any(self.node(key) is not None for key in keys)

    def use(self, *keys: str) -> None:
        """Marks keys (and what is below them) as used, where they say something."""
        self.used.update(key for key in keys if self.node(key) is not None)

    # ---- taking

    def take(self, field: str, hit: Hit | None, value: str | None = None, shown: str = "") -> Hit | None:
        """Keeps what was found as `field`, in the plan's words where `value` says them; the first one counts.

        `shown` is what the reader is told, where the plan's words hide what the file says (`freeze`, counted as full).
        """
        if hit is not None and field not in self.read:
            self.fields[field] = Hit(hit.value if value is None else value, hit.key, hit.where)
            told = shown or self.fields[field].value
            self.read[field] = Read(field=field, value=told, key=hit.key, where=hit.where)
            self.absent.pop(field, None)
        return hit

    def default(self, field: str, value: str, source: str) -> None:
        """What the tool takes where the file does not say `field`."""
        if field not in self.fields:
            self.fields[field] = Hit(value, "", Position(self.source.name))
            self.absent[field] = Default(field=field, value=value, source=source)

    def value(self, field: str) -> str:
        """A field's value; empty where there is none."""
        return self.fields[field].value if field in self.fields else ""

    def note(self, sentence: str) -> None:
        """Something that was simplified."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def not_read(self) -> tuple[NotRead, ...]:
        """Keys that say something and were not used, in the order of the file."""
        found = []
        for key, where, _ in leaves(self.source.tree):
            parts = key.split(".")
            if not any(".".join(parts[: n + 1]) in self.used for n in range(len(parts))):
                found.append(NotRead(key=key, where=where))
        return tuple(sorted(found[:MOST_NOT_READ], key=lambda one: one.where.line))


def as_number(node: Node | None) -> float | None:
    """A finite number, `1_000` and `1e-4` among them; None for anything else."""
    if not isinstance(node, Text) or not re.fullmatch(r"[-+]?[\d_]*\.?\d*(?:[eE][-+]?\d{1,3})?", node.strip()[:40]):
        return None
    try:
        value = float(node.strip()[:40].replace("_", ""))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def as_flag(node: Node | None) -> bool | None:
    """`true`, `yes`, `on`, `1` and their opposites; None for anything else, `auto` among it."""
    word = str(node).strip().lower() if isinstance(node, Text) else ""
    return True if word in _YES else False if word in _NO else None
