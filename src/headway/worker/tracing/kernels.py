"""Which kernels CUDA would run for attention and dropout, for tensors that are on no GPU.

Owns the choice only. PyTorch's own dispatcher takes unfused kernels for meta tensors, whose score squares and 16-bit
dropout masks no GPU would hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional

_WIDEST_FLASH_HEAD = 256
_ALIGNED = 8
"""Heads are padded to a multiple of 8 before the flash kernel (`pad_last_dim<8>`, ATen transformers/attention.cpp)."""


def chosen_kernel(dtype: torch.dtype, width: int, *, masked: bool, grouped: bool, shared: bool = True) -> str:
    """`flash`, `efficient` or `math`: what CUDA runs for `scaled_dot_product_attention` of heads `width` wide.

    Flash takes 16-bit tensors without a mask, up to 256 wide; only flash and math share keys among query heads, flash
    where that is asked for with `enable_gqa` (ATen sdp_utils.cpp, `check_batch_size_and_num_heads_dense`).
    """
    if grouped and not shared:
        return "math"
    if not masked and dtype in (torch.float16, torch.bfloat16) and width <= _WIDEST_FLASH_HEAD:
        return "flash"
    return "math" if grouped else "efficient"


def _flash(query: Any, key: Any, value: Any, dropout: float, causal: bool, scale: float) -> Any:
    width = query.shape[-1]
    padding = -width % _ALIGNED
    if padding:
        query, key, value = (functional.pad(one, (0, padding)) for one in (query, key, value))
    found = torch.ops.aten._scaled_dot_product_flash_attention(query, key, value, dropout, causal, False, scale=scale)
    return found[0][..., :width]


@contextmanager
def cuda_kernels() -> Iterator[None]:
    """Inside, attention and dropout of meta tensors run the operators that CUDA would.

    The functions are replaced by name: a `TorchFunctionMode` is not active while autograd recomputes a checkpoint.
    """
    plain: Callable[..., Any] = functional.scaled_dot_product_attention
    plain_dropout: Callable[..., Any] = functional.dropout

    def dropout_on_cuda(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
        if training and 0 < p < 1 and not inplace:  # ATen/native/Dropout.cpp, is_fused_kernel_acceptable
            return torch.native_dropout(input, p, True)[0]
        return plain_dropout(input, p, training, inplace)

    def as_on_cuda(query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
                   is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False) -> Any:  # fmt: skip
        width = query.shape[-1]
        grouped = query.shape[1] != key.shape[1]
        kernel = chosen_kernel(query.dtype, width, masked=attn_mask is not None, grouped=grouped, shared=enable_gqa)
        factor = width**-0.5 if scale is None else scale
        if kernel == "flash":
            return _flash(query, key, value, dropout_p, is_causal, factor)
        if kernel == "efficient":
            bias = None if attn_mask is None else attn_mask.expand(*query.shape[:-1], key.shape[-2])
            if bias is not None and bias.dtype == torch.bool:  # the dispatcher makes an additive mask of it
                bias = torch.zeros_like(attn_mask, dtype=query.dtype).expand(*query.shape[:-1], key.shape[-2])
            run = torch.ops.aten._scaled_dot_product_efficient_attention
            return run(query, key, value, bias, True, dropout_p, is_causal, scale=factor)[0]
        return plain(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)

    functional.scaled_dot_product_attention, functional.dropout = as_on_cuda, dropout_on_cuda
    try:
        yield
    finally:
        functional.scaled_dot_product_attention, functional.dropout = plain, plain_dropout
