"""`headway trace MODEL`: the formulas held against the real model."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import click

from headway.cli.options import chosen_form, examples, loudness, one_run, output
from headway.cli.output import write
from headway.cli.refusals import as_plan_error
from headway.domain.errors import UsageError

EXAMPLES = (
    "headway trace Qwen/Qwen2-0.5B --lora 8 --batch 8 --seq 128",
    "headway trace ./my-model --full --checkpointing full --json",
    "headway trace plan.yaml 2A/openwebtext-10k",
)


@click.command(epilog=examples(*EXAMPLES))
@click.argument("what", metavar="MODEL|PLAN")
@click.argument("experiment", required=False, metavar="[EXPERIMENT]")
@output
@one_run("lora", "full", "batch", "seq", "dtype")
@click.option("--target", "targets", multiple=True, metavar="NAME", help="Layers that LoRA adapts; repeatable.")
@click.option("--checkpointing", type=click.Choice(("none", "full")), help="Recompute blocks in the backward pass.")
@click.option("--attention", type=click.Choice(("sdpa", "eager")), help="Attention kernels.")
@loudness
def command(what: str, experiment: str | None, file: str | None, **given: Any) -> None:
    """Count FLOP and memory of the real model, and hold headway's formulas against them.

    MODEL is a folder with config.json, such a file, or a model of the catalog; PLAN is a plan file, of which the first
    training stage of an experiment is traced. The model is made without weights and runs one training step on tensors
    without data: nothing is downloaded, no GPU is needed, a 7B model takes seconds. It takes torch, transformers and
    peft: pip install 'headway[train]'.
    """
    form = chosen_form(given, file)
    from headway.app.trace import Asked, trace_model, trace_plan

    asked = Asked(**{item.name: given[item.name] for item in fields(Asked)})
    if what.endswith((".yaml", ".yml")):
        _refuse_flags(what, asked.given)
        with as_plan_error():
            page = trace_plan(what, experiment or "")
    elif experiment:
        raise UsageError("a model has no experiments", got=f"{what} {experiment}", hint="Name a plan, or one model.")
    else:
        page = trace_model(what, asked)
    write(page, form=form, file=file)


def _refuse_flags(plan: str, given: tuple[str, ...]) -> None:
    """Raises UsageError for a plan with flags that say what the plan says."""
    if given:
        flags = ", ".join(f"--{'target' if name == 'targets' else name}" for name in given)
        raise UsageError("a plan file says itself what is run", got=f"{plan} and {flags}",
                         hint="Name a model to trace it as the flags say.")  # fmt: skip
