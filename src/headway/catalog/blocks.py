"""What the blocks of each model family compute beside their matrices: activation, norms, dropout, softmax.

Owns these fields of `Architecture`: keys of a `config.json` where there are any, else what the family's code always
does. The shape is read in `configs.py`. Source: configuration and modelling files of transformers 5.23.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headway.domain.errors import UserError

_ACTIVATION = ("hidden_activation", "hidden_act", "activation_function", "activation")
_DROPOUT = ("resid_pdrop", "hidden_dropout_prob", "residual_dropout", "resid_dropout", "hidden_dropout", "dropout_rate",
            "dropout")  # fmt: skip
_ATTENTION_DROPOUT = ("attn_pdrop", "attention_probs_dropout_prob", "attention_dropout", "dropout_rate")

_ONE_QKV = frozenset(
    "gpt2 gpt_bigcode gpt_neox bloom falcon RefinedWebModel mpt phi3 baichuan internlm2 chatglm qwen modernbert".split()
)
"""Families whose query, key and value are one matrix (their modelling files)."""
_ONE_GATE_UP = frozenset(("phi3", "chatglm", "glm", "modernbert"))

Fields = Mapping[str, Any]
_NOISY: Fields = {"dropout": 0.1, "attention_dropout": 0.1}
_BERT: Fields = {**_NOISY, "activation": "gelu", "post_norm": True, "softmax": "native"}
_T5: Fields = {**_NOISY, "norm": "t5", "softmax": "native"}
_GEMMA: Fields = {"activation": "gelu_pytorch_tanh", "norm": "wide"}
_FALCON: Fields = {"activation": "gelu", "softmax": "native", "always_masked": True}
_FAMILIES: Mapping[str, Fields] = {
    "gpt2": {**_NOISY, "activation": "gelu_new", "softmax": "native"},
    "gpt_bigcode": {**_NOISY, "activation": "gelu_pytorch_tanh"},
    "gpt_neo": {"activation": "gelu_new"},
    "gptj": {"activation": "gelu_new", "partial_rotary": True},
    "gpt_neox": {"activation": "gelu", "partial_rotary": True},
    "opt": {"dropout": 0.1, "activation": "relu"},
    "bloom": {"activation": "gelu"},
    "gemma": _GEMMA,
    "gemma2": {**_GEMMA, "softmax": "capped"},
    "gemma3_text": _GEMMA,
    "phi": {"activation": "gelu_new", "partial_rotary": True},
    "phi3": {"partial_rotary": True},
    "falcon": _FALCON,
    "RefinedWebModel": _FALCON,
    "mpt": {"activation": "gelu", "norm": "layer"},
    "stablelm": {"partial_rotary": True},
    "olmo2": {"norm": "wide", "post_norm": True, "qk_norm_whole": True},
    "olmoe": {"qk_norm_whole": True},
    "cohere": {"norm": "wide"},
    "starcoder2": {"activation": "gelu_pytorch_tanh"},
    "chatglm": {"partial_rotary": True},
    "glm": {"partial_rotary": True},
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "camembert": _BERT,
    "electra": _BERT,
    "distilbert": _BERT,
    "deberta-v2": _BERT,
    "modernbert": {"activation": "gelu", "norm": "layer"},
    "t5": _T5,
    "mt5": _T5,
    "bart": {"dropout": 0.1, "activation": "gelu", "post_norm": True, "softmax": "native"},
}
"""By `model_type`: what a file may leave out (activation and dropout) and what no key changes; none: Llama's."""


def block_fields(kind: str, config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The fields of `Architecture` for which a parsed config of the `model_type` `kind` decides here.

    Raises `UserError` naming the key whose value is of the wrong kind.
    """
    found = dict(_FAMILIES.get(kind, {}))
    activation = _first(config, _ACTIVATION)
    if kind in ("t5", "mt5"):  # `gated-gelu` means GPT-2's (T5Config)
        word = str(config.get("feed_forward_proj") or "relu")
        activation = ("feed_forward_proj", "gelu_new" if word == "gated-gelu" else word.removeprefix("gated-"))
    if activation is not None:
        found["activation"] = _checked(activation, name, isinstance(activation[1], str))
    for field, keys in (("dropout", _DROPOUT), ("attention_dropout", _ATTENTION_DROPOUT)):
        if (share := _first(config, keys)) is not None:
            number = isinstance(share[1], int | float) and not isinstance(share[1], bool) and 0 <= share[1] < 1
            found[field] = float(_checked(share, name, number))
    if kind == "gemma2" and not config.get("attn_logit_softcapping", True):
        found["softmax"] = "fp32"
    return found | {"fused_qkv": kind in _ONE_QKV, "fused_gate_up": kind in _ONE_GATE_UP}


def _first(config: Mapping[str, Any], keys: tuple[str, ...]) -> tuple[str, Any] | None:
    """The first key that has a value, and the value; null counts as absent, as in transformers."""
    return next(((key, config[key]) for key in keys if config.get(key) is not None), None)


def _checked(item: tuple[str, Any], name: str, right: bool) -> Any:
    if not right:
        raise UserError("a model's config must say what its blocks compute", got=f"{name}: {item[0]} = {item[1]!r}",
                        hint=f"Correct `{item[0]}`, or leave it out")  # fmt: skip
    return item[1]
