"""A model in training on this machine, and honest clocks around what it does.

Owns steps, evaluations, saves and resumes of one task; each says how long it took. Which rows come when is `rows.py`,
when something happens is the program (`train.py`, `bench.py`).
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from headway.domain.errors import UserError
from headway.worker.machine.facts import Peak
from headway.worker.machine.heap import keep_freed_memory
from headway.worker.task import Task
from headway.worker.training.checkpoint import Moved, newest_complete, prune, write_folder
from headway.worker.training.models import DTYPES, first_line, loss
from headway.worker.training.optimizers import make_optimizer, restore
from headway.worker.training.rows import MicroBatch, Row
from headway.worker.training.weights import config_of, trained_model, vocabulary, weight_files, weight_format

IGNORED = -100
"""Label that no loss is made of (torch.nn.CrossEntropyLoss)."""
TENSORS, STATE = "model.safetensors", "state.pt"
OUT_OF_MEMORY = ("can't allocate memory", "error: out of memory", "BLAS_STATUS_ALLOC_FAILED")
"""What a RuntimeError says of it: of the host (c10/core/impl/alloc_cpu.cpp), of CUDA or HIP, of cuBLAS or hipBLAS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTime:
    """One optimizer step."""

    seconds: float
    """From asking for its data until the device has done everything."""
    wait_s: float
    """Of `seconds`, fetching and collating rows."""
    device_s: float | None
    """What the GPU's own clock says between the first and the last kernel; None on a CPU."""
    rows: int
    tokens: int
    """Computed, padding included."""
    squares: int
    """Sum over rows of the square of the computed length: what attention grows with."""
    longest: int
    """Tokens of the longest computed row."""
    micro_steps: int
    loss: float
    learning_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationTime:
    """One pass over held-out rows without gradients."""

    seconds: float
    wait_s: float
    rows: int
    tokens: int
    loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Collated:
    """A micro-batch as tensors in host memory, and its size."""

    given: dict[str, torch.Tensor]
    rows: int
    width: int
    labels: int
    """Tokens that a loss is made of."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a library says that memory ran out, on a GPU or on the host."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY)


class Session:
    """One task's model, optimizer and random state. Call `load` first; then any order.

    `done` counts optimizer steps since the beginning of the run, resumed ones included; `device` is a torch device;
    `vocabulary` and `weights` (number format in which weights lie) are known before `load`; `peak` is memory;
    `keeps_memory`: what a step frees is not given back to the system (`machine/heap.py`).
    """

    def __init__(self, task: Task) -> None:
        """Read the model's config and choose the device; raises UserError where that cannot be."""
        self.task = task
        self.device = _device(task.device)
        self.keeps_memory = self.device.type == "cpu" and keep_freed_memory()
        if task.threads:
            torch.set_num_threads(task.threads)
        self.vocabulary = vocabulary(config_of(task.model))
        self.weights = weight_format(task)
        self.peak = Peak(self.device)
        self.done = 0
        self._pad = 0
        self._model: Any = None
        self._run: Any = None
        self._optimizer: Any = None
        self._scaler: Any = None
        if self.device.type == "cuda":  # its context takes a second, which belongs to a program's start
            torch.zeros(1, device=self.device)
            self._clock()

    def load(self, pad: int = 0) -> Moved:
        """Make model and optimizer on the device, and how long it took; bytes are of the weight files that were read.

        `pad` is the id that fills short rows (`Rows.pad`).
        """
        began = self._clock()
        torch.manual_seed(self.task.seed)
        self._pad = pad
        self._model = self._run = trained_model(self.task, self.device)
        self._optimizer = make_optimizer(self._model, self.task.recipe)
        self._scaler = self._new_scaler()
        if self.task.recipe.compile:
            self._run = torch.compile(self._model)
        read = sum(path.stat().st_size for path in weight_files(self.task.model))
        return Moved(seconds=self._clock() - began, bytes=read)

    def compile(self, batches: Iterable[MicroBatch], held_out: Sequence[Row] = ()) -> float:
        """Seconds of passes in which kernels are made; no weight and no random state moves. Raises UserError.

        Micro-batches of unlike shapes (`rows.unlike_batches`), as kernels for any width are made at the second one
        (torch.compile's automatic dynamic shapes); `held_out` rows are evaluated, which needs kernels of its own.
        """
        began = self._clock()
        kept = self._random_state()
        try:
            for batch in batches:
                self._backward(self._collated(batch), 1.0)
            self.evaluate(held_out)
        except Exception as error:  # the compiler's, the C compiler's, Triton's
            if is_out_of_memory(error):
                raise
            raise UserError(
                "the model must compile here", got=first_line(error), hint="Set compile to false."
            ) from None
        self._optimizer.zero_grad(set_to_none=True)
        self._set_random_state(kept)
        return self._clock() - began

    def step(self, batches: Iterable[MicroBatch]) -> StepTime:
        """One optimizer step over its micro-batches, which are fetched in it; the loss is the mean over its tokens."""
        began = self._clock()
        collated = [self._collated(batch) for batch in batches]
        waited = time.perf_counter()
        events = self._device_events()
        rate = self.task.recipe.learning_rate * max(1 - self.done / self.task.steps, 0.0)  # linear, as transformers'
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        labels = sum(one.labels for one in collated)
        losses = [self._backward(one, one.labels / max(labels, 1)) for one in collated]
        self._update()
        if events:
            events[1].record()
        ended = self._clock()
        self.done += 1
        return StepTime(
            seconds=ended - began,
            wait_s=waited - began,
            device_s=events[0].elapsed_time(events[1]) / 1e3 if events else None,
            rows=sum(one.rows for one in collated),
            tokens=sum(one.rows * one.width for one in collated),
            squares=sum(one.rows * one.width**2 for one in collated),
            longest=max(one.width for one in collated),
            micro_steps=len(collated),
            loss=float(torch.stack(losses).sum()),
            learning_rate=rate,
        )

    def evaluate(self, rows: Sequence[Row]) -> EvaluationTime:
        """A pass over the rows in their order, `rows_at_a_time` of the task's evaluation at once."""
        size = self.task.evaluation.rows_at_a_time if self.task.evaluation else self.task.batches.micro_batch
        began, waited, total, labels, tokens = self._clock(), 0.0, 0.0, 0, 0
        self._model.eval()
        try:
            with torch.no_grad():
                for start in range(0, len(rows), size):
                    asked = time.perf_counter()
                    one = self._collated(tuple(rows[start : start + size]))
                    waited += time.perf_counter() - asked
                    with self._autocast():
                        found = float(loss(self._run, self._on_device(one)))
                    total += found * one.labels if one.labels else 0.0
                    labels += one.labels
                    tokens += one.rows * one.width
        finally:
            self._model.train()
        return EvaluationTime(seconds=self._clock() - began, wait_s=waited, rows=len(rows), tokens=tokens,
                              loss=total / max(labels, 1))  # fmt: skip

    def checkpoint_bytes(self) -> int:
        """What `save` would write, without its few bytes of names."""
        states = (one for state in self._optimizer.state.values() for one in state.values())
        return self.final_bytes() + _bytes(one for one in states if isinstance(one, torch.Tensor))

    def final_bytes(self) -> int:
        """What `save_final` would write: the weights, or the adapter alone."""
        return _bytes(self._kept().values())

    def save(self, folder: Path, keep: int | None = None) -> Moved:
        """Write `folder/checkpoint-STEP`: what is trained (all weights without adapters), optimizer, random state.

        Older checkpoints beyond the newest `keep` are removed once the new one is whole. Raises UserError.
        """
        self._clock()

        def write(place: Path) -> None:
            save_file({name: one.detach().contiguous() for name, one in self._kept().items()}, place / TENSORS)
            state = {"step": self.done, "optimizer": self._optimizer.state_dict(), "scaler": self._scaler.state_dict()}
            torch.save(state | {"random": self._random_state()}, place / STATE)

        moved = write_folder(folder / f"checkpoint-{self.done}", write, {"step": self.done})
        prune(folder, keep)
        return moved

    def save_final(self, folder: Path) -> Moved:
        """Write `folder/final`, which transformers or PEFT can load: the weights, or the adapter alone."""
        self._clock()
        return write_folder(folder / "final", self._model.save_pretrained, {"step": self.done})

    def resume(self, folder: Path) -> Moved | None:
        """Go on from the newest whole checkpoint in `folder`; None where there is none. Raises UserError.

        On one thread of a CPU what follows is bitwise what would have followed without the interruption.
        """
        began = self._clock()
        place = newest_complete(folder)
        if place is None:
            return None
        checked = time.perf_counter() - began
        found, kept = load_file(place / TENSORS), self._kept()
        if {name: one.shape for name, one in found.items()} != {name: one.shape for name, one in kept.items()}:
            raise UserError("a checkpoint must be of the same model", got=place.name, hint="Name another folder.")
        with torch.no_grad():
            for name, one in kept.items():
                one.copy_(found[name])
        state = torch.load(place / STATE, map_location="cpu", weights_only=True)
        restore(self._optimizer, state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
        self._set_random_state(state["random"])
        self.done = int(state["step"])
        total = sum(path.stat().st_size for path in place.iterdir())
        return Moved(seconds=self._clock() - began, bytes=total, check_s=checked)

    def recover(self) -> None:
        """Let go of what a step that ran out of memory left half done: gradients, the optimizer's states, its scale.

        The next step makes all states anew, as the first one did, and takes longer for it.
        """
        if self._optimizer is not None:
            self._optimizer.zero_grad(set_to_none=True)
            self._optimizer.state.clear()  # one that was begun would be taken for whole
            scaler = self._new_scaler()  # the old one waits for the rest of the step
            scaler.load_state_dict(self._scaler.state_dict())
            self._scaler = scaler
        self.let_go()

    def let_go(self) -> None:
        """Give back memory that nobody holds any more and the allocator keeps."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _new_scaler(self) -> Any:
        return torch.amp.GradScaler(self.device.type, enabled=self.task.recipe.precision == "fp16")

    def _clock(self) -> float:
        """Seconds of a steady clock, once the device has done what it was told."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def _device_events(self) -> tuple[Any, Any] | None:
        if self.device.type != "cuda":
            return None
        events = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        events[0].record()
        return events

    def _autocast(self) -> AbstractContextManager[Any]:
        """Casts on the way only where something that is trained is wider than the recipe: adapters, master weights."""
        recipe = self.task.recipe
        wide = recipe.precision != "fp32" and (recipe.rank > 0 or self.weights == "fp32")
        found: AbstractContextManager[Any] = torch.autocast(self.device.type, DTYPES[recipe.precision], enabled=wide)
        return found

    def _collated(self, rows: MicroBatch) -> _Collated:
        """Rows padded on the right to the longest of them, with a mask, and labels where the model has a head."""
        lengths = [len(row) for row in rows]
        width = max(lengths)
        ids = np.full((len(rows), width), self._pad, dtype=np.int64)
        mask = np.arange(width) < np.asarray(lengths)[:, None]
        ids[mask] = np.concatenate(rows)
        given = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask.astype(np.int64))}
        if self.task.model.head != "none":
            given["labels"] = torch.from_numpy(np.where(mask, ids, IGNORED))
        shifted = len(rows) if self.task.model.head == "lm" else 0  # a row's first token is predicted by nothing
        return _Collated(given=given, rows=len(rows), width=width, labels=sum(lengths) - shifted)

    def _on_device(self, batch: _Collated) -> dict[str, torch.Tensor]:
        return {name: one.to(self.device, non_blocking=True) for name, one in batch.given.items()}

    def _backward(self, batch: _Collated, share: float) -> torch.Tensor:
        """Forward and backward of one micro-batch that counts for `share` of the step's loss, which is returned."""
        if not batch.labels:  # a mean over no token is NaN
            return torch.zeros((), device=self.device)
        with self._autocast():
            part = loss(self._run, self._on_device(batch)) * share
        self._scaler.scale(part).backward()
        return part.detach().float()

    def _update(self) -> None:
        limit = self.task.recipe.max_grad_norm
        if limit:
            self._scaler.unscale_(self._optimizer)
            nn.utils.clip_grad_norm_([one for one in self._model.parameters() if one.requires_grad], limit)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad(set_to_none=True)

    def _kept(self) -> dict[str, torch.Tensor]:
        """What a checkpoint holds of the model: what is trained, and without adapters everything else; tied once."""
        named = dict(self._model.named_parameters())
        if self.task.recipe.rank:
            return {name: one for name, one in named.items() if one.requires_grad}
        saved = self._model.state_dict().keys()
        return named | {name: one for name, one in self._model.named_buffers() if name in saved}

    def _random_state(self) -> dict[str, torch.Tensor]:
        state = {"cpu": torch.get_rng_state()}
        return state | ({"cuda": torch.cuda.get_rng_state(self.device)} if self.device.type == "cuda" else {})

    def _set_random_state(self, state: dict[str, torch.Tensor]) -> None:
        torch.set_rng_state(state["cpu"])
        if "cuda" in state and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda"], self.device)


def _bytes(tensors: Iterable[torch.Tensor]) -> int:
    return sum(one.numel() * one.element_size() for one in tensors)


def _device(asked: str) -> torch.device:
    """The device that a task asks for: the first GPU where there is one. Raises UserError for a GPU that is not."""
    if asked == "cuda" and not torch.cuda.is_available():
        raise UserError("the device must be there", got="cuda, and torch sees no GPU", hint="Say cpu: --device cpu.")
    return torch.device("cuda", 0) if asked != "cpu" and torch.cuda.is_available() else torch.device("cpu")
