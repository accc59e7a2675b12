"""`headway schema`: the JSON Schema of plan files."""

from __future__ import annotations

import click

from headway.cli.options import examples, json_only
from headway.cli.output import write
from headway.report.view import Page, View


@click.command(epilog=examples("headway schema -o plan.schema.json"))
@json_only
def command(file: str | None, quiet: bool) -> None:
    """The JSON Schema of plan files, by which an editor completes and checks a plan.

    The plan's first line names it: # yaml-language-server: $schema=plan.schema.json
    """
    from headway.app.schema import schema

    found = schema()
    write(Page(view=lambda: View(title="schema"), document=lambda: found), form="json", file=file)
    if file and not quiet:
        click.echo(f"wrote {file}; next: headway init", err=True)
