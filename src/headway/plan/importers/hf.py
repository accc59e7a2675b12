"""Hugging Face `TrainingArguments`, TRL's configurations and alignment-handbook recipes, as YAML or JSON.

Owns how they are recognised and which Accelerate file lies beside them; their fields and defaults, which command lines
share, are `plan/importing/fields/tuning.py`.
"""

from __future__ import annotations

import os

from headway.plan.importing.assemble import one_run
from headway.plan.importing.fields import sharding, tuning
from headway.plan.importing.fields.taking import Hit, Taking
from headway.plan.importing.fields.trainer import NAMES
from headway.plan.importing.nouns import Source
from headway.plan.language.keys import ANYWHERE
from headway.plan.reading.yaml import Map

BESIDE = ("accelerate_config.yaml", "accelerate_config.yml", "default_config.yaml")
"""Names under which an Accelerate configuration lies beside a recipe; the last is `accelerate config`'s own."""


def recognises(source: Source) -> str:
    """Two names of `TrainingArguments` (one beside `model_name_or_path`), not all of them words of a plan.

    They stand at the top or one level down.
    """
    tree = flat(source.tree)
    found = [key for key in tree if key in NAMES]
    enough = len(found) >= 2 or "model_name_or_path" in tree
    telling = enough and any(key not in ANYWHERE for key in found)
    return f"it has {', '.join(found[:3])} of TrainingArguments" if telling else ""


def take(taking: Taking) -> None:
    """Everything that decides time and memory."""
    both = flat(taking.source.tree)
    taking.source.tree.clear()
    taking.source.tree.update(both)
    taking.source.tree.places.update(both.places)
    for name in BESIDE:
        settings = sharding.beside(taking, name) if taking.source.folder else None
        if settings is not None and os.path.isfile(os.path.join(taking.source.folder, name)):
            break
    else:
        settings = None
    hit = Hit(name, name, taking.source.tree.where)
    if settings is not None:
        taking.note(f"{name} lies beside it and is read with it")
        sharding.accelerate(taking, settings, hit)
    tuning.take(taking, tuning.kind_of(taking))
    if settings is not None:
        sharding.mixed_precision(taking, settings, hit)
    tuning.wide_weights(taking)


def flat(tree: Map) -> Map:
    """The top level with what stands in maps that hold names of `TrainingArguments`; what stands higher counts."""
    found = Map(tree, tree.where, tree.places)
    for name, item in list(tree.items()):
        if isinstance(item, Map) and len(NAMES & item.keys()) >= 2:
            del found[name]
            for key, inner in item.items():
                if key not in found:
                    found[key] = inner
                    found.places[key] = item.place(key)
    return found


IMPORTER = one_run("Hugging Face training arguments", "yaml json", recognises, take)
