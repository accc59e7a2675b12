"""A `config.json` for an architecture of the catalog, so that the model itself can be made.

Owns the way back from `Architecture` to the keys of transformers' configurations; the way there is `configs.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from headway.catalog.configs import from_config
from headway.domain.errors import UserError
from headway.domain.experiment import Architecture

Config = dict[str, Any]
_ABOUT = frozenset(("name", "source", "date", "parameters_stated"))
"""What an architecture says of itself that no configuration repeats."""


def _common(arch: Architecture) -> Config:
    """The keys that most families share."""
    found: Config = {
        "num_hidden_layers": arch.layers,
        "hidden_size": arch.hidden,
        "num_attention_heads": arch.heads,
        "num_key_value_heads": arch.kv_heads,
        "head_dim": arch.head_dim,
        "intermediate_size": arch.ffn,
        "vocab_size": arch.vocab,
        "tie_word_embeddings": arch.tied,
        "max_position_embeddings": arch.max_positions,
        "sliding_window": arch.sliding_window or None,
        "use_sliding_window": bool(arch.sliding_window),
        "bos_token_id": 0,
        "eos_token_id": 0,
        "pad_token_id": 0,
    }
    return found


def _llama(arch: Architecture) -> Config:
    return _common(arch) | {"attention_bias": arch.qkv_bias, "mlp_bias": arch.mlp_bias}


def _mixtral(arch: Architecture) -> Config:
    return _common(arch) | {"num_local_experts": arch.experts, "num_experts_per_tok": arch.experts_per_token}


def _qwen3_moe(arch: Architecture) -> Config:
    experts = {"num_experts": arch.experts, "num_experts_per_tok": arch.experts_per_token}
    return _common(arch) | experts | {"moe_intermediate_size": arch.ffn}


def _olmoe(arch: Architecture) -> Config:
    return _common(arch) | {"num_experts": arch.experts, "num_experts_per_tok": arch.experts_per_token}


def _gpt2(arch: Architecture) -> Config:
    return {
        "n_layer": arch.layers,
        "n_embd": arch.hidden,
        "n_head": arch.heads,
        "n_inner": arch.ffn,
        "vocab_size": arch.vocab,
        "n_positions": arch.max_positions,
        "tie_word_embeddings": arch.tied,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }


def _gemma(arch: Architecture) -> Config:
    return _common(arch) | {"sliding_window_pattern": arch.window_every}


def _bert(arch: Architecture) -> Config:
    return _common(arch) | {"type_vocab_size": arch.token_types}


def _phi(arch: Architecture) -> Config:
    return _common(arch) | {"resid_pdrop": arch.dropout}


def _opt(arch: Architecture) -> Config:
    shape = {"ffn_dim": arch.ffn, "word_embed_proj_dim": arch.hidden}
    return _common(arch) | shape | {"dropout": arch.dropout, "attention_dropout": arch.attention_dropout}


def _starcoder2(arch: Architecture) -> Config:
    return _common(arch) | {"residual_dropout": arch.dropout, "attention_dropout": arch.attention_dropout}


def _modernbert(arch: Architecture) -> Config:
    return _common(arch) | {"local_attention": arch.sliding_window, "global_attn_every_n_layers": arch.window_every}


def _t5(arch: Architecture) -> Config:
    activation = {"gelu_new": "gelu"}.get(arch.activation, arch.activation)
    return {
        "d_model": arch.hidden,
        "d_ff": arch.ffn,
        "d_kv": arch.head_dim,
        "num_layers": arch.layers,
        "num_decoder_layers": arch.decoder_layers,
        "num_heads": arch.heads,
        "vocab_size": arch.vocab,
        "tie_word_embeddings": True,  # T5Config of transformers 5 ties whatever the file says
        "feed_forward_proj": f"gated-{activation}" if arch.gated else activation,
        "dropout_rate": arch.dropout,
        "relative_attention_num_buckets": arch.relative_position_buckets,
        "is_encoder_decoder": True,
        "decoder_start_token_id": 0,
        "pad_token_id": 0,
    }


_WRITERS: Mapping[str, Callable[[Architecture], Config]] = {
    "llama": _llama,
    "mistral": _common,
    "qwen2": _common,
    "qwen3": _common,
    "phi3": _common,
    "gemma": _common,
    "olmo2": _common,
    "olmoe": _olmoe,
    "mixtral": _mixtral,
    "qwen3_moe": _qwen3_moe,
    "gemma2": _gemma,
    "gemma3_text": _gemma,
    "gpt2": _gpt2,
    "gpt_neox": _common,
    "phi": _phi,
    "opt": _opt,
    "starcoder2": _starcoder2,
    "bert": _bert,
    "modernbert": _modernbert,
    "t5": _t5,
}
"""By `model_type`; the first that reads back as the same architecture is taken."""


def config_of(arch: Architecture) -> Config:
    """A configuration whose model has exactly the shape of `arch`: what `configs.from_config` reads as `arch` again.

    Families that have the same shape (Gemma and Llama) cannot be told apart, so it may be another family's.
    Raises UserError where no family that is known here reads back the same.
    """
    for kind, write in _WRITERS.items():
        config = {"model_type": kind} | {key: value for key, value in write(arch).items() if value is not None}
        if _shape(from_config(config, arch.name)) == _shape(arch):
            return config
    raise UserError("the model's own config.json is needed", got=arch.name,
                    hint="The catalog's row does not say enough; give the folder that holds config.json")  # fmt: skip


def _shape(arch: Architecture) -> tuple[object, ...]:
    return tuple(getattr(arch, item.name) for item in fields(arch) if item.name not in _ABOUT)
