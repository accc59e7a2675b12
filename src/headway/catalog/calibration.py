"""The shipped constants of the predictor, with their doubt and their sources.

Owns `data/calibration.json`, and the constants of `data/memory.json`, which `./scripts/fit` writes. What they mean is
`predict/`; fitting them to measurements is `predict/` too.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from headway.catalog.peaks import shipped_peaks
from headway.domain.calibration import Calibration, Constant
from headway.domain.units import Range


@cache
def shipped_calibration() -> Calibration:
    """Every constant of the two files, by name; they are parsed once, when first asked for."""
    text = (files("headway.catalog") / "data" / "calibration.json").read_text(encoding="utf-8")
    rows = json.loads(text)["constants"] | shipped_peaks()["constants"]
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
        for name, row in rows.items()
    }
    return Calibration(constants=MappingProxyType(constants))
