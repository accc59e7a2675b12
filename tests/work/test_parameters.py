"""Parameters against published counts, and against `model.parameters()` of the Hugging Face classes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from work_shapes import (
    BERT_BASE,
    GPT2,
    LLAMA_7B,
    LLAMA_TINY,
    MIXTRAL_8X7B,
    MIXTRAL_TINY,
    PUBLISHED_PARAMETERS,
    QWEN2_05B,
    T5_SMALL,
)

from headway.domain.errors import UserError
from headway.domain.experiment import Adapter, Architecture, Recipe
from headway.work.linears import adapted, linears
from headway.work.parameters import count_parameters, trainable_parameters


@pytest.mark.parametrize("arch", PUBLISHED_PARAMETERS, ids=lambda arch: arch.name)
def test_the_published_count_exactly(arch: Architecture) -> None:
    assert count_parameters(arch).total == PUBLISHED_PARAMETERS[arch]


def test_terms_of_a_model_by_hand() -> None:
    # GPT-2: 50257 x 768 tokens, 1024 x 768 positions, 12 blocks of 4h^2+4h attention, 8h^2+5h feed-forward, 4h norms
    h, counted = 768, count_parameters(GPT2)
    assert counted["embedding"] == counted.embedding == 50257 * h
    assert counted["positions"] == 1024 * h
    assert counted["attention"] == 12 * (4 * h * h + 4 * h)
    assert counted["mlp"] == 12 * (8 * h * h + 5 * h)
    assert counted["norms"] == 12 * 4 * h
    assert counted["final_norm"] == 2 * h
    assert counted["head"] == 0
    assert counted.blocks == 12 * (12 * h * h + 13 * h)
    assert counted.tensors == 148  # len(list(GPT2LMHeadModel.parameters()))


def test_a_tied_head_is_counted_once_but_computed() -> None:
    untied = replace(QWEN2_05B, tied=False)
    assert count_parameters(untied).total - count_parameters(QWEN2_05B).total == 151936 * 896
    assert [one.name for one in linears(QWEN2_05B)] == [one.name for one in linears(untied)]


def test_active_parameters_of_a_mixture() -> None:
    counted = count_parameters(MIXTRAL_8X7B)
    experts = 32 * 8 * 3 * 4096 * 14336
    assert counted["experts"] == experts
    assert counted.total - counted.active == experts * 6 // 8
    assert counted.active == 12_879_925_248  # "12.9B active" in the model card


def test_a_dense_model_is_all_active() -> None:
    counted = count_parameters(LLAMA_7B)
    assert counted.active == counted.total


def test_shared_experts_and_leading_dense_blocks() -> None:
    arch = replace(MIXTRAL_TINY, shared_ffn=704, dense_layers=1, dense_ffn=1000)
    counted = count_parameters(arch)
    assert counted["experts"] == 2 * 8 * 3 * 128 * 352
    assert counted["shared_experts"] == 2 * 3 * 128 * 704
    assert counted["mlp"] == 3 * 128 * 1000
    assert counted["router"] == 2 * 128 * 8


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (("q", "v"), 270_336),
        (("q_proj", "v_proj"), 270_336),
        (("q", "k", "v", "o"), 540_672),
        (("attention",), 540_672),
        (("attention", "mlp"), 2_199_552),
        (("all-linear",), 2_199_552),
        (("q", "k", "v", "o", "gate", "up", "down"), 2_199_552),
        (("all-linear", "lm_head"), 2_199_552 + 4 * (896 + 151936)),
    ],
)
def test_rank_4_on_qwen2(targets: tuple[str, ...], expected: int) -> None:
    recipe = Recipe(adapter=Adapter(rank=4, targets=targets))
    assert trainable_parameters(QWEN2_05B, recipe).total == expected


def test_a_fused_matrix_is_adapted_once() -> None:
    # PEFT on GPT-2's c_attn at rank 8: 12 x 8 x (768 + 3 x 768), counted with peft 0.21.2
    assert trainable_parameters(GPT2, Recipe(adapter=Adapter(rank=8, targets=("c_attn",)))).total == 294_912
    named = [one.name for one in adapted(GPT2, Adapter(targets=("all-linear",)))]
    assert named == ["o", "up", "down", "qkv"]


def test_c_proj_names_two_layers_of_gpt2() -> None:
    assert [one.name for one in adapted(GPT2, Adapter(targets=("c_proj",)))] == ["o", "down"]


def test_dense_means_three_layers_of_bert() -> None:
    assert [one.name for one in adapted(BERT_BASE, Adapter(targets=("dense",)))] == ["o", "up", "down"]


def test_cross_attention_is_adapted_with_its_word() -> None:
    recipe = Recipe(adapter=Adapter(rank=8, targets=("q", "v")))
    assert trainable_parameters(T5_SMALL, recipe).total == 294_912  # peft 0.21.2: 18 attentions x 2 x 8 x 1024


def test_every_expert_has_its_own_adapter() -> None:
    recipe = Recipe(adapter=Adapter(rank=2, targets=("down",)))
    counted = trainable_parameters(MIXTRAL_TINY, recipe)
    assert counted.total == 3 * 8 * 2 * (352 + 128)
    assert counted.active == counted.total // 4


def test_dora_adds_a_magnitude_per_output() -> None:
    lora = Recipe(adapter=Adapter(rank=4, targets=("q", "v")))
    dora = Recipe(adapter=Adapter(rank=4, targets=("q", "v"), method="dora"))
    more = trainable_parameters(QWEN2_05B, dora).total - trainable_parameters(QWEN2_05B, lora).total
    assert more == 24 * (896 + 128)


def test_freezing_leading_blocks() -> None:
    counted = trainable_parameters(QWEN2_05B, Recipe(freeze=12))
    assert counted.total == 178_949_504  # counted with torch, see data/counted_flop.csv
    assert counted["embedding"] == counted["head"] == 0
    everything = trainable_parameters(QWEN2_05B, Recipe()).total
    assert everything == count_parameters(QWEN2_05B).total


@pytest.mark.parametrize("target", ["query_proj", "", "gate"])
def test_an_unknown_target_is_refused_with_those_that_exist(target: str) -> None:
    with pytest.raises(UserError, match="adapter target must name linear layers of gpt2") as caught:
        adapted(GPT2, Adapter(targets=(target,)))
    assert caught.value.candidates == ("q", "k", "v", "o", "up", "down", "head")
    assert caught.value.got == repr(target)


def test_a_rank_below_one_is_refused() -> None:
    with pytest.raises(UserError, match="rank"):
        adapted(GPT2, Adapter(rank=0))


@given(layers=st.integers(1, 8), rank=st.integers(1, 32))
def test_adapters_are_linear_in_rank_and_layers(layers: int, rank: int) -> None:
    def count(n: int, r: int) -> int:
        return trainable_parameters(replace(LLAMA_TINY, layers=n), Recipe(adapter=Adapter(rank=r))).total

    assert count(layers, rank) == layers * rank * count(1, 1)


@given(freeze=st.integers(0, 5))
def test_freezing_never_trains_more(freeze: int) -> None:
    counts = [trainable_parameters(LLAMA_TINY, Recipe(freeze=n)).total for n in (freeze, freeze + 1)]
    assert counts[0] >= counts[1] > 0
