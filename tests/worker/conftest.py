"""Configurations of small models, and which of these tests need torch.

`./scripts/setup --torch` makes the environment that has it, `./scripts/test` runs this folder there; elsewhere only the
tests of the program's words are collected.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

_OF_TORCH = (
    "kernels", "tensors", "step", "formulas", "rows", "session", "train", "machine", "bench", "measure",
    "trainer_callback",
)  # fmt: skip
collect_ignore = [] if find_spec("torch") else [f"test_{name}.py" for name in _OF_TORCH]

TINY = {
    "model_type": "llama",
    "num_hidden_layers": 4,
    "hidden_size": 256,
    "intermediate_size": 688,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "vocab_size": 1000,
}


@pytest.fixture
def tiny() -> dict[str, Any]:
    """The config of a Llama of 3.4 million parameters."""
    return dict(TINY)


SMALL = {
    "model_type": "llama",
    "num_hidden_layers": 2,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "vocab_size": 300,
}


@pytest.fixture
def small() -> dict[str, Any]:
    """The config of a Llama that trains a step in milliseconds."""
    return dict(SMALL)
