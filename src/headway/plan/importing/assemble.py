"""Fields of a run to a plan in headway's own language, every key at the line of the original file it comes from.

Owns the order of what was given (`--assume`) before what the file says before what the tool takes, and what is asked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Final

from headway.domain.errors import Position
from headway.plan.importing.fields.objectives import OBJECTIVES, Objective
from headway.plan.importing.fields.taking import Hit, Taking, as_number
from headway.plan.importing.nouns import Ask, Default, Imported, Importer, Read, Source
from headway.plan.importing.rounds import generation
from headway.plan.reading.yaml import Map, node_from

COMPLETE: Final = (
    "model", "objective", "method", "micro_batch", "grad_accum", "max_length", "precision", "optimizer", "parallel",
    "gpus", "gradient_checkpointing", "pack", "save", "evaluate",
)  # fmt: skip
"""Fields that decide time and memory: each is read, or said to be absent with what is taken instead."""
UNSAID: Final = {
    "objective": ("sft", "nothing else is named"),
    "method": ("full", "no adapter is named"),
    "micro_batch": ("1", "headway's own default"),
    "grad_accum": ("1", "headway's own default"),
    "max_length": ("the longest row", "nothing is cut"),
    "precision": ("the best of the GPU", "headway's own default"),
    "optimizer": ("adamw", "headway's own default"),
    "parallel": ("ddp", "no sharding is named"),
    "gpus": ("1", "--assume gpus=N for more"),
    "gradient_checkpointing": ("none", "headway's own default"),
    "pack": ("false", "headway's own default"),
    "save": ("no", "at the end only"),
    "evaluate": ("no", "nothing is held out"),
}
"""What is taken where neither the file nor the tool's defaults say anything."""
GIVEN: Final = ("gpu", "gpus", "samples", "tokens_per_sample", "model", "params", "epochs", "steps")
"""Keys of `--assume` that complete an imported file."""
ADAPTERS: Final = ("lora", "dora", "rslora")
_PUBLISHED: Final = re.compile(r"[-_](?:(bnb-4bit|4bit|int4|awq|gptq-int4|gptq|nvfp4|mxfp4)|(?:8bit|int8|gptq-int8))\b")
PLAIN: Final = (
    "quantize", "precision", "optimizer", "learning_rate", "lr_schedule", "warmup", "weight_decay", "seed", "pack",
    "gradient_checkpointing", "master_weights", "attention", "compile",
)  # fmt: skip
"""Fields that the plan calls by the same name and says in the same words."""


def one_run(title: str, forms: str, recognises: Callable[[Source], str], take: Callable[[Taking], None]) -> Importer:
    """The importer of a format whose files hold one run each: `take` takes its fields; `forms` are words."""

    def read(source: Source, given: Mapping[str, str]) -> Imported:
        taking = Taking(source, given)
        guess = recognises(source)  # before fields are moved about in the tree
        take(taking)
        return assembled(taking, title, guess)

    return Importer(title=title, forms=frozenset(forms.split()), recognises=recognises, read=read)


def assembled(taking: Taking, format_: str, guess: str) -> Imported:
    """The plan of the run that was taken, with its provenance."""
    _given(taking)
    for field in COMPLETE:
        if field not in taking.fields and field in UNSAID:
            taking.default(field, *UNSAID[field])
    _quantized(taking)
    objective = OBJECTIVES[taking.value("objective") or "sft"]
    if objective.says:
        taking.note(f"{taking.value('objective')}: {objective.says}")
    if objective.frozen and taking.value("method") == "full":
        taking.note(f"the memory of {objective.frozen} is not counted")
    if taking.source.times > 1:
        taking.note(f"loops of the script run it {taking.source.times} times: one run is counted")
    plan = _plan(taking, objective)
    asks = _asks(taking)
    return Imported(
        format=format_,
        guess=guess,
        plan=plan,
        read=tuple(taking.read.values()),
        absent=tuple(taking.absent.values()),
        not_read=taking.not_read(),
        asks=asks,
        notes=tuple(taking.notes),
        model=taking.value("model"),
        parameters=parameters(taking.value("params")),
        shape=dict(taking.shape),
        trained_blocks=int(taking.value("trained_blocks")) if taking.value("trained_blocks") else None,
        served=taking.value("served") == "true",
        dataset="" if taking.part else taking.value("data"),
        name=taking.source.name,
        folder=taking.source.folder,
    )


def _quantized(taking: Taking) -> None:
    """Quantized weights stand beneath an adapter only; the model's name may say that they are published so."""
    found = _PUBLISHED.search(taking.value("model").lower())
    if taking.value("quantize") and taking.value("method") not in ADAPTERS:
        taking.note("all weights are trained, so that they cannot be quantized: counted in 16 bits")
        del taking.fields["quantize"]
    if found is not None and taking.value("method") in ADAPTERS and not taking.value("quantize"):
        kind = "nf4" if found[1] else "int8"
        model = taking.fields["model"]
        taking.take("quantize", Hit(kind, model.key, model.where))
        taking.note(f"the weights of {model.value} are published quantized: counted as {kind}")


def parameters(text: str) -> float | None:
    """`7B`, `1.5b`, `350M`, `8e9` as a number of parameters; None where it is none."""
    plain = text.strip().lower().replace("_", "").removesuffix("params").strip()
    scale = {"b": 1e9, "m": 1e6, "k": 1e3, "t": 1e12}.get(plain[-1:], 1.0)
    number = as_number(node_from(plain[:-1] if scale != 1.0 else plain))
    return number * scale if number is not None and number > 0 and number * scale >= 1e4 else None


def _given(taking: Taking) -> None:
    """What `--assume` says replaces what the file says."""
    fields = {"tokens_per_sample": "length", "samples": "rows"}
    for key, value in taking.given.items():
        if key not in GIVEN or not value.strip():
            continue
        field = fields.get(key, key)
        where = Position(f"--assume {key}")
        taking.absent.pop(field, None)
        taking.fields[field] = Hit(value.strip(), f"--assume {key}", where)
        taking.read[field] = Read(field=field, value=value.strip(), key=f"--assume {key}", where=where)
        if key in ("steps", "epochs"):
            for other in {"steps", "epochs", "tokens"} - {key}:
                taking.fields.pop(other, None)
                taking.read.pop(other, None)
                taking.absent.pop(other, None)


def rows_given(text: str) -> int | None:
    """`52k` or `52000` samples as a whole number; None for anything else."""
    plain = text.strip().lower().replace(",", "").replace("_", "")
    scale = {"k": 1e3, "m": 1e6, "b": 1e9}.get(plain[-1:], 1.0)
    number = as_number(node_from(plain[:-1] if scale != 1.0 else plain))
    return round(number * scale) if number is not None and number * scale >= 1 else None


def _plan(taking: Taking, objective: Objective) -> Map:
    plan = Map(where=Position(taking.source.name))
    _put(plan, "headway", "1", Position(taking.source.name))
    _put(plan, "name", plan_name(taking.source.name), Position(taking.source.name))
    if taking.value("model"):
        _field(plan, taking, "model")
    _method(plan, taking)
    for field in PLAIN:
        if taking.value(field) and not _unsaid(taking, field):
            _field(plan, taking, field)
    if taking.value("max_length").isdigit():
        _field(plan, taking, "max_length")
    _batches(plan, taking, objective)
    _budget(plan, taking)
    _cadences(plan, taking)
    _data(plan, taking, objective)
    if objective.forward_passes or taking.value("forward_passes"):
        passes = taking.value("forward_passes") or str(objective.forward_passes)
        _put(plan, "forward_passes", passes, _where(taking, "objective"))
    _machine(plan, taking)
    if objective.generates:
        return generation(plan, taking)
    return plan


def plan_name(file: str) -> str:
    """The file's name without folder and suffix."""
    return PurePath(file).stem.strip() or "imported"


def _unsaid(taking: Taking, field: str) -> bool:
    """Whether a field is one that headway itself fills in."""
    return field in taking.absent and taking.absent[field].value == UNSAID.get(field, ("",))[0]


def _where(taking: Taking, field: str) -> Position:
    hit = taking.fields.get(field)
    return hit.where if hit is not None else Position(taking.source.name)


def _put(plan: Map, key: str, value: object, where: Position) -> None:
    plan[key] = node_from(value, where)
    plan.places[key] = where


def _field(plan: Map, taking: Taking, field: str) -> None:
    _put(plan, field, taking.value(field), _where(taking, field))


def _method(plan: Map, taking: Taking) -> None:
    """The adapter; nothing where all weights are trained."""
    method = taking.value("method")
    if method not in ADAPTERS:
        return
    adapter: dict[str, object] = {"method": method}
    for field in ("rank", "alpha", "dropout"):
        if taking.value(field):
            adapter[field] = taking.value(field)
    if taking.value("targets"):
        adapter["targets"] = taking.value("targets").split(", ")
    _put(plan, "adapter", adapter, _where(taking, "method"))


def _batches(plan: Map, taking: Taking, objective: Objective) -> None:
    """Rows of a pass, passes of a step, GPUs and how they share the work."""
    micro = int(taking.value("micro_batch") or 1) * objective.rows
    _put(plan, "micro_batch", str(micro), _where(taking, "micro_batch"))
    gpus = _gpus(taking)
    tensor, pipeline = (max(1, int(taking.value(field) or 1)) for field in ("tensor", "pipeline"))
    if gpus % (tensor * pipeline):
        gpus = math.ceil(gpus / (tensor * pipeline)) * tensor * pipeline
        taking.note(f"{tensor} x {pipeline} GPUs share each copy of the model: counted on {gpus} GPUs")
        if "gpus" in taking.absent:
            taking.absent["gpus"] = replace(taking.absent["gpus"], value=str(gpus))
    accum = int(taking.value("grad_accum") or 1)
    if total := taking.value("batch"):
        accum = max(1, round(int(total) * objective.rows / (micro * gpus // (tensor * pipeline))))
        key, where = taking.fields["batch"].key, _where(taking, "batch")
        taking.fields["grad_accum"] = Hit(str(accum), key, where)
        taking.absent.pop("grad_accum", None)
        if "batch" in taking.absent:
            taking.absent["grad_accum"] = replace(taking.absent["batch"], field="grad_accum", value=str(accum))
        else:
            taking.read["grad_accum"] = Read(field="grad_accum", value=str(accum), key=key, where=where)
    _put(plan, "grad_accum", str(accum), _where(taking, "grad_accum"))
    _put(plan, "gpus", str(gpus), _where(taking, "gpus"))
    kind = taking.value("parallel") or "ddp"
    if tensor * pipeline > 1:
        sharding = {"ddp": "none", "fsdp": "zero3"}.get(kind, kind)
        sizes = {"tensor": str(tensor), "pipeline": str(pipeline), "sharding": sharding}
        _put(plan, "parallel", sizes, _where(taking, "parallel"))
    elif kind != "ddp":
        _put(plan, "parallel", kind, _where(taking, "parallel"))


def _gpus(taking: Taking) -> int:
    text = taking.value("gpus")
    return max(1, min(int(text), 100_000)) if text.isdigit() else 1


def _budget(plan: Map, taking: Taking) -> None:
    for field in ("steps", "tokens", "epochs"):
        if taking.value(field):
            _field(plan, taking, field)
            return


def _cadences(plan: Map, taking: Taking) -> None:
    saved, keep = taking.value("save"), taking.value("keep")
    if saved and saved != "no":
        cadence = {"every": saved, **({"keep": keep} if keep else {})}
        _put(plan, "save", cadence, _where(taking, "save"))
    logged = taking.value("log")
    if logged and logged != "no":
        _put(plan, "log", {"every": logged}, _where(taking, "log"))


def _data(plan: Map, taking: Taking, objective: Objective) -> None:
    """Rows to train on, and those that are held out and evaluated at the file's cadence."""
    rows = rows_given(taking.value("rows"))
    factor = objective.rows * (int(taking.value("generations") or 1) if objective.generates else 1)
    held = as_number(node_from(taking.value("held_out") or "0"))
    held = held if held is not None and held >= 0 else 0.0
    apart = 0 if rows is None else min(rows - 1, round(held) if held >= 1 else math.ceil(held * rows))
    data: dict[str, object] = {"rows": "unknown" if rows is None else str((rows - apart) * factor)}
    if taking.value("data"):
        data["from"] = taking.value("data")
    if taking.value("length"):
        data["length"] = taking.value("length")
    where = _where(taking, "rows" if taking.value("rows") else "data")
    _put(plan, "datasets", {"training": data}, where)
    _put(plan, "data", "training", where)
    cadence = taking.value("evaluate")
    if cadence and cadence != "no":
        evaluated: dict[str, object] = {"split": "held out"}
        limit = rows_given(taking.value("eval_rows"))
        held_rows = limit if limit is not None else apart or (round(held) if held >= 1 else 0)
        evaluated["rows"] = str(held_rows * objective.rows) if held_rows else "unknown"
        if "length" in data:
            evaluated["length"] = data["length"]
        datasets = plan["datasets"]
        assert isinstance(datasets, Map)  # made above
        _put(datasets, "held-out", evaluated, _where(taking, "evaluate"))
        _put(plan, "tasks", {"held-out": {"metrics": ["loss"]}}, _where(taking, "evaluate"))
        _put(plan, "evaluate", {"tasks": ["held-out"], "every": cadence}, _where(taking, "evaluate"))


def _machine(plan: Map, taking: Taking) -> None:
    gpu = taking.value("gpu")
    run: dict[str, object] = {}
    if gpu:
        gpus = plan["gpus"]
        per_node = min(int(str(gpus)), 8)
        total = int(str(gpus))
        machine = {"gpu": gpu, "gpus": str(per_node)}
        if total > per_node:
            machine["nodes"] = str(math.ceil(total / per_node))
        run["machine"] = machine
    if taking.value("framework"):
        run["framework"] = taking.value("framework")
    if run:
        _put(plan, "run", run, _where(taking, "gpu"))


def _asks(taking: Taking) -> tuple[Ask, ...]:
    """What is missing for an estimate, by the name that `--assume` knows."""
    found = []
    if not taking.value("model") and parameters(taking.value("params")) is None:
        found.append(Ask(key="model", why="the file names no model", example="model=Qwen/Qwen2-0.5B"))
    if not taking.value("gpu"):
        found.append(Ask(key="gpu", why="the file names no GPU", example="gpu='A100 SXM 80GB'"))
    if not any(taking.value(field) for field in ("steps", "tokens", "epochs")):
        found.append(Ask(key="epochs", why="neither epochs nor steps are said", example="epochs=3"))
    bounded = taking.value("steps") or taking.value("tokens")
    if rows_given(taking.value("rows")) is None and not bounded:
        found.append(Ask(key="samples", why="how many rows are trained on is not in the file", example="samples=52k"))
    return tuple(found)


def completed(imported: Imported) -> tuple[Default, ...]:
    """Fields of `COMPLETE` that are neither read nor said to be absent: none, for a complete reading."""
    said = {one.field for one in imported.read} | {one.field for one in imported.absent}
    known = said | {ask.key for ask in imported.asks}
    return tuple(Default(field=f, value="", source="") for f in COMPLETE if f not in known)
