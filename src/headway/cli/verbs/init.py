"""`headway init`: a commented plan to start from."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Any

import click

from headway.cli.options import examples, one_run
from headway.cli.output import write_file
from headway.cli.refusals import as_usage_error
from headway.domain.errors import UsageError

EXAMPLE = 'headway init --model Qwen/Qwen2-0.5B --lora 4 --gpu "RTX 4090" --samples 52k --batch 8'


@click.command(epilog=examples("headway init", EXAMPLE))
@click.option("-o", "--output", "file", default="plan.yaml", show_default=True, metavar="FILE", help="- prints.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@one_run("model", "lora", "qlora", "full", "gpu", "samples", "tokens_per_sample", "batch", "epochs", "steps")
@click.option("-q", "--quiet", is_flag=True, help="Nothing on stderr but errors.")
def command(file: str, force: bool, quiet: bool, **given: Any) -> None:
    """Write a commented plan to start from."""
    from headway.app.init import commented
    from headway.app.quick import Flags

    if file != "-" and Path(file).exists() and not force:
        raise UsageError("init replaces no file", got=f"{file}, which is there",
                         hint="Add --force, or choose another name with -o.")  # fmt: skip
    with as_usage_error():
        text = commented(Flags(**given))
    if file == "-":
        click.echo(text, nl=False)
        return
    write_file(file, [text])
    if not quiet:
        click.echo(f"wrote {file}; next: headway estimate {quote(file)}", err=True)
