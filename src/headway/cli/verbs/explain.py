"""`headway explain NUMBER PLAN`: the chain behind one figure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from headway.cli.options import again, assumptions, chosen_form, examples, loudness, output, rates
from headway.cli.output import write
from headway.cli.refusals import as_plan_error
from headway.domain.errors import UsageError
from headway.report.view import Page

SCHEMA = "headway.explain/1"
FIGURES = ("totals.gpu_hours", "phases.2A.gpu_hours", "experiments.2A/openwebtext-10k.terms_s.step")


@click.command(epilog=examples(*(f"headway explain {figure} plan.yaml" for figure in FIGURES)))
@click.argument("words", nargs=-1, metavar="NUMBER PLAN | CODE")
@output
@rates
@click.option("--subset", default="", metavar="NAME", help="Only what this option of the plan keeps.")
@click.option("--option", default="", metavar="NAME", help="The plan with this option applied.")
@loudness
def command(words: tuple[str, ...], file: str | None, **given: Any) -> None:
    """The chain behind one figure of an estimate, or what a rule of `check` is about: headway explain HW201.

    NUMBER is the figure's path, as `headway estimate --json` has it:

    \b
    totals.FIGURE          gpu_hours, wall_hours, billed_gpu_hours, cost_usd, energy_kwh, experiments
    phases.ID.FIGURE       gpu_hours, wall_hours
    experiments.ID.FIGURE  gpu_hours, wall_hours, peak_memory_bytes, fits, steps, tokens, terms_s.TERM

    A number for ID counts from 0, unless it is an ID itself; .p10, .p50 or .p90 may follow. NUMBER and PLAN may stand
    in either order.
    """  # noqa: D301 - click's mark for lines to be kept is a backspace
    form = chosen_form(given, file)
    if len(words) == 1 and words[0].upper().startswith("HW"):
        return _rule(words[0], form, file)
    number, plan = _which(words)
    from headway.app.explain import explain
    from headway.app.load import load
    from headway.report.contract import view_document

    with as_plan_error():
        project = load(plan, assume=assumptions(given["assume"]), packs=given["packs"])
        chosen = {name: given[name] for name in ("rates", "machine", "subset", "option", "seed")}
        view = explain(project, number, **chosen)
    view = replace(view, next_command=again(view.next_command, given))
    write(Page(view=lambda: view, document=lambda: view_document(SCHEMA, view)), form=form, file=file)
    return None


def _rule(code: str, form: str, file: str | None) -> None:
    """The page of one rule."""
    from headway.app.explain import explain_cause
    from headway.report.check_view import rule_view
    from headway.report.contract import view_document

    view = explain_cause(code) if code.upper().startswith("HW9") else rule_view(code)
    write(Page(view=lambda: view, document=lambda: view_document(SCHEMA, view)), form=form, file=file)


def _which(words: tuple[str, ...]) -> tuple[str, str]:
    """The figure's path and the plan file, in whichever order they came."""
    if len(words) != 2:
        raise UsageError(
            "explain takes a figure's path and a plan file",
            got=" ".join(words) or "nothing",
            hint="Example: headway explain totals.gpu_hours plan.yaml",
        )
    heads = ("totals.", "phases.", "experiments.")
    swapped = words[1].startswith(heads) and not words[0].startswith(heads)
    return (words[1], words[0]) if swapped else (words[0], words[1])
