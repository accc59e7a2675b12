"""Findings as SARIF, the format of code scanning: one run of one tool with its rules and results.

Owns the layout. Source: OASIS SARIF 2.1.0, sections 3.13-3.27 and 3.49.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from headway import __version__
from headway.report.view import Layout, Page

_LEVEL = {"error": "error", "warning": "warning", "info": "note"}


def render(page: Page, layout: Layout) -> Iterator[str]:
    """The whole log; columns are counted in Unicode code points, as plan positions are."""
    findings = list(page.document().get("findings", ()))
    rules = {finding["code"]: finding["name"] for finding in findings}
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "headway",
                        "version": __version__,
                        "rules": [
                            {"id": code, "shortDescription": {"text": name}} for code, name in sorted(rules.items())
                        ],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(finding) for finding in findings],
            }
        ],
    }
    yield json.dumps(log, indent=1, ensure_ascii=False) + "\n"


def _result(finding: Mapping[str, Any]) -> dict[str, Any]:
    where = finding["where"]
    found: dict[str, Any] = {
        "ruleId": finding["code"],
        "level": _LEVEL[finding["severity"]],
        "message": {"text": f"{finding['message']}. {finding['hint']}".strip()},
        "properties": {"evidence": finding["evidence"]},
    }
    if where["file"]:
        location: dict[str, Any] = {"artifactLocation": {"uri": where["file"].replace("\\", "/")}}
        if where["line"]:
            location["region"] = {"startLine": where["line"], "startColumn": max(1, where["column"])}
        found["locations"] = [{"physicalLocation": location}]
    return found
