"""Work without training on one GPU -> seconds, as named terms that add up exactly: a roofline with host time.

Owns evaluation and decoding passes, which nobody publishes enough measurements of to fit them. A training step is
`speed`, fitted on published ones. Does not own work (`work/`), nor anything that happens around a pass (`estimate/`).

The model: every kind of work takes max(FLOP / rate, bytes / bandwidth) plus a ramp per product on the GPU; launching
it takes the host time of its own; the pass takes sqrt(gpu^2 + host^2), between the larger of the two (perfect
overlap) and their sum (none): the form that published training steps prefer (`speed.model`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headway.domain.experiment import Recipe
from headway.domain.machine import Device
from headway.predict.rates import Rate, matmul_rate, memory_rate
from headway.predict.values import Constants, Value, added, constant, larger, root_of_squares
from headway.work.step import Work, WorkTerm

TERMS = ("linear", "attention", "head", "elementwise", "dequantise", "overhead")
"""`overhead`: time in which the GPU waits for the host to launch its next kernel."""
_BUCKET = {"linear": "linear", "adapter": "linear", "attention": "attention", "head": "head", "loss": "head"}
_PRODUCTS = ("linear", "adapter", "head")
_TRAINER = "huggingface"
"""Variant of the constants: transformers modules, eager kernels, Python in the loop."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PassTime:
    """Seconds of passes by term; each a number or draws of shape (draws,)."""

    terms: Mapping[str, Value]
    """By name, in the order of `TERMS`."""

    @property
    def total(self) -> Value:
        """The sum of the terms."""
        return added(self.terms.values())


def _compute_share(term: WorkTerm, recipe: Recipe, constants: Constants, generation: str) -> Value:
    """Share of the achievable rate that a kind of product reaches.

    `sustained_share`: of the clock that a short benchmark sees, what a long run at the power limit keeps.
    """
    kept = constant(constants, "sustained_share", generation)
    if term.kind == "attention":
        name = recipe.attention
        return kept * constant(constants, "attention_efficiency", f"{name}.{generation}", name, generation)
    share = kept * constant(constants, "matmul_efficiency", _TRAINER)
    return share * constant(constants, "int8_efficiency") if term.dtype == "int8" else share


def _traffic_share(term: WorkTerm, recipe: Recipe, constants: Constants) -> Value:
    """Share of the achievable bandwidth that a kind of traffic reaches, as bytes are counted for eager kernels."""
    if term.kind == "dequantise":
        return constant(constants, "dequantise_efficiency", recipe.quantize)
    if term.kind in ("elementwise", "loss"):
        return constant(constants, "elementwise_efficiency")
    return constant(constants, "traffic_efficiency", term.kind)


def roofline_time(work: Work, device: Device, recipe: Recipe, constants: Constants, *, passes: int) -> PassTime:
    """Seconds of `work` that goes `passes` times through the model on one `device`.

    Roofline: Williams et al. 2009, CACM 52(4). The ramp (fill and drain of a kernel) makes the rate of a product
    saturate with its size, FLOP / (FLOP + rate x ramp), smoothly, instead of cutting it by tile sizes. No time goes
    under that of the dense peak. Raises KeyError for a constant that the calibration lacks.
    """
    rates: dict[str, Rate] = {}
    bandwidth = memory_rate(device, constants)
    ramp = constant(constants, "kernel_ramp_s")
    terms: dict[str, Value] = dict.fromkeys(TERMS, 0.0)
    floor_s = 0.0
    for term in work.terms:
        seconds: Value = 0.0
        if term.flop:
            if term.dtype not in rates:
                rates[term.dtype] = matmul_rate(device, term.dtype, constants)
            rate = rates[term.dtype]
            share = _compute_share(term, recipe, constants, device.generation)
            seconds = term.executed_flop / (rate.flop_per_s * share)
            floor_s += term.executed_flop / rate.peak_flop_per_s
        if term.bytes:
            seconds = larger(seconds, term.bytes / (bandwidth * _traffic_share(term, recipe, constants)))
        if term.kind in _PRODUCTS:
            seconds = seconds + term.launches * ramp
        name = "dequantise" if term.kind == "dequantise" else _BUCKET.get(term.kind, "elementwise")
        terms[name] = terms[name] + seconds
    gpu_s = added(terms.values())
    busy_s = root_of_squares(gpu_s, _host_time(work, passes, constants))
    terms["overhead"] = busy_s - gpu_s
    factor = larger(constant(constants, "model_error", _TRAINER), floor_s / busy_s)
    return PassTime(terms={name: value * factor for name, value in terms.items()})


def _host_time(work: Work, passes: int, constants: Constants) -> Value:
    """Seconds that the host needs to launch the kernels: per launch and per pass.

    It is a floor under every pass: models of 24-28 layers take 0.13-0.4 s per micro-step on cards from an RTX 3050
    to an A100 (published rows of small adapters).
    """
    each = constant(constants, "launch_s", _TRAINER), constant(constants, "micro_step_s", _TRAINER)
    return work.launches * each[0] + passes * each[1]
