"""Passes without training: evaluation and generation, in seconds.

Owns nothing but what differs from a step: no optimizer, and one pass through the model for each token decoded.
"""

from __future__ import annotations

import math

from headway.domain.experiment import Recipe
from headway.domain.machine import Node
from headway.predict.step_time import HUGGINGFACE, StepTime, time_of
from headway.predict.values import Constants
from headway.work.step import Work


def forward_time(
    work: Work, node: Node, recipe: Recipe, constants: Constants, *, passes: int = 1, stack: str = HUGGINGFACE
) -> StepTime:
    """Seconds of `work.forward_work` that makes `passes` passes, on `node`: an evaluation batch."""
    return time_of(work, node, recipe, constants, passes=passes, stack=stack)


def generation_time(
    work: Work, node: Node, recipe: Recipe, constants: Constants, *, new_tokens: float, stack: str = HUGGINGFACE
) -> StepTime:
    """Seconds of `work.generation_work` that decodes `new_tokens` for each row, on `node`.

    Decoding reads every weight for every token, so it is bound by bandwidth, or by launching kernels where the model
    is small (Pope et al. 2022, arXiv:2211.05102). The host's cost of a pass is paid for every token. A single row
    multiplies 4-bit weights as they are packed (bitsandbytes `gemv_4bit`), many times faster than unpacking them.
    """
    alone = any(term.kind == "linear" and term.shape is not None and term.shape[0] == 1 for term in work.terms)
    if recipe.quantize == "nf4" and alone:
        packed = constants["dequantise_efficiency.decode"]  # of all weight traffic: no unpacked copy is read again
        constants = {**constants, "dequantise_efficiency.nf4": packed, "traffic_efficiency.linear": math.inf}
    return time_of(work, node, recipe, constants, passes=round(new_tokens) + 1, stack=stack)
