"""One stage of an experiment's chain: what it is, what it does, and the model after it.

Owns the decision what kind of work a stage is, and the chain of fingerprints. Its parts are made by `plan.nouns.stage`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from headway.domain.plan import Evaluation, Stage
from headway.domain.statement import Name, Stated
from headway.plan.expansion.inherit import Resolved
from headway.plan.language.keys import BUDGETS
from headway.plan.nouns.stage import Parts, digest, generation
from headway.plan.nouns.stated import stated
from headway.plan.reading import values
from headway.plan.reading.values import fault
from headway.plan.reading.yaml import Map, Node

NOTHING_STATED: Final = Stated()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """Where a stage stands: its experiment, what is written of it, and what holds there."""

    experiment: str
    name: str
    entry: Map
    written: bool
    """It is one of a written chain, and `entry` is its own."""
    last: bool
    """No later stage trains or evaluates."""
    level: Resolved
    wall: Map | None
    """The time that is stated of this stage as a whole."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Identity of the model so far, and of what the next training starts from."""

    model: str = ""
    start: str = ""


@dataclass(frozen=True, slots=True)
class Made:
    """A stage, the chain after it, and the identity of its evaluation."""

    stage: Stage
    chain: Chain
    tasks: str


def make_stage(parts: Parts, spot: Spot, chain: Chain) -> Made:
    """The stage at `spot`, after `chain`. Raises PlanError when it is no kind of work, or lacks a model."""
    kind, found = _kind(spot), spot.level.values
    _refuse_contradictions(parts, spot, kind)
    model, model_mark = parts.model(found)
    if model is None and kind in ("train", "evaluate", "generate"):
        hint = "Add `model: Qwen/Qwen2-0.5B` to the plan."
        raise fault(spot.entry, "a model is needed", "none", hint, f"{spot.experiment}.model")
    evaluation, tasks = _evaluation(parts, spot, kind)
    if kind == "train":
        mark, course = _trained(parts, spot, model_mark, chain)
        after = Chain(mark, "" if parts.trainer(found).carry == "fresh" else mark)
    else:
        mark, course = digest(chain.model, kind, model_mark, tasks, *_other_work(spot, kind)), ""
        after = chain
    pace = digest(model_mark, parts.recipe(found).pace, parts.data(found)[1], tasks) if kind == "train" else mark
    stage = _stage(parts, spot, kind, model, evaluation)
    return Made(replace(stage, fingerprint=mark, course=course, pace=pace), after, tasks)


def _refuse_contradictions(parts: Parts, spot: Spot, kind: str) -> None:
    """Raises PlanError for work of a GPU without one, and for training of weights that are frozen."""
    found = spot.level.values
    recipe = parts.recipe(found)
    on_gpu = kind in ("train", "evaluate", "generate") and ("by" not in spot.level.own or spot.level.own["by"] == "gpu")
    if on_gpu and recipe.gpus is not None and not recipe.gpus.unknown and recipe.gpus.range.low <= 0:
        raise fault(
            found["gpus"], "a model takes at least one GPU", recipe.gpus.text,
            "Write gpus: 1, or `by: cpu` where it takes none.", f"{spot.experiment}.gpus",
        )  # fmt: skip
    if kind == "train" and recipe.recipe.quantize != "none" and recipe.recipe.adapter is None:
        raise fault(
            found["quantize"], "quantized weights are frozen: an adapter is trained on them", "no adapter",
            "Add `adapter: {method: lora, rank: 8}`, or drop quantize.", f"{spot.experiment}.quantize",
        )  # fmt: skip


def _trained(parts: Parts, spot: Spot, model: str, chain: Chain) -> tuple[str, str]:
    """Identity of the model after a training, and of the training apart from its length."""
    found = spot.level.values
    how = (chain.start, model, parts.recipe(found).identity, parts.trainer(found).identity, parts.data(found)[1])
    budget, seed = parts.budget(found)[3], str(parts.seed(found))
    return digest(*how, budget, seed), digest(*how, "", seed)


def _other_work(spot: Spot, kind: str) -> tuple[str, ...]:
    """What is identity in a stage that does not train."""
    if kind == "generate":
        return (generation(spot.level.own["generate"])[1],)
    if kind == "verify":
        return (values.text(spot.level.own["verify"]),)
    return (
        values.texts(spot.level.own["do"]) if kind == "do" and "do" in spot.level.own else (spot.name,) * (kind == "do")
    )


def _stage(parts: Parts, spot: Spot, kind: str, model: Name | None, evaluation: Evaluation | None) -> Stage:
    """The stage but for its identity."""
    found, own = spot.level.values, spot.level.own
    recipe, trainer = parts.recipe(found), parts.trainer(found)
    epochs, steps, tokens, _ = parts.budget(found) if kind == "train" else (None, None, None, "")
    data = parts.data(found)[0] if kind == "train" else ""
    return Stage(
        name=_name(parts, spot, kind, data, evaluation),
        kind=kind,
        model=model,
        recipe=recipe.recipe,
        parallel_kind=recipe.parallel_kind,
        batch=recipe.batch,
        micro_batch_auto=recipe.micro_batch_auto,
        grad_accum_stated=recipe.grad_accum_stated,
        data=data,
        epochs=epochs,
        steps=steps,
        tokens=tokens,
        gpus=recipe.gpus,
        by=values.text(own["by"]) if "by" in own else "gpu",
        do=values.texts(own["do"]) if "do" in own else (),
        evaluate=evaluation,
        generate=generation(own["generate"])[0] if kind == "generate" else None,
        verify=values.text(own["verify"]) if kind == "verify" else "",
        validation_share=trainer.validation_share,
        save=parts.cadence(found, "save"),
        log=parts.cadence(found, "log"),
        carry=trainer.carry,
        early_stop=trainer.early_stop,
        reuse=values.text(found["reuse"]) if "reuse" in found else "none",
        seed=parts.seed(found),
        extra=trainer.extra,
        machine=parts.machine(found),
        stated=_with_wall(parts.stated(found), spot.wall),
        stated_at={**spot.level.stated_at, "wall": spot.experiment} if spot.wall else spot.level.stated_at,
        where=spot.entry.where,
    )


def _kind(spot: Spot) -> str:
    """What a stage is: what its own keys say, else what it inherits. Raises PlanError when that is nothing."""
    level, own = spot.level, spot.entry
    for key in ("generate", "verify", "do"):
        if key in level.own:
            return key
    if spot.written and "evaluate" in own and not any(key in own for key in ("data", *BUDGETS)):
        return "evaluate"
    if "data" in level.values:
        return "train"
    if "evaluate" in level.values:
        return "evaluate"
    if "by" in level.own:
        return "do"
    raise fault(
        own, f"a stage of {spot.experiment} has data, evaluate, generate, verify or do", "none of them",
        "Add `data: {rows: 52k, length: 200}`, or say what is done.", spot.experiment,
    )  # fmt: skip


def _evaluation(parts: Parts, spot: Spot, kind: str) -> tuple[Evaluation | None, str]:
    """Tasks of this stage: its own, those of each stage, or, on the last one, those of the experiment."""
    if kind not in ("train", "evaluate"):
        return None, ""
    made, identity = parts.evaluation(spot.level.values)
    if made is None or kind == "evaluate" or spot.last or made.when == "each stage":
        return made, identity
    return (made, identity) if spot.written and "evaluate" in spot.entry else (None, "")


def wall_only(node: Node | None) -> Map | None:
    """The `wall` of a `stated` map: of the thing that it stands beside, never inherited."""
    if not isinstance(node, Map) or "wall" not in node:
        return None
    return Map({"wall": node["wall"]}, node.where, node.places)


def _with_wall(inherited: Stated, wall: Map | None) -> Stated:
    if wall is None:
        return inherited
    return Stated(
        terms={**inherited.terms, **stated(wall, wall=True).terms}, throughput=inherited.throughput,
        factors=inherited.factors, convergence=inherited.convergence, source=inherited.source,
    )  # fmt: skip


def _name(parts: Parts, spot: Spot, kind: str, data: str, evaluation: Evaluation | None) -> str:
    """A stage's name for people."""
    if spot.written and "name" in spot.entry:
        return values.text(spot.entry["name"])
    if data:
        return parts.datasets[data].name
    if kind == "evaluate" and evaluation is not None and len(evaluation.tasks) == 1:
        return parts.tasks[evaluation.tasks[0]].name
    if kind == "do":
        return ", ".join(values.texts(spot.level.own["do"])) if "do" in spot.level.own else spot.name
    return kind
