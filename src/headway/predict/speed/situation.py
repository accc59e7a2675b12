"""Everything that a fitted prediction may know of a step before it runs, and what it compares situations by.

Owns the noun and its features. How long the step takes is `model`; which measurements exist is their reader's affair.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from headway.domain.experiment import Architecture, Batches, Recipe
from headway.domain.machine import Node
from headway.domain.spread import Draws

HUGGINGFACE = "huggingface"
"""Family of an ordinary trainer: transformers modules, eager kernels, Python in the loop."""
PLAIN = "plain"
"""Family of a loop in PyTorch, and of whatever is not known."""

_FAMILIES = (
    ("nemo", r"nemo|megatron-(bridge|core)|nvidia (release|pytorch)|ngc pytorch|dgl|hugectr|mlperf|rocm|llmboost"),
    ("megatron", r"megatron"),
    ("fsdp", r"torchtitan|foundry|composer|fms-fsdp|internevo"),
    (HUGGINGFACE, r"hf |huggingface|transformers|trl|peft|unsloth|swift|sft|axolotl|llama-?factory|litgpt|xtuner|hub"),
)
"""Families of training stacks by words of their names; first match wins, `plain` (a loop in PyTorch) without one."""

SEQUENCE_PARALLEL = ("nemo", "fsdp")
"""Families whose tensor parallelism also splits norms and residuals (Korthikanti et al. 2022, arXiv:2205.05198)."""


def family_of(framework: str) -> str:
    """Family of a stack by the name of its framework: `nemo`, `megatron`, `fsdp`, `huggingface` or `plain`."""
    text = framework.lower()
    return next((name for name, words in _FAMILIES if re.search(words, text)), PLAIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """One optimizer step to be predicted."""

    architecture: Architecture
    recipe: Recipe
    batches: Batches
    node: Node
    stack: str = ""
    """Name under which the stack's measurements are known; empty or unknown: the family's effect."""
    family: str = HUGGINGFACE
    kernels: str = ""
    """Words of fused kernels in use: `foak`, `unsloth`, `liger`, `foundry` (flash attention of 2023)."""
    context: int = 1
    """Ranks that share one sequence."""
    virtual: int = 1
    """Chunks of layers per pipeline stage (interleaved schedule; Narayanan et al. 2021, section 2.2)."""
    expert: int = 1
    """Ranks that share the experts of a layer."""
    number_format: str = ""
    """The stack's own word for its precision where `recipe.precision` has none: `nvfp4`, `mxfp8`, `gptq`, `rowwise`."""
    optimizer_step: bool = True
    """False where only forward and backward are timed."""

    @property
    def fused(self) -> bool:
        """Whether Unsloth's kernels are in use, by themselves or as fms-acceleration's "fused ops and kernels"."""
        return "foak" in self.kernels or "unsloth" in self.kernels

    @property
    def device(self) -> str:
        """Device and dtype: what evidence of a machine is kept by."""
        return f"{self.node.device.name} {self.recipe.precision}"

    @property
    def generation(self) -> str:
        """Architecture generation and dtype."""
        return f"{self.node.device.generation} {self.recipe.precision}"


FEATURES = (
    "data tensor pipeline context peak bandwidth checkpointing quantised adapter sparse nodes sharding head_dim virtual"
    " format fused"
).split()
"""Machine and recipe, by which situations are compared besides what their time goes into; sizes are natural
logarithms."""

_CHECKPOINTING = {"full": 2.0, "selective": 1.0}
_SHARDING = {"zero1": 0.5, "zero2": 0.8, "zero3": 1.0}
_FORMATS = (("nvfp4", 2.0), ("row", 1.6), ("mx", 1.3))


def _format(situation: Situation) -> float:
    if situation.recipe.precision != "fp8":
        return 0.0
    return next((value for word, value in _FORMATS if word in situation.number_format), 1.0)


def features(situation: Situation) -> Draws:
    """The situation's coordinates, in the order of `FEATURES`; shape (features,)."""
    arch, recipe, node = situation.architecture, situation.recipe, situation.node
    peaks = node.device.peak_flop_per_s
    sizes = (
        recipe.parallel.data,
        recipe.parallel.tensor,
        recipe.parallel.pipeline,
        situation.context,
        peaks.get(recipe.precision) or max(peaks.values()),
        node.device.bandwidth_bytes_per_s,
    )
    return np.array(
        [
            *(math.log(max(1.0, size)) for size in sizes),
            _CHECKPOINTING.get(recipe.gradient_checkpointing, 0.0),
            (recipe.quantize != "none") + 0.5 * ("gptq" in situation.number_format),
            float(recipe.adapter is not None),
            float(arch.experts > 0),
            math.log(node.nodes),
            _SHARDING.get(recipe.parallel.sharding, 0.0),
            math.log(arch.head_dim),
            math.log(situation.virtual),
            _format(situation),
            float(situation.fused),
        ]
    )
