"""Bytes that one GPU holds, per named term and moment of a training step.

Owns tensors only: what weights, gradients, optimizer, activations, logits and temporary copies take, and at which
moments. What one block saves for its backward is `activations`. Does not own the CUDA context, the allocator's
fragmentation or the verdict (`predict/memory`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from headway.domain.errors import UserError
from headway.domain.experiment import Architecture, Batches, Recipe
from headway.domain.optimizer import OPTIMIZERS, optimizer_name
from headway.domain.software import COMPILED_LOGIT_BYTES, ORDINARY, Software
from headway.work.activations import (
    adapter_activations,
    block_activations,
    element_bytes,
    inner_width,
    kept_matmuls,
    score_gradient_bytes,
    shared_bias_bytes,
    trained_bytes,
)
from headway.work.flop import blocks_with_gradients
from headway.work.linears import linears
from headway.work.parameters import blocks_of, count_parameters, trainable_parameters

MOMENTS = ("loss", "backward_start", "backward_end", "lookup", "optimizer")
"""Just after the loss; recomputing the last block; recomputing the first one; in the embedding's backward; in the
optimizer."""

_ALWAYS = frozenset(MOMENTS)

NF4_BYTES = 4.127 / 8
"""Bytes a parameter in 4 bits with double quantisation: 4 + 8/64 + 32/(64*256) (Dettmers et al. 2023, section 3)."""

BUCKET_ELEMENTS = 2e8
"""Gradients in a buffer that DeepSpeed averages at once, however few are trained; one is filled while the other is sent
(`reduce_bucket_size` of most published configurations; its own default is 5e8)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryTerm:
    """Bytes of one kind on one GPU, and the moments at which they are there."""

    name: str
    bytes: float
    moments: frozenset[str] = _ALWAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What one GPU holds; the peak is the largest sum over the moments."""

    terms: tuple[MemoryTerm, ...]

    def __getitem__(self, name: str) -> float:
        """Bytes of one term; 0 when there is none of it."""
        return sum(term.bytes for term in self.terms if term.name == name)

    def at(self, moment: str) -> float:
        """Bytes held at one of `MOMENTS`."""
        return sum(term.bytes for term in self.terms if moment in term.moments)

    @property
    def peak_moment(self) -> str:
        """The moment that decides."""
        return max(MOMENTS, key=self.at)

    @property
    def peak_bytes(self) -> float:
        """Bytes of tensors at the worst moment, without context and allocator."""
        return self.at(self.peak_moment)


def quantised_bytes(quantize: str) -> float | None:
    """Bytes of one quantised weight, None without quantisation. Raises `UserError` for an unknown kind."""
    known = {"none": None, "int8": 1.0, "fp8": 1.0, "nf4": NF4_BYTES}
    if quantize not in known:
        names = tuple(known)
        raise UserError("quantize must name a known kind", got=repr(quantize), hint=f"use {', '.join(names)}")
    return known[quantize]


def state_bytes(recipe: Recipe, software: Software = ORDINARY) -> float:
    """Optimizer states of one trained parameter, in bytes: they follow its dtype, or fp32 beside master weights."""
    states, fixed = OPTIMIZERS[optimizer_name(recipe.optimizer)]
    return states * _updated_bytes(recipe, software) + fixed


def _updated_bytes(recipe: Recipe, software: Software) -> float:
    """Bytes of a weight as the optimizer sees it: fp32 where there is a master copy."""
    return 4.0 if recipe.master_weights else trained_bytes(recipe, software)


def _widened(recipe: Recipe, software: Software) -> bool:
    """Whether what stands beside a quantised base is fp32."""
    return software.widens_quantised and recipe.quantize in ("nf4", "int8")


def _prepared(recipe: Recipe, software: Software) -> Software:
    """The software's habits in this run: a base that is sharded is not prepared for k-bit training (trl)."""
    return replace(software, widens_quantised=False) if _sharded_weights(recipe) else software


def _sharded_weights(recipe: Recipe) -> bool:
    return recipe.parallel.sharding == "zero3" and recipe.parallel.data > 1


def weight_bytes(arch: Architecture, recipe: Recipe, software: Software = ORDINARY) -> float:
    """Bytes of all base weights, unsharded.

    Quantisation packs the linear layers of the blocks; PEFT's `prepare_model_for_kbit_training` upcasts the rest
    (embedding, norms, head) to fp32, except under fp8.
    """
    total = count_parameters(arch).total
    packed = quantised_bytes(recipe.quantize)
    if packed is None:
        return total * element_bytes(recipe.precision)
    if recipe.quantize == "nf4":
        packed = software.packed_bytes or packed
    inside = sum(one.weights * one.count for one in linears(arch) if one.block)
    rest = 4.0 if _widened(recipe, software) else element_bytes(recipe.precision)
    return inside * packed + (total - inside) * rest


def _activation_terms(arch: Architecture, recipe: Recipe, batches: Batches, software: Software) -> list[MemoryTerm]:
    """Saved activations, and with checkpointing the block that is being recomputed; gradients inside a block."""
    tokens, tensor = batches.micro_rows * batches.longest_row_tokens, recipe.parallel.tensor
    shared = tensor if software.sequence_parallel else 1
    whole, split = block_activations(arch, recipe, batches, software)
    blocks, e = blocks_with_gradients(arch, recipe), element_bytes(recipe.precision)
    more_whole, more_split = adapter_activations(arch, recipe, batches, software)
    everything = tokens * (blocks * (whole / shared + split / tensor) + more_whole / shared + more_split / tensor)
    in_flight = min(recipe.parallel.pipeline, batches.micro_steps) / recipe.parallel.pipeline  # 1F1B, first stage
    # the gradient of down's input or of the scores, and of the residual as it comes in and goes out
    largest = max(e * inner_width(arch), score_gradient_bytes(arch, recipe, batches, software))
    inside = tokens * (largest / tensor + 2 * e * arch.hidden / shared)
    backward = frozenset(("backward_start", "backward_end"))
    terms = [MemoryTerm(name="block_gradients", bytes=inside if blocks else 0.0, moments=backward)]
    if recipe.gradient_checkpointing == "full":
        kept_whole, kept_split = (4.0 if _widened(recipe, software) else e) * arch.hidden, 0.0
    elif recipe.gradient_checkpointing == "selective" and software.keeps_matmuls:
        kept_whole, kept_split = kept_matmuls(arch, recipe)
    else:
        forward, last = frozenset(("loss", "backward_start")), frozenset(("backward_end",))
        return [
            *terms,
            MemoryTerm(name="activations", bytes=everything * in_flight, moments=forward),
            MemoryTerm(name="first_block", bytes=everything / blocks if blocks else 0.0, moments=last),
        ]
    if software.gathers_gradients and _sharded_weights(recipe) and recipe.adapter is not None:
        # the gradient of every block's input, beside the input: 2.0-2.3 bytes a value of 16 bits in fms-acceleration's
        # sharded LoRA rows of 7B, 8B and 70B, none on one GPU nor in full fine-tuning
        size = tokens * blocks * arch.hidden * e / shared
        terms.append(MemoryTerm(name="input_gradients", bytes=size, moments=backward))
    kept = 0.0 if software.offloads_checkpoints else tokens * blocks * (kept_whole / shared + kept_split / tensor)
    kept += shared_bias_bytes(arch, recipe, batches) / tensor
    one = everything / blocks if blocks else 0.0
    return [
        *terms,
        MemoryTerm(name="activations", bytes=kept * in_flight, moments=frozenset(("loss", "backward_start"))),
        MemoryTerm(name="recomputed_block", bytes=one, moments=backward),
    ]


def _sharded(recipe: Recipe, *stages: str) -> float:
    """Share of a replicated tensor that one GPU holds under the recipe's sharding."""
    parallel = recipe.parallel
    split = parallel.tensor * parallel.pipeline
    return 1.0 / (split * (parallel.data if parallel.sharding in stages else 1))


def _looked_up(arch: Architecture, recipe: Recipe) -> int:
    """Trained parameters whose gradients come last: an embedding that no head shares."""
    if recipe.adapter is not None or recipe.freeze or (arch.tied and arch.head != "none"):
        return 0
    return count_parameters(arch).embedding


def _state_terms(arch: Architecture, recipe: Recipe, batches: Batches, software: Software) -> list[MemoryTerm]:
    """Weights, gradients and optimizer: what ZeRO divides (Rajbhandari et al. 2020, arXiv:1910.02054, figure 1)."""
    trained = trainable_parameters(arch, recipe).total
    each = trained_bytes(recipe, software)
    after = frozenset(("lookup", "optimizer"))
    grads, last = (after | {"backward_end"}, after) if batches.micro_steps == 1 else (_ALWAYS, _ALWAYS)
    whole = software.gathers_gradients and _sharded_weights(recipe) and batches.micro_steps > 1
    gradients = trained * each * _sharded(recipe, "zero2", "zero3")
    if whole:
        gradients = trained * _updated_bytes(recipe, software) * _sharded(recipe)
    states = trained * state_bytes(recipe, software) * _sharded(recipe, "zero1", "zero2", "zero3")
    looked_up = gradients * _looked_up(arch, recipe) / trained if trained else 0.0
    terms = [
        MemoryTerm(name="weights", bytes=weight_bytes(arch, recipe, software) * _sharded(recipe, "zero3")),
        MemoryTerm(name="gradients", bytes=gradients - looked_up, moments=grads),
        MemoryTerm(name="gradients", bytes=looked_up, moments=last),
        MemoryTerm(name="optimizer", bytes=states),
    ]
    if recipe.parallel.data > 1 and recipe.parallel.sharding == "none" and software.copies_gradients:
        terms.append(MemoryTerm(name="gradient_buckets", bytes=trained * each * _sharded(recipe)))
    if recipe.parallel.data > 1 and not (software.fused_optimizer or software.gathers_gradients):
        buffers = {"zero1": 2, "zero2": 2, "zero3": 1}.get(recipe.parallel.sharding, 0) * BUCKET_ELEMENTS
        terms.append(MemoryTerm(name="reduce_buckets", bytes=buffers * each, moments=frozenset(MOMENTS[1:3])))
    if recipe.adapter is not None:
        terms.append(MemoryTerm(name="adapters", bytes=trained * each * _sharded(recipe, "zero3")))
    elif recipe.master_weights and each < 4.0:
        share = _sharded(recipe, "zero1", "zero2", "zero3")
        terms.append(MemoryTerm(name="master_weights", bytes=trained * 4.0 * share))
    return terms


def loaded_bytes(arch: Architecture, recipe: Recipe, software: Software = ORDINARY) -> float:
    """Bytes of base weights on one GPU while they are read: its share, and all of them where it reads them whole."""
    whole = weight_bytes(arch, recipe, _prepared(recipe, software))
    share = whole * _sharded(recipe, "zero3")
    return share + (whole if software.loads_whole and _sharded_weights(recipe) else 0.0)


def optimizer_copy_bytes(arch: Architecture, recipe: Recipe, software: Software = ORDINARY) -> float:
    """Bytes that an optimizer of many small kernels holds beside its states: one more of them, in their dtype.

    torch's multi-tensor AdamW takes the root of all second moments at once; a fused one does not, nor do 8-bit ones.
    """
    if software.fused_optimizer or "fused" in recipe.optimizer or "8bit" in recipe.optimizer.replace("_", ""):
        return 0.0
    share = _sharded(recipe, "zero1", "zero2", "zero3")
    return trainable_parameters(arch, recipe).total * _updated_bytes(recipe, software) * share


def _loss_terms(arch: Architecture, recipe: Recipe, batches: Batches, software: Software) -> list[MemoryTerm]:
    """What the last norm keeps, and the logits with the loss's copies and gradients of them.

    A loss fused with the head works on pieces of the tokens whose logits together are as large as the hidden states
    (Liger Kernel, section 3.2): logits, their fp32 copy, and the gradient of the hidden states stay.
    """
    if arch.head == "none":
        return []
    tokens, e = batches.micro_rows * batches.longest_row_tokens, element_bytes(recipe.precision)
    shared = recipe.parallel.tensor if software.sequence_parallel else 1
    norm = (e if arch.norm_bias or software.fused_norms or recipe.compile else 4.0) + e
    each = software.logit_bytes
    if arch.family != "decoder":  # only causal models' loss is in fp32 (transformers `ForCausalLMLoss`)
        each = min(each, 3 * e)
    elif arch.softmax == "capped" and each:  # Gemma 2 bends its logits too
        each += e
    if recipe.compile and software.compiles_loss:
        each = min(each, COMPILED_LOGIT_BYTES)
    logits = arch.vocab * each / recipe.parallel.tensor
    if not software.logit_bytes:
        logits = arch.hidden * (2 * e + 4.0) / recipe.parallel.tensor
    return [
        MemoryTerm(
            name="final_norm",
            bytes=tokens * arch.hidden * norm / shared,
            moments=frozenset(("loss", "backward_start")),
        ),
        MemoryTerm(name="logits", bytes=tokens * logits, moments=frozenset(("loss",))),
    ]


def _gathered_bytes(arch: Architecture, recipe: Recipe, software: Software) -> float:
    """Weights that others' shares are gathered for, on one GPU: the block at work and the one that is prefetched.

    With pipeline stages every micro-step would gather them again: the stage's weights and fp32 gradients stay whole
    (pytorch/torchtitan, `reshard_after_forward`).
    """
    parallel, e = recipe.parallel, element_bytes(recipe.precision)
    split, others = parallel.tensor * parallel.pipeline, parallel.data - 1
    total = weight_bytes(arch, recipe, software)
    if parallel.pipeline > 1 and software.gathers_gradients:
        return total / split * others / parallel.data
    block = total * count_parameters(arch).blocks / count_parameters(arch).total
    unit = block * min(1.0, 2 / blocks_of(arch))
    return max(unit, arch.vocab * arch.hidden * e) / parallel.tensor * others / parallel.data


def _temporary_terms(arch: Architecture, recipe: Recipe, software: Software) -> list[MemoryTerm]:
    """Dequantised weights, gathered weights, and the second copy of a tied embedding's gradient."""
    terms, tensor, e = [], recipe.parallel.tensor, element_bytes(recipe.precision)
    if recipe.adapter is None and recipe.freeze == 0:
        copies = 2 if arch.tied and arch.head != "none" else 0  # one from the head, one from the lookup, then their sum
        size = copies * arch.vocab * arch.hidden * e / tensor
        terms.append(MemoryTerm(name="embedding_gradient", bytes=size, moments=frozenset(("lookup",))))
    if recipe.quantize in ("nf4", "int8"):
        tile = max(one.weights for one in linears(arch) if one.block) * e / tensor
        terms.append(MemoryTerm(name="dequantised_weight", bytes=tile, moments=frozenset(MOMENTS[1:3])))
    if _sharded_weights(recipe):
        size = _gathered_bytes(arch, recipe, software)
        terms.append(MemoryTerm(name="gathered_weights", bytes=size, moments=frozenset(MOMENTS[:3])))
    return terms


def memory(arch: Architecture, recipe: Recipe, batches: Batches, software: Software = ORDINARY) -> Memory:
    """Bytes that one GPU holds while training, per named term and moment, for the longest rows of `batches`.

    Raises `UserError` for an unknown optimizer, quantisation or adapter target.
    """
    software = _prepared(recipe, software)
    if software.own_blocks:
        arch = replace(arch, activation="silu", dropout=0.0, attention_dropout=0.0, always_masked=False)
    terms = _state_terms(arch, recipe, batches, software)
    terms += _activation_terms(arch, recipe, batches, software)
    terms += _loss_terms(arch, recipe, batches, software)
    terms += _temporary_terms(arch, recipe, software)
    return Memory(terms=tuple(term for term in terms if term.bytes))
