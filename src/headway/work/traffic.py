"""Bytes that move through a GPU's memory, and kernels that it launches, beside the matrix products themselves.

Owns the chains of elementwise kernels in a block, embedding and loss, adapters' casts, dequantisation, optimizer.
Does not own the products' FLOP (`flop`) nor bytes between GPUs (`communication`).

Bytes and kernels per element are those of eager Hugging Face blocks, counted operator by operator for a small Llama,
Qwen3 and GPT-2 (`tests/work/data/block_kernels.csv`); compiled chains are one read of each input and one write.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from headway.domain.experiment import Architecture, Batches, Recipe
from headway.domain.optimizer import optimizer_name
from headway.work.activations import element_bytes, trained_bytes
from headway.work.flop import Product, blocks_with_gradients, fused_attention
from headway.work.linears import adapted, linears
from headway.work.memory import quantised_bytes, state_bytes
from headway.work.parameters import blocks_of, trainable_parameters

FUSED_TENSORS = 36
FUSED_ELEMENTS = 320 * 65_536
"""Tensors and elements that one multi-tensor launch of a fused optimizer takes (ATen MultiTensorApply.cuh, depth 4,
before CUDA 13, which takes seven times as many)."""

_LAUNCHES_DEQUANTISE = {"nf4": 3, "int8": 1, "fp8": 1}
"""4 bits: the block scales are themselves dequantised (kernel and offset) before the weights."""
_LAUNCHES_INT8 = 4
"""LLM.int8 forward beside the product: quantise rows, find outliers, gather them, dequantise the result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Memory traffic of one kind in one phase of an optimizer step on one GPU."""

    name: str
    phase: str
    kind: str
    """`elementwise`, `attention`, `dequantise`, `loss` or `optimizer`."""
    bytes: float
    launches: float


@dataclass(frozen=True, slots=True)
class _Cost:
    """Bytes an element and launches: forward, backward with trained weights, backward with frozen ones."""

    forward: tuple[float, float]
    trained: tuple[float, float]
    frozen: tuple[float, float]


def _rms_norm(e: float, compiled: bool) -> _Cost:
    if compiled:
        return _Cost((2 * e, 1), (4 * e, 2), (3 * e, 1))
    # cast, square, mean, add, rsqrt, multiply, cast, weight
    return _Cost((28.0, 6), (98.0, 14), (82.0, 12)) if e == 4.0 else _Cost((36.0, 8), (97.0, 16), (89.0, 14))


def _layer_norm(e: float) -> _Cost:
    return _Cost((2 * e, 1), (3 * e, 1), (3 * e, 1))  # one native kernel each way


def _rotary(e: float, compiled: bool) -> _Cost:
    if compiled:
        return _Cost((2 * e, 1), (2 * e, 1), (2 * e, 1))
    return _Cost((10 * e, 5), (15.6 * e, 8), (15.6 * e, 8))  # cos*x + sin*rotate(x): two products, negate, join, add


def _activation(arch: Architecture, e: float, compiled: bool) -> _Cost:
    """Per element of the inner width: activation, and product with `up` where the feed-forward is gated."""
    if arch.gated:
        back = (5 * e, 1.0) if compiled else (9 * e, 3.0)
        return _Cost((3 * e, 1) if compiled else (5 * e, 2), back, back)
    if arch.activation == "gelu_new" and not compiled:
        return _Cost((18 * e, 8), (29.5 * e, 12), (29.5 * e, 12))
    return _Cost((2 * e, 1), (3 * e, 1), (3 * e, 1))


def _residual(arch: Architecture, e: float, compiled: bool) -> _Cost:
    """Per element of the hidden width: two additions; backward also sums what q, k, v and gate, up send back."""
    branches = 2 + (0 if arch.fused_qkv else 2) + (1 if arch.gated and not arch.fused_gate_up else 0)
    if compiled:
        return _Cost((2 * e, 0), (e * branches, 1), (e * branches, 1))
    return _Cost((6 * e, 2), (3 * e * branches, branches), (3 * e * branches, branches))


def _block_costs(arch: Architecture, recipe: Recipe) -> list[tuple[str, float, _Cost, float]]:
    """Name, elements a token, cost and how many such chains, for each chain of one block on one GPU."""
    e, split = element_bytes(recipe.precision), recipe.parallel.tensor
    wide, narrow = arch.heads * arch.head_dim, arch.kv_heads * arch.head_dim
    norm = _layer_norm(e) if arch.norm_bias or arch.norm == "layer" else _rms_norm(e, recipe.compile)
    norms = arch.norms_per_layer + arch.decoder_layers / blocks_of(arch)
    ffn = arch.experts_per_token * arch.ffn + arch.shared_ffn if arch.experts else arch.ffn
    found = [
        ("norms", arch.hidden, norm, norms),
        ("activation", ffn / split, _activation(arch, e, recipe.compile), 1.0),
        ("residual", arch.hidden, _residual(arch, e, recipe.compile), 1.0),
    ]
    if arch.qk_norm:
        found.append(("qk_norms", (wide + narrow) / 2 / split, _rms_norm(e, recipe.compile), 2.0))
    if not arch.learned_positions and not arch.relative_position_buckets:
        found.append(("rotary", (wide + narrow) / 2 / split, _rotary(e, recipe.compile), 2.0))
    biases = [one.outputs / split for one in linears(arch) if one.bias and one.block]
    if biases and recipe.adapter is None:  # a sum over the tokens, each a kernel; forward it is part of the product
        kernels = 1 if recipe.compile else len(biases) - (2 if arch.fused_qkv else 0)
        found.append(("bias_gradients", sum(biases), _Cost((0.0, 0), (e, kernels), (0.0, 0)), 1.0))
    if arch.experts:  # softmax, top-k, sort, gather, weigh, scatter of each chosen expert's rows
        routed = _Cost((8 * e, 12), (12 * e, 16), (12 * e, 16))
        found.append(("routing", arch.experts_per_token * arch.hidden, routed, 1.0))
    return found


def passes(arch: Architecture, recipe: Recipe) -> tuple[float, float, float]:
    """Blocks of one GPU that run forward, backward and again (full checkpointing) in a micro-step."""
    stages = recipe.parallel.pipeline
    again = blocks_with_gradients(arch, recipe) if recipe.gradient_checkpointing == "full" else 0
    return blocks_of(arch) / stages, blocks_with_gradients(arch, recipe) / stages, again / stages


def _blocks(arch: Architecture, recipe: Recipe, batches: Batches) -> list[Chain]:
    forward, backward, again = passes(arch, recipe)
    tokens, steps = batches.micro_rows * batches.row_tokens, batches.micro_steps
    found = []
    for name, elements, cost, times in _block_costs(arch, recipe):
        back = cost.trained if recipe.adapter is None else cost.frozen
        for phase, blocks, (size, launches) in (
            ("forward", forward, cost.forward),
            ("backward", backward, back),
            ("recompute", again, cost.forward),
        ):
            if blocks and launches:
                count = blocks * steps * times
                moved, launched = count * size * elements * tokens, count * launches
                found.append(Chain(name=name, phase=phase, kind="elementwise", bytes=moved, launches=launched))
    return found


def _attention(arch: Architecture, recipe: Recipe, batches: Batches) -> list[Chain]:
    """q, k, v read and the result written; eager kernels also write and read the scores, again and again."""
    e, split = element_bytes(recipe.precision), recipe.parallel.tensor
    forward, backward, again = passes(arch, recipe)
    if recipe.gradient_checkpointing == "selective":
        again = blocks_with_gradients(arch, recipe) / recipe.parallel.pipeline
    each = 1 + arch.decoder_layers / blocks_of(arch)
    width = 2.0 * (arch.heads + arch.kv_heads) * arch.head_dim / split
    tokens = batches.micro_rows * batches.row_tokens
    scores = batches.micro_rows * batches.row_tokens_squared * arch.heads / split
    eager = not fused_attention(arch, recipe, padded=batches.padding_share > 0)
    per_score = (17.0 * e, 18.75 * e) if eager else (0.0, 0.0)
    launches = (11.0, 12.0) if eager else (1.0, 1.0 if recipe.attention == "sdpa" else 2.0)
    found = []
    for phase, blocks, factor, launched in (
        ("forward", forward, 1.0, launches[0]),
        ("backward", backward, 2.0, launches[1]),
        ("recompute", again, 1.0, launches[0]),
    ):
        if blocks:
            count = blocks * each * batches.micro_steps
            moved = count * (factor * e * width * tokens + per_score[phase == "backward"] * scores)
            found.append(Chain(name="attention", phase=phase, kind="attention", bytes=moved, launches=count * launched))
    return found


def _outside(arch: Architecture, recipe: Recipe, batches: Batches) -> list[Chain]:
    """Embedding and loss: the logits are cast to fp32, log-softmax reads them twice; backward makes two gradients."""
    e, tokens, steps = element_bytes(recipe.precision), batches.micro_rows * batches.row_tokens, batches.micro_steps
    trained = recipe.adapter is None and recipe.freeze == 0
    rows = tokens * arch.hidden * e
    table = 2 * arch.vocab * arch.hidden * e / recipe.parallel.tensor if trained else 0.0
    logits = tokens * arch.vocab / recipe.parallel.tensor if arch.head != "none" else 0.0
    casts = 6.0 if e < 4.0 else 0.0
    sizes = [("embedding", "forward", "elementwise", 2 * rows, 2.0)]
    if trained:
        sizes.append(("embedding", "backward", "elementwise", 2 * rows + table, 3.0))
    if logits:
        sizes.append(("loss", "forward", "loss", logits * (12.0 + casts), 5.0))
        sizes.append(("loss", "backward", "loss", logits * (16.0 + casts), 5.0))
    return [Chain(name=n, phase=p, kind=k, bytes=size * steps, launches=c * steps) for n, p, k, size, c in sizes]


def _adapters(arch: Architecture, recipe: Recipe, batches: Batches) -> list[Chain]:
    """PEFT around each adapter: input cast to fp32, result scaled, added and cast back; the same way backward."""
    if recipe.adapter is None:
        return []
    narrow = element_bytes(recipe.precision) < 4.0
    ahead, behind = ((6.0, 24.0, 4.0), (12.0, 20.0, 5.0)) if narrow else ((0.0, 20.0, 2.0), (12.0, 8.0, 2.0))
    sums = {"inputs": 0.0, "outputs": 0.0, "count": 0.0}
    for one in adapted(arch, recipe.adapter):
        live = one.from_block(recipe.freeze) * batches.micro_steps / (recipe.parallel.pipeline if one.block else 1)
        sums["inputs"] += live * one.active * one.inputs / recipe.parallel.tensor
        sums["outputs"] += live * one.active * one.outputs / recipe.parallel.tensor
        sums["count"] += live * one.copies
    tokens = batches.micro_rows * batches.row_tokens
    phases = [("forward", ahead), ("backward", behind)]
    if recipe.gradient_checkpointing == "full":
        phases.append(("recompute", ahead))
    return [
        Chain(
            name="adapter_casts",
            phase=phase,
            kind="elementwise",
            bytes=tokens * (sums["inputs"] * ins + sums["outputs"] * outs),
            launches=sums["count"] * launches,
        )
        for phase, (ins, outs, launches) in phases
    ]


def chains(arch: Architecture, recipe: Recipe, batches: Batches) -> tuple[Chain, ...]:
    """Traffic and launches of everything in a pass that is no matrix product, for an optimizer step on one GPU."""
    found = _blocks(arch, recipe, batches) + _attention(arch, recipe, batches)
    return tuple(found + _outside(arch, recipe, batches) + _adapters(arch, recipe, batches))


def product_bytes(product: Product, recipe: Recipe) -> float:
    """Bytes that a product reads and writes once: (m*k + k*n + m*n) elements for each execution."""
    e = 4.0 if product.kind == "adapter" else element_bytes(recipe.precision)
    m, n, k = product.m, product.n, product.k
    shared = m * k if product.rides_along else 0.0
    return e * (m * k + k * n + m * n - shared) * product.count


def product_launches(arch: Architecture, product: Product) -> float:
    """Kernels: one a product; the experts of a block run as one grouped product (transformers 5 `grouped_mm`)."""
    if product.rides_along:
        return 0.0
    grouped = "experts." in product.name and arch.experts
    return product.count / arch.experts if grouped else product.count


def dequantise(recipe: Recipe, product: Product) -> Chain | None:
    """Unpacking a quantised weight before each product that uses it; None for a weight that is not packed.

    4 bits: read packed, write 16-bit, every forward, backward and recompute (bitsandbytes `MatMul4Bit`). int8: the
    forward multiplies in int8 and pays for rows and results instead; the backward unpacks (`MatMul8bitLt`).
    """
    packed = quantised_bytes(recipe.quantize)
    if packed is None or product.kind != "linear" or product.name == "pooler":
        return None
    moved, launches = product.n * product.k * (packed + 2.0), _LAUNCHES_DEQUANTISE[recipe.quantize]
    if recipe.quantize == "int8" and product.phase != "backward":
        moved, launches = 4.0 * product.m * product.k + 6.0 * product.m * product.n, _LAUNCHES_INT8
    return Chain(
        name=f"dequantise.{product.name}",
        phase=product.phase,
        kind="dequantise",
        bytes=moved * product.count,
        launches=launches * product.count,
    )


def updates(arch: Architecture, recipe: Recipe, batches: Batches) -> tuple[Chain, ...]:
    """Adding up micro-steps' gradients, clipping them and stepping the (fused) optimizer, on one GPU's share.

    The step reads gradient and states, and reads and writes weights, master weights and states, once each.
    """
    trained = trainable_parameters(arch, recipe)
    parallel, each = recipe.parallel, trained_bytes(recipe)
    held = trained.total / (parallel.tensor * parallel.pipeline)
    own = held / (parallel.data if parallel.sharding != "none" else 1)
    tensors = trained.tensors / parallel.pipeline
    states = 2 * state_bytes(recipe) + (2 * 4.0 if recipe.master_weights and each < 4.0 else 0.0)
    launches = math.ceil(max(tensors / FUSED_TENSORS, own / FUSED_ELEMENTS)) if own else 0
    slow = 1.0 if optimizer_name(recipe.optimizer) != "adafactor" else 4.0  # factored: several passes over a matrix
    size = own * (3 * each + states) * slow
    found = [
        Chain(name=name, phase="optimizer", kind="optimizer", bytes=moved, launches=count)
        for name, moved, count in (
            ("gradient_clipping", 3 * each * own, 3.0 * launches),  # norms; then read and write
            ("optimizer", size, float(launches)),
        )
    ]
    if batches.micro_steps > 1:
        again = batches.micro_steps - 1
        moved = 3 * each * held * again
        found.append(
            Chain(
                name="gradient_accumulation",
                phase="backward",
                kind="elementwise",
                bytes=moved,
                launches=tensors * again,
            )
        )
    return tuple(found)
