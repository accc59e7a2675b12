"""The shipped constants of the predictor, with their doubt and their sources.

Owns `data/calibration.json`. What they mean is `predict/`; fitting them to measurements is `predict/` too.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from headway.domain.calibration import Calibration, Constant
from headway.domain.units import Range


@cache
def shipped_calibration() -> Calibration:
    """Every constant of `data/calibration.json`, by name; the file is parsed once, when first asked for."""
    text = (files("headway.catalog") / "data" / "calibration.json").read_text(encoding="utf-8")
    constants = {
        name: Constant(
            name=name,
            title=row["title"],
            range=Range(row["p10"], row["p50"], row["p90"]),
            unit=row["unit"],
            kind=row["kind"],
            source=row["source"],
            date=row["date"],
            notes=row["notes"],
        )
        for name, row in json.loads(text)["constants"].items()
    }
    return Calibration(constants=MappingProxyType(constants))
