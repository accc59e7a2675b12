"""The optimizer that a recipe names, over the parameters that are trained.

Owns the choice of the implementation and what weight decay spares; which names are known is `domain.optimizer`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from headway.domain.errors import UserError
from headway.domain.optimizer import optimizer_name
from headway.worker.task import OF_BITSANDBYTES, TrainingRecipe

_MOMENTUM = 0.9


def make_optimizer(model: nn.Module, recipe: TrainingRecipe) -> torch.optim.Optimizer:
    """The recipe's optimizer; decay spares vectors (norms, biases), as a standard trainer's does. Raises UserError."""
    name = optimizer_name(recipe.optimizer)
    trained = [one for one in model.parameters() if one.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [one for one in trained if one.dim() >= 2], "weight_decay": recipe.weight_decay},
        {"params": [one for one in trained if one.dim() < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    rate = recipe.learning_rate
    if name == "adamw":
        return torch.optim.AdamW(groups, lr=rate, fused=True)
    if name == "adam":
        return torch.optim.Adam(groups, lr=rate, fused=True)
    if name in ("sgd", "momentum"):
        return torch.optim.SGD(groups, lr=rate, momentum=_MOMENTUM if name == "momentum" else 0.0, fused=True)
    if name == "adafactor":
        from transformers.optimization import Adafactor

        return Adafactor(groups, lr=rate, scale_parameter=False, relative_step=False)  # as transformers' Trainer
    if name in OF_BITSANDBYTES:
        return _of_bitsandbytes(OF_BITSANDBYTES[name], groups, rate)
    raise UserError("the optimizer must be one that is trained with here", got=name,
                    hint="adamw, adam, adamw_8bit, sgd, momentum, adafactor, lion or lion_8bit.")  # fmt: skip


def _of_bitsandbytes(name: str, groups: list[dict[str, Any]], rate: float) -> torch.optim.Optimizer:
    try:
        import bitsandbytes
    except ImportError:
        raise UserError("this optimizer needs the package bitsandbytes", got="no bitsandbytes",
                        hint="pip install bitsandbytes") from None  # fmt: skip
    made: torch.optim.Optimizer = getattr(bitsandbytes.optim, name)(groups, lr=rate)
    return made


def restore(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Give the optimizer the state of `saved` (its `state_dict`), every tensor in the format it was saved in.

    torch alone casts floating states to their parameter's format, which rounds Adafactor's fp32 states to bf16.
    """
    optimizer.load_state_dict(saved)
    ordered = [one for group in optimizer.param_groups for one in group["params"]]
    for at, kept in saved["state"].items():
        mine = optimizer.state[ordered[at]]
        for name, value in kept.items():
            if isinstance(value, torch.Tensor) and mine[name].dtype != value.dtype:
                mine[name] = value.to(mine[name].device, copy=True)
