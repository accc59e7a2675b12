"""What a training stack does to memory, by the words of its name: the one place where names of software are read.

Owns the words. What a habit costs in bytes is `work.memory`.
"""

from __future__ import annotations

from headway.domain.software import EAGER_LOGIT_BYTES, Software
from headway.predict.speed.situation import SEQUENCE_PARALLEL, family_of

_GPTQ_BYTES = (4 + (16 + 4) / 128) / 8
"""Bytes of a GPTQ weight: 4 bits, and a 16-bit scale and a 4-bit zero for each 128 (auto-gptq, `QuantLinear`)."""
_NF4_SINGLE_BYTES = (4 + 32 / 64) / 8
"""Bytes of an nf4 weight whose scales are not quantised themselves (Dettmers et al. 2023, section 3)."""
_IN_PLACE = 8.0
"""fp32 logits and their shifted copy, over which the gradient is written (fms-acceleration's and Unsloth's kernel)."""
_HELD = 14.0
"""The loop holds the 16-bit logits beside the eager loss's fp32 copies (torchtitan, `pred` in its training loop)."""

_UNPREPARED = ("gptq", "accelerated-peft", "unsloth", "litgpt", "loop, adamw")
"""Words of stacks that do not prepare a quantised base as PEFT would."""


def _logit_bytes(words: str, family: str) -> float:
    if "liger" in words or ("unsloth" in words and "gemma-2" not in words):  # capped logits have no fused kernel
        return 0.0
    if "foak" in words:
        return _IN_PLACE
    return _HELD if family == "fsdp" else EAGER_LOGIT_BYTES


def _packed_bytes(words: str) -> float | None:
    if "gptq" in words:
        return _GPTQ_BYTES
    return _NF4_SINGLE_BYTES if "litgpt" in words and "nf4-dq" not in words else None


def software_of(words: str, parallelism: str = "") -> Software:
    """Habits of a stack by the words of its name, its kernels and its number formats, and of how a job is spread.

    `software_of("")` is an ordinary Hugging Face trainer.
    """
    words, parallelism = words.lower(), parallelism.lower()
    family = family_of(words)
    bare = "loop, adamw" in words  # benchmarks/gpu_truth.py: fused AdamW, adapters under autocast, nothing prepared
    plain = bare and "transformers" not in words
    return Software(
        logit_bytes=_logit_bytes(words, family),
        compiles_loss=family != "fsdp" or "compiled loss" in words,
        fused_norms=plain,
        autocasts=bare,
        sequence_parallel=family in SEQUENCE_PARALLEL or parallelism.endswith(" sp"),
        keeps_matmuls=family == "fsdp",
        widens_quantised=not any(one in words for one in _UNPREPARED),
        packed_bytes=_packed_bytes(words),
        wide_adapters="litgpt" not in words,
        gathers_gradients="fsdp" in parallelism and "deepspeed" not in words,
        repeats_keys="litgpt" in words or plain,
        own_blocks="litgpt" in words,
        keeps_quantised_inputs="litgpt" in words,
        loads_whole="litgpt finetune_lora" in words,
        copies_gradients=family not in ("fsdp", "nemo", "megatron") and "deepspeed" not in words,
        fused_optimizer=family in ("fsdp", "nemo", "megatron") or bare,
        offloads_checkpoints="unsloth" in words,
    )
