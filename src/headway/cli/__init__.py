"""The command line: `main`, and which file each command is in.

Owns the list of commands. A command is imported when it is called, so that `headway --version` starts at once; what
it does is `app/`.
"""

from __future__ import annotations

import importlib
import os

import click

from headway import __version__
from headway.cli.refusals import exit_code_of

COMMANDS = {
    "init": "Write a commented plan to start from.",
    "estimate": "Time, money and memory of a plan, or of one run given by flags.",
    "check": "What is wrong, doubtful or missing in a plan.",
    "verify": "Runs against what was promised of them, and how promises are kept.",
    "measure": "Time the real thing on this machine, for a minute or two.",
    "diff": "What a change of a plan costs.",
    "explain": "The chain behind one figure of an estimate, or the reason of a rule.",
    "watch": "A run in progress or a command: what is left, what it costs, why it is slow.",
    "trace": "The formulas against the real model, counted without weights.",
    "store": "What is recorded: estimates, measurements, runs, verdicts.",
    "catalog": "Known devices, offers and models.",
    "schema": "The JSON Schema of plan files, for editors.",
    "completion": "The completion script of a shell.",
}
"""Command -> what it does; its code is `headway/cli/verbs/COMMAND.py`, function `command`."""


class _Commands(click.Group):
    """A group that imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            ctx.fail(f"There is no command {cmd_name!r}.{_nearest(cmd_name)}")
        found = importlib.import_module(f"headway.cli.verbs.{cmd_name}").command
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _nearest(name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, COMMANDS, n=1)
    return f" Did you mean {near[0]}?" if near else f" Commands: {', '.join(COMMANDS)}."


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", prog_name="headway", message="%(prog)s %(version)s")
def headway() -> None:
    """How long training takes, what it costs, whether it fits.

    Start with `headway init`, or ask at once:
    headway estimate --model Qwen/Qwen2-0.5B --lora 4 --gpu "RTX 4090" --batch 8 --seq 128 --steps 10k

    Exit codes: 0 ok, 1 error or findings, 2 usage, 3 plan invalid, 4 does not fit or over budget (measure, or asked
    with --fail-on), 5 promise missed (verify), 130 interrupted; watch -- COMMAND: the command's own.
    """


def main() -> None:
    """Run the command line and leave with its exit code (as its help lists them)."""
    # a command's matrices are small: starting a BLAS's threads costs more than they save
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    raise SystemExit(exit_code_of(lambda: headway.main(prog_name="headway", standalone_mode=False)))
