"""`headway.TrainerCallback` in a real Trainer: steps, evaluations and saves told apart, and a run that is resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Trainer, TrainingArguments

import headway
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


def trained(folder: Path, callback: Any, *, resume: bool = False, **given: Any) -> Trainer:
    data = [{"input_ids": torch.arange(6) % 16, "labels": torch.tensor(0)} for _ in range(ROWS)]
    args = TrainingArguments(
        output_dir=str(folder), num_train_epochs=EPOCHS, per_device_train_batch_size=MICRO_BATCH,
        gradient_accumulation_steps=ACCUMULATED, eval_strategy="steps", eval_steps=4, save_strategy="steps",
        save_steps=6, logging_steps=1, report_to=[], use_cpu=True, disable_tqdm=True, prediction_loss_only=True,
        **given,
    )  # fmt: skip
    trainer = Trainer(model=Tiny(), args=args, train_dataset=data, eval_dataset=data[:8], callbacks=[callback])
    trainer.train(resume_from_checkpoint=resume or None)
    return trainer


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
