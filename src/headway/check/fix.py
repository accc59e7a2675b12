"""The mechanical cures: a plan's text with what findings would change in it.

Owns applying them. What would change is said by each finding (`domain.errors.Fix`).
"""

from __future__ import annotations

from collections.abc import Iterable

from headway.domain.errors import Finding, Fix


def fixed(text: str, findings: Iterable[Finding]) -> tuple[str, tuple[Fix, ...]]:
    """The text after every fix that still finds what it expects, and the fixes that were made.

    Fixes are applied from the end of the file to its beginning, so that none moves another; of two at one place the
    first counts.
    """
    lines = text.splitlines(keepends=True)
    wanted: dict[tuple[int, int], Fix] = {}
    for finding in findings:
        if finding.fix is not None:
            wanted.setdefault((finding.fix.where.line, finding.fix.where.column), finding.fix)
    made = []
    for (number, column), fix in sorted(wanted.items(), reverse=True):
        if not 1 <= number <= len(lines):
            continue
        line, start = lines[number - 1], column - 1
        if line[start : start + len(fix.old)] != fix.old:
            continue
        lines[number - 1] = line[:start] + fix.new + line[start + len(fix.old) :]
        made.append(fix)
    return "".join(lines), tuple(reversed(made))
