"""A fitted predictor as plain data, and back: what is shipped, stored and compared.

Owns the form. Reading and writing files belongs to `catalog/` and to scripts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from headway.domain.spread import Draws
from headway.predict.speed.model import NAMES
from headway.predict.speed.residual import Neighbours
from headway.predict.speed.situation import FEATURES
from headway.predict.speed.state import Speed, Stack
from headway.predict.speed.tiers import Quantiles

SCHEMA = "headway.speed/1"


def rounded(values: Draws, digits: int = 4) -> list[float]:
    """Numbers with so many digits behind the point, never -0."""
    return [float(f"{value:.{digits}f}") + 0.0 for value in values]


def _stack_record(stack: Stack) -> dict[str, Any]:
    near = stack.neighbours
    devices = sorted(set(near.devices))
    return {
        "family": stack.family,
        "rows": stack.rows,
        "effect": rounded(stack.effect),
        "doubt": rounded(stack.doubt),
        "devices": devices,
        "device_of_row": [devices.index(device) for device in near.devices],
        "features": [rounded(row, 3) for row in near.features],
        "weights": rounded(near.weights),
    }


def to_record(speed: Speed) -> dict[str, Any]:
    """The predictor as JSON-able data, rounded so that machines agree on it."""
    return {
        "schema": SCHEMA,
        "names": list(NAMES),
        "features": list(FEATURES),
        "coefficients": rounded(speed.coefficients),
        "families": {name: rounded(effect) for name, effect in speed.families.items()},
        "devices": sorted(speed.devices),
        "generations": sorted(speed.generations),
        "known": {name: asdict(one) for name, one in speed.known.items()},
        "unseen": {name: asdict(one) for name, one in speed.unseen.items()},
        "stacks": {name: _stack_record(stack) for name, stack in sorted(speed.stacks.items())},
    }


def _stack(name: str, record: Mapping[str, Any]) -> Stack:
    devices = [record["devices"][index] for index in record["device_of_row"]]
    features = np.array(record["features"], dtype=float).reshape(len(devices), len(FEATURES))
    neighbours = Neighbours(features, devices, np.array(record["weights"], dtype=float))
    effect, doubt = (np.array(record[key], dtype=float) for key in ("effect", "doubt"))
    return Stack(
        name=name, family=record["family"], effect=effect, doubt=doubt, neighbours=neighbours, rows=record["rows"]
    )


def _source(provenance: Mapping[str, Any], stacks: int) -> str:
    rows, data = provenance.get("rows", 0), provenance.get("data", "")
    return f"{rows:,} published steps of {stacks} stacks, {data}" if rows else ""


def from_record(record: Mapping[str, Any]) -> Speed:
    """The predictor that `to_record` wrote. Raises ValueError where its coefficients or features are others."""
    if record["schema"] != SCHEMA or record["names"] != list(NAMES) or record["features"] != list(FEATURES):
        raise ValueError(f"a fitted predictor must be of {SCHEMA} with this version's coefficients and features")
    return Speed(
        coefficients=np.array(record["coefficients"]),
        families={name: np.array(effect) for name, effect in record["families"].items()},
        stacks={name: _stack(name, one) for name, one in record["stacks"].items()},
        devices=frozenset(record["devices"]),
        generations=frozenset(record["generations"]),
        known={name: Quantiles(**one) for name, one in record["known"].items()},
        unseen={name: Quantiles(**one) for name, one in record["unseen"].items()},
        source=_source(record.get("provenance", {}), len(record["stacks"])),
    )
