"""FLOP and live bytes of everything that PyTorch runs, on tensors without data.

Owns the counting. Which model runs is `models.py`; what is asked and printed is `trace.py`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

_ATTENTION = frozenset(("bmm", "baddbmm"))
"""Batched products are scores and weighted values; weights meet activations in `mm` and `addmm`."""


def _grouped_product_flop(left: Any, right: Any, *args: Any, out_val: Any = None, **given: Any) -> int:
    """2*m*n*k of experts' products: every row meets one expert's matrix, or (gradients of weights) one expert's row."""
    return 2 * int(left.numel()) * int(right.shape[-1])


_EXPERTS = getattr(torch.ops.aten, "_grouped_mm", None)  # which torch 2.6 has not
_FORMULAS: dict[Any, Callable[..., Any]] = {
    **flop_registry,
    **({} if _EXPERTS is None else {_EXPERTS: _grouped_product_flop}),
}
"""PyTorch's own formulas (`torch.utils.flop_counter`), and the experts' product that it leaves out."""


@dataclass(slots=True)
class _Storage:
    """What is known of one live storage."""

    kind: str
    bytes: int
    end: weakref.ref[Any]
    kept_in: str = ""


class Counter(TorchDispatchMode):  # type: ignore[misc]  # torch is absent where types are checked
    """Counts FLOP by phase and by kind, and follows every storage from its first tensor to its end.

    Not `FlopCounterMode`: its module hooks keep the tensors of a recomputed block alive until the backward pass ends,
    which would make checkpointing look useless. The formulas are the same, and so are the sums (`tests/worker`).
    """

    def __init__(self) -> None:
        super().__init__()
        self.phase = "forward"
        self.flop: dict[str, int] = dict.fromkeys(("forward", "backward", "recompute"), 0)
        self.flop_by_kind: dict[str, int] = dict.fromkeys(("linear", "attention"), 0)
        self.live_bytes: dict[str, int] = {}
        self.peak_bytes: dict[str, int] = {}
        """By phase of the step."""
        self.peak_terms: dict[str, Mapping[str, int]] = {}
        self._held: dict[int, _Storage] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        result = func(*args, **given)
        # a recomputed forward runs inside the backward pass, but with gradients on
        again = self.phase == "backward" and torch.is_grad_enabled()
        phase = "recompute" if again else self.phase
        formula = _FORMULAS.get(func._overloadpacket)
        if formula is not None and phase in self.flop:
            counted = int(formula(*args, **given, out_val=result))
            name = func._overloadpacket.__name__
            self.flop[phase] += counted
            self.flop_by_kind["attention" if name in _ATTENTION or "attention" in name else "linear"] += counted
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and tensor.device.type == "meta":
                self.hold(tensor, phase)
        return result

    def hold(self, tensor: torch.Tensor, kind: str) -> None:
        """Follow a tensor's storage under the name `kind`; one that is followed already keeps its name."""
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._held:
            return
        self._held[key] = _Storage(kind, size, weakref.ref(storage, partial(self._end, key)))
        self.live_bytes[kind] = self.live_bytes.get(kind, 0) + size
        total = sum(self.live_bytes.values())
        if total > self.peak_bytes.get(self.phase, 0):
            self.peak_bytes[self.phase], self.peak_terms[self.phase] = total, dict(self.live_bytes)

    def forget_peaks(self) -> None:
        """Begin anew with the peaks: what is live now stays counted."""
        self.peak_bytes.clear()
        self.peak_terms.clear()

    def rename(self, tensor: torch.Tensor, kind: str) -> None:
        """Count a followed tensor's storage under another name from here on."""
        one = self._held[tensor.untyped_storage()._cdata]
        self.live_bytes[one.kind] -= one.bytes
        self.live_bytes[kind] = self.live_bytes.get(kind, 0) + one.bytes
        one.kind = kind

    def keep(self, tensor: torch.Tensor, place: str) -> torch.Tensor:
        """Note that autograd keeps a tensor for the backward pass of `place`; the first place counts."""
        one = self._held.get(tensor.untyped_storage()._cdata)
        if one is not None and not one.kept_in:
            one.kept_in = place
        return tensor

    def kept_bytes(self, kind: str, place: str) -> int:
        """Bytes of the live storages of `kind` that autograd keeps for `place`."""
        return sum(one.bytes for one in self._held.values() if one.kind == kind and one.kept_in == place)

    def _end(self, key: int, _: object) -> None:
        one = self._held.pop(key)
        self.live_bytes[one.kind] -= one.bytes
