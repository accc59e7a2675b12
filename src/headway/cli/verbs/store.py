"""`headway store [list|show|export|import]`: what is recorded."""

from __future__ import annotations

from collections.abc import Callable
from shlex import quote
from typing import Any

import click

from headway.cli.options import chosen_form, examples, loudness, output
from headway.cli.output import write, write_text
from headway.domain.errors import UsageError
from headway.domain.record import KINDS

_EXPORT = "headway store export -o records.jsonl"


def _plan(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--plan`."""
    text = "A plan file: the store beside it, and only its records; or a fingerprint."
    return click.option("--plan", default="", metavar="PLAN", help=text)(command)


@click.group(name="store", invoke_without_command=True,
             epilog=examples("headway store", "headway store list --kind measurement", _EXPORT))  # fmt: skip
@_plan
@output
@loudness
@click.pass_context
def command(ctx: click.Context, /, plan: str, file: str | None, **given: Any) -> None:
    """What is recorded: estimates, measurements, runs and verdicts.

    The store is .headway/headway.db beside the plan, or in this folder. HEADWAY_STORE names another: a path,
    postgresql://user:password@host/database for a team, or none for no records. Events of tracked runs stay in
    .headway/runs all the same; HEADWAY_TRACK=off keeps headway.track from writing them.
    """
    if ctx.invoked_subcommand is not None:
        if plan or file or any(given.values()):
            raise UsageError("flags follow the command they are for", got=f"some before {ctx.invoked_subcommand}",
                             hint=f"headway store {ctx.invoked_subcommand} ...")  # fmt: skip
        return
    from headway.app.store import summary

    form = chosen_form(given, file)
    write(summary(plan), form=form, file=file)


@command.command(name="list", epilog=examples("headway store list", "headway store list --kind run --plan plan.yaml"))
@click.option("--kind", type=click.Choice(KINDS), metavar="KIND", help=f"{', '.join(KINDS)}.")
@click.option("--all", "every", is_flag=True, help="All of them, not the newest twenty.")
@_plan
@output
@loudness
def listing(kind: str | None, every: bool, plan: str, file: str | None, **given: Any) -> None:
    """Records, newest first."""
    from headway.app.store import listed

    form = chosen_form(given, file)
    write(listed(kind or "", plan, None if every or given["verbose"] else 20), form=form, file=file)


@command.command(epilog=examples("headway store show 3f2a", "headway store show 3f2a --json"))
@click.argument("record", metavar="ID")
@_plan
@output
@loudness
def show(record: str, plan: str, file: str | None, **given: Any) -> None:
    """One record; ID is its id, or the beginning of it."""
    from headway.app.store import one

    form = chosen_form(given, file)
    write(one(record, plan), form=form, file=file)


@command.command(epilog=examples(_EXPORT, "headway store export --plan plan.yaml | gzip > records.jsonl.gz"))
@click.option("-o", "--output", "file", metavar="FILE", help="Write to FILE.")
@click.option("-q", "--quiet", is_flag=True, help="Nothing on stderr but errors.")
@_plan
def export(file: str | None, quiet: bool, plan: str) -> None:
    """Records as lines of JSON, oldest first: the same records are the same bytes."""
    from headway.app.store import exported

    write_text(exported(plan), file=file)
    if file not in (None, "-") and not quiet:
        click.echo(f"wrote {file}; next: headway store import {quote(str(file))}", err=True)


@command.command(name="import", epilog=examples("headway store import records.jsonl"))
@click.argument("origin", metavar="FILE")
@_plan
@output
@loudness
def import_(origin: str, plan: str, file: str | None, **given: Any) -> None:
    """Take over what `export` wrote (- reads standard input): all of it or nothing, and nothing twice."""
    from headway.app.store import imported

    form = chosen_form(given, file)
    write(imported(origin, plan), form=form, file=file)
