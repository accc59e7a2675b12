"""What every store keeps to, whatever it is made of: memory, a file, a PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store.recorded import any_record, record

from headway.domain.errors import UserError
from headway.domain.record import Record
from headway.store import Store
from headway.store.rows import PAGE, Row, _id, row_of

Opened = Callable[[], Store]
SHARED = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_what_is_appended_is_read(store: Store) -> None:
    one = record(1)
    assert store.append(one) == one.id
    assert list(store.read()) == [one]
    assert len(store) == 1


@given(one=any_record())
@SHARED
def test_any_record_comes_back_as_it_was(store: Store, one: Record) -> None:
    """The same identity, which is that of everything in it: 5.0 comes back as 5, which is the same number."""
    key = store.append(one)
    found = [item for item in store.read() if item.id == key]
    assert found == [one]


def test_the_same_record_is_stored_once(store: Store) -> None:
    assert store.append(record(1)) == store.append(record(1))
    assert store.append_all([record(1), record(2), record(2)]) == 1
    assert len(store) == 2


@given(numbers=st.lists(st.integers(0, 500), unique=True, max_size=20))
@SHARED
def test_the_order_is_that_of_what_was_made(store: Store, numbers: list[int]) -> None:
    store.append_all(record(number, second=number // 3) for number in numbers)
    read = list(store.read())
    assert [(item.made, item.id) for item in read] == sorted((item.made, item.id) for item in read)
    assert {item.body["number"] for item in read} >= set(numbers)


def test_reading_goes_on_beyond_a_page(store: Store) -> None:
    """Most of them made in the same second, where a page ends in the middle of it."""
    count = 2 * PAGE + 7
    assert store.append_all(record(number, second=number // (PAGE + 3)) for number in range(count)) == count
    assert sorted(item.body["number"] for item in store.read()) == list(range(count))


def test_one_kind_and_one_plan_are_read(store: Store) -> None:
    store.append_all([record(1), record(2, kind="estimate", plan={"name": "b", "fingerprint": "plan-b"}),
                      record(3, plan="plan-b"), record(4, kind="verdict", plan=None)])  # fmt: skip

    def numbers(**asked: str) -> list[int]:
        return [item.body["number"] for item in store.read(**asked)]

    assert numbers(kind="run") == [1, 3]
    assert numbers(plan="plan-b") == [2, 3]
    assert numbers(kind="run", plan="plan-b") == [3]
    assert numbers(kind="verdict") == [4]
    assert numbers(plan="plan") == []


def test_a_reader_holds_up_no_writer(store: Store) -> None:
    store.append_all(record(number) for number in range(PAGE + 1))
    reading = store.read()
    next(reading)
    store.append(record(80_000))
    assert len(store) == PAGE + 2
    assert {item.body["number"] for item in reading} >= set(range(1, PAGE + 1))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (Record(kind="thought", body={}, made="2026-11-21T00:00:00Z"), "a record has a kind, got 'thought'"),
        (Record(kind="run", body={"schema": "headway.run/1"}, made="yesterday"), "Like 2026-11-21T16:40:00Z"),
        (Record(kind="run", body={"schema": "headway.run/1"}, made="2026-11-21T00:00:00+01:00"), "in UTC"),
        (Record(kind="run", body={"schema": "headway.promise/1"}, made="2026-11-21T00:00:00Z"), "is headway.run/1"),
        (Record(kind="run", body={}, made="2026-11-21T00:00:00Z"), "is headway.run/1, got None"),
        (Record(kind="run", body={"schema": "headway.run/x"}, made="2026-11-21T00:00:00Z"), "is headway.run/1"),
        (Record(kind="run", body={"schema": "headway.run/2"}, made="2026-11-21T00:00:00Z"), "pip install -U headway"),
        (Record(kind="run", body={"schema": "headway.run/1", "x": float("nan")}, made="2026-11-21T00:00:00Z"), "nan"),
        (Record(kind="run", body={"schema": "headway.run/1", "x": {1}}, made="2026-11-21T00:00:00Z"), "set"),
        (Record(kind="run", body={"schema": "headway.run/1", "x": "\ud800"}, made="2026-11-21T00:00:00Z"), "is JSON"),
    ],
)
def test_what_is_no_record_is_refused_and_nothing_beside_it_stored(store: Store, wrong: Record, says: str) -> None:
    with pytest.raises(UserError) as refused:
        store.append_all([record(1), wrong])
    assert says in str(refused.value)
    with pytest.raises(UserError):
        store.append(wrong)
    assert len(store) == 0


def test_what_was_stored_is_there_after_closing(opened: Opened) -> None:
    with opened() as first:
        first.append(record(1))
    first.close()
    with pytest.raises(UserError, match="a closed store is not used"):
        first.append(record(2))
    with opened() as second:
        assert list(second.read()) == [record(1)]


def test_two_that_are_open_see_each_other(opened: Opened) -> None:
    first, second = opened(), opened()
    first.append(record(1))
    assert list(second.read()) == [record(1)]
    second.append(record(2))
    assert len(first) == 2


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [("headway.run/1", "headway.run/2", "this headway knows headway.run/1"), ("run", "thought", "a record has a kind")],
)
def test_what_a_newer_headway_stored_is_refused_with_the_remedy(opened: Opened, old: str, new: str, says: str) -> None:
    row = row_of(record(1))
    kind, body = (new, row.body) if old == row.kind else (row.kind, row.body.replace(old, new))
    newer = Row(_id(kind, row.made, body, row.by), kind, row.plan, row.made, 2, body, row.by)
    store: Any = opened()
    store._insert([newer])
    with pytest.raises(UserError, match=says) as refused:
        list(store.read())
    assert "pip install -U headway" in refused.value.hint
