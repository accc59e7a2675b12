"""What a key of a plan may hold, as plain data.

Owns the vocabulary of the tables in `keys`. A `Leaf` is one value (with its long form), a `Record` has named fields,
an `Each` is a map by ids, a `Many` a list in which one item may stand alone, an `Either` the choice between forms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value. `type` names a reader in `validate`; `choices` are the only words allowed, when there are any."""

    type: str
    choices: tuple[str, ...] = ()
    least: int = 0
    counts: str = ""
    """What is counted: a word that may follow the number, a key of `COUNTS`."""
    open: bool = False
    """A band without an end will do: `over 1 s`."""
    positive: bool = False
    """Nothing of it makes no sense: more than 0, from its low end on."""
    remedy: str = ""
    """What to write instead of a word that is none of `choices`, where those words alone do not say it."""


@dataclass(frozen=True, slots=True)
class Record:
    """A map with these fields and no others. Filled after it is made where it contains itself."""

    name: str
    fields: dict[str, Field] = field(default_factory=dict)
    lone: str = ""
    """The field that was probably meant where one value stands instead of the map."""


@dataclass(frozen=True, slots=True)
class Each:
    """A map from ids (or words) to `kind`; `listed`: a list of ids will do where nothing needs saying."""

    kind: Kind
    listed: bool = False


@dataclass(frozen=True, slots=True)
class Many:
    """A list of `kind`; one item may stand alone."""

    kind: Kind


@dataclass(frozen=True, slots=True)
class Either:
    """The first of `kinds` that takes the form (text, list, map) that came."""

    kinds: tuple[Kind, ...]


@dataclass(frozen=True, slots=True)
class Free:
    """Anything: the author's own."""


@dataclass(frozen=True, slots=True)
class Settings:
    """A map from keys of the language, dotted paths included, to their values; `listed`: to lists of values.

    `selecting`: `SELECTOR.key` and `run.key` are allowed, too.
    """

    listed: bool
    selecting: bool


Kind: TypeAlias = Leaf | Record | Each | Many | Either | Free | Settings


@dataclass(frozen=True, slots=True)
class Field:
    """One key: what it holds, a sentence, its default, and whether it is inherited (▾) or circumstance (◦)."""

    kind: Kind
    doc: str
    default: str = ""
    inherited: bool = False
    circumstance: bool = False


def inherited(kind: Kind, doc: str, default: str = "", circumstance: bool = False) -> Field:
    """A key that may stand at any level."""
    return Field(kind, doc, default, inherited=True, circumstance=circumstance)


def takes(kind: Kind, form: str) -> bool:
    """Whether `kind` can be written in `form`: `text`, `list` or `map` (a long form counts as text)."""
    match kind:
        case Leaf(type=type_):
            return form in LEAF_FORMS.get(type_, ("text",))
        case Record() | Settings():
            return form == "map"
        case Each(listed=listed):
            return form == "map" or (listed and form in ("list", "text"))
        case Many(kind=inner):
            return form == "list" or takes(inner, form)
        case Either(kinds=kinds):
            return any(takes(inner, form) for inner in kinds)
        case Free():
            return True


def flat(kind: Kind) -> Iterator[Kind]:
    """The forms that `kind` may take, without choices and lists around them."""
    if isinstance(kind, Either):
        for inner in kind.kinds:
            yield from flat(inner)
    elif isinstance(kind, Many):
        yield from flat(kind.kind)
    else:
        yield kind


def inside(kind: Kind, part: str) -> Kind | None:
    """What the key `part` of a map of `kind` may hold; None where there is no such key."""
    for inner in flat(kind):
        if isinstance(inner, Record) and part in inner.fields:
            return inner.fields[part].kind
        if isinstance(inner, Each):
            return inner.kind
        if isinstance(inner, Free):
            return inner
    return None


COUNTS: Mapping[str, frozenset[str]] = {
    words.split()[0]: frozenset(words.split())
    for words in (
        "rows row samples sample examples example pairs sequences documents",
        "tokens token",
        "steps step",
        "epochs epoch",
        "GPUs GPU gpus gpu",
        "prompts prompt",
        "batches batch",
        "layers layer",
        "classes labels",
    )
}
"""Words for one thing that is counted, by the first of them."""
LEAF_FORMS: Mapping[str, tuple[str, ...]] = {
    "texts": ("text", "list", "map"),
    "selector": ("text", "list"),
    "selectors": ("text", "list"),
    "predicate": ("text", "map"),
    "count": ("text", "map"),
    "length": ("text", "map"),
    "claims": ("map",),
}
"""Forms of leaves that are more than one text; lists for "said several times" are in the tables as `Many`."""
