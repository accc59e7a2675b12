"""`headway estimate`: a plan file, a configuration of another tool, or one run given by flags."""

from __future__ import annotations

import shlex
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import click

from headway.cli.options import ONE_RUN, again, assumptions, chosen_form, examples, loudness, one_run, output, rates
from headway.cli.output import write
from headway.cli.refusals import FAILED_ON, OK, as_plan_error, as_usage_error
from headway.domain.errors import UsageError
from headway.report.view import Detail

if TYPE_CHECKING:
    from headway.app.load import Project

EXAMPLE = 'headway estimate --model Qwen/Qwen2-0.5B --lora 4 --gpu "RTX 4090" --batch 8 --seq 128 --steps 10k'


@click.command(
    epilog=examples(
        "headway estimate plan.yaml",
        "headway estimate plan.yaml --rates stated -v",
        "headway estimate axolotl.yml --assume gpu=A100 --assume samples=52k",
        EXAMPLE,
    )
)
@click.argument("plan", required=False, metavar="[PLAN]")
@output
@rates
@click.option("--subset", default="", metavar="NAME", help="Only what this option of the plan keeps.")
@click.option("--option", default="", metavar="NAME", help="The plan with this option applied.")
@click.option(
    "--confidence",
    default=0.8,
    show_default=True,
    type=click.FloatRange(0.01, 0.99),
    help="Probability between the two ends of an interval.",
)
@click.option("--sensitivity", is_flag=True, help="What every assumption moves, not only the largest.")
@click.option(
    "--fail-on",
    multiple=True,
    type=click.Choice(("fit", "budget")),
    help="Exit with 4 when memory or the budget does not suffice; repeatable.",
)
@one_run(*ONE_RUN)
@loudness
def command(plan: str | None, file: str | None, **given: Any) -> int:
    """Time, money and memory of a plan, of a configuration of another tool, or of one run given by flags.

    Read as they are: axolotl, LLaMA-Factory, torchtune, LitGPT, Lightning CLI, ms-swift, TRL and other Hugging Face
    training arguments, and Markdown tables of experiments. What such a file does not say comes from --assume:
    gpu, gpus, samples, tokens_per_sample, model, params, epochs, steps.
    """
    form = chosen_form(given, file)
    with as_plan_error() if plan else as_usage_error():
        project = _project(plan, given)
        result = project.estimate(
            rates=given["rates"],
            machine=given["machine"],
            subset=given["subset"],
            option=given["option"],
            seed=given["seed"],
        )
    from headway.report.estimate_view import estimate_page

    found = result.answer
    if plan and found.imported is None:
        found = replace(found, next_command=again(found.next_command, given))
    detail = Detail(confidence=given["confidence"], verbose=given["verbose"], sensitivity=given["sensitivity"])
    write(estimate_page(found, detail), form=form, file=file)
    if plan and found.imported is None:
        from headway.app.promise import keep_promise

        otherwise = [f"{name}={given[name]}" for name in ("option", "machine") if given[name]]
        keep_promise(result.answer, shlex.join(["headway", "estimate", plan]), [*given["assume"], *otherwise])
    if file and file != "-" and not given["quiet"]:
        click.echo(f"wrote {file}; next: {found.next_command}", err=True)
    return _verdict(result.answer, given)


def _project(plan: str | None, given: dict[str, Any]) -> Project:
    """The plan file, or the plan that the flags make; both at once is refused."""
    from headway.app.quick import Flags, plan_from_flags

    flags = Flags(**{item.name: given[item.name] for item in fields(Flags)})
    assume = assumptions(given["assume"])
    if plan is None:
        made = plan_from_flags(flags)
        from headway.app.inputs import as_keys
        from headway.app.load import Project

        return Project(made.override(as_keys(assume)) if assume else made, packs=given["packs"])
    if flags.given:
        raise UsageError(
            "a plan file says itself what is run",
            got=f"{plan} and {', '.join(flags.given)}",
            hint="Use --assume KEY=VALUE to change a key of the plan, or leave the plan out.",
        )
    from headway.app.load import load

    return load(plan, assume=assume, packs=given["packs"],
                told=None if given["quiet"] else lambda guess: click.echo(guess, err=True))  # fmt: skip


def _verdict(answer: Any, given: dict[str, Any]) -> int:
    """4 when something that --fail-on names does not suffice, with the reason on stderr."""
    from headway.report.verdicts import refused

    asked = given["fail_on"]
    reasons = refused(answer, fit="fit" in asked, budget="budget" in asked, confidence=given["confidence"])
    for reason in reasons:
        click.echo(f"failed: {reason}", err=True)
    return FAILED_ON if reasons else OK
