"""Counted beside computed: which differences are allowed, and that each is blamed on its own row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from headway.check.trace import Compared, compare
from headway.domain.experiment import Adapter, Architecture, Lengths, Recipe
from headway.work.batches import collate
from headway.work.flop import attentions
from headway.work.memory import memory

LLAMA = Architecture(
    name="llama-tiny", family="decoder", layers=4, hidden=256, heads=8, kv_heads=4, ffn=688, vocab=1000, tied=False,
    gated=True, head_dim=32,
)  # fmt: skip
ROWS = Lengths(mean=256, mean_low=256, mean_high=256, fixed=True)
BATCHES = collate(ROWS, rows=2, micro_batch=2)
RECIPE = Recipe(micro_batch=2)
# of a trace of this model, 2 x 256 tokens in bf16 with fused attention (torch 2.13.0, transformers 5.23.0)
TRACE: dict[str, Any] = {
    "parameters": {"total": 3_414_272, "trainable": 3_414_272},
    "flop": {"forward": 3_768_582_144, "backward": 7_805_599_744, "recompute": 0, "total": 11_574_181_888},
    "memory_bytes": {
        "weights": 6_828_544, "adapters": 0, "gradients": 6_828_544, "optimizer": 13_657_088,
        "activations": 22_921_312, "outside_blocks": 3_106_820, "peak": 50_605_800,
    },
}  # fmt: skip


def rows(**changes: dict[str, float]) -> dict[str, Compared]:
    trace = {key: value | changes.get(key, {}) for key, value in TRACE.items()}
    return {row.name: row for row in compare(trace, LLAMA, RECIPE, BATCHES)}


def test_a_recorded_trace_agrees() -> None:
    found = rows()
    assert [row.name for row in found.values() if not row.agrees] == []
    assert found["whole step"].difference == 0


@pytest.mark.parametrize(
    ("group", "key", "name", "allowed"),
    [
        ("parameters", "trainable", "trained parameters", 0.0),
        ("flop", "backward", "backward", 0.01),
        ("memory_bytes", "activations", "activations kept in blocks", 0.05),
        ("memory_bytes", "optimizer", "optimizer states", 0.05),
    ],
)
def test_a_row_differs_just_beyond_what_is_allowed(group: str, key: str, name: str, allowed: float) -> None:
    formula = rows()[name].formula
    for factor, agrees in ((1 / (1 + allowed * 0.98), True), (1 / (1 + allowed * 1.02 + 1e-6), False)):
        found = rows(**{group: {key: formula * factor}})
        assert found[name].agrees is agrees
        assert all(row.agrees for row in found.values() if row.name != name)


def test_what_only_the_formula_has_is_no_agreement() -> None:
    row = rows(memory_bytes={"gradients": 0})["gradients"]
    assert row.difference is None
    assert not row.agrees


def test_fused_kernels_compute_the_scores_once_more() -> None:
    eager = {row.name: row for row in compare(TRACE, LLAMA, Recipe(micro_batch=2, attention="eager"), BATCHES)}
    scores = next(one.flop for one in attentions(LLAMA, RECIPE, BATCHES) if one.phase == "forward")
    assert rows()["backward"].formula - eager["backward"].formula == scores / 2
    assert rows()["forward"].formula == eager["forward"].formula


def test_formulas_are_those_of_the_work_room() -> None:
    recipe = Recipe(micro_batch=2, adapter=Adapter(rank=8))
    found = {row.name: row.formula for row in compare(TRACE, LLAMA, recipe, BATCHES)}
    held = memory(LLAMA, recipe, BATCHES)
    assert found["adapters"] == held["adapters"]
    assert found["peak of tensors"] == held.peak_bytes


def test_fp32_heads_that_share_keys_have_no_fused_kernel() -> None:
    wide, grouped = (
        {
            attention: {
                row.name: row.formula
                for row in compare(TRACE, arch, Recipe(precision="fp32", micro_batch=2, attention=attention), BATCHES)
            }["backward"]
            for attention in ("sdpa", "eager")
        }
        for arch in (replace(LLAMA, kv_heads=8), LLAMA)
    )
    assert wide["sdpa"] > wide["eager"]
    assert grouped["sdpa"] == grouped["eager"]
