"""Well-known datasets: how many rows they have, and which are made for evaluation only.

Owns `data/datasets.csv`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from headway.catalog.tables import rows, words


@cache
def dataset_rows() -> Mapping[str, int]:
    """Training rows (those of the test split, where there is no other) by name and alias, lower case."""
    return {name: int(row["train_rows"] or row["test_rows"]) for row in rows("datasets") for name in _names(row)}


@cache
def benchmark_names() -> frozenset[str]:
    """Names and aliases, lower case, of datasets that are made for evaluation: training on them is contamination."""
    return frozenset(name for row in rows("datasets") if row["made_for"] == "evaluation" for name in _names(row))


def _names(row: Mapping[str, str]) -> list[str]:
    return [name.lower() for name in (row["name"], *words(row["aliases"]))]
