"""A configuration of another tool, completed: its model looked up or sized, its data counted where it is well known.

Owns the wiring of importers and catalog, and what is still asked before an estimate.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from headway.app.resolve import ASSUMED
from headway.catalog import find_model, from_config, read_config
from headway.catalog.datasets import dataset_rows
from headway.catalog.sizes import Size, known_size, size_in_name, sized_model
from headway.domain.errors import PlanError, Position, UserError
from headway.domain.experiment import Adapter, Architecture
from headway.plan import Imported, PlanFile, plan_from_tree, read_import, written
from headway.plan.importing.assemble import GIVEN
from headway.plan.importing.nouns import Ask
from headway.plan.reading.yaml import Map, Seq, Text
from headway.report.answer import Answer
from headway.work.linears import adapted

EXAMPLE_SIZE = "params=7B"
_SHAPED = frozenset({"num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size"})
"""Keys without which a shape that is written out is no shape: the model's name then says which."""
_SEES = re.compile(
    r"(?:^|[-_/.\d])vl(?:m|\d|[-_/.]|$)|vlm|vision|pixtral|llava|omni|internvl|minicpm-[vo]|paligemma|multimodal|-audio|voxtral|ovis",
    re.IGNORECASE,
)
"""Names of models that read more than text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An imported file with everything that the catalog knows of it."""

    imported: Imported
    models: Mapping[str, Architecture] = field(default_factory=lambda: MappingProxyType({}))
    given: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def source(self) -> PlanFile:
        """The plan. Raises PlanError that names everything an estimate still needs."""
        _refuse_unknown(self.imported)
        return plan_from_tree(self.imported.plan, self.imported.name, self.imported.folder)

    def text(self) -> str:
        """The plan as a commented file; a model that the catalog lacks stands for the nearest known one."""
        shapes = [arch for arch in self.models.values() if ASSUMED in arch.source]
        nearest = shapes[0].source.partition("in the shape of ")[2].partition(" with ")[0] if shapes else ""
        notes = tuple(f"{arch.name} is not in the catalog: {arch.source}" for arch in shapes)
        return written(self.imported, model=nearest, notes=notes)


def opened(path: str | os.PathLike[str], assume: Mapping[str, Any]) -> Opened | None:
    """The file of another tool at `path`; None for a plan. `assume` completes it (see `plan.importing.assemble.GIVEN`).

    Raises PlanError for a file that is recognised and trains nothing.
    """
    given = {key: str(value) for key, value in assume.items() if key in GIVEN}
    imported = read_import(path, given)
    if imported is None:
        return None
    rows = dataset_rows().get(imported.dataset.lower())
    if rows is not None and any(ask.key == "samples" for ask in imported.asks):
        again = read_import(path, {**given, "samples": str(rows)})
        assert again is not None  # it was recognised just now
        note = f"{imported.dataset} has {rows:,} rows (the catalog's)"
        imported = replace(again, notes=(*again.notes, note))
    return replace(_with_model(imported), given=given)


def shown(answer: Answer, found: Opened) -> Answer:
    """The answer with what was read on its page, and the command that keeps it as a plan."""
    words = ["headway", "init", "--from", found.imported.name]
    words += [word for key, value in found.given.items() for word in ("--assume", f"{key}={value}")]
    return replace(answer, imported=found.imported, next_command=shlex.join(words))


def rest_of(assume: Mapping[str, Any]) -> dict[str, Any]:
    """What `--assume` says of the plan itself, beside what completes an imported file."""
    return {key: value for key, value in assume.items() if key not in GIVEN}


def _with_model(imported: Imported) -> Opened:
    """The model found, sized or asked for; the layers that its freezing and adapter mean."""
    if not imported.model and imported.parameters is None:
        return Opened(imported=imported)
    name = imported.model or f"a model of {imported.parameters:,.0f} parameters"
    try:
        arch = _architecture(imported, name)
    except UserError as problem:
        ask = Ask(key="params", why=f"{problem.rule}, got {problem.got}", example=EXAMPLE_SIZE)
        return Opened(imported=replace(imported, asks=(*imported.asks, ask)))
    plan = imported.plan
    if "model" not in plan:
        plan["model"] = Text(name, Position(imported.name))
    notes = [*_fit_adapter(plan, arch), *_freeze(plan, arch, imported.trained_blocks), *_seen(imported, name)]
    return Opened(imported=replace(imported, notes=(*imported.notes, *notes)), models={name: arch})


def _architecture(imported: Imported, name: str) -> Architecture:
    """A model's shape: given by size, written out, in a folder, in the catalog, or by the size in its name.

    Raises UserError where nothing tells its size.
    """
    if imported.parameters is not None:
        return sized_model(name, _given_size(name, imported.parameters))
    if imported.shape.keys() >= _SHAPED:
        return from_config({key: int(value) for key, value in imported.shape.items()}, name)
    for folder in (imported.folder, ""):
        path = os.path.join(folder, name)
        if os.path.isfile(path if name.endswith(".json") else os.path.join(path, "config.json")):
            return read_config(path)
    try:
        return find_model(name.rstrip("/"))
    except UserError:
        size = known_size(name) or size_in_name(name)
        if size is None:
            raise UserError("the catalog lacks the model and its name says no size", got=name) from None
        return sized_model(name, size)


def _given_size(name: str, parameters: float) -> Size:
    """The size that was given; how many of them a token meets only the name can say."""
    said = known_size(name) or size_in_name(name)
    if said is None or said.active is None:
        return Size(parameters=parameters)
    return Size(parameters=parameters, active=parameters * said.active / said.parameters)


def _fit_adapter(plan: Map, arch: Architecture) -> list[str]:
    """Adapter targets that this model does not have are left out; all linear layers where none is left."""
    found = []
    for holder in _stages(plan):
        adapter = holder.get("adapter")
        targets = adapter.get("targets") if isinstance(adapter, Map) else None
        if not isinstance(adapter, Map) or not isinstance(targets, Seq):
            continue
        kept = Seq([one for one in targets if isinstance(one, Text) and _has(arch, str(one))], targets.where)
        if len(kept) < len(targets):
            missing = ", ".join(str(one) for one in targets if one not in kept)
            found.append(f"{arch.name} has no layers called {missing}: left out of the adapter")
            adapter["targets"] = kept or Seq([Text("all-linear", targets.where)], targets.where)
    return found


def _has(arch: Architecture, target: str) -> bool:
    try:
        return bool(adapted(arch, Adapter(targets=(target,))))
    except UserError:
        return False


def _freeze(plan: Map, arch: Architecture, trained: int | None) -> list[str]:
    """Blocks that are trained, from the end of the stack, as leading blocks that are not."""
    if trained is None:
        return []
    if trained < 0:
        return [f"the first {-trained} blocks are trained: counted as all trained"]
    blocks = arch.layers + arch.decoder_layers
    if trained < blocks:
        plan["freeze"] = Text(str(blocks - trained), plan.where)
    return []


def _seen(imported: Imported, name: str) -> list[str]:
    """What rows of images and sound are longer than, where nobody says how long they are."""
    if not _SEES.search(name) or any(one.field == "length" for one in imported.read):
        return []
    return ["rows are counted as text: images and sound make them longer, which --assume tokens_per_sample=N can say"]


def _stages(plan: Map) -> list[Map]:
    stages = plan.get("stages")
    return [plan, *(one for one in stages if isinstance(one, Map))] if isinstance(stages, Seq) else [plan]


def _refuse_unknown(imported: Imported) -> None:
    """Raises PlanError where an estimate needs more than the file and `--assume` say."""
    if not imported.asks:
        return
    names = ", ".join(ask.key for ask in imported.asks)
    raise PlanError(
        f"an estimate needs {names}, which this file does not say",
        got="; ".join(ask.why for ask in imported.asks),
        where=Position(imported.name),
        hint="Add " + " ".join(f"--assume {ask.example}" for ask in imported.asks) + ".",
    )
