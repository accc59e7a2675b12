"""What the callers of tracking give, refused before a training begins where it would fail hours later."""

from __future__ import annotations

import math

from headway.domain.errors import UsageError


def refuse_counts(**counts: object) -> None:
    """Raises UsageError where one is no whole number from 1."""
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UsageError("epochs, steps and micro-batches of a step count from 1", got=f"{name}={value}")


def refuse_amounts(**amounts: object) -> None:
    """Raises UsageError where one is neither None nor a number from 0: dollars per hour, steps."""
    for name, value in amounts.items():
        if value is not None and (not isinstance(value, int | float) or not 0 <= value < math.inf):
            rule = "a price is a number of dollars per hour" if name == "price" else f"{name} is a number of steps"
            raise UsageError(rule, got=f"{name}={value!r}", hint="price=3.06" if name == "price" else "")
