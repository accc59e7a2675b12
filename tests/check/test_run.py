"""Which rules run, what a file silences, how a cure is applied, and the forms a finding is shown in."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from headway.check.fix import fixed
from headway.check.registry import RULES, chosen
from headway.check.run import check, counted, fails, ignored
from headway.cli import headway
from headway.cli.refusals import exit_code_of
from headway.domain.errors import Finding, Fix, Position, UsageError
from headway.report.check_view import rule_view, rules_page
from headway.report.render import text
from headway.report.view import Layout

WRONG = RULES["HW201"].fails


def finding(line: int = 1, column: int = 1, **changes: object) -> Finding:
    where = Position("p", line, column)
    return Finding(**{"code": "HW201", "severity": "error", "message": "m", "where": where} | changes)  # type: ignore[arg-type]


def test_rules_are_chosen_by_code_or_its_beginning() -> None:
    assert [rule.code for rule in chosen()] == list(RULES)
    assert {rule.code for rule in chosen(("HW2", "HW701"))} == {c for c in RULES if c.startswith("HW2") or c == "HW701"}
    assert "HW201" not in {rule.code for rule in chosen(ignore=("HW201",))}
    assert [rule.code for rule in chosen(("HW20",), ("HW203",))] == [
        c for c in RULES if c.startswith("HW20") and c != "HW203"
    ]
    with pytest.raises(UsageError, match="rule's code"):
        chosen(("HW999",))


@pytest.mark.parametrize(
    ("text", "line", "codes"),
    [
        ("a: 1 # headway: ignore HW201 measured last week\n", 1, {"HW201"}),
        ("a: 1 #headway:ignore HW201, HW7\n", 1, {"HW201", "HW7"}),
        ("# headway: ignore HW2 prose\na: 1\n", 0, {"HW2"}),
        ("a: 1\n# headway: ignore HW201\n# why: it is so\nb: 2\n", 4, {"HW201"}),
        ("a: 1 # headway: ignore everything\n", 1, set()),
        ("a: 1 # headway: ignore\n", 1, set()),
    ],
)
def test_comments_silence_rules_where_they_stand(text: str, line: int, codes: set[str]) -> None:
    assert ignored(text).get(line, frozenset()) == codes


@pytest.mark.parametrize("at", ["end", "file", "before"])
def test_a_silenced_finding_is_not_reported(at: str, tmp_path: Path) -> None:
    comment = "# headway: ignore HW201 the clock was wrong"
    lines = WRONG.splitlines()
    index = next(i for i, line in enumerate(lines) if line.startswith("stated"))
    if at == "end":
        lines[index] += f"  {comment}"
    else:
        lines.insert(index if at == "before" else 0, comment)
    plan = tmp_path / "plan.yaml"
    plan.write_text("\n".join(lines) + "\n", encoding="utf-8")
    shown = CliRunner().invoke(headway, ["check", str(plan), "--select", "HW201", "--json"])
    assert json.loads(shown.stdout)["findings"] == []


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 6), st.text("ab", max_size=3), st.text("xy", max_size=3))))
def test_fixes_change_only_what_they_expect(wanted: list[tuple[int, int, str, str]]) -> None:
    text = "abab\nba\n\nabba"
    findings = [finding(fix=Fix(where=Position("p", n, c), old=old, new=new, says="")) for n, c, old, new in wanted]
    after, made = fixed(text, findings)
    assert len(after.splitlines()) == len(text.splitlines())
    assert len(after) == len(text) + sum(len(fix.new) - len(fix.old) for fix in made)
    assert all(text.splitlines()[fix.where.line - 1][fix.where.column - 1 :].startswith(fix.old) for fix in made)
    assert made or after == text


def test_counts_and_verdict() -> None:
    found = [finding(), finding(severity="info"), finding(severity="info")]
    assert counted(found) == {"error": 1, "warning": 0, "info": 2}
    assert fails(found)
    assert not fails(found[1:])
    assert not fails([])


def test_findings_come_in_the_order_of_the_file() -> None:
    from headway.check.case import Case

    case = Case(plan=None, lookup=None, known=None, read=None, read_option=None)  # type: ignore[arg-type]
    rule = RULES["HW201"]
    from dataclasses import replace

    unsorted = replace(rule, find=lambda _: [finding(3), finding(1, 5), finding(1, 2)])
    places = [(one.where.line, one.where.column) for one in check(case, [unsorted])]
    assert places == [(1, 2), (1, 5), (3, 1)]


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("plan.yaml").write_text(WRONG, encoding="utf-8")
    return "plan.yaml"


def test_json_holds_the_contract(plan: str) -> None:
    shown = CliRunner().invoke(headway, ["check", plan, "--json", "--select", "HW201"])
    document = json.loads(shown.stdout)
    assert document["schema"] == "headway.check/1"
    [one] = document["findings"]
    assert one.keys() >= {"code", "severity", "message", "where", "evidence", "hint", "name"}
    assert one["where"] == {"file": "plan.yaml", "line": 6, "column": 16}
    assert document["counts"] == {"error": 1, "warning": 0, "info": 0}


def test_github_annotations_name_the_line(plan: str) -> None:
    shown = CliRunner().invoke(headway, ["check", plan, "--format", "github", "--select", "HW201"])
    assert shown.stdout.startswith("::error file=plan.yaml,line=6,col=16,title=HW201::the stated step is impossible")
    assert shown.stdout.count("\n") == 1


def test_sarif_has_a_result_with_its_region(plan: str) -> None:
    shown = CliRunner().invoke(headway, ["check", plan, "--format", "sarif", "--select", "HW201"])
    log = json.loads(shown.stdout)
    [run] = log["runs"]
    [result] = run["results"]
    assert log["version"] == "2.1.0"
    assert result["ruleId"] == run["tool"]["driver"]["rules"][0]["id"] == "HW201"
    assert result["level"] == "error"
    place = result["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "plan.yaml"}, "region": {"startLine": 6, "startColumn": 16}}


def test_exit_codes(plan: str) -> None:
    def code(*words: str) -> int:
        return exit_code_of(lambda: headway.main(["check", *words], standalone_mode=False))

    Path("broken.yaml").write_text("headway: 1\nmodel: [", encoding="utf-8")
    assert code(plan, "--select", "HW302") == 0
    assert code(plan, "--select", "HW201") == 1
    assert code(plan, "--select", "XX") == 2
    assert code() == 2
    assert code("broken.yaml") == 3


@pytest.mark.parametrize("option", ["--select", "--ignore"])
@pytest.mark.parametrize("codes", ["", " , "])
def test_an_option_without_codes_is_a_misuse(plan: str, option: str, codes: str) -> None:
    assert exit_code_of(lambda: headway.main(["check", plan, option, codes], standalone_mode=False)) == 2


@pytest.mark.parametrize("form", ["json", "github", "sarif", "table"])
def test_a_plan_that_cannot_be_read_is_a_finding_for_programs(
    form: str, plan: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(plan).write_text("headway: 1\nmodle: Qwen/Qwen2-0.5B\n", encoding="utf-8")
    assert exit_code_of(lambda: headway.main(["check", plan, "--format", form], standalone_mode=False)) == 3
    shown = capsys.readouterr()
    assert "error: modle: " in shown.err
    if form == "json":
        document = json.loads(shown.out)
        [one] = document["findings"]
        assert (one["code"], one["severity"], one["where"]["line"]) == ("HW000", "error", 2)
        assert one["message"].startswith("modle: ")
        assert "model" in one["hint"]
        assert document["counts"] == {"error": 1, "warning": 0, "info": 0}
    elif form == "github":
        assert shown.out.startswith("::error file=plan.yaml,line=2,col=1,title=HW000::modle: ")
    elif form == "sarif":
        [result] = json.loads(shown.out)["runs"][0]["results"]
        assert (result["ruleId"], result["level"]) == ("HW000", "error")
    else:
        assert shown.out == ""


def test_a_missing_plan_is_a_finding_of_its_file(plan: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(lambda: headway.main(["check", "none.yaml", "--json"], standalone_mode=False)) == 3
    [one] = json.loads(capsys.readouterr().out)["findings"]
    assert one["where"] == {"file": "none.yaml", "line": 0, "column": 0}


def test_a_rule_is_explained_with_its_example() -> None:
    shown = CliRunner().invoke(headway, ["explain", "hw201"])
    assert shown.exit_code == 0
    assert "".join(f"  {line}\n" for line in WRONG.splitlines()) in shown.stdout
    assert RULES["HW201"].says.split()[0] in shown.stdout


@pytest.mark.parametrize("code", RULES)
def test_an_example_is_a_plan_in_every_format(code: str) -> None:
    """What is printed between the marks of a format is the plan as it was: indentation, wide and misread letters."""
    rule, view = RULES[code], rule_view(code)
    table = text(view, "table").partition("a plan that fails\n")[2].partition("\n\na plan")[0]
    assert [line.removeprefix("  ") for line in table.splitlines()] == rule.fails.rstrip().splitlines()
    assert text(view, "md").split("```yaml\n")[1].partition("```")[0] == rule.fails.rstrip("\n") + "\n"
    pages = re.findall(r"<pre><code>(.*?)</code></pre>", text(view, "html"), re.DOTALL)
    assert [html.unescape(page) for page in pages] == [rule.fails.strip("\n"), rule.passes.strip("\n")]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_list_of_rules_is_whole_at_any_width(width: int) -> None:
    shown = text(rules_page().view(), "table", Layout(width=width))
    assert "…" not in shown
    assert max(map(cell_len, shown.splitlines())) <= width
    flat = " ".join(shown.split())
    for rule in RULES.values():
        assert rule.code in flat
        assert rule.says in flat
        assert rule.name in flat


def test_all_rules_are_listed() -> None:
    shown = CliRunner().invoke(headway, ["check", "--rules", "--json"])
    assert [rule["code"] for rule in json.loads(shown.stdout)["rules"]] == list(RULES)
