"""`headway measure`: a probe of a plan, of another tool's configuration or of one run by flags, on this machine."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headway.cli.options import ONE_RUN, again, assumptions, chosen_form, examples, loudness, one_run, output
from headway.cli.output import write
from headway.cli.refusals import ERROR, FAILED_ON, INTERRUPTED, OK, as_plan_error, as_usage_error, message
from headway.cli.words import WithCommand, words_after
from headway.domain.errors import UsageError, UserError

if TYPE_CHECKING:
    from headway.app.load import Project
    from headway.domain.machine import Device

EXAMPLES = (
    "headway measure plan.yaml",
    "headway measure plan.yaml 2A/openwebtext-10k --budget 2min",
    "headway measure examples/arc-t4/plan.yaml --device cpu",
    "headway measure --model Qwen/Qwen2-0.5B --lora 8 --batch 8 --seq 128 --samples 10k --gpu 'RTX 4090'",
    "headway measure -- python train.py --epochs 3",
    "headway measure plan.yaml -- python train.py --epochs 3",
)
PLAN = "plan.yaml"
_FLAGS = tuple(name for name in ONE_RUN if name != "full")


@click.command(cls=WithCommand, epilog=examples(*EXAMPLES))
@click.argument("words", nargs=-1, metavar="[PLAN] [EXPERIMENT] [-- COMMAND]")
@output
@click.option("--option", default="", metavar="NAME", help="The plan with this option applied.")
@click.option("--device", type=click.Choice(("auto", "cpu", "cuda")), default="auto", show_default=True,
              help="Where the probe runs.")  # fmt: skip
@click.option("--budget", default="90s", show_default=True, metavar="TIME",
              help="When it stops repeating; what is timed once is timed in any case.")  # fmt: skip
@click.option("--full", is_flag=True, help="The plan itself, not its option for a CPU; one run: train all weights.")
@click.option("--share", default="", metavar="FILE", help="Write what others may use of it: numbers without names.")
@click.option("--seed", type=click.IntRange(0), help="Order of the rows; by default the plan's.")
@click.option("--packs", default="", metavar="DIR", help="Measurements that others shared, used where you have none.")
@click.option("--assume", multiple=True, metavar="KEY=VALUE", help="Override a key of the plan; repeatable.")
@one_run(*_FLAGS)
@loudness
def command(words: tuple[str, ...], file: str | None, **given: Any) -> int:
    """Time the real thing on this machine for a minute or two, and keep it: estimates use it from then on.

    The first stage that trains of the plan (where none is named: plan.yaml of this folder) is run as it says, on its
    own rows where it names a file, until steps and evaluations leave less than 1 % of error in the total. Load,
    tokenising, saving and the longest batch are timed too. It takes torch, transformers and peft:
    pip install 'headway[train]'.

    After -- stands a training of your own: it really runs, without input and with its output on stderr, until its
    mean step is known to 1 % or --budget is spent (loading counts: give it minutes), and is then stopped with SIGINT.
    With a plan before it, and an experiment where the plan has several, what was learnt is kept as a measurement. A
    program that fails by itself leaves exit code 1.
    """
    budget_s = _budget(given["budget"])
    form = chosen_form(given, file)
    if len(words) > 2:
        raise UsageError("measure takes a plan and an experiment", got=" ".join(words), hint=f"Example: {EXAMPLES[1]}")
    run = words_after()
    if run is not None:
        _refuse_probes_flags(given)
        return _watched(run, words, given, form, file)
    from headway.app.measure import Asked, DoesNotFit
    from headway.report.measure_view import measure_page

    words = words or _plan_here(given)
    asked = Asked(
        experiment=words[1] if len(words) > 1 else "",
        option=given["option"],
        device=given["device"],
        budget_s=budget_s,
        whole=given["full"],
        seed=given["seed"],
        share=given["share"],
        command=shlex.join(["headway", "measure", *words]),
    )
    with as_plan_error() if words else as_usage_error():
        project = _project(words, given)
    tell = _teller(given["quiet"])
    try:
        measured = project.measured(asked, told=tell)
    except DoesNotFit as error:
        tell("")
        click.echo("\n".join(message(error)), err=True)
        return FAILED_ON
    tell("")
    answer = measured.answer
    then = answer.next_command if words else _estimate_of(given, answer.job.node.device)
    answer = replace(answer, next_command=again(then, given, "assume", "packs"))
    write(measure_page(answer), form=form, file=file)
    return INTERRUPTED if measured.interrupted else OK


def _plan_here(given: dict[str, Any]) -> tuple[str, ...]:
    """`plan.yaml` of this folder, where neither a plan nor a run is named."""
    described = any(given.get(name) for name in _FLAGS)
    return (PLAN,) if not described and Path(PLAN).is_file() else ()


def _watched(run: tuple[str, ...], words: tuple[str, ...], given: dict[str, Any], form: str, file: str | None) -> int:
    """Watch a command of one's own, for a plan and an experiment of it where they are named; the exit code."""
    if not run:
        raise UsageError("a command is needed after --", got="nothing", hint=f"Example: {EXAMPLES[-1]}")
    from headway.app.watched import measure_command

    page, failed = measure_command(run, _budget(given["budget"]), *words, quiet=given["quiet"])
    write(page, form=form, file=file)
    if not failed:
        return OK
    return INTERRUPTED if page.document().get("exit_code") == INTERRUPTED else ERROR


def _refuse_probes_flags(given: dict[str, Any]) -> None:
    """Raises UsageError for a flag that says something of headway's own probe, where a command is run instead."""
    context = click.get_current_context()
    kept = ("words", "file", "form", "as_json", "budget", "quiet", "verbose", "offline")
    named = [name for name in given if name not in kept
             and context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE]  # fmt: skip
    if named:
        raise UsageError(
            "a command of one's own is run as it is",
            got=", ".join(f"--{name.replace('_', '-')}" for name in named),
            hint="Of the flags, --budget and those of the page count for it.",
        )


def _budget(text: str) -> float:
    """Seconds of `90s`, `2 min`; a bare number is seconds."""
    from headway.domain.units import parse

    try:
        return parse(f"{text} s" if text.replace(".", "", 1).isdigit() else text, "s").range.mid
    except UserError as error:
        raise UsageError("--budget takes a time", got=repr(text), hint="Write it like 90s or 2 min.") from error


def _project(words: tuple[str, ...], given: dict[str, Any]) -> Project:
    """The plan file, or the plan that the flags make; both at once is refused."""
    from headway.app.quick import Flags, plan_from_flags

    named: dict[str, Any] = {item.name: given.get(item.name) for item in fields(Flags)}
    assume = assumptions(given["assume"])
    if words:
        flags = Flags(**named | {"full": False})
        if flags.given:
            raise UsageError(
                "a plan file says itself what is run",
                got=f"{words[0]} and {', '.join(flags.given)}",
                hint="Use --assume KEY=VALUE to change a key of the plan, or leave the plan out.",
            )
        from headway.app.load import load

        return load(
            words[0],
            assume=assume,
            packs=given["packs"],
            told=None if given["quiet"] else lambda guess: click.echo(guess, err=True),
        )
    flags = Flags(**named | {"gpu": named["gpu"] or _own_device(given["device"]), "full": given["full"]})
    from headway.app.inputs import as_keys
    from headway.app.load import Project

    made = plan_from_flags(flags)
    return Project(made.override(as_keys(assume)) if assume else made, packs=given["packs"])


def _own_device(asked: str) -> str | None:
    """What a run that names no GPU is measured on: this machine's, as far as the catalog has it; else it must say."""
    from headway.app.gpus import device_here
    from headway.catalog.devices import devices

    if asked == "cpu":
        return asked
    here = device_here()
    return here if here in devices() else None


def _estimate_of(given: dict[str, Any], measured: Device) -> str:
    """`headway estimate` with the flags of the one run that was measured, on the device where it was."""
    gpu = "cpu" if measured.is_assumed else given["gpu"] or measured.name
    said = {name: given[name] for name in ONE_RUN if given.get(name)} | {"gpu": gpu}
    words = [[f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])] for name, value in said.items()]
    return shlex.join(["headway", "estimate", *(word for pair in words for word in pair)])


def _teller(quiet: bool) -> Callable[[str], None]:
    """What hears of progress: one line a second on a terminal, warnings of the store everywhere."""
    live, began, last = not quiet and sys.stderr.isatty(), time.monotonic(), [0.0]

    def tell(words: str) -> None:
        if words.startswith("not recorded"):
            click.echo(words, err=True)
        elif live and (not words or time.monotonic() - last[0] > 1):
            last[0] = time.monotonic()
            click.echo(
                "\r\033[K" + (f"measuring: {words}, {last[0] - began:.0f} s" if words else ""), err=True, nl=False
            )

    return tell
