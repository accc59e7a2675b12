"""Flags that several commands share.

Owns their names, help and meaning, so that one word means one thing everywhere.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from headway.domain.errors import UsageError

Command = Callable[..., Any]

FORM_NAMES = ("table", "md", "csv", "json", "html")
SUFFIXES = {
    ".txt": "table", "": "table", ".md": "md", ".csv": "csv", ".json": "json", ".html": "html", ".htm": "html",
}  # fmt: skip


def examples(*lines: str) -> str:
    """An epilogue of a command's help: lines to type, kept as they are (click's mark for that is a backspace)."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def output(command: Command) -> Command:
    """`--format`, `--json` and `-o`."""
    for decorate in (
        click.option("-o", "--output", "file", metavar="FILE", help="Write to FILE; its suffix chooses the format."),
        click.option("--json", "as_json", is_flag=True, help="The same as --format json."),
        click.option("--format", "form", type=click.Choice(FORM_NAMES), help="table (default), md, csv, json, html."),
    ):
        command = decorate(command)
    return command


def chosen_form(given: Mapping[str, Any], file: str | None) -> str:
    """The format that `--format` or `--json` asks for, else the one of the file's suffix, else a table.

    Raises UsageError when the two flags differ, and for a suffix that names no format.
    """
    form: str | None = given["form"]
    if given["as_json"] and form not in (None, "json"):
        raise UsageError("one format at a time", got=f"--json and --format {form}", hint="Drop one of the two.")
    if given["as_json"] or form:
        return form or "json"
    suffix = Path(file).suffix.lower() if file else ""
    if suffix not in SUFFIXES:
        raise UsageError(
            "the suffix of -o chooses the format", got=file or "",
            hint=f"Known: {', '.join(name for name in SUFFIXES if name)}; or say it with --format.",
        )  # fmt: skip
    return SUFFIXES[suffix]


def json_only(command: Command) -> Command:
    """`-o`, `-q`, and a `--json` that changes nothing: for what is JSON anyway."""
    for decorate in (
        click.option("-q", "--quiet", is_flag=True, help="Nothing on stderr but errors."),
        click.option("--json", is_flag=True, expose_value=False, help="JSON (always so)."),
        click.option("-o", "--output", "file", metavar="FILE", help="Write to FILE."),
    ):
        command = decorate(command)
    return command


def loudness(command: Command) -> Command:
    """`-q` and `-v`, and `--offline`, which is how headway always works."""
    for decorate in (
        click.option("--offline", is_flag=True, help="Use no network (always so)."),
        click.option("-v", "--verbose", is_flag=True, help="More detail, where there is more."),
        click.option("-q", "--quiet", is_flag=True, help="Nothing on stderr but errors."),
    ):
        command = decorate(command)
    return command


def rates(command: Command) -> Command:
    """`--rates` and `--machine`: whose rates count, and where the plan runs."""
    for decorate in (
        click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Decides every draw."),
        click.option("--machine", default="", metavar="NAME", help="A machine of the plan to run everything on."),
        click.option(
            "--rates",
            type=click.Choice(("stated", "predicted", "measured", "best")),
            default="best",
            show_default=True,
            help="Whose rates: the plan author's, headway's, your measurements, or the best known.",
        ),
        click.option(
            "--packs", default="", metavar="DIR", help="Measurements that others shared, used where you have none."
        ),
        click.option("--assume", multiple=True, metavar="KEY=VALUE", help="Override a key of the plan; repeatable."),
    ):
        command = decorate(command)
    return command


def assumptions(given: tuple[str, ...]) -> dict[str, str]:
    """`KEY=VALUE` words as a mapping. Raises UsageError for one without `=`, without a key, or given twice."""
    found: dict[str, str] = {}
    for word in given:
        key, equals, value = word.partition("=")
        if not equals or not key.strip():
            raise UsageError(
                "--assume takes a key of the plan and its value",
                got=repr(word),
                hint="Write it like --assume stated.step='0.8-1.2 s'.",
            )
        if key.strip() in found:
            raise UsageError("an assumption is made once", got=f"{key.strip()} twice", hint="Drop one of the two.")
        found[key.strip()] = value.strip()
    return found


REPEATED = ("assume", "packs", "option", "subset", "machine")


def again(next_command: str, given: Mapping[str, Any], *names: str) -> str:
    """The next command with the flags of this one that decide which plan is meant (`REPEATED`, or those named)."""
    if not next_command.startswith(("headway estimate", "headway explain", "headway measure")):
        return next_command
    words: list[str] = []
    for name in names or REPEATED:
        values = given.get(name) or ()
        words += [word for one in ((values,) if isinstance(values, str) else values) for word in (f"--{name}", one)]
    if next_command.startswith("headway explain") and given.get("rates", "best") != "best":
        words += ["--rates", given["rates"]]
    return shlex.join([*shlex.split(next_command), *words])


ONE_RUN: dict[str, Any] = {
    "model": click.option("--model", metavar="ID", help="One run: hub id, or a folder with config.json."),
    "lora": click.option("--lora", type=click.IntRange(1), metavar="R", help="Train a low-rank adapter of rank R."),
    "qlora": click.option("--qlora", type=click.IntRange(1), metavar="R", help="The same on 4-bit weights."),
    "full": click.option("--full", is_flag=True, help="Train all weights."),
    "gpu": click.option("--gpu", metavar="NAME", help="Device, for example 'RTX 4090'."),
    "gpus": click.option("--gpus", type=click.IntRange(1), metavar="N", help="GPUs of the machine."),
    "samples": click.option("--samples", metavar="N", help="Rows of data (10k)."),
    "epochs": click.option("--epochs", metavar="N", help="Passes over the data."),
    "steps": click.option("--steps", metavar="N", help="Optimizer steps (10k)."),
    "tokens_per_sample": click.option("--tokens-per-sample", metavar="N", help="Tokens in a row, on average."),
    "seq": click.option("--seq", metavar="N", help="Longest row in tokens; alone, the length of every row."),
    "batch": click.option("--batch", type=click.IntRange(1), metavar="N", help="Rows on one GPU in one pass."),
    "grad_accum": click.option("--grad-accum", type=click.IntRange(1), metavar="N", help="Passes per optimizer step."),
    "dtype": click.option("--dtype", type=click.Choice(("bf16", "fp16", "fp32", "fp8")), help="Number format."),
    "price": click.option("--price", metavar="USD", help="Dollars an hour of the whole machine (0.59)."),
}
"""Flags that describe one run, by the name of what they fill."""


def one_run(*names: str) -> Callable[[Command], Command]:
    """The flags of `ONE_RUN` with these names, in this order."""

    def decorate(command: Command) -> Command:
        for name in reversed(names):
            command = ONE_RUN[name](command)
        return command

    return decorate
