"""`headway.TrainerCallback` in a real Trainer: steps, evaluations and saves told apart, and a run that is resumed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

import headway
from headway.domain.errors import UserError
from headway.logs.read import read_log

ROWS, MICRO_BATCH, ACCUMULATED, EPOCHS = 48, 2, 4, 2
STEPS = ROWS // MICRO_BATCH // ACCUMULATED * EPOCHS  # 12


class Tiny(torch.nn.Module):
    """A model of one weight matrix with the Trainer's manners."""

    main_input_name = "input_ids"

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(16, 4)

    def forward(self, input_ids: Any = None, labels: Any = None) -> dict[str, Any]:
        return {"loss": self.table(input_ids).square().mean()}


def trainer(folder: Path, *callbacks: Any, **given: Any) -> Trainer:
    data = [{"input_ids": torch.arange(6) % 16, "labels": torch.tensor(0)} for _ in range(ROWS)]
    usual = {
        "num_train_epochs": EPOCHS, "per_device_train_batch_size": MICRO_BATCH, "logging_steps": 1,
        "gradient_accumulation_steps": ACCUMULATED, "eval_strategy": "steps", "eval_steps": 4, "save_strategy": "steps",
        "save_steps": 6, "report_to": [], "use_cpu": True, "disable_tqdm": True, "prediction_loss_only": True,
    }  # fmt: skip
    rows = given.pop("train_dataset", data)
    args = TrainingArguments(output_dir=str(folder), **usual | given)
    return Trainer(model=Tiny(), args=args, train_dataset=rows, eval_dataset=data[:8], callbacks=list(callbacks))


def trained(folder: Path, *callbacks: Any, resume: bool = False, **given: Any) -> Trainer:
    made = trainer(folder, *callbacks, **given)
    made.train(resume_from_checkpoint=resume or None)
    return made


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADWAY_STORE", "none")
    return tmp_path


def test_a_trainers_run_is_told_apart(here: Path) -> None:
    callback = headway.TrainerCallback(run_dir="run", quiet=True)
    trained(here / "out", callback, include_num_input_tokens_seen="all")
    header = json.loads((here / "run" / "events.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert (header["total_steps"], header["micro_batch"], header["grad_accum"]) == (STEPS, MICRO_BATCH, ACCUMULATED)
    times = callback.meter.journal.times()
    assert {term: timed.units for term, timed in times.items()} == {
        "step": STEPS, "data_wait": STEPS, "evaluation": 3, "checkpoint": 2,
    }  # fmt: skip
    log = read_log(here / "run")
    assert sum(item.tokens or 0 for item in log.observations) == ROWS * EPOCHS * 6
    assert [item.step for item in log.observations if item.kind == "evaluation"] == [4, 8, 12]
    assert log.observations[-1].kind == "end"
    timed_s = sum(timed.seconds for timed in times.values())
    ends = [item.at_s for item in log.observations if item.seconds is not None]
    assert timed_s == pytest.approx(ends[-1], abs=1e-3)  # every moment up to the last is in one term, and in one only


def test_a_resumed_run_begins_where_it_was(here: Path) -> None:
    trained(here / "out", headway.TrainerCallback(run_dir="first", quiet=True), max_steps=6)
    callback = headway.TrainerCallback(run_dir="second", quiet=True)
    trained(here / "out", callback, resume=True)
    assert callback.meter.step == STEPS
    assert callback.meter.journal.times()["step"].units == STEPS - 6
    begin = json.loads((here / "second" / "events.jsonl").read_text(encoding="utf-8").splitlines()[1])
    assert (begin["kind"], begin["step"]) == ("begin", 6)


def test_its_course_is_the_arguments(here: Path) -> None:
    callback = headway.TrainerCallback(run_dir="run", quiet=True, price=2.0)
    trained(here / "out", callback)
    course = callback.meter.remaining.course
    assert (course.total_steps, course.evaluate_every, course.save_every) == (STEPS, 4.0, 6.0)
    assert course.usd_per_hour == 2.0


class Acting(TrainerCallback):
    """Does something when a row is logged."""

    def __init__(self, act: Any) -> None:
        self.act = act

    def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.act(state)


def kinds(folder: Path) -> list[str]:
    lines = (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line).get("kind", "header") for line in lines]


def test_a_slow_logger_is_no_waiting_for_data(here: Path) -> None:
    callback = headway.TrainerCallback(run_dir="run", quiet=True)
    trained(here / "out", Acting(lambda _: time.sleep(0.05)), callback)
    times = callback.meter.journal.times()
    assert times["step"].seconds > STEPS * 0.05
    assert times["data_wait"].seconds < STEPS * 0.02


@pytest.mark.parametrize("every", [4, 5])
def test_it_knows_whether_an_evaluation_follows_the_last_step(here: Path, every: int) -> None:
    """12 steps; newer Trainers evaluate after them also where the interval of 5 does not end there."""
    callback = headway.TrainerCallback(run_dir="run", quiet=True)
    trained(here / "out", callback, eval_steps=every, save_steps=every)
    course = callback.meter.remaining.course
    steps = {kind: [item.step for item in read_log(here / "run").observations if item.kind == kind]
             for kind in ("evaluation", "checkpoint")}  # fmt: skip
    for kind, seen in steps.items():
        assert (STEPS in seen) == (kind in course.round_at_end or STEPS % every == 0)
    assert not callback.meter.left().parts


def test_epochs_of_rows_without_a_length_have_no_interval(here: Path) -> None:
    class Endless(torch.utils.data.IterableDataset):  # type: ignore[misc,type-arg]
        def __iter__(self) -> Iterator[Any]:
            while True:
                yield {"input_ids": torch.arange(6) % 16, "labels": torch.tensor(0)}

    callback = headway.TrainerCallback(run_dir="run", quiet=True)
    given = {"eval_strategy": "epoch", "save_strategy": "epoch", "max_steps": 3, "train_dataset": Endless()}
    trained(here / "out", callback, **given)
    course = callback.meter.remaining.course
    assert (course.total_steps, course.evaluate_every, course.save_every) == (3, None, None)


def test_an_evaluation_long_after_the_end_is_as_long_as_it_was(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    callback = headway.TrainerCallback(run_dir="run", quiet=True)
    made = trained(here / "out", callback)
    before_s, real = callback.meter.journal.times()["evaluation"].seconds, time.perf_counter
    monkeypatch.setattr(time, "perf_counter", lambda: real() + 7200.0)
    made.evaluate()
    times = callback.meter.journal.times()
    assert times["evaluation"].units == 4
    assert 0.0 < times["evaluation"].seconds - before_s < 600.0
    assert callback.meter.left().elapsed_s < 600.0


def interrupted(here: Path, callback: Any) -> Any:
    """A Trainer that was stopped at step 3, as Ctrl-C does, and may be asked again."""

    def stop(state: Any) -> None:
        if state.global_step == 3 and not stopped:
            stopped.append(True)
            raise KeyboardInterrupt

    stopped: list[bool] = []
    made = trainer(here / "out", Acting(stop), callback)
    with pytest.raises(KeyboardInterrupt):
        made.train()
    return made


def test_an_evaluation_long_after_an_interrupt_is_as_long_as_it_was(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    callback = headway.TrainerCallback(run_dir="run", quiet=True)
    made, real = interrupted(here, callback), time.perf_counter
    monkeypatch.setattr(time, "perf_counter", lambda: real() + 7200.0)
    made.evaluate()
    times = callback.meter.journal.times()
    assert (times["evaluation"].units, callback.meter.ended) == (1, True)
    assert sum(one.seconds for one in times.values()) < 600.0
    assert callback.meter.left().elapsed_s < 600.0


def test_a_run_that_was_interrupted_is_closed_by_the_next(here: Path) -> None:
    callback = headway.TrainerCallback(run_dir="run", quiet=True)
    made = interrupted(here, callback)
    assert kinds(here / "run")[-1] != "end"
    made.train()
    seen = kinds(here / "run")
    assert seen[seen.index("header", 1) - 1] == "end"
    assert (seen[-1], seen.count("end")) == ("end", 2)


@pytest.mark.parametrize("given", [{"price": "3.06"}, {"plan": "no-such.yaml"}])
def test_mistakes_are_answered_before_the_training(given: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        headway.TrainerCallback(**given)
