"""Configurations of small models, and which of these tests need torch.

`./scripts/setup --torch` makes the environment that has it, `./scripts/test` runs this folder there; elsewhere only the
tests of the program's words are collected.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

collect_ignore = (
    []
    if find_spec("torch")
    else ["test_kernels.py", "test_tensors.py", "test_step.py", "test_formulas.py", "test_trainer_callback.py"]
)

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
