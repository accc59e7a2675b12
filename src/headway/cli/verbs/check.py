"""`headway check`: what is wrong, doubtful or missing in a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from headway.cli.options import assumptions, examples, loudness
from headway.cli.output import write, write_file
from headway.cli.refusals import ERROR, OK, as_plan_error
from headway.domain.errors import Finding, PlanError, UsageError

FORMS = ("table", "md", "json", "github", "sarif")


FOR_PROGRAMS = ("json", "github", "sarif")
"""Forms in which a plan that cannot be read is a finding, too: their readers look at nothing else."""


def _codes(_: click.Context, option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """Codes given one by one or with commas. Raises UsageError for an option that is given and names none."""
    if any(not words.replace(",", " ").strip() for words in given):
        raise UsageError(f"--{option.name} takes codes of rules", got="nothing",
                         hint=f"Write it like --{option.name} HW2,HW701, or leave it out.")  # fmt: skip
    return tuple(code.strip().upper() for words in given for code in words.split(",") if code.strip())


@click.command(
    epilog=examples(
        "headway check plan.yaml", "headway check plan.yaml --fix", "headway check plan.yaml --select HW2,HW7",
        "headway explain HW201",
    )
)  # fmt: skip
@click.argument("plan", required=False, metavar="PLAN")
@click.option("--select", multiple=True, metavar="CODES", callback=_codes, help="Only these rules (HW2, HW701, ...).")
@click.option("--ignore", multiple=True, metavar="CODES", callback=_codes, help="Not these rules.")
@click.option("--fix", is_flag=True, help="Change the file where a rule knows the right text.")
@click.option("--unsafe-fixes", is_flag=True, help="With --fix: make changes of what is run, too.")
@click.option("--rules", is_flag=True, help="List all rules, with their codes.")
@click.option("--assume", multiple=True, metavar="KEY=VALUE", help="Override a key of the plan; repeatable.")
@click.option("--format", "form", type=click.Choice(FORMS), help="table (default), md, json, github, sarif.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("-o", "--output", "file", metavar="FILE", help="Write to FILE.")
@loudness
def command(plan: str | None, file: str | None, **given: Any) -> int:
    """What is wrong, doubtful or missing in a plan.

    Exit code 0 when nothing is, 1 with a finding of severity error or warning, 3 when the plan cannot be read.
    A comment `# headway: ignore HW123 reason` silences a rule for its line; before the first key, for the file.
    """
    if given["unsafe_fixes"] and not given["fix"]:
        raise UsageError("--unsafe-fixes goes with --fix", hint="Say both, or neither.")
    form = "json" if given["as_json"] else given["form"] or "table"
    from headway.check.run import fails
    from headway.report.check_view import check_page, invalid, rules_page

    if given["rules"]:
        write(rules_page(), form=form, file=file)
        return OK
    if plan is None:
        raise click.UsageError("check takes a plan file: headway check plan.yaml")
    try:
        found = _found(plan, given)
    except PlanError as error:
        if form in FOR_PROGRAMS:
            write(check_page([invalid(error, plan)], plan), form=form, file=file)
        raise
    write(check_page(found, plan), form=form, file=file)
    return ERROR if fails(found) else OK


def _found(plan: str, given: Mapping[str, Any]) -> tuple[Finding, ...]:
    """What is found in the plan, with --fix after it is changed."""
    from headway.app.load import load

    with as_plan_error():
        project = load(plan, assume=assumptions(given["assume"]))
        if given["fix"] and project.imported is not None:
            raise UsageError("check --fix changes plans of headway's own", got=plan,
                             hint=f"Make one first: headway init --from {plan}.")  # fmt: skip
        if given["fix"]:
            return _fixed(plan, given)
        return project.check(select=given["select"], ignore=given["ignore"]).findings


def _fixed(plan: str, given: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Change the plan file, and say what was changed; what is found in it afterwards."""
    from headway.app.fix import cured

    after = cured(
        plan, assume=assumptions(given["assume"]), select=given["select"], ignore=given["ignore"],
        unsafe=given["unsafe_fixes"],
    )  # fmt: skip
    if after.fixes:
        write_file(plan, [after.text])
    for fix in after.fixes:
        click.echo(f"{fix.where}: {fix.says}", err=True)
    return after.findings
