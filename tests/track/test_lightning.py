"""`headway.LightningCallback` against Lightning's hooks, called in their order by a stand-in for its Trainer."""

from __future__ import annotations

import sys
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from headway.domain.errors import UserError


@pytest.fixture
def callback_class(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The callback, on a Callback of no behaviour: Lightning's own has none either."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADWAY_STORE", "none")
    package = ModuleType("pytorch_lightning")
    package.Callback = type("Callback", (), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pytorch_lightning", package)
    monkeypatch.delitem(sys.modules, "headway.track.lightning", raising=False)
    yield import_module("headway.track.lightning").LightningCallback
    sys.modules.pop("headway.track.lightning", None)


def test_a_fit_is_told_apart(callback_class: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """8 batches of 1 s in steps of 2, each waited for 0.25 s; an evaluation of 5 s and a save after 4 batches."""
    now = [50.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    trainer = SimpleNamespace(
        global_step=0, current_epoch=0, accumulate_grad_batches=2, num_devices=1, num_nodes=1,
        estimated_stepping_batches=4,
    )  # fmt: skip
    callback = callback_class(run_dir="run", quiet=True)
    callback.on_validation_start(trainer, None)  # the sanity check comes before the training
    callback.on_validation_end(trainer, None)
    callback.on_train_start(trainer, None)
    for number in range(1, 9):
        now[0] += 0.25
        callback.on_train_batch_start(trainer, None, None, number)
        now[0] += 1.0
        trainer.global_step = number // 2
        callback.on_train_batch_end(trainer, None, None, None, number)
        if number == 4:
            callback.on_validation_start(trainer, None)
            now[0] += 5.0
            callback.on_validation_end(trainer, None)
            callback.on_save_checkpoint(trainer, None, {})
            now[0] += 1.75
    callback.on_train_end(trainer, None)
    times = {term: (timed.seconds, timed.units) for term, timed in callback.meter.journal.times().items()}
    # a save has no hook at its end: the wait for the batch after it, 0.25 s, counts to it
    assert times == {
        "step": (8.0, 4.0), "data_wait": (1.75, 4.0), "evaluation": (5.0, 1.0), "checkpoint": (2.0, 1.0),
    }  # fmt: skip
    assert callback.meter.left().total_steps == 4
    now[0] += 7200.0  # a save by hand and a validation, hours later, are no part of the run
    callback.on_save_checkpoint(trainer, None, {})
    callback.on_validation_start(trainer, None)
    now[0] += 100.0
    callback.on_validation_end(trainer, None)
    assert callback.meter.left().elapsed_s == pytest.approx(16.75)
    assert callback.meter.journal.times()["evaluation"].units == 1


@pytest.mark.skipif(
    any(find_spec(name) for name in ("lightning", "pytorch_lightning")), reason="Lightning is installed here"
)
def test_without_lightning_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "headway.track.lightning", raising=False)
    import headway

    with pytest.raises(UserError, match="needs Lightning") as error:
        _ = headway.LightningCallback
    assert isinstance(error.value, ImportError)  # what a program that can do without expects


def fitting(**given: Any) -> SimpleNamespace:
    """A Trainer at the beginning of a fit: 80 batches an epoch in steps of 2."""
    usual = {
        "global_step": 0, "current_epoch": 0, "accumulate_grad_batches": 2, "num_devices": 1, "num_nodes": 1,
        "estimated_stepping_batches": 400, "num_training_batches": 80, "max_steps": -1,
    }  # fmt: skip
    return SimpleNamespace(**usual | given)


@pytest.mark.parametrize(
    ("batches", "epochs", "in_epoch", "every"),
    [
        (20, 1, 80, 10.0),
        (80, 2, 80, 80.0),
        (80, None, 80, 40.0),
        (30, 1, 80, 20.0),  # two in an epoch of 40 steps
        (20, 2, 80, 20.0),  # four in every second epoch
        (9, 1, 9, 5.0),  # the last batch of an odd epoch is a step too
        (20, 1, float("inf"), 10.0),
        (float("inf"), 1, 80, None),
    ],
)
def test_when_it_evaluates_is_known_before_the_first(
    callback_class: Any, batches: float, epochs: int | None, in_epoch: float, every: float | None
) -> None:
    callback = callback_class(run_dir="run", quiet=True)
    trainer = fitting(val_check_batch=batches, check_val_every_n_epoch=epochs, num_training_batches=in_epoch)
    callback.on_train_start(trainer, None)
    assert callback.meter.remaining.course.evaluate_every == every


def test_a_fit_without_validation_waits_for_none(callback_class: Any) -> None:
    """Lightning says when it would be due also where nothing is validated."""
    callback = callback_class(run_dir="run", quiet=True)
    callback.on_train_start(fitting(val_check_batch=80, check_val_every_n_epoch=1, enable_validation=False), None)
    assert callback.meter.remaining.course.evaluate_every == 0.0


@pytest.mark.parametrize(("max_steps", "steps"), [(-1, 3), (1000, 6)])
def test_two_optimizers_of_a_module_are_one_step_of_a_batch(callback_class: Any, max_steps: int, steps: int) -> None:
    """`global_step` counts both; the forecast counts batches, unless steps were asked for."""
    callback = callback_class(run_dir="run", quiet=True)
    trainer = fitting(accumulate_grad_batches=1, max_steps=max_steps)
    callback.on_train_start(trainer, SimpleNamespace(automatic_optimization=False))
    for number in range(3):
        trainer.global_step += 2
        callback.on_train_batch_end(trainer, None, None, None, number)
    assert callback.meter.step == steps


@pytest.mark.parametrize("given", [{"price": "3.06"}, {"price": -1.0}, {"plan": "no-such.yaml"}])
def test_mistakes_are_answered_before_the_fit(callback_class: Any, given: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        callback_class(**given)
