"""The five documents' mistakes of physics, facts, memory and risk: each is caught on its example, or said why not."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import pytest

from headway.app.load import load
from headway.check.rules import (
    billing,
    checkpoints,
    diagnoses,
    disk,
    interruptions,
    memory,
    methods,
    names,
    physics,
    power,
    prices,
    samples,
    sizes,
    text,
)
from headway.domain.errors import Finding

ROOT = Path(__file__).parents[2]
ROWS = list(csv.DictReader((Path(__file__).parent / "seeds" / "b.csv").read_text(encoding="utf-8").splitlines()))
FILES = (
    billing, checkpoints, diagnoses, disk, interruptions, memory, methods, names, physics, power, prices, samples,
    sizes, text,
)  # fmt: skip
MINE = tuple(rule.code for file in FILES for rule in file.RULES)
CONTROLS = {
    "qwen2-taxonomy": ["claims.cost", "claims.days", "options.fast-track.claims.days", "datasets"],
    "llama7b-addition": ["claims.terms", "claims.rows", "claims.steps"],
    "kernelbook-node": ["claims.subtotal", "claims.buffer", "claims.total"],
    "arc-t4": ["claims.wall_at"],
}
"""What the documents say rightly (000-11, 001-7, 002-12, 003-14, 003-18, 004-16): keys that no finding may touch."""


@cache
def found(plan: str) -> tuple[Finding, ...]:
    return load(ROOT / "examples" / plan / "plan.yaml").check(select=MINE, today="2026-11-21").findings


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["finding"])
def test_a_mistake_is_caught_or_it_is_said_why_not(row: dict[str, str]) -> None:
    if row["code"]:
        assert row["code"] in {finding.code for finding in found(row["plan"])}
    else:
        assert row["reason"]


@pytest.mark.parametrize("plan", CONTROLS)
def test_what_is_right_is_left_alone(plan: str) -> None:
    positions = load(ROOT / "examples" / plan / "plan.yaml").plan.positions
    lines = {
        position.line
        for key in CONTROLS[plan]
        for path, position in positions.items()
        if path == key or path.startswith(f"{key}.")
    }
    assert lines
    assert not [finding for finding in found(plan) if finding.where.line in lines]


def test_no_cause_is_said_twice() -> None:
    for plan in CONTROLS:
        said = [(finding.code, finding.where, finding.message) for finding in found(plan)]
        assert len(said) == len(set(said))
