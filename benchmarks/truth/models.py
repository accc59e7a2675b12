"""Models with random weights, made ready to train: full, LoRA, QLoRA.

Owns the making. transformers and peft where they are installed; a plain torch decoder of the same shape otherwise
(full training only). Frozen 4-bit weights need bitsandbytes.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from truth.points import Setup, Shape


def has(name: str) -> bool:
    """Whether a library is installed."""
    return importlib.util.find_spec(name) is not None


def possible(task: str) -> bool:
    """Whether this machine's libraries can run a task."""
    needed = {"full_finetune": (), "lora": ("transformers", "peft"), "qlora": ("transformers", "peft", "bitsandbytes")}
    return all(has(name) for name in needed[task])


def dtype_of(device: torch.device) -> torch.dtype:
    """bf16 where the hardware has it, fp16 on older CUDA cards, fp32 on a CPU."""
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16


class _Block(nn.Module):
    """RMSNorm, grouped-query attention without rotary phases (they cost nothing to speak of), SwiGLU."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape, self.width = shape, shape.hidden // shape.heads
        narrow = shape.kv_heads * self.width
        self.norm1, self.norm2 = nn.RMSNorm(shape.hidden), nn.RMSNorm(shape.hidden)
        self.q_proj = nn.Linear(shape.hidden, shape.hidden, bias=False)
        self.k_proj = nn.Linear(shape.hidden, narrow, bias=False)
        self.v_proj = nn.Linear(shape.hidden, narrow, bias=False)
        self.o_proj = nn.Linear(shape.hidden, shape.hidden, bias=False)
        self.gate_proj = nn.Linear(shape.hidden, shape.ffn, bias=False)
        self.up_proj = nn.Linear(shape.hidden, shape.ffn, bias=False)
        self.down_proj = nn.Linear(shape.ffn, shape.hidden, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, length, _ = x.shape
        y = self.norm1(x)
        q, k, v = (
            one(y).view(rows, length, -1, self.width).transpose(1, 2) for one in (self.q_proj, self.k_proj, self.v_proj)
        )
        shared = self.shape.heads // self.shape.kv_heads
        k, v = (one.repeat_interleave(shared, dim=1) for one in (k, v))
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o_proj(seen.transpose(1, 2).reshape(rows, length, -1))
        y = self.norm2(x)
        return x + self.down_proj(functional.silu(self.gate_proj(y)) * self.up_proj(y))


class PlainDecoder(nn.Module):
    """A decoder in plain torch; returns the loss of next tokens."""

    def __init__(self, shape: Shape, *, checkpointing: bool) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        self.embedding = nn.Embedding(shape.vocab, shape.hidden)
        self.blocks = nn.ModuleList(_Block(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.hidden)
        self.head = nn.Linear(shape.hidden, shape.vocab, bias=False)
        if shape.tied:
            self.head.weight = self.embedding.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embedding(tokens)
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False) if self.checkpointing else block(x)
        logits = self.head(self.norm(x))[:, :-1].float()
        return functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())


class _WithLoss(nn.Module):
    """A transformers model that returns its own loss."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=tokens, labels=tokens, use_cache=False).loss


def _quantise(model: nn.Module, dtype: torch.dtype) -> None:
    """Linear layers of the blocks become nf4 with double quantisation, as QLoRA loads them; the head stays."""
    import bitsandbytes as bnb

    for name, linear in list(model.named_modules()):
        if isinstance(linear, nn.Linear) and "lm_head" not in name:
            packed = bnb.nn.Linear4bit(
                linear.in_features, linear.out_features, bias=False, compute_dtype=dtype, quant_type="nf4"
            )
            packed.weight = bnb.nn.Params4bit(
                linear.weight.data, requires_grad=False, quant_type="nf4", compress_statistics=True
            )
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, packed)
    model.is_loaded_in_4bit = True


def _library_model(setup: Setup, dtype: torch.dtype, device: torch.device) -> nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = setup.shape
    config = LlamaConfig(
        num_hidden_layers=shape.layers,
        hidden_size=shape.hidden,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        intermediate_size=shape.ffn,
        vocab_size=shape.vocab,
        tie_word_embeddings=shape.tied,
        max_position_embeddings=8192,
        attn_implementation={"sdpa": "sdpa", "flash": "flash_attention_2"}[setup.attention],
        dtype=dtype,
    )
    quantised = setup.task == "qlora"
    with torch.device("cpu" if quantised else device):
        model = LlamaForCausalLM(config).to(dtype)
    if quantised:
        _quantise(model, dtype)
        model = model.to(device)
    if setup.checkpointing:
        enable = getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)
        enable()
    if setup.rank:
        from peft import LoraConfig, get_peft_model

        if setup.checkpointing:
            model.enable_input_require_grads()
        lora = LoraConfig(r=setup.rank, lora_alpha=2 * setup.rank, target_modules=list(setup.targets), lora_dropout=0.0)
        model = get_peft_model(model, lora)
    return _WithLoss(model)


def make(setup: Setup, device: torch.device) -> nn.Module:
    """The model of a setup, in training mode, on the device; called with tokens it returns the loss."""
    torch.manual_seed(0)
    dtype = dtype_of(device)
    if has("transformers"):
        model: nn.Module = _library_model(setup, dtype, device)
    else:
        with torch.device(device):
            model = PlainDecoder(setup.shape, checkpointing=setup.checkpointing).to(dtype)
    model = model.to(device).train()
    return torch.compile(model) if setup.compile else model  # type: ignore[return-value]
