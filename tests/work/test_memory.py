"""Memory against saved tensors counted by autograd, tensor-level traces of real models, and laws."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from work_shapes import (
    BERT_BASE,
    GPT2,
    LLAMA_7B,
    LLAMA_TINY,
    PUBLISHED_PARAMETERS,
    PYTHIA_70M,
    QWEN2_05B,
    QWEN15_05B,
    T5_SMALL,
    fixed,
)

from headway.domain.errors import UserError
from headway.domain.experiment import Adapter, Architecture, Batches, Parallel, Recipe
from headway.work.memory import MOMENTS, memory, weight_bytes

GIB = 2**30
DATA = Path(__file__).parent / "data"
SAVED = list(csv.DictReader((DATA / "saved_activations.csv").read_text(encoding="utf-8").splitlines()))

_BIASED = {"hidden": 256, "heads": 8, "kv_heads": 8, "head_dim": 32, "ffn": 1024, "vocab": 1000}
SMALL = {
    "llama": LLAMA_TINY,
    "qwen3": replace(LLAMA_TINY, qk_norm=True),
    "gpt2": replace(GPT2, **_BIASED),
    "bert": replace(BERT_BASE, **_BIASED),
    "pythia": replace(PYTHIA_70M, **_BIASED),
    "mixtral": replace(LLAMA_TINY, experts=4, experts_per_token=2),
}


@pytest.mark.parametrize("row", SAVED, ids=lambda row: "-".join(row.values()))
def test_a_block_saves_what_autograd_packs(row: dict[str, str]) -> None:
    adapter = Adapter(rank=int(row["rank"]), targets=tuple(row["targets"].split())) if row["rank"] != "0" else None
    precision = {"float32": "fp32", "bfloat16": "bf16"}[row["dtype"]]
    recipe = Recipe(precision=precision, adapter=adapter, gradient_checkpointing=row["checkpointing"])
    arch = SMALL[row["model"]]
    found = memory(arch, recipe, fixed(int(row["batch"]), int(row["tokens"])))
    tolerance = 0.06 if arch.experts else 0.0015  # how experts' rows are gathered and weighted is an approximation
    assert found["activations"] / arch.layers == pytest.approx(float(row["block_bytes"]), rel=tolerance)


QV = Adapter(rank=4, targets=("q", "v"))
QV16 = replace(QV, rank=16)
J1, J2, J4 = fixed(8, 128), fixed(16, 512), fixed(1, 512)
# Peaks in GiB of tensor-level traces (torch MemTracker on fake tensors): Qwen2-0.5B 8 x 128, Llama-7B 16 x 512,
# Qwen1.5-0.5B 1 x 512. The fp32 traces held the logits through the backward pass, which the Trainer does not.
TRACES = [
    ("J1 LoRA q,v", QWEN2_05B, Recipe(adapter=QV), J1, 3.8, 0.03),
    ("J1 checkpointing", QWEN2_05B, Recipe(adapter=QV, gradient_checkpointing="full"), J1, 2.7, 0.03),
    ("J1 all-linear", QWEN2_05B, Recipe(adapter=Adapter(rank=4)), J1, 4.6, 0.03),
    (
        "J2 checkpointing",
        LLAMA_7B,
        Recipe(precision="fp16", adapter=QV16, gradient_checkpointing="full"),
        J2,
        18.1,
        0.04,
    ),
    ("J2", LLAMA_7B, Recipe(precision="fp16", adapter=QV16), J2, 56.4, 0.03),
    ("J4 16-bit states", QWEN15_05B, Recipe(precision="fp16"), J4, 4.0, 0.03),
    ("J4 fp32", QWEN15_05B, Recipe(precision="fp32"), J4, 8.1, 0.03),
    ("full fp32", QWEN2_05B, Recipe(precision="fp32"), J1, 10.6, 0.10),
    ("LoRA fp32", QWEN2_05B, Recipe(precision="fp32", adapter=Adapter(rank=4)), J1, 6.8, 0.14),
]


@pytest.mark.parametrize(
    ("arch", "recipe", "batches", "gib", "tolerance"), [t[1:] for t in TRACES], ids=[t[0] for t in TRACES]
)
def test_peak_of_a_trace(arch: Architecture, recipe: Recipe, batches: Batches, gib: float, tolerance: float) -> None:
    assert memory(arch, recipe, batches).peak_bytes / GIB == pytest.approx(gib, rel=tolerance)


def test_states_of_full_fine_tuning() -> None:
    n = 494_032_768
    for recipe, expected in (
        (Recipe(precision="fp32"), 16 * n),
        (Recipe(precision="bf16"), 8 * n),
        (Recipe(precision="bf16", master_weights=True), 16 * n),
        (Recipe(precision="bf16", optimizer="adamw_bnb_8bit"), 6 * n),
        (Recipe(precision="bf16", optimizer="lion"), 6 * n),
        (Recipe(precision="bf16", optimizer="sgd"), 4 * n),
    ):
        found = memory(QWEN2_05B, recipe, J1)
        assert sum(found[t] for t in ("weights", "gradients", "optimizer", "master_weights")) == expected


def test_adapters_are_the_only_states_of_lora() -> None:
    found = memory(QWEN2_05B, Recipe(adapter=QV), J1)
    assert found["weights"] == 2 * 494_032_768
    assert found["adapters"] == found["gradients"] == 4 * 270_336
    assert found["optimizer"] == 8 * 270_336


def test_four_bits_pack_the_blocks_and_widen_the_rest() -> None:
    inside = 32 * (4 * 4096**2 + 3 * 4096 * 11008)
    rest = 6_738_415_616 - inside
    recipe = Recipe(quantize="nf4", adapter=QV16)
    assert weight_bytes(LLAMA_7B, recipe) == pytest.approx(inside * 4.127 / 8 + rest * 4)
    assert weight_bytes(LLAMA_7B, replace(recipe, quantize="int8")) == inside + rest * 4
    assert memory(LLAMA_7B, recipe, J2)["dequantised_weight"] == 4096 * 11008 * 2


def test_a_published_load_in_four_bits() -> None:
    # Qwen2.5-7B loads at 7.2 GiB, 3.04 of it packed weights (canifinetune 0.4.1, docstring of its memory model)
    arch = next(arch for arch in PUBLISHED_PARAMETERS if arch.name == "qwen2.5-7b")
    assert weight_bytes(arch, Recipe(quantize="nf4", adapter=QV)) / GIB == pytest.approx(7.2, rel=0.01)


def test_zero_stages_divide_states() -> None:
    # ZeRO paper, figure 1: 16-bit weights and gradients, 12 bytes of fp32 optimizer and master weights, 64 GPUs
    n, split = 6_738_415_616, 64
    for sharding, expected in (
        ("none", 16 * n),
        ("zero1", 4 * n + 12 * n / split),
        ("zero2", 2 * n + 14 * n / split),
        ("zero3", 16 * n / split),
    ):
        found = memory(
            LLAMA_7B, Recipe(master_weights=True, parallel=Parallel(data=split, sharding=sharding)), fixed(1, 512)
        )
        names = ("weights", "gradients", "optimizer", "master_weights")
        assert sum(found[name] for name in names) == pytest.approx(expected)


def test_gradients_stay_while_accumulating() -> None:
    once, often = (memory(QWEN2_05B, Recipe(), fixed(8, 128, micro_steps=n)) for n in (1, 4))
    assert often.at("loss") - once.at("loss") == 2 * 494_032_768


def test_eager_attention_saves_scores() -> None:
    plain, eager = (memory(LLAMA_TINY, Recipe(attention=a), fixed(2, 1024)) for a in ("sdpa", "eager"))
    more = eager["activations"] - plain["activations"]
    kv = 2 * 2 * 128 * 2 * 1024 * 4  # keys and values repeated for all heads
    assert more - kv == 4 * 2 * 8 * 1024**2 * 6


def test_terms_are_what_the_moments_add_up() -> None:
    found = memory(T5_SMALL, Recipe(gradient_checkpointing="full"), fixed(4, 128))
    assert found.peak_bytes == max(found.at(m) for m in MOMENTS) == found.at(found.peak_moment)
    assert found["weights"] == 2 * 60_506_624
    assert found["nothing"] == 0


@pytest.mark.parametrize("wrong", [Recipe(optimizer="adamw3"), Recipe(quantize="int4")])
def test_unknown_names_are_refused(wrong: Recipe) -> None:
    with pytest.raises(UserError, match="known"):
        memory(LLAMA_TINY, wrong, fixed(1, 8))


RECIPES = st.builds(
    Recipe,
    precision=st.sampled_from(["bf16", "fp32"]),
    adapter=st.none() | st.just(QV),
    quantize=st.sampled_from(["none", "nf4", "int8"]),
    gradient_checkpointing=st.sampled_from(["none", "full"]),
    optimizer=st.sampled_from(["adamw_torch_fused", "paged_adamw_8bit", "adafactor"]),
)
SHARDS = st.builds(
    Parallel,
    data=st.integers(1, 16),
    tensor=st.sampled_from([1, 2, 4]),
    pipeline=st.sampled_from([1, 2]),
    sharding=st.sampled_from(["none", "zero1", "zero2", "zero3"]),
)


@given(recipe=RECIPES, parallel=SHARDS)
def test_sharded_memory_is_never_more(recipe: Recipe, parallel: Parallel) -> None:
    whole, part = (memory(QWEN2_05B, replace(recipe, parallel=p), J1) for p in (Parallel(), parallel))
    assert all(part.at(moment) <= whole.at(moment) * (1 + 1e-9) for moment in MOMENTS)


@given(recipe=RECIPES, rows=st.integers(1, 32), tokens=st.integers(1, 2048))
def test_more_rows_never_need_less(recipe: Recipe, rows: int, tokens: int) -> None:
    fewer, more = (memory(LLAMA_TINY, recipe, fixed(n, tokens)).peak_bytes for n in (rows, rows + 1))
    assert fewer <= more


@given(recipe=RECIPES, rows=st.integers(1, 32))
def test_checkpointing_saves_activations(recipe: Recipe, rows: int) -> None:
    kept, recomputed = (
        memory(QWEN2_05B, replace(recipe, gradient_checkpointing=c), fixed(rows, 128)) for c in ("none", "full")
    )
    assert recomputed["activations"] < kept["activations"]
