"""Bytes that one block saves for its backward, per token.

Owns what autograd packs for the Hugging Face blocks (counted to the byte in `tests/work/data/saved_activations.csv`,
traced in `tests/check/data/traced.csv`): Korthikanti et al. 2022 (arXiv:2205.05198, eq. 1-2) redone for gated
feed-forwards, grouped queries, fused attention, eager RMSNorm (fp32 inside), dropout and frozen weights. Does not own
how many blocks are kept, nor when (`memory`).
"""

from __future__ import annotations

from headway.domain.experiment import Architecture, Batches, Recipe
from headway.domain.software import ORDINARY, Software
from headway.work.flop import fused_attention
from headway.work.linears import adapted
from headway.work.parameters import blocks_of


def element_bytes(precision: str) -> float:
    """Bytes of one activation or weight in a compute dtype; fp8 recipes keep both in 16 bits (Transformer Engine)."""
    return 4.0 if precision in ("fp32", "tf32") else 2.0


def trained_bytes(recipe: Recipe, software: Software = ORDINARY) -> float:
    """Bytes of one trained weight: adapters are in fp32 on any base where the software says so."""
    wide = recipe.adapter is not None and software.wide_adapters
    return 4.0 if wide else element_bytes(recipe.precision)


def inner_width(arch: Architecture) -> float:
    """Inner width of a feed-forward that a token meets."""
    return arch.experts_per_token * arch.ffn + arch.shared_ffn if arch.experts else arch.ffn


def _crossed(arch: Architecture) -> float:
    """Share of the blocks with a second attention and its norm."""
    return arch.decoder_layers / blocks_of(arch)


def _padded(batches: Batches) -> bool:
    return batches.padding_share > 0


def _fused(arch: Architecture, recipe: Recipe, batches: Batches, software: Software) -> bool:
    """Whether attention is one kernel: also where the software itself copies shared keys for all heads."""
    return fused_attention(arch, recipe, padded=_padded(batches) or software.repeats_keys)


def _laid_apart(arch: Architecture, recipe: Recipe) -> bool:
    """Whether `o` reads a copy of the fused kernel's result: flash lays its result out as its queries are."""
    return arch.partial_rotary and element_bytes(recipe.precision) < 4.0


def adapter_activations(
    arch: Architecture, recipe: Recipe, batches: Batches, software: Software
) -> tuple[float, float]:
    """Bytes a token, in the whole model: saved adapter inputs, replicated and split by tensor parallelism.

    An adapter casts its input to its own dtype and keeps the cast; with dropout it keeps what is left and a mask of one
    byte a value. Without either, it keeps what is there anyway: q, k and v read one tensor, and o the result of a fused
    attention (a copy of it, in a compiled block or where heads lie apart).
    """
    if recipe.adapter is None:
        return 0.0, 0.0
    e, dropped = trained_bytes(recipe, software), recipe.adapter.dropout > 0
    own_copy = dropped or element_bytes(recipe.precision) < e
    if recipe.compile or software.autocasts:
        e = element_bytes(recipe.precision)
    own_copy = own_copy and not recipe.compile
    kept_anyway = _fused(arch, recipe, batches, software) and not recipe.compile
    kept_anyway = kept_anyway and not _laid_apart(arch, recipe)
    whole = split = 0.0
    shared: set[str] = set()
    for one in adapted(arch, recipe.adapter):
        blocks = one.from_block(recipe.freeze) * one.active
        whole += e * recipe.adapter.rank * blocks
        source = one.name if one.word in ("o", "down") or own_copy else f"input at {one.depth}"
        source += f" from {one.first}"
        if source in shared or one.name == "pooler" or (not own_copy and kept_anyway and one.word == "o"):
            continue  # a pooler reads one token a row
        shared.add(source)
        size = (e + dropped) * one.inputs * blocks
        if one.word in ("o", "down"):
            split += size
        else:
            whole += size
    return whole, split


def block_activations(arch: Architecture, recipe: Recipe, batches: Batches, software: Software) -> tuple[float, float]:
    """Bytes a token that one block saves for its backward, without adapters: (replicated, split by tensor)."""
    if recipe.compile:
        return _compiled(arch, recipe, software)
    e, full = element_bytes(recipe.precision), recipe.adapter is None
    whole = _norms(arch, e, full, software)
    if arch.dropout:  # a byte a value, behind each attention and the feed-forward
        whole += (2 + _crossed(arch)) * arch.hidden
    split = _attention(arch, recipe, batches, software) + _mlp(arch, e, full)
    if software.keeps_quantised_inputs and recipe.quantize == "nf4":  # of q k v, of gate and up; of o; of down
        whole += e * 2 * arch.hidden
        split += e * (arch.heads * arch.head_dim + inner_width(arch)) * (1 + _crossed(arch))
    return whole, split


def _norms(arch: Architecture, e: float, full: bool, software: Software) -> float:
    """Bytes a token of norms over the hidden width, and of what the layers behind them read when they are trained.

    LayerNorm saves its input and two statistics; parallel norms share their input. An eager RMSNorm saves an fp32 copy
    and one statistic, and with trained weights the normalised value, in fp32 where the weight meets it so.
    """
    norms = arch.norms_per_layer + _crossed(arch)
    read = min(norms, 2 + _crossed(arch)) * arch.hidden * e if full else 0.0  # residuals, where norms stand behind
    if arch.norm_bias or arch.norm == "layer" or software.fused_norms:
        inputs = 1 if arch.parallel_block else norms
        return inputs * arch.hidden * e + norms * 8.0 + read
    kept = 4.0 + (e if arch.norm == "t5" and e < 4.0 else 0.0)
    if full:
        kept += 4.0 if arch.norm == "wide" else e
    return norms * (arch.hidden * kept + 4.0) + read


def _masked_share(arch: Architecture, recipe: Recipe, batches: Batches) -> float:
    """Share of the blocks whose attention gets a mask under `sdpa`: all for padded rows, else the windowed ones."""
    if recipe.attention != "sdpa":
        return 0.0
    if arch.always_masked or _padded(batches):
        return 1.0
    reach = arch.sliding_window / (2 if arch.family == "encoder" else 1)  # to both sides
    if not arch.sliding_window or batches.longest_row_tokens <= reach:
        return 0.0
    return 1.0 - (1.0 / arch.window_every if arch.window_every else 0.0)


def _attention(arch: Architecture, recipe: Recipe, batches: Batches, software: Software) -> float:
    """Bytes a token of queries, keys, values, scores and results of one block's attentions, cross-attention included.

    A mask makes transformers repeat the keys for all heads, and the kernel adds it up in the compute dtype; T5's mask
    is its bias, for all heads, of self-attention only.
    """
    e, full = element_bytes(recipe.precision), recipe.adapter is None
    wide, narrow = arch.heads * arch.head_dim, arch.kv_heads * arch.head_dim
    fused = _fused(arch, recipe, batches, software)
    masked = _masked_share(arch, recipe, batches)
    repeated = 1.0 if not fused or software.repeats_keys else masked
    eager = recipe.attention in ("eager", "math")
    # PyTorch's own unfused attention works in fp32 (ATen attention.cpp, `_scaled_dot_product_attention_math`)
    found = (e if fused or eager else 4.0) * (wide + 2 * (narrow + repeated * (wide - narrow)))
    if fused:
        found += e * wide + 4.0 * arch.heads
        if full and _laid_apart(arch, recipe):
            found += e * wide * (1.0 - masked)
        copied = arch.always_masked and arch.kv_heads < arch.heads  # Falcon takes shared keys and values out of qkv
        if arch.fused_qkv and not (arch.learned_positions or copied):
            found += e * (wide + narrow)  # v keeps all of qkv alive beside the rotated q and k
    else:
        found += e * wide if full else 0.0
        if recipe.gradient_checkpointing != "selective":
            found += arch.heads * batches.longest_row_tokens * (_score_bytes(arch, e) if eager else 4.0)
    if arch.qk_norm:
        statistics = 2 if arch.qk_norm_whole else arch.heads + arch.kv_heads
        weighted = 4.0 if arch.norm == "wide" else e
        found += (wide + narrow) * (4.0 + (weighted if full else 0.0)) + 4.0 * statistics
    bias = 0.0
    if fused and arch.relative_position_buckets and recipe.attention == "sdpa":
        bias = _bias_bytes(arch, batches, e) / batches.micro_rows / batches.longest_row_tokens
    elif fused:
        bias = masked * e * batches.longest_row_tokens
    return found * (1 + _crossed(arch)) + bias


def _score_bytes(arch: Architecture, e: float) -> float:
    """Bytes a score that eager attention saves: softmax, its cast to the compute dtype, what dropout leaves, a mask."""
    softmax = e if arch.softmax == "native" else 4.0
    if arch.attention_dropout:
        softmax += 1.0 + e
    elif softmax > e:
        softmax += e
    return softmax + (e if arch.softmax == "capped" else 0.0)


def score_gradient_bytes(arch: Architecture, recipe: Recipe, batches: Batches, software: Software) -> float:
    """Bytes a token that the backward of unfused scores takes, less the cast of the softmax that it has let go by then:
    gradients of the softmax and of its input, in its dtype.
    """
    if recipe.compile or _fused(arch, recipe, batches, software):
        return 0.0
    e = element_bytes(recipe.precision)
    native = e if arch.softmax == "native" and recipe.attention in ("eager", "math") else 4.0
    return arch.heads * batches.longest_row_tokens * (2 * native - e)


def _bias_bytes(arch: Architecture, batches: Batches, e: float) -> float:
    """Bytes of T5's position bias: for all rows at once, or with the mask of each row."""
    rows = batches.micro_rows if _padded(batches) else 1
    return rows * arch.heads * batches.longest_row_tokens**2 * e


def shared_bias_bytes(arch: Architecture, recipe: Recipe, batches: Batches) -> float:
    """Bytes of the position biases that checkpointed blocks are given: of encoder, decoder and cross-attention (T5)."""
    if not arch.relative_position_buckets:
        return 0.0
    return (3 if arch.decoder_layers else 1) * _bias_bytes(arch, batches, element_bytes(recipe.precision))


def _compiled(arch: Architecture, recipe: Recipe, software: Software) -> tuple[float, float]:
    """Bytes a token that a compiled block saves, without adapters: (replicated, split by tensor).

    Inputs and results of products stay, what lies between is computed again (min-cut partitioner of torch 2.13, counted
    in `tests/work/test_memory.py`): both residuals; q, k, v and attention's result; with trained weights the inputs of
    q, o, gate and down; and the results of gate and up.
    """
    e, full = element_bytes(recipe.precision), recipe.adapter is None
    wide, narrow = arch.heads * arch.head_dim, arch.kv_heads * arch.head_dim
    crossed = _crossed(arch)
    attention = 2 * wide + 2 * (wide if software.repeats_keys else narrow) + (wide if full else 0)
    statistics = 4.0 * (arch.norms_per_layer + crossed) * (2 if arch.norm_bias else 1)
    whole = (arch.norms_per_layer + crossed) * e * arch.hidden * (2 if full else 1) + statistics
    inner = ((2 if arch.gated else 1) + (1 if full else 0)) * inner_width(arch)
    return whole, (e * attention + 4.0 * arch.heads) * (1 + crossed) + e * inner


def _mlp(arch: Architecture, e: float, full: bool) -> float:
    """Bytes a token saved inside a feed-forward: what the activation keeps, gate's product, `down`'s input if trained.

    ReLU keeps its result, which an ungated `down` reads anyway; `gelu_new` keeps its input and three steps on the way.
    """
    relu = arch.activation == "relu"
    tensors = 4.0 if arch.activation == "gelu_new" else 1.0
    if arch.gated:  # up, and the activation's result
        tensors += 1 if relu else 2
    noisy = bool(arch.dropout and arch.relative_position_buckets)  # T5 drops out before `down`
    if full and (arch.gated or noisy or not relu):
        tensors += 1
    width = inner_width(arch) * (e * tensors + noisy)
    if not arch.experts:
        return width
    gathered = (2 if full else 1) * arch.experts_per_token * arch.hidden  # each expert's rows, gathered and weighted
    chosen = 40.0 * arch.experts_per_token  # places of the rows, weights of the experts
    return width + e * gathered + 4.0 * arch.experts + chosen


def kept_matmuls(arch: Architecture, recipe: Recipe) -> tuple[float, float]:
    """Bytes a token that one block keeps where attention and every second product are kept: (replicated, split).

    The block's input, q, v, attention's result and statistics, gate (or up) and down's product: of q k v o gate up
    down, the first, third, ... (pytorch/torchtitan, `apply_ac`, option "op").
    """
    e = element_bytes(recipe.precision)
    wide, narrow = arch.heads * arch.head_dim, arch.kv_heads * arch.head_dim
    return e * 2 * arch.hidden, e * (2 * wide + narrow + inner_width(arch)) + 4.0 * arch.heads
