"""A probe of a tiny model from its task to its last line, and what it does where time, memory or the disk run out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from headway.worker import bench
from headway.worker.probing import limits, probe
from headway.worker.probing.limits import longest
from headway.worker.probing.stopping import Budget
from headway.worker.task import Batching, read_task
from headway.worker.training.checkpoint import NotWritten
from headway.worker.training.rows import optimizer_steps, read_rows
from headway.worker.training.session import Session

LENGTHS = [12, 20, 30, 40, 24, 16, 33, 28, 36, 18, 22, 40]


def document(tiny: dict[str, Any], **more: Any) -> dict[str, Any]:
    config = tiny | {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 64, "vocab_size": 99}
    config |= {"num_attention_heads": 4, "num_key_value_heads": 2}
    return {
        "schema": "headway.task/1", "model": {"config": config}, "recipe": {"precision": "fp32"},
        "batches": {"micro_batch": 2, "grad_accum": 2, "max_length": 32}, "data": {"lengths": LENGTHS}, "steps": 200,
        "evaluation": {"every_steps": 50, "rows": 6, "rows_at_a_time": 2}, "device": "cpu", "threads": 1,
        "budget_s": 3, "tolerance": 0.5,
    } | more  # fmt: skip


@pytest.fixture
def probed(
    tiny: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, list[dict[str, Any]]]]:
    """Exit code and lines of a probe in this process, whose budget begins now."""

    def go(**more: Any) -> tuple[int, list[dict[str, Any]]]:
        monkeypatch.setattr(bench, "BEGAN", time.perf_counter())
        code = bench.bench(read_task(json.dumps(document(tiny, **more))))
        return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return go


def samples(lines: list[dict[str, Any]], term: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["event"] == "sample" and line["term"] == term]


Probed = Callable[..., tuple[int, list[dict[str, Any]]]]


def test_everything_that_costs_time_is_measured(probed: Probed, tmp_path: Path) -> None:
    code, lines = probed(save={"every_steps": 100}, out=str(tmp_path / "run"), budget_s=6)
    assert code == 0
    assert [lines[0]["event"], lines[-1]["event"]] == ["machine", "done"]
    for term in ("tokenize", "load", "step", "evaluation", "checkpoint", "resume", "final_save"):
        assert all(line["seconds"] > 0 for line in samples(lines, term)), term
        assert samples(lines, term), term
    done = lines[-1]
    assert done["stopped"].endswith("< 50 %")
    assert done["repeats"]["step"] >= 10
    assert done["warm_up"]["steps"] >= 1
    assert done["repeats"]["step"] == sum(line["size"] == "planned" for line in samples(lines, "step"))
    disk = next(line for line in lines if line["event"] == "disk")
    assert disk["write_bytes_per_s"] > 0 and disk["free_bytes"] > 0
    assert samples(lines, "checkpoint")[0]["bytes"] == pytest.approx(samples(lines, "resume")[0]["bytes"], rel=0.1)
    assert not list((tmp_path / "run").iterdir()), "what a probe writes is gone"


def test_steps_are_those_of_the_run_and_its_sizes_are_known(probed: Probed, tiny: dict[str, Any]) -> None:
    _, lines = probed()
    task = read_task(json.dumps(document(tiny)))
    order = optimizer_steps(read_rows(task, 99).train, task.batches, task.seed)
    tokens = [sum(len(batch) * max(map(len, batch)) for batch in next(order)) for _ in range(200)]
    planned = [line["tokens"] for line in samples(lines, "step") if line["size"] == "planned"]
    first = lines[-1]["warm_up"]["steps"]
    assert planned[:3] == tokens[first : first + 3]
    assert lines[-1]["run"]["tokens"] == pytest.approx(np.mean(tokens))
    sizes = {line["size"]: line for line in samples(lines, "step")}
    assert sizes["fewer"]["micro_steps"] == 1 < sizes["planned"]["micro_steps"] == sizes["shorter"]["micro_steps"]
    assert sizes["shorter"]["longest"] <= 16
    last = samples(lines, "step")[-1]
    assert 0 < last["cpu_s"] < 2 * last["seconds"]  # one thread, and the interpreter's own


def test_the_longest_rows_are_tried(probed: Probed) -> None:
    found = next(line for line in probed()[1] if line["event"] == "longest")
    assert (found["fits"], found["tokens"], found["rows"], found["worked_out"]) == (True, 32, 2, False)
    assert found["peak_bytes"] > 1e6


def test_what_the_run_does_not_do_is_not_measured(probed: Probed) -> None:
    _, lines = probed(evaluation=None)
    assert not [line for line in lines if line.get("term") in ("evaluation", "checkpoint", "final_save", "resume")]


def test_a_budget_that_is_spent_ends_the_probe_with_what_it_has(probed: Probed) -> None:
    began = time.perf_counter()
    code, lines = probed(tolerance=0, budget_s=1)
    assert code == 0
    assert lines[-1]["stopped"].startswith("budget of 1 s spent, error")
    assert lines[-1]["repeats"]["step"] >= 1
    assert time.perf_counter() - began < 20  # a hang, not a speed


def test_a_save_that_would_take_the_budget_is_worked_out_and_says_so(
    probed: Probed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "disk_speed", lambda folder: (1.0, 1.0, 1000))  # 1 kB/s
    _, lines = probed(save={"every_steps": 100}, out=str(tmp_path))
    saved = samples(lines, "checkpoint")[0]
    assert saved["scaled"] is True
    assert saved["seconds"] == pytest.approx(saved["bytes"] / 1000)
    assert "not written" in lines[-1]["remarks"][0]
    final = samples(lines, "final_save")[0]
    assert saved["bytes"] == pytest.approx(3 * final["bytes"], rel=0.01)  # with AdamW's two moments
    assert final["seconds"] == pytest.approx(final["bytes"] / 1000)


def test_a_checkpoint_that_a_disk_changes_is_an_error(
    probed: Probed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: dict[str, Any], capsys: Any
) -> None:
    honest = Session.save

    def lying(self: Session, folder: Path, keep: int | None = None) -> Any:
        moved = honest(self, folder, keep)
        place = next(folder.glob("checkpoint-*")) / "model.safetensors"
        said = bytearray(place.read_bytes())
        said[-1] ^= 1
        place.write_bytes(said)
        return moved

    monkeypatch.setattr(Session, "save", lying)
    monkeypatch.setattr(bench, "BEGAN", time.perf_counter())
    asked = json.dumps(document(tiny, save={"every_steps": 100}, out=str(tmp_path)))
    monkeypatch.setattr(sys, "stdin", StringIO(asked))
    handlers = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        assert bench.main() == 1
    finally:
        for one, handler in handlers.items():
            signal.signal(one, handler)
    assert "read back" in capsys.readouterr().err


def failing(error: Exception) -> Callable[..., Any]:
    def fail(*given: Any, **more: Any) -> Any:
        raise error

    return fail


@pytest.mark.parametrize(
    ("place", "name", "instead", "says"),
    [
        (probe, "free_disk_bytes", lambda folder: 3500, "saves of 0.00 GB have no room on the disk: not measured"),
        (Session, "save_final", failing(NotWritten("a checkpoint must be written", got="no room")),
         "a save could not be written (no room): not measured"),
        (probe, "disk_speed", failing(OSError(28, "No space left on device")),
         "the disk is full: saves were not measured"),
    ],
)  # fmt: skip
def test_a_disk_without_room_costs_the_saves_alone(
    probed: Probed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Any, name: str, instead: Any, says: str
) -> None:
    monkeypatch.setattr(probe, "HOST_SHARE", 0.0)  # a few steps are enough
    monkeypatch.setattr(Session, "checkpoint_bytes", lambda session: 3000)
    monkeypatch.setattr(Session, "final_bytes", lambda session: 1000)
    monkeypatch.setattr(place, name, instead)
    code, lines = probed(save={"every_steps": 100}, out=str(tmp_path), budget_s=6)
    assert code == 0
    assert says in lines[-1]["remarks"]
    assert len(samples(lines, "step")) >= 10
    assert not samples(lines, "final_save")
    assert not list(tmp_path.iterdir())


def test_an_evaluation_without_room_is_left_out(probed: Probed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "HOST_SHARE", 0.0)
    monkeypatch.setattr(Session, "evaluate", failing(torch.OutOfMemoryError("CUDA out of memory")))
    code, lines = probed(budget_s=6)
    assert code == 0
    assert "an evaluation of 2 rows at a time ran out of memory: not measured" in lines[-1]["remarks"]
    assert not samples(lines, "evaluation")
    assert (lines[-1]["evaluation_peak_bytes"], lines[-1]["evaluation_fits"]) == (None, False)
    assert lines[-1]["repeats"]["step"] >= 10


def test_an_evaluation_that_has_no_room_later_is_tried_no_more(
    tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    task, said = read_task(json.dumps(document(tiny))), []
    session = Session(task)
    session.load()
    made = probe.Probe(
        task, session, Budget(began=time.perf_counter(), seconds=60), lambda event, **facts: said.append(facts)
    )
    chunk = ((np.arange(5), np.arange(9)),)
    made._evaluate(chunk)
    assert made._evaluation_costs()
    monkeypatch.setattr(Session, "evaluate", failing(torch.OutOfMemoryError("CUDA out of memory")))
    made._evaluate(chunk)
    assert not made._evaluation_costs()
    assert [one["rows"] for one in said] == [2]
    assert made.remarks == ["an evaluation of 2 rows at a time ran out of memory: those before it count"]


def test_a_host_without_room_is_said_and_not_asked(probed: Probed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "load_refusal", lambda task: "")
    monkeypatch.setattr(limits, "free_memory_bytes", lambda device: 1)
    monkeypatch.setattr(limits, "tried", lambda session, step: pytest.fail("asked") if len(step[0]) > 1 else None)
    code, lines = probed()
    assert code == 4
    assert lines[-1]["stopped"].startswith("out of memory: a micro-batch of 2 does not run")
    assert next(line for line in lines if line["event"] == "longest")["rows"] == 0


def test_a_model_without_room_is_not_made(
    probed: Probed, monkeypatch: pytest.MonkeyPatch, tiny: dict[str, Any]
) -> None:
    """7 billion parameters in fp32 with AdamW: 16 bytes each, before a weight is drawn."""
    large = tiny | {"num_hidden_layers": 32, "hidden_size": 4096, "intermediate_size": 11008, "vocab_size": 32000}
    large |= {"num_attention_heads": 32, "num_key_value_heads": 32}
    monkeypatch.setattr(limits, "free_memory_bytes", lambda device: 24e9)
    code, lines = probed(model={"config": large})
    assert code == 4
    assert lines[-1]["stopped"] == (
        "out of memory: weights, gradients and optimizer need 108 GB, 24 GB are free"  # 6,738,415,616 x 16
    )


@pytest.mark.filterwarnings("ignore::FutureWarning")  # PEFT reads what transformers will rename
def test_adapters_need_room_for_their_own_states_alone(tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "free_memory_bytes", lambda device: 0)
    full, lora = (
        limits.load_refusal(read_task(json.dumps(document(tiny, recipe={"precision": "fp32", "rank": rank}))))
        for rank in (0, 1)
    )
    # 24,928 weights of 16 bytes; of 4, and 1,024 of adapters of 16
    assert [one.split("need ")[1].split(",")[0] for one in (full, lora)] == ["399 kB", "116 kB"]


class Machine:
    """A session whose memory is `fixed + each` bytes a row, of which `room` are there; a GPU refuses what is more."""

    def __init__(self, kind: str, planned: int, fixed: float, each: float, room: float) -> None:
        self.task = SimpleNamespace(batches=Batching(micro_batch=planned, grad_accum=1))
        self.device = SimpleNamespace(type=kind)
        self.peak, self.tries, self.recovered = self, [], 0
        self.fixed, self.each, self.room, self.held = fixed, each, room, 0.0

    def forget(self) -> None:
        self.held = self.fixed

    def bytes(self) -> int:
        return int(self.held)

    def step(self, batches: Any) -> Any:
        rows = len(batches[0])
        self.tries.append(rows)
        self.held = self.fixed + self.each * rows
        if self.each * rows > self.room:
            raise torch.OutOfMemoryError
        return SimpleNamespace(longest=7, seconds=1.0)

    def recover(self) -> None:
        self.recovered += 1


ROWS = [np.zeros(tokens, dtype=np.int64) for tokens in range(1, 101)]


@pytest.mark.parametrize("most", [0, 1, 5, 30, 63])
def test_a_gpu_is_asked_by_halves(most: int) -> None:
    gpu = Machine("cuda", 64, fixed=1e9, each=1e6, room=most * 1e6)
    found = longest(gpu, ROWS)  # type: ignore[arg-type]
    assert (found.rows, found.fits) == (most, False)
    assert len(gpu.tries) <= 1 + 7
    assert gpu.recovered == sum(one > most for one in gpu.tries)


@pytest.mark.parametrize(("planned", "room"), [(64, 12.3e9), (8, 3.1e9), (2, 1.5e9), (64, 0.5e9)])
def test_a_host_is_never_asked_for_more_than_it_has(planned: int, room: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "free_memory_bytes", lambda device: room)
    host = Machine("cpu", planned, fixed=1e9, each=1e9, room=room)
    found = longest(host, ROWS)  # type: ignore[arg-type]
    assert found.rows == int(0.9 * room / 1e9)
    assert not found.fits and found.worked_out
    assert max(host.tries) <= max(room / 1e9, 1)


def test_a_slow_host_works_out_what_it_has_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "free_memory_bytes", lambda device: 1e12)
    host = Machine("cpu", 16, fixed=1e9, each=1e9, room=1e12)
    found = longest(host, ROWS, most_s=10)  # type: ignore[arg-type]
    assert (found.rows, found.fits, found.worked_out, found.seconds) == (16, True, True, None)
    assert found.peak_bytes == 17e9
    assert host.tries == [1]


def test_a_host_with_room_runs_as_planned() -> None:
    host = Machine("cpu", 4, fixed=1e6, each=1e3, room=1e12)
    found = longest(host, ROWS)  # type: ignore[arg-type]
    assert (found.rows, found.fits, found.worked_out) == (4, True, False)
    assert host.tries == [1, 4]


def lines_of(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    for line in process.stdout:
        yield json.loads(line)


def test_an_interruption_keeps_what_was_measured(tiny: dict[str, Any], tmp_path: Path) -> None:
    """SIGINT after the first steps, as Ctrl-C sends it: the last line is there, no traceback."""
    asked = document(tiny, tolerance=0, budget_s=600, save={"every_steps": 9}, out=str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-m", "headway.worker.bench"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=os.environ,
    ) as process:  # fmt: skip
        assert process.stdin is not None and process.stderr is not None
        process.stdin.write(json.dumps(asked))
        process.stdin.close()
        lines = lines_of(process)
        seen: list[dict[str, Any]] = []
        for line in lines:
            seen.append(line)
            if len(samples(seen, "step")) == 12:
                process.send_signal(signal.SIGINT)
                break
        seen += list(lines)
        assert process.wait() == 130
        assert process.stderr.read() == ""
    assert seen[-1]["event"] == "done"
    assert seen[-1]["stopped"] == "interrupted"
    said = sum(line["size"] == "planned" for line in samples(seen, "step"))
    assert said > 2
    assert said - 1 <= seen[-1]["repeats"]["step"] <= said  # the signal may come between a line and its counting
    assert not list(tmp_path.iterdir())


def test_a_task_that_is_none_is_one_line_and_usage() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "headway.worker.bench"], input='{"schema": "headway.task/1", "modle": {}}',
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert "modle" in done.stderr
    assert len(done.stderr.splitlines()) == 1
