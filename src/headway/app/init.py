"""The verb `init`: the text of a commented plan from a few flags.

Owns the flags' meaning; the text is `plan/`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from headway.app.quick import count
from headway.catalog import Ambiguous, find_device
from headway.domain.errors import UsageError, UserError
from headway.plan import commented_plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What is known of a run before its plan is written; None where nothing was said."""

    model: str | None = None
    lora: int | None = None
    qlora: int | None = None
    full: bool = False
    gpu: str | None = None
    samples: str | None = None
    tokens_per_sample: str | None = None
    batch: int | None = None
    epochs: str | None = None
    steps: str | None = None


def commented(start: Start) -> str:
    """The plan's text; what was not said has an example in its place.

    Raises UsageError for flags that contradict, and for a GPU that is unknown or may be several.
    """
    methods = [name for name in ("lora", "qlora", "full") if getattr(start, name) not in (None, False)]
    if len(methods) > 1:
        raise UsageError("a run trains in one way", got=" and ".join(f"--{name}" for name in methods),
                         hint="Keep one of them.")  # fmt: skip
    if start.gpu is not None:
        _refuse_unclear(start.gpu)
    said: dict[str, Any] = {
        "model": start.model,
        "method": methods[0] if methods else None,
        "rank": start.lora or start.qlora,
        "gpu": start.gpu,
        "rows": None if start.samples is None else count(start.samples, "--samples"),
        "length": None if start.tokens_per_sample is None else count(start.tokens_per_sample, "--tokens-per-sample"),
        "batch": start.batch,
        "epochs": None if start.epochs is None else count(start.epochs, "--epochs"),
        "steps": None if start.steps is None else count(start.steps, "--steps"),
    }
    return commented_plan(**{key: value for key, value in said.items() if value is not None})


def _refuse_unclear(gpu: str) -> None:
    """Raises UsageError for a GPU that `headway estimate` would refuse: unknown, or a name of several."""
    try:
        find_device(gpu)
    except UserError as error:
        hint = error.hint
        if isinstance(error, Ambiguous):
            hint = f'Write the whole name, for example --gpu "{error.candidates[0]}".'
        raise UsageError(error.rule, got=error.got, hint=hint, field="--gpu", candidates=error.candidates) from error
