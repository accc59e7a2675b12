"""The rhythm of a command as a measurement: of the device that its driver names, and of the plan's alone."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

import pytest

from headway.app import rhythm
from headway.app.rhythm import keep_rhythm
from headway.app.stored import records
from headway.domain.observation import Observation

STEPS = [Observation(kind="step", at_s=0.1 * step, seconds=0.1, step=step, steps=1) for step in range(1, 30)]


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delenv("HEADWAY_STORE")
    path = tmp_path / "plan.yaml"
    path.write_text("headway: 1\nmodel: Qwen/Qwen2-0.5B\ndata: {rows: 1000, length: 60}\nsteps: 5000\n"
                    "run: {machine: {gpu: A100 SXM 80GB}}\n")  # fmt: skip
    return str(path)


@pytest.mark.parametrize(("here", "said"), [("A100 SXM 80GB", False), ("", True)])
def test_it_is_kept_under_the_plans_device(plan: str, monkeypatch: pytest.MonkeyPatch, here: str, said: bool) -> None:
    monkeypatch.setattr(rhythm, "device_here", lambda: here)
    remarks = keep_rhythm(STEPS, "train.py", plan, "")
    (record,) = records("measurement", plan)
    assert record.body["device"] == "A100 SXM 80GB"
    assert record.body["terms"]["step"]["p50"] == pytest.approx(0.1, rel=0.02)
    assert any("does not say its device" in remark for remark in remarks) is said


@pytest.mark.parametrize("here", ["RTX 3090", "CPU"])
def test_on_another_device_it_is_kept_as_that_devices(plan: str, monkeypatch: pytest.MonkeyPatch, here: str) -> None:
    """Never as the plan's own, whose steps it did not take."""
    monkeypatch.setattr(rhythm, "device_here", lambda: here)
    remarks = keep_rhythm(STEPS, "train.py", plan, "")
    (record,) = records("measurement", plan)
    assert record.body["device"] == here
    assert f"--assume run.machine={quote(here)} use it" in remarks[-1]
