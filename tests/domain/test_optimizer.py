"""Optimizers by name: what libraries call them, and what each keeps."""

from __future__ import annotations

import pytest

from headway.domain.errors import UserError
from headway.domain.optimizer import OPTIMIZERS, optimizer_name


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("adamw_torch", "adamw"),  # the names of transformers' OptimizerNames
        ("adamw_torch_fused", "adamw"),
        ("adamw_hf", "adamw"),
        ("adamw_bnb_8bit", "adamw_8bit"),
        ("paged_adamw_8bit", "adamw_8bit"),
        ("paged_adamw_32bit", "adamw"),
        ("AdamW8bit", "adamw_8bit"),
        ("lion_8bit", "lion_8bit"),
        ("SGD", "sgd"),
        *((name, name) for name in OPTIMIZERS),
    ],
)
def test_names_of_libraries(written: str, plain: str) -> None:
    assert optimizer_name(written) == plain


def test_adam_keeps_two_states_and_in_8_bits_two_bytes() -> None:
    assert OPTIMIZERS["adamw"] == (2, 0.0)
    assert OPTIMIZERS["adamw_8bit"] == (0, 2.0)


def test_an_unknown_one_is_refused_with_the_known() -> None:
    with pytest.raises(UserError, match=r"'foo'. Write adamw, adam, adamw_8bit, .* or muon"):
        optimizer_name("foo")
