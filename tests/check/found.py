"""What `check` finds in the examples and in plans written for a test."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from headway.app.load import Project, load
from headway.check.fix import fixed
from headway.domain.errors import Finding
from headway.plan import read_plan

EXAMPLES = Path(__file__).parents[2] / "examples"
TODAY = "2026-11-21"


@cache
def in_example(name: str, *codes: str) -> tuple[Finding, ...]:
    """Findings of these codes (or their beginnings) in an example."""
    return load(EXAMPLES / name / "plan.yaml").check(select=codes, today=TODAY).findings


def in_text(text: str, *codes: str) -> tuple[Finding, ...]:
    """Findings of these codes in a plan's text."""
    return Project(read_plan("plan.yaml", text=text)).check(select=codes, today=TODAY).findings


def only(findings: tuple[Finding, ...]) -> Finding:
    """The one finding that there is."""
    (finding,) = findings
    return finding


def after_fixes(text: str, *codes: str) -> str:
    """The plan's text with the cures of these codes, unsafe ones too."""
    return fixed(text, in_text(text, *codes), unsafe=True)[0]
