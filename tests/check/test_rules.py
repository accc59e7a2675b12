"""Every rule by its own two plans: the one that fails says its code, its twin says nothing of that kind."""

from __future__ import annotations

import pkgutil
import re

import pytest

import headway.check.rules as folder
from headway.app.load import Project
from headway.check.registry import FILES, RULES
from headway.check.rule import Rule
from headway.domain.errors import Finding
from headway.plan import read_plan

TODAY = "2026-11-21"
CODES = list(RULES)


def found(rule: Rule, plan: str, *, alone: bool = True) -> tuple[Finding, ...]:
    """What the rule, or all of them, find in a plan's text."""
    project = Project(read_plan("plan.yaml", text=plan))
    return project.check(select=(rule.code,) if alone else (), today=TODAY).findings


@pytest.mark.parametrize("code", CODES)
def test_the_failing_plan_fails(code: str) -> None:
    findings = found(RULES[code], RULES[code].fails)
    assert [finding.code for finding in findings] == [code], "one finding for one cause"
    finding = findings[0]
    assert finding.where.line > 0, "a place in the file"
    assert re.search(r"\d", finding.message + str(finding.evidence)), "figures"
    assert finding.hint.endswith((".", "?", "!")), "what to do, as a sentence"
    assert finding.evidence


@pytest.mark.parametrize("code", CODES)
def test_its_twin_passes(code: str) -> None:
    assert found(RULES[code], RULES[code].passes) == ()


@pytest.mark.parametrize("code", CODES)
def test_a_rule_says_what_it_is(code: str) -> None:
    rule = RULES[code]
    assert re.fullmatch(r"HW[1-8]\d\d", code)
    assert rule.severity in ("error", "warning", "info")
    assert 2 <= len(rule.name.split()) <= 6
    assert rule.says.endswith(".")
    assert rule.because.endswith(".")
    assert rule.fails != rule.passes


def test_no_file_is_left_out_and_no_code_is_given_twice() -> None:
    assert {module.name for module in pkgutil.iter_modules(folder.__path__)} == {
        file.__name__.rpartition(".")[2] for file in FILES
    }
    assert sum(len(file.RULES) for file in FILES) == len(RULES)
