"""Work on a machine -> seconds of one optimizer step, as named terms that add up exactly.

Owns the roofline, the host-bound overhead and what of communication is exposed. Does not own work (`work/`), nor
anything that happens around a step (`estimate/`).

The model: every kind of work takes max(FLOP / rate, bytes / bandwidth) plus a ramp per product on the GPU; launching
it takes the host time of its own; the step takes sqrt(gpu^2 + host^2), between the larger of the two (perfect
overlap) and their sum (none). Chosen on published rows, each form with its own constants: on 1,164 measured steps of
small GPTs (vTrain, A100) it errs by 4.7 % (median), the sum by 8.4 %, the larger by 5.4 %; over all sources (mean of
their medians) by 12.5 %, 13.3 % and 13.0 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

from headway.domain.errors import Finding
from headway.domain.experiment import Recipe
from headway.domain.machine import Node
from headway.predict.links import communication_time
from headway.predict.rates import Rate, matmul_rate, memory_rate
from headway.predict.values import Constants, Value, added, constant, if_larger, larger, middle, root_of_squares
from headway.work.step import Work, WorkTerm

Binds = Literal["compute", "bandwidth", "overhead", "communication"]

HUGGINGFACE = "huggingface"
"""An ordinary trainer: transformers modules, eager kernels, Python in the loop."""
TUNED = "tuned"
"""A pretraining stack: fused kernels, little Python (llm-foundry, Megatron, torchtitan)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepTime:
    """Seconds of one optimizer step by term; each a number or draws of shape (draws,)."""

    linear: Value
    """Linear layers and adapters, forward and backward."""
    attention: Value
    head: Value
    """Output head and loss."""
    recompute: Value
    """Everything that activation checkpointing computes again."""
    elementwise: Value
    """Norms, activations, residuals, rotations: bound by memory."""
    dequantise: Value
    optimizer: Value
    overhead: Value
    """Time in which the GPU waits for the host to launch its next kernel."""
    communication: Value
    """The part that computing does not hide."""
    bubble: Value
    """Idle time at the ends of a pipeline."""
    binds: Binds
    model_flop_utilisation: Value
    """FLOP of forward and backward that are executed, without recomputation, per second of dense peak."""
    warnings: tuple[Finding, ...] = field(default=())

    @property
    def terms(self) -> Mapping[str, Value]:
        """Seconds by name, in a fixed order."""
        return {name: getattr(self, name) for name in TERMS}

    @property
    def total(self) -> Value:
        """Seconds of the step: the sum of its terms."""
        return added(self.terms.values())


TERMS = tuple(f.name for f in fields(StepTime))[:10]


@dataclass(frozen=True, slots=True, eq=False)
class _Spent:
    """GPU time of the work: by term of `StepTime`, what of it is memory bound, and what physics allows at best."""

    by_term: Mapping[str, Value]
    memory_bound: Value
    floor_s: float
    """Seconds at dense peak for every executed FLOP."""
    model_s: float
    """Seconds at dense peak for the FLOP of forward and backward."""
    warnings: tuple[Finding, ...]

    @property
    def total(self) -> Value:
        """Seconds of GPU work."""
        return added(self.by_term.values())


_BUCKET = {"linear": "linear", "adapter": "linear", "attention": "attention", "head": "head", "loss": "head"}
_PRODUCTS = ("linear", "adapter", "head")


def _bucket(term: WorkTerm) -> str:
    if term.phase == "recompute":
        return "recompute"
    if term.kind in ("dequantise", "optimizer"):
        return term.kind
    return _BUCKET.get(term.kind, "elementwise")


def _compute_share(term: WorkTerm, recipe: Recipe, constants: Constants, stack: str, generation: str) -> Value:
    """Share of the achievable rate that a kind of product reaches inside a training step.

    `sustained_share`: of the clock that a short benchmark sees, what a long run at the power limit keeps.
    """
    kept = constant(constants, "sustained_share", generation)
    if term.kind == "attention":
        name = recipe.attention
        return kept * constant(constants, "attention_efficiency", f"{name}.{generation}", name, generation)
    share = kept * constant(constants, "matmul_efficiency", stack)
    return share * constant(constants, "int8_efficiency") if term.dtype == "int8" else share


def _traffic_share(term: WorkTerm, recipe: Recipe, constants: Constants, stack: str) -> Value:
    """Share of the achievable bandwidth that a kind of traffic reaches, as bytes are counted for eager kernels."""
    if term.kind == "dequantise":
        return constant(constants, "dequantise_efficiency", recipe.quantize)
    if term.kind in ("elementwise", "loss"):
        return constant(constants, "elementwise_efficiency", stack)
    return constant(constants, "traffic_efficiency", term.kind)


def _gpu_time(work: Work, node: Node, recipe: Recipe, constants: Constants, stack: str) -> _Spent:
    """GPU seconds of every work term: roofline of its kind, plus a ramp per matrix product.

    Roofline: Williams et al. 2009, CACM 52(4). The ramp (fill and drain of a kernel) makes the rate of a product
    saturate with its size, FLOP / (FLOP + rate x ramp), smoothly, instead of cutting it by tile sizes.
    """
    rates: dict[str, Rate] = {}
    bandwidth = memory_rate(node.device, constants)
    ramp = constant(constants, "kernel_ramp_s")
    spent: dict[str, Value] = {}
    memory_bound: Value = 0.0
    floor = model = 0.0
    for term in work.terms:
        seconds: Value = 0.0
        if term.flop:
            if term.dtype not in rates:
                rates[term.dtype] = matmul_rate(node.device, term.dtype, constants)
            rate = rates[term.dtype]
            share = _compute_share(term, recipe, constants, stack, node.device.generation)
            seconds = term.executed_flop / (rate.flop_per_s * share)
            floor += term.executed_flop / rate.peak_flop_per_s
            model += 0.0 if term.phase == "recompute" else term.executed_flop / rate.peak_flop_per_s
        if term.bytes:
            traffic = term.bytes / (bandwidth * _traffic_share(term, recipe, constants, stack))
            memory_bound = memory_bound + if_larger(traffic, seconds)
            seconds = larger(seconds, traffic)
        if term.kind in _PRODUCTS:
            seconds = seconds + term.launches * ramp
        name = _bucket(term)
        spent[name] = spent.get(name, 0.0) + seconds
    warnings = tuple(warning for rate in rates.values() for warning in rate.warnings)
    return _Spent(spent, memory_bound, floor, model, warnings)


def _host_time(work: Work, passes: int, constants: Constants, stack: str) -> Value:
    """Seconds that the host needs to launch the kernels of a step: per launch, per pass, per optimizer step.

    It is a floor under every step: models of 24-28 layers take 0.13-0.4 s per micro-step on cards from an RTX 3050
    to an A100 (published rows of small adapters).
    """
    trains = any(term.phase == "optimizer" for term in work.terms)
    fixed = constant(constants, "optimizer_step_s", stack) if trains else 0.0
    return (
        work.launches * constant(constants, "launch_s", stack)
        + passes * constant(constants, "micro_step_s", stack)
        + fixed
    )


def _binds(spent: _Spent, terms: Mapping[str, Value], factor: Value) -> Binds:
    """What most of the step waits for, by the medians."""
    bandwidth = middle(spent.memory_bound * factor)
    shares: dict[Binds, float] = {
        "compute": middle(spent.total * factor) - bandwidth,
        "bandwidth": bandwidth,
        "overhead": middle(terms["overhead"]),
        "communication": middle(terms["communication"]) + middle(terms["bubble"]),
    }
    return max(shares, key=lambda name: shares[name])


def time_of(
    work: Work, node: Node, recipe: Recipe, constants: Constants, *, passes: int, stack: str = HUGGINGFACE
) -> StepTime:
    """Seconds of any `Work` that takes `passes` passes through the model; what `step_time` and `passes` call."""
    spent = _gpu_time(work, node, recipe, constants, stack)
    busy = root_of_squares(spent.total, _host_time(work, passes, constants, stack))
    exposed = communication_time(work, node, recipe.parallel, constants, busy_s=busy)
    terms: dict[str, Value] = dict.fromkeys(TERMS, 0.0)
    terms |= spent.by_term
    terms["overhead"] = busy - spent.total
    terms["communication"] = exposed.inline_s + exposed.beside_s
    terms["bubble"] = (busy + exposed.inline_s) * (work.bubble / (1 - work.bubble))
    raw = added(terms.values())
    factor = larger(constant(constants, "model_error", stack), spent.floor_s / raw)
    terms = {name: value * factor for name, value in terms.items()}
    return StepTime(
        **terms,
        binds=_binds(spent, terms, factor),
        model_flop_utilisation=spent.model_s / added(terms.values()),
        warnings=spent.warnings,
    )


def step_time(work: Work, node: Node, recipe: Recipe, constants: Constants, *, stack: str = HUGGINGFACE) -> StepTime:
    """Seconds of one optimizer step of `work` (`work.step_work`) on `node`; draws where the constants are draws.

    `stack` chooses the constants of an ordinary trainer (`huggingface`) or of a pretraining stack (`tuned`). No
    prediction implies more than the dense peak: where constants would, all terms are stretched to it. Carries
    warnings for dtypes that the device emulates. Raises KeyError for a constant that the calibration lacks.
    """
    return time_of(work, node, recipe, constants, passes=recipe.grad_accum, stack=stack)
