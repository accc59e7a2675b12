"""The record: totals are sums of terms, phases and names partition it, evaluation and generation follow by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from work_shapes import BERT_BASE, GPT2, LLAMA_7B, LLAMA_TINY, MIXTRAL_TINY, QWEN2_05B, T5_SMALL, fixed

from headway.domain.experiment import Adapter, Parallel, Recipe
from headway.work.step import PHASES, Work, forward_work, generation_work, step_work

RECIPES = st.builds(
    Recipe,
    adapter=st.none()
    | st.builds(Adapter, rank=st.integers(1, 16), targets=st.sampled_from([("q", "v"), ("all-linear",)])),
    quantize=st.sampled_from(["none", "nf4", "int8"]),
    gradient_checkpointing=st.sampled_from(["none", "selective", "full"]),
    attention=st.sampled_from(["eager", "sdpa", "flash_attention_2"]),
    compile=st.booleans(),
    parallel=st.builds(
        Parallel,
        data=st.integers(1, 8),
        tensor=st.sampled_from([1, 2]),
        pipeline=st.sampled_from([1, 2]),
        sharding=st.sampled_from(["none", "zero1", "zero2", "zero3"]),
    ),
)
ARCHES = st.sampled_from([LLAMA_TINY, QWEN2_05B, GPT2, BERT_BASE, T5_SMALL, MIXTRAL_TINY])


def totals(work: Work) -> tuple[float, ...]:
    return (work.flop, work.bytes, work.launches, work.link_bytes)


@given(arch=ARCHES, recipe=RECIPES, micro_steps=st.integers(1, 8))
def test_totals_are_sums_and_groups_partition_the_terms(arch, recipe: Recipe, micro_steps: int) -> None:
    work = step_work(arch, recipe, fixed(2, 64, micro_steps=micro_steps))
    for groups in (work.by_phase(), work.by_name(), work.by_kind()):
        assert sum(len(group.terms) for group in groups.values()) == len(work.terms)
        assert [sum(one) for one in zip(*map(totals, groups.values()), strict=True)] == pytest.approx(totals(work))
    assert set(work.by_phase()) <= set(PHASES)
    for term in work.terms:
        assert min(term.flop, term.bytes, term.launches, term.link_bytes, term.messages) >= 0
        assert 0 < term.executed_share <= 1.25
        assert term.shape is None or 2 * term.shape[0] * term.shape[1] * term.shape[2] * term.count == pytest.approx(
            term.flop
        )


@given(arch=ARCHES, recipe=RECIPES, rows=st.integers(1, 32))
def test_more_rows_never_mean_less_work(arch, recipe: Recipe, rows: int) -> None:
    fewer, more = (step_work(arch, recipe, fixed(n, 64)) for n in (rows, rows + 1))
    assert all(a <= b * (1 + 1e-12) for a, b in zip(totals(fewer), totals(more), strict=True))


@given(recipe=RECIPES, layers=st.integers(2, 8))
def test_passes_are_linear_in_layers(recipe: Recipe, layers: int) -> None:
    def passes(n: int) -> tuple[float, float]:
        work = step_work(replace(LLAMA_TINY, layers=n), recipe, fixed(2, 64))
        return (work.flop, work.bytes)

    for one, two, three in zip(*(passes(n * layers) for n in (1, 2, 3)), strict=True):
        assert three - two == pytest.approx(two - one)


def test_micro_steps_repeat_the_passes_but_not_the_optimizer() -> None:
    one, four = (step_work(QWEN2_05B, Recipe(), fixed(8, 128, micro_steps=n)) for n in (1, 4))
    assert four.flop == pytest.approx(4 * one.flop)
    assert four.by_name()["optimizer"].bytes == one.by_name()["optimizer"].bytes


def test_recomputation_is_work_but_not_model_work() -> None:
    plain, again = (step_work(QWEN2_05B, Recipe(gradient_checkpointing=c), fixed(8, 128)) for c in ("none", "full"))
    assert again.model_flop == plain.model_flop == plain.flop
    assert again.flop > plain.flop


def test_fused_causal_attention_executes_less_than_is_counted() -> None:
    flash = step_work(QWEN2_05B, Recipe(attention="flash_attention_2"), fixed(8, 128)).by_name()["attention"]
    shares = {term.phase: term.executed_flop / term.flop for term in flash.terms}
    assert shares == {"forward": 0.5, "backward": 0.625}
    eager = step_work(QWEN2_05B, Recipe(attention="eager"), fixed(8, 128)).by_name()["attention"]
    assert {term.executed_share for term in eager.terms} == {1.0}


def test_adapters_cost_launches_rather_than_flop() -> None:
    few, many = (
        step_work(QWEN2_05B, Recipe(adapter=Adapter(rank=4, targets=t)), fixed(8, 128))
        for t in (("q", "v"), ("all-linear",))
    )
    assert many.flop / few.flop < 1.01
    assert many.launches / few.launches > 1.3


def test_an_evaluation_is_the_forward_phase() -> None:
    work = forward_work(LLAMA_7B, Recipe(), fixed(4, 256, micro_steps=3))
    assert set(work.by_phase()) == {"forward"}
    assert work.flop == pytest.approx(step_work(LLAMA_7B, Recipe(), fixed(4, 256, micro_steps=3)).flop / 3)


def test_decoding_reads_every_weight_for_every_token() -> None:
    work = generation_work(LLAMA_7B, Recipe(), 128, 200)
    decode = [term for term in work.terms if term.name.startswith("decode.")]
    read = sum(term.bytes for term in decode if term.kind in ("linear", "head")) / 200
    assert read == pytest.approx(2 * (6_738_415_616 - 32000 * 4096), rel=0.001)
    flop = sum(term.flop for term in decode if term.kind in ("linear", "head")) / 200
    assert flop == pytest.approx(2 * (6_738_415_616 - 32000 * 4096), rel=0.001)
    cache = next(term.bytes for term in decode if term.kind == "attention") / 200
    assert cache == pytest.approx(2 * 32 * 4096 * 2 * (128 + 199 / 2), rel=0.01)


def test_the_prompt_is_one_pass_without_head() -> None:
    work = generation_work(LLAMA_7B, Recipe(), 512, 0)
    whole = forward_work(LLAMA_7B, Recipe(), fixed(1, 512))
    assert work.flop == pytest.approx(whole.flop - whole.by_kind()["head"].flop)


def test_a_few_rows_read_a_few_experts() -> None:
    def expert_bytes(rows: int) -> float:
        work = generation_work(MIXTRAL_TINY, Recipe(), 8, 1, rows)
        return sum(t.bytes for t in work.terms if t.name.startswith("decode.experts"))

    assert expert_bytes(1) == pytest.approx(2 / 8 * 3 * 8 * 3 * 128 * 352 * 2, rel=0.02)
    assert expert_bytes(64) > 3.9 * expert_bytes(1)


def test_an_encoder_decoder_encodes_once() -> None:
    work = generation_work(T5_SMALL, Recipe(), 100, 1)
    prompt = sum(t.flop for t in work.terms if t.kind == "linear" and not t.name.startswith("decode."))
    assert prompt == 2 * 100 * 6 * (4 * 512 * 512 + 2 * 512 * 2048)


# ---- passes beside the training (preference tuning)


@given(arch=ARCHES, recipe=RECIPES, passes=st.integers(1, 4))
def test_passes_beside_the_training_are_forwards_of_the_base_model(arch, recipe: Recipe, passes: int) -> None:
    plain, more = (step_work(arch, replace(recipe, forward_passes=n), fixed(2, 64)) for n in (0, passes))
    base = step_work(arch, replace(recipe, adapter=None, quantize="none"), fixed(2, 64)).by_phase()["forward"].flop
    assert more.flop - plain.flop == pytest.approx(passes * base)
    assert forward_work(arch, replace(recipe, forward_passes=passes), fixed(2, 64)).flop == pytest.approx(
        forward_work(arch, recipe, fixed(2, 64)).flop
    )


def test_a_dpo_step_is_four_passes_to_the_three_of_a_step_that_trains_everything() -> None:
    """By hand: forward 1, backward 2 (of everything but the frozen embedding), reference forward 1."""
    recipe = Recipe(attention="eager")
    plain, dpo = (step_work(LLAMA_TINY, replace(recipe, forward_passes=n), fixed(2, 64)) for n in (0, 1))
    assert dpo.flop / plain.flop == pytest.approx(4 / 3)


def test_full_sharding_gathers_the_weights_once_more_for_a_reference_model() -> None:
    recipe = Recipe(parallel=Parallel(data=4, sharding="zero3"))
    sent = [step_work(LLAMA_TINY, replace(recipe, forward_passes=n), fixed(2, 64)).by_name() for n in (0, 1)]
    assert sent[1]["data.weights"].link_bytes == pytest.approx(1.5 * sent[0]["data.weights"].link_bytes)
    assert sent[1]["data.gradients"].link_bytes == sent[0]["data.gradients"].link_bytes
