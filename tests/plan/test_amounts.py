"""Rows, tokens in a row and tokens in all: two of them make the third."""

from __future__ import annotations

from pathlib import Path

import pytest

from headway.domain.errors import PlanError
from headway.domain.plan import Dataset
from headway.domain.statement import Value
from headway.plan import read_plan
from headway.plan.nouns import files


def dataset(text: str) -> Dataset:
    return read_plan("p.yaml", text=f"headway: 1\nmodel: m\ndatasets: {{d: {{{text}}}}}\ndata: d\n").plan.datasets["d"]


def ends(value: Value | None) -> tuple[float, float, float]:
    assert value is not None
    return value.range.low, value.range.mid, value.range.high


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rows: 1k, tokens: 200k", (200, 200, 200)),
        ("rows: 1000-2000, tokens: 300k", (150, 200, 300)),  # 300k/2000, 300k/1500, 300k/1000
        ("rows: 1k, tokens: 100k-300k", (100, 200, 300)),
        ("rows: {a: 1k, b: 1k}, tokens: 1M", (500, 500, 500)),
        ("rows: 1k, length: unknown, tokens: 200k", (200, 200, 200)),
    ],
)
def test_length_from_tokens_and_rows(text: str, expected: tuple[float, float, float]) -> None:
    length = dataset(text).length
    assert ends(length) == expected
    assert length is not None
    assert (length.note, length.noun, length.where.line) == ("computed: tokens / rows", "tokens", 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("length: 200, tokens: 200k", (1000, 1000, 1000)),
        ("length: 100-300, tokens: 200k", (667, 1000, 2000)),  # whole rows
        ("length: {mean: 300, min: 2, max: 900}, tokens: 1000", (3, 3, 3)),
        ("length: 2000, tokens: 500", (1, 1, 1)),
    ],
)
def test_rows_from_tokens_and_length(text: str, expected: tuple[float, float, float]) -> None:
    rows = dataset(text).rows
    assert ends(rows) == expected
    assert rows is not None
    assert rows.note == "computed: tokens / length"


@pytest.mark.parametrize(
    "text", ["tokens: 5M", "tokens: unknown, rows: 5", "rows: 5, length: 7", "tokens: 5M, rows: unknown"]
)
def test_one_alone_makes_nothing(text: str) -> None:
    made = dataset(text)
    assert [value.note for value in (made.rows, made.length, made.tokens) if value] == [""] * (1 + text.count(","))


@pytest.mark.parametrize("tokens", ["190.5k", "200k", "210k", "220k-300k", "unknown"])
def test_three_that_agree_are_kept(tokens: str) -> None:
    made = dataset(f"rows: 1k, length: 150-210, tokens: {tokens}" if "-" in tokens else
                   f"rows: 1k, length: 200, tokens: {tokens}")  # fmt: skip
    assert made.rows is not None
    assert made.length is not None
    assert made.rows.mid == 1000
    assert made.length.note == ""


@pytest.mark.parametrize("tokens", ["190k", "211k", "1M"])
def test_three_that_contradict(tokens: str) -> None:
    with pytest.raises(PlanError, match=r"p.yaml:3:.*: tokens: tokens are rows x length, .* Drop one of the three"):
        dataset(f"rows: 1k, length: 200, tokens: {tokens}")


def test_values_can_be_keys() -> None:
    """Equal values have equal hashes, maps inside them or not, so that what follows from a stage may be kept by it."""
    head = "headway: 1\nmodel: m\ntasks: [t]\n"
    text = head + "stated: {step: {mean: 5 s, n: 3}}\nevaluate: {tasks: t, rows: {a: 5, b: 6}}\n"
    stages = [read_plan("p.yaml", text=text).plan.experiments[0].stages[0] for _ in range(2)]
    assert hash(stages[0].evaluate) == hash(stages[1].evaluate)
    assert hash(stages[0].stated) == hash(stages[1].stated)
    assert stages[0].evaluate == stages[1].evaluate
    other = read_plan("p.yaml", text=text.replace("n: 3", "n: 4")).plan.experiments[0].stages[0]
    assert other.stated != stages[0].stated


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("rows.jsonl", '{"text": "a"}\n\n{"text": "b"}\n{"text": "c"}', 3),
        ("rows.txt", "one\n\n \ntwo\n", 2),
        ("rows.json", '[{"text": "a"}, {"text": "b"}]', 2),
        ("rows.json", '{"version": 1, "data": [1, 2, 3, 4]}', 4),
        ("rows.json", '{"version": 1}', None),
        ("rows.json", "[1, 2", None),
        ("rows.jsonl", "", None),
        ("rows.csv", "a,b\n1,2\n", None),
    ],
)
def test_rows_of_a_file_beside_the_plan_are_counted(
    tmp_path: Path, name: str, content: str, expected: int | None
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    (tmp_path / "plan.yaml").write_text(f"headway: 1\nmodel: m\nsteps: 5\ndata: {{from: {name}}}\n", encoding="utf-8")
    (found,) = read_plan(tmp_path / "plan.yaml").plan.datasets.values()
    if expected is None:
        assert found.rows is None
        return
    assert found.rows is not None
    assert ends(found.rows) == (expected,) * 3
    assert (found.rows.note, found.rows.where.line) == (f"counted in {name}", 4)


def test_rows_that_the_plan_says_are_not_counted(tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_text("one\n", encoding="utf-8")
    (tmp_path / "plan.yaml").write_text("headway: 1\nmodel: m\ndata: {from: rows.txt, rows: 7}\n", encoding="utf-8")
    (found,) = read_plan(tmp_path / "plan.yaml").plan.datasets.values()
    assert ends(found.rows) == (7, 7, 7)


def test_rows_of_a_long_file_follow_from_its_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "COUNTED_BYTES", 1000)
    (tmp_path / "rows.txt").write_text("123456789\n" * 2000, encoding="utf-8")
    (tmp_path / "plan.yaml").write_text("headway: 1\nmodel: m\nsteps: 5\ndata: {from: rows.txt}\n", encoding="utf-8")
    (found,) = read_plan(tmp_path / "plan.yaml").plan.datasets.values()
    assert ends(found.rows) == pytest.approx((1800, 2000, 2200))
    assert found.rows is not None
    assert found.rows.note == "from the first 0 MB of rows.txt"


def test_a_line_without_an_end_is_read_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PIECE_BYTES", 4)
    (tmp_path / "rows.txt").write_text("123456789\n\n   \n12", encoding="utf-8")
    (tmp_path / "plan.yaml").write_text("headway: 1\nmodel: m\nsteps: 5\ndata: {from: rows.txt}\n", encoding="utf-8")
    (found,) = read_plan(tmp_path / "plan.yaml").plan.datasets.values()
    assert ends(found.rows) == (2, 2, 2)


def test_stated_tokens_make_the_length_of_counted_rows(tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_text("one\ntwo\n", encoding="utf-8")
    text = "headway: 1\nmodel: m\ndata: {from: rows.txt, tokens: 300}\n"
    (tmp_path / "plan.yaml").write_text(text, encoding="utf-8")
    (found,) = read_plan(tmp_path / "plan.yaml").plan.datasets.values()
    assert ends(found.length) == (150, 150, 150)
    (tmp_path / "plan.yaml").write_text(text.replace("tokens: 300", "tokens: 300, length: 10"), encoding="utf-8")
    (found,) = read_plan(tmp_path / "plan.yaml").plan.datasets.values()
    assert ends(found.rows) == (30, 30, 30)


def test_one_row_more_in_the_file_is_the_same_experiment(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text("headway: 1\nmodel: m\ndata: {from: rows.txt}\n", encoding="utf-8")
    paces = []
    for text in ("one\n", "one\ntwo\n"):
        (tmp_path / "rows.txt").write_text(text, encoding="utf-8")
        stage = read_plan(tmp_path / "plan.yaml").plan.experiments[0].stages[0]
        paces.append((stage.pace, stage.fingerprint))
    assert paces[0] == paces[1]
