"""When a probe has measured enough, warmed up, and what it measures next; sizes of steps. Nothing here needs torch."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.domain.sample import mean_error, without_size
from headway.worker.probing.sizes import counts_of, fewer, run_sizes, shorter
from headway.worker.probing.stopping import SINGLE, Budget, Total, discarded, is_settled
from headway.worker.task import Batching, Data, Evaluations, Model, Saves, Task
from headway.worker.training.rows import Rows


def task(**more: object) -> Task:
    return Task(model=Model(config={"model_type": "llama"}), data=Data(lengths=(5,)), steps=100, **more)  # type: ignore[arg-type]


def row(tokens: int) -> np.ndarray:
    return np.zeros(tokens, dtype=np.int64)


def test_a_warm_up_ends_when_steps_are_typical() -> None:
    assert not is_settled([9.0, 1.0, 1.0, 1.0])  # two before, three after: five at least
    assert is_settled([9.0, 1.0, 1.0, 1.0, 1.0])
    assert not is_settled([9.0, 5.0, 3.0, 2.0, 1.5])  # still falling


def test_what_is_discarded_is_what_came_before_the_typical_steps() -> None:
    assert discarded([9.0, 1.0, 1.0, 1.0, 1.0], 13.0, 1e6) == 2
    assert discarded([9.0, 5.0, 3.0, 2.0, 1.0, 1.0, 1.0, 1.0], 23.0, 1e6) == 4 + 1
    assert discarded([9.0, 5.0], 14.0, 1e6) is None


def test_a_warm_up_ends_when_it_takes_too_much_and_for_steps_that_never_settle() -> None:
    assert discarded([30.0, 20.0], 50.0, 50.0) == 1
    assert discarded([30.0], 30.0, 30.0) is None  # a first step alone is never typical
    growing = [1.2**step for step in range(30)]
    assert discarded(growing[:29], 1.0, 1e6) is None
    assert discarded(growing, 1.0, 1e6) == 27  # the last three count
    assert discarded([2.0, 1.0, 1.1, 1.0], 51.0, 100.0) == 1


def test_the_error_of_the_total_by_hand() -> None:
    total = Total(counts={"step": 100, "load": 1, "evaluation": 4})
    assert math.isinf(total.error())
    for seconds in (1.0, 2.0, 3.0, 2.0):
        total.add("step", seconds, 8)
    total.add("load", 10.0)
    total.add("resume", 7.0)  # timed, and no part of this run
    step_error = 100 * math.sqrt(2 / 3) / 2  # sd of 1, 2, 3, 2 over the root of 4
    assert total.error() == pytest.approx(math.hypot(step_error, SINGLE * 10) / 210)
    assert total.error(("step", "evaluation")) == pytest.approx(step_error / 210)


def test_the_next_repeat_is_where_doubt_is_largest_for_its_time() -> None:
    total = Total(counts={"step": 1000, "evaluation": 50})
    for seconds in (1.0, 1.01, 0.99, 1.0, 1.01, 0.99):
        total.add("step", seconds, 8)
    assert total.next({"step": 1.0, "evaluation": 1.0}, 100) == "step"  # no evaluation could be timed
    total.add("evaluation", 20.0)
    assert total.next({"step": 1.0, "evaluation": 1.0}, 100) == "evaluation"
    assert total.next({"step": 1.0, "evaluation": 40.0}, 100) == "step"  # it would take a large part of what is left
    assert total.next({"step": 1.0, "evaluation": 1e-6}, 0) == "step"


@given(st.integers(0, 10**6))
def test_taking_out_size_keeps_the_mean_and_takes_out_a_line(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes, noise = rng.uniform(100, 1000, 30), rng.normal(0, 0.1, 30)
    found = without_size(0.5 + 0.003 * sizes + noise, sizes)
    assert found.mean() == pytest.approx(np.mean(0.5 + 0.003 * sizes + noise))
    assert abs(np.corrcoef(found, sizes)[0, 1]) < 1e-6
    assert found.std() <= noise.std() * (1 + 1e-9)


def test_sizes_that_do_not_vary_take_nothing_out() -> None:
    values = np.arange(10.0)
    assert without_size(values, np.full(10, 64.0)) is values
    assert without_size(values[:3], np.array([1.0, 2.0, 3.0])).tolist() == values[:3].tolist()
    assert mean_error(without_size(values, values + 1)) == pytest.approx(0, abs=1e-12)


def test_a_budget_counts_from_the_start_of_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "perf_counter", lambda: 100.0)
    assert Budget(began=94.0, seconds=10).left_s == 4
    assert Budget(began=40.0, seconds=10).left_s == 0


def test_a_run_pays_what_its_program_does() -> None:
    found = counts_of(task(evaluation=Evaluations(every_steps=30, rows=8), save=Saves(every_steps=40), out="runs"))
    assert found == {"load": 1, "tokenize": 1, "step": 100, "evaluation": 3, "checkpoint": 2, "final_save": 1}


def test_the_sizes_of_a_run_by_hand() -> None:
    """Three rows of 4 tokens, two at a time: an epoch is a pair and a single one."""
    rows = Rows(
        train=(row(4),) * 3, held_out=(), new_held_out=0, pad=0, tokens=0, read_s=0, tokenize_s=0, tokenizer_s=0
    )
    found = run_sizes(rows, task(batches=Batching(micro_batch=2, grad_accum=1)))
    assert found == {"steps": 100, "tokens": 6.0, "squares": 24.0, "rows": 1.5, "micro_steps": 1.0}


def test_steps_made_smaller() -> None:
    step = ((row(8), row(4)), (row(6), row(2)))
    assert [[len(one) for one in batch] for batch in shorter(step) or ()] == [[4, 2], [3, 2]]
    assert fewer(step) == step[:1]
    assert [[len(one) for one in batch] for batch in fewer(step[:1]) or ()] == [[8]]
    assert fewer(((row(8),),)) is None
    assert shorter(((row(3),),)) is None
