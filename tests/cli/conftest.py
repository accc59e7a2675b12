"""The command line, run in this process, and a small plan that needs no guessing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from headway.cli import headway
from headway.cli.refusals import exit_code_of

PLAN = """\
headway: 1
name: small
model: Qwen/Qwen2-0.5B
adapter: {method: lora, rank: 4}
micro_batch: 8
max_length: 128
stated: {step: 1.8 s}
data: {rows: 80k, length: 100}
matrix: {steps: [1k, 2k]}
run:
  machine: {gpu: RTX 4090, price: $2/h, provider: Lambda Labs}
  budget: $1
"""


@dataclass(frozen=True)
class Outcome:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run("estimate", "plan.yaml")`: the same path as the installed command, without a process of its own."""
    for name in ("NO_COLOR", "FORCE_COLOR", "HEADWAY_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")

    def call(*arguments: str) -> Outcome:
        code = exit_code_of(lambda: headway.main(args=list(arguments), prog_name="headway", standalone_mode=False))
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return Outcome(code, printed.out, printed.err)

    return call


@pytest.fixture
def plan(tmp_path: Path) -> str:
    """The path of a plan of two runs: 1,000 and 2,000 steps of 1.8 s, 1.5 hours together."""
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN, encoding="utf-8")
    return str(path)
