"""Configurations of other tools as plans: one file a format, recognised by its content.

Owns the list of formats in the order in which they are tried, and the door: a file's text to what was read from it.
What importers share is `plan/importing/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from headway.plan.importers import (
    accelerate,
    axolotl,
    deepspeed,
    hf,
    lightning,
    litgpt,
    llama_factory,
    markdown,
    swift,
    torchtune,
    trl,
)
from headway.plan.importing.assemble import assembled
from headway.plan.importing.nouns import Imported, Importer, Source
from headway.plan.importing.sources import sources
from headway.plan.importing.taking import Taking

IMPORTERS: Final[Mapping[str, Importer]] = {
    "torchtune": torchtune.IMPORTER,
    "litgpt": litgpt.IMPORTER,
    "lightning": lightning.IMPORTER,
    "swift": swift.IMPORTER,
    "llama_factory": llama_factory.IMPORTER,
    "axolotl": axolotl.IMPORTER,
    "deepspeed": deepspeed.IMPORTER,
    "accelerate": accelerate.IMPORTER,
    "trl": trl.IMPORTER,
    "hf": hf.IMPORTER,
    "markdown": markdown.IMPORTER,
}
"""Formats by the name of their file, the more telling ones first."""


def recognised(name: str, text: str, folder: str = "") -> tuple[str, str, Source] | None:
    """Format, reason and source of a file of another tool; None for a plan, and for what no importer knows."""
    for source in sources(name, text, folder):
        for key, importer in IMPORTERS.items():
            if source.form in importer.forms and (guess := importer.recognises(source)):
                return key, guess, source
    return None


def imported(name: str, text: str, folder: str = "", given: Mapping[str, str] | None = None) -> Imported | None:
    """The run (or the runs) that a file of another tool describes; None where no importer knows it.

    `given` completes it: gpu, gpus, samples, tokens_per_sample, model, params, epochs, steps, as text. Raises PlanError
    for a file that is recognised and is no training run: a side file, a configuration for inference or merging.
    """
    found = recognised(name, text, folder)
    if found is None:
        return None
    key, guess, source = found
    importer = IMPORTERS[key]
    if importer.plan is not None:
        return importer.plan(source, given or {})
    taking = Taking(source, given)
    importer.take(taking)
    return assembled(taking, importer.title, guess)
