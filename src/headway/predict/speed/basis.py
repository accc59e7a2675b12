"""A situation -> seconds that each kind of work would take at nominal rates: the columns that coefficients multiply.

Owns which work falls into which column and the nominal rates. Does not own the coefficients (`model`, `fit`).
"""

from __future__ import annotations

import math

import numpy as np

from headway.domain.machine import Device, Node
from headway.domain.spread import Draws
from headway.predict.links import default_link, leaves_node
from headway.predict.rates import Rate, matmul_rate, memory_rate
from headway.predict.speed.situation import SEQUENCE_PARALLEL, Situation
from headway.predict.values import Constants, constant, middle
from headway.work.step import Work, WorkTerm, step_work

GPU = (
    "linear linear_fp8 linear_fp4 recompute recompute_fp8 recompute_fp4 attention attention_new attention_eager"
    " attention_short head elementwise elementwise_eager scores loss optimizer dequantise ramp"
).split()
"""Columns that add up on the GPU."""
HOST = ("launch", "micro_step", "layer")
"""Columns that add up on the host: kernels launched, passes, layers passed."""
INLINE = ("tensor_inner", "tensor_outer", "experts_inner", "experts_outer")
"""Communication that the next layer waits for."""
BESIDE = ("data_inner", "data_outer", "pipeline", "messages")
"""Communication that overlaps with computing."""
FLAGS = ("old_flash", "rowwise", "graphs", "dropout")
"""What changes the coefficients of other columns."""
COLUMNS = (*GPU, *HOST, *INLINE, *BESIDE, "bubble", *FLAGS, "floor")
"""`bubble`: idle share of a pipeline; `floor`: seconds at dense peak, under which nothing can go."""

_NEW = ("Hopper", "Blackwell", "Blackwell Ultra", "Ada Lovelace", "Ada")
_FAST_NETWORK = ("Hopper", "Blackwell", "Blackwell Ultra")
_NETWORK_BYTES_PER_S = (25e9, 50e9)
"""Per GPU where nothing is stated: 200 Gbit/s adapters of A100 systems, 400 Gbit/s of H100's (DGX datasheets)."""
_NO_HALF = ("Pascal", "Maxwell")
"""fp16 with fp32 accumulation runs at the fp32 rate there (P100 whitepaper: its fp16 rate accumulates in fp16)."""
_MATRIX_FP32 = {"CDNA1": 2.0, "CDNA2": 2.0}
"""Matrix cores multiply in fp32 at twice the vector rate there, which is the catalog's (datasheets of MI100 and MI210:
46.1 of 23.1 and 45.3 of 22.6 TFLOP/s); CDNA3's row has its matrix rate."""
_FP4 = {"Blackwell": 2.0, "Blackwell Ultra": 3.0}
"""Dense rate of fp4 in that of fp8 (NVIDIA: GB200 10 and 5 PFLOP/s, GB300 15 and 5)."""
_FUSED_LOSS = (("compile", 0.3), ("liger", 0.3), ("foak", 0.6), ("unsloth", 0.6))
"""Of the eager loss chain's bytes: a compiled or fused cross-entropy reads 16-bit logits once and writes once."""
_AUTOCAST_SCORES = 1.7
"""Naive attention under autocast: its softmax runs in fp32 (torch.amp op list), so scores are cast, twice as wide."""
_CASTS = 0.25
"""Of PEFT's casts around adapters, what stacks need whose adapters are in the compute dtype: scaling and adding."""
_REFERENCE_W = {"H100": 700.0}
_POWER = 0.6
"""Of the limit, in the rate: an H100 PCIe (350 W) reaches 449 TFLOP/s with 114 of the 132 SMs that reach 794 at 700 W
(`achievable.csv`): (449 / 794 x 132 / 114) = 0.5^0.61."""


def _derating(device: Device) -> float:
    """Rate that a lower board limit leaves of large products, which run at the limit."""
    limit = device.board_limit_w
    reference = next((w for name, w in _REFERENCE_W.items() if device.name.startswith(name + " SXM")), None)
    return min(1.0, (limit / reference) ** _POWER) if limit and reference else 1.0


def _dies(situation: Situation) -> float:
    """A single process sees one of the two dies of an MI250."""
    return 2.0 if situation.node.device.name.startswith("MI250") and situation.node.total_gpus == 1 else 1.0


def _loss_share(situation: Situation) -> float:
    words = situation.kernels + (" compile" if situation.recipe.compile else "")
    found = next((share for word, share in _FUSED_LOSS if word in words), None)
    return found if found is not None else 0.6 if situation.family in ("nemo", "megatron") else 1.0


def _suffix(situation: Situation, term: WorkTerm) -> str:
    if term.dtype != "fp8":
        return ""
    return "_fp4" if "nvfp4" in situation.number_format else "_fp8"


def _product_column(situation: Situation, term: WorkTerm) -> str:
    if term.kind == "attention":
        if situation.recipe.attention in ("eager", "math"):
            return "attention_eager"
        return "attention_new" if situation.node.device.generation in _NEW else "attention"
    if term.kind == "head":
        return "head"
    return ("recompute" if term.phase == "recompute" else "linear") + _suffix(situation, term)


def _faster(device: Device, dtype: str, column: str) -> float:
    """What products reach over the catalog's rate of their dtype, where that is of other units or a wider dtype."""
    if column.endswith("_fp4"):
        return _FP4.get(device.generation, 1.0)
    return _MATRIX_FP32.get(device.generation, 1.0) if dtype == "fp32" else 1.0


def _traffic(situation: Situation, term: WorkTerm) -> tuple[str, float] | None:
    """Column and share of bytes of a term that is bound by memory; None for products, whose FLOP are counted."""
    family, recipe = situation.family, situation.recipe
    if term.kind == "attention":
        autocast = "autocast" in situation.number_format and recipe.attention == "eager"
        return "scores", _AUTOCAST_SCORES if autocast else 1.0
    if term.kind == "elementwise":
        eager = family not in SEQUENCE_PARALLEL and not recipe.compile
        split = recipe.parallel.tensor if family in SEQUENCE_PARALLEL and term.name in ("norms", "residual") else 1
        return ("elementwise_eager" if eager else "elementwise"), 1.0 / split
    if term.kind == "loss":
        return "loss", _loss_share(situation)
    return (term.kind, 1.0) if term.kind in ("optimizer", "dequantise") else None


def _paths(node: Node) -> tuple[float, float]:
    """Bytes per second of one GPU, one direction: inside a node and between nodes."""
    inner = (node.link or default_link(node.device)).bytes_per_s
    fast = node.device.generation in _FAST_NETWORK
    return inner, node.network.bytes_per_s if node.network else _NETWORK_BYTES_PER_S[fast]


def _compute(found: dict[str, float], situation: Situation, work: Work, constants: Constants) -> None:
    device = situation.node.device
    dies = _dies(situation)
    kept = _derating(device) * middle(constant(constants, "sustained_share", device.generation))
    bandwidth = middle(memory_rate(device, constants)) / dies
    rates: dict[str, Rate] = {}
    for term in work.terms:
        casts = _CASTS if term.name == "adapter_casts" and situation.family in SEQUENCE_PARALLEL else 1.0
        found["launch"] += casts * term.launches
        if term.kind in ("linear", "adapter", "head"):
            found["ramp"] += term.launches
        if term.flop:
            dtype = "fp32" if term.dtype == "fp16" and device.generation in _NO_HALF else term.dtype
            if dtype not in rates:
                rates[dtype] = matmul_rate(device, dtype, constants)
            column, rate = _product_column(situation, term), rates[dtype]
            faster = _faster(device, dtype, column)
            reached = middle(rate.flop_per_s) * kept * faster
            if term.dtype == "int8":  # splitting outliers off and scaling takes most of the time (LLM.int8)
                reached *= middle(constants["int8_efficiency"])
            found[column] += term.executed_flop * dies / reached
            found["floor"] += term.executed_flop * dies / (rate.peak_flop_per_s * faster)
        traffic = _traffic(situation, term)
        if traffic:
            found[traffic[0]] += casts * traffic[1] * term.bytes / bandwidth
    flash = found["attention"] + found["attention_new"] + found["attention_eager"]
    found["attention_short"] = flash * 1024.0 / max(64.0, situation.batches.longest_row_tokens)
    if situation.fused:  # about half of the eager chains have fused kernels there
        found["elementwise"] += found["elementwise_eager"] / 2
        found["elementwise_eager"] /= 2


def _communicate(found: dict[str, float], situation: Situation, work: Work) -> None:
    parallel, node = situation.recipe.parallel, situation.node
    inner, outer = _paths(node)
    ranks = {"tensor": parallel.tensor, "data": parallel.data, "pipeline": 2}
    for term in work.terms:
        if not term.link_bytes:
            continue
        name = term.name.split(".", maxsplit=1)[0]
        size, spans = ranks[name], leaves_node(name, node, parallel)
        column = name if name == "pipeline" else f"{name}_{'outer' if spans else 'inner'}"
        found[column] += term.link_bytes / (outer if spans else inner)
        # NCCL's trees need log2(n) hops where rings need n - 1
        found["messages"] += term.messages * math.log2(max(2, size)) / max(1, size - 1)
    arch, batches = situation.architecture, situation.batches
    if arch.experts and situation.expert > 1:  # tokens sent to their experts and back, forward and backward
        tokens = batches.micro_rows * batches.row_tokens * batches.micro_steps / parallel.tensor
        sent = 8.0 * tokens * arch.hidden * arch.experts_per_token * arch.layers / parallel.pipeline
        spans = situation.expert * parallel.tensor > node.gpus
        share = (situation.expert - 1) / situation.expert
        found["experts_outer" if spans else "experts_inner"] += sent * share / (outer if spans else inner)


def basis(situation: Situation, constants: Constants) -> Draws:
    """Seconds by column at nominal rates (launches, passes and layers are counts), shape (columns,).

    `constants` are those of `predict.rates` (shares of peaks that were never measured).
    """
    arch, recipe, batches = situation.architecture, situation.recipe, situation.batches
    work = step_work(arch, recipe, batches)
    if not situation.optimizer_step:
        work = Work(terms=tuple(term for term in work.terms if term.phase != "optimizer"))
    found = dict.fromkeys(COLUMNS, 0.0)
    _compute(found, situation, work, constants)
    _communicate(found, situation, work)
    steps, stages = batches.micro_steps, recipe.parallel.pipeline
    again = 1.5 if recipe.gradient_checkpointing == "full" else 1.0
    found["micro_step"] = float(steps)
    found["layer"] = (arch.layers + arch.decoder_layers) / stages * steps * again
    found["bubble"] = (stages - 1) / steps / situation.virtual  # Narayanan et al. 2021, section 2.2
    found["old_flash"] = float("foundry" in situation.kernels)
    found["rowwise"] = float("row" in situation.number_format and recipe.precision == "fp8")
    found["dropout"] = float(not arch.gated)  # BERT and GPT-2 kinds: three dropouts a block, which the bytes leave out
    found["graphs"] = float(situation.family == "nemo")
    return np.array([found[name] for name in COLUMNS])
