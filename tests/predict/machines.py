"""Devices, models and recipes that the tests of this room share, and rows of the anchor tables as nouns."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from headway.catalog.calibration import shipped_calibration
from headway.catalog.devices import devices
from headway.catalog.speed import shipped_speed
from headway.domain.experiment import Adapter, Architecture, Batches, Parallel, Recipe
from headway.domain.machine import Device, Node
from headway.predict.learning.record import from_record
from headway.predict.speed.predict import StepTime, predict_step
from headway.predict.speed.situation import Situation

MIDDLE = shipped_calibration().middle()
SPEED = from_record(shipped_speed())
DRAWS = shipped_calibration().draws(np.random.default_rng(7), 1000)


def device(**changes: Any) -> Device:
    """An A100-like device without published ceilings."""
    fields: dict[str, Any] = {
        "name": "test",
        "vendor": "NVIDIA",
        "generation": "Ampere",
        "year": 2020,
        "memory_bytes": 80e9,
        "bandwidth_bytes_per_s": 2e12,
        "peak_flop_per_s": {"fp32": 19.5e12, "tf32": 156e12, "fp16": 312e12, "bf16": 312e12, "int8": 624e12},
        "interconnect": "NVLink3",
        "interconnect_bytes_per_s": 600e9,
        "pcie_generation": 4,
    }
    return Device(**fields | changes)


def decoder(**changes: Any) -> Architecture:
    """A model of Qwen2-0.5B's shape."""
    fields: dict[str, Any] = {
        "name": "decoder",
        "family": "decoder",
        "layers": 24,
        "hidden": 896,
        "heads": 14,
        "kv_heads": 2,
        "ffn": 4864,
        "vocab": 151936,
        "tied": True,
        "gated": True,
        "head_dim": 64,
        "qkv_bias": True,
    }
    return Architecture(**fields | changes)


def batches(rows: int, tokens: float, *, micro_steps: int = 1, data: int = 1) -> Batches:
    """Rows of one fixed length."""
    whole = rows * micro_steps * data
    return Batches(
        rows_per_step=whole,
        micro_steps=micro_steps,
        micro_rows=rows,
        row_tokens=tokens,
        row_tokens_squared=tokens**2,
        real_row_tokens=tokens,
        longest_row_tokens=tokens,
        steps_per_epoch=100,
        last_batch_rows=whole,
        packed_rows=100.0 * whole,
    )


def timed(arch: Architecture, recipe: Recipe, batch: Batches, node: Node, **more: Any) -> StepTime:
    """A step of an ordinary trainer, or of another stack, with the shipped fit."""
    return predict_step(Situation(architecture=arch, recipe=recipe, batches=batch, node=node, **more), SPEED, MIDDLE)


def anchors(table: str) -> list[dict[str, str]]:
    """Rows of `data/<table>.csv`."""
    with (Path(__file__).parent / "data" / f"{table}.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def architecture_of(row: dict[str, str]) -> Architecture:
    """The shape in an anchor row. Models without a gate are of the GPT-2 or BERT kind: LayerNorm and biases."""
    plain = row["gated"] == "0"
    counts = ("layers", "hidden", "heads", "kv_heads", "head_dim", "ffn", "vocab")
    return decoder(
        name=row["id"],
        family=row.get("family", "decoder"),
        tied=row["tied"] == "1",
        gated=not plain,
        head=row.get("head", "lm"),
        qkv_bias=plain,
        out_bias=plain,
        mlp_bias=plain,
        norm_bias=plain,
        **{name: int(row[name]) for name in counts},
    )


def recipe_of(row: dict[str, str]) -> Recipe:
    """The recipe in an anchor row."""
    adapter = None
    if row["rank"]:
        method = row.get("method") or "lora"
        adapter = Adapter(method=method, rank=int(row["rank"]), targets=tuple(row["targets"].split()))
    return Recipe(
        precision=row["precision"],
        quantize=row["quantize"],
        adapter=adapter,
        optimizer=row.get("optimizer", "adamw"),
        micro_batch=int(row["micro_batch"]),
        grad_accum=int(row["grad_accum"]),
        gradient_checkpointing=row["checkpointing"],
        attention=row["attention"],
        compile=row.get("compile") == "1",
        parallel=Parallel(
            data=int(row["data"]),
            tensor=int(row.get("tensor", 1)),
            pipeline=int(row.get("pipeline", 1)),
            sharding=row["sharding"],
        ),
    )


def node_of(row: dict[str, str]) -> Node:
    """The machine in an anchor row: the catalog's device."""
    return Node(device=devices()[row["device"]], gpus=int(row["gpus"]))
