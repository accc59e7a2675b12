"""One meaning of a selector: ids, patterns, `all`, phases with what is inside them."""

from __future__ import annotations

import pytest

from headway.domain.selection import ancestry, matching, pattern, select, select_phases
from headway.domain.statement import Selector
from headway.plan import read_plan

PLAN = read_plan(
    "p.yaml",
    text=(
        "headway: 1\nmodel: m\ndata: {rows: 5}\nphases:\n"
        "  1: {matrix: {steps: [5k, 10k]}}\n"
        "  2: {phases: {2A: {matrix: {seed: [1, 2]}}, 2B: }}\n"
        "  1.5:\n"
    ),
).plan


@pytest.mark.parametrize(
    ("patterns", "ids"),
    [
        (("all",), ("1/5k", "1/10k", "2A/seed1", "2A/seed2", "2B", "1.5")),
        (("2",), ("2A/seed1", "2A/seed2", "2B")),
        (("2?",), ("2A/seed1", "2A/seed2", "2B")),
        (("*-10k", "1/*"), ("1/5k", "1/10k")),
        (("*/seed2", "1.5"), ("2A/seed2", "1.5")),
        (("2B",), ("2B",)),
        (("1.5",), ("1.5",)),
        (("1?5",), ("1.5",)),
        (("zz",), ()),
        (("[12]A",), ()),
    ],
)
def test_select(patterns: tuple[str, ...], ids: tuple[str, ...]) -> None:
    assert select(PLAN, Selector(patterns=patterns)) == ids


def test_phases_touched() -> None:
    assert select_phases(PLAN, Selector(patterns=("2",))) == ("2", "2A", "2B")
    assert select_phases(PLAN, Selector(patterns=("2A/seed1",))) == ("2A",)
    assert select_phases(PLAN, Selector(patterns=("all",))) == ("1", "2A", "2B", "1.5")


def test_ancestry() -> None:
    assert ancestry(PLAN.phases) == {
        "": (),
        "1": ("1",),
        "2": ("2",),
        "2A": ("2A", "2"),
        "2B": ("2B", "2"),
        "1.5": ("1.5",),
    }
    assert matching(["outer"], {"x": "inner"}, {"inner": ("inner", "outer")}) == ("x",)


def test_only_stars_and_question_marks_are_special() -> None:
    assert pattern("a.b*").fullmatch("a.bcd")
    assert not pattern("a.b").fullmatch("axb")
