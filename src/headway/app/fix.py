"""The verb `check --fix`: a plan's text with what its findings would change, checked again until nothing changes.

Owns the repetition: one fix may show another, where counts depend on each other. Writing the file is `cli/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headway.app.check import findings, plan_text
from headway.app.inputs import Request, as_keys
from headway.check.fix import fixed
from headway.domain.errors import Finding, Fix
from headway.plan import read_plan

MOST_PASSES = 9
"""Passes after which two rules that undo each other are left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cured:
    """A plan's text after its fixes."""

    text: str
    fixes: tuple[Fix, ...]
    """What was changed, in the order of passes; places are those of the text that each pass read."""
    findings: tuple[Finding, ...]
    """What is found in `text`."""


def cured(
    path: str,
    *,
    assume: Mapping[str, Any] | None = None,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    unsafe: bool = False,
) -> Cured:
    """The plan at `path` with its safe fixes made, with `unsafe` all of them; the file itself stays as it is.

    Raises PlanError for a plan that cannot be used and UsageError for a code that no rule has.
    """

    def found_in(text: str) -> tuple[Finding, ...]:
        source = read_plan(path, text=text, folder=str(Path(path).absolute().parent))
        chosen = source.override(as_keys(assume)) if assume else source
        return findings(chosen, Request(), text=text, select=select, ignore=ignore)

    text, made = plan_text(path), list[Fix]()
    found = found_in(text)
    for _ in range(MOST_PASSES):
        after, fixes = fixed(text, found, unsafe=unsafe)
        if after == text:
            break
        text, found = after, found_in(after)
        made.extend(fixes)
    return Cured(text=text, fixes=tuple(made), findings=found)
