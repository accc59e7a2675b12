"""`headway catalog devices|offers|models`: what the shipped data knows."""

from __future__ import annotations

from typing import Any

import click

from headway.cli.options import chosen_form, examples, loudness, output
from headway.cli.output import write
from headway.cli.refusals import as_usage_error


@click.group(name="catalog")
def command() -> None:
    """Known devices, offers and models, each with source and date."""


@command.command(epilog=examples("headway catalog devices", "headway catalog devices A100"))
@click.argument("name", required=False)
@output
@loudness
def devices(name: str | None, file: str | None, **given: Any) -> None:
    """Accelerators: memory, bandwidth, dense peaks. NAME shows those that it may mean."""
    from headway.app.catalog import devices_page

    form = chosen_form(given, file)
    with as_usage_error():
        page = devices_page(name)
    write(page, form=form, file=file)


@command.command(epilog=examples('headway catalog offers "RTX 4090"', "headway catalog offers --provider aws --gpus 8"))
@click.argument("device", required=False)
@click.option("--provider", metavar="NAME", help="Only this provider's.")
@click.option("--gpus", type=click.IntRange(1), metavar="N", help="Only machines with so many GPUs.")
@click.option("--region", metavar="NAME", help="Only this region.")
@click.option("--spot", is_flag=True, help="By spot price.")
@click.option("--all", "every", is_flag=True, help="All of them, not the cheapest twenty.")
@output
@loudness
def offers(device: str | None, file: str | None, every: bool, **given: Any) -> None:
    """Machines for rent, cheapest GPU-hour first, with the date of each price."""
    from headway.app.catalog import offers_page

    form = chosen_form(given, file)
    with as_usage_error():
        page = offers_page(
            device, provider=given["provider"], gpus=given["gpus"], region=given["region"], spot=given["spot"],
            shown=None if every or given["verbose"] else 20,
        )  # fmt: skip
    write(page, form=form, file=file)


@command.command(epilog=examples("headway catalog models qwen"))
@click.argument("name", required=False)
@output
@loudness
def models(name: str | None, file: str | None, **given: Any) -> None:
    """Model architectures: layers, widths, parameters. NAME filters by any part of the name."""
    from headway.app.catalog import models_page

    form = chosen_form(given, file)
    with as_usage_error():
        page = models_page(name)
    write(page, form=form, file=file)
