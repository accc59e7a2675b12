"""The verb `schema`: the JSON Schema of plan files.

Owns nothing but the call; the language is `plan/`.
"""

from __future__ import annotations

from typing import Any

from headway.plan import json_schema


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) that editors and other programs check a plan with."""
    return dict(json_schema())
