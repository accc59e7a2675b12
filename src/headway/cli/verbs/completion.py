"""`headway completion SHELL`: the script that completes commands and flags."""

from __future__ import annotations

import click

from headway.cli.options import examples
from headway.domain.errors import UsageError

SETUP = {
    "bash": 'eval "$(headway completion bash)" in ~/.bashrc',
    "zsh": 'eval "$(headway completion zsh)" in ~/.zshrc',
    "fish": "headway completion fish > ~/.config/fish/completions/headway.fish",
}


@click.command(epilog=examples(*SETUP.values()))
@click.argument("shell", type=click.Choice(tuple(SETUP)))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """The completion script of a shell, to be read by it at its start."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is None:
        raise UsageError("completion knows bash, zsh and fish", got=shell)
    root = ctx.find_root().command
    click.echo(found(root, {}, "headway", "_HEADWAY_COMPLETE").source())
