"""`headway verify`: runs against what was promised of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from headway.cli.options import chosen_form, examples, loudness, output
from headway.cli.output import write
from headway.cli.refusals import MISSED, OK, as_plan_error
from headway.domain.errors import UsageError
from headway.report.view import Detail

if TYPE_CHECKING:
    from headway.app.load import Project

EXAMPLES = (
    "headway verify",
    "headway verify out/trainer_log.jsonl --plan plan.yaml --experiment qa-10k",
    "headway verify --plan plan.yaml --all --tolerance 10%",
    "headway verify 20261121-14 --plan plan.yaml --recalibrate",
)


@click.command(epilog=examples(*EXAMPLES))
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@output
@click.option("--plan", metavar="PLAN", help="The plan that was run; the store is beside it.")
@click.option("--experiment", default="", metavar="ID", help="Which experiment was run.")
@click.option("--tolerance", metavar="SHARE", help="How far a run may be off, either way: 10%.")
@click.option("--recalibrate", is_flag=True, help="Turn the runs into measurements that later estimates use.")
@click.option("--all", "every", is_flag=True, help="All recorded runs, those with a verdict too.")
@loudness
def command(runs: tuple[str, ...], file: str | None, **given: Any) -> int:
    """Runs against what was promised of them, term by term, and how promises are kept in general.

    RUN is a run's folder, a log of any format that headway reads, or the id of a recorded run, its beginning or its
    last part. Without one: the runs of the plan (without --plan, all in .headway of this folder) that have no verdict
    yet, else all of them.

    A run is held against the latest estimate made before it began, for its device, under the best rates, and of the
    plan as it stands (without --assume, --option and --machine), as far as there are such; else against the first one
    made after, else what the plan promises now: neither of these is counted. Leaves with 5 when a run is above the
    promise's p90 (10 % above a promise without an interval); with --tolerance instead when it is off by more, either
    way.
    """
    form = chosen_form(given, file)
    tolerance = _share(given["tolerance"])
    if runs and given["every"]:
        raise UsageError("--all takes every recorded run", got=f"--all and {runs[0]}", hint="Drop one of the two.")
    from headway.app.verify import Asked, verify

    asked = Asked(
        runs=runs,
        experiment=given["experiment"],
        tolerance=tolerance,
        every=given["every"],
        recalibrate=given["recalibrate"],
    )
    told = None if given["quiet"] else lambda said: click.echo(f"warning: {said}", err=True)
    found = verify(asked, _project(given["plan"]), told)
    write(found.page(Detail(verbose=given["verbose"])), form=form, file=file)
    return MISSED if found.missed else OK


def _project(plan: str | None) -> Project | None:
    if not plan:
        return None
    from headway.app.load import load

    with as_plan_error():
        project = load(plan)
        assert project.plan  # expanded here, so that what is wrong in it is the plan's fault
    return project


def _share(text: str | None) -> float | None:
    """A share from `10%` or `0.1`. Raises UsageError for anything else, for 0 or less, and for a bare `10`."""
    if text is None:
        return None
    hundredths = text.strip().endswith("%")
    try:
        share = float(text.strip().removesuffix("%")) / (100 if hundredths else 1)
    except ValueError:
        share = 0.0
    if not 0 < share < float("inf"):
        raise UsageError("--tolerance is a share above 0", got=text, hint="Write it like --tolerance 10%.")
    if share > 1 and not hundredths:
        raise UsageError("--tolerance above 1 is written in per cent", got=text, hint="Write it like 10% or 0.1.")
    return share
