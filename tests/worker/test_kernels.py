"""Which kernels a GPU would take for attention and dropout, and that meta tensors take them."""

from __future__ import annotations

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from headway.worker.tracing.kernels import chosen_kernel, cuda_kernels
from headway.worker.tracing.tensors import Counter

HALF = torch.bfloat16


@pytest.mark.parametrize(
    ("dtype", "width", "masked", "grouped", "kernel"),
    [
        (HALF, 128, False, False, "flash"),
        (HALF, 128, False, True, "flash"),
        (HALF, 256, False, False, "flash"),
        (HALF, 288, False, False, "efficient"),
        (HALF, 128, True, False, "efficient"),
        (HALF, 128, True, True, "math"),
        (torch.float32, 128, False, False, "efficient"),
        (torch.float32, 128, False, True, "math"),
    ],
)
def test_the_choice_of_cuda(dtype: torch.dtype, width: int, masked: bool, grouped: bool, kernel: str) -> None:
    assert chosen_kernel(dtype, width, masked=masked, grouped=grouped) == kernel


def test_heads_that_share_keys_unasked_have_no_fused_kernel() -> None:
    assert chosen_kernel(HALF, 128, masked=False, grouped=True, shared=False) == "math"
    query, key, value = heads(4, 32, HALF), heads(1, 32, HALF), heads(1, 32, HALF)
    with cuda_kernels(), FlopCounterMode(display=False) as counter:
        functional.scaled_dot_product_attention(query, key, value).sum().backward()
    assert ran(counter) == {"aten.bmm"}


def heads(number: int, width: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.empty((2, number, 16, width), dtype=dtype, device="meta", requires_grad=True)


def ran(found: FlopCounterMode) -> set[str]:
    return {str(one) for one in found.get_flop_counts()["Global"]}


@pytest.mark.parametrize(
    ("dtype", "mask", "operator"),
    [
        (HALF, False, "aten._scaled_dot_product_flash_attention"),
        (HALF, True, "aten._scaled_dot_product_efficient_attention"),
        (torch.float32, False, "aten._scaled_dot_product_efficient_attention"),
    ],
)
def test_meta_tensors_run_the_fused_kernel_and_its_backward(dtype: torch.dtype, mask: bool, operator: str) -> None:
    query, key, value = (heads(4, 32, dtype) for _ in range(3))
    bias = torch.zeros((2, 1, 16, 16), dtype=dtype, device="meta") if mask else None
    with cuda_kernels(), FlopCounterMode(display=False) as counter:
        functional.scaled_dot_product_attention(query, key, value, attn_mask=bias).sum().backward()
    assert ran(counter) == {operator, f"{operator}_backward"}
    assert query.grad is not None
    assert query.grad.shape == query.shape


def test_odd_heads_are_padded_for_the_kernel_and_cut_again() -> None:
    with cuda_kernels():
        found = functional.scaled_dot_product_attention(*(heads(4, 20, HALF) for _ in range(3)), is_causal=True)
    assert found.shape[-1] == 20


def test_a_boolean_mask_is_made_additive() -> None:
    mask = torch.ones((2, 1, 16, 16), dtype=torch.bool, device="meta")
    with cuda_kernels():
        found = functional.scaled_dot_product_attention(*(heads(4, 32, HALF) for _ in range(3)), attn_mask=mask)
    assert found.shape == (2, 4, 16, 32)


@pytest.mark.parametrize(("training", "p", "kept_bytes"), [(True, 0.1, 1000), (True, 0.0, 0), (False, 0.1, 0)])
def test_dropout_keeps_one_byte_an_element(training: bool, p: float, kept_bytes: int) -> None:
    rows = torch.empty(1000, dtype=HALF, device="meta", requires_grad=True)
    with (
        Counter() as counter,
        cuda_kernels(),
        saved_tensors_hooks(lambda one: counter.keep(one, "here"), lambda one: one),
    ):
        result = functional.dropout(rows, p, training) + 1
    assert counter.kept_bytes("forward", "here") == kept_bytes
    assert result.requires_grad


def test_the_function_is_torchs_own_again_afterwards() -> None:
    before = functional.scaled_dot_product_attention, functional.dropout
    with pytest.raises(KeyError), cuda_kernels():
        raise KeyError
    assert (functional.scaled_dot_product_attention, functional.dropout) == before
