"""A record as a row of a table and as a line of a file, and what may be stored at all.

Owns the checks at the door of every store, and the one table that the SQL back ends share. Where rows go is
`sqlite.py` and `postgres.py`.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import NamedTuple

from headway.domain.errors import UserError
from headway.domain.record import Record, canonical_json

SCHEMAS = {
    "estimate": ("headway.promise", 1),
    "measurement": ("headway.measurement", 1),
    "run": ("headway.run", 1),
    "verdict": ("headway.verdict", 1),
}
"""Kind of a record -> the schema of its body and the newest version of it that this headway knows."""
UPGRADE = "pip install -U headway"
TABLE_VERSION = 1
"""Of the table; a store says which it has."""
PAGE = 500
"""Rows that a back end reads at once, so that a reader in no hurry holds up no writer."""

COLUMNS = 'id, kind, plan, made, schema_version, body, "by"'
CREATE = (
    "CREATE TABLE headway_records (id text PRIMARY KEY, kind text NOT NULL, plan text NOT NULL, made text NOT NULL,"
    ' schema_version integer NOT NULL, body text NOT NULL, "by" text NOT NULL)'
)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class Row(NamedTuple):
    """One row, by the columns of the table; `body` and `by` are canonical JSON."""

    id: str
    kind: str
    plan: str
    made: str
    schema_version: int
    body: str
    by: str


def row_of(record: Record) -> Row:
    """The row of a record. Raises UserError for one that no store keeps, with what is wrong."""
    version = _version(record)
    if not _MOMENT.fullmatch(record.made):
        raise UserError("a record says when it was made, in UTC", got=repr(record.made)[:80],
                        hint="Like 2026-11-21T16:40:00Z.")  # fmt: skip
    try:
        body, by = canonical_json(record.body), canonical_json(record.by)
        key = _id(record.kind, record.made, body, by)
        return Row(key, record.kind, plan_of(record), record.made, version, body, by)
    except (TypeError, ValueError) as error:  # NaN, half a character, something that is no JSON
        raise UserError("a record is JSON", got=str(error)[:200]) from None


def record_of(row: Row) -> Record:
    """The record of a row. Raises UserError where it is not what was stored, and for one of a newer headway."""
    if row.id != _id(row.kind, row.made, row.body, row.by):
        raise UserError("a stored record is never changed", got=f"{row.id}, which is not what was stored",
                        hint="Restore the store from a backup or an export (headway store import FILE).")  # fmt: skip
    record = Record(kind=row.kind, body=json.loads(row.body), made=row.made, by=json.loads(row.by))
    _version(record)
    return record


def _id(kind: str, made: str, body: str, by: str) -> str:
    """`Record.id`, put together of its parts' canonical JSON: a store with many long samples is read ten times faster
    than by making that JSON once more.
    """
    whole = f'{{"body":{body},"by":{by},"kind":{canonical_json(kind)},"made":{canonical_json(made)}}}'
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def plan_of(record: Record) -> str:
    """Fingerprint of the plan that the record is about; empty where it names none."""
    plan = record.body.get("plan", "")
    found = plan.get("fingerprint", "") if isinstance(plan, dict) else plan
    # what a foreign log calls its plan: no data base takes a zero byte in text
    return found.replace("\0", "") if isinstance(found, str) else ""


def _version(record: Record) -> int:
    """Version of the body's schema. Raises UserError for a kind or a version that only a newer headway knows, and for a
    body of another schema.
    """
    if record.kind not in SCHEMAS:
        hint = f"One of {', '.join(SCHEMAS)}. Did a newer headway write it? Upgrade: {UPGRADE}"
        raise UserError("a record has a kind", got=repr(record.kind)[:80], hint=hint)
    name, newest = SCHEMAS[record.kind]
    said = record.body.get("schema") if hasattr(record.body, "get") else None
    form, _, version = said.partition("/") if isinstance(said, str) else ("", "", "")
    if form != name or not (version.isascii() and version.isdecimal()) or int(version) < 1:
        raise UserError(f"the body of a record of kind {record.kind} is {name}/{newest}", got=repr(said)[:80])
    if int(version) > newest:
        raise UserError(f"this headway knows {name}/{newest}", got=f"{said}, which a newer one wrote",
                        hint=f"Upgrade it: {UPGRADE}")  # fmt: skip
    return int(version)


def newer_table(place: str, version: int) -> UserError:
    """The refusal of a store whose table a newer headway made."""
    return UserError(f"this headway reads stores of version {TABLE_VERSION}", got=f"{place} of version {version}",
                     hint=f"A newer headway made it; upgrade: {UPGRADE}")  # fmt: skip
