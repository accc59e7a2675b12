"""Every kind of linear layer in a transformer, and which of them an adapter's target words mean.

Owns the list that parameters, FLOP, traffic and memory are all counted from. Does not own embeddings and norms
(`parameters`), nor what a pass over the layers costs (`flop`, `traffic`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from headway.domain.errors import UserError
from headway.domain.experiment import Adapter, Architecture

_DEPTH = {"q": 0, "k": 0, "v": 0, "o": 2, "cross.q": 3, "cross.o": 5, "router": 6, "gate": 6, "up": 6, "down": 7}
_AFTER_ALL = 99

_QKV = ("q", "k", "v")
_MLP = ("gate", "up", "down")
_BERT_DENSE = ("o", "up", "down")
_FUSED_NAMES = {
    "c_attn": _QKV,
    "query_key_value": _QKV,
    "qkv_proj": _QKV,
    "in_proj": _QKV,
    "Wqkv": _QKV,
    "Wi": ("gate", "up"),
    "gate_up_proj": ("gate", "up"),
}
_NAMES: dict[str, tuple[str, ...]] = {
    "attention": (*_QKV, "o"),
    "mlp": _MLP,
    "all-linear": (*_QKV, "o", *_MLP, "router", "pooler", "head.dense"),
    "q_proj": ("q",),
    "k_proj": ("k",),
    "v_proj": ("v",),
    "o_proj": ("o",),
    "out_proj": ("o",),
    "query": ("q",),
    "key": ("k",),
    "value": ("v",),
    "gate_proj": ("gate",),
    "up_proj": ("up",),
    "down_proj": ("down",),
    "w1": ("gate",),
    "w2": ("down",),
    "w3": ("up",),
    "wi": ("up",),
    "wi_0": ("gate",),
    "wi_1": ("up",),
    "wo": ("down",),
    "Wo": ("o", "down"),
    "fc1": ("up",),
    "fc2": ("down",),
    "fc_in": ("up",),
    "fc_out": ("down",),
    "c_fc": ("up",),
    "c_proj": ("o", "down"),
    "dense_h_to_4h": ("up",),
    "dense_4h_to_h": ("down",),
    "lm_head": ("head",),
    "embed_out": ("head",),
}
"""Module names of the Hugging Face model classes (transformers 5.23, `modeling_*.py`) -> the words used here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """One kind of linear layer: `outputs x inputs` weights, so many times in the model."""

    name: str
    """`q k v o gate up down`, with `cross.`, `experts.` or `shared.` before it; `router head head.dense pooler`."""
    inputs: int
    outputs: int
    bias: bool = False
    blocks: int = 1
    """Blocks that hold it, each `copies` times."""
    first: int = 0
    """Number of the first of these blocks; decoder blocks of an encoder-decoder are numbered after the encoder's."""
    copies: int = 1
    """Routed experts; otherwise 1."""
    active: int = 1
    """Copies that one token goes through."""
    depth: int = _AFTER_ALL
    """Place in its block; 0 reads the block's input."""
    block: bool = True
    """False for head and pooler, which are in no block."""

    def rides_along(self, arch: Architecture) -> bool:
        """Whether it is part of a matrix stored under another name: k and v of a qkv matrix, up of a gate-up matrix."""
        return (arch.fused_qkv and self.name in ("k", "v")) or (arch.fused_gate_up and self.word == "up")

    @property
    def word(self) -> str:
        """The name without its prefix: the word that adapter targets use."""
        return self.name.rsplit(".", 1)[-1]

    @property
    def count(self) -> int:
        """Matrices of this kind in the whole model."""
        return self.blocks * self.copies

    @property
    def weights(self) -> int:
        """Weights of one matrix, bias excluded."""
        return self.inputs * self.outputs

    @property
    def parameters(self) -> int:
        """Parameters of one matrix, bias included."""
        return self.weights + (self.outputs if self.bias else 0)

    def from_block(self, lowest: int) -> int:
        """Blocks of this kind numbered `lowest` or higher."""
        return max(0, min(self.blocks, self.first + self.blocks - lowest)) if self.block else 1


def _attention(arch: Architecture, blocks: int, first: int, prefix: str = "") -> list[Linear]:
    wide, narrow = arch.heads * arch.head_dim, arch.kv_heads * arch.head_dim
    shapes = (
        ("q", arch.hidden, wide, arch.qkv_bias),
        ("k", arch.hidden, narrow, arch.qkv_bias),
        ("v", arch.hidden, narrow, arch.qkv_bias),
        ("o", wide, arch.hidden, arch.out_bias),
    )
    return [
        Linear(
            name=prefix + name,
            inputs=inputs,
            outputs=outputs,
            bias=bias,
            blocks=blocks,
            first=first,
            depth=_DEPTH.get(prefix + name, _AFTER_ALL),
        )
        for name, inputs, outputs, bias in shapes
    ]


def _mlp(
    arch: Architecture, ffn: int, blocks: int, first: int, prefix: str = "", copies: int = 1, active: int = 1
) -> list[Linear]:
    names = _MLP if arch.gated else _MLP[1:]
    return [
        Linear(
            name=prefix + name,
            inputs=ffn if name == "down" else arch.hidden,
            outputs=arch.hidden if name == "down" else ffn,
            bias=arch.mlp_bias,
            blocks=blocks,
            first=first,
            copies=copies,
            active=active,
            depth=0 if arch.parallel_block and name != "down" else _DEPTH[name],
        )
        for name in names
    ]


def _sparse_mlp(arch: Architecture) -> list[Linear]:
    sparse, first = arch.layers - arch.dense_layers, arch.dense_layers
    found = [
        Linear(
            name="router",
            inputs=arch.hidden,
            outputs=arch.experts,
            blocks=sparse,
            first=first,
            depth=_DEPTH["router"],
        ),
        *_mlp(arch, arch.ffn, sparse, first, "experts.", arch.experts, arch.experts_per_token),
    ]
    if arch.shared_ffn:
        found += _mlp(arch, arch.shared_ffn, sparse, first, "shared.")
    if arch.dense_layers:
        found += _mlp(arch, arch.dense_ffn, arch.dense_layers, 0)
    return found


def _outside(arch: Architecture) -> list[Linear]:
    found = []
    if arch.pooler:
        found.append(Linear(name="pooler", inputs=arch.hidden, outputs=arch.hidden, bias=True, block=False))
    if arch.head == "mlm":
        found.append(Linear(name="head.dense", inputs=arch.hidden, outputs=arch.hidden, bias=True, block=False))
    if arch.head != "none":
        bias = arch.head_bias or arch.head == "mlm"
        found.append(Linear(name="head", inputs=arch.hidden, outputs=arch.vocab, bias=bias, block=False))
    return found


@lru_cache(maxsize=512)
def linears(arch: Architecture) -> tuple[Linear, ...]:
    """Every kind of linear layer of `arch`: attention, feed-forward, experts, head and pooler.

    A tied head is listed (it is computed) though its matrix is the embedding's (it is not stored again).
    Source: the Hugging Face model classes, transformers 5.23.
    """
    found = _attention(arch, arch.layers, 0)
    found += _sparse_mlp(arch) if arch.experts else _mlp(arch, arch.ffn, arch.layers, 0)
    if arch.decoder_layers:
        found += _attention(arch, arch.decoder_layers, arch.layers)
        found += _attention(arch, arch.decoder_layers, arch.layers, "cross.")
        found += _mlp(arch, arch.ffn, arch.decoder_layers, arch.layers)
    return (*found, *_outside(arch))


def _meaning(arch: Architecture, target: str) -> tuple[tuple[str, ...], bool]:
    """The words that a target means, and whether it names a fused matrix."""
    if target in _FUSED_NAMES:
        return _FUSED_NAMES[target], True
    if target == "dense":  # BERT calls three layers so, NeoX and Falcon only the attention's output
        return (_BERT_DENSE if arch.family == "encoder" else ("o",)), False
    return _NAMES.get(target, (target,)), False


def _fuse(found: list[Linear], words: tuple[str, ...]) -> list[Linear]:
    """One linear in place of those that read the same input in the same block."""
    members = [one for one in found if one.word in words and not one.name.startswith("cross.")]
    kept = [one for one in found if one not in members]
    places = dict.fromkeys((one.name.removesuffix(one.word), one.first) for one in members)
    for prefix, first in places:
        same = [m for m in members if (m.name.removesuffix(m.word), m.first) == (prefix, first)]
        kept.append(
            Linear(
                name=prefix + "".join(one.word for one in same),
                inputs=same[0].inputs,
                outputs=sum(one.outputs for one in same),
                bias=same[0].bias,
                blocks=same[0].blocks,
                first=first,
                copies=same[0].copies,
                active=same[0].active,
                depth=same[0].depth,
            )
        )
    return kept


@lru_cache(maxsize=512)
def adapted(arch: Architecture, adapter: Adapter) -> tuple[Linear, ...]:
    """The linear layers that `adapter` adapts; layers that one stored matrix makes (GPT-2's `c_attn`) are one.

    `all-linear` is every linear layer but the vocabulary head (PEFT's `target_modules="all-linear"`): an encoder's
    pooler and the dense layer before its head are adapted too.
    Raises `UserError` when a target names no layer of this architecture, or the rank is not positive.
    """
    if adapter.rank < 1:
        raise UserError("an adapter's rank must be at least 1", got=str(adapter.rank), field="adapter.rank")
    layers = linears(arch)
    chosen: dict[str, None] = {}
    fuse_qkv, fuse_mlp = arch.fused_qkv, arch.fused_gate_up
    for target in adapter.targets:
        words, fused = _meaning(arch, target)
        fuse_qkv, fuse_mlp = fuse_qkv or (fused and "q" in words), fuse_mlp or (fused and "gate" in words)
        names = [one.name for one in layers if one.word in words or one.name in words]
        if not names:
            raise _unknown_target(arch, target)
        chosen.update(dict.fromkeys(names))
    found = [one for one in layers if one.name in chosen]
    words_found = {one.word for one in found}
    if fuse_qkv and words_found & set(_QKV):
        cross = [one for one in found if one.name.startswith("cross.") or one.word not in _QKV]
        found = cross + _fuse([one for one in layers if one.name in _QKV], _QKV)
    if fuse_mlp and words_found & {"gate", "up"}:
        found = _fuse(found, ("gate", "up"))
    return tuple(found)


def module_names(arch: Architecture, target: str) -> tuple[tuple[str, ...], ...]:
    """What an adapter's target may be called in the Hugging Face class: the possible names of each layer it means.

    A module's name means itself. A name that several layers share (GPT-2's `c_proj`) stands for none of them alone.
    Raises `UserError` when the target names no layer of this architecture.
    """
    if target == "all-linear" or target in _FUSED_NAMES or target == "dense" or len(_NAMES.get(target, ())) == 1:
        return ((target,),)
    words = dict.fromkeys(one.word for one in adapted(replace(arch, fused_qkv=False), Adapter(targets=(target,))))
    alone = {name: meant for name, meant in _NAMES.items() if len(meant) == 1} | _FUSED_NAMES
    return tuple((word, *(name for name, meant in alone.items() if word in meant)) for word in words)


def _unknown_target(arch: Architecture, target: str) -> UserError:
    words = tuple(dict.fromkeys(one.word for one in linears(arch)))
    return UserError(
        f"an adapter target must name linear layers of {arch.name}",
        got=repr(target),
        hint=f"use {', '.join(words)}, all-linear, attention, mlp, or a module name such as q_proj",
        field="adapter.targets",
        candidates=words,
    )
