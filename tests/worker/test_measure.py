"""`headway measure` to the end: a real probe of a small model, kept beside its plan and used by the next estimate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headway.app.load import load

PLAN = """\
headway: 1
name: small
model: config.json
micro_batch: 2
max_length: 32
steps: 50
save: {every: 20 steps}
data: {rows: 200, length: {mean: 16, min: 4, max: 40}}
run: {machine: {gpu: cpu}}
"""


def test_measured_kept_and_used(tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEADWAY_STORE", raising=False)
    (tmp_path / "config.json").write_text(json.dumps({**tiny, "num_hidden_layers": 1, "hidden_size": 64}))
    (tmp_path / "plan.yaml").write_text(PLAN)
    plan = tmp_path / "plan.yaml"
    before = load(plan).estimate(sensitivity=False).estimate
    said = load(plan).measure(device="cpu", budget_s=10).to_dict()
    assert {"step", "data_wait", "load", "checkpoint", "final_save"} <= set(said["measurement"]["terms"])
    assert said["measurement"]["memory"]["fits"]
    after = load(plan).estimate(sensitivity=False).estimate
    assert before.terms_s["step"].kind == "assumed"
    assert after.terms_s["step"].kind == after.terms_s["load"].kind == "measured"
    steps = said["measurement"]["samples"]["step"]
    assert after.terms_s["step"].p50 == pytest.approx(50 * sum(steps) / len(steps), rel=0.3)
    assert sorted(path.name for path in (tmp_path / ".headway").iterdir()) == [".gitignore", "headway.db"]
