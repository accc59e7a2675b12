"""`measure -- COMMAND`: stopped when the rhythm is known, or when the budget is spent; else told how to be seen."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from headway.app import process
from headway.app.load import load
from headway.app.watched import measure_command
from headway.domain.errors import PlanError, UsageError, UserError
from headway.track import status

STEADY = """
import time
for step in range(1, 100001):
    time.sleep(0.02)
    print(f"{{'loss': 1.0}} {step * 100 // 100000}%|bar| {step}/100000 [00:00<00:00, 9.00it/s]", flush=True)
"""
STUBBORN = (
    "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory of its own, no patience, and no GPU that the commands could use."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(process, "PATIENCE_S", 0.3)


@pytest.mark.parametrize("program", [STEADY, STUBBORN + STEADY])
def test_a_run_is_stopped_and_projected(program: str, tmp_path: Path) -> None:
    made, failed = measure_command([sys.executable, "-c", program], budget_s=1.5)
    page = made.document()
    assert (page["state"], page["total_steps"], failed) == ("stopped", 100_000, False)
    (step,) = [phase for phase in page["phases"] if phase["term"] == "step"]
    each_s = step["seconds"] / step["units"]
    assert 0.015 <= each_s < 0.1
    assert page["left_s"]["p50"] == pytest.approx((100_000 - page["step"]) * each_s, rel=0.5)
    assert page["remarks"][0].startswith("Stopped because")
    assert not (tmp_path / ".headway").exists()


def test_that_a_command_failed_by_itself_is_told() -> None:
    program = STEADY.replace("100001", "20") + "raise SystemExit(3)\n"
    page, failed = measure_command([sys.executable, "-c", program], budget_s=30.0)
    assert failed
    assert (page.document()["state"], page.document()["exit_code"]) == ("failed", 3)


@pytest.mark.parametrize("quiet", [False, True])
def test_status_is_printed_unless_it_is_to_be_quiet(
    quiet: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(status, "FIRST_S", 0.1)
    measure_command([sys.executable, "-c", STEADY], budget_s=1.0, quiet=quiet)
    assert ("headway: " in capfd.readouterr().err) != quiet


def test_what_cannot_be_seen_is_said() -> None:
    with pytest.raises(UserError, match="progress is measured") as error:
        measure_command([sys.executable, "-c", "print('hello')"], budget_s=5.0)
    assert "logging_steps" in error.value.hint
    assert "exit code 0" in error.value.hint


def test_a_plan_is_read_before_the_command_is_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    command = [sys.executable, "-c", f"open({str(ran)!r}, 'w')"]
    plan = tmp_path / "plan.yaml"
    with pytest.raises(PlanError):
        measure_command(command, 1.0, str(plan))
    plan.write_text("headway: 1\nmodel: Qwen/Qwen2-0.5B\ndata: {rows: 1000, length: 60}\nmatrix: {steps: [10, 20]}\n")
    for named in ("", "nope"):
        with pytest.raises(UsageError, match="an experiment of the plan"):
            measure_command(command, 1.0, str(plan), named)
    assert not ran.exists()


def test_a_rhythm_of_several_stages_is_shown_and_not_kept(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    stages = "stages: [{name: a, data: {rows: 90, length: 60}}, {name: b, data: {rows: 90, length: 9}}]\n"
    plan.write_text(f"headway: 1\nmodel: Qwen/Qwen2-0.5B\nrun: {{machine: {{gpu: cpu}}}}\n{stages}")
    page = measure_command([sys.executable, "-c", STEADY], 1.0, str(plan))[0].document()
    assert any(remark.startswith("Not kept as a measurement") and "a, b" in remark for remark in page["remarks"])


def test_with_a_plan_its_estimates_use_what_was_learnt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEADWAY_STORE", raising=False)
    plan = tmp_path / "plan.yaml"
    plan.write_text("headway: 1\nmodel: Qwen/Qwen2-0.5B\ndata: {rows: 1000, length: 60}\nsteps: 5000\n"
                    "run: {machine: {gpu: cpu}}\n")  # fmt: skip
    before = load(plan).estimate(sensitivity=False).estimate.terms_s["step"]
    page = measure_command([sys.executable, "-c", STEADY], 1.5, str(plan))[0].document()
    step = load(plan).estimate(sensitivity=False).estimate.terms_s["step"]
    assert (before.kind, step.kind) == ("assumed", "measured")
    assert 5000 * 0.015 <= step.p50 < 5000 * 0.1
    assert any("Kept as a measurement" in remark for remark in page["remarks"])
    assert page["next_command"] == f"headway estimate {plan}"
