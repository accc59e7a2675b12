"""Floating-point operations of one optimizer step on one GPU: matrix products and attention, per layer kind and phase.

Owns which products are executed (a frozen weight needs no weight gradient, nothing flows beneath the lowest trained
layer, a checkpoint stops recomputing early). Does not own bytes and launches (`traffic`) or the record (`step`).

Counts follow torch.utils.flop_counter: 2*m*n*k for a product, elementwise operations 0, attention scores in full.
`tests/work/data/counted_flop.csv` holds what that counter says of the real models.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from headway.domain.experiment import Adapter, Architecture, Batches, Recipe
from headway.work.linears import Linear, adapted, linears

CAUSAL_SHARE = 0.5
"""Scores that a causal kernel computes, of the full square (Dao 2023, arXiv:2307.08691, section 3.1)."""
FUSED_BACKWARD = 1.25
"""A fused backward makes 5 products where the counted one makes 4: it recomputes the scores (ibid., algorithm 2)."""

_FLASH = ("flash", "flash_attention_2", "flash_attention_3", "flex", "flex_attention", "xformers")
_PLAIN = ("eager", "math")
_ATTENTION_WORDS = ("q", "k", "v", "qkv")


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A matrix product (m, k) x (k, n) that is executed `count` times in an optimizer step on one GPU."""

    name: str
    phase: str
    """`forward`, `backward` or `recompute`."""
    kind: str
    """`linear`, `head` or `adapter`."""
    m: float
    n: float
    k: float
    count: float
    rides_along: bool = False
    """Part of another product's kernel, whose left operand it shares (k and v of a stored qkv matrix)."""

    @property
    def flop(self) -> float:
        """2*m*n*k for each execution."""
        return 2.0 * self.m * self.n * self.k * self.count


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """Scores and weighted values of `count` blocks (both products together)."""

    name: str
    phase: str
    flop: float
    """Counted in full, whatever the kernel skips."""
    executed_share: float
    """What the kernel really computes, of `flop`."""
    count: float


def needs_input_gradients(recipe: Recipe) -> bool:
    """Whether gradients flow through every block down to a frozen embedding: checkpointing makes inputs require them.

    Source: transformers `gradient_checkpointing_enable`, which calls `enable_input_require_grads`; counted for both
    adapters and frozen blocks (`counted_flop.csv`).
    """
    return recipe.gradient_checkpointing != "none"


def gradients_from(recipe: Recipe) -> int:
    """Number of the lowest block that gradients enter, and so the lowest that a checkpoint recomputes."""
    return 0 if needs_input_gradients(recipe) else recipe.freeze


def stops_before_down(arch: Architecture) -> bool:
    """Whether recomputing a block ends before its last product, whose result no gradient needs.

    torch.utils.checkpoint (non-reentrant, `early_stop`) ends when the last saved tensor is there: in a plain block that
    is the input of `down`. A norm behind the feed-forward, expert weighting or dropout saves something later.
    """
    return not (arch.experts or arch.dropout or arch.post_norm) and arch.norms_per_layer <= 2


def fused_attention(arch: Architecture, recipe: Recipe, *, padded: bool) -> bool:
    """Whether one kernel makes scores, softmax and weighted values, and keeps no scores.

    Of PyTorch's kernels under `sdpa` only flash shares keys among query heads, and flash takes neither fp32 nor masks
    (ATen sdp_utils.cpp: `check_batch_size_and_num_heads_dense<false>` of the efficient one). transformers repeats the
    keys where there is a mask (`sdpa_attention_forward`), Falcon does not.
    """
    if recipe.attention in _PLAIN or recipe.attention in _FLASH or arch.kv_heads == arch.heads:
        return recipe.attention not in _PLAIN
    broadcast = arch.always_masked and arch.kv_heads == 1
    return not (broadcast or (recipe.precision == "fp32" and not padded and not arch.always_masked))


def executed_share(arch: Architecture, attention: str, *, row_tokens: float, padded: bool, causal: bool) -> float:
    """Share of the full score square that the kernel computes: 1 for eager and masked kernels, less for causal flash.

    PyTorch's SDPA takes its flash kernel only without a mask, that is for rows without padding and within the window
    (transformers `masking_utils`, `_ignore_causal_mask_sdpa`); windows are skipped only by flash kernels.
    """
    masked = padded or arch.relative_position_buckets or arch.always_masked
    if attention in _PLAIN or (attention not in _FLASH and masked):
        return 1.0
    full = CAUSAL_SHARE if causal else 1.0
    if not arch.sliding_window or row_tokens <= arch.sliding_window:
        return full
    part, windowed = arch.sliding_window / row_tokens, 1.0
    if attention in _FLASH:
        windowed = min(full, part - part * part / 2 if causal else 2 * part)
    everything = 1.0 / arch.window_every if arch.window_every else 0.0
    return everything * full + (1 - everything) * windowed


@dataclass(frozen=True, slots=True)
class _Flow:
    """Which blocks pass gradients on, which train weights, which recompute."""

    arch: Architecture
    recipe: Recipe

    def lowest(self, linear: Linear) -> int:
        """The first block of the layer's stack that may train something."""
        decoder = self.arch.decoder_layers and linear.first >= self.arch.layers
        return max(self.recipe.freeze, self.arch.layers if decoder else 0)

    def trained(self, linear: Linear) -> int:
        """Blocks in which the layer's own weights get gradients."""
        if self.recipe.adapter is not None:
            return 0
        if linear.name == "head" and self.arch.tied and self.recipe.freeze:
            return 0
        return linear.from_block(self.recipe.freeze)

    def through(self, linear: Linear) -> int:
        """Blocks in which gradients pass from the layer's output to its input."""
        if self.recipe.adapter is None or needs_input_gradients(self.recipe) or not linear.block:
            return linear.from_block(gradients_from(self.recipe))
        lowest = self.lowest(linear)
        alive = linear.from_block(lowest)
        inside = linear.first <= lowest < linear.first + linear.blocks
        return alive - 1 if alive and inside and not self.adapted_before(linear) else alive

    def adapted_before(self, linear: Linear) -> bool:
        """Whether the layer's input, in a block that nothing trained stands beneath, comes through an adapter.

        In a parallel block attention and feed-forward both begin at the block's input.
        """
        assert self.recipe.adapter is not None  # the caller asked
        before = [one for one in adapted(self.arch, self.recipe.adapter) if one.block and one.depth < linear.depth]
        if self.arch.parallel_block and linear.word == "down":
            before = [one for one in before if one.word not in _ATTENTION_WORDS]
        if self.arch.parallel_block and linear.word == "o":
            before = [one for one in before if one.word in _ATTENTION_WORDS]
        return bool(before)

    def scores_of_the_lowest_block(self, query: Linear, *, fused: bool) -> float:
        """Share of an attention's backward that adapted q, k or v cause in a block whose input gets no gradients.

        Eager attention makes only the products that are asked for, of values, of probabilities, of queries and of
        keys; a fused kernel makes all or none.
        """
        if self.recipe.adapter is None or self.through(query) == query.from_block(self.lowest(query)):
            return 0.0
        found = "".join(one.word for one in adapted(self.arch, self.recipe.adapter) if one.word in _ATTENTION_WORDS)
        if fused:
            return 1.0 if found else 0.0
        needed = ("v" in found, "q" in found or "k" in found, "q" in found, "k" in found)
        return sum(needed) / len(needed)

    def recomputed(self, linear: Linear) -> int:
        """Blocks in which a full checkpoint runs the layer's forward again."""
        if self.recipe.gradient_checkpointing != "full" or not linear.block:
            return 0
        return linear.from_block(gradients_from(self.recipe))


def blocks_with_gradients(arch: Architecture, recipe: Recipe) -> int:
    """Blocks, of all stacks, whose activations get gradients."""
    total = arch.layers + arch.decoder_layers
    if recipe.adapter is not None and not any(one.block for one in adapted(arch, recipe.adapter)):
        return total if needs_input_gradients(recipe) else 0
    return max(0, total - gradients_from(recipe))


def _rows(arch: Architecture, linear: Linear, batches: Batches) -> float:
    """Rows of the product's left operand: tokens of a pass, or of one expert's share of it, or one per row (pooler)."""
    if linear.name == "pooler":
        return float(batches.micro_rows)
    return batches.micro_rows * batches.row_tokens * linear.active / linear.copies


def _share(linear: Linear, recipe: Recipe, batches: Batches) -> float:
    """Executions on one GPU for each block that runs the layer: copies, passes, pipeline share.

    The head is on one pipeline stage; that stage's GPU is the one counted, because it is the busiest.
    """
    return linear.copies * batches.micro_steps / (recipe.parallel.pipeline if linear.block else 1)


def _base_products(arch: Architecture, recipe: Recipe, batches: Batches) -> Iterator[Product]:
    flow, split = _Flow(arch, recipe), recipe.parallel.tensor
    adapted_names = {one.name for one in adapted(arch, recipe.adapter)} if recipe.adapter else set()
    for linear in linears(arch):
        each = _share(linear, recipe, batches)
        m = _rows(arch, linear, batches)
        skipped = linear.name == "down" and stops_before_down(arch) and "down" not in adapted_names
        counts = {
            "forward": linear.blocks,
            "backward": flow.through(linear) + flow.trained(linear),
            "recompute": 0 if skipped else flow.recomputed(linear),
        }
        kind = "head" if linear.name.startswith("head") else "linear"
        n, k = linear.outputs / split, float(linear.inputs)
        for phase, count in counts.items():
            if count:
                yield Product(
                    name=linear.name,
                    phase=phase,
                    kind=kind,
                    m=m,
                    n=n,
                    k=k,
                    count=count * each,
                    rides_along=linear.rides_along(arch),
                )


def _adapter_products(arch: Architecture, recipe: Recipe, adapter: Adapter, batches: Batches) -> Iterator[Product]:
    flow = _Flow(arch, recipe)
    rank, split = float(adapter.rank), recipe.parallel.tensor
    for linear in adapted(arch, adapter):
        each = _share(linear, recipe, batches)
        m = _rows(arch, linear, batches)
        live = linear.from_block(recipe.freeze)
        again = min(live, flow.recomputed(linear))
        last = linear.name == "down" and stops_before_down(arch)
        down = {"forward": live, "backward": live + min(live, flow.through(linear)), "recompute": again}
        up = {"forward": live, "backward": 2 * live, "recompute": 0 if last else again}
        for side, counts in (("down", down), ("up", up)):
            n, k = (rank, linear.inputs / split) if side == "down" else (linear.outputs / split, rank)
            for phase, count in counts.items():
                if count:
                    name = f"adapter.{linear.name}.{side}"
                    yield Product(name=name, phase=phase, kind="adapter", m=m, n=n, k=k, count=count * each)


def products(arch: Architecture, recipe: Recipe, batches: Batches) -> tuple[Product, ...]:
    """Every matrix product with weights that one GPU executes in an optimizer step.

    Backward is 2 products for a trained weight (of inputs and of weights), 1 for a frozen one that gradients must
    pass, 0 beneath the lowest trained layer. Full checkpointing runs the blocks' forward again, not the head's
    (Chen et al. 2016, arXiv:1604.06174; the head is outside the checkpointed blocks of transformers).
    An encoder-decoder is counted with source and target of the same length.
    """
    found = list(_base_products(arch, recipe, batches))
    if recipe.adapter is not None:
        found += _adapter_products(arch, recipe, recipe.adapter, batches)
    return tuple(found)


def _attention_blocks(arch: Architecture) -> Iterator[tuple[str, Linear, bool]]:
    """Name, the layer that feeds it, causal or not, for each kind of attention."""
    for linear in linears(arch):
        if linear.word == "q":
            cross, decoder = linear.name == "cross.q", linear.first >= arch.layers
            causal = not cross and (arch.family == "decoder" or decoder)
            yield "cross_attention" if cross else "attention", linear, causal


def attentions(arch: Architecture, recipe: Recipe, batches: Batches) -> tuple[Attention, ...]:
    """Scores and weighted values of one GPU in an optimizer step: 4 x pairs x heads x head_dim per block forward.

    Backward is twice the forward; selective checkpointing recomputes only this (Korthikanti et al. 2022,
    arXiv:2205.05198, section 5).
    """
    flow = _Flow(arch, recipe)
    pairs = batches.micro_rows * batches.row_tokens_squared * batches.micro_steps
    found, padded = [], batches.padding_share > 0
    fused = fused_attention(arch, recipe, padded=padded)
    kernel, more_backward = (recipe.attention, FUSED_BACKWARD) if fused else ("math", 1.0)
    for name, query, causal in _attention_blocks(arch):
        each = 4.0 * pairs * query.outputs / recipe.parallel.tensor / recipe.parallel.pipeline
        share = executed_share(arch, kernel, row_tokens=batches.row_tokens, padded=padded, causal=causal)
        alive = flow.through(query) + flow.scores_of_the_lowest_block(query, fused=fused)
        again = recipe.gradient_checkpointing in ("full", "selective")
        recompute = query.from_block(gradients_from(recipe)) if again else 0
        counts = (
            ("forward", query.blocks, 1.0),
            ("backward", 2.0 * alive, more_backward),
            ("recompute", recompute, 1.0),
        )
        for phase, count, more in counts:
            if count:
                flop, executed = each * count, min(share * more, more)
                found.append(Attention(name=name, phase=phase, flop=flop, executed_share=executed, count=count))
    return tuple(found)
