"""Models: shapes that reproduce the published parameter counts, by two methods, and names that mean one shape."""

from __future__ import annotations

import re

import pytest

from headway.catalog.devices import Ambiguous
from headway.catalog.models import find_model, models
from headway.catalog.tables import rows, words
from headway.domain.errors import UserError
from headway.domain.experiment import Architecture
from headway.work.parameters import count_parameters

# Parameters that `Architecture` cannot express, and the share of the model that they are at most.
INEXACT = {
    "OLMo-2": (1e-4, "query and key norms span all heads, not one"),
    "OLMoE": (1e-4, "query and key norms span all heads, not one"),
    "Qwen1.5-MoE": (1e-5, "a gate in front of the shared expert"),
    "bart": (6e-3, "one position table and one embedding norm per stack"),
}

PUBLISHED = {
    # safetensors metadata on the hub
    "openai-community/gpt2": 124_439_808,
    "Qwen/Qwen2-0.5B": 494_032_768,
    "meta-llama/Llama-2-7b-hf": 6_738_415_616,
    "meta-llama/Meta-Llama-3-8B": 8_030_261_248,
    "TinyLlama/TinyLlama-1.1B-Chat-v1.0": 1_100_048_384,
    "HuggingFaceTB/SmolLM2-135M": 134_515_008,
    "google-bert/bert-base-uncased": 109_482_240,
    "FacebookAI/roberta-base": 124_645_632,
    "google-t5/t5-small": 60_506_624,
    "mistralai/Mixtral-8x7B-v0.1": 46_702_792_704,
    "mistralai/Mistral-7B-v0.1": 7_241_732_096,
    "google/gemma-2b": 2_506_172_416,
    "Qwen/Qwen3-30B-A3B": 30_532_122_624,
    "microsoft/phi-2": 2_779_683_840,
    "tiiuae/falcon-7b": 6_921_720_704,
    "EleutherAI/gpt-j-6b": 6_050_882_784,
    "answerdotai/ModernBERT-base": 149_014_272,
    "microsoft/deberta-v3-base": 183_831_552,
}


def count(arch: Architecture) -> int:
    """All parameters, written down from the papers and independent of `work/`."""
    width, norm = arch.hidden, (2 if arch.norm_bias else 1) * arch.hidden
    query, key = arch.heads * arch.head_dim, arch.kv_heads * arch.head_dim
    attention = 2 * width * (query + key) + (query + 2 * key) * arch.qkv_bias + width * arch.out_bias
    attention += 2 * arch.head_dim * arch.qk_norm

    def feed_forward(inner: int) -> int:
        into = 2 if arch.gated else 1
        return (into + 1) * width * inner + (into * inner + width) * arch.mlp_bias

    sparse = arch.layers - arch.dense_layers if arch.experts else 0
    total = arch.layers * (attention + arch.norms_per_layer * norm)
    total += sparse * (arch.experts * (feed_forward(arch.ffn) + width) + feed_forward(arch.shared_ffn))
    total += (arch.layers - sparse) * feed_forward(arch.dense_ffn if arch.experts else arch.ffn)
    total += arch.decoder_layers * (2 * attention + feed_forward(arch.ffn) + (arch.norms_per_layer + 1) * norm)
    stacks = 2 if arch.decoder_layers else 1
    total += stacks * (arch.learned_positions * width + norm * (arch.embedding_norm + arch.final_norm))
    total += stacks * arch.relative_position_buckets * arch.heads
    total += (arch.vocab + arch.token_types) * width + (width * width + width) * arch.pooler
    if arch.head == "lm":
        total += arch.vocab * (width * (not arch.tied) + arch.head_bias)
    return total


def tolerance(name: str) -> float:
    plain = name.rsplit("/", 1)[-1]
    return next((share for start, (share, _) in INEXACT.items() if plain.startswith(start)), 0.0)


@pytest.mark.parametrize("name", models())
def test_the_shape_reproduces_the_published_count(name: str) -> None:
    model = models()[name]
    counted = count_parameters(model).total
    assert counted == pytest.approx(model.parameters_stated, rel=tolerance(name), abs=0)
    if not tolerance(name):
        assert count(model) == model.parameters_stated


@pytest.mark.parametrize(("name", "parameters"), PUBLISHED.items())
def test_published_counts(name: str, parameters: int) -> None:
    assert models()[name].parameters_stated == parameters


def test_bart_has_a_position_table_in_each_stack() -> None:
    """facebook/bart-base: 139,420,416 parameters, 787,968 of them in each table of 1,026 positions."""
    assert count(models()["facebook/bart-base"]) == models()["facebook/bart-base"].parameters_stated == 139_420_416


def test_there_are_enough_models() -> None:
    assert len(models()) >= 200
    assert all(model.parameters_stated for model in models().values())


def test_shapes_are_sane() -> None:
    for name, model in models().items():
        assert model.heads % model.kv_heads == 0, name
        assert model.vocab > 20_000, name
        assert 0.9 < model.ffn * (model.experts_per_token or 1) / model.hidden < 130, name
        assert (model.experts > 0) == (model.experts_per_token > 0), name
        assert (model.family == "encoder-decoder") == (model.decoder_layers > 0), name
        assert model.window_every == 0 or model.sliding_window > 0, name


def test_names_and_aliases_mean_one_shape() -> None:
    for row in rows("models"):
        for name in (row["name"], *words(row["aliases"])):
            assert find_model(name).name == row["name"], name


SAME_SHAPE = {
    "Qwen2-0.5B": "Qwen/Qwen2-0.5B",
    "qwen/qwen2-0.5b-instruct": "Qwen/Qwen2-0.5B",
    "Qwen/Qwen2.5-0.5B-Instruct-GPTQ-Int4": "Qwen/Qwen2.5-0.5B",
    "Qwen/Qwen2.5-Coder-14B-Instruct": "Qwen/Qwen2.5-14B",
    "Qwen/Qwen1.5-7B-Chat-AWQ": "Qwen/Qwen1.5-7B",
    "unsloth/Qwen3-4B-unsloth-bnb-4bit": "Qwen/Qwen3-4B",
    "Qwen/Qwen3-0.6B-Base": "Qwen/Qwen3-0.6B",
    "Qwen/Qwen3-8B-FP8": "Qwen/Qwen3-8B",
    "NousResearch/Llama-2-7b-hf": "meta-llama/Llama-2-7b-hf",
    "TheBloke/Llama-2-70B-Chat-GPTQ": "meta-llama/Llama-2-70b-hf",
    "unsloth/llama-3-8b-bnb-4bit": "meta-llama/Meta-Llama-3-8B",
    "meta-llama/Meta-Llama-3-8B-Instruct": "meta-llama/Meta-Llama-3-8B",
    "meta-llama/Llama-3.1-8B-Instruct": "meta-llama/Llama-3.1-8B",
    "mlx-community/Llama-3.2-1B-Instruct-4bit": "meta-llama/Llama-3.2-1B",
    "unsloth/tinyllama-bnb-4bit": "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
    "TheBloke/Mistral-7B-v0.1-GPTQ": "mistralai/Mistral-7B-v0.1",
    "mistralai/Mistral-7B-Instruct-v0.2": "mistralai/Mistral-7B-v0.2",
    "mistralai/Mixtral-8x7B-Instruct-v0.1": "mistralai/Mixtral-8x7B-v0.1",
    "Mixtral-8x22B-Instruct-v0.1": "mistralai/Mixtral-8x22B-Instruct-v0.1",
    "google/gemma-2-9b-it": "google/gemma-2-9b",
    "unsloth/gemma-3-27b-it": "google/gemma-3-27b-pt",
    "tiiuae/falcon-7b-instruct": "tiiuae/falcon-7b",
    "internlm2-chat-7b": "internlm/internlm2-7b",
    "deepseek-ai/deepseek-llm-7b-chat": "deepseek-ai/deepseek-llm-7b-base",
    "google/flan-t5-xl": "google/t5-v1_1-xl",
    "bert-base-uncased": "google-bert/bert-base-uncased",
    "Llama-7B": "huggyllama/llama-7b",
    "gpt2": "openai-community/gpt2",
    "phi-1.5": "microsoft/phi-1_5",
}


@pytest.mark.parametrize(("text", "name"), SAME_SHAPE.items())
def test_variants_of_the_same_shape(text: str, name: str) -> None:
    assert find_model(text).name == name


@pytest.mark.parametrize("text", ["t5", "bert", "roberta", "Qwen", "Llama-2-7B-32K-Fused", "acme/foo-7b", "opt-350m"])
def test_a_name_without_its_size_or_with_more_is_not_guessed(text: str) -> None:
    with pytest.raises(UserError):
        find_model(text)


def test_no_variant_changes_the_size() -> None:
    """A size put into any row's name resolves to that size or not at all."""
    for name in models():
        for size in ("0.5B", "1.5B", "3B", "7B", "13B", "70B"):
            changed = re.sub(r"(?i)(?<![\w.])\d+(\.\d+)?[bm](?![a-z0-9])", size, name)
            if changed == name:
                continue
            try:
                found = find_model(changed)
            except UserError:
                continue
            assert size.lower() in found.name.lower(), (changed, found.name)


def message(text: str) -> str:
    with pytest.raises(UserError) as caught:
        find_model(text)
    return str(caught.value)


def test_messages() -> None:
    assert message("Qwen3-7B") == (
        "a model must exist in the size named, got 'Qwen3-7B'. Qwen3 comes in 0.6B, 1.7B, 4B, 8B, 14B, 32B; "
        "7B exists as Qwen-7B, Qwen1.5-7B, Qwen2-7B, Qwen2.5-7B"
    )
    assert "Qwen3 comes in 0.6B, 1.7B, 4B, 8B, 14B, 32B; 1.5B exists as Qwen2-1.5B, Qwen2.5-1.5B" in message(
        "Qwen3-1.5B"
    )
    assert message("Llama-2-9b").endswith("Llama-2 comes in 7B, 13B, 70B")
    assert message("openai-comunity/gpt-2") == (
        "a model must be in the catalog or have a config.json, got 'openai-comunity/gpt-2'. "
        "Nearest: openai-community/gpt2, openai-community/gpt2-xl, facebook/opt-2.7b. "
        "`headway catalog models` lists all; or give a local folder that holds config.json"
    )
    assert "Nearest: Qwen/Qwen3-30B-A3B." in message("Qwen3-30B")
    assert message(" ") == "a model must be named, got ' '. For example `model: Qwen/Qwen2-0.5B`"


def test_an_ambiguous_name_is_refused_with_candidates() -> None:
    """CodeLlama 7B has 32,016 tokens, its Python variant 32,000: a name that could be both is not decided."""
    assert find_model("CodeLlama-7b-Instruct-hf").vocab == 32_016
    assert find_model("CodeLlama-7b-Python-hf").vocab == 32_000
    assert issubclass(Ambiguous, UserError)
