"""Bytes and launches of a block against the operators that PyTorch dispatches (`data/block_kernels.csv`)."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from work_shapes import BERT_BASE, GPT2, LLAMA_7B, LLAMA_TINY, MIXTRAL_TINY, QWEN2_05B, fixed

from headway.domain.experiment import Adapter, Architecture, Parallel, Recipe
from headway.work.flop import products
from headway.work.step import Work, step_work
from headway.work.traffic import chains, dequantise, updates

DATA = Path(__file__).parent / "data"
ROWS = list(csv.DictReader((DATA / "block_kernels.csv").read_text(encoding="utf-8").splitlines()))
SMALL = {
    "llama": LLAMA_TINY,
    "qwen3": replace(LLAMA_TINY, qk_norm=True),
    "gpt2": replace(GPT2, hidden=256, heads=8, kv_heads=8, head_dim=32, ffn=1024, vocab=1000),
}
CASES = list(dict.fromkeys((r["model"], r["dtype"], r["rank"], r["targets"], r["attention"]) for r in ROWS))


def block(arch: Architecture, recipe: Recipe) -> Work:
    """The work of one block: the difference of six and five, so that embedding, head and optimizer fall away."""
    five, six = (step_work(replace(arch, layers=n), recipe, fixed(2, 256)) for n in (5, 6))
    pairs = [(six.by_phase()[p], five.by_phase()[p]) for p in ("forward", "backward")]
    terms = []
    for more, fewer in pairs:
        before = {term.name: term for term in fewer.terms}
        for term in more.terms:
            old = before[term.name]
            terms.append(replace(term, bytes=term.bytes - old.bytes, launches=term.launches - old.launches))
    return Work(terms=tuple(terms))


@pytest.mark.parametrize("case", CASES, ids="-".join)
@pytest.mark.parametrize("phase", ["forward", "backward"])
def test_a_block_moves_what_pytorch_moves(case: tuple[str, ...], phase: str) -> None:
    model, dtype, rank, targets, attention = case
    adapter = Adapter(rank=int(rank), targets=tuple(targets.split())) if rank != "0" else None
    kernel = (
        "flash" if (dtype, attention) == ("float32", "sdpa") else attention
    )  # counted on a CPU, whose flash takes fp32
    recipe = Recipe(precision={"float32": "fp32", "bfloat16": "bf16"}[dtype], adapter=adapter, attention=kernel)
    found = block(SMALL[model], recipe).by_phase()[phase]
    counted = [r for r in ROWS if (r["model"], r["dtype"], r["rank"], r["targets"], r["attention"]) == case]
    counted = [r for r in counted if r["phase"] == phase]
    products_of = [term for term in found.terms if term.kind in ("linear", "adapter")]
    others = [term for term in found.terms if term.kind not in ("linear", "adapter")]
    linear = next(r for r in counted if r["kind"] == "linear")
    assert sum(t.launches for t in products_of) == pytest.approx(float(linear["kernels"]), abs=0.01)
    assert sum(t.bytes for t in products_of) == pytest.approx(float(linear["bytes"]), rel=0.05)
    rest = [r for r in counted if r["kind"] != "linear"]
    assert sum(t.launches for t in others) == pytest.approx(sum(float(r["kernels"]) for r in rest), abs=2.01)
    assert sum(t.bytes for t in others) == pytest.approx(sum(float(r["bytes"]) for r in rest), rel=0.05)


def named(arch: Architecture, recipe: Recipe, phase: str) -> dict[str, float]:
    return {one.name: one.bytes for one in chains(arch, recipe, fixed(2, 256)) if one.phase == phase}


def test_compiling_fuses_elementwise_chains() -> None:
    eager, fused = (
        [one for one in chains(LLAMA_7B, Recipe(compile=c), fixed(2, 256)) if one.kind == "elementwise"]
        for c in (False, True)
    )
    assert sum(one.launches for one in fused) < sum(one.launches for one in eager) / 3
    assert sum(one.bytes for one in fused) < sum(one.bytes for one in eager) / 2


def test_the_loss_reads_and_writes_fp32_logits() -> None:
    # 512 tokens x 32000 logits: cast 2 + 4, log-softmax 4 + 4 read, 4 written
    assert named(LLAMA_7B, Recipe(), "forward")["loss"] == 512 * 32000 * 18
    assert "loss" not in named(BERT_BASE, Recipe(), "forward")


def test_unpacking_four_bits_costs_bytes_in_every_pass() -> None:
    recipe = Recipe(quantize="nf4", adapter=Adapter(rank=16, targets=("q", "v")), gradient_checkpointing="full")
    found = [dequantise(recipe, one) for one in products(LLAMA_7B, recipe, fixed(1, 128))]
    by_phase = {
        phase: sum(one.bytes for one in found if one is not None and one.phase == phase)
        for phase in ("forward", "backward", "recompute")
    }
    weights = 32 * (4 * 4096**2 + 3 * 4096 * 11008)
    down = 32 * 4096 * 11008  # not recomputed: nothing needs its result
    assert by_phase["forward"] == by_phase["backward"] == pytest.approx(weights * (0.515875 + 2))
    assert by_phase["recompute"] == pytest.approx((weights - down) * 2.515875)


def test_int8_pays_for_rows_forward_and_for_weights_backward() -> None:
    recipe = Recipe(quantize="int8", adapter=Adapter(rank=16, targets=("q", "v")))
    found = [dequantise(recipe, one) for one in products(LLAMA_7B, recipe, fixed(1, 128))]
    up = {one.phase: one.bytes for one in found if one is not None and one.name == "dequantise.up"}
    assert up["forward"] == 32 * 128 * (4 * 4096 + 6 * 11008)
    assert up["backward"] == 32 * 3 * 4096 * 11008


@pytest.mark.parametrize(
    ("recipe", "bytes_per_parameter"),
    [
        (Recipe(precision="fp32"), 4 * 3 + 16),  # read w, g, m, v; write w, m, v
        (Recipe(precision="bf16"), 2 * 3 + 8),
        (Recipe(precision="bf16", master_weights=True), 2 * 3 + 16 + 8),
        (Recipe(precision="bf16", optimizer="adamw_8bit"), 2 * 3 + 4),
        (Recipe(precision="bf16", optimizer="sgd"), 2 * 3),
    ],
)
def test_optimizer_traffic(recipe: Recipe, bytes_per_parameter: float) -> None:
    step = next(one for one in updates(QWEN2_05B, recipe, fixed(8, 128)) if one.name == "optimizer")
    assert step.bytes == 494_032_768 * bytes_per_parameter
    assert step.launches == 24  # 494,032,768 / (320 x 65,536), rounded up


def test_sharded_optimizers_step_their_share() -> None:
    whole = updates(QWEN2_05B, Recipe(), fixed(8, 128))
    parts = updates(QWEN2_05B, Recipe(parallel=Parallel(data=4, sharding="zero1")), fixed(8, 128))
    assert parts[1].bytes == pytest.approx(whole[1].bytes / 4)


def test_accumulation_adds_up_gradients() -> None:
    found = updates(QWEN2_05B, Recipe(), fixed(8, 128, micro_steps=5))
    assert {one.name: one.bytes for one in found}["gradient_accumulation"] == 494_032_768 * 6 * 4


def test_experts_run_as_one_grouped_product() -> None:
    step = step_work(MIXTRAL_TINY, Recipe(), fixed(4, 128)).by_phase()["forward"]
    assert {t.name: t.launches for t in step.terms}["experts.up"] == 3
