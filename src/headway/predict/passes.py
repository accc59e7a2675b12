"""Passes without training: evaluation and generation, in seconds.

Owns what differs between them: evaluation is one pass over a batch, decoding one pass for each token.
"""

from __future__ import annotations

import math

from headway.domain.experiment import Recipe
from headway.domain.machine import Device
from headway.predict.roofline import PassTime, roofline_time
from headway.predict.values import Constants
from headway.work.step import Work


def forward_time(work: Work, device: Device, recipe: Recipe, constants: Constants) -> PassTime:
    """Seconds of `work.forward_work` on one `device`: one evaluation batch."""
    return roofline_time(work, device, recipe, constants, passes=1)


def generation_time(work: Work, device: Device, recipe: Recipe, constants: Constants, *, new_tokens: float) -> PassTime:
    """Seconds of `work.generation_work` that decodes `new_tokens` for each row, on one `device`.

    Decoding reads every weight for every token, so it is bound by bandwidth, or by launching kernels where the model
    is small (Pope et al. 2022, arXiv:2211.05102). The host's cost of a pass is paid for every token. A single row
    multiplies 4-bit weights as they are packed (bitsandbytes `gemv_4bit`), many times faster than unpacking them.
    """
    alone = any(term.kind == "linear" and term.shape is not None and term.shape[0] == 1 for term in work.terms)
    if recipe.quantize == "nf4" and alone:
        packed = constants["dequantise_efficiency.decode"]  # of all weight traffic: no unpacked copy is read again
        constants = {**constants, "dequantise_efficiency.nf4": packed, "traffic_efficiency.linear": math.inf}
    return roofline_time(work, device, recipe, constants, passes=round(new_tokens) + 1)
