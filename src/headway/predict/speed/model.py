"""Basis x coefficients -> seconds of a step, by term, with exact derivatives: the physics of the fitted predictor.

Owns the form. The GPU's columns add up, the host's add up, and a step takes the root of the squares of the two (form
chosen in `predict.step_time`); inline communication and the pipeline's bubble come on top, overlapped communication
beside. Everything is vectorised over rows; coefficients are logarithms, so that none can become negative.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from headway.domain.spread import Draws
from headway.predict.speed.basis import BESIDE, COLUMNS, GPU, HOST, INLINE

PRIOR: Mapping[str, tuple[float, float, float]] = {
    "linear": (0.15, 0.15, 0.1),
    "linear_fp8": (0.1, 0.19, 0.15),
    "linear_fp4": (0.2, 0.22, 0.2),
    "attention": (0.5, 0.3, 0.35),
    "attention_new": (0.9, 0.3, 0.3),
    "attention_eager": (0.6, 0.3, 0.35),
    "attention_short": (-0.7, 0.45, 0.4),
    "head": (0.15, 0.15, 0.2),
    "elementwise": (-0.4, 0.37, 0.4),
    "elementwise_eager": (-0.2, 0.3, 0.3),
    "scores": (-0.4, 0.37, 0.4),
    "loss": (-0.4, 0.37, 0.5),
    "optimizer": (0.0, 0.3, 0.5),
    "dequantise": (0.5, 0.45, 0.4),
    "ramp": (math.log(3e-6), 0.52, 0.5),
    "launch": (math.log(6e-6), 0.37, 0.6),
    "micro_step": (math.log(5e-3), 0.52, 0.8),
    "layer": (math.log(5e-4), 0.52, 0.9),
    "tensor_inner": (0.3, 0.37, 0.5),
    "tensor_outer": (0.3, 0.37, 0.5),
    "experts_inner": (0.5, 0.52, 0.5),
    "experts_outer": (0.5, 0.52, 0.5),
    "data_inner": (-1.0, 0.6, 0.8),
    "data_outer": (-1.0, 0.6, 0.8),
    "pipeline": (-0.5, 0.52, 0.6),
    "messages": (math.log(5e-6), 0.6, 0.8),
    "bubble": (-0.1, 0.22, 0.25),
    "old_flash": (0.3, 0.15, 0.2),
    "rowwise": (0.2, 0.22, 0.2),
    "graphs": (-1.0, 0.37, 0.4),
    "dropout": (0.35, 0.22, 0.25),
    "all": (0.0, 1e-4, 0.08),
}
"""Log coefficient by name: middle and sd over what is plausible, and sd between stacks.

Products: 1 / the share of the best measured rate that training keeps; attention: kernels of 2023-25 reach 0.3-0.6 of
it (Dao 2023, arXiv:2307.08691, figure 5); traffic: eager chains reach about the bandwidth, fused ones half the bytes;
launch: 5-10 us of a Python-driven kernel; messages: a hop of NVLink or InfiniBand.
"""
NAMES = tuple(PRIOR)
BETWEEN = 0.6 * np.array([PRIOR[name][2] for name in NAMES])
"""Sd of log coefficients between stacks: of the spreads that were thought plausible, what leave-stack-out prefers."""
_AT = {name: index for index, name in enumerate(NAMES)}
_COLUMN = {name: index for index, name in enumerate(COLUMNS)}
_SHARED = {"recompute": "linear", "recompute_fp8": "linear_fp8", "recompute_fp4": "linear_fp4"}
_SUMMED = (*GPU, *HOST, *INLINE, *BESIDE, "bubble")
_SUM_AT = {name: index for index, name in enumerate(_SUMMED)}
_MODIFIED = {
    "old_flash": ("attention", "attention_new"),
    "rowwise": ("linear_fp8", "recompute_fp8"),
    "graphs": HOST,
    "dropout": ("elementwise_eager",),
}
"""Coefficients that multiply those of other columns, where the flag of that name is set."""


def _indices(names: Iterable[str]) -> list[int]:
    return [_SUM_AT[name] for name in names]


_FLAGGED = tuple((_COLUMN[name], _AT[name], _indices(columns)) for name, columns in _MODIFIED.items())
"""Column of a flag, its coefficient, and the columns that it changes."""


_GPU = slice(0, len(GPU))
_HOST = slice(_GPU.stop, _GPU.stop + len(HOST))
_INLINE = slice(_HOST.stop, _HOST.stop + len(INLINE))
_BESIDE = slice(_INLINE.stop, _INLINE.stop + len(BESIDE))
_BUBBLE = _BESIDE.stop
"""The summed columns are the first of `COLUMNS`, in this order."""


def _loadings() -> Draws:
    """Which coefficient each summed column takes, shape (summed columns, coefficients)."""
    found = np.zeros((len(_SUMMED), len(NAMES)))
    for index, name in enumerate(_SUMMED):
        found[index, _AT[_SHARED.get(name, name)]] = 1.0
    return found


_LOADINGS = _loadings()


def _scaled(rows: Draws, coefficients: Draws) -> Draws:
    """Seconds of every summed column, shape (rows, summed columns)."""
    scaled = rows[:, : len(_SUMMED)] * np.exp(_LOADINGS @ coefficients)
    for column, at, changed in _FLAGGED:
        flag = rows[:, column]
        if flag.any():
            factor = np.exp(flag * coefficients[at])
            for index in changed:
                scaled[:, index] *= factor
    return np.asarray(scaled)


def _parts(scaled: Draws) -> tuple[Draws, Draws, Draws, Draws, Draws]:
    """GPU, host, inline, beside and bubble, each (rows,)."""
    sums = [scaled[:, part].sum(axis=1) for part in (_GPU, _HOST, _INLINE, _BESIDE)]
    return sums[0], sums[1], sums[2], sums[3], scaled[:, _BUBBLE]


def log_seconds(rows: Draws, coefficients: Draws) -> Draws:
    """Log of the seconds of steps; `rows` (rows, columns) of `basis`, log coefficients (names,)."""
    gpu, host, inline, beside, bubble = _parts(_scaled(rows, coefficients))
    total = (np.hypot(gpu, host) + inline) * (1 + bubble) + beside
    return np.asarray(np.log(total) + coefficients[_AT["all"]])


def log_seconds_and_slopes(rows: Draws, coefficients: Draws) -> tuple[Draws, Draws]:
    """As `log_seconds`, and its derivatives by the coefficients, shape (rows, names): shares of the step's time."""
    scaled = _scaled(rows, coefficients)
    gpu, host, inline, beside, bubble = _parts(scaled)
    busy = np.hypot(gpu, host)
    total = (busy + inline) * (1 + bubble) + beside
    within = (1 + bubble) / total
    scaled[:, _GPU] *= (within * gpu / busy)[:, None]
    scaled[:, _HOST] *= (within * host / busy)[:, None]
    scaled[:, _INLINE] *= within[:, None]
    scaled[:, _BESIDE] /= total[:, None]
    scaled[:, _BUBBLE] *= (busy + inline) / total
    slopes = scaled @ _LOADINGS
    for column, at, changed in _FLAGGED:
        flag = rows[:, column]
        if flag.any():
            slopes[:, at] = flag * scaled[:, changed].sum(axis=1)
    slopes[:, _AT["all"]] = 1.0
    return np.asarray(np.log(total) + coefficients[_AT["all"]]), np.asarray(slopes)


SHARES: Mapping[str, tuple[str, ...]] = {
    "linear": ("linear", "linear_fp8", "linear_fp4", "ramp"),
    "attention": ("attention", "attention_new", "attention_eager", "attention_short", "scores"),
    "head": ("head", "loss"),
    "elementwise": ("elementwise", "elementwise_eager"),
    "per_pass": ("optimizer", "dequantise"),
    "host": HOST,
    "communication": (*INLINE, *BESIDE),
    "bubble": ("bubble",),
}
"""Kinds of work by whose share of the time steps are compared."""
_KINDS = np.array([[float(name in names) for names in SHARES.values()] for name in NAMES])


def shares(slopes: Draws) -> Draws:
    """Shares of the time by kind of work, in the order of `SHARES`, (rows, kinds), from slopes (rows, names)."""
    return np.asarray(slopes @ _KINDS)


TERMS: Mapping[str, tuple[str, ...]] = {
    "linear": ("linear", "linear_fp8", "linear_fp4"),
    "recompute": ("recompute", "recompute_fp8", "recompute_fp4"),
    "attention": ("attention", "attention_new", "attention_eager", "attention_short", "scores"),
    "head": ("head", "loss"),
    "elementwise": ("elementwise", "elementwise_eager"),
    "dequantise": ("dequantise",),
    "optimizer": ("optimizer",),
}


def seconds_by_term(rows: Draws, coefficients: Draws) -> dict[str, Draws]:
    """Seconds of steps by named term, each (rows,); they add up to `exp(log_seconds)`."""
    scaled = _scaled(rows, coefficients)
    gpu, host, inline, beside, bubble = _parts(scaled)
    busy = np.hypot(gpu, host)
    terms = {name: scaled[:, _indices(columns)].sum(axis=1) for name, columns in TERMS.items()}
    terms["overhead"] = busy - gpu + scaled[:, _SUM_AT["ramp"]]
    terms["communication"] = inline + beside
    terms["bubble"] = (busy + inline) * bubble
    factor = np.exp(coefficients[_AT["all"]])
    return {name: np.asarray(seconds * factor) for name, seconds in terms.items()}


def floor_seconds(rows: Draws) -> Draws:
    """Seconds of steps at dense peak: no prediction goes under them."""
    return np.asarray(rows[:, _COLUMN["floor"]])
