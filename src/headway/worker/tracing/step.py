"""One training step of the real model on tensors without data, counted: the document `headway.trace/1`.

Owns the order of a step and what of it is reported. Making the model is `models.py`, counting `tensors.py`.
"""

from __future__ import annotations

import platform
import warnings
from contextlib import AbstractContextManager
from importlib.metadata import version
from typing import Any

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from headway.domain.errors import UserError
from headway.worker.tracing.kernels import cuda_kernels
from headway.worker.tracing.tensors import Counter
from headway.worker.training.models import Setup, blocks, first_line, inputs, loss, make, unpacked_rows

SCHEMA = "headway.trace/1"
LIBRARIES = ("torch", "transformers", "peft")
REPEATED = ("head", "batch", "seq", "dtype", "attention", "checkpointing", "rank", "targets")
"""What of a setup the document says again."""


def trace(setup: Setup) -> dict[str, Any]:
    """One training step of `setup`: FLOP by phase and kind, bytes by what they hold, the peaks of its phases.

    Bytes are those of distinct storages, each from the operator that makes it until nobody holds it: what
    `torch.cuda.max_memory_allocated` would show, without its rounding to 512 bytes and the kernels' workspaces.
    Weights are in the number format asked for, adapters in fp32 (PEFT), nothing is cast on the way (no autocast); the
    optimizer is AdamW, whose states are there from the start. FLOP follow torch.utils.flop_counter.
    Raises UserError where the model cannot be made, or reads values, which tensors without data lack.
    """
    with _silence():
        model: Any = make(setup)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    plain = model.get_base_model() if setup.rank else model
    base = [parameter for parameter in model.parameters() if not (setup.rank and parameter.requires_grad)]
    with unpacked_rows(), cuda_kernels(), _silence(), Counter() as counter:
        optimizer = _states(counter, model, trained, "adapters" if setup.rank else "weights")
        kept = _step(counter, model, setup)
    del optimizer
    return {
        "schema": SCHEMA,
        "model": {"class": type(plain).__name__, "type": plain.config.model_type},
        "step": {name: getattr(setup, name) for name in REPEATED},
        "environment": {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES},
        "parameters": {
            "total": sum(parameter.numel() for parameter in base),
            "trainable": sum(parameter.numel() for parameter in trained),
        },
        "flop": {**counter.flop, "total": sum(counter.flop.values()), "by_kind": counter.flop_by_kind},
        "memory_bytes": {**kept, "peak": max(counter.peak_bytes.values())},
        "peaks": {phase: {"bytes": counter.peak_bytes[phase], "terms_bytes": counter.peak_terms[phase]}
                  for phase in counter.peak_bytes},
    }  # fmt: skip


def _silence() -> AbstractContextManager[Any]:
    """Inside, the libraries do not announce what they will rename."""
    return warnings.catch_warnings(action="ignore")


def _states(counter: Counter, model: nn.Module, trained: list[Any], own: str) -> torch.optim.Optimizer:
    """What is there before a step: weights, buffers, and the optimizer's states as an earlier step left them."""
    counter.phase = "optimizer"
    for parameter in model.parameters():
        counter.hold(parameter, own if parameter.requires_grad else "weights")
    for buffer in model.buffers():
        counter.hold(buffer, "buffers")
    optimizer = torch.optim.AdamW(trained, foreach=False)
    for parameter in trained:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    counter.forget_peaks()
    return optimizer


def _step(counter: Counter, model: nn.Module, setup: Setup) -> dict[str, int]:
    """Forward and backward; bytes by what they hold once both are done, and what autograd kept between them."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.register_post_accumulate_grad_hook(lambda one: counter.rename(one.grad, "gradients"))
    place = _Place()
    place.follow(model)
    counter.phase = "forward"
    try:
        with saved_tensors_hooks(lambda tensor: counter.keep(tensor, place.name), lambda tensor: tensor):
            result = loss(model, inputs(setup))
        kept = {name: counter.kept_bytes("forward", name) for name in ("blocks", "elsewhere")}
        start = torch.ones_like(result)
        counter.phase = "backward"
        torch.autograd.backward(result, start)
    except (RuntimeError, ValueError, TypeError) as error:  # torch says so of kernels that need data or a GPU
        hint = "What depends on values, or needs a kernel of a GPU, cannot be traced."
        raise UserError("the model must run without data", got=first_line(error), hint=hint) from None
    held = {name: counter.live_bytes.get(name, 0) for name in ("weights", "adapters", "gradients", "optimizer")}
    return held | {"activations": kept["blocks"], "outside_blocks": kept["elsewhere"]}


class _Place:
    """Whether a block of the model runs now."""

    name = "elsewhere"

    def follow(self, model: nn.Module) -> None:
        """Let the model's blocks say when they begin and end."""
        for block in blocks(model):
            block.register_forward_pre_hook(lambda *_: self._set("blocks"))
            block.register_forward_hook(lambda *_: self._set("elsewhere"), always_call=True)

    def _set(self, name: str) -> None:
        self.name = name
