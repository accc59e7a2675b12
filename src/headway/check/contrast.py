"""Which runs of a plan differ in one thing alone: what a comparison along a key needs.

Owns the settings of a run by key, and the grouping of runs that are equal in all others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields

from headway.domain.plan import Experiment, Plan, Stage
from headway.domain.statement import Value

MIX = frozenset(("mix", "data.mix", "datasets.mix"))
"""Ways to name the shares of a mixture as what varies."""
_WITH = {"micro_batch": "batch", "grad_accum": "batch"}
"""Keys that change another one with them."""


def settings(experiment: Experiment, plan: Plan) -> Mapping[str, str]:
    """Everything that a run is trained with, by key; the keys of a chain carry the place of their stage."""
    found: dict[str, str] = {}
    for index, stage in enumerate(experiment.stages):
        start = f"{index}:" if len(experiment.stages) > 1 else ""
        found |= {f"{start}{key}": value for key, value in _of_stage(stage, plan).items()}
    return found


def contrasts(experiments: Iterable[Experiment], along: str, plan: Plan) -> tuple[frozenset[str], ...]:
    """For runs that are equal in everything but `along`: the values that it takes there.

    One set for each group of such runs; a set of one value is no contrast. `along` is a key of the plan
    (`steps`, `adapter.rank`, `adapter`), or `mix` for the shares of mixtures of the same parts.
    """
    groups: dict[tuple[tuple[str, str], ...], set[str]] = {}
    for experiment in experiments:
        varied: list[tuple[str, str]] = []
        fixed: list[tuple[str, str]] = []
        for key, value in settings(experiment, plan).items():
            (varied if _is_about(key.rpartition(":")[2], along) else fixed).append((key, value))
        if varied:
            groups.setdefault(tuple(fixed), set()).add(str(varied))
    return tuple(frozenset(values) for values in groups.values())


def _is_about(key: str, along: str) -> bool:
    if along in MIX:
        return key == "mix"
    if along == "data":
        return key in ("data", "mix")
    return key == along or key.startswith(f"{along}.") or key == _WITH.get(along)


def _of_stage(stage: Stage, plan: Plan) -> dict[str, str]:
    recipe, adapter = stage.recipe, stage.recipe.adapter
    mix = plan.datasets[stage.data].mix if stage.data else ()
    found: dict[str, object] = {
        "kind": stage.kind,
        "model": stage.model.use if stage.model else "",
        "data": sorted(part for part, _ in mix) or stage.data,
        "mix": mix,
        "batch": stage.batch if stage.batch is not None else recipe.micro_batch * recipe.grad_accum,
        "micro_batch": recipe.micro_batch if stage.batch is None else "",
        "carry": stage.carry,
        "early_stop": stage.early_stop,
        "validation": stage.validation_share,
        "seed": stage.seed,
        "epochs": _range(stage.epochs),
        "steps": _range(stage.steps),
        "tokens": _range(stage.tokens),
    }
    for key in ("quantize", "precision", "optimizer", "max_length", "pack", "freeze"):
        found[key] = getattr(recipe, key)
    found |= {f"adapter.{one.name}": getattr(adapter, one.name) for one in fields(adapter)} if adapter else {}
    for key, value in stage.extra.items():
        parts = value.items() if isinstance(value, Mapping) else ()
        found |= {f"{key}.{part}": one for part, one in parts} if parts else {key: value}
    return {key: str(value) for key, value in found.items()}


def _range(value: Value | None) -> object:
    return None if value is None else value.range
