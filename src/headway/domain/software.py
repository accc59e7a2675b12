"""What training software does that costs or saves memory and that no recipe says: loss kernels, sharding, casts.

Owns the noun; its defaults are an ordinary Hugging Face trainer. Which software does what is `predict.peak.software`.
"""

from __future__ import annotations

from dataclasses import dataclass

EAGER_LOGIT_BYTES = 12.0
"""Bytes a logit at an eager loss: fp32 log-probabilities and two fp32 gradients (transformers upcasts the logits)."""
COMPILED_LOGIT_BYTES = 6.0
"""The same where the loss is compiled with the model: fp32 log-probabilities and a 16-bit gradient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Software:
    """The habits of a training stack, as far as memory knows them."""

    logit_bytes: float = EAGER_LOGIT_BYTES
    """Bytes a logit at the loss; 0: the head and the loss are one kernel over pieces of the tokens, and no logits are
    kept (Liger Kernel, arXiv:2410.10989, section 3.2)."""
    compiles_loss: bool = True
    """A compiled model includes its loss; False: its blocks only (torchtitan until 2024)."""
    fused_norms: bool = False
    """A norm keeps its 16-bit input and statistics (torch's own RMSNorm), not fp32 copies (transformers)."""
    autocasts: bool = False
    """Adapters' inputs are cast to 16 bits, each by itself, whatever the adapters' dtype (`torch.autocast`)."""
    sequence_parallel: bool = False
    """Tensor parallelism also splits norms and residuals (Korthikanti et al. 2022, arXiv:2205.05198, section 4.2)."""
    keeps_matmuls: bool = False
    """Selective checkpointing keeps attention and every second matrix product (torchtitan); False: it recomputes the
    attention scores only (Korthikanti et al. 2022, section 4.3)."""
    widens_quantised: bool = True
    """Layers beside a quantised base, and its residuals, are in fp32 (PEFT's `prepare_model_for_kbit_training`)."""
    packed_bytes: float | None = None
    """Bytes of a 4-bit weight with its scales; None: nf4 with double quantisation."""
    wide_adapters: bool = True
    """Adapters are fp32 on any base (PEFT's `autocast_adapter_dtype`); False: in the compute dtype."""
    gathers_gradients: bool = False
    """Sharded training accumulates whole gradients, and divides them in the last micro-step only (FSDP's `no_sync`,
    which transformers and Lightning use); with pipeline stages it keeps whole weights as well (torchtitan)."""
    repeats_keys: bool = False
    """Keys and values are copied for all heads before attention (LitGPT)."""
    own_blocks: bool = False
    """Its own model code: one kernel an activation, no dropout, no masks for rows that need none (LitGPT)."""
    keeps_quantised_inputs: bool = False
    """A quantised layer keeps its input though its weight is frozen (older bitsandbytes, `MatMul4Bit.forward`:
    `ctx.tensors = (A, B)`; now `(None, B)`)."""
    loads_whole: bool = False
    """Every GPU reads all weights before it keeps its share (LitGPT's scripts of 2023)."""
    copies_gradients: bool = True
    """Replicas that hold everything average their gradients in buckets beside them (torch's DistributedDataParallel
    without `gradient_as_bucket_view`); False: gradients are views of the buckets (Megatron), or buckets are small."""
    fused_optimizer: bool = False
    """One kernel updates each weight: no copies of the optimizer's states."""
    offloads_checkpoints: bool = False
    """Checkpointed residuals wait in host memory (Unsloth)."""


ORDINARY = Software()
"""A Hugging Face trainer with eager kernels."""
