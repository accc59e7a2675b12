"""Configurations of other tools as plans: one file a format, recognised by its content.

Owns the list of formats in the order in which they are tried, and the door: a file's text to what was read from it.
What importers share is `plan/importing/`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from headway.domain.errors import PlanError, Position
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
from headway.plan.importing.nouns import Imported, Importer, Source
from headway.plan.importing.text.sources import sources
from headway.plan.importing.text.tree import MOST_CHARACTERS

OWN_WORDS: Final = frozenset("micro_batch grad_accum phases experiments stages matrix run stated".split())
"""Keys of a plan that lacks its first line: two of them, and it is left to the reader of plans, which asks for it."""
LONGEST_UNKNOWN: Final = 50_000
"""Characters from which a file that says nothing known is refused at once, and not read again as a plan."""
LONGEST_BYTES: Final = 10_000_000
"""As long as a plan may be: longer ones are left to its reader, which refuses them."""

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


def read_import(path: str | os.PathLike[str], given: Mapping[str, str] | None = None) -> Imported | None:
    """What the file at `path` describes, where it is of another tool; None for a plan and for what nothing is known of.

    `given` is as in `imported`. A file that cannot be read is left to the reader of plans, which says why. Raises
    PlanError for a file that is recognised and trains nothing, and for one that is too long to be a configuration.
    """
    name = os.fspath(path)
    try:
        if os.path.getsize(name) > LONGEST_BYTES or not os.path.isfile(name):
            return None
        with open(name, "rb") as file:
            text = file.read(LONGEST_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError, ValueError):
        return None
    found = imported(name, text, os.path.dirname(os.path.abspath(name)), given)
    if found is None and len(text) > LONGEST_UNKNOWN:
        raise PlanError(
            "a plan begins with `headway: 1`, or is a configuration that an importer knows",
            got=f"{len(text) / 1000:.0f} kB that are neither", where=Position(name),
            hint=f"Configurations of other tools have at most {MOST_CHARACTERS // 1000} kB.",
        )  # fmt: skip
    return found


def recognised(name: str, text: str, folder: str = "") -> tuple[str, str, Source] | None:
    """Format, reason and source of a file of another tool; None for a plan, and for what no importer knows."""
    for source in sources(name, text, folder):
        if len(OWN_WORDS & source.tree.keys()) > 1:
            continue
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
    key, _, source = found
    return IMPORTERS[key].read(source, given or {})
