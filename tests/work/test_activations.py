"""What one block saves, field by field of the architecture; whole blocks are held against traces in `tests/check`."""

from __future__ import annotations

from dataclasses import replace

import pytest
from work_shapes import BERT_BASE, GPT2_NO_DROPOUT, LLAMA_TINY, PYTHIA_70M, T5_SMALL, fixed

from headway.domain.experiment import Adapter, Architecture, Recipe
from headway.domain.software import Software
from headway.work.memory import memory

QV = Adapter(rank=4, targets=("q", "v"))
LONG = fixed(2, 1024)
TOKENS = 2048


def saved(arch: Architecture, recipe: Recipe | None = None, software: Software | None = None) -> float:
    """Bytes a token and block."""
    found = memory(arch, recipe or Recipe(), LONG, software or Software())
    return found["activations"] / TOKENS / (arch.layers + arch.decoder_layers)


def test_eager_attention_saves_scores() -> None:
    plain, eager = (memory(LLAMA_TINY, Recipe(attention=a), fixed(2, 1024)) for a in ("sdpa", "eager"))
    more = eager["activations"] - plain["activations"]
    kv = 2 * 2 * 128 * 2 * 1024 * 4  # keys and values repeated for all heads
    statistics = 4 * 8 * 2 * 1024 * 4  # which only the fused kernel keeps
    assert more - kv + statistics == 4 * 2 * 8 * 1024**2 * 6


def test_without_a_fused_kernel_scores_are_saved() -> None:
    # fp32 with shared keys: queries, keys, values and result as with a fused kernel that has all heads, and the scores
    grouped, single = (
        memory(replace(LLAMA_TINY, kv_heads=kv), Recipe(precision="fp32"), fixed(2, 1024))["activations"]
        for kv in (4, 8)
    )
    each = 4 * 8 * 1024 - 4 * 8  # the fused kernel keeps statistics instead
    assert grouped - single == 4 * 2 * 1024 * each
    padded = memory(LLAMA_TINY, Recipe(precision="fp32"), fixed(2, 1024, padding_share=0.1))["activations"]
    assert padded - single == 4 * 2 * 1024 * 4 * 1024  # keys are repeated; a mask of one row for all heads


def test_a_fused_kernel_for_copied_keys_is_no_matter_of_their_dtype() -> None:
    single = saved(replace(LLAMA_TINY, kv_heads=8), Recipe(precision="fp32"))
    assert saved(LLAMA_TINY, Recipe(precision="fp32"), Software(repeats_keys=True)) == single


@pytest.mark.parametrize(
    ("activation", "full", "frozen"),
    [("gelu", 2, 1), ("relu", 1, 1), ("gelu_new", 5, 4)],  # tensors as wide as the feed-forward
)
def test_what_an_activation_keeps(activation: str, full: int, frozen: int) -> None:
    for recipe, tensors in ((Recipe(), full), (Recipe(adapter=QV), frozen)):
        narrow, wide = (saved(replace(GPT2_NO_DROPOUT, activation=activation, ffn=ffn), recipe) for ffn in (1000, 2000))
        assert wide - narrow == tensors * 2 * 1000


def test_dropout_keeps_a_byte_a_value() -> None:
    assert saved(BERT_BASE) - saved(replace(BERT_BASE, dropout=0.0)) == 2 * 768
    # T5: behind two and three layers, and before `down`, whose input is then no longer what ReLU keeps
    assert saved(T5_SMALL) - saved(replace(T5_SMALL, dropout=0.0)) == 2.5 * 512 + 2048 * (1 + 2)


def test_norms_keep_what_their_code_needs() -> None:
    plain, wide, t5, layer = (saved(replace(LLAMA_TINY, norm=norm)) for norm in ("rms", "wide", "t5", "layer"))
    assert wide - plain == 2 * 256 * 2  # the normalised value in fp32
    assert t5 - plain == 2 * 256 * 2  # the 16-bit input beside its fp32 copy
    assert plain - layer == 2 * (256 * (4 + 2 - 2) - 4)  # one input and two statistics
    assert saved(replace(LLAMA_TINY, norm_bias=True)) == layer


def test_parallel_norms_share_their_input() -> None:
    apart = replace(PYTHIA_70M, parallel_block=False)
    assert saved(apart) - saved(PYTHIA_70M) == 2 * 512


@pytest.mark.parametrize(
    ("softmax", "dropout", "each"), [("fp32", 0.0, 6), ("fp32", 0.1, 7), ("native", 0.0, 2), ("native", 0.1, 5),
                                     ("capped", 0.0, 8)],
)  # fmt: skip
def test_bytes_of_an_eager_score(softmax: str, dropout: float, each: int) -> None:
    arch = replace(LLAMA_TINY, softmax=softmax, attention_dropout=dropout)
    long, short = (
        memory(arch, Recipe(attention="eager"), fixed(1, n))["activations"] / n / arch.layers for n in (2000, 1000)
    )
    assert long - short == pytest.approx(8 * 1000 * each)


def test_a_mask_is_kept_and_repeats_shared_keys() -> None:
    repeated, mask = 2 * 2 * 128, 2 * 1024
    assert saved(replace(LLAMA_TINY, sliding_window=512)) - saved(LLAMA_TINY) == repeated + mask
    alternating = replace(LLAMA_TINY, sliding_window=512, window_every=4)
    assert saved(alternating) - saved(LLAMA_TINY) == 0.75 * (repeated + mask)
    assert saved(replace(LLAMA_TINY, sliding_window=1024)) == saved(LLAMA_TINY)
    assert saved(replace(LLAMA_TINY, always_masked=True)) - saved(LLAMA_TINY) == repeated + mask


def test_checkpointed_t5_blocks_share_their_position_biases() -> None:
    found = memory(T5_SMALL, Recipe(gradient_checkpointing="full"), LONG)
    assert found["activations"] == TOKENS * 12 * 512 * 2 + 3 * 8 * 1024**2 * 2


def test_own_blocks_keep_less() -> None:
    own = Software(own_blocks=True)
    assert saved(GPT2_NO_DROPOUT) - saved(GPT2_NO_DROPOUT, software=own) == 3 * 2 * 3072
    assert saved(replace(LLAMA_TINY, always_masked=True), software=own) == saved(LLAMA_TINY)
