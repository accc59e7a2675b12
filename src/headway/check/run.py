"""All rules over one plan: chosen, ignored where the file says so, in the order of the file.

Owns the order and what is ignored. Which rules there are is `registry`; fixing is `fix`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from headway.check.case import Case
from headway.check.rule import Rule
from headway.domain.errors import Finding, Severity

_IGNORE = re.compile(r"#\s*headway:\s*ignore\s+(?P<codes>HW\d{1,3}(?:\s*,\s*HW\d{1,3})*)\b[ \t]*(?P<reason>[^\n#]*)")
_SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")


def check(case: Case, rules: Iterable[Rule]) -> tuple[Finding, ...]:
    """Findings of these rules, in the order of the file and then of their codes, ignored ones left out."""
    quiet = ignored(case.text)
    found = [finding for rule in rules for finding in rule.find(case) if not _is_ignored(finding, quiet)]
    return tuple(sorted(found, key=lambda one: (one.where.line, one.where.column, one.code, one.message)))


def ignored(text: str) -> Mapping[int, frozenset[str]]:
    """Codes that `# headway: ignore HW123 reason` silences, by line; under 0 those of the whole file.

    At the end of a line it is about that line, on a line of its own before the first key about the whole file, and
    elsewhere about the next line that is no comment.
    """
    found: dict[int, frozenset[str]] = {}
    begun, waiting = False, frozenset[str]()
    for number, line in enumerate(text.splitlines(), start=1):
        match = _IGNORE.search(line)
        codes = frozenset(re.findall(r"HW\d{1,3}", match["codes"])) if match else frozenset()
        if not line.strip() or line.lstrip().startswith("#"):
            if begun:
                waiting |= codes
            else:
                found[0] = found.get(0, frozenset()) | codes
            continue
        begun = True
        if codes | waiting:
            found[number] = codes | waiting
        waiting = frozenset()
    return found


def _is_ignored(finding: Finding, quiet: Mapping[int, frozenset[str]]) -> bool:
    codes = quiet.get(0, frozenset()) | quiet.get(finding.where.line, frozenset())
    return any(finding.code.startswith(code) for code in codes)


def fails(findings: Iterable[Finding]) -> bool:
    """True when something is wrong or doubtful: what decides the exit code."""
    return any(finding.severity != "info" for finding in findings)


def counted(findings: Iterable[Finding]) -> Mapping[str, int]:
    """How many findings there are of each severity, the worst first."""
    severities = [finding.severity for finding in findings]
    return {severity: severities.count(severity) for severity in _SEVERITIES}
