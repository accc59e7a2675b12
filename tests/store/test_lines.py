"""Records as lines: the same records are the same bytes, and a bad line stops everything."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.store.recorded import any_record, record

from headway.domain.errors import UserError
from headway.domain.record import Record
from headway.store import MemoryStore
from headway.store.lines import from_lines, to_lines

LINES = [line.encode() for line in to_lines([record(1), record(2)])]


@given(some=st.lists(any_record(), max_size=5))
def test_export_import_export_is_the_identity(some: list[Record]) -> None:
    first, second = MemoryStore(), MemoryStore()
    first.append_all(some)
    lines = "".join(to_lines(first.read()))
    second.append_all(from_lines(lines.encode().splitlines(keepends=True), "x"))
    assert "".join(to_lines(second.read())) == lines
    assert list(second.read()) == list(first.read())


@given(some=st.lists(any_record(), max_size=5), other=st.lists(any_record(), max_size=5))
def test_what_two_stores_export_together_does_not_depend_on_who_was_first(some: list, other: list) -> None:
    one, two = MemoryStore(), MemoryStore()
    for store, order in ((one, (some, other)), (two, (other, some))):
        for records in order:
            store.append_all(records)
    assert list(to_lines(one.read())) == list(to_lines(two.read()))


def changed(**fields: object) -> bytes:
    return json.dumps(json.loads(LINES[2]) | fields).encode()


@pytest.mark.parametrize(
    ("lines", "where", "says"),
    [
        ([], "x: ", "an empty file"),
        ([b'{"a": 1}\n', *LINES], "x:1: ", "headway store export"),
        ([b'{"schema": "headway.records/2"}\n'], "x:1: ", "pip install -U headway"),
        ([b"plan: 1\n"], "x:1: ", "one JSON object"),
        ([*LINES[:2], LINES[2][:40]], "x:3: ", "Was the file cut"),
        ([*LINES[:2], b"\xff\xfe\n"], "x:3: ", "one JSON object"),
        ([*LINES[:2], b"[" * 100_000], "x:3: ", "one JSON object"),
        ([*LINES[:2], b"[]\n"], "x:3: ", "one JSON object"),
        ([*LINES[:2], changed(made="2026-11-21T00:00:03Z")], "x:3: ", "keeps its id"),
        ([*LINES[:2], changed(id=None)], "x:3: ", "keeps its id"),
        ([*LINES[:2], changed(body=[])], "x:3: ", "has a body"),
        ([*LINES[:2], changed(kind="thought")], "x:3: ", "has a kind"),
        ([*LINES[:2], changed(body={"schema": "headway.run/7"})], "x:3: ", "pip install -U headway"),
        ([*LINES[:2], changed(body={"schema": "headway.run/1", "loss": float("nan")})], "x:3: ", "is JSON"),
    ],
)
def test_a_bad_line_is_refused_with_its_number(lines: list[bytes], where: str, says: str) -> None:
    with pytest.raises(UserError) as refused:
        from_lines(lines, "x")
    assert str(refused.value).startswith(where)
    assert says in str(refused.value)


def test_empty_lines_and_other_line_ends_are_no_records() -> None:
    lines = [line.replace(b"\n", b"\r\n") for line in LINES]
    assert from_lines([*lines, b"\n", b""], "x") == [record(1), record(2)]
