"""The shipped fit of step times, as plain data with its provenance.

Owns reading `data/speed.json`, which `./scripts/fit` writes. What its numbers mean is `predict.speed`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def shipped_speed() -> Mapping[str, Any]:
    """The record of the fitted predictor (`predict.learning.record.from_record`), with `provenance`; parsed once."""
    found: Mapping[str, Any] = json.loads(
        (files("headway.catalog") / "data" / "speed.json").read_text(encoding="utf-8")
    )
    return found
