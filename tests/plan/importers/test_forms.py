"""Text to trees: what foreign YAML, JSON, shell and Markdown may do, with places, within bounds."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.plan.importing.fields.taking import as_flag, as_number
from headway.plan.importing.text import markdown, shell
from headway.plan.importing.text.sources import sources
from headway.plan.importing.text.tree import MOST_CHARACTERS, json_tree, leaves, yaml_tree
from headway.plan.reading.yaml import Map, Seq, Text

SCALARS = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=20)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)


def plain(node: object) -> object:
    if isinstance(node, Map):
        return {key: plain(item) for key, item in node.items()}
    if isinstance(node, Seq):
        return [plain(item) for item in node]
    return str(node)


def said(value: object) -> object:
    """What a tree holds for a value of JSON: text, with nothing for null."""
    if isinstance(value, dict):
        return {key: said(item) for key, item in value.items()}
    if isinstance(value, list):
        return [said(item) for item in value]
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


# ---- YAML


def test_anchors_merge_keys_and_nulls() -> None:
    tree = yaml_tree("x", "base: &b {lr: 1, seed: 2}\nrun:\n  <<: *b\n  seed: 3\nsame: *b\nnothing:\nnull_too: ~\n")
    assert tree is not None
    assert plain(tree["run"]) == {"lr": "1", "seed": "3"}
    assert tree["same"] is tree["base"]
    assert tree["nothing"] == tree["null_too"] == ""
    assert (tree["run"].place("seed").line, tree["run"].place("seed").column) == (4, 3)  # type: ignore[union-attr]


def test_the_last_of_two_equal_keys_counts_and_tags_are_only_text() -> None:
    tree = yaml_tree("x", "a: 1\na: 2\nb: !!python/object/apply:os.system ['rm']\n")
    assert tree is not None
    assert tree["a"] == "2"
    assert plain(tree["b"]) == ["rm"]


@pytest.mark.parametrize(
    "text",
    ["- a\n", "a", "a: [", "\x00", "a: \x07", "[" * 100, "a: b: c", "- " * 50 + "a", "a: 1\n" * MOST_CHARACTERS],
)
def test_what_is_no_map_is_no_tree(text: str) -> None:
    assert yaml_tree("x", text) is None


def test_aliases_grow_no_tree() -> None:
    names = "abcdefghijklmnop"
    lines = ["a: &a {x: 1, y: 2}"]
    lines += [f"{n}: &{n} {{{', '.join(f'k{i}: *{p}' for i in range(9))}}}" for p, n in pairwise(names)]
    tree = yaml_tree("x", "\n".join(lines))
    assert tree is not None
    assert len(list(leaves(tree))) <= 2000
    itself = yaml_tree("x", "a: &a {b: *a, c: 1}")
    assert itself is not None
    assert len(list(leaves(itself))) <= 2000


# ---- JSON


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=5), st.sampled_from([None, 1, "\t"]))
def test_json_is_read_as_json_reads_it(value: dict[str, object], indent: int | str | None) -> None:
    tree = json_tree("x", json.dumps(value, indent=indent))
    assert tree is not None
    assert plain(tree) == said(value)


def test_json_with_comments_and_places() -> None:
    tree = json_tree("x", '// mine\n{\n\t"a": {"b": 1.5e-4,},\n  "c": [true, null]\n}')
    assert tree is not None
    assert plain(tree) == {"a": {"b": "1.5e-4"}, "c": ["true", ""]}
    assert (tree.place("c").line, tree.place("c").column) == (4, 3)


@pytest.mark.parametrize("text", ["[1]", "{", '{"a": }x', '{"a": nope}', "{}{}", '{"a"', "{'a': 1}"])
def test_what_is_no_json_object_is_no_tree(text: str) -> None:
    assert not json_tree("x", text)


# ---- shell


def one(text: str) -> shell.Command:
    return shell.commands("x.sh", text)[-1]


def test_words_quotes_comments_and_continuations() -> None:
    command = one("# first\nA=1 \\\n  run 'a b' \"c d\"e f#g \\\n  --x=$A  # end\n")
    assert command.words == ("run", "a b", "c de", "f#g", "--x=1")
    assert (command.words[1].where.line, command.words[1].where.column) == (3, 7)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("n=4\nrun $((16 / n))", "4"),
        ("n=4\nrun $(expr 64 / $n)", "16"),
        ("n=4\nrun `expr 2 \\* $n`", "8"),
        ("run ${missing:-7}", "7"),
        ("run $((8 / 0))", "$((8 / 0))"),
        ("run $((2 + 3 * 4))", "14"),
        ("a=x\nb=${a}y\nrun $b/z", "xy/z"),
        ("export a=5\nrun $a", "5"),
        ("run $(rm -rf /)", "$(rm -rf /)"),
        ("a='$b'\nb=1\nrun $a", "1"),
    ],
)
def test_variables_and_whole_number_arithmetic(text: str, value: str) -> None:
    assert one(text).words[1] == value


def test_arrays_and_text_without_quotes_are_several_words() -> None:
    text = 'A=(--x 1\n  --y \'two words\' # why\n)\nB="--z 3"\nrun ${A[@]} $B "$B" "${A[@]}"\n'
    assert one(text).words == (
        "run",
        "--x",
        "1",
        "--y",
        "two words",
        "--z",
        "3",
        "--z 3",
        "--x",
        "1",
        "--y",
        "two words",
    )


def test_redirections_and_comments_between_continued_lines_are_no_words() -> None:
    text = "nohup run --a 1 \\\n  # --b 2 \\\n  # why\n  --c 3 \\  \n --d 4 > log.txt 2>&1 &\nnext"
    found = shell.commands("x", text)
    assert found[0].words == ("run", "--a", "1", "--c", "3", "--d", "4")
    assert found[-1].words == ("next",)
    blank = shell.commands("x", "run --a 1 \\\n\nnext\n")
    assert [command.words for command in blank] == [("run", "--a", "1"), ("next",)]


def test_a_loop_counts_its_rounds() -> None:
    found = shell.commands("x", "for lr in 1e-5 5e-6; do\n  for s in 1 2 3; do\n    run $lr\n  done\ndone\nlast\n")
    assert [(command.words, command.times) for command in found] == [(("run", "1e-5"), 6), (("last",), 1)]


def test_flags() -> None:
    words = one("run --a 1 --b=2 --c --d x y z --e-f -0.5 --a 3").words[1:]
    assert plain(shell.flags(words)) == {
        "a": "3", "b": "2", "c": "true", "d": ["x", "y", "z"], "e_f": "-0.5",
    }  # fmt: skip


@given(st.text(alphabet="ab=$ {}()'\"\\\n`#&|;-", max_size=80))
def test_any_script_is_read(text: str) -> None:
    for command in shell.commands("x", text):
        shell.flags(command.words)


@pytest.mark.parametrize(
    ("text", "program", "gpus"),
    [
        ("CUDA_VISIBLE_DEVICES=0,1,2 python train.py --x 1", "train.py", "3"),
        ("torchrun --nproc_per_node=8 --nnodes 2 a/b.py --x 1", "b.py", "16"),
        ("python -m torch.distributed.run --nproc-per-node 4 b.py", "b.py", "4"),
        ("accelerate launch --num_processes=6 -m pkg.mod --x", "pkg.mod", "6"),
        ("deepspeed --num_gpus 2 c.py --deepspeed z.json", "c.py", "2"),
        ("#SBATCH --nodes=2\n#SBATCH --gres=gpu:a100:4\nsrun python t.py --x 1", "t.py", "8"),
        ("NNODES=2 NPROC_PER_NODE=4 swift sft --model a", "swift sft", "8"),
        ("python swift/cli/rlhf.py --model a", "swift rlhf", None),
        ("python llm_dpo.py --model_type a", "swift rlhf", None),
        ("torchrun --nproc_per_node $N t.py", "t.py", None),
    ],
)
def test_program_and_gpus_of_a_command(text: str, program: str, gpus: str | None) -> None:
    found = next(iter(sources("x.sh", text, "")))
    assert found.program == program
    assert found.gpus == gpus


# ---- Markdown


def test_tables_know_their_headings_and_their_lines() -> None:
    text = "# A\n\n```\n| no | table |\n| --- | --- |\n```\n## B\n\ntext\n\n"
    text += "| x | **y** |\n| :-- | --: |\n| 1 | `2` |\n| a \\| b | |\n"
    (grid,) = markdown.grids("x", text)
    assert grid.headings == ("A", "B")
    assert grid.columns == ("x", "y")
    assert [tuple(map(str, row)) for row in grid.rows] == [("1", "2"), ("a | b", "")]
    assert grid.rows[0][1].where.line == 13


# ---- values


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-4", 1e-4), ("2.0e-05", 2e-5), ("1_000", 1000.0), ("-1", -1.0), (".5", 0.5), ("1e999", None), ("nan", None),
     ("", None), ("auto", None), ("1,5", None), ("0x10", None), ("--1", None), ("1e", None)],
)  # fmt: skip
def test_numbers(text: str, value: float | None) -> None:
    assert as_number(Text(text)) == value


@pytest.mark.parametrize(("text", "value"), [("True", True), ("yes", True), ("No", False), ("auto", None), ("2", None)])
def test_flags_of_values(text: str, value: bool | None) -> None:
    assert as_flag(Text(text)) is value
