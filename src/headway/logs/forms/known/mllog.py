"""`:::MLLOG {json}` lines of MLPerf's logging, which carry their own clock (`time_ms`).

Owns their events to observations; they stand in console logs, which are `console.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from headway.domain.observation import Observation
from headway.logs.text import finite, mapping_in, number, whole

MARK: Final = ":::MLL"
SPANS: Final = {"init": "load", "eval": "evaluation", "checkpoint": "checkpoint", "epoch_eval": "evaluation"}
"""Events `X_start` ... `X_stop`, and what took the time between them."""
TOTALS: Final = ("max_steps", "opt_max_steps", "opt_learning_rate_training_steps", "opt_learning_rate_decay_steps")


class Events:
    """Reads MLLOG lines in order."""

    def __init__(self) -> None:
        self.facts: dict[str, float | str] = {}
        self.total_steps: int | None = None
        self._started: dict[str, float] = {}
        self._batch: float | None = None

    def observe(self, line: str) -> tuple[float, list[Observation]] | None:
        """Moment in seconds since 1970 and what was seen then; None for a line without whole MLLOG JSON."""
        start = line.find("{", line.find(MARK))
        event = mapping_in(line[start : line.rfind("}") + 1]) if start >= 0 else None
        at_ms = finite(event.get("time_ms")) if event is not None else None
        if event is None or at_ms is None:
            return None
        key, at_s = str(event.get("key", "")), at_ms / 1_000.0
        extra = event.get("metadata")
        return at_s, self._seen(key, event.get("value"), extra if isinstance(extra, Mapping) else {}, at_s)

    def _seen(self, key: str, value: Any, extra: Mapping[str, Any], at_s: float) -> list[Observation]:
        self._note(key, value)
        name, _, edge = key.rpartition("_")
        if edge == "start" and name in SPANS:
            self._started[name] = at_s
            return []
        if edge in ("stop", "end") and name in SPANS:
            begun_s = self._started.pop(name, None)
            seconds = None if begun_s is None else at_s - begun_s
            return [Observation(kind=SPANS[name], at_s=at_s, seconds=seconds, step=self._step(extra))]
        if key == "run_start":
            return [Observation(kind="begin", at_s=at_s)]
        if key == "run_stop":
            return [Observation(kind="end", at_s=at_s, step=self._step(extra))]
        step = self._step(extra)
        if step and ("loss" in key or key == "tracked_stats"):
            values = value if isinstance(value, Mapping) else {"loss": value}
            figures = {str(name): found for name, item in values.items() if (found := number(item)) is not None}
            kind = "evaluation" if key.startswith("eval") else "step"
            return [Observation(kind=kind, at_s=at_s, step=step, values=figures)] if kind == "step" else []
        return []

    def _note(self, key: str, value: Any) -> None:
        figure = finite(value)
        if key in TOTALS and figure:
            self.total_steps = self.total_steps or int(figure)
        elif key == "global_batch_size" and figure:
            self._batch = self.facts["global_batch"] = figure
        elif key == "gradient_accumulation_steps" and figure:
            self.facts["grad_accum"] = figure
        elif key == "submission_platform" and isinstance(value, str):
            self.facts["device"] = value

    def _step(self, extra: Mapping[str, Any]) -> int | None:
        step = whole(extra.get("step_num") or extra.get("step") or extra.get("iteration"))
        rows = finite(extra.get("samples_count"))
        return step if step is not None or rows is None or not self._batch else whole(rows / self._batch)
