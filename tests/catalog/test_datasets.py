"""Well-known datasets: names in lower case, and which of them are for evaluation."""

from __future__ import annotations

from headway.catalog.datasets import benchmark_names, dataset_rows
from headway.catalog.tables import rows


def test_names_and_aliases_find_the_same_rows() -> None:
    found = dataset_rows()
    assert found["gsm8k"] == found["openai/gsm8k"] == 7473
    assert found["bigcodebench"] == found["bigcode/bigcodebench"] == 1140  # its only split
    assert all(name == name.lower() for name in found)
    assert all(count > 0 for count in found.values())


def test_benchmarks_are_those_made_for_evaluation() -> None:
    assert {"mmlu-pro", "tiger-lab/mmlu-pro", "bigcodebench", "humaneval"} <= benchmark_names()
    assert not {"gsm8k", "imdb", "alpaca"} & benchmark_names()
    assert {row["made_for"] for row in rows("datasets")} == {"training", "evaluation"}
