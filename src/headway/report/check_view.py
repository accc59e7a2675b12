"""Findings of `check` as a page, as the document `headway.check/1`, and rules as pages of their own.

Owns the order and words of the page. What is found is `check/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headway.check.registry import RULES
from headway.check.run import counted
from headway.domain.errors import Finding, Position, UsageError, UserError
from headway.report.contract import finding_document
from headway.report.sections.remarks import finding_note
from headway.report.view import Code, Fact, Page, Section, View

SCHEMA = "headway.check/1"
INVALID = "HW000"
"""Code of the finding that a plan cannot be used; no rule has it, for none has looked at such a plan."""
KINDS = {
    "1": "Arithmetic and units",
    "2": "Physics",
    "3": "Facts",
    "4": "Money and calendar",
    "5": "Experimental design",
    "6": "Omissions",
    "7": "Memory and strategy",
    "8": "Risk",
}
"""First digit of a code -> what kind of mistake it is about."""


def check_page(findings: Sequence[Finding], plan: str) -> Page:
    """What was found, by kind, the worst kinds of mistake not hidden behind the many."""
    return Page(
        view=lambda: _view(findings, plan),
        document=lambda: {"schema": SCHEMA, "plan": plan, "counts": dict(counted(findings)),
                          "findings": [document(finding) for finding in findings]},
    )  # fmt: skip


def invalid(error: UserError, plan: str) -> Finding:
    """The error that keeps `plan` from being checked, as the one finding of its document."""
    field = f"{error.field}: " if error.field else ""
    came = f", got {error.got}" if error.got else ""
    missing = [name for name in error.candidates if name not in error.hint]
    meant = f"Did you mean {', '.join(error.candidates)}?" if missing else ""
    return Finding(
        code=INVALID, severity="error", message=f"{field}{error.rule}{came}", hint=f"{error.hint} {meant}".strip(),
        where=error.where if error.where.line else Position(plan),
    )  # fmt: skip


def document(finding: Finding) -> dict[str, Any]:
    """F of the contract, with the rule's name and, where there is one, the fix."""
    found = finding_document(finding) | {
        "name": RULES[finding.code].name if finding.code != INVALID else "plan invalid"
    }
    if finding.fix is not None:
        fix = finding.fix
        found["fix"] = {"line": fix.where.line, "column": fix.where.column, "old": fix.old, "new": fix.new,
                        "says": fix.says, "safe": fix.safe}  # fmt: skip
    return found


def _view(findings: Sequence[Finding], plan: str) -> View:
    by_kind: dict[str, list[Finding]] = {}
    for finding in findings:
        by_kind.setdefault(finding.code[2], []).append(finding)
    sections = [
        Section(title=KINDS[kind], items=tuple(finding_note(finding) for finding in by_kind[kind]))
        for kind in sorted(by_kind)
    ]
    fixes = [finding.fix for finding in findings if finding.fix is not None]
    safe = sum(fix.safe for fix in fixes)
    unsafe = len(fixes) - safe
    return View(
        title=f"{plan}: {_sum(counted(findings))}",
        subtitle=_fixable(safe, unsafe),
        sections=tuple(sections),
        next_command=_next(findings, plan, safe, unsafe),
    )


def _sum(counts: Mapping[str, int]) -> str:
    said = [f"{number} {name}{'s' if number != 1 else ''}" for name, number in counts.items() if number]
    return ", ".join(said).replace("infos", "remarks").replace("1 info", "1 remark") or "nothing found"


def _fixable(safe: int, unsafe: int) -> str:
    said = [f"{safe} can be changed by --fix"] if safe else []
    if unsafe:
        said.append(f"{unsafe} {'more ' if safe else 'can be changed '}by --fix --unsafe-fixes, which changes the run")
    return ", ".join(said)


def _next(findings: Sequence[Finding], plan: str, safe: int, unsafe: int) -> str:
    if safe or unsafe:
        return f"headway check {plan} --fix{'' if safe else ' --unsafe-fixes'}"
    return f"headway explain {findings[0].code}" if findings else f"headway estimate {plan}"


def rules_page() -> Page:
    """Every rule by its kind: code, name, and the sentence that it holds a plan to."""
    rules = list(RULES.values())
    sections = [
        Section(
            title=title,
            items=tuple(
                Fact(label=rule.code, text=f"{rule.name} ({rule.severity})", note=rule.says)
                for rule in rules
                if rule.code[2] == kind
            ),
        )
        for kind, title in KINDS.items()
    ]
    view = View(title=f"{len(rules)} rules", sections=tuple(sections), next_command="headway explain HW201")
    rows = [{"code": rule.code, "name": rule.name, "severity": rule.severity, "says": rule.says} for rule in rules]
    return Page(view=lambda: view, document=lambda: {"schema": "headway.rules/1", "rules": rows})


def rule_view(code: str) -> View:
    """One rule: what it holds a plan to, why, and two plans that show it. Raises UsageError for an unknown code."""
    rule = RULES.get(code.upper())
    if rule is None:
        near = tuple(known for known in RULES if known.startswith(code.upper()[:3]))[:5]
        raise UsageError("a rule's code is needed", got=code, hint="headway check --rules lists them.", candidates=near)
    facts = (
        Fact(label="rule", text=rule.says),
        Fact(label="why", text=rule.because),
        Fact(label="severity", text=rule.severity),
        Fact(label="silence", text=f"# headway: ignore {rule.code} REASON, at the end of the line"),
    )
    return View(
        title=f"{rule.code}: {rule.name}",
        sections=(Section(title="", items=facts), _example("fails", rule.fails), _example("passes", rule.passes)),
        next_command=f"headway check plan.yaml --select {rule.code}",
    )


def _example(title: str, plan: str) -> Section:
    return Section(title=f"a plan that {title}", items=(Code(text=plan.strip("\n")),))
