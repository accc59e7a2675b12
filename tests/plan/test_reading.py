"""YAML as a tree with places: what it holds, where things stand, and what is refused."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from headway.domain.errors import PlanError
from headway.plan.reading.values import plain
from headway.plan.reading.yaml import MAX_BYTES, Map, Seq, Text, node_from, positions, read


def test_places_of_keys_values_and_items() -> None:
    tree = read("p.yaml", "a: 1\nb:\n  c: [x, yy]\n").tree
    assert isinstance(tree["b"], Map)
    assert str(tree["a"].where) == "p.yaml:1:4"
    assert str(tree["b"].place("c")) == "p.yaml:3:3"
    where = positions(tree)
    assert {path: (place.line, place.column) for path, place in where.items()} == {
        "a": (1, 1), "b": (2, 1), "b.c": (3, 3), "b.c.0": (3, 7), "b.c.1": (3, 10),
    }  # fmt: skip


def test_scalars_are_yaml_1_2_and_keep_their_text() -> None:
    tree = read("p", "a: 1e-4\nb: no\nc: 007\nd: '1'\ne: true\nf: 1:30\ng: 0.5\n2E5: x\nh: on\ni:\n").tree
    assert plain(tree) == {
        "a": 1e-4, "b": "no", "c": 7, "d": "1", "e": True, "f": "1:30", "g": 0.5, "2E5": "x", "h": "on", "i": "",
    }  # fmt: skip
    assert tree["c"] == "007"


def test_a_byte_order_mark_is_not_text(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read(file).tree == {"a": "1"}


def test_python_values_become_nodes() -> None:
    node = node_from({"a": [1, 2.5, True, "x"], "b": None})
    assert node == {"a": ["1", "2.5", "true", "x"]}
    assert isinstance(node, Map)
    assert isinstance(node["a"], Seq)
    assert isinstance(node["a"][0], Text)
    with pytest.raises(PlanError, match="got set"):
        node_from({"a": {1, 2}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1\n", "p.yaml:2:1: this is not YAML: while parsing a flow sequence expected ',' or ']'"),
        ("a: b: c\n", "p.yaml:1:5: this is not YAML: mapping values are not allowed here. Put text that contains"),
        ("a:\n\t- 1\n", "p.yaml:2:1: this is not YAML"),
        ("a: 'x\n", "p.yaml:2:1: this is not YAML"),
        ("a: @x\n", "p.yaml:1:4: this is not YAML"),
        ("a: 1\na: 2\n", "p.yaml:2:1: a: a key stands once: a is already at line 1"),
        ("a: &x 1\nb: *x\n", "p.yaml:1:4: a plan has no anchors and aliases, got &x"),
        ("b: *x\n", "p.yaml:1:4: a plan has no anchors and aliases, got *x"),
        ("a: {b: 1}\n<<: {c: 1}\n", "p.yaml:2:1: a plan has no merge keys, got <<"),
        ("a: !!python/object:os.system x\n", "p.yaml:1:4: a plan has no tags"),
        ("a: !env HOME\n", "p.yaml:1:4: a plan has no tags, got !env"),
        ("a: 1\n---\nb: 2\n", "p.yaml:2:1: a file holds one plan, got a second document"),
        ("a: null\n", "p.yaml:1:4: a plan has no null, got null. Write `none`"),
        ("a: ~\n", "p.yaml:1:4: a plan has no null, got ~"),
        ("? [a]\n: 1\n", "p.yaml:1:3: a key is text, got a list"),
        ("- 1\n", "p.yaml:1:1: a plan is a map of keys, got a list. Begin with `headway: 1`"),
        ("just text\n", "p.yaml:1:1: a plan is a map of keys, got 'just text'"),
        ("", "p.yaml: a plan is not empty"),
        ("  \n# only a comment\n", "p.yaml: a plan is not empty"),
        ("a: \x07\n", "p.yaml:1:4: YAML has no control characters, got U+0007"),
        ("a: \x00\n", "p.yaml: a plan is text, got a binary file"),
    ],
)
def test_what_yaml_a_plan_does_not_use(text: str, message: str) -> None:
    with pytest.raises(PlanError) as caught:
        read("p.yaml", text)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "deep", ["[" * 10_000, "{a: " * 10_000, "- " * 10_000 + "a", "a: " + "[" * 10_000 + "]" * 10_000]
)
def test_deep_nesting_is_refused_fast(deep: str) -> None:
    start = time.process_time()
    with pytest.raises(PlanError, match="nested at most 64 deep"):
        read("p.yaml", deep)
    assert time.process_time() - start < 1


def test_an_alias_bomb_is_refused_at_its_first_anchor() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))
    with pytest.raises(PlanError, match="p:1:5: a plan has no anchors"):
        read("p", bomb)


def test_a_50_mb_file_is_refused_without_reading_it(tmp_path: Path) -> None:
    file = tmp_path / "big.yaml"
    with file.open("wb") as out:
        out.truncate(50_000_000)
    start = time.process_time()
    with pytest.raises(PlanError, match=r"at most 10 MB, got 50\.0 MB"):
        read(file)
    assert time.process_time() - start < 1
    with pytest.raises(PlanError, match="at most 10 MB"):
        read("p", "a" * (MAX_BYTES + 1))


def test_files_that_are_no_plans(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"headway: 1\nname: caf\xe9\n")
    with pytest.raises(PlanError) as caught:
        read(latin)
    assert str(caught.value) == (
        f"{latin}:2:10: a plan is UTF-8 text: byte 20 is not, got 0xe9. Save the file as UTF-8."
    )
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\x7fELF\0\0\0")
    with pytest.raises(PlanError, match="a plan is text, got a binary file"):
        read(binary)
    with pytest.raises(PlanError, match="there is no such file"):
        read(tmp_path / "nowhere.yaml")
    with pytest.raises(PlanError, match="it is a directory"):
        read(tmp_path)
    with pytest.raises(PlanError, match="cannot be read"):
        read(latin / "inside-a-file.yaml")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("a: 1\n")
    file.chmod(0)
    with pytest.raises(PlanError, match="it cannot be read"):
        read(file)
