"""What a config says of a block beside its shape: keys, families' defaults, refusals."""

from __future__ import annotations

from typing import Any

import pytest

from headway.catalog.blocks import block_fields
from headway.domain.errors import UserError


def read(kind: str, **config: Any) -> dict[str, Any]:
    return block_fields(kind, config, "mine")


def test_a_llama_differs_in_nothing() -> None:
    assert read("llama") == {"fused_qkv": False, "fused_gate_up": False}
    assert read("llama", hidden_act="relu", attention_dropout=0.1)["activation"] == "relu"


@pytest.mark.parametrize(
    ("kind", "config", "expected"),
    [
        ("gpt2", {}, {"activation": "gelu_new", "dropout": 0.1, "attention_dropout": 0.1, "softmax": "native"}),
        ("gpt2", {"resid_pdrop": 0.0, "attn_pdrop": 0}, {"dropout": 0.0, "attention_dropout": 0.0}),
        ("opt", {"attention_dropout": 0.0}, {"activation": "relu", "dropout": 0.1, "attention_dropout": 0.0}),
        ("phi", {"resid_pdrop": 0.1}, {"activation": "gelu_new", "dropout": 0.1, "partial_rotary": True}),
        ("bert", {"hidden_dropout_prob": 0.0}, {"post_norm": True, "dropout": 0.0, "attention_dropout": 0.1}),
        ("t5", {"feed_forward_proj": "gated-gelu"}, {"activation": "gelu_new", "norm": "t5"}),
        ("t5", {"feed_forward_proj": "gated-silu", "dropout_rate": 0.0}, {"activation": "silu", "dropout": 0.0}),
        ("mt5", {}, {"activation": "relu", "dropout": 0.1}),
        ("gemma", {"hidden_act": "gelu", "hidden_activation": None}, {"activation": "gelu", "norm": "wide"}),
        ("gemma2", {}, {"softmax": "capped"}),
        ("gemma2", {"attn_logit_softcapping": None}, {"softmax": "fp32"}),
        ("olmo2", {}, {"post_norm": True, "norm": "wide", "qk_norm_whole": True}),
        ("modernbert", {}, {"fused_qkv": True, "fused_gate_up": True, "norm": "layer", "activation": "gelu"}),
        ("falcon", {}, {"always_masked": True, "softmax": "native", "fused_qkv": True}),
    ],
)
def test_families(kind: str, config: dict[str, Any], expected: dict[str, Any]) -> None:
    found = read(kind, **config)
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("config", "got"),
    [
        ({"hidden_act": 3}, "mine: hidden_act = 3"),
        ({"resid_pdrop": "a tenth"}, "mine: resid_pdrop = 'a tenth'"),
        ({"attn_pdrop": True}, "mine: attn_pdrop = True"),
        ({"attn_pdrop": 1.5}, "mine: attn_pdrop = 1.5"),
    ],
)
def test_a_wrong_value_is_named(config: dict[str, Any], got: str) -> None:
    with pytest.raises(UserError) as refused:
        read("gpt2", **config)
    assert refused.value.got == got
