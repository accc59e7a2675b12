"""`headway measure` on the command line: what it refuses, where its words go, and the codes it leaves with."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headway.app import gpus
from headway.app import measure as verb
from headway.report.view import Page, View

Run = Callable[..., Any]

RECORDED = Path(__file__).parents[1] / "app" / "recorded" / "probe_cpu.jsonl"
LINES = [json.loads(line) for line in RECORDED.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The recorded probe in the place of the process; its one item is the exit code."""
    code = [0]

    def said(program: str, given: str, heard: Callable[[dict[str, Any]], None], limit_s: float) -> int:
        for line in LINES:
            heard(dict(line))
        return code[0]

    monkeypatch.setattr(verb, "stream_worker", said)
    return code


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nope"], 2, "an experiment of the plan that trains"),
        (["--budget", "2s"], 2, "10 s at least"),
        (["--budget", "soon"], 2, "--budget takes a time"),
        (["--lora", "4"], 2, "a plan file says itself what is run"),
        (["--option", "nope"], 3, "no such option"),
        (["small", "again"], 2, "a plan and an experiment"),
        (["--device", "tpu"], 2, "tpu"),
        (["--json", "--format", "md"], 2, "one format at a time"),
        (["--assume", "run.machine=cpu", "--device", "cuda"], 2, "a GPU is measured where it is named"),
    ],
)
def test_refusals(run: Run, plan: str, words: list[str], code: int, said: str) -> None:
    found = run("measure", plan, *words)
    assert (found.code, found.out) == (code, "")
    assert said in found.err


def test_no_plan_and_no_flags(run: Run) -> None:
    found = run("measure")
    assert found.code == 2
    assert "--model ID" in found.err


@pytest.mark.skipif(find_spec("torch") is not None, reason="the training libraries are installed here")
def test_without_the_training_libraries(run: Run, plan: str) -> None:
    found = run("measure", plan, "--device", "cpu")
    assert (found.code, found.out) == (1, "")
    assert "pip install 'headway[train]'" in found.err
    assert len(found.err.splitlines()) < 4


def test_a_page_on_standard_output_and_nothing_else(run: Run, plan: str, probe: list[int]) -> None:
    found = run("measure", plan, "--device", "cpu")
    assert found.code == 0
    assert "mean ± its standard error" in found.out
    assert "Measured on this CPU, which says nothing of RTX 4090" in found.out
    assert f"next: headway estimate {plan} --assume run.machine=cpu" in found.out
    assert "Not kept." in found.out  # HEADWAY_STORE=none
    assert found.err == ""


def test_documents(run: Run, plan: str, probe: list[int], tmp_path: Path) -> None:
    assert json.loads(run("measure", plan, "--device", "cpu", "--json").out)["schema"] == "headway.measure/1"
    assert run("measure", plan, "--device", "cpu", "-o", str(tmp_path / "m.csv")).code == 0
    assert (tmp_path / "m.csv").read_text().startswith("term,p10_s")


def test_an_interrupt_leaves_with_130_and_the_page(run: Run, plan: str, probe: list[int]) -> None:
    probe[0] = 130
    found = run("measure", plan, "--device", "cpu")
    assert found.code == 130
    assert "mean ± its standard error" in found.out


def test_out_of_memory_leaves_with_4(run: Run, plan: str, probe: list[int]) -> None:
    probe[0] = 4
    found = run("measure", plan, "--device", "cpu")
    assert (found.code, found.out) == (4, "")
    assert "must fit into memory" in found.err


def test_one_run_from_flags(run: Run, probe: list[int]) -> None:
    words = "--model Qwen/Qwen2-0.5B --lora 4 --batch 8 --seq 128 --samples 1k --epochs 1".split()
    found = run("measure", *words, "--device", "cpu")
    assert found.code == 0
    then = (
        "next: headway estimate --model Qwen/Qwen2-0.5B --lora 4 --samples 1k --epochs 1 --seq 128 --batch 8 --gpu cpu"
    )
    assert then in " ".join(found.out.split())


ONE = "--model Qwen/Qwen2-0.5B --lora 4 --batch 8 --seq 128 --samples 1k --epochs 1".split()


def test_one_run_without_a_gpu_named_is_measured_on_the_one_that_is_here(
    run: Run, probe: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verb, "has_gpu", lambda: True)
    monkeypatch.setattr(gpus, "device_here", lambda: "RTX 4090")
    found = run("measure", *ONE)
    assert found.code == 0
    assert "--batch 8 --gpu 'RTX 4090'" in " ".join(found.out.split())


@pytest.mark.parametrize("here", ["", "NVIDIA Unheard 9000"])
def test_a_gpu_that_is_not_known_is_asked_for(run: Run, monkeypatch: pytest.MonkeyPatch, here: str) -> None:
    monkeypatch.setattr(gpus, "device_here", lambda: here)
    found = run("measure", *ONE)
    assert (found.code, found.out) == (2, "")
    assert "no --gpu NAME" in found.err


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """In the place of watching a command: `called` with what, its `exit_code`, and whether it `failed` by itself."""
    known = SimpleNamespace(called=[], exit_code=0, failed=False)
    made = types.ModuleType("headway.app.watched")

    def measure_command(words: tuple[str, ...], budget_s: float, *, quiet: bool = False) -> tuple[Page, bool]:
        known.called.append((words, budget_s, quiet))
        page = Page(view=lambda: View(title="Watched"), document=lambda: {"exit_code": known.exit_code})
        return page, known.failed

    monkeypatch.setattr(made, "measure_command", measure_command, False)
    monkeypatch.setitem(sys.modules, "headway.app.watched", made)
    return known


def test_words_behind_two_dashes_are_a_command(run: Run, watched: SimpleNamespace) -> None:
    assert run("measure", "--budget", "2 min", "--", "python", "train.py", "--epochs", "3").code == 0
    assert run("measure", "-q", "--", "python", "-q").code == 0
    assert watched.called == [(("python", "train.py", "--epochs", "3"), 120.0, False), (("python", "-q"), 90.0, True)]
    assert "a command is needed" in run("measure", "--").err
    refused = run("measure", "--device", "cpu", "--share", "x.json", "--", "python", "train.py")
    assert (refused.code, len(watched.called)) == (2, 2)
    assert "--device, --share" in refused.err


@pytest.mark.parametrize(
    ("exit_code", "failed", "code"), [(130, False, 0), (0, False, 0), (7, True, 1), (130, True, 130)]
)
def test_a_command_that_failed_by_itself_is_told(
    run: Run, watched: SimpleNamespace, exit_code: int, failed: bool, code: int
) -> None:
    watched.exit_code, watched.failed = exit_code, failed
    found = run("measure", "--", "python", "train.py")
    assert (found.code, "Watched" in found.out) == (code, True)


def test_an_estimate_promises_once(run: Run, plan: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from headway.app.stored import records

    monkeypatch.delenv("HEADWAY_STORE")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1795000000")
    assert [run("estimate", plan).code, run("estimate", plan).code] == [0, 0]
    (record,) = records("estimate", plan)
    assert record.body["schema"] == "headway.promise/1"
    assert record.by["command"] == "headway estimate plan.yaml"


def test_a_folder_that_may_not_be_written_costs_nothing(
    run: Run, plan: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HEADWAY_STORE", str(tmp_path / "file" / "store.db"))
    found = run("estimate", plan)
    assert (found.code, found.err) == (0, "")


def test_the_plan_of_the_folder_is_meant_where_none_is_named(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, probe: list[int]
) -> None:
    monkeypatch.chdir(tmp_path)
    without = run("measure", "--device", "cpu")
    assert without.code == 2
    (tmp_path / "plan.yaml").write_text("headway: 1\nmodel: Qwen/Qwen2-0.5B\n")
    broken = run("measure", "--device", "cpu")
    assert (broken.code, "plan.yaml" in broken.err) == (3, True)
    flags = run("measure", "--model", "Qwen/Qwen2-0.5B", "--device", "cpu")
    assert (flags.code, "plan.yaml" in flags.err) == (2, False)
