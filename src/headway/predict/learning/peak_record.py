"""A fitted memory predictor as plain data, and back; and the constants that every estimate takes of it.

Owns the form. Reading and writing files belongs to `catalog/` and to scripts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from headway.domain.calibration import P90_SCORE
from headway.predict.learning.record import rounded
from headway.predict.memory import factor_name
from headway.predict.peak.basis import FEATURES
from headway.predict.peak.model import BETWEEN, NAMES
from headway.predict.peak.state import UNSEEN, PeakFit, PeakStack
from headway.predict.speed.tiers import Quantiles

SCHEMA = "headway.peaks/1"
_WORDS = {
    "states": "optimizer memory against the count",
    "activations": "activation memory against the count",
    "loss": "loss memory against the count",
    "beside": "memory beside tensors against the usual",
}


def _constant(title: str, numbers: tuple[float, ...], notes: str, date: str) -> dict[str, Any]:
    low, middle, high = (round(one, 4) for one in numbers)
    return {
        "title": title,
        "p10": low,
        "p50": middle,
        "p90": high,
        "unit": "factor",
        "kind": "measured",
        "source": "fitted to published peaks (trust A and B), every stack shrunk towards the count (./scripts/fit)",
        "date": date,
        "notes": notes,
    }


def constants(fit: PeakFit, date: str) -> dict[str, dict[str, Any]]:
    """What a run of an unseen stack is predicted with: a factor for each group of terms, and the doubt about all."""
    found = {}
    for name, log, spread in zip(NAMES, fit.logs, BETWEEN, strict=True):
        numbers = tuple(math.exp(log + side * P90_SCORE * spread) for side in (-1, 0, 1))
        found[factor_name(name)] = _constant(_WORDS[name], numbers, "80 % of stacks; the middle is used", date)
    one = fit.quantiles[UNSEEN]
    doubt = (math.exp(one.low), 1.0, math.exp(one.high))
    notes = "held-out stacks: measured / predicted of a peak without weights; raised to a run's difficulty"
    return found | {"memory_doubt": _constant("doubt about the memory of an unseen stack", doubt, notes, date)}


def to_record(fit: PeakFit, date: str) -> dict[str, Any]:
    """The predictor as JSON-able data, rounded so that machines agree on it."""
    return {
        "schema": SCHEMA,
        "names": list(NAMES),
        "features": list(FEATURES),
        "logs": rounded(fit.logs),
        "constants": constants(fit, date),
        "quantiles": {
            name: {key: round(value, 4) for key, value in asdict(one).items()} for name, one in fit.quantiles.items()
        },
        "stacks": {
            name: {
                "effect": rounded(one.effect),
                "features": [rounded(row, 3) for row in one.features],
                "weights": rounded(one.weights),
            }
            for name, one in sorted(fit.stacks.items())
        },
    }


def _stack(record: Mapping[str, Any]) -> PeakStack:
    features = np.array(record["features"], dtype=float).reshape(-1, len(FEATURES))
    return PeakStack(effect=np.array(record["effect"]), features=features, weights=np.array(record["weights"]))


def from_record(record: Mapping[str, Any]) -> PeakFit:
    """The predictor that `to_record` wrote. Raises ValueError where its factors or features are others."""
    if record["schema"] != SCHEMA or record["names"] != list(NAMES) or record["features"] != list(FEATURES):
        raise ValueError(f"a fitted memory predictor must be of {SCHEMA} with this version's factors and features")
    return PeakFit(
        logs=np.array(record["logs"]),
        stacks={name: _stack(one) for name, one in record["stacks"].items()},
        quantiles={name: Quantiles(**one) for name, one in record["quantiles"].items()},
    )
