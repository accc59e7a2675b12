"""The program that trains: its events, its end by signals and faults, and its going on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch

from headway.domain.observation import Observation, times_of
from headway.worker import events, train
from headway.worker.task import SCHEMA, read_task
from headway.worker.training.session import Session

STEPS = 6


def said_of(small: dict[str, Any], **more: Any) -> str:
    task = {
        "schema": SCHEMA,
        "model": {"config": small | {"attention_dropout": 0.2}},
        "recipe": {"precision": "fp32", "learning_rate": 0.01},
        "batches": {"micro_batch": 2, "grad_accum": 2},
        "data": {"lengths": [5, 9, 12, 30, 7, 8, 11, 3, 2]},
        "steps": STEPS,
        "evaluation": {"every_steps": 3, "rows": 4},
        "save": {"every_steps": 2, "keep": 2},
        "threads": 1,
        "device": "cpu",
    }
    return json.dumps(task | more)


def trained(text: str, stop: train.Stop | None = None) -> int:
    return train.train(read_task(text), stop or train.Stop())


def read(folder: Path) -> tuple[dict[str, Any], list[Observation]]:
    first, *lines = (folder / events.EVENTS_FILE).read_text(encoding="utf-8").splitlines()
    return json.loads(first), [Observation.from_mapping(json.loads(line)) for line in lines]


def losses(seen: list[Observation], attempt: int = 0) -> dict[int | None, float]:
    return {one.step: one.values["loss"] for one in seen if one.kind == "step" and one.attempt == attempt}


def weights(folder: Path) -> bytes:
    return (folder / "final" / "model.safetensors").read_bytes()


def test_a_run_says_everything_that_takes_time(
    small: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained(said_of(small, out=str(tmp_path), header={"plan": "abc", "stage": "tune"})) == 0
    header, seen = read(tmp_path)
    assert (header["schema"], header["plan"], header["stage"]) == ("headway.events/1", "abc", "tune")
    assert (header["total_steps"], header["micro_batch"], header["grad_accum"], header["gpus"]) == (6, 2, 2, 1)
    assert header["started"].endswith("Z")
    after = ["step", "step", "checkpoint", "step", "evaluation", "step", "checkpoint", "step", "step", "evaluation"]
    assert [one.kind for one in seen] == ["begin", "tokenize", "load", *after, "checkpoint", "final_save", "end"]
    assert [one.rows for one in seen if one.kind == "step"] == [4, 4, 1, 4, 4, 1]
    assert [one.epoch for one in seen if one.kind == "step"][2::3] == [1.0, 2.0]
    moments = [one.at_s for one in seen if one.at_s is not None]
    assert moments == sorted(moments)
    times = times_of(seen)
    assert {term: timed.units for term, timed in times.items()} == {
        "load": 1, "tokenize": 1, "step": 6, "data_wait": 6, "evaluation": 2, "checkpoint": 3, "final_save": 1
    }  # fmt: skip
    out = capsys.readouterr().out.splitlines()
    assert out == (tmp_path / events.EVENTS_FILE).read_text(encoding="utf-8").splitlines()


def test_a_run_that_is_stopped_and_goes_on_is_the_run_that_was_not(
    small: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert trained(said_of(small, out=str(whole))) == 0
    stop = train.Stop()
    step = Session.step

    def signalled(self: Session, batches: Any) -> Any:
        if self.done == 2:
            stop._hear(signal.SIGTERM, None)
        return step(self, batches)

    with monkeypatch.context() as patched:
        patched.setattr(Session, "step", signalled)
        assert trained(said_of(small, out=str(parts)), stop) == 130
    _, seen = read(parts)
    assert (seen[-1].kind, seen[-1].step, seen[-1].values) == ("end", 3, {"interrupted": 1.0})
    assert trained(said_of(small, out=str(parts), resume=True)) == 0
    _, seen = read(parts)
    assert losses(seen) | losses(seen, 1) == losses(read(whole)[1])
    assert set(losses(seen, 1)) == {4, 5, 6}
    assert weights(parts) == weights(whole)
    moments = [one.at_s for one in seen if one.at_s is not None]
    assert moments == sorted(moments)


def test_a_run_that_was_killed_goes_on_from_what_is_whole(
    small: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert trained(said_of(small, out=str(whole))) == 0
    assert trained(said_of(small, out=str(parts))) == 0
    with (parts / "checkpoint-6" / "state.pt").open("r+b") as opened:
        opened.truncate(1000)
    with (parts / events.EVENTS_FILE).open("a", encoding="utf-8") as opened:
        opened.write('{"kind": "st')
    assert trained(said_of(small, out=str(parts), resume=True)) == 0
    assert "checkpoint-6 is not whole" in capsys.readouterr().err
    lines = (parts / events.EVENTS_FILE).read_text(encoding="utf-8").splitlines()
    seen = [Observation.from_mapping(json.loads(line)) for line in lines[1:] if line != '{"kind": "st']
    assert losses(seen, 1) == {step: loss for step, loss in losses(read(whole)[1]).items() if step in (5, 6)}
    assert weights(parts) == weights(whole)


def test_what_a_gpu_feels_is_an_event(small: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headway.worker.machine.facts.sensors", lambda device: {"temperature_c": 61.0})
    monkeypatch.setattr(train, "FEELS_EVERY_S", 0.0)
    assert trained(said_of(small, out=str(tmp_path), steps=2)) == 0
    felt = [one for one in read(tmp_path)[1] if one.kind == "device"]
    assert [(one.step, one.values) for one in felt] == [(1, {"temperature_c": 61.0}), (2, {"temperature_c": 61.0})]


def test_a_used_folder_is_not_written_over(small: dict[str, Any], tmp_path: Path) -> None:
    text = said_of(small, out=str(tmp_path), steps=1)
    assert trained(text) == 0
    with pytest.raises(train.UserError, match="a run's folder must be new"):
        trained(text)
    assert len(read(tmp_path)[1]) == 6


def test_going_on_where_nothing_was_begins(small: dict[str, Any], tmp_path: Path) -> None:
    assert trained(said_of(small, out=str(tmp_path), steps=2, resume=True)) == 0
    assert set(losses(read(tmp_path)[1])) == {1, 2}


def test_memory_that_runs_out_is_an_event_and_a_sentence(
    small: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(self: Session, batches: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(Session, "step", full)
    assert trained(said_of(small, out=str(tmp_path))) == 4
    _, seen = read(tmp_path)
    assert (seen[-1].kind, seen[-1].values["out_of_memory"]) == ("end", 1.0)
    said = capsys.readouterr().err
    assert said.startswith("error: step 1 must fit into memory, got out of memory with micro_batch 2. Use a smaller")
    assert len(said.splitlines()) == 1


def test_a_fault_of_a_library_is_one_line_and_an_end(
    small: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(self: Session, batches: Any) -> None:
        raise RuntimeError("a kernel\nis missing")

    monkeypatch.setattr(Session, "step", broken)
    assert trained(said_of(small, out=str(tmp_path))) == 1
    assert read(tmp_path)[1][-1].values == {"error": 1.0}
    assert capsys.readouterr().err == "error: training stopped at step 1: RuntimeError: a kernel is missing\n"


def program(text: str, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "headway.worker.train"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False, **more)


def test_a_task_that_is_none_is_a_usage_error() -> None:
    done = program('{"schema": "headway.task/1", "stesp": 3}')
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: a task has no such key, got stesp.")
    assert len(done.stderr.splitlines()) == 1


def test_a_signal_ends_the_program_after_its_step(small: dict[str, Any], tmp_path: Path) -> None:
    text = said_of(small, steps=1_000_000, save={"every_steps": 1_000_000}, evaluation=None, out=str(tmp_path))
    command = [sys.executable, "-m", "headway.worker.train"]
    with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, text=True) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write(text)
        running.stdin.close()
        for line in running.stdout:
            if '"kind": "step"' in line:
                break
        os.kill(running.pid, signal.SIGTERM)
        rest = running.stdout.read().splitlines()
        said = running.stderr.read() if running.stderr else ""
        assert running.wait(60) == 130
    assert said == "stopping after this step; a second signal stops at once\n"
    last = [json.loads(line) for line in rest[-2:]]
    assert [one["kind"] for one in last] == ["checkpoint", "end"]
    assert (tmp_path / f"checkpoint-{last[-1]['step']}").is_dir()


def test_a_reader_that_goes_away_does_not_stop_a_run_that_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone(StringIO):
        def write(self, said: str) -> int:
            raise BrokenPipeError

    with (tmp_path / "descriptor").open("w") as spare:
        gone = Gone()
        monkeypatch.setattr(gone, "fileno", spare.fileno)
        monkeypatch.setattr(sys, "stdout", gone)
        kept = events.Events(str(tmp_path), {}, resume=False, began=0.0)
        kept.say(Observation(kind="begin"))
        kept.close()
        with pytest.raises(BrokenPipeError):
            events.Events(None, {}, resume=False, began=0.0)
    assert [one.kind for one in read(tmp_path)[1]] == ["begin"]
