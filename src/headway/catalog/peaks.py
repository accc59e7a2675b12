"""The shipped fit of memory peaks, as plain data with its provenance.

Owns reading `data/memory.json`, which `./scripts/fit` writes. What its numbers mean is `predict.peak`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def shipped_peaks() -> Mapping[str, Any]:
    """The record of the fitted predictor (`predict.learning.peak_record`), with `constants` and `provenance`."""
    found: Mapping[str, Any] = json.loads(
        (files("headway.catalog") / "data" / "memory.json").read_text(encoding="utf-8")
    )
    return found
