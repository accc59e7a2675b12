"""The 112 findings by hand in five planning documents: each is reported on its example, or it is said why not.

`seeds.csv` holds them: the finding's number, the example, the code of the rule that reports it, and a reason where none
does (or a word on what else does).
"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
from tests.check.found import EXAMPLES, in_example

from headway.app.load import load
from headway.domain.errors import Position

ROWS = list(csv.DictReader((Path(__file__).parent / "seeds.csv").read_text(encoding="utf-8").splitlines()))
FOUND_BY_HAND = {"000": 23, "001": 17, "002": 31, "003": 19, "004": 22}
TEN = {
    "001-1": "1.89 to 4.27 x the dense peak",
    "001-2": "gives 2.03 h to 3.04 h",
    "000-1": "are 512 to 568.9 tokens/s",
    "000-2": "15 x the 120 ms predicted",
    "002-1": "no H100 has 40 GB",
    "002-2": "$32.77/h is the price of p4d.24xlarge",
    "002-4": "read per month, as AWS publishes it, 0.057 %",
    "000-7": "6 counted",
    "003-1": "of 17 stages",
    "000-17": "88.3 h",
    "000-18": "75 of 341.7 GPU-hours",
    "004-1": "a thousand times too long",
    "004-12": "52.1 s computed",
}
"""The ten that matter most (some are two findings), with what the report has to say."""
CONTROLS = {
    "qwen2-taxonomy": [
        "claims.cost.lambda-4090",
        "claims.days",
        "options.fast-track.claims.days",
        "datasets.two-corpus",
    ],
    "llama7b-addition": ["claims.terms.load", "claims.rows", "claims.steps"],
    "kernelbook-node": ["claims.subtotal.gpu_hours", "claims.buffer", "claims.total.gpu_hours"],
    "arc-t4": ["claims.epochs_in"],
}
"""What the documents say rightly (000-11, 001-7, 002-12, 003-14, 003-18, 004-16), and other true statements."""
ABOUT_THE_WHOLE_LINE = ("HW154", "HW542", "HW546")
"""Remarks that stand where a right figure stands: budgets without slack, data nobody measured or held out."""
BESIDE = (
    {"HW133", "HW203", "HW603"},  # a rate: its range, what it makes of the GPU, and what it leaves out
    {"HW211", "HW213", "HW603"},  # a measured step: its size, its skew, and what it leaves out
    {"HW704", "HW804"},  # saves: their disk and their time
    {"HW114", "HW402"},  # a cost: its other values, and its product
    {"HW114", "HW311"},  # a price: its other value, and whose it is
    {"HW141", "HW142"},  # a saving: wrong by itself, and counted twice
    {"HW503", "HW505"},  # a phase that no question names and nothing continues
)
"""Different causes that have one place."""


def test_every_finding_by_hand_is_there_once() -> None:
    ids = [f"{document}-{number}" for document, many in FOUND_BY_HAND.items() for number in range(1, many + 1)]
    assert [row["finding"] for row in ROWS] == ids
    assert len(ids) == 112


@pytest.mark.parametrize("row", [row for row in ROWS if row["code"]], ids=lambda row: row["finding"])
def test_it_is_reported(row: dict[str, str]) -> None:
    assert row["code"] in {finding.code for finding in in_example(row["plan"])}


def test_what_is_not_reported_says_why() -> None:
    assert all(row["reason"] for row in ROWS if not row["code"])


def test_most_are_reported() -> None:
    assert sum(bool(row["code"]) for row in ROWS if row["finding"] not in TEN) >= 70


@pytest.mark.parametrize("id", TEN)
def test_the_ten_that_matter_most_are_reported_with_their_figures(id: str) -> None:
    row = next(row for row in ROWS if row["finding"] == id)
    said = [finding.message for finding in in_example(row["plan"]) if finding.code == row["code"]]
    assert any(TEN[id] in message for message in said), said


@pytest.mark.parametrize("plan", CONTROLS)
def test_what_is_right_is_left_alone(plan: str) -> None:
    positions = load(EXAMPLES / plan / "plan.yaml").plan.positions
    for key in CONTROLS[plan]:
        right = {where for path, where in positions.items() if path == key or path.startswith(f"{key}.")}
        assert right, key
        spoken = [one for one in in_example(plan) if one.where in right and one.code not in ABOUT_THE_WHOLE_LINE]
        assert not spoken, key


@pytest.mark.parametrize("plan", [*CONTROLS, "minimal"])
def test_one_cause_is_one_finding(plan: str) -> None:
    """Rules that speak of one place speak of different causes, and none says a thing twice."""
    said: dict[Position, list[str]] = {}
    for finding in in_example(plan):
        said.setdefault(finding.where, []).append(finding.code)
    for where, codes in said.items():
        assert len(codes) == 1 or any(set(codes) <= beside for beside in BESIDE), (where, codes)
        assert len(codes) == len(set(codes)), (where, codes)
    assert max(Counter((finding.code, finding.message) for finding in in_example(plan)).values()) == 1
