"""Datasets, mixtures and tasks.

Owns their making, and that every name in them is defined, mixtures add up and nothing contains itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from headway.domain.errors import PlanError
from headway.domain.plan import Dataset, Task
from headway.domain.statement import Value
from headway.domain.units import Range
from headway.plan.nouns import files, lengths
from headway.plan.reading import forms, values
from headway.plan.reading.values import fault
from headway.plan.reading.yaml import Map, Node, Text

MIX_TOLERANCE: Final = 0.001
"""A mixture may miss 100 % by this much (0.1 points), as `33.3%` three times does."""
TOKENS_TOLERANCE: Final = 0.05
"""Tokens may differ by this much from rows x length: people round both."""


def title(id_: str) -> str:
    """An id as a name for people: hyphens as spaces."""
    return id_.replace("-", " ")


def slug(words: str) -> str:
    """Words as an id."""
    return re.sub(r"[^\w.]+", "-", words.lower()).strip("-")


def unknown_name(what: str, found: str, known: Iterable[str], node: Node, hint: str) -> PlanError:
    """The error for a name that is not defined, with what was probably meant."""
    from difflib import get_close_matches

    near = tuple(get_close_matches(found, list(known), n=3))
    return fault(
        node,
        f"{what} is defined in the plan",
        repr(found),
        f"Did you mean {near[0]}?" if near else hint,
        candidates=near,
    )


def dataset(id_: str, node: Node, folder: str) -> Dataset:
    """One dataset, its lengths read from their file where it names one, its rows counted in its own."""
    entry = values.mapping(node) if node == "" else node
    assert isinstance(entry, Map)
    length, quantiles = _length(entry, folder)
    mix = {part: values.share(item) for part, item in values.mapping(entry.get("mix", Text(""))).items()}
    if mix and abs(sum(mix.values()) - 1) > MIX_TOLERANCE:
        raise fault(
            entry["mix"],
            "the shares of a mixture add up to 100 %",
            f"{sum(mix.values()) * 100:g} %",
            field=f"{id_}.mix",
        )
    total = sum(mix.values())
    origin = values.text(entry["from"]) if "from" in entry else ""
    rows = values.quantity(entry["rows"], "count") if "rows" in entry else None
    tokens = values.quantity(entry["tokens"], "count") if "tokens" in entry else None
    counted, said = None, [one for one in (length, tokens) if one is not None and not one.unknown]
    if origin and rows is None and not mix and len(said) < 2:  # both together say how many
        rows = counted = files.rows(origin, folder, entry["from"])
    rows, length, tokens = _three(entry, rows, length, tokens)
    return Dataset(
        id=id_,
        name=values.text(entry["name"]) if "name" in entry else title(id_),
        rows=rows,
        rows_counted=counted is not None,
        length=length,
        length_quantiles=quantiles,
        tokens=tokens,
        mix=tuple((part, portion / total) for part, portion in mix.items()),
        origin=origin,
        split=values.text(entry["split"]) if "split" in entry else "train",
        labels=values.integer(entry["labels"]) if "labels" in entry else None,
        where=node.where,
    )


def _length(entry: Map, folder: str) -> tuple[Value | None, tuple[tuple[float, float], ...]]:
    """Tokens in a row, with their quantiles where a file of lengths tells them."""
    if "length" not in entry:
        return None, ()
    if file := forms.length_file(entry["length"]):
        return lengths.of(file, folder, entry["length"])
    return values.quantity(entry["length"], "count"), ()


def _three(
    entry: Map, rows: Value | None, length: Value | None, tokens: Value | None
) -> tuple[Value | None, Value | None, Value | None]:
    """Rows, tokens in a row, and tokens in all: where two are known, the third is what they make.

    Raises PlanError where all three are known and differ by more than `TOKENS_TOLERANCE`.
    """
    if length is not None and not length.unknown and length.mid <= 0:  # a file of empty rows
        raise fault(entry["length"], "tokens are more than 0", length.text, "Take the empty rows out.")
    if tokens is None or tokens.unknown:
        return rows, length, tokens
    known_rows, known_length = (value if value and not value.unknown else None for value in (rows, length))
    if known_rows and known_length:
        _refuse_other_total(entry["tokens"], known_rows, known_length, tokens)
    elif known_rows:
        length = _quotient(tokens, known_rows, "tokens", "tokens / rows")
    elif known_length:
        rows = _quotient(tokens, known_length, "rows", "tokens / length")
        rows = replace(rows, range=Range(*(float(max(1, round(end))) for end in _ends(rows.range))))
    return rows, length, tokens


def _refuse_other_total(node: Node, rows: Value, length: Value, tokens: Value) -> None:
    """Raises PlanError at `node` where `tokens` are not rows x length, however far each of them may be."""
    pairs = zip(_ends(rows.range), _ends(length.range), strict=True)
    low, mid, high = (count * each for count, each in pairs)
    room = 1 + TOKENS_TOLERANCE
    if low > tokens.range.high * room or high * room < tokens.range.low:
        came = f"{tokens.mid:,.0f} for {rows.mid:,.0f} x {length.mid:,.0f} = {mid:,.0f}"
        raise fault(node, "tokens are rows x length", came, "Drop one of the three.", "tokens")


def _quotient(above: Value, below: Value, noun: str, how: str) -> Value:
    """One count over another, at the place of the first; its widest ends where they are in doubt."""
    made = Range(above.range.low / below.range.high, above.mid / below.mid, above.range.high / below.range.low)
    text = f"{above.text or f'{above.mid:,.0f}'} / {below.text or f'{below.mid:,.0f}'}"
    return Value(range=made, unit="count", noun=noun, text=text, note=f"computed: {how}", where=above.where)


def _ends(spread: Range) -> tuple[float, float, float]:
    return spread.low, spread.mid, spread.high


def datasets(node: Node, folder: str) -> dict[str, Dataset]:
    """All named datasets. Raises PlanError when a mixture names an unknown one, or contains itself."""
    entries = values.mapping(node)
    found = {id_: dataset(id_, item, folder) for id_, item in entries.items()}
    for id_, made in found.items():
        check_mix(made, found, entries[id_])
    for id_ in found:
        _refuse_circle(id_, found, entries[id_])
    return found


def check_mix(made: Dataset, known: Mapping[str, Dataset], node: Node) -> None:
    """Raises PlanError when a part of the mixture is no dataset."""
    for part, _ in made.mix:
        if part not in known:
            inside = node["mix"] if isinstance(node, Map) else node
            place = Text(part, inside.place(part)) if isinstance(inside, Map) else inside
            raise unknown_name("a dataset of a mixture", part, known, place, "Add it under `datasets`.")


def _refuse_circle(start: str, found: Mapping[str, Dataset], node: Node) -> None:
    todo, seen = [part for part, _ in found[start].mix], set()
    while todo:
        part = todo.pop()
        if part == start:
            raise fault(node, "a mixture does not contain itself", start, field=f"datasets.{start}.mix")
        if part not in seen:
            seen.add(part)
            todo += [inner for inner, _ in found[part].mix]


def tasks(node: Node, known: Mapping[str, Dataset]) -> tuple[dict[str, Task], dict[str, tuple[str, ...]]]:
    """Tasks by id in document order, and members by group. Raises PlanError for unknown data, a task said twice."""
    found: dict[str, Task] = {}
    groups: dict[str, tuple[str, ...]] = {}
    entries = values.mapping(node)
    for id_, item in entries.items():
        entry = values.mapping(item)
        if "tasks" not in entry:
            found[id_] = _task(id_, entry, "", (), known, found, entries.place(id_))
            continue
        members = values.mapping(entry["tasks"])
        metrics = values.texts(entry["metrics"]) if "metrics" in entry else ()
        for member, inner in members.items():
            if member in entries and inner == "":  # a group may name a task that is defined beside it
                continue
            found[member] = _task(member, values.mapping(inner), id_, metrics, known, found, members.place(member))
        groups[id_] = tuple(members)
    return found, groups


def _task(
    id_: str, entry: Map, group: str, metrics: tuple[str, ...], known: Mapping[str, Dataset],
    made: Mapping[str, Task], place: object,
) -> Task:  # fmt: skip
    where = place if isinstance(place, type(entry.where)) else entry.where
    if id_ in made:
        raise fault(where, f"a task is defined once: {id_} is already in {made[id_].group or 'the plan'}", id_)
    data = values.text(entry["data"]) if "data" in entry else (id_ if id_ in known else "")
    if data == "unknown":
        data = ""
    elif data and data not in known:
        raise unknown_name(
            "the data of a task", data, known, entry["data"], "Add it under `datasets`, or write unknown."
        )
    own = known[data].name if data == id_ else title(id_)
    return Task(
        id=id_,
        name=values.text(entry["name"]) if "name" in entry else own,
        group=group,
        metrics=values.texts(entry["metrics"]) if "metrics" in entry else metrics,
        data=data,
        labels=values.integer(entry["labels"]) if "labels" in entry else (known[data].labels if data else None),
        shots=values.integer(entry["shots"]) if "shots" in entry else None,
        origin=values.text(entry["from"]) if "from" in entry else "",
        where=where,
    )
