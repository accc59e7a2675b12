"""`headway watch`: a run in progress, or a command, with what is left of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from headway.cli.options import chosen_form, examples, loudness, output
from headway.cli.output import layout, write
from headway.cli.words import WithCommand, words_after
from headway.domain.errors import UsageError
from headway.domain.units import parse

if TYPE_CHECKING:
    from headway.app.watched import Asked
    from headway.report.view import Page

EXAMPLES = (
    "headway watch -- python train.py --epochs 3",
    "headway watch outputs/run-7 --once",
    "headway watch 20261121-14 --plan plan.yaml --experiment qa-10k",
)
LOG_ONLY = ("once", "every", "stale")


@click.command(cls=WithCommand, epilog=examples(*EXAMPLES))
@click.argument("what", required=False, metavar="[RUN|LOG] [-- COMMAND...]")
@output
@click.option("--plan", default="", metavar="PLAN", help="Hold it against this plan's newest estimate (best rates).")
@click.option("--experiment", default="", metavar="ID", help="Which of its experiments this is.")
@click.option("--stage", default="", metavar="NAME", help="Which stage (the first that trains).")
@click.option("--price", metavar="USD", help="Dollars an hour of everything (0.59).")
@click.option("--steps", type=click.IntRange(1), metavar="N", help="Optimizer steps, where the log does not say.")
@click.option("--epochs", type=click.IntRange(1), metavar="N", help="Epochs, where the log tells of no steps.")
@click.option("--once", is_flag=True, help="One status, then leave.")
@click.option("--every", metavar="TIME", help="How often a log is looked at (10 s).")
@click.option("--stale", metavar="TIME", help="Leave when a log has not grown for so long (10 min).")
@loudness
def command(what: str | None, file: str | None, **given: Any) -> int:
    """How long a run still takes, what it will have cost, and why it became slower.

    After -- stands a command: it is run, its output passed on unchanged, its exit code returned, and the status
    printed to stderr at growing intervals. RUN is a folder that a training writes to, LOG a log of any format that
    headway reads, or a run's id; it is followed until it ends. Without either: the newest run of headway.track here.

    Where a command is run, the page goes to stderr, so that stdout is the command's own; with --json stdout is the
    page and the command's output goes to stderr. A log that does not grow for --stale leaves with exit code 1.
    """
    form = chosen_form(given, file)
    words = words_after()
    asked = _asked(given, to_stderr=words is not None and file is None and form != "table")
    if words is not None:
        return _run(words, what, given, asked, form, file)
    from headway.app.watched_log import watch_log
    from headway.report.watch_view import watch_page

    try:
        answer = watch_log(what or "", asked)
    finally:
        if sys.stderr is not None and sys.stderr.isatty():
            click.echo("\r\x1b[K", nl=False, err=True)
    write(watch_page(answer), form=form, file=file)
    return 1 if answer.state == "stale" else 0


def _run(
    words: tuple[str, ...], what: str | None, given: dict[str, Any], asked: Asked, form: str, file: str | None
) -> int:
    """Run the command; its exit code."""
    if not words or what is not None or any(given[name] for name in LOG_ONLY):
        wrong = "nothing" if not words else "both" if what is not None else "a log's flag"
        raise UsageError("one run, one log or one command after -- is watched", got=f"{wrong} beside --",
                         hint="headway watch -- python train.py")  # fmt: skip
    from headway.app.watched import watch_command
    from headway.report.watch_view import watch_page

    answer = watch_command(words, asked)
    page = watch_page(answer)
    if asked.to_stderr or file is not None:
        write(page, form=form, file=file)
    elif not given["quiet"]:
        _on_stderr(page, form)
    return answer.exit_code or 0


def _on_stderr(page: Page, form: str) -> None:
    from headway.report.render import FORMATS

    click.echo(err=True)  # the command may have left a bar without its end
    click.echo("".join(FORMATS[form](page, layout(to_file=not sys.stderr.isatty()))), err=True, nl=False)


def _asked(given: dict[str, Any], *, to_stderr: bool) -> Asked:
    """The flags in base units. Raises UsageError for quantities that are none."""
    from headway.app.watched import Asked
    from headway.cli.refusals import as_usage_error

    if (given["experiment"] or given["stage"]) and not given["plan"]:
        raise UsageError("an experiment is one of a plan", got="--experiment without --plan", hint="Add --plan PLAN.")
    with as_usage_error():
        price = None if given["price"] is None else _price(given["price"])
        every_s = 10.0 if given["every"] is None else parse(given["every"], "s").range.mid
        stale_s = 600.0 if given["stale"] is None else parse(given["stale"], "s").range.mid
    return Asked(
        plan=given["plan"], experiment=given["experiment"], stage=given["stage"], price=price,
        total_steps=given["steps"], total_epochs=given["epochs"], once=given["once"], every_s=max(every_s, 0.1),
        stale_s=stale_s, quiet=given["quiet"], to_stderr=to_stderr,
    )  # fmt: skip


def _price(text: str) -> float:
    """Dollars per hour. Raises UserError for anything else."""
    from headway.app.quick import price_text  # the plan's language, which few watches need

    return parse(price_text(text), "usd_per_hour").range.mid
