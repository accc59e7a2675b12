"""Identity apart from circumstance: what changes a fingerprint, and what must not."""

from __future__ import annotations

import pytest

from headway.domain.plan import Experiment
from headway.plan import plan_from_mapping, read_plan

BASE = {
    "model": "Qwen/Qwen2-0.5B",
    "adapter": "{method: lora, rank: 4, alpha: 8}",
    "data": "d",
    "datasets": "{d: {name: Data, rows: 1000, length: 200}, e: {rows: 1000, length: 200}}",
    "tasks": "{t: {metrics: [accuracy]}, u: }",
    "evaluate": "t",
    "micro_batch": "4",
    "grad_accum": "2",
    "max_length": "128",
    "steps": "10k",
    "seed": "1",
    "params": "{noise: 0.1}",
    "learning_rate": "1e-4",
    "run": "{machine: RTX 4090}",
    "stated": "{step: 1 s}",
    "claims": "{wall: 5 h}",
    "save": "{every: 50 steps}",
}


def experiment(**changes: str) -> Experiment:
    lines = {"headway": "1", **BASE, **changes}
    text = "".join(f"{key}: {value}\n" for key, value in lines.items() if value)
    return read_plan("p.yaml", text=text).plan.experiments[0]


SAME = [
    {"name": "other", "title": "Another name"},
    {"run": "{machine: {gpu: A100, gpus: 8, price: $3/h, region: mars}, pricing: spot, jobs: 4}"},
    {"stated": "{step: 9 s, load: 5 min}"},
    {"claims": ""},
    {"save": "{every: 5 min, keep: 1}", "log": "{every: 1 steps}"},
    {"micro_batch": "8", "grad_accum": "1"},
    {"micro_batch": "1", "gpus": "4", "parallel": "fsdp"},
    {"batch": "8", "grad_accum": ""},
    {
        "gradient_checkpointing": "full",
        "attention": "flash",
        "compile": "true",
        "master_weights": "true",
        "reuse": "prefixes",
    },
    {"datasets": "{d: {name: Otherwise, rows: 1k, length: 200}}"},
    {"datasets": "{e: {rows: 5}, d: {length: 200, rows: 10 * 100}}"},
    {"adapter": "{alpha: 8.0, rank: 4, method: lora}"},
    {"learning_rate": "0.0001"},
    {"steps": "10000"},
    {"model": "{stated_as: Qwen2, use: Qwen/Qwen2-0.5B, note: as in the paper}"},
    {"quantize": "none", "carry": "adapter", "seed": "1"},
]
OTHER = [
    {"model": "Qwen/Qwen2-1.5B"},
    {"adapter": ""},
    {"adapter": "{method: lora, rank: 8, alpha: 8}"},
    {"adapter": "{method: lora, rank: 4, alpha: 16}"},
    {"adapter": "{method: dora, rank: 4, alpha: 8}"},
    {"adapter": "{method: lora, rank: 4, alpha: 8, targets: [q, v]}"},
    {"adapter": "{method: lora, rank: 4, alpha: 8, dropout: 0.1}"},
    {"quantize": "nf4"},
    {"precision": "fp16"},
    {"optimizer": "sgd"},
    {"micro_batch": "8"},
    {"grad_accum": "4"},
    {"gpus": "2"},
    {"batch": "16", "grad_accum": ""},
    {"max_length": "256"},
    {"pack": "true"},
    {"freeze": "3"},
    {"data": "e"},
    {"datasets": "{d: {rows: 1001, length: 200}}"},
    {"datasets": "{d: {rows: 1000, length: 100-300}}"},
    {"datasets": "{d: {rows: 1000, length: 200, split: test}}"},
    {"datasets": "{d: {rows: 1000, length: 200, from: hub/data}}"},
    {"datasets": "{d: {rows: 1000, length: 200, mix: {e: 100%}}, e: {rows: 4}}"},
    {"steps": "20k"},
    {"steps": "", "epochs": "10k"},
    {"steps": "", "tokens": "10k"},
    {"seed": "2"},
    {"params": "{noise: 0.2}"},
    {"params": "{noise: '0.1'}"},
    {"learning_rate": "2e-4"},
    {"weight_decay": "0.1"},
    {"warmup": "3%"},
    {"lr_schedule": "cosine"},
    {"validation": "5%"},
    {"early_stop": "validation_loss"},
    {"evaluate": "[t, u]"},
    {"evaluate": "{tasks: t, shots: 5}"},
    {"evaluate": "{tasks: t, every: 500 steps}"},
    {"tasks": "{t: {metrics: [accuracy, f1]}, u: }"},
]


@pytest.mark.parametrize("changes", SAME, ids=str)
def test_circumstance_does_not_change_it(changes: dict[str, str]) -> None:
    assert experiment(**changes).fingerprint == experiment().fingerprint


@pytest.mark.parametrize("changes", OTHER, ids=str)
def test_what_the_experiment_is_does(changes: dict[str, str]) -> None:
    assert experiment(**changes).fingerprint != experiment().fingerprint


def test_equal_prefixes_have_equal_fingerprints() -> None:
    text = (
        "headway: 1\nmodel: m\ndatasets: [a, b, c]\nphases:\n"
        "  x: {stages: [{data: a, steps: 5k}, {data: b, steps: 2k}]}\n"
        "  y: {stages: [{name: First, data: a, steps: 5000}, {data: c, steps: 2k}]}\n"
        "  z: {data: a, steps: 5k}\n"
        "  w: {data: a, steps: 6k}\n"
    )
    x, y, z, w = read_plan("p.yaml", text=text).plan.experiments
    assert x.stages[0].fingerprint == y.stages[0].fingerprint == z.stages[0].fingerprint != w.stages[0].fingerprint
    assert x.stages[1].fingerprint != y.stages[1].fingerprint
    assert x.fingerprint != z.fingerprint


def test_the_model_is_the_same_whatever_it_is_evaluated_on() -> None:
    plain, rated = experiment(evaluate=""), experiment()
    assert plain.stages[0].fingerprint == rated.stages[0].fingerprint
    assert plain.fingerprint != rated.fingerprint


def test_fresh_starts_the_next_stage_anew() -> None:
    chain = "stages: [{data: a, steps: 5}, {data: b, steps: 5}]\n"
    head = "headway: 1\nmodel: m\ndatasets: [a, b]\n"
    carried = read_plan("p", text=head + chain).plan.experiments[0]
    fresh = read_plan("p", text=head + "carry: fresh\n" + chain).plan.experiments[0]
    alone = read_plan("p", text=head + "carry: fresh\ndata: b\nsteps: 5\n").plan.experiments[0]
    assert fresh.stages[1].fingerprint == alone.stages[0].fingerprint != carried.stages[1].fingerprint


def test_a_fingerprint_is_what_it_was() -> None:
    """Stored results are found by it: a change here orphans every stored record."""
    assert (experiment().stages[0].fingerprint, experiment().fingerprint) == GOLDEN


GOLDEN = ("02a72e0f256562cc", "2b7cb4cae2f4a05a")


def test_what_is_as_fast_shares_a_pace() -> None:
    def pace(**changed: object) -> str:
        plan = {"headway": 1, "model": "Qwen/Qwen2-0.5B", "data": {"rows": 1000, "length": 60}, "micro_batch": 4}
        return plan_from_mapping(plan | changed).plan.experiments[0].stages[0].pace

    usual = pace()
    assert usual == pace(steps=10) == pace(seed=3) == pace(learning_rate=0.1)
    others = [pace(micro_batch=8), pace(grad_accum=2), pace(gradient_checkpointing="full"), pace(compile=True),
              pace(freeze=2), pace(adapter={"rank": 4}), pace(data={"rows": 1000, "length": 61}),
              pace(gpus=2), pace(precision="fp32")]  # fmt: skip
    assert len({usual, *others}) == 1 + len(others)
