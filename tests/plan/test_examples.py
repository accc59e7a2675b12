"""The five example plans: counts and inputs as the documents have them (their figures by hand, row by row)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from headway.domain.plan import Plan
from headway.domain.selection import select
from headway.domain.statement import Value
from headway.plan import PlanFile, read_plan

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name: str) -> PlanFile:
    return read_plan(EXAMPLES / name / "plan.yaml")


def steps(plan: Plan, phase: str) -> list[int]:
    return [
        int(sum(stage.steps.mid for stage in experiment.stages if stage.steps))
        for experiment in plan.experiments
        if experiment.phase == phase
    ]


def mid(value: Value | None) -> float:
    assert value is not None
    return value.mid


def test_qwen2_has_the_rows_of_the_document() -> None:
    plan = example("qwen2-taxonomy").plan
    assert (plan.name, len(plan.experiments)) == ("qwen2-taxonomy", 63)
    assert [(phase.id, phase.parent) for phase in plan.phases] == [
        ("1", ""), ("2", ""), ("2A", "2"), ("2B", "2"), ("2C", "2"), ("3", ""), ("3A", "3"), ("3B", "3"), ("3C", "3"),
    ]  # fmt: skip
    assert Counter(e.phase for e in plan.experiments) == {
        "1": 10,
        "2A": 9,
        "2B": 12,
        "2C": 6,
        "3A": 10,
        "3B": 10,
        "3C": 6,
    }
    assert steps(plan, "2A") == [10_000, 25_000, 50_000] * 3
    assert steps(plan, "2B") == [5_000, 10_000] + [10_000, 20_000] * 3 + [5_000, 10_000] * 2
    assert steps(plan, "2C") == [10_000] * 6
    assert steps(plan, "3A") == [5_000] * 10
    assert steps(plan, "3B") == [10_000] * 6 + [20_000, 15_000, 10_000, 15_000]
    assert steps(plan, "3C") == [6_000, 10_000, 15_000, 10_000, 13_000, 6_000]
    hours = {phase: sum(steps(plan, phase)) / 2000 for phase in ("2A", "2B", "2C", "3A", "3B", "3C")}
    assert hours == {"2A": 127.5, "2B": 67.5, "2C": 30.0, "3A": 25.0, "3B": 60.0, "3C": 30.0}
    chains = [experiment for experiment in plan.experiments if experiment.phase == "3C"]
    assert [len(experiment.stages) for experiment in chains] == [3, 4, 2, 2, 3, 3]
    assert [experiment.name for experiment in chains][:2] == ["General→Specific", "Easy→Hard"]


def test_qwen2_inputs() -> None:
    plan = example("qwen2-taxonomy").plan
    stage = plan.experiments[10].stages[0]
    assert stage.recipe.adapter is not None
    assert (stage.recipe.adapter.rank, stage.recipe.adapter.alpha) == (4, 8.0)
    assert (stage.recipe.micro_batch, stage.recipe.max_length) == (8, 128)
    (rate,) = stage.stated.throughput
    assert (rate.noun, rate.range.is_point, rate.mid) == ("steps", True, pytest.approx(2000 / 3600))
    assert plan.experiments[0].stages[0].stated.terms["evaluation"][""].mid == 600
    assert plan.experiments[0].stages[0].kind == "evaluate"
    assert stage.evaluate is not None
    assert stage.evaluate.tasks == tuple(plan.tasks)
    assert len(plan.tasks) == 10
    home = plan.run.machines[plan.run.machine]
    assert home.gpu is not None
    assert (home.gpu.use, mid(home.power["stated"]), mid(home.electricity)) == ("RTX 4090", 450, 0.15)
    prices = [mid(plan.run.machines[name].price) for name in ("aws-v100", "gcp-v100", "azure-v100", "lambda-4090")]
    assert prices == [3.06, 2.48, 3.06, 0.59]
    claims = {claim.path: claim.values for claim in plan.claims if claim.owner == ""}
    assert mid(claims["experiments",][0]) == 72  # type: ignore[arg-type]
    assert [value.text for value in claims["throughput",]] == ["1800-2000 steps/h", "200-250 tokens/s"]  # type: ignore[union-attr]


def test_qwen2_reduced_set_is_81_7_hours() -> None:
    plan = example("qwen2-taxonomy").subset("fast-track")
    assert Counter(experiment.phase for experiment in plan.experiments) == {"1": 10, "2B": 6, "3A": 2, "3B": 8}
    assert sum(steps(plan, "2B")) / 2000 == 30.0
    assert sum(steps(plan, "3A") + steps(plan, "3B")) / 2000 == 50.0
    assert steps(plan, "2B") == [10_000] * 6


def test_qwen2_questions_and_shared_beginnings() -> None:
    plan = example("qwen2-taxonomy").plan
    answers = {id_: question.answered_by for id_, question in plan.questions.items()}
    assert [len(select(plan, answers[id_])) for id_ in answers if answers[id_]] == [12, 10, 12, 63, 63]  # type: ignore[arg-type]
    first = {experiment.id: experiment.stages[0].fingerprint for experiment in plan.experiments}
    assert first["3C/pretrain-to-finetune"] == first["2B/mixed-financial-10k"]
    assert first["3C/math-to-financial"] == first["3A/gsm8k"]
    assert [plan.decisions["promising"].then_words, plan.decisions["promising"].otherwise_words] == [
        "",
        "Adjust strategy",
    ]


def test_llama_rows_part_by_part() -> None:
    plan = example("llama7b-addition").plan
    rows = plan.datasets["addition"].rows
    assert rows is not None
    assert [part.mid for part in rows.parts.values()] == [120_000, 91_000, 55_000, 28_000, 10_000]
    assert rows.mid == 304_000
    stage = plan.experiments[0].stages[0]
    assert (stage.batch, stage.recipe.grad_accum, rows.mid / 128) == (128, 8, 2375)
    step = stage.stated.terms["step"][""].range
    assert [round(2375 * end / 60, 1) for end in (step.low, step.mid, step.high)] == [31.7, 39.6, 47.5]
    load = stage.stated.terms["load"].values()
    assert (sum(value.range.low for value in load), sum(value.range.high for value in load)) == (47, 93)
    assert stage.save is not None
    assert (stage.save.every_steps, stage.save.keep) == (50, 10)
    assert stage.model is not None
    assert (stage.model.words, stage.model.use) == ("Llama-7B", "huggyllama/llama-7b")
    signs = {factor.cause: factor.sign for factor in stage.stated.factors}
    assert (signs["swapping"], signs["NVMe disk"], len(signs)) == (1, -1, 8)
    reference = plan.references["readme"]
    assert (mid(reference.rows), mid(reference.wall), mid(reference.speedup)) == (100_000, 7200, 2.5)
    assert len(example("llama7b-addition").with_option("all-rates")[0][1].experiments) == 3


def test_kernelbook_phases() -> None:
    plan = example("kernelbook-node").plan
    walls = {phase.id: phase.stated.terms["wall"][""].mid / 60 for phase in plan.phases}
    assert walls == {
        "data-prep": 30,
        "sft": 20,
        "extensions": 240,
        "testing": 45,
        "validation": 60,
        "documentation": 150,
    }
    assert sum(walls[id_] for id_ in walls if id_ != "documentation") / 60 == pytest.approx(6.583, abs=1e-3)
    assert [phase.id for phase in plan.phases if phase.optional] == ["documentation"]
    generate, verify = plan.experiments[3].stages
    assert generate.generate is not None
    assert generate.generate.total == 200
    assert generate.stated.terms["generation"][""].mid == 30
    assert sum(value.mid for value in verify.stated.terms["checks"].values()) == pytest.approx(16.1)
    sft = plan.experiments[1].stages[0]
    assert sft.recipe.micro_batch * sft.recipe.grad_accum * mid(sft.gpus) == 64
    node = plan.run.machines[plan.run.machine]
    assert node.gpu is not None
    assert (node.gpu.words, node.gpu.use) == ("H100 40GB", "H100 SXM 80GB")
    assert (mid(node.price), node.price and mid(node.price.others[0]), mid(node.spot_price)) == (32.77, 32, 12)
    assert (mid(node.hazard), node.hazard and node.hazard.noun) == (0.05, "h")
    assert (node.billing_unit, mid(node.billing_block), mid(plan.run.buffer)) == ("node", 3600, 0.3)


def test_arc_epoch_is_28_1_minutes() -> None:
    file = example("arc-t4")
    stage = file.plan.experiments[0].stages[0]
    step = stage.stated.terms["step"][""]
    rows = mid(file.plan.datasets[stage.data].rows)
    assert round(step.mid * rows / 60, 1) == 28.1
    assert (step.statistics["n"], round(step.statistics["sd"], 5)) == (500, 0.03521)
    assert mid(stage.epochs) == 5
    assert [mid(value) / 60 for value in file.plan.run.budget] == [30, 60, 120, 240]
    quick = file.with_option("quick-test")[0][1].experiments[0].stages[0]
    assert (mid(quick.steps), quick.epochs) == (100, None)


@pytest.mark.parametrize("name", [path.name for path in sorted(EXAMPLES.iterdir()) if (path / "plan.yaml").exists()])
def test_every_option_of_every_example_expands(name: str) -> None:
    file = example(name)
    assert file.plan.experiments
    for option in file.plan.options:
        assert all(plan.experiments for _, plan in file.with_option(option))
    assert all(claim.values and claim.where.line for claim in file.plan.claims)
    assert all(place.line for place in file.plan.positions.values())
