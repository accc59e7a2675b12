"""The model of a row: the catalog's where name and shape agree, else what the shape columns say.

Owns what a shape leaves open (gate, tied head, head width), decided by the parameter count that the row states.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from typing import Any

from headway.catalog.models import find_model
from headway.domain.errors import UserError
from headway.domain.experiment import Architecture
from headway.work.parameters import count_parameters
from reading.cells import Row, Unreadable, count, noted, number

_ENCODER = re.compile(r"\b(bert|roberta|electra|deberta|modernbert)", re.IGNORECASE)
_SPARSE = re.compile(r"moe|mixtral|\da\d|-a\d|deepseek[-_ ]?v[23]|gpt[-_ ]?oss", re.IGNORECASE)
_EXPERTS: dict[str, dict[str, Any]] = {
    "gptoss120b": {"experts": 128, "experts_per_token": 4, "ffn": 2880, "head_dim": 64},
    "deepseekv3": {
        "experts": 256,
        "experts_per_token": 8,
        "ffn": 2048,
        "shared_ffn": 2048,
        "dense_layers": 3,
        "dense_ffn": 18432,
        "kv_heads": 128,
        "head_dim": 128,
    },
}
"""Sparse models outside the catalog: openai/gpt-oss-120b config.json; DeepSeek-V3 (arXiv:2412.19437, section 4.2),
whose latent attention is counted as plain attention of 128 heads."""


@lru_cache(maxsize=4096)
def _named(model: str) -> Architecture | None:
    """The catalog's model for a name that may carry more words behind it (`Qwen-7B LoRA (emb)`)."""
    words = model.replace("_", "-").split()
    names = [model, *(" ".join(words[:kept]) for kept in range(len(words), 0, -1))]
    names.append(re.sub(r"\s+(?=\d|[bm]\b)", "", model, flags=re.IGNORECASE).replace(" ", "-"))
    for name in names:
        try:
            return find_model(name)
        except UserError:
            continue
    return None


def _heads(row: Row, hidden: int) -> tuple[int, int]:
    """Heads and the width of one: as noted (languini's heads x head_dim is not its width), else hidden / heads.

    A note of both wins over the column, which is that of the model's usual shape (modded-nanogpt's 6 heads of 128).
    """
    both, width = noted(row, r"n_heads=(\d+) with head_dim (\d+)"), noted(row, r"head_dim (\d+)")
    if both:
        return int(both[1]), int(both[2])
    heads = count(row, "n_heads") or max(1, hidden // (128 if hidden >= 2048 else 64))
    return heads, int(width[1]) if width else max(1, hidden // heads)


def _closest(candidates: list[Architecture], parameters: float | None) -> Architecture:
    """The candidate whose parameter count is nearest to the stated one; the first where none is stated."""
    if parameters is None:
        return candidates[0]
    return min(candidates, key=lambda arch: abs(count_parameters(arch).total / parameters - 1))


def _from_columns(row: Row, layers: int, hidden: int) -> Architecture:
    """A model from its shape: gated or not, tied or not, whichever gives the stated parameters.

    Without a gate it is of the GPT-2 or BERT kind: LayerNorm and biases. An empty cell takes what most models of that
    width have: heads of 128 (64 under a width of 2,048), a feed-forward of 4 x hidden (8/3 with a gate).
    """
    encoder = bool(_ENCODER.search(row["model"]))
    heads, head_dim = _heads(row, hidden)
    stated_ffn = count(row, "ffn")
    base = Architecture(
        name=row["model"],
        family="encoder" if encoder else "decoder",
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=min(count(row, "n_kv_heads") or heads, heads),
        ffn=stated_ffn or 4 * hidden,
        vocab=count(row, "vocab") or (30522 if encoder else 50257),
        tied=True,
        gated=False,
        head_dim=head_dim,
        head=("mlm" if row["task"] == "pretrain" else "none") if encoder else "lm",
        source="shape columns of the row",
    )
    plain = replace(base, qkv_bias=True, out_bias=True, mlp_bias=True, norm_bias=True)
    if encoder:
        return replace(plain, post_norm=True)
    gated = replace(base, gated=True, ffn=stated_ffn or round(8 * hidden / 3))
    pairs = [replace(arch, tied=tied) for arch in (gated, plain) for tied in (False, True)]
    parameters = number(row, "params_b")
    return _closest(pairs, None if parameters is None else parameters * 1e9)


def _as_dense(row: Row, arch: Architecture, active: float) -> Architecture:
    """An unknown sparse model as a dense one whose width gives the parameters that a token meets."""
    gated = replace(arch, gated=True, tied=False)
    fixed = count_parameters(replace(gated, ffn=1)).total
    width = (active * 1e9 - fixed) / (3 * arch.hidden * arch.layers)
    return replace(gated, ffn=max(64, round(width)))


def _active(row: Row) -> float | None:
    """10^9 parameters that a token meets: stated, or in the name (`-A3B`, `a800m`)."""
    named = re.search(r"(?<![a-z])a(\d+(?:\.\d+)?)(b|m)\b", row["model"], re.IGNORECASE)
    in_name = float(named[1]) / (1 if named[2].lower() == "b" else 1000) if named else None
    return number(row, "active_params_b") or in_name


def _sparse(row: Row, layers: int, hidden: int) -> Architecture:
    """A mixture of experts that the catalog lacks."""
    base = _from_columns(row, layers, hidden)
    known = _EXPERTS.get(re.sub(r"[^a-z0-9]", "", row["model"].lower()))
    if known:
        return replace(base, gated=True, tied=False, qkv_bias=False, **known)
    active = _active(row)
    if active is None:
        raise Unreadable("a mixture of experts without a known shape")
    return _as_dense(row, base, active)


def architecture(row: Row) -> tuple[Architecture, tuple[str, ...]]:
    """The model of a row, with what was assumed about it.

    Where the row states a shape, the catalog's model must have it; positions and vocabulary are then the catalog's.
    Raises `Unreadable` where neither names nor columns tell a shape.
    """
    layers, hidden = count(row, "n_layers"), count(row, "hidden")
    known = _named(row["model"])
    if known and (layers in (None, known.layers)) and (hidden in (None, known.hidden)):
        encoder = known.family == "encoder"
        return (replace(known, head="none") if encoder and row["task"] != "pretrain" else known), ()
    if layers is None or hidden is None:
        raise Unreadable("the model's shape is not stated, nor is it in the catalog")
    if number(row, "active_params_b") or _SPARSE.search(row["model"]):
        return _sparse(row, layers, hidden), ("experts outside the catalog",)
    return _from_columns(row, layers, hidden), ("gate and tied head from the parameter count",)
