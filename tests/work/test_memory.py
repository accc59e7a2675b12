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
from headway.domain.software import ORDINARY, Software
from headway.work.memory import MOMENTS, loaded_bytes, memory, optimizer_copy_bytes, weight_bytes

GIB = 2**30
DATA = Path(__file__).parent / "data"
SAVED = list(csv.DictReader((DATA / "saved_activations.csv").read_text(encoding="utf-8").splitlines()))

_BIASED = {"hidden": 256, "heads": 8, "kv_heads": 8, "head_dim": 32, "ffn": 1024, "vocab": 1000, "dropout": 0.0}
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
    attention = "flash" if precision == "fp32" else "sdpa"  # counted on a CPU, whose flash kernel takes fp32
    recipe = Recipe(
        precision=precision, adapter=adapter, gradient_checkpointing=row["checkpointing"], attention=attention
    )
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
    buckets = part["gradient_buckets"] + part["reduce_buckets"]  # what replicas hold besides
    assert all(part.at(moment) - buckets <= whole.at(moment) * (1 + 1e-9) for moment in MOMENTS)


@given(recipe=RECIPES, data=st.integers(2, 16))
def test_zero_3_never_needs_more_than_zero_1(recipe: Recipe, data: int) -> None:
    one, three = (
        memory(QWEN2_05B, replace(recipe, parallel=Parallel(data=data, sharding=sharding)), J1)
        for sharding in ("zero1", "zero3")
    )
    assert three["reduce_buckets"] < one["reduce_buckets"]
    assert three.peak_bytes <= one.peak_bytes * (1 + 1e-9)


@given(recipe=RECIPES, rows=st.integers(1, 32))
def test_an_adapter_never_needs_more_than_training_everything(recipe: Recipe, rows: int) -> None:
    full, adapter = (
        memory(QWEN2_05B, replace(recipe, adapter=one, quantize="none", gradient_checkpointing="full"), fixed(rows, 64))
        for one in (None, QV)
    )
    assert adapter.peak_bytes < full.peak_bytes


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
    assert recomputed.peak_bytes <= kept.peak_bytes


# ---- what software does: LLAMA_7B has 32 blocks, width 4,096, 32 heads of 128, feed-forwards of 11,008, 32,000 words

LONG = fixed(2, 1024)
TOKENS = 2048
SHARDED = Parallel(data=4, sharding="zero3")


@pytest.mark.parametrize("logit_bytes", [12.0, 8.0, 6.0])
def test_logits_cost_what_the_loss_kernel_keeps(logit_bytes: float) -> None:
    found = memory(LLAMA_7B, Recipe(adapter=QV), LONG, Software(logit_bytes=logit_bytes))
    assert found["logits"] == TOKENS * 32000 * logit_bytes
    assert found["final_norm"] == TOKENS * 4096 * (4 + 2)


def test_a_loss_fused_with_the_head_keeps_no_logits() -> None:
    found = memory(LLAMA_7B, Recipe(adapter=QV), LONG, Software(logit_bytes=0.0))
    assert found["logits"] == TOKENS * 4096 * (2 + 2 + 4)


def test_gradients_inside_a_block_are_there_in_the_backward_pass() -> None:
    found = memory(LLAMA_7B, Recipe(gradient_checkpointing="full"), LONG)
    assert found["block_gradients"] == TOKENS * 2 * (11008 + 2 * 4096)
    assert found.at("backward_end") - found.at("optimizer") > 0
    assert found["block_gradients"] not in [term.bytes for term in found.terms if "loss" in term.moments]


def test_sequence_parallelism_divides_norms_and_residuals() -> None:
    recipe = Recipe(gradient_checkpointing="full", parallel=Parallel(tensor=4))
    whole, split = (memory(LLAMA_7B, recipe, LONG, Software(sequence_parallel=on)) for on in (False, True))
    assert whole["activations"] == 4 * split["activations"] == TOKENS * 32 * 4096 * 2
    assert whole["final_norm"] == 4 * split["final_norm"]
    norms = 2 * (4096 * (4 + 2 + 2) + 4)
    assert whole["recomputed_block"] - split["recomputed_block"] == pytest.approx(TOKENS * norms * 3 / 4)


def test_selective_checkpointing_keeps_every_second_product() -> None:
    recipe = Recipe(gradient_checkpointing="selective", attention="flash")
    found = memory(LLAMA_7B, recipe, LONG, Software(keeps_matmuls=True))
    each = 2 * (4096 + 4096) + 2 * (4096 + 4096 + 4096 + 11008) + 4 * 32  # input, down; q, v, attention, gate; sums
    assert found["activations"] == TOKENS * 32 * each
    plain = memory(LLAMA_7B, recipe, LONG)
    assert found["activations"] < plain["activations"]
    assert plain["recomputed_block"] == 0


def test_gptq_has_scales_and_leaves_the_rest_in_16_bits() -> None:
    inside = 32 * (4 * 4096**2 + 3 * 4096 * 11008)
    rest = 6_738_415_616 - inside
    each = (4 + 20 / 128) / 8
    recipe = Recipe(quantize="nf4", adapter=QV16, gradient_checkpointing="full")
    software = Software(widens_quantised=False, packed_bytes=each)
    assert weight_bytes(LLAMA_7B, recipe, software) == pytest.approx(inside * each + rest * 2)
    prepared, plain = (memory(LLAMA_7B, recipe, LONG, one)["activations"] for one in (ORDINARY, software))
    assert prepared == 2 * plain == TOKENS * 32 * 4096 * 4


def test_a_sharded_quantised_base_is_not_widened() -> None:
    recipe = Recipe(quantize="nf4", adapter=QV16, gradient_checkpointing="full", parallel=SHARDED)
    assert memory(LLAMA_7B, recipe, LONG)["activations"] == TOKENS * 32 * 4096 * 2


def test_accumulation_without_synchronising_keeps_whole_gradients() -> None:
    n, fsdp = 6_738_415_616, Software(gathers_gradients=True)
    recipe = Recipe(gradient_checkpointing="full", parallel=SHARDED)
    once, often = (memory(LLAMA_7B, recipe, fixed(1, 256, micro_steps=steps), fsdp) for steps in (1, 2))
    assert once["gradients"] == n * 2 / 4
    assert often["gradients"] == n * 2
    assert memory(LLAMA_7B, recipe, fixed(1, 256, micro_steps=2))["gradients"] == n * 2 / 4
    wide = memory(LLAMA_7B, replace(recipe, master_weights=True), fixed(1, 256, micro_steps=2), fsdp)
    assert wide["gradients"] == n * 4


def test_stages_of_a_pipeline_keep_their_weights_gathered() -> None:
    n, split = 6_738_415_616, Parallel(data=4, tensor=2, pipeline=2, sharding="zero3")
    found = memory(LLAMA_7B, Recipe(parallel=split), fixed(1, 256, micro_steps=4), Software(gathers_gradients=True))
    assert found["gathered_weights"] == pytest.approx(n * 2 / 4 * 3 / 4)


def test_sharded_adapters_hold_the_gradients_of_block_inputs() -> None:
    recipe = Recipe(adapter=QV, gradient_checkpointing="full", parallel=SHARDED)
    assert memory(LLAMA_7B, recipe, LONG, Software(gathers_gradients=True))["input_gradients"] == TOKENS * 32 * 4096 * 2
    assert memory(LLAMA_7B, recipe, LONG)["input_gradients"] == 0


def test_replicas_hold_their_gradients_twice() -> None:
    recipe = Recipe(parallel=Parallel(data=2))
    assert memory(LLAMA_7B, recipe, LONG)["gradient_buckets"] == 2 * 6_738_415_616
    assert memory(LLAMA_7B, recipe, LONG, Software(copies_gradients=False))["gradient_buckets"] == 0
    assert memory(LLAMA_7B, Recipe(parallel=SHARDED), LONG)["gradient_buckets"] == 0


def test_gradients_are_averaged_in_buffers_of_their_own_size() -> None:
    for sharding, buffers in (("zero1", 2), ("zero2", 2), ("zero3", 1), ("none", 0)):
        recipe = Recipe(adapter=QV, parallel=Parallel(data=2, sharding=sharding))
        assert memory(LLAMA_7B, recipe, LONG)["reduce_buckets"] == buffers * 2e8 * 4
        assert memory(LLAMA_7B, recipe, LONG, Software(gathers_gradients=True))["reduce_buckets"] == 0
    assert memory(LLAMA_7B, Recipe(), LONG)["reduce_buckets"] == 0


def test_adapter_dropout_keeps_a_mask_and_what_is_left() -> None:
    plain, dropped = (memory(LLAMA_7B, Recipe(adapter=replace(QV, dropout=p)), LONG) for p in (0.0, 0.1))
    assert dropped["activations"] - plain["activations"] == TOKENS * 32 * 2 * 4096  # a byte for each value, of q and v
    narrow = Software(wide_adapters=False)
    plain, dropped = (memory(LLAMA_7B, Recipe(adapter=replace(QV, dropout=p)), LONG, narrow) for p in (0.0, 0.1))
    # without dropout q and v share their 16-bit input; with it each keeps its own and a mask
    assert dropped["activations"] - plain["activations"] == TOKENS * 32 * 4096 * (2 * 3 - 2)
    assert plain["adapters"] == 2 * 32 * 2 * 4 * (4096 + 4096)


def test_repeated_keys_are_as_wide_as_queries() -> None:
    plain, repeated = (memory(LLAMA_TINY, Recipe(), LONG, Software(repeats_keys=on)) for on in (False, True))
    heads = LLAMA_TINY.heads - LLAMA_TINY.kv_heads
    assert repeated["activations"] - plain["activations"] == (
        LLAMA_TINY.layers * TOKENS * 2 * 2 * heads * LLAMA_TINY.head_dim
    )


def test_offloaded_checkpoints_are_not_on_the_gpu() -> None:
    recipe = Recipe(adapter=QV, gradient_checkpointing="full")
    assert memory(LLAMA_7B, recipe, LONG, Software(offloads_checkpoints=True))["activations"] == 0


def test_copies_of_the_optimizer_are_as_wide_as_its_states() -> None:
    n = 6_738_415_616
    assert optimizer_copy_bytes(LLAMA_7B, Recipe()) == 2 * n
    assert optimizer_copy_bytes(LLAMA_7B, Recipe(master_weights=True, parallel=SHARDED)) == n
    for one in (Recipe(optimizer="adamw_torch_fused"), Recipe(optimizer="paged_adamw_8bit")):
        assert optimizer_copy_bytes(LLAMA_7B, one) == 0
    assert optimizer_copy_bytes(LLAMA_7B, Recipe(), Software(fused_optimizer=True)) == 0


def test_weights_read_whole_stand_beside_their_share() -> None:
    recipe, n = Recipe(adapter=QV, parallel=SHARDED), 6_738_415_616
    assert loaded_bytes(LLAMA_7B, recipe) == n / 2
    assert loaded_bytes(LLAMA_7B, recipe, Software(loads_whole=True)) == n / 2 + 2 * n


def test_older_kernels_keep_the_inputs_of_quantised_layers() -> None:
    recipe = Recipe(quantize="nf4", adapter=QV)
    plain, kept = (memory(LLAMA_7B, recipe, LONG, Software(keeps_quantised_inputs=on)) for on in (False, True))
    assert kept["activations"] - plain["activations"] == TOKENS * 32 * 2 * (3 * 4096 + 11008)


# Counted with torch 2.13, transformers 5.23 and peft 0.21 on a Llama of width 256, feed-forward 688, 8 heads of 32, in
# bf16: bytes a token and block; adapters of rank 8, less the 16-bit casts of their weights (28.0 and 144.5). Compiled:
# what the min-cut partitioner saves (the CPU's attention copies keys and values for all heads).
@pytest.mark.parametrize(("targets", "counted"), [((), 8776.0), (("q", "v"), 6436.0 - 28.0)])
def test_a_compiled_block_saves_what_the_partitioner_keeps(targets: tuple[str, ...], counted: float) -> None:
    adapter = Adapter(rank=8, targets=targets) if targets else None
    recipe = Recipe(adapter=adapter, compile=True)
    found = memory(LLAMA_TINY, recipe, fixed(2, 256), Software(repeats_keys=True))
    assert found["activations"] / LLAMA_TINY.layers / 512 == counted
    assert found["logits"] == 512 * LLAMA_TINY.vocab * 6
    blocks_only = memory(LLAMA_TINY, recipe, fixed(2, 256), Software(compiles_loss=False))
    assert blocks_only["logits"] == 512 * LLAMA_TINY.vocab * 12


@pytest.mark.parametrize(("targets", "counted"), [(("q", "v"), 8836.0 - 28.0), (("all-linear",), 12456.5 - 144.5)])
def test_adapters_under_autocast_keep_16_bit_inputs(targets: tuple[str, ...], counted: float) -> None:
    recipe = Recipe(adapter=Adapter(rank=8, targets=targets))
    found = memory(LLAMA_TINY, recipe, fixed(2, 256), Software(autocasts=True))
    assert found["activations"] / LLAMA_TINY.layers / 512 == counted


def test_fused_norms_keep_their_16_bit_input() -> None:
    eager, fused = (memory(LLAMA_7B, Recipe(), LONG, Software(fused_norms=on)) for on in (False, True))
    assert eager["activations"] - fused["activations"] == TOKENS * 32 * 2 * (4096 * (8 - 4) - 4)
