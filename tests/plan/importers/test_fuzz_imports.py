"""Whatever a file of another tool looks like, the answer is a plan, a refusal or nothing, within a second."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.domain.errors import PlanError
from headway.plan import plan_from_tree, read_import, read_plan, written
from headway.plan.importers import imported

TEXTS = [
    (path.name, path.read_text(encoding="utf-8")) for path in sorted((Path(__file__).parent / "samples").iterdir())
]
VALUES = ["null", "~", "true", "auto", "-1", "0", "1e400", ".nan", "0.3", '"x"', "[]", "{}", "[1, 2]", "{a: 1}", "1e-4",
          "9" * 30, "!!python/object:os.system x", "*a", "&a x", "${x}", "||", "`", '"', "- a", "None", "8", "''",
          "1:30", "16-mixed", "7B", "\t", "日本", "\u202e", "none", "$((1/0))", "-0.5"]  # fmt: skip
EDITS = st.lists(
    st.tuples(st.sampled_from(["drop", "value", "twice", "swap", "indent", "cut", "char"]), st.integers(0, 10**6),
              st.sampled_from(VALUES)),
    min_size=1, max_size=5,
)  # fmt: skip


def edited(text: str, edits: list[tuple[str, int, str]]) -> str:
    lines = text.split("\n")
    for kind, number, value in edits:
        at = number % max(1, len(lines))
        line = lines[at] if lines else ""
        if kind == "drop":
            del lines[at]
        elif kind == "twice":
            lines.insert(at, line)
        elif kind == "indent":
            lines[at : at + 1] = ["  " + line]
        elif kind == "cut":
            lines = lines[: at + 1]
        elif kind == "swap":
            lines.reverse()
        elif kind == "char" and line:
            lines[at] = line[: number % len(line)] + value + line[number % len(line) + 1 :]
        elif "--" in line:
            lines[at] = f"{line.split()[0]} {value} \\"
        elif ":" in line:
            lines[at] = f"{line.partition(':')[0]}: {value}"
    return "\n".join(lines)


def answered(name: str, text: str, **given_: str) -> None:
    start = time.process_time()
    try:
        found = imported(name, text, given=given_)
        if found is not None:
            assert found.guess
            assert all(one.key and one.why and one.example for one in found.asks)
            _ = read_plan("plan.yaml", text=written(found))
            if not found.asks:
                _ = plan_from_tree(found.plan, name).plan
    except PlanError as error:
        assert error.rule
        assert error.where.file
    assert time.process_time() - start < 1


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(TEXTS), EDITS, st.booleans())
def test_any_edit_of_a_sample(sample: tuple[str, str], edits: list[tuple[str, int, str]], complete: bool) -> None:
    given_ = {"gpu": "H100 SXM", "samples": "1k", "model": "Qwen/Qwen2-0.5B"} if complete else {}
    answered(sample[0], edited(sample[1], edits), **given_)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=150), st.sampled_from(["a.yaml", "a.sh", "a.md", "a.json"]))
def test_any_text(text: str, name: str) -> None:
    answered(name, text)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(TEXTS),
    st.dictionaries(
        st.sampled_from(["gpu", "gpus", "samples", "tokens_per_sample", "model", "params", "epochs", "steps"]),
        st.sampled_from(["8", "0", "-1", "x", "", "52k", "7B", "1e30", "A100", "0.5"]),
        max_size=4,
    ),
)
def test_anything_given(sample: tuple[str, str], given_: dict[str, str]) -> None:
    answered(*sample, **given_)


HUGE = {
    "binary": bytes(range(256)) * 4_000,
    "keys": b"".join(b"key%d: value\n" % n for n in range(60_000)),
    "flags": b"swift sft --model a/b-7b \\\n" + b" --key value \\\n" * 60_000,
    "table": b"| experiment | hours |\n| --- | --- |\n" + b"| run | 1 |\n" * 60_000,
    "pipes": b"|" * 500_000 + b"\n" + b"|-" * 250_000,
    "deep JSON": b'{"a":' * 50_000,
    "deep YAML": b"".join(b" " * n + b"a:\n" for n in range(600)),
    "brackets": b"[" * 500_000,
    "newlines": b"\n" * 1_000_000,
    "quotes": b'swift sft --model "' + b'\\"' * 200_000,
    "continued": b"python train.py " + b"\\\n" * 100_000,
    "one word": b"base_model: " + b"a" * 900_000,
}


@pytest.mark.parametrize("name", HUGE)
@pytest.mark.parametrize("suffix", [".yaml", ".sh", ".md", ".json"])
def test_a_large_file_is_answered_within_a_second(tmp_path: Path, name: str, suffix: str) -> None:
    path = tmp_path / f"file{suffix}"
    path.write_bytes(HUGE[name])
    start = time.process_time()
    try:
        _ = read_import(path, {"gpu": "T4"})
    except PlanError as error:
        assert error.hint
    assert time.process_time() - start < 1
