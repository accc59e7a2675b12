"""Steps, batches, saves and evaluations, against hand counts."""

from __future__ import annotations

import pytest
from tests.estimate.made import estimated, plan, stage

from headway.domain.errors import PlanError

STATED = {"step": "1 s"}


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({}, 125),  # 1000 / 8
        ({"data": {"rows": 1001, "length": 100}}, 126),  # the last partial batch is a step
        ({"epochs": 3}, 375),
        ({"data": {"rows": 1001, "length": 100}, "epochs": 3}, 378),  # a partial batch in every epoch
        ({"grad_accum": 4}, 32),  # 1000 / 32 = 31.25
        ({"batch": 64}, 16),  # accumulation is computed: 64 / 8 = 8
        ({"steps": 77}, 77),
        ({"validation": "10%"}, 113),  # 900 rows: 112.5
        ({"gpus": 2, "run": {"machine": {"gpu": "RTX 4090", "gpus": 2}}}, 63),  # 1000 / 16 = 62.5
    ],
)
def test_steps(changes: dict[str, object], steps: int) -> None:
    assert stage("stated", stated=STATED, **changes).steps == steps


def test_partial_batch_is_charged_by_its_share_in_predictions_only() -> None:
    """1,001 rows in batches of 8: 125.125 steps of work, 126 optimizer steps."""
    rows = {"data": {"rows": 1001, "length": {"mean": 100, "min": 100, "max": 100}}}
    assert stage("stated", stated=STATED, **rows).terms_s["step"].p50 == 126
    predicted = stage(**rows)
    assert predicted.basis is not None
    assert predicted.terms_s["step"].p50 == pytest.approx(predicted.basis.step_s.p50 * 125.125)


def test_batch_that_does_not_divide_is_refused() -> None:
    with pytest.raises(PlanError, match="batch is micro_batch x grad_accum"):
        stage("stated", stated=STATED, batch=60)


def test_epochs_without_rows_are_refused_with_the_line_to_write() -> None:
    with pytest.raises(PlanError, match="rows are needed"):
        stage("stated", stated=STATED, data={"length": 100})


def test_steps_need_no_rows() -> None:
    found = stage("stated", stated=STATED, data={"length": 100}, steps=50)
    assert found.steps == 50
    assert found.epochs is None


@pytest.mark.parametrize(
    ("save", "during", "kept"),
    [
        ({"every": "50 steps", "keep": 10}, 2, 2),
        ({"every": "10 steps", "keep": 3}, 12, 3),
        ({"every": "10 steps", "keep": "all"}, 12, 12),
        ({"every": "1 epochs"}, 1, 1),
    ],
)
def test_saves_are_counted_down_and_the_final_one_apart(save: dict[str, object], during: int, kept: int) -> None:
    saves = stage("stated", stated=STATED, save=save).saves
    assert saves is not None
    assert (saves.during, saves.final, saves.kept) == (during, 1, kept)


def test_precision_is_the_best_of_the_device_and_said() -> None:
    ada, turing = stage().basis, stage(run={"machine": "T4"}).basis
    assert ada is not None
    assert turing is not None
    assert ada.recipe.precision == "bf16"
    assert turing.recipe.precision == "fp16"
    assert "best of" in turing.assumed["precision"]


def test_a_chain_evaluates_its_last_model_only_unless_each_is_asked_for() -> None:
    data = {"rows": 100, "length": 50}
    chain = {
        "data": None,
        "datasets": {"quiz": {"rows": 50, "length": 40, "split": "test"}},
        "tasks": {"quiz": {}},
        "stages": [{"name": "first", "data": data}, {"name": "second", "data": data}],
    }
    at_end = estimated(plan(**chain, evaluate="all")).experiments[0].stages
    assert [item.evaluations for item in at_end] == [0, 1]
    each = estimated(plan(**chain, evaluate={"tasks": "all", "when": "each stage"})).experiments[0].stages
    assert [item.evaluations for item in each] == [1, 1]


def test_auto_micro_batch_is_the_largest_that_surely_fits() -> None:
    data = {"rows": 1000, "length": {"mean": 128, "min": 128, "max": 128}}
    found = stage(micro_batch="auto", model="Qwen/Qwen2-1.5B", data=data)
    assert found.basis is not None
    assert found.basis.fits == "yes"
    rows = found.basis.recipe.micro_batch
    assert rows > 8
    more = stage(micro_batch=2 * rows, model="Qwen/Qwen2-1.5B", data=data)
    assert more.basis is not None
    assert more.basis.fits != "yes"
