"""Formulas against recorded traces of real models (`data/traced.csv`), every quantity at its own tolerance.

The rows are what `headway trace` counted with torch 2.13.0, transformers 5.23.0 and peft 0.21.2 on the configurations
of `traced_configs.json`. Not among them: recomputed eager blocks, whose temporary scores the peak does not know.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from headway.catalog import from_config
from headway.check.trace import compare
from headway.domain.experiment import Adapter, Lengths, Recipe
from headway.work.batches import collate

DATA = Path(__file__).parent / "data"
ROWS = list(csv.DictReader((DATA / "traced.csv").read_text(encoding="utf-8").splitlines()))
CONFIGS = json.loads((DATA / "traced_configs.json").read_text(encoding="utf-8"))
HELD = ("weights", "adapters", "gradients", "optimizer", "activations", "peak")


def label(row: dict[str, str]) -> str:
    return "-".join(row[key] or "full" for key in ("model", "precision", "targets", "checkpointing", "attention"))


def document(row: dict[str, str]) -> dict[str, Any]:
    """The row as a trace."""
    flop = {phase: int(row[f"{phase}_flop"]) for phase in ("forward", "backward", "recompute")}
    return {
        "parameters": {"total": int(row["parameters"]), "trainable": int(row["trained"])},
        "flop": flop | {"total": sum(flop.values())},
        "memory_bytes": {name: int(row[name]) for name in HELD},
    }


@pytest.mark.parametrize("row", ROWS, ids=label)
def test_formulas_agree_with_the_trace(row: dict[str, str]) -> None:
    targets = tuple(row["targets"].split())
    recipe = Recipe(
        precision=row["precision"],
        adapter=Adapter(rank=8, targets=targets) if targets else None,
        gradient_checkpointing=row["checkpointing"],
        attention=row["attention"],
        micro_batch=int(row["batch"]),
    )
    tokens, rows = float(row["tokens"]), int(row["batch"])
    lengths = Lengths(mean=tokens, mean_low=tokens, mean_high=tokens, fixed=True)
    batches = collate(lengths, rows=rows, micro_batch=rows)
    compared = compare(document(row), from_config(CONFIGS[row["model"]], row["model"]), recipe, batches)
    assert [(one.name, one.difference) for one in compared if not one.agrees] == []
    assert all(abs(one.difference or 0.0) < 1e-6 for one in compared if one.unit == "flop" and one.name != "backward")
