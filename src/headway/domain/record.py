"""Canonical JSON, fingerprints, and the record: the identity of anything that is stored or compared.

Owns the one byte form of a value, and what a store keeps. Values without a stable form are
refused, never turned into text silently.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from typing import Any


def plain(value: object) -> Any:
    """`value` as JSON types: mappings, lists, text, numbers, booleans and None.

    Dataclasses become mappings of their fields; whole floats become integers, so that 5 and 5.0 are one value.
    Raises TypeError on anything without a stable form, and ValueError on NaN and infinities.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"a fingerprint needs finite numbers, got {value}")
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [plain(item) for item in value]
    raise TypeError(f"no stable form for {type(value).__name__}; give mappings, sequences, text or numbers")


def canonical_json(value: object) -> str:
    """The one JSON text of `value`: sorted keys, no spaces, UTF-8 kept as it is."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fingerprint(value: object) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of `canonical_json(value)`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


def utc_text(at: datetime) -> str:
    """A moment as records write it: UTC, ISO 8601 with whole seconds and `Z`; one without a zone is local time."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


KINDS = ("estimate", "measurement", "run", "verdict")
"""What is recorded: a promise, what a probe or a run measured, how a run went, how the promise was kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One thing that is kept for good: a versioned document, when it was made and by what."""

    kind: str
    """One of `KINDS`."""
    body: Mapping[str, Any]
    """The document; `schema` names its form and version (`headway.promise/1`)."""
    made: str
    """Moment, as `utc_text` writes it."""
    by: Mapping[str, str] = field(default_factory=dict)
    """Provenance: `headway` (version), `command`, and the machine's `device`, `host` and libraries; no names of people,
    no paths."""

    @property
    def id(self) -> str:
        """Fingerprint of everything in it: the same record is stored once."""
        return fingerprint({"kind": self.kind, "body": self.body, "made": self.made, "by": self.by})
