"""Architectures from Hugging Face `config.json` files.

Owns what the keys of each model family mean and which values a file may leave out (transformers' documented
defaults). What a block computes beside its matrices is `blocks.py`, the table of well-known models `models.py`;
counting parameters and work is `work/`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headway.catalog.blocks import block_fields
from headway.domain.errors import UserError
from headway.domain.experiment import Architecture

_LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers", "encoder_layers")
_HIDDEN = ("hidden_size", "n_embd", "d_model", "dim", "n_embed")
_HEADS = ("num_attention_heads", "n_head", "num_heads", "n_heads", "encoder_attention_heads")
_KV_HEADS = ("num_key_value_heads", "multi_query_group_num", "num_kv_heads")
_FFN = ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "d_ff", "hidden_dim", "encoder_ffn_dim")
_VOCAB = ("padded_vocab_size", "vocab_size")
_POSITIONS = ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length", "max_seq_len", "n_ctx")
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")


@dataclass(frozen=True, slots=True)
class _Keys:
    """A parsed config.json that knows which keys were missed; null counts as absent, as in transformers."""

    values: Mapping[str, Any]
    name: str

    def get(self, *keys: str, default: Any = None) -> Any:
        return next((self.values[key] for key in keys if self.values.get(key) is not None), default)

    def count(self, *keys: str, default: int | None = None) -> int:
        value = self.get(*keys, default=default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not float(value).is_integer() or value < 0:
            got = f"{self.name}: no `{'`, `'.join(keys)}`" if value is None else f"{self.name}: {keys[0]} = {value!r}"
            raise UserError("a model's config must state its shape", got=got, hint=f"Add `{keys[0]}` as a whole number")
        return int(value)

    def flag(self, *keys: str, default: bool) -> bool:
        return bool(self.get(*keys, default=default))


Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Family:
    """What all models of one `model_type` share."""

    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `Architecture` that no key changes."""
    absent: Mapping[str, Any] = field(default_factory=dict)
    """Values of keys that a file may leave out."""
    adjust: Callable[[_Keys, Fields], Fields] = lambda keys, fields: {}
    """Fields that depend on several keys."""


_BIASED = {"qkv_bias": True, "out_bias": True, "mlp_bias": True, "norm_bias": True}
_CLASSIC = {**_BIASED, "gated": False}
_ENCODER = {**_CLASSIC, "family": "encoder", "embedding_norm": True, "final_norm": False, "head": "none"}
_TIED = {"tie_word_embeddings": True}


def _learned(offset: int = 0) -> Callable[[_Keys, Fields], Fields]:
    """A learned position table with `offset` spare rows (OPT and BART keep 2 before position 0)."""
    return lambda keys, fields: {"learned_positions": fields["max_positions"] + offset}


def _gpt_bigcode(keys: _Keys, fields: Fields) -> Fields:
    shared = keys.flag("multi_query", default=True)
    return {"learned_positions": fields["max_positions"], "kv_heads": 1 if shared else fields["heads"]}


def _gpt_neo(keys: _Keys, fields: Fields) -> Fields:
    window = keys.count("window_size", default=256)
    return {"learned_positions": fields["max_positions"], "sliding_window": window, "window_every": 2}


def _gpt_neox(keys: _Keys, fields: Fields) -> Fields:
    biased = keys.flag("attention_bias", default=True)
    return {
        "parallel_block": keys.flag("use_parallel_residual", default=True),
        "qkv_bias": biased,
        "out_bias": biased,
    }


def _opt(keys: _Keys, fields: Fields) -> Fields:
    if keys.count("word_embed_proj_dim", default=fields["hidden"]) != fields["hidden"]:
        raise _refused(keys.name, "its embedding is narrower than its blocks (opt-350m)")
    return {"learned_positions": fields["max_positions"] + 2}


def _llama(keys: _Keys, fields: Fields) -> Fields:
    biased = keys.flag("attention_bias", "bias", default=False)
    return {"qkv_bias": biased, "out_bias": biased, "mlp_bias": keys.flag("mlp_bias", default=False)}


def _windowed(keys: _Keys, fields: Fields) -> Fields:
    on = keys.flag("use_sliding_window", default=True)
    return {"sliding_window": keys.count("sliding_window", default=0) if on else 0}


def _qwen2(keys: _Keys, fields: Fields) -> Fields:
    on = keys.flag("use_sliding_window", default=False)
    return {"sliding_window": keys.count("sliding_window", default=4096) if on else 0}


def _qwen3(keys: _Keys, fields: Fields) -> Fields:
    return _llama(keys, fields) | _qwen2(keys, fields)


def _gemma2(keys: _Keys, fields: Fields) -> Fields:
    return {"sliding_window": keys.count("sliding_window", default=4096), "window_every": 2}


def _gemma3(keys: _Keys, fields: Fields) -> Fields:
    every = keys.count("sliding_window_pattern", "_sliding_window_pattern", default=6)
    return {"sliding_window": keys.count("sliding_window", default=4096), "window_every": every}


def _falcon(keys: _Keys, fields: Fields) -> Fields:
    parallel = keys.flag("parallel_attn", default=True)
    new = keys.flag("new_decoder_architecture", default=False)
    shared = keys.flag("multi_query", default=True) and not new
    norms = keys.count("num_ln_in_parallel_attn", default=2 if new else 1) if parallel else 2
    biased = keys.flag("bias", default=False)
    return {
        "parallel_block": parallel,
        "norms_per_layer": norms,
        "kv_heads": 1 if shared else keys.count("num_kv_heads", "n_head_kv", default=fields["heads"]),
        "qkv_bias": biased,
        "out_bias": biased,
        "mlp_bias": biased,
    }


def _mpt(keys: _Keys, fields: Fields) -> Fields:
    attention = keys.get("attn_config")
    attention = attention if isinstance(attention, Mapping) else {}
    biased = not keys.flag("no_bias", default=True)
    return {
        **dict.fromkeys(_BIASED, biased),
        "ffn": keys.count("expansion_ratio", default=4) * fields["hidden"],
        "kv_heads": _Keys(attention, keys.name).count("kv_n_heads", default=fields["heads"]),
        "learned_positions": 0 if attention.get("alibi", True) else fields["max_positions"],
    }


def _stablelm(keys: _Keys, fields: Fields) -> Fields:
    parallel = keys.flag("use_parallel_residual", default=False)
    return {
        "qkv_bias": keys.flag("use_qkv_bias", default=False),
        "parallel_block": parallel,
        "norms_per_layer": 1 if parallel else 2,
        "qk_norm": keys.flag("qk_layernorm", default=False),
    }


def _cohere(keys: _Keys, fields: Fields) -> Fields:
    return {"qk_norm": keys.flag("use_qk_norm", default=False)} | _llama(keys, fields)


def _starcoder2(keys: _Keys, fields: Fields) -> Fields:
    biased = keys.flag("use_bias", default=True)
    linear = {"qkv_bias": biased, "out_bias": biased, "mlp_bias": biased}
    return linear | {"sliding_window": keys.count("sliding_window", default=0)}


def _chatglm(keys: _Keys, fields: Fields) -> Fields:
    biased = keys.flag("add_bias_linear", default=False)
    return {
        "head_dim": keys.count("kv_channels", default=fields["head_dim"]),
        "kv_heads": fields["kv_heads"] if keys.flag("multi_query_attention", default=False) else fields["heads"],
        "qkv_bias": biased or keys.flag("add_qkv_bias", default=False),
        "out_bias": biased,
        "mlp_bias": biased,
    }


def _bert(keys: _Keys, fields: Fields) -> Fields:
    tables = {"learned_positions": fields["max_positions"], "token_types": keys.count("type_vocab_size", default=2)}
    if keys.count("embedding_size", default=fields["hidden"]) != fields["hidden"]:
        raise _refused(keys.name, "its embedding is narrower than its blocks (ELECTRA small)")
    return tables


def _deberta(keys: _Keys, fields: Fields) -> Fields:
    """DeBERTa-v3: one table of relative positions, normalised like a final norm, shared by all blocks."""
    if not keys.flag("share_att_key", default=False) or keys.count("conv_kernel_size", default=0):
        raise _refused(keys.name, "only the DeBERTa-v3 form (shared attention keys, no convolution) is known")
    return {
        "learned_positions": 2 * keys.count("position_buckets", default=256),
        "token_types": keys.count("type_vocab_size", default=0),
        "final_norm": keys.get("norm_rel_ebd", default="none") == "layer_norm",
    }


def _modernbert(keys: _Keys, fields: Fields) -> Fields:
    """The embedding's norm stands for the first block's attention norm, which ModernBERT leaves out."""
    return {
        "sliding_window": keys.count("local_attention", default=128),
        "window_every": keys.count("global_attn_every_n_layers", default=3),
    }


def _t5(keys: _Keys, fields: Fields) -> Fields:
    return {
        "decoder_layers": keys.count("num_decoder_layers", default=fields["layers"]),
        "head_dim": keys.count("d_kv", default=64),
        "gated": str(keys.get("feed_forward_proj", default="relu")).startswith("gated"),
        "relative_position_buckets": keys.count("relative_attention_num_buckets", default=32),
    }


def _bart(keys: _Keys, fields: Fields) -> Fields:
    if keys.count("decoder_ffn_dim", default=fields["ffn"]) != fields["ffn"]:
        raise _refused(keys.name, "its decoder's feed-forward is of another width than its encoder's")
    return {"decoder_layers": keys.count("decoder_layers"), "learned_positions": fields["max_positions"] + 2}


_PARALLEL = {"parallel_block": True, "norms_per_layer": 1}
_FOUR_NORMS = {"norms_per_layer": 4}
_SEQ2SEQ = {"family": "encoder-decoder"}
_BERT = _Family({**_ENCODER, "pooler": True}, {**_TIED, "max_position_embeddings": 512}, _bert)
_GEMMA = {**_TIED, "head_dim": 256}
_T5 = _Family({**_SEQ2SEQ}, _TIED, _t5)
_LLAMA = _Family(adjust=_llama)
_FAMILIES: Mapping[str, _Family] = {
    "gpt2": _Family(_CLASSIC, {**_TIED, "n_positions": 1024}, _learned()),
    "gpt_bigcode": _Family(_CLASSIC, {**_TIED, "n_positions": 1024}, _gpt_bigcode),
    "gpt_neo": _Family({**_CLASSIC, "qkv_bias": False}, _TIED, _gpt_neo),
    "gptj": _Family({**_PARALLEL, "gated": False, "mlp_bias": True, "norm_bias": True, "head_bias": True}),
    "gpt_neox": _Family(_CLASSIC, adjust=_gpt_neox),
    "opt": _Family(_CLASSIC, _TIED, _opt),
    "bloom": _Family({**_CLASSIC, "embedding_norm": True}, _TIED),
    "llama": _LLAMA,
    "mistral": _Family(adjust=_windowed),
    "mixtral": _Family(absent={"num_local_experts": 8, "num_experts_per_tok": 2}, adjust=_windowed),
    "qwen": _Family({"qkv_bias": True}, adjust=lambda keys, fields: {"ffn": fields["ffn"] // 2}),
    "qwen2": _Family({"qkv_bias": True}, adjust=_qwen2),
    "qwen2_moe": _Family({"qkv_bias": True}, adjust=_qwen2),
    "qwen3": _Family({"qk_norm": True}, {"head_dim": 128}, _qwen3),
    "qwen3_moe": _Family({"qk_norm": True}, adjust=_qwen3),
    "gemma": _Family({}, _GEMMA),
    "gemma2": _Family(_FOUR_NORMS, _GEMMA, _gemma2),
    "gemma3_text": _Family(
        {**_FOUR_NORMS, "qk_norm": True},
        {**_GEMMA, "vocab_size": 262208, "num_attention_heads": 8, "num_key_value_heads": 4},
        _gemma3,
    ),
    "phi": _Family({**_CLASSIC, **_PARALLEL, "head_bias": True}),
    "phi3": _Family(adjust=_windowed),
    "falcon": _Family({"gated": False, "norm_bias": True}, _TIED, _falcon),
    "RefinedWebModel": _Family({"gated": False, "norm_bias": True}, _TIED, _falcon),
    "mpt": _Family({"gated": False}, _TIED, _mpt),
    "stablelm": _Family({"norm_bias": True}, adjust=_stablelm),
    "olmo": _Family({"norms_per_layer": 0, "final_norm": False}, adjust=_llama),
    "olmo2": _Family({"qk_norm": True}, adjust=_llama),
    "olmoe": _Family({"qk_norm": True}, {"num_experts": 64, "num_experts_per_tok": 8}, _llama),
    "granite": _LLAMA,
    "granitemoe": _LLAMA,
    "cohere": _Family(_PARALLEL, _TIED, _cohere),
    "starcoder2": _Family({"gated": False, "norm_bias": True}, _TIED, _starcoder2),
    "smollm3": _Family({}, _TIED, _llama),
    "internlm": _Family(adjust=_llama),
    "internlm2": _LLAMA,
    "baichuan": _LLAMA,
    "chatglm": _Family({}, adjust=_chatglm),
    "glm": _Family({"qkv_bias": True}),
    "deepseek": _LLAMA,
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "camembert": _BERT,
    "electra": _Family(_ENCODER, _TIED, _bert),
    "distilbert": _Family(_ENCODER, _TIED, _learned()),
    "deberta-v2": _Family(_ENCODER, _TIED, _deberta),
    "modernbert": _Family({"family": "encoder", "head": "none"}, _TIED, _modernbert),
    "t5": _T5,
    "mt5": _T5,
    "bart": _Family({**_CLASSIC, **_SEQ2SEQ, "embedding_norm": True, "final_norm": False}, _TIED, _bart),
}
"""One entry per `model_type`; an entry not named here is read as Llama where its keys allow."""

_REFUSED = {
    "kv_lora_rank": "multi-head latent attention (DeepSeek-V2/V3) is not described yet",
    "ssm_cfg": "state-space layers are not described yet",
    "state_size": "state-space layers are not described yet",
    "mamba_d_state": "state-space layers are not described yet",
    "linear_num_key_heads": "linear-attention layers are not described yet",
    "num_hidden_groups": "layers that share their weights (ALBERT) are not described yet",
}
"""Keys that say an architecture is of a kind that `Architecture` cannot express."""


def from_config(config: Mapping[str, Any], name: str) -> Architecture:
    """The architecture that a parsed `config.json` describes.

    A multimodal file is read by its `text_config`. An unknown `model_type` with Llama's keys is read as Llama, and
    `source` says so. Raises `UserError` naming the key that is missing or the feature that cannot be expressed.
    Source of defaults: transformers 5.23 configuration classes.
    """
    if isinstance(text := config.get("text_config"), Mapping):
        config = {"model_type": config.get("model_type"), **text}
    for key, reason in _REFUSED.items():
        if config.get(key) is not None:
            raise _refused(name, reason)
    kind = str(config.get("model_type") or "")
    family = _FAMILIES.get(kind)
    if family is None and config.get("is_encoder_decoder"):
        raise _refused(name, f"encoder-decoders of type {kind!r} are not known")
    read_as = kind if family else f"{kind or 'no model_type'}, read as llama"
    family = family or _LLAMA
    keys = _Keys({**family.absent, **{k: v for k, v in config.items() if v is not None}}, name)
    fields = _shape(keys)
    fields |= _experts(keys, fields)
    fields |= family.fixed
    fields |= family.adjust(keys, fields)
    fields |= block_fields(kind, config, name)
    return Architecture(**fields, name=name, source=f"config.json ({read_as})")


def read_config(path: str | Path) -> Architecture:
    """The architecture of a local model: a folder that holds `config.json`, or the file itself.

    Raises `UserError` where there is no such file, it is not readable, or it is not a JSON object.
    """
    file = Path(path)
    if file.is_dir():
        file = file / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError("a model's config.json must be readable", got=f"{file}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise UserError("a model's config.json must be JSON", got=str(file)) from None
    if not isinstance(config, dict):
        raise UserError("a model's config.json must be an object", got=str(file))
    return from_config(config, file.resolve().parent.name)


def _shape(keys: _Keys) -> Fields:
    """What nearly all families say with nearly the same keys."""
    hidden, heads = keys.count(*_HIDDEN), keys.count(*_HEADS)
    if not hidden or not heads:
        raise UserError("a model's width and heads must be positive", got=f"{keys.name}: {hidden} and {heads}")
    return {
        "family": "decoder",
        "layers": keys.count(*_LAYERS),
        "hidden": hidden,
        "heads": heads,
        "kv_heads": keys.count(*_KV_HEADS, default=heads),
        "ffn": keys.count(*_FFN, default=4 * hidden),
        "vocab": keys.count(*_VOCAB),
        "tied": keys.flag("tie_word_embeddings", default=False),
        "gated": True,
        "head_dim": keys.count("head_dim", default=hidden // heads),
        "max_positions": keys.count(*_POSITIONS, default=0),
    }


def _experts(keys: _Keys, fields: Fields) -> Fields:
    """Mixture-of-experts keys, which are alike in all families that have them."""
    experts = keys.count(*_EXPERTS, default=0)
    if not experts:
        return {}
    width = keys.count("moe_intermediate_size", default=fields["ffn"])
    shared = keys.count("shared_expert_intermediate_size", default=0)
    dense = keys.get("mlp_only_layers")
    dense = dense if isinstance(dense, list) else []
    leading = keys.count("first_k_dense_replace", default=len(dense))
    if keys.count("decoder_sparse_step", "moe_layer_freq", default=1) != 1 or dense != list(range(len(dense))):
        raise _refused(keys.name, "dense blocks between those with experts are not described yet")
    return {
        "experts": experts,
        "experts_per_token": keys.count("num_experts_per_tok"),
        "ffn": width,
        "shared_ffn": shared or keys.count("n_shared_experts", default=0) * width,
        "dense_layers": leading,
        "dense_ffn": fields["ffn"] if leading else 0,
    }


def _refused(name: str, reason: str) -> UserError:
    return UserError("a model's architecture must be one that headway can describe", got=name, hint=reason.capitalize())
