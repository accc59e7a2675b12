"""The language as JSON Schema, for editors, and as a table, for the documentation.

Owns the two renderings of `keys`; they add nothing to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from headway.plan.language.claims import CLAIMS, SPLITS
from headway.plan.language.keys import ANYWHERE, DATASET, MACHINE, OPTION, OWN, PHASE, PLAN, RUN, STATED, TASK
from headway.plan.language.kinds import Each, Either, Field, Free, Kind, Leaf, Many, Record, Settings

SCHEMA_ID: Final = "headway.plan/1"
_SCALAR: Final[dict[str, Any]] = {"type": ["string", "number", "boolean"]}
_TYPES: Final[dict[str, dict[str, Any]]] = {
    "flag": {"type": "boolean"},
    "integer": {"type": ["integer", "string"]},
    "number": {"type": ["number", "string"]},
    "count": {"type": ["number", "string", "object"]},
    "length": {"type": ["number", "string", "object"]},
    "share": {"type": "string", "pattern": "%|unknown|negligible"},
    "portion": {"type": "string", "pattern": "%"},
    "hours_a_day": {"type": ["number", "string"]},
    "date": {"type": "string"},
    "predicate": {"type": "object"},
    "held_out": {"type": "string", "pattern": "%"},
    "words": {"type": ["string", "number", "boolean"], "pattern": r"\S"},
    "texts": {"type": ["string", "number", "boolean", "array", "object"]},
    "selector": {"type": ["string", "number", "array"]},
    "selectors": {"type": ["string", "number", "array"]},
}
_UNIT_EXAMPLES: Final = {
    "s": "45 s", "bytes": "80 GB", "usd": "$50", "usd_per_hour": "$3.06/h", "usd_per_kwh": "$0.15/kWh", "w": "450 W",
    "per_s": "2000 steps/h", "per_hour": "5%/h", "share": "70%", "count": "10k", "cadence": "50 steps",
    "factor": "10-20% slower", "warmup": "3%", "budget": "10 h", "date": "2027-01-31",
}  # fmt: skip


def json_schema() -> dict[str, Any]:
    """The plan language as JSON Schema, draft 2020-12. Values with units are text here; `headway check` reads them."""
    definitions: dict[str, Any] = {
        "long": {
            "type": "object",
            "description": "What is computed with, and the document's own words.",
            "properties": {
                "use": True,
                "stated_as": _SCALAR,
                "source": _SCALAR,
                "date": _SCALAR,
                "note": _SCALAR,
            },
            "additionalProperties": False,
            "minProperties": 1,
        },
        "sample": {
            "type": "object",
            "description": "A measured sample.",
            "properties": dict.fromkeys(("mean", "median", "min", "max", "sd", "n"), _SCALAR),
            "additionalProperties": False,
        },
        "claims": {
            "type": "object",
            "description": "Results that the author states.",
            "properties": dict.fromkeys((*CLAIMS, *SPLITS), True),
            "additionalProperties": False,
        },
    }
    root = _record(PLAN, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "headway plan",
        "x-headway-schema": SCHEMA_ID,
        **root,
        "required": ["headway"],
        "$defs": definitions,
    }


def _record(record: Record, definitions: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {key: _field(field, definitions) for key, field in record.fields.items()},
        "additionalProperties": False,
    }


def _field(field: Field, definitions: dict[str, Any]) -> dict[str, Any]:
    schema = _kind(field.kind, definitions)
    if field.inherited:
        schema = {"anyOf": [schema, {"const": "none"}]}
    default = f" Default: {field.default}." if field.default else ""
    return {"description": field.doc + default, **schema}


def _kind(kind: Kind, definitions: dict[str, Any]) -> dict[str, Any]:
    match kind:
        case Leaf():
            return _leaf(kind)
        case Record(name=name):
            if name not in definitions:
                definitions[name] = {}
                definitions[name] = _record(kind, definitions)
            return {"anyOf": [{"$ref": f"#/$defs/{name}"}, {"type": "null"}]}
        case Each(kind=inner, listed=listed):
            mapping = {
                "type": "object",
                "propertyNames": {"pattern": r"\S"},
                "additionalProperties": _kind(inner, definitions),
            }
            return {"anyOf": [mapping, *([{"type": ["string", "number", "array", "null"]}] if listed else [])]}
        case Many(kind=inner):
            item = _kind(inner, definitions)
            return {"anyOf": [item, {"type": "array", "items": item}]}
        case Either(kinds=kinds):
            return {"anyOf": [_kind(inner, definitions) for inner in kinds]}
        case Settings():
            return {"type": "object"}
        case Free():
            return {}


def _leaf(leaf: Leaf) -> dict[str, Any]:
    if leaf.type == "claims":
        return {"$ref": "#/$defs/claims"}
    if leaf.type == "choice":
        words: list[Any] = [int(word) if word.isdigit() else word for word in leaf.choices]
        return {"anyOf": [{"enum": words}, {"$ref": "#/$defs/long"}]}
    schema = dict(_TYPES.get(leaf.type, _SCALAR))
    if leaf.type in _UNIT_EXAMPLES:
        schema["examples"] = [_UNIT_EXAMPLES[leaf.type]]
    return {"anyOf": [schema, {"$ref": "#/$defs/long"}, {"$ref": "#/$defs/sample"}]}


def key_table() -> str:
    """Every key as a Markdown table: where it stands, its marks (▾ inherited, ◦ not in the fingerprint), default."""
    rows = ["| key | | meaning | default |", "| --- | --- | --- | --- |"]
    rows += list(_rows("", {key: field for key, field in PLAN.fields.items() if key not in {**ANYWHERE, **OWN}}))
    rows += list(_rows("", {**ANYWHERE, **OWN}))
    homes = (("datasets.*.", DATASET), ("tasks.*.", TASK), ("phases.*.", PHASE), ("options.*.", OPTION),
             ("stated.", STATED), ("run.", RUN), ("run.machines.*.", MACHINE))  # fmt: skip
    for prefix, record in homes:
        own = {key: field for key, field in record.fields.items() if record is not PHASE or key not in PLAN.fields}
        rows += list(_rows(prefix, own))
    return "\n".join(rows) + "\n"


def _rows(prefix: str, fields: dict[str, Field]) -> Iterator[str]:
    for key, field in fields.items():
        marks = ("▾" if field.inherited else "") + ("◦" if field.circumstance else "")
        yield f"| `{prefix}{key}` | {marks} | {field.doc} | {field.default or '–'} |"
