"""The mechanical cures: a plan's text with what findings would change in it.

Owns applying them. What would change is said by each finding (`domain.errors.Fix`).
"""

from __future__ import annotations

from collections.abc import Iterable

from headway.domain.errors import Finding, Fix


def fixed(text: str, findings: Iterable[Finding], *, unsafe: bool = False) -> tuple[str, tuple[Fix, ...]]:
    """The text after every safe fix (with `unsafe`, every fix) that still finds what it expects, and the fixes made.

    Fixes are applied from the end of the file to its beginning, so that none moves another; of two at one place the
    first counts. A line that a fix adds ends as the line that it is added to.
    """
    lines = text.splitlines(keepends=True)
    wanted: dict[tuple[int, int], Fix] = {}
    for finding in findings:
        if finding.fix is not None and (finding.fix.safe or unsafe):
            wanted.setdefault((finding.fix.where.line, finding.fix.where.column), finding.fix)
    made = []
    for (number, column), fix in sorted(wanted.items(), reverse=True):
        if not 1 <= number <= len(lines):
            continue
        line, start = lines[number - 1], column - 1
        if line[start : start + len(fix.old)] != fix.old:
            continue
        new = fix.new.replace("\n", "\r\n") if line.endswith("\r\n") else fix.new
        lines[number - 1] = line[:start] + new + line[start + len(fix.old) :]
        made.append(fix)
    return "".join(lines), tuple(reversed(made))
