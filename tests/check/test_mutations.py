"""Mistakes put into plans that have none: nearly all are reported, and the plans themselves hear nothing."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.check.corruptions import OPERATORS
from tests.check.found import EXAMPLES, in_text

from headway.domain.errors import UserError

CLEAN = [EXAMPLES / "clean" / "plan.yaml", *sorted((Path(__file__).parent / "clean").glob("*.yaml"))]
DRAWN = 200
CAUGHT = 0.95


@cache
def corruptions() -> tuple[tuple[str, str], ...]:
    """Operator and corrupted text, every one of every plan, no text twice."""
    texts = [path.read_text(encoding="utf-8") for path in CLEAN]
    named = {
        text: name
        for clean in texts
        for name, operator in OPERATORS.items()
        for text in operator(clean)
        if text != clean
    }
    return tuple((name, text) for text, name in named.items())


def is_caught(text: str) -> bool:
    """A finding (clean plans have none), or a refusal of the reader."""
    try:
        return bool(in_text(text))
    except UserError:
        return True


@pytest.mark.parametrize("path", CLEAN, ids=lambda path: path.parent.name + "-" + path.stem)
def test_a_clean_plan_hears_nothing(path: Path) -> None:
    assert in_text(path.read_text(encoding="utf-8")) == ()


def test_every_operator_corrupts_something() -> None:
    assert {name for name, _ in corruptions()} == OPERATORS.keys()


def test_nearly_every_corruption_is_caught() -> None:
    drawn: dict[str, tuple[str, bool]] = {}

    @settings(max_examples=DRAWN, derandomize=True, database=None, deadline=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.sampled_from(corruptions()))
    def draw(corruption: tuple[str, str]) -> None:
        name, text = corruption
        drawn[text] = (name, is_caught(text))

    draw()
    missed = sorted(name for name, caught in drawn.values() if not caught)
    assert len(drawn) >= DRAWN
    assert 1 - len(missed) / len(drawn) >= CAUGHT, missed
