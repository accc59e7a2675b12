"""Records to store."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from headway.domain.record import Record
from headway.store.rows import SCHEMAS


def record(number: int = 0, *, kind: str = "run", plan: Any = "plan-a", second: int | None = None) -> Record:
    """A record that differs by its number; later numbers are later, by seconds."""
    name, version = SCHEMAS[kind]
    moment = number if second is None else second
    made = f"2026-11-21T{moment // 3600:02}:{moment // 60 % 60:02}:{moment % 60:02}Z"
    return Record(kind=kind, made=made, by={"headway": "0.1.0", "command": "test"},
                  body={"schema": f"{name}/{version}", "plan": plan, "number": number})  # fmt: skip


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def any_record(draw: st.DrawFn) -> Record:
    """Whatever a verb may store, in any characters."""
    said = draw(st.dictionaries(TEXT, VALUES, max_size=4))
    kind = draw(st.sampled_from(sorted(SCHEMAS)))
    plain = record(kind=kind, plan=draw(TEXT), second=draw(st.integers(0, 86399)))
    return Record(kind=kind, made=plain.made, body={**said, **plain.body}, by=draw(st.dictionaries(TEXT, TEXT)))
