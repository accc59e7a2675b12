"""Command lines of trainers that take Hugging Face arguments: `trl sft --...`, `accelerate launch sft.py --...`.

Owns how they are recognised; their fields are those of a TRL configuration (`plan/importing/fields/tuning.py`).
"""

from __future__ import annotations

import re

from headway.domain.errors import PlanError, Position
from headway.plan.importing.assemble import one_run
from headway.plan.importing.fields import sharding, tuning
from headway.plan.importing.fields.taking import Hit, Taking
from headway.plan.importing.fields.trainer import NAMES
from headway.plan.importing.nouns import Source

_MODEL = ("model_name_or_path", "model", "model_name", "base_model", "model_id")


def recognises(source: Source) -> str:
    """A program with two or more flags of `TrainingArguments`, or one of TRL's own commands."""
    found = [f"--{key}" for key in source.tree if key in NAMES]
    named = any(key in source.tree for key in _MODEL)
    if source.program.startswith("trl ") and (found or named or "config" in source.tree):
        return f"it is the command {source.program}"
    if len(found) >= 2 or (found and named):
        return f"{source.program} takes {', '.join(found[:3])}"
    if re.search(r"\b(?:axolotl|tune|litgpt|llamafactory)", source.program) or "config" in source.tree:
        return f"{source.program} is started with a configuration file"
    return ""


def take(taking: Taking) -> None:
    """Everything that decides time and memory. Raises PlanError where the fields stand in another file."""
    source = taking.source
    if not any(key in NAMES for key in source.tree) and not taking.has(*_MODEL):
        named = taking.word("config")
        raise PlanError(
            "a training configuration is needed, and this command only names one",
            got=source.program,
            where=Position(source.name, 1, 1),
            hint=f"Give that file: {named.value if named is not None else 'the one after the command'}.",
        )
    sharding.launched(taking)
    tuning.take(taking, tuning.kind_of(taking), commanded=True)
    hit = Hit("", "--mixed_precision", source.launcher.place("mixed_precision"))
    sharding.mixed_precision(taking, source.launcher, hit)
    tuning.wide_weights(taking)


IMPORTER = one_run("a trainer's command line", "command", recognises, take)
