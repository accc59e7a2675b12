"""Counts of steps that are written in whole thousands, `step:2K`: which step it was.

Owns such counts; what prints them is `known/frameworks.py`.
"""

from __future__ import annotations

from dataclasses import replace

from headway.logs.forms.line import Line


class Scaled:
    """Counts on by how far exact counts before were apart, as long as that rounds to what is shown."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._stride: int | None = None

    def exact(self, line: Line) -> Line:
        """`line` with its step, as well as it is known."""
        if line.kind != "step":
            return line
        last, stride = self._last, self._stride
        if not line.rounded:
            self._stride = line.step - last if last is not None and line.step > last else stride
        elif last is not None and stride and abs(last + stride - line.step) <= line.rounded:
            line = replace(line, step=last + stride)
        self._last = line.step
        return line
