"""Count FLOP, parameters and saved activations of real models with PyTorch: the second method of `tests/work`.

Not a test and not imported by one; it needs torch, transformers and peft, which headway does not. Run it as

    pip install torch==2.13.0 transformers==5.23.0 peft==0.21.2
    python tests/work/data/count_with_torch.py flop > tests/work/data/counted_flop.csv
    python tests/work/data/count_with_torch.py saved > tests/work/data/saved_activations.csv
    python tests/work/data/count_with_torch.py kernels > tests/work/data/block_kernels.csv

FLOP come from `torch.utils.flop_counter.FlopCounterMode` with eager attention (so that scores and values are plain
matrix products, counted in full) on the meta device; mixture-of-experts routing needs values, so those run on the CPU.
Saved activations are the distinct storages that autograd packs during one forward pass, parameters excluded.
Kernels are the ATen operators that are dispatched and are no views (each is about one CUDA kernel), with the bytes of
the tensors that they read and write.
"""

from __future__ import annotations

import csv
import sys

import torch
from peft import LoraConfig, get_peft_model
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    BertConfig,
    GemmaConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MixtralConfig,
    Qwen2Config,
    Qwen3Config,
    T5Config,
)


def _llama(layers: int = 4, **more: object) -> LlamaConfig:
    return LlamaConfig(
        num_hidden_layers=layers,
        **{
            "hidden_size": 256,
            "intermediate_size": 688,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "vocab_size": 1000,
        }
        | more,
    )


CONFIGS = {
    "qwen2-0.5b": (
        AutoModelForCausalLM,
        Qwen2Config(
            vocab_size=151936,
            hidden_size=896,
            intermediate_size=4864,
            num_hidden_layers=24,
            num_attention_heads=14,
            num_key_value_heads=2,
            tie_word_embeddings=True,
        ),
    ),
    "qwen3-0.6b": (
        AutoModelForCausalLM,
        Qwen3Config(
            vocab_size=151936,
            hidden_size=1024,
            intermediate_size=3072,
            num_hidden_layers=28,
            num_attention_heads=16,
            num_key_value_heads=8,
            head_dim=128,
            tie_word_embeddings=True,
        ),
    ),
    "llama-7b": (AutoModelForCausalLM, LlamaConfig()),
    "llama-tiny": (AutoModelForCausalLM, _llama()),
    "gpt2": (AutoModelForCausalLM, GPT2Config()),
    "gpt2-no-dropout": (AutoModelForCausalLM, GPT2Config(attn_pdrop=0.0, resid_pdrop=0.0, embd_pdrop=0.0)),
    "gemma-2b": (
        AutoModelForCausalLM,
        GemmaConfig(
            vocab_size=256000,
            hidden_size=2048,
            intermediate_size=16384,
            num_hidden_layers=18,
            num_attention_heads=8,
            num_key_value_heads=1,
            head_dim=256,
        ),
    ),
    "pythia-70m": (
        AutoModelForCausalLM,
        GPTNeoXConfig(
            vocab_size=50304,
            hidden_size=512,
            intermediate_size=2048,
            num_hidden_layers=6,
            num_attention_heads=8,
        ),
    ),
    "bert-base": (AutoModel, BertConfig()),
    "bert-base-mlm": (AutoModelForMaskedLM, BertConfig()),
    "t5-small": (AutoModelForSeq2SeqLM, T5Config(num_decoder_layers=6)),
    "mixtral-tiny": (
        AutoModelForCausalLM,
        MixtralConfig(
            vocab_size=1000,
            hidden_size=128,
            intermediate_size=352,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            num_local_experts=8,
            num_experts_per_tok=2,
        ),
    ),
}

SEVEN = "q_proj k_proj v_proj o_proj gate_proj up_proj down_proj"
# model, batch, tokens, LoRA rank (0: full), PEFT target modules, checkpointing, leading blocks frozen
RUNS = [
    ("qwen2-0.5b", 8, 128, 0, "", "none", 0),
    ("qwen2-0.5b", 8, 128, 0, "", "full", 0),
    ("qwen2-0.5b", 8, 128, 4, SEVEN, "none", 0),
    ("qwen2-0.5b", 8, 128, 4, SEVEN, "full", 0),
    ("qwen2-0.5b", 8, 128, 4, "q_proj v_proj", "none", 0),
    ("qwen2-0.5b", 8, 128, 16, "o_proj", "none", 0),
    ("qwen2-0.5b", 8, 128, 16, "up_proj down_proj", "none", 0),
    ("qwen3-0.6b", 2, 512, 0, "", "none", 0),
    ("qwen3-0.6b", 2, 512, 8, SEVEN, "full", 0),
    ("llama-7b", 2, 512, 0, "", "none", 0),
    ("llama-7b", 2, 512, 0, "", "full", 0),
    ("llama-7b", 2, 512, 16, "q_proj v_proj", "full", 0),
    ("llama-tiny", 4, 256, 0, "", "full", 0),
    ("llama-tiny", 4, 256, 64, SEVEN, "none", 0),
    ("gpt2", 4, 256, 0, "", "none", 0),
    ("gpt2", 4, 256, 8, "c_attn", "none", 0),
    ("gpt2", 4, 256, 0, "", "full", 0),
    ("gemma-2b", 1, 256, 0, "", "full", 0),
    ("gemma-2b", 1, 256, 8, "q_proj v_proj", "none", 0),
    ("pythia-70m", 4, 256, 0, "", "none", 0),
    ("pythia-70m", 4, 256, 8, "query_key_value", "full", 0),
    ("bert-base", 8, 128, 0, "", "none", 0),
    ("bert-base", 8, 128, 8, "query value", "none", 0),
    ("bert-base-mlm", 8, 128, 0, "", "none", 0),
    ("t5-small", 4, 128, 0, "", "none", 0),
    ("t5-small", 4, 128, 8, "q v", "none", 0),
    ("mixtral-tiny", 4, 128, 0, "", "none", 0),
    ("mixtral-tiny", 4, 128, 8, "q_proj v_proj", "none", 0),
    ("qwen2-0.5b", 8, 128, 0, "", "none", 12),
    ("qwen2-0.5b", 8, 128, 4, SEVEN, "none", 12),
    ("llama-tiny", 4, 256, 0, "", "none", 3),
    ("llama-tiny", 4, 256, 0, "", "full", 3),
    ("gpt2-no-dropout", 4, 256, 0, "", "none", 6),
]


def build(name: str, rank: int, targets: str, checkpointing: str, *, device: str, attention: str, dtype: torch.dtype):
    """The model in training mode, adapted and checkpointed as asked."""
    kind, config = CONFIGS[name]
    with torch.device(device):
        model = kind.from_config(config, attn_implementation=attention, dtype=dtype)
    if "mixtral" in name:
        model.set_experts_implementation("eager")  # the counter does not know grouped_mm
    model.train()
    plain = sum(p.numel() for p in model.parameters())
    if rank:
        with torch.device(device):
            model = get_peft_model(model, LoraConfig(r=rank, target_modules=targets.split()))
    if checkpointing == "full":
        model.gradient_checkpointing_enable()
        if rank:
            model.enable_input_require_grads()
    return model, plain


def freeze_blocks(model: torch.nn.Module, count: int) -> None:
    """Freeze the embeddings and the `count` leading blocks (a tied head with them)."""
    leading = tuple(f".{number}." for number in range(count))
    for name, parameter in model.named_parameters():
        if count and ("embed" in name or "wte" in name or "wpe" in name or any(part in name for part in leading)):
            parameter.requires_grad_(False)


def inputs(name: str, batch: int, tokens: int, device: str) -> dict[str, torch.Tensor]:
    """Token ids and, where the model takes one, an explicit 4-D mask (a 2-D one is read, which meta cannot)."""
    ids = torch.zeros((batch, tokens), dtype=torch.long, device=device)
    if device == "cpu":
        ids.random_(0, 1000)
    if name.startswith("t5"):
        return {"input_ids": ids, "decoder_input_ids": ids}
    given = {"input_ids": ids, "position_ids": torch.arange(tokens, device=device)[None]}
    if device == "meta":
        given["attention_mask"] = torch.zeros((batch, 1, tokens, tokens), device=device)
    return given


def outcome(output: object) -> torch.Tensor:
    """Something to differentiate: logits, or hidden states and pooled output."""
    logits = getattr(output, "logits", None)
    return logits.sum() if logits is not None else output.last_hidden_state.sum() + output.pooler_output.sum()


def count_flop() -> None:
    """One CSV row per run of RUNS."""
    out = csv.writer(sys.stdout, lineterminator="\n")
    columns = "model batch tokens rank targets checkpointing freeze parameters trainable forward_flop total_flop"
    out.writerow(columns.split())
    for name, batch, tokens, rank, targets, checkpointing, freeze in RUNS:
        device = "cpu" if "mixtral" in name else "meta"
        model, plain = build(name, rank, targets, checkpointing, device=device, attention="eager", dtype=torch.float32)
        freeze_blocks(model, freeze)
        trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
        given = inputs(name, batch, tokens, device) | ({} if "bert" in name else {"use_cache": False})
        with FlopCounterMode(display=False) as counter:
            loss = outcome(model(**given))
            forward = counter.get_total_flops()
            loss.backward()
        counted = [plain, trainable, forward, counter.get_total_flops()]
        out.writerow([name, batch, tokens, rank, targets, checkpointing, freeze, *counted])
        sys.stdout.flush()


def saved_bytes(model: torch.nn.Module, given: dict[str, torch.Tensor]) -> int:
    """Bytes of the distinct storages that autograd keeps after one forward pass, parameters and buffers excluded."""
    own = {t.untyped_storage()._cdata for t in [*model.parameters(), *model.buffers()]}
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        output = model(**given) if "pooler" in dir(model) else model(**given, use_cache=False)
        loss = outcome(output)
    del loss, output
    return sum(storage.nbytes() for storage in kept.values())


def _shape(layers: int) -> dict[str, object]:
    return _llama(layers).to_dict()


SMALL = {
    "llama": (AutoModelForCausalLM, _llama),
    "qwen3": (
        AutoModelForCausalLM,
        lambda n: Qwen3Config(**(_shape(n) | {"model_type": "qwen3", "head_dim": 32})),
    ),
    "gpt2": (
        AutoModelForCausalLM,
        lambda n: GPT2Config(n_layer=n, n_embd=256, n_head=8, vocab_size=1000, attn_pdrop=0.0, resid_pdrop=0.0),
    ),
    "bert": (
        AutoModel,
        lambda n: BertConfig(
            num_hidden_layers=n,
            hidden_size=256,
            num_attention_heads=8,
            intermediate_size=1024,
            vocab_size=1000,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        ),
    ),
    "pythia": (
        AutoModelForCausalLM,
        lambda n: GPTNeoXConfig(
            num_hidden_layers=n,
            hidden_size=256,
            num_attention_heads=8,
            intermediate_size=1024,
            vocab_size=1000,
        ),
    ),
    "mixtral": (
        AutoModelForCausalLM,
        lambda n: MixtralConfig(**(_shape(n) | {"model_type": "mixtral", "num_local_experts": 4})),
    ),
}
"""Small models by family, of as many blocks as asked."""


def count_saved() -> None:
    """Saved bytes per block (difference of four and two blocks) of small models, in several recipes."""
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow("model dtype rank targets checkpointing batch tokens block_bytes".split())
    cases = [
        ("llama", dtype, rank, targets, checkpointing)
        for dtype in (torch.float32, torch.bfloat16)
        for rank, targets in ((0, ""), (8, "q_proj v_proj"), (8, SEVEN))
        for checkpointing in ("none", "full")
    ]
    cases += [(name, torch.bfloat16, 0, "", "none") for name in SMALL if name != "llama"]
    for name, dtype, rank, targets, checkpointing in cases:
        sizes = []
        for layers in (2, 4):
            kind, make = SMALL[name]
            CONFIGS[f"{name}-small"] = (kind, make(layers))
            model, _ = build(f"{name}-small", rank, targets, checkpointing, device="cpu", attention="sdpa", dtype=dtype)
            sizes.append(saved_bytes(model, inputs(name, 2, 256, "cpu")))
        kept = [name, str(dtype).removeprefix("torch."), rank, targets, checkpointing, 2, 256]
        out.writerow([*kept, (sizes[1] - sizes[0]) / 2])


class KernelCounter(TorchDispatchMode):
    """Operators that launch a kernel, and the bytes that they touch, by kind."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels = dict.fromkeys(("linear", "attention", "elementwise"), 0)
        self.bytes = dict.fromkeys(("linear", "attention", "elementwise"), 0)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if not func.is_view and name not in {
            "detach",
            "empty",
            "empty_like",
            "empty_strided",
            "_unsafe_view",
            "expand",
        }:
            kind = "linear" if name in {"mm", "addmm"} else "attention" if "attention" in name else "elementwise"
            if name == "bmm":
                kind = "attention"
            self.kernels[kind] += 1
            tensors = [t for t in tree_leaves((args, kwargs, result)) if isinstance(t, torch.Tensor)]
            self.bytes[kind] += sum(t.numel() * t.element_size() for t in tensors)
        return result


def count_kernels() -> None:
    """Kernels and bytes per block (difference of four and two blocks), forward and backward, of small models."""
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow("model dtype rank targets attention phase kind kernels bytes".split())
    cases = [
        ("llama", torch.bfloat16, 0, "", "sdpa"),
        ("llama", torch.float32, 0, "", "sdpa"),
        ("llama", torch.bfloat16, 0, "", "eager"),
        ("llama", torch.bfloat16, 8, "q_proj v_proj", "sdpa"),
        ("llama", torch.bfloat16, 8, SEVEN, "sdpa"),
        ("qwen3", torch.bfloat16, 0, "", "sdpa"),
        ("gpt2", torch.bfloat16, 0, "", "sdpa"),
    ]
    for name, dtype, rank, targets, attention in cases:
        counts = []
        for layers in (2, 4):
            kind, make = SMALL[name]
            CONFIGS["small"] = (kind, make(layers))
            model, _ = build("small", rank, targets, "none", device="cpu", attention=attention, dtype=dtype)
            given = inputs("small", 2, 256, "cpu")
            with KernelCounter() as forward:
                loss = outcome(model(**given, use_cache=False))
            with KernelCounter() as backward:
                loss.backward()
            counts.append((forward, backward))
        for phase, two, four in zip(("forward", "backward"), *counts, strict=True):
            for kind in two.kernels:
                kernels, size = (four.kernels[kind] - two.kernels[kind]) / 2, (four.bytes[kind] - two.bytes[kind]) / 2
                kept = [name, str(dtype).removeprefix("torch."), rank, targets, attention, phase, kind, kernels, size]
                out.writerow(kept)


if __name__ == "__main__":
    {"flop": count_flop, "saved": count_saved, "kernels": count_kernels}[sys.argv[1]]()
