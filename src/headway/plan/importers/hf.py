"""Hugging Face `TrainingArguments`, TRL's configurations and alignment-handbook recipes, as YAML or JSON.

Owns how they are recognised, and TRL's defaults where they differ from transformers': TRL 0.24,
trl/trainer/{sft,dpo,kto,orpo,reward,grpo}_config.py; fields of both kinds of file are read by `plan/importing/tuning.py`.
"""

from __future__ import annotations

import os

from headway.plan.importing import sharding, tuning
from headway.plan.importing.nouns import Importer, Source
from headway.plan.importing.taking import Hit, Taking
from headway.plan.importing.trainer import NAMES
from headway.plan.reading.yaml import Map

BESIDE = ("accelerate_config.yaml", "accelerate.yaml", "accelerate_config.yml", "default_config.yaml")
"""Names under which an Accelerate configuration lies beside a recipe; the last is `accelerate config`'s own."""


def recognises(source: Source) -> str:
    """Two or more names of `TrainingArguments`, at the top or one level down."""
    found = [key for key in flat(source.tree) if key in NAMES]
    return f"it has {', '.join(found[:3])} of TrainingArguments" if len(found) >= 2 else ""


def take(taking: Taking) -> None:
    """Everything that decides time and memory."""
    taking.source.tree.update({key: item for key, item in flat(taking.source.tree).items()})
    for name in BESIDE:
        settings = sharding.beside(taking, name) if taking.source.folder else None
        if settings is not None and os.path.isfile(os.path.join(taking.source.folder, name)):
            sharding.accelerate(taking, settings, Hit(name, name, taking.place("")))
            taking.note(f"{name} lies beside it and is read with it")
            break
    tuning.take(taking, tuning.kind_of(taking))


def flat(tree: Map) -> Map:
    """The top level with names of `TrainingArguments` from the maps below it; what stands higher counts."""
    found = Map(tree, tree.where, tree.places)
    for item in list(tree.values()):
        if isinstance(item, Map) and len(NAMES & item.keys()) >= 2:
            for key, inner in item.items():
                if key not in found:
                    found[key] = inner
                    found.places[key] = item.place(key)
    return found


IMPORTER = Importer(
    title="Hugging Face training arguments", forms=frozenset({"yaml", "json"}), recognises=recognises, take=take
)
