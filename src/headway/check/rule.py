"""A rule: a code, the sentence it holds a plan to, why, two plans that show it, and the function that looks.

Owns the noun. Rules themselves are in `rules/`, one file for each kind of mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from headway.check.case import Case
from headway.domain.errors import Finding, Fix, Position, Severity

Finder = Callable[[Case], Iterable[Finding]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One thing that can be wrong with a plan."""

    code: str
    """`HW` and three digits; the first says what kind (1 arithmetic and units, 2 physics, 3 facts, 4 money and
    calendar, 5 design, 6 omissions, 7 memory and strategy, 8 risk)."""
    name: str
    """Two to five words, for lists."""
    severity: Severity
    """The worst that it reports; `error` only where the plan is certainly wrong."""
    says: str
    """The sentence that a plan must hold to."""
    because: str
    """Why it matters, with figures and source where there is one."""
    fails: str
    """A minimal plan (YAML) that the rule speaks of; `explain` shows it, tests run it."""
    passes: str
    """Its twin, with as little changed as makes it right."""
    find: Finder

    def finding(
        self,
        message: str,
        *,
        where: Position,
        evidence: Mapping[str, object],
        hint: str = "",
        severity: Severity | None = None,
        fix: Fix | None = None,
    ) -> Finding:
        """A finding of this rule; `severity` where it is milder than the rule's."""
        return Finding(
            code=self.code, severity=severity or self.severity, message=message, where=where,
            evidence=evidence, hint=hint, fix=fix,
        )  # fmt: skip
