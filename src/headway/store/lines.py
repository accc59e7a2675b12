"""Records as lines of JSON, to move them from one store to another.

Owns the form `headway.records/1`: a line that says so, then one record per line, in the order of the store. The same
records are the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from headway.domain.errors import Position, UserError
from headway.domain.record import Record, canonical_json
from headway.store.rows import UPGRADE, row_of

SCHEMA = "headway.records/1"


def to_lines(records: Iterable[Record]) -> Iterator[str]:
    """The lines of records, each with its end."""
    yield canonical_json({"schema": SCHEMA}) + "\n"
    for record in records:
        said = {"id": record.id, "kind": record.kind, "made": record.made, "body": record.body, "by": record.by}
        yield canonical_json(said) + "\n"


def from_lines(lines: Iterable[bytes], name: str) -> list[Record]:
    """All records of a file's lines; `name` is that of the file, for messages.

    Raises UserError with the number of the first line that is no record as it was written, and for a newer form.
    """
    found: list[Record] = []
    number = 0
    for number, line in enumerate(lines, 1):
        try:
            if number == 1:
                _check_header(_mapping(line))
            elif line.strip():
                found.append(_record(_mapping(line)))
        except UserError as error:
            raise error.at(Position(name, number)) from None
    if not number:
        raise UserError("a file of records begins with its schema", got="an empty file", where=Position(name))
    return found


def _mapping(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):  # no UTF-8, no JSON, cut off
        found = None
    if not isinstance(found, dict):
        raise UserError("a line is one JSON object", got=line[:60].decode(errors="replace").strip() or "nothing",
                        hint="Nothing was imported. Was the file cut, or changed by hand?")  # fmt: skip
    return found


def _check_header(said: dict[str, Any]) -> None:
    schema = said.get("schema")
    name, _, version = schema.partition("/") if isinstance(schema, str) else ("", "", "")
    if schema == SCHEMA:
        return
    if name == SCHEMA.partition("/")[0] and version.isdecimal():
        raise UserError(
            f"this headway reads {SCHEMA}", got=f"{schema}", hint=f"A newer one wrote it; upgrade: {UPGRADE}"
        )
    raise UserError(f'the first line is {{"schema":"{SCHEMA}"}}', got=repr(schema)[:80],
                    hint="Import what `headway store export` wrote.")  # fmt: skip


def _record(said: dict[str, Any]) -> Record:
    body, by = said.get("body"), said.get("by", {})
    if not isinstance(body, dict) or not isinstance(by, dict):
        raise UserError("a record has a body and says by what it was made", got=", ".join(map(str, said))[:80])
    record = Record(kind=str(said.get("kind")), body=body, made=str(said.get("made")), by=by)
    if row_of(record).id != said.get("id"):
        raise UserError("a record keeps its id, which is that of its contents", got=repr(said.get("id"))[:80],
                        hint="The line was changed after it was written; nothing was imported.")  # fmt: skip
    return record
