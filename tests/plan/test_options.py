"""What-if: options and overrides, alone and together."""

from __future__ import annotations

import pytest

from headway.domain.errors import PlanError
from headway.domain.plan import Plan
from headway.plan import PlanFile, read_plan

TEXT = """\
headway: 1
model: m
micro_batch: 2
datasets: [a, b]
phases:
  1: {matrix: {data: [a, b], steps: [5k, 10k]}}
  2:
    data: a
    steps: 3k
    micro_batch: 4
    phases: {2A: {matrix: {seed: [1, 2]}}, 2B: {stages: [{epochs: 1}, {generate: {prompts: 20}}]}}
  docs: {by: human, optional: true, stated: {wall: 2 h}}
options:
  small: {keep: [{stated_as: the short ones, use: 1/*-5k}, 2B]}
  without: {drop: 1}
  longer: {set: {steps: 50k}}
  bigger: {set: {2.micro_batch: 16, 1/a-*.micro_batch: 8}}
  fewer: {set: {2B.generate: {prompts: 5}}}
  many: {vary: {seed: [7, 8], adapter.rank: [4, 8]}}
  machines: {vary: {run.machine.gpus: [2, 4]}}
  rates: {set: {2A.matrix: {params.rate: {stated_as: 3 rates, use: [x, y, z]}}}}
  full: {with: docs, set: {run.idle: stop}}
  early: {first: 2}
run:
  machine: home
  machines: {home: {gpu: RTX 4090, gpus: 1}}
"""


@pytest.fixture(scope="module")
def file() -> PlanFile:
    return read_plan("p.yaml", text=TEXT)


def ids(plan: Plan) -> list[str]:
    return [experiment.id for experiment in plan.experiments]


def test_keep_and_drop(file: PlanFile) -> None:
    assert ids(file.subset("small")) == ["1/a-5k", "1/b-5k", "2B"]
    assert [phase.id for phase in file.subset("small").phases] == ["1", "2", "2B"]
    assert ids(file.subset("without")) == ["2A/seed1", "2A/seed2", "2B", "docs"]
    assert file.subset("small").fingerprint != file.plan.fingerprint


def test_a_subset_only_keeps_and_drops(file: PlanFile) -> None:
    with pytest.raises(PlanError, match="a subset only keeps and drops, got longer"):
        file.subset("longer")


def test_set_is_stronger_than_any_level_and_replaces_other_budgets(file: PlanFile) -> None:
    ((label, plan),) = file.with_option("longer")
    assert label == "longer"
    trained = [stage for experiment in plan.experiments for stage in experiment.stages if stage.kind == "train"]
    assert {(stage.steps and stage.steps.mid, stage.epochs) for stage in trained} == {(50_000, None)}
    assert ids(plan) == ids(file.plan)


def test_set_on_what_a_selector_picks(file: PlanFile) -> None:
    plan = file.with_option("bigger")[0][1]
    assert {experiment.id: experiment.stages[0].recipe.micro_batch for experiment in plan.experiments} == {
        "1/a-5k": 8, "1/a-10k": 8, "1/b-5k": 2, "1/b-10k": 2, "2A/seed1": 16, "2A/seed2": 16, "2B": 16, "docs": 2,
    }  # fmt: skip
    generate = file.with_option("fewer")[0][1].experiments[-2].stages[1].generate
    assert generate is not None
    assert generate.prompts == 5


def test_vary_makes_one_plan_for_each_combination(file: PlanFile) -> None:
    found = file.with_option("many")
    assert [label for label, _ in found] == ["seed=7, rank=4", "seed=7, rank=8", "seed=8, rank=4", "seed=8, rank=8"]
    assert len({plan.fingerprint for _, plan in found}) == 4


def test_another_machine_is_the_same_plan(file: PlanFile) -> None:
    found = file.with_option("machines")
    assert [(label, plan.run.machines["home"].gpus) for label, plan in found] == [("gpus=2", 2), ("gpus=4", 4)]
    assert {plan.fingerprint for _, plan in found} == {file.plan.fingerprint}
    assert file.plan.run.machines["home"].gpus == 1


def test_a_matrix_can_be_set(file: PlanFile) -> None:
    assert ids(file.with_option("rates")[0][1])[4:7] == ["2A/x", "2A/y", "2A/z"]


def test_with_and_first(file: PlanFile) -> None:
    plan = file.with_option("full")[0][1]
    assert [experiment.optional for experiment in plan.experiments] == [False] * 8
    assert [phase.optional for phase in plan.phases] == [False] * 5
    assert plan.run.idle == "stop"
    first = file.with_option("early")[0][1].first
    assert first is not None
    assert first.patterns == ("2",)


def test_options_together(file: PlanFile) -> None:
    (small,) = file.variants("small")
    ((_, plan),) = small.with_option("longer")
    assert ids(plan) == ["1/a-5k", "1/b-5k", "2B"]
    assert plan.experiments[0].stages[0].steps is not None
    assert plan.experiments[0].stages[0].steps.mid == 50_000


def test_override(file: PlanFile) -> None:
    plan = file.override(
        {"micro_batch": 32, "run.machine": "A100", "assume.mfu": "30-40%", "1.steps": "1k", "datasets.a.rows": 500}
    ).plan
    assert {experiment.stages[0].recipe.micro_batch for experiment in plan.experiments} == {32}
    assert plan.run.machine == "A100"
    assert plan.assume["mfu"].range.low == 0.3  # type: ignore[union-attr]
    assert plan.experiments[0].stages[0].steps.mid == 1000  # type: ignore[union-attr]
    assert plan.datasets["a"].rows.mid == 500  # type: ignore[union-attr]
    assert file.override({"run.machine": None}).plan.run.machine == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stepz": 5}, "--assume stepz: stepz: unknown field, got stepz. Did you mean steps?"),
        ({"steps": "5 GB"}, "--assume steps: steps: a count is needed: GB is not a unit of it"),
        ({"zz.steps": 5}, "--assume zz.steps: what a selector names is defined in the plan, got 'zz'."),
        ({"run.machine.prize": 5}, "--assume run.machine.prize: run.machine.prize: unknown field"),
    ],
)
def test_bad_overrides(file: PlanFile, changes: dict[str, object], message: str) -> None:
    with pytest.raises(PlanError) as caught:
        _ = file.override(changes).plan
    assert str(caught.value).startswith(message)


def test_bad_options(file: PlanFile) -> None:
    with pytest.raises(PlanError, match="the plan has no such option"):
        file.with_option("smal")
    with pytest.raises(PlanError, match="leaves at least one experiment"):
        read_plan("p", text="headway: 1\nmodel: m\ndata: {rows: 5}\noptions: {x: {drop: all}}\n").with_option("x")


CLASHING = """\
headway: 1
model: m
data: {rows: 10}
batch: 16
micro_batch: 4
options:
  thirds:
    set: {micro_batch: 3}
  none: {vary: {gpus: [0, 1]}}
"""


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("thirds", "p.yaml:7:3: options.thirds: with this option batch is micro_batch x grad_accum x copies"),
        ("none", "p.yaml:9:3: options.none: with this option a model takes at least one GPU, got 0. Write gpus: 1"),
    ],
)
def test_what_clashes_by_an_option_is_told_at_the_option(option: str, message: str) -> None:
    file = read_plan("p.yaml", text=CLASHING)
    assert file.plan.experiments
    with pytest.raises(PlanError) as caught:
        file.with_option(option)
    assert str(caught.value).startswith(message)


def test_what_is_wrong_without_the_option_is_not_told_of_it() -> None:
    with pytest.raises(PlanError) as caught:
        read_plan("p.yaml", text=CLASHING.replace("16", "14")).with_option("thirds")
    assert str(caught.value).startswith("p.yaml:4:8: batch: batch is micro_batch x grad_accum")


def test_a_clash_by_an_override_is_told_at_the_override() -> None:
    with pytest.raises(PlanError) as caught:
        _ = read_plan("p.yaml", text=CLASHING).override({"batch": 7}).plan
    assert str(caught.value).startswith("--assume batch: batch: batch is micro_batch")
