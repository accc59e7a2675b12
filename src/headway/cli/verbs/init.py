"""`headway init`: a commented plan to start from."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Any

import click

from headway.cli.options import assumptions, examples, one_run
from headway.cli.output import write_file
from headway.cli.refusals import as_plan_error, as_usage_error
from headway.domain.errors import UsageError

EXAMPLE = 'headway init --model Qwen/Qwen2-0.5B --lora 4 --gpu "RTX 4090" --samples 52k --batch 8'


@click.command(epilog=examples("headway init", EXAMPLE, "headway init --from axolotl.yml --gpu A100 --samples 52k"))
@click.option("-o", "--output", "file", default="plan.yaml", show_default=True, metavar="FILE", help="- prints.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option("--from", "origin", metavar="FILE", help="A configuration of another tool to make the plan of.")
@click.option("--assume", multiple=True, metavar="KEY=VALUE", help="What that file does not say; repeatable.")
@one_run("model", "lora", "qlora", "full", "gpu", "samples", "tokens_per_sample", "batch", "epochs", "steps")
@click.option("-q", "--quiet", is_flag=True, help="Nothing on stderr but errors.")
def command(file: str, force: bool, quiet: bool, origin: str | None, assume: tuple[str, ...], **given: Any) -> None:
    """Write a commented plan to start from, or the plan that a configuration of another tool describes."""
    from headway.app.init import commented, commented_import
    from headway.app.quick import Flags

    if file != "-" and Path(file).exists() and not force:
        raise UsageError("init replaces no file", got=f"{file}, which is there",
                         hint="Add --force, or choose another name with -o.")  # fmt: skip
    if origin is not None:
        with as_plan_error():
            text, guess = commented_import(origin, Flags(**given), assumptions(assume))
        if not quiet:
            click.echo(f"{origin}: {guess}", err=True)
    else:
        with as_usage_error():
            text = commented(Flags(**given))
    if file == "-":
        click.echo(text, nl=False)
        return
    write_file(file, [text])
    if not quiet:
        click.echo(f"wrote {file}; next: headway estimate {quote(file)}", err=True)
