"""The real model of transformers, made of its configuration alone: shapes without weights, or with random ones.

Owns the making: class, number format, adapters, checkpointing; nothing is downloaded. What is counted on shapes is
`tensors.py`; weights from a folder are `weights.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from torch import nn
from transformers import masking_utils
from transformers.masking_utils import find_packed_sequence_indices
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.pytorch_utils import Conv1D

from headway.domain.errors import UserError

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
HEADS = {
    "lm": "AutoModelForCausalLM",
    "mlm": "AutoModelForMaskedLM",
    "seq2seq": "AutoModelForSeq2SeqLM",
    "none": "AutoModel",
}
"""What stands on the blocks -> the class of transformers that makes the model."""
ALL_LINEAR = "all-linear"
EXPERTS = "grouped_mm"
"""One product over all experts' rows, whoever gets them: the only form whose shapes do not depend on the data."""
META = torch.device("meta")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """One training step to trace."""

    config: Mapping[str, Any]
    """A parsed `config.json`."""
    head: str
    """One of `HEADS`."""
    batch: int
    seq: int
    """Tokens in every row."""
    dtype: str
    attention: str
    """`sdpa` or `eager`."""
    checkpointing: str
    """`none` or `full`."""
    rank: int = 0
    """Of the adapters; 0: all weights are trained."""
    alpha: float | None = None
    """Of the adapters; None: twice the rank."""
    dropout: float = 0.0
    """Of the adapters' inputs."""
    targets: tuple[str, ...] = (ALL_LINEAR,)
    """Module names to adapt; one target may be several names with `|` between, of which the model has one."""


def configuration(values: Mapping[str, Any]) -> Any:
    """The configuration object that a parsed `config.json` describes. Raises UserError where transformers knows none.

    A multimodal file is read by its `text_config`.
    """
    text = values.get("text_config")
    given = dict(text) if isinstance(text, Mapping) and text.get("model_type") else dict(values)
    kind = given.pop("model_type", None)
    if kind not in transformers.CONFIG_MAPPING:
        raise UserError("the model's type must be one that transformers knows", got=repr(kind),
                        hint=f"transformers {transformers.__version__} is installed.")  # fmt: skip
    for key in ("quantization_config", "auto_map"):  # weights as asked for; no code but the library's
        given.pop(key, None)
    try:
        found = transformers.CONFIG_MAPPING[kind](**given | {"use_cache": False})
    except Exception as error:  # each class checks its own keys, with errors of its own
        raise UserError("the config must be one that transformers accepts", got=first_line(error)) from None
    return found


def head_of(values: Mapping[str, Any]) -> str:
    """The head that a config asks for: of its `architectures`, else a language model's."""
    named = next(iter(values.get("architectures") or ()), "")
    for ending, head in (("ForCausalLM", "lm"), ("LMHeadModel", "lm"), ("ForMaskedLM", "mlm"), ("Model", "none")):
        if named.endswith(ending):
            return "seq2seq" if values.get("is_encoder_decoder") else head
    return "seq2seq" if values.get("is_encoder_decoder") else "lm"


def make(setup: Setup, device: torch.device = META) -> nn.Module:
    """The model in training mode on `device`, adapted and checkpointed. Raises UserError where that fails.

    Weights are drawn from torch's random state; on the meta device there are none.
    """
    return prepared(_bare(setup, device), setup, device)


def prepared(model: Any, setup: Setup, device: torch.device) -> nn.Module:
    """A bare model in training mode, checkpointed and adapted as asked; adapters lie on `device`."""
    model.train()
    if setup.checkpointing == "full":
        _checkpoint(model)
    return _adapted(model, setup, device) if setup.rank else model


def _bare(setup: Setup, device: torch.device) -> Any:
    config = configuration(setup.config)
    try:
        with device:
            model = getattr(transformers, HEADS[setup.head]).from_config(
                config, attn_implementation=setup.attention, dtype=DTYPES[setup.dtype]
            )
        if getattr(model, "set_experts_implementation", None) and _has_experts(config):
            model.set_experts_implementation(EXPERTS)
    except (ValueError, TypeError, ImportError, AttributeError) as error:
        hint = "Some models have eager attention only." if setup.attention != "eager" else ""
        raise UserError("transformers must be able to make the model", got=first_line(error), hint=hint) from None
    return model


def _has_experts(config: Any) -> bool:
    return any(getattr(config, name, None) for name in ("num_local_experts", "num_experts", "n_routed_experts"))


def _checkpoint(model: Any) -> None:
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    try:
        enable({"use_reentrant": False})  # reentrant ones get no gradients behind frozen blocks
    except ValueError as error:
        raise UserError("the model must know how to checkpoint", got=first_line(error)) from None


def _adapted(model: Any, setup: Setup, device: torch.device) -> nn.Module:
    """With LoRA as PEFT makes it: adapters in fp32 on a frozen base, inputs that need gradients when checkpointed."""
    from peft import LoraConfig, get_peft_model

    targets = ALL_LINEAR if ALL_LINEAR in setup.targets else chosen(setup.targets, linear_names(model))
    if setup.checkpointing == "full":
        model.enable_input_require_grads()
    alpha = 2 * setup.rank if setup.alpha is None else setup.alpha
    asked = LoraConfig(r=setup.rank, lora_alpha=alpha, lora_dropout=setup.dropout, target_modules=targets)
    with device:
        found: nn.Module = get_peft_model(model, asked)
    return found


def linear_names(model: nn.Module) -> tuple[str, ...]:
    """The last part of the names of the model's linear layers, in order of appearance."""
    layers = (name for name, module in model.named_modules() if isinstance(module, nn.Linear | Conv1D))
    return tuple(dict.fromkeys(name.rpartition(".")[2] for name in layers))


def chosen(targets: Sequence[str], names: Sequence[str]) -> list[str]:
    """The names of the model that the targets mean. Raises UserError for a target that means none of them."""
    found: dict[str, None] = {}
    for target in targets:
        known = [name for name in target.split("|") if name in names]
        if not known:
            raise UserError("an adapter's target must be a linear layer of the model", got=target,
                            hint=f"It has {', '.join(names)}; or say {ALL_LINEAR}.")  # fmt: skip
        found.update(dict.fromkeys(known))
    return list(found)


def blocks(model: nn.Module) -> list[nn.Module]:
    """The repeated blocks: what transformers can checkpoint."""
    return [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]


def inputs(setup: Setup) -> dict[str, torch.Tensor]:
    """Rows of `seq` tokens without padding; labels where a loss is made of them."""
    ids = torch.zeros((setup.batch, setup.seq), dtype=torch.long, device=META)
    return {"input_ids": ids} if setup.head == "none" else {"input_ids": ids, "labels": ids}


def loss(model: nn.Module, given: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """A forward pass to one number; without a head, the sum of what the model returns (the pooled rows with it).

    The logits are let go, as a training loop does.
    """
    output = model(**given)
    if "labels" in given:
        found: torch.Tensor = output.loss
        return found
    pooled = getattr(output, "pooler_output", None)
    total: torch.Tensor = output.last_hidden_state.sum()
    return total if pooled is None else total + pooled.sum()


@contextmanager
def unpacked_rows() -> Iterator[None]:
    """Inside, every row is one text: transformers reads the positions to find out, and there is nothing to read."""
    masking_utils.find_packed_sequence_indices = lambda position_ids: None
    try:
        yield
    finally:
        masking_utils.find_packed_sequence_indices = find_packed_sequence_indices


def first_line(error: Exception) -> str:
    """What an error of a library says first, for a message of one line."""
    lines = [line.strip() for line in str(error).strip().splitlines()] or [type(error).__name__]
    line = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]  # "Validation error of x:", and then the error
    return line.partition(". ")[0][:200]
