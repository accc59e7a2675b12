"""config.json of every family: shapes, defaults that files leave out, and refusals."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.catalog.configs import from_config, read_config
from headway.domain.errors import UserError
from headway.work.parameters import count_parameters

LLAMA: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 2048, "num_hidden_layers": 22, "num_attention_heads": 32,
    "num_key_value_heads": 4, "intermediate_size": 5632, "vocab_size": 32000, "tie_word_embeddings": False,
    "max_position_embeddings": 2048, "rms_norm_eps": 1e-05,
}  # fmt: skip
ENCODER: dict[str, Any] = {
    "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
}  # fmt: skip
GPT2 = {"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "n_inner": None, "vocab_size": 50257}
MOE = {
    **LLAMA, "hidden_size": 2048, "num_hidden_layers": 48, "num_key_value_heads": 4, "head_dim": 128,
    "intermediate_size": 6144, "moe_intermediate_size": 768, "num_experts": 128, "num_experts_per_tok": 8,
    "vocab_size": 151936,
}  # fmt: skip
T5 = {
    "model_type": "t5", "d_model": 512, "num_layers": 6, "num_heads": 8, "d_ff": 2048, "d_kv": 64, "vocab_size": 32128,
}  # fmt: skip
BART = {
    "model_type": "bart", "d_model": 768, "encoder_layers": 6, "decoder_layers": 6, "encoder_attention_heads": 12,
    "encoder_ffn_dim": 3072, "decoder_ffn_dim": 3072, "vocab_size": 50265, "max_position_embeddings": 1024,
}  # fmt: skip
CHATGLM = {
    "model_type": "chatglm", "hidden_size": 4096, "num_layers": 28, "num_attention_heads": 32, "kv_channels": 128,
    "multi_query_attention": True, "multi_query_group_num": 2, "ffn_hidden_size": 13696, "padded_vocab_size": 65024,
    "add_qkv_bias": True, "add_bias_linear": False, "tie_word_embeddings": False,
}  # fmt: skip
DEEPSEEK = {
    **LLAMA, "model_type": "deepseek", "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 16,
    "intermediate_size": 10944, "moe_intermediate_size": 1408, "n_routed_experts": 64, "n_shared_experts": 2,
    "num_experts_per_tok": 6, "first_k_dense_replace": 1, "moe_layer_freq": 1, "vocab_size": 102400,
}  # fmt: skip
FALCON = {
    "model_type": "falcon", "hidden_size": 4544, "num_hidden_layers": 32, "num_attention_heads": 71,
    "vocab_size": 65024, "bias": False, "parallel_attn": True, "multi_query": True, "new_decoder_architecture": False,
}  # fmt: skip
MPT = {"model_type": "mpt", "d_model": 4096, "n_layers": 32, "n_heads": 32, "vocab_size": 50432, "no_bias": True}
GEMMA3_4B = {
    "model_type": "gemma3",
    "text_config": {"model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240,
                    "num_hidden_layers": 34, "sliding_window": 1024},
    "vision_config": {"hidden_size": 1152},
}  # fmt: skip

# Published counts (hub safetensors metadata; Gemma 3 4B: the total less vision tower and projector).
COUNTS: list[tuple[dict[str, Any], int]] = [
    (LLAMA, 1_100_048_384),
    (GPT2, 124_439_808),
    ({**LLAMA, "model_type": "qwen2", "hidden_size": 896, "num_hidden_layers": 24, "num_attention_heads": 14,
      "num_key_value_heads": 2, "intermediate_size": 4864, "vocab_size": 151936, "tie_word_embeddings": True},
     494_032_768),
    ({**MOE, "model_type": "qwen3_moe"}, 30_532_122_624),
    ({"model_type": "bert", **ENCODER, "vocab_size": 30522}, 109_482_240),
    ({"model_type": "roberta", **ENCODER, "vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1},
     124_645_632),
    (T5, 60_506_624),
    ({**T5, "d_model": 768, "num_layers": 12, "num_heads": 12, "feed_forward_proj": "gated-gelu",
      "tie_word_embeddings": False}, 247_577_856),
    (CHATGLM, 6_243_584_000),
    (DEEPSEEK, 16_375_728_128),
    (FALCON, 6_921_720_704),
    (MPT, 6_649_286_656),
    (GEMMA3_4B, 3_880_263_168),
]  # fmt: skip


@pytest.mark.parametrize(("config", "parameters"), COUNTS, ids=lambda value: value if isinstance(value, int) else "")
def test_a_config_gives_the_published_count(config: dict[str, Any], parameters: int) -> None:
    assert count_parameters(from_config(config, "model")).total == parameters


def test_defaults_that_files_leave_out() -> None:
    gpt2 = from_config(GPT2, "gpt2")
    assert (gpt2.ffn, gpt2.tied, gpt2.learned_positions, gpt2.kv_heads) == (3072, True, 1024, 12)
    gemma = from_config(GEMMA3_4B, "gemma-3-4b")
    assert (gemma.heads, gemma.kv_heads, gemma.head_dim, gemma.window_every, gemma.norms_per_layer) == (8, 4, 256, 6, 4)
    qwen3 = from_config({**LLAMA, "model_type": "qwen3", "head_dim": None}, "q")
    assert (qwen3.head_dim, qwen3.qk_norm) == (128, True)
    assert from_config({**LLAMA, "num_key_value_heads": None}, "mha").kv_heads == 32
    assert not from_config({**LLAMA, "tie_word_embeddings": None}, "llama").tied
    assert from_config({**LLAMA, "model_type": "gemma", "tie_word_embeddings": None}, "gemma").tied


def test_windows() -> None:
    mistral = {**LLAMA, "model_type": "mistral"}
    assert from_config({**mistral, "sliding_window": 4096}, "v0.1").sliding_window == 4096
    assert from_config({**mistral, "sliding_window": None}, "v0.3").sliding_window == 0
    qwen2 = {**LLAMA, "model_type": "qwen2", "sliding_window": 131072}
    assert from_config({**qwen2, "use_sliding_window": False}, "q").sliding_window == 0
    modern = from_config({"model_type": "modernbert", **ENCODER, "vocab_size": 50368}, "m")
    assert (modern.sliding_window, modern.window_every) == (128, 3)


def test_blocks_that_read_one_norm() -> None:
    assert from_config(FALCON, "f").norms_per_layer == 1
    falcon40 = from_config({**FALCON, "new_decoder_architecture": True, "num_kv_heads": 8}, "f")
    assert (falcon40.norms_per_layer, falcon40.kv_heads, falcon40.parallel_block) == (2, 8, True)
    phi = from_config({**LLAMA, "model_type": "phi", "intermediate_size": None}, "phi")
    assert (phi.parallel_block, phi.norms_per_layer, phi.gated, phi.ffn, phi.head_bias) == (True, 1, False, 8192, True)


def test_experts() -> None:
    deepseek = from_config(DEEPSEEK, "d")
    assert (deepseek.experts, deepseek.experts_per_token, deepseek.ffn) == (64, 6, 1408)
    assert (deepseek.shared_ffn, deepseek.dense_layers, deepseek.dense_ffn) == (2816, 1, 10944)
    mixtral = from_config({**LLAMA, "model_type": "mixtral"}, "m")
    assert (mixtral.experts, mixtral.experts_per_token, mixtral.ffn, mixtral.shared_ffn) == (8, 2, 5632, 0)


def test_encoder_decoders_have_two_stacks() -> None:
    t5 = from_config(T5, "t5")
    assert (t5.layers, t5.decoder_layers, t5.family, t5.relative_position_buckets) == (6, 6, "encoder-decoder", 32)
    bart = from_config(BART, "bart")
    assert (bart.decoder_layers, bart.learned_positions, bart.final_norm) == (6, 1026, False)


def test_an_unknown_type_with_llama_keys_is_read_as_llama_and_says_so() -> None:
    known, unknown = from_config(LLAMA, "x"), from_config({**LLAMA, "model_type": "exaone9"}, "x")
    assert unknown.source == "config.json (exaone9, read as llama)"
    assert known.source == "config.json (llama)"
    assert (unknown.hidden, unknown.gated, unknown.ffn) == (known.hidden, known.gated, known.ffn)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_hidden_layers": None}, "`num_hidden_layers`"),
        ({"hidden_size": None}, "`hidden_size`"),
        ({"vocab_size": None}, "`vocab_size`"),
        ({"vocab_size": "many"}, "vocab_size = 'many'"),
        ({"hidden_size": -1}, "hidden_size = -1"),
        ({"num_attention_heads": 0}, "must be positive"),
        ({"kv_lora_rank": 512}, "latent attention"),
        ({"mamba_d_state": 128}, "State-space"),
        ({"model_type": "albert", "num_hidden_groups": 1}, "ALBERT"),
        ({"model_type": "opt", "word_embed_proj_dim": 512}, "opt-350m"),
        ({"model_type": "electra", "embedding_size": 128}, "ELECTRA small"),
        ({"model_type": "deberta-v2"}, "DeBERTa-v3"),
        ({"model_type": "pegasus", "is_encoder_decoder": True}, "'pegasus' are not known"),
        ({"num_experts": 8, "num_experts_per_tok": 2, "decoder_sparse_step": 2}, "dense blocks between"),
        ({"num_experts": 8}, "`num_experts_per_tok`"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(change: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as caught:
        from_config({**LLAMA, **change}, "acme/model")
    assert words.lower() in str(caught.value).lower()
    assert "acme/model" in str(caught.value)


def test_a_missing_key_is_asked_for() -> None:
    with pytest.raises(UserError) as caught:
        from_config({"model_type": "llama"}, "acme/model")
    assert str(caught.value) == (
        "a model's config must state its shape, got acme/model: no `hidden_size`, `n_embd`, `d_model`, `dim`, "
        "`n_embed`. Add `hidden_size` as a whole number"
    )


def test_a_folder_or_a_file_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "my-model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(LLAMA))
    assert read_config(folder) == read_config(folder / "config.json")
    assert read_config(folder).name == "my-model"


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00\x01", "[" * 100_000])
def test_a_broken_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(text)
    with pytest.raises(UserError, match=r"config\.json must be"):
        read_config(file)


def test_a_missing_or_binary_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(UserError, match="must be JSON"):
        read_config(tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 10**6) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)
SAMPLES = [config for config, _ in COUNTS] + [BART, {**LLAMA, "model_type": "mixtral"}]


@given(data=st.data())
def test_any_value_of_any_key_is_read_or_refused(data: st.DataObject) -> None:
    """No file makes a traceback: what comes back is a shape or a `UserError`."""
    config = dict(data.draw(st.sampled_from(SAMPLES)))
    key = data.draw(
        st.sampled_from([*sorted(config), "attn_config", "mlp_only_layers", "text_config", "sliding_window"])
    )
    config[key] = data.draw(JSON)
    with suppress(UserError):
        assert from_config(config, "model").hidden > 0
