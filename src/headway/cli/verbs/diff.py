"""`headway diff`: what a change of a plan costs."""

from __future__ import annotations

from typing import Any

import click

from headway.cli.options import assumptions, examples, loudness
from headway.cli.output import write
from headway.cli.refusals import as_plan_error
from headway.report.view import Detail

FORMS = ("table", "md", "csv", "json", "html", "github")


@click.command(
    epilog=examples("headway diff old.yaml plan.yaml", "headway diff HEAD~1:plan.yaml plan.yaml --format md")
)
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@click.option(
    "--rates",
    type=click.Choice(("stated", "predicted", "best")),
    default="best",
    show_default=True,
    help="Whose rates: the plan author's, headway's, or the best known.",
)
@click.option("--assume", multiple=True, metavar="KEY=VALUE", help="Override a key of both versions; repeatable.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Decides every draw.")
@click.option("--format", "form", type=click.Choice(FORMS), help="table (default), md, csv, json, html, github.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("-o", "--output", "file", metavar="FILE", help="Write to FILE.")
@loudness
def command(old: str, new: str, file: str | None, **given: Any) -> None:
    """What changes from one version of a plan to another: hours, dollars, memory, findings.

    A version is a file, or REVISION:FILE as git writes it: HEAD~1:plan.yaml, main:plan.yaml.
    """
    form = "json" if given["as_json"] else given["form"] or "table"
    from headway.app.diff import diff
    from headway.app.inputs import Request
    from headway.report.diff_view import diff_page

    request = Request(rates=given["rates"], seed=given["seed"], sensitivity=False)
    with as_plan_error():
        changes = diff(old, new, request, assumptions(given["assume"]))
    write(diff_page(changes, Detail(verbose=given["verbose"])), form=form, file=file)
