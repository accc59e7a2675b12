"""How a stage is trained: recipe, adapter, batches, GPUs.

Owns their making, the checks that batches and GPUs divide, and what of them is identity: the *effective* batch counts,
how it is cut into passes and spread over GPUs does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from headway.domain.experiment import Adapter, Parallel, Recipe
from headway.domain.record import fingerprint
from headway.domain.statement import Value
from headway.plan.reading import forms, values
from headway.plan.reading.values import fault, identity
from headway.plan.reading.yaml import Map, Node

RECIPE: Final = (
    "precision", "quantize", "adapter", "optimizer", "batch", "micro_batch", "grad_accum", "max_length", "pack",
    "freeze", "gpus", "parallel", "gradient_checkpointing", "master_weights", "attention", "compile",
    "forward_passes",
)  # fmt: skip
"""Keys that the recipe part is made from."""
_SHARDING: Final = {"ddp": "none", "fsdp": "zero3", "zero1": "zero1", "zero2": "zero2", "zero3": "zero3"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipePart:
    """Recipe and batches of a stage, and the text of what is identity in them."""

    recipe: Recipe
    batch: int | None
    gpus: Value | None
    parallel_kind: str
    micro_batch_auto: bool
    grad_accum_stated: bool
    identity: str
    pace: str
    """Identity of everything here that decides how fast a step is, of what is not identity of the model too."""


def recipe_part(found: Mapping[str, Node]) -> RecipePart:
    """Recipe, batches and GPUs of what holds at a stage. Raises PlanError when a batch or the GPUs do not divide."""
    parallel, kind = _parallel(found.get("parallel"))
    gpus = values.quantity(found["gpus"], "count") if "gpus" in found else None
    auto = "micro_batch" in found and values.used(found["micro_batch"]) == "auto"
    micro = values.integer(found["micro_batch"], 1) if "micro_batch" in found and not auto else 1
    stated_accum = values.integer(found["grad_accum"], 1) if "grad_accum" in found else None
    batch = values.integer(found["batch"], 1) if "batch" in found else None
    copies = _copies(found, parallel, gpus)
    accum = stated_accum or 1
    if batch is not None and not auto:
        accum = _accumulation(found["batch"], batch, micro, stated_accum, copies)
    adapter = found.get("adapter")
    recipe = Recipe(
        precision=_word(found, "precision", "auto"),
        quantize=_word(found, "quantize", "none"),
        adapter=_adapter(adapter) if isinstance(adapter, Map) else None,
        optimizer=forms.optimizer(found["optimizer"]) if "optimizer" in found else "adamw",
        micro_batch=micro,
        grad_accum=accum,
        max_length=values.integer(found["max_length"], 1) if "max_length" in found else None,
        pack=values.flag(found["pack"]) if "pack" in found else False,
        freeze=values.integer(found["freeze"]) if "freeze" in found else 0,
        gradient_checkpointing=_word(found, "gradient_checkpointing", "none"),
        attention=_word(found, "attention", "sdpa"),
        compile=values.flag(found["compile"]) if "compile" in found else False,
        master_weights=values.flag(found["master_weights"]) if "master_weights" in found else False,
        parallel=parallel,
        forward_passes=values.integer(found["forward_passes"]) if "forward_passes" in found else 0,
    )
    effective = batch if batch is not None else "auto" if auto else micro * accum * max(1, copies or 1)
    what = [recipe.precision, recipe.quantize, recipe.adapter, recipe.optimizer, recipe.max_length, recipe.pack,
            recipe.freeze, effective, *([recipe.forward_passes] if recipe.forward_passes else [])]  # fmt: skip
    return RecipePart(
        recipe=recipe, batch=batch, gpus=gpus, parallel_kind=kind, micro_batch_auto=auto,
        grad_accum_stated=stated_accum is not None, identity=fingerprint(what),
        pace=fingerprint([recipe, kind, batch, identity(gpus)]),
    )  # fmt: skip


def _word(found: Mapping[str, Node], key: str, default: str) -> str:
    return values.text(found[key]) if key in found else default


def _adapter(node: Map) -> Adapter:
    targets = values.texts(node["targets"]) if "targets" in node else ("all-linear",)
    return Adapter(
        method=_word(node, "method", "lora"),
        rank=values.integer(node["rank"], 1) if "rank" in node else 8,
        alpha=values.number(node["alpha"]) if "alpha" in node else None,
        targets=tuple("all-linear" if target == "all" else target for target in targets),
        dropout=values.number(node["dropout"]) if "dropout" in node else 0.0,
    )


def _parallel(node: Node | None) -> tuple[Parallel, str]:
    """Sizes as written (data = 0: the GPUs that are left), and the kind in one word."""
    if isinstance(node, Map) and not values.is_long(node):
        size = {key: values.integer(node[key], 1) for key in ("tensor", "pipeline", "data") if key in node}
        sharding = _word(node, "sharding", "none")
        kind = "ddp" if sharding == "none" else sharding
        return Parallel(data=size.get("data", 0), tensor=size.get("tensor", 1), pipeline=size.get("pipeline", 1),
                        sharding=sharding), kind  # fmt: skip
    kind = values.text(node) if node is not None else ""
    return Parallel(data=0, sharding=_SHARDING.get(kind, "none")), kind


def _copies(found: Mapping[str, Node], parallel: Parallel, gpus: Value | None) -> int | None:
    """Copies of the model that share a batch; None while the GPUs are a range."""
    each = parallel.tensor * parallel.pipeline
    if gpus is None:
        return parallel.data or 1
    if gpus.unknown or not gpus.range.is_point or gpus.mid < 1:
        return parallel.data or None
    if gpus.mid % (each * (parallel.data or 1)) or (parallel.data and gpus.mid != each * parallel.data):
        raise fault(
            found["gpus"], "GPUs are data x tensor x pipeline", f"{gpus.text} GPUs for {parallel.data or 'any'} x "
            f"{parallel.tensor} x {parallel.pipeline}", _dividing(gpus.mid, each, parallel.data),
        )  # fmt: skip
    return int(gpus.mid) // each


def _dividing(gpus: float, each: int, data: int) -> str:
    """The numbers of GPUs that would divide: the one of so many copies, or those next to what came."""
    below = int(gpus // each) * each
    fitting = [data * each] if data else [number for number in (below, below + each) if number]
    return f"Write gpus: {' or '.join(map(str, fitting))}, or change `parallel`."


def _accumulation(node: Node, batch: int, micro: int, stated_accum: int | None, copies: int | None) -> int:
    """Passes per optimizer step. Raises PlanError when the batch does not divide."""
    one_pass = micro * (copies or 1) * (stated_accum or 1)
    exact = stated_accum is not None and copies is not None
    if batch % one_pass or (exact and batch != one_pass):
        came = f"{batch} for {micro} rows x {stated_accum or '?'} passes x {copies or '?'} copies"
        raise fault(
            node, "batch is micro_batch x grad_accum x copies of the model", came, "Change one of them.", field="batch"
        )
    return stated_accum or batch // one_pass
