"""Findings by hand about design and omissions: the rule that is said to catch each does, in its document's example."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from tests.check.found import in_example

TABLE = Path(__file__).parent / "seeds" / "c.csv"
ROWS = list(csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines()))
CAUGHT = [row for row in ROWS if row["code"]]


@pytest.mark.parametrize("row", CAUGHT, ids=[row["finding"] for row in CAUGHT])
def test_the_rule_catches_it(row: dict[str, str]) -> None:
    assert in_example(row["plan"], row["code"])


def test_what_no_rule_catches_has_a_reason() -> None:
    assert len({row["finding"] for row in ROWS}) == len(ROWS)
    assert all(row["reason"] for row in ROWS if not row["code"])


# Design flaws and omissions of the taxonomy have nothing to find in the other three documents but these.
@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("minimal", set()),
        ("llama7b-addition", {"HW546", "HW604", "HW613"}),
        ("kernelbook-node", {"HW546"}),
        ("arc-t4", {"HW546", "HW552", "HW603"}),
    ],
)
def test_the_other_examples_are_silent(name: str, codes: set[str]) -> None:
    assert {finding.code for finding in in_example(name, "HW5", "HW6")} == codes
