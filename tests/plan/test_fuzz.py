"""Whatever is in the file, the answer is a plan or a PlanError, within a second."""

from __future__ import annotations

import time
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from headway.domain.errors import PlanError
from headway.plan import read_plan
from headway.plan.language.claims import CLAIMS
from headway.plan.language.keys import ANYWHERE, PLAN, RUN, STATED

TEXTS = [path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parents[2].glob("examples/*/plan.yaml"))]
WORDS = ["none", "unknown", "negligible", "all", "each", "5", "10k", "45 s", "$3/h", "70%", "-1", ".nan", "", "true",
         "1/0", "over 1 s", "sum(range(9))", "auto", "x", "plan", "2 - 1", "0-1", "5%/h", "a.txt", "80 GB"]  # fmt: skip


def answered(text: str) -> None:
    start = time.process_time()
    try:
        file = read_plan("p.yaml", text=text)
        for option in list(file.plan.options)[:3]:
            file.with_option(option)
    except PlanError as error:
        assert error.where.file.endswith((".yaml", ".txt"))
        assert error.rule
    assert time.process_time() - start < 1


@settings(max_examples=300)
@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    answered(text)


@settings(max_examples=150)
@given(
    st.sampled_from(TEXTS),
    st.integers(0, 10**6),
    st.integers(0, 30),
    st.text(alphabet="{}[]:,-&*!|>'\"#%@ \n\tax19$~?", max_size=6),
)
def test_examples_with_a_wound(text: str, at: int, gone: int, put: str) -> None:
    at %= len(text)
    answered(text[:at] + put + text[at + gone :])


@settings(max_examples=150)
@given(st.sampled_from(TEXTS), st.integers(0, 10**6), st.sampled_from(WORDS))
def test_examples_with_another_value(text: str, at: int, word: str) -> None:
    lines = text.splitlines()
    index = at % len(lines)
    key, colon, _ = lines[index].partition(": ")
    lines[index] = key + colon + word
    answered("\n".join(lines))


KEYS = [
    *PLAN.fields,
    *RUN.fields,
    *STATED.fields,
    *list(CLAIMS)[:10],
    "use",
    "stated_as",
    "mean",
    "n",
    "a",
    "rank",
    "rows",
    "mix",
]
TREES = st.recursive(
    st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


def flow(tree: object) -> str:
    """A tree as YAML in one line, with quotes where words need none too seldom to matter."""
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in tree.items()) + "}"
    if isinstance(tree, list):
        return "[" + ", ".join(map(flow, tree)) + "]"
    return str(tree)


@settings(max_examples=500)
@given(st.dictionaries(st.sampled_from([*PLAN.fields]), TREES, max_size=5), st.sampled_from(sorted(ANYWHERE)), TREES)
def test_any_tree_of_known_keys(tree: dict[str, object], key: str, value: object) -> None:
    answered(flow({"headway": "1", "model": "m", "data": {"rows": "5"}, **tree}))
    answered(flow({"headway": "1", "model": "m", "data": {"rows": "5"}, "phases": {"a": {key: value}, "b": tree}}))
    answered(
        flow(
            {
                "headway": "1",
                "model": "m",
                "matrix": {key: value},
                "options": {"o": {"set": tree, "vary": {key: value}}},
            }
        )
    )
