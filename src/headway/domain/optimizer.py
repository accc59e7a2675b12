"""Optimizers by name: which are known, and what each keeps for every trained parameter.

Owns the one list that plans are checked against and memory and traffic are counted from.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from headway.domain.errors import UserError

OPTIMIZERS: Final[Mapping[str, tuple[int, float]]] = MappingProxyType(
    {
        "adamw": (2, 0.0),
        "adam": (2, 0.0),
        "adamw_8bit": (0, 2.0),
        "sgd": (0, 0.0),
        "momentum": (1, 0.0),
        "lion": (1, 0.0),
        "lion_8bit": (0, 1.0),
        "adafactor": (0, 0.01),
        "muon": (1, 0.0),
    }
)
"""Optimizer -> states of the parameter's own dtype, and bytes a parameter beside them.

8-bit states are 1 byte each (Dettmers et al. 2021, arXiv:2110.02861); Adafactor keeps a row and a column of a matrix.
"""
_SUFFIXES: Final = ("_torch", "_fused", "_bnb", "_hf", "_apex", "_anyprecision", "_32bit", "_xla")
"""Who made it and how it is launched, as `transformers.training_args.OptimizerNames` writes it."""
_OTHERWISE: Final = {"adamw8bit": "adamw_8bit", "adam_8bit": "adamw_8bit", "sgd_momentum": "momentum"}


def optimizer_name(optimizer: str) -> str:
    """The plain name of an optimizer: `adamw_torch_fused` -> `adamw`, `paged_adamw_8bit` -> `adamw_8bit`.

    Raises `UserError` for one that is not in `OPTIMIZERS`.
    """
    plain = optimizer.lower().replace("-", "_").removeprefix("paged_")
    for suffix in _SUFFIXES:
        plain = plain.replace(suffix, "")
    plain = _OTHERWISE.get(plain, plain)
    if plain not in OPTIMIZERS:
        known = tuple(OPTIMIZERS)
        raise UserError(
            "the optimizer must be a known one",
            got=repr(optimizer),
            hint=f"Write {', '.join(known[:-1])} or {known[-1]}.",
            field="recipe.optimizer",
        )
    return plain
