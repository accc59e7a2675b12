"""The grid of training steps, the rows it writes, and (where torch is installed) real steps of tiny models."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import gpu_truth
from headway.domain.experiment import Architecture
from headway.work.parameters import count_parameters
from rows import DATA, Case, read
from truth.points import MOST_TOKENS, SHAPES, Point, Setup, fingerprint, points, setups

ABOUT = {"gpu": "NVIDIA A100-SXM4-80GB", "software": "2026-11-21", "framework": "a loop", "about": "a machine"}
SETUP = Setup(
    shape=SHAPES["1.2B"], task="qlora", checkpointing=True, attention="sdpa", compile=False, rank=8,
    targets=("q_proj", "v_proj"),
)  # fmt: skip
POINT = Point(setup=SETUP, batch=4, length=512)


def measured(*seconds: float, full: bool = False) -> Any:
    from statistics import median

    return SimpleNamespace(
        seconds=seconds,
        median_s=median(seconds) if seconds else 0.0,
        spread=0.01,
        peak_bytes=2.0**31,
        reserved_bytes=2.0**32,
        out_of_memory=full,
    )


def test_columns_are_those_of_the_published_rows() -> None:
    with DATA.open(encoding="utf-8") as handle:
        assert tuple(next(csv.reader(handle))) == tuple(gpu_truth.COLUMNS)


def test_a_measured_step_is_read_back_as_it_was_run() -> None:
    found = read(
        {name: str(cell) for name, cell in gpu_truth.row(POINT, measured(0.4, 0.5, 0.9), ABOUT, "bf16").items()}
    )
    assert isinstance(found, Case)
    assert found.judged
    assert found.seconds == pytest.approx(0.5, rel=1e-4)
    assert found.node.device.name == "A100 SXM 80GB"
    assert found.peak_bytes == 2.0**31
    assert (found.peak_seen_by, found.recipe.quantize, found.recipe.precision) == ("allocated", "nf4", "bf16")
    assert (found.recipe.micro_batch, found.recipe.gradient_checkpointing, found.recipe.attention) == (
        4,
        "full",
        "sdpa",
    )
    assert found.recipe.adapter is not None
    assert (found.recipe.adapter.rank, found.recipe.adapter.targets) == (8, ("q_proj", "v_proj"))
    assert (found.architecture.layers, found.architecture.gated, found.architecture.tied) == (16, True, True)


def test_out_of_memory_is_a_row_without_speed() -> None:
    found = gpu_truth.row(POINT, measured(full=True), ABOUT, "bf16")
    assert "OUT OF MEMORY" in found["notes"]
    assert found["tokens_per_s"] == found["step_time_s"] == found["peak_mem_gb"] == ""


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_parameters_of_the_shapes(name: str) -> None:
    """Against the product's own count."""
    shape = SHAPES[name]
    arch = Architecture(
        name=name, family="decoder", layers=shape.layers, hidden=shape.hidden, heads=shape.heads,
        kv_heads=shape.kv_heads, ffn=shape.ffn, vocab=shape.vocab, tied=shape.tied, gated=True,
        head_dim=shape.hidden // shape.heads,
    )  # fmt: skip
    setup = Setup(shape=shape, task="lora", checkpointing=False, attention="sdpa", compile=False)
    assert gpu_truth.parameters_b(setup) * 1e9 == pytest.approx(count_parameters(arch).total, rel=1e-9)


def test_the_grid_is_mixed_and_bounded() -> None:
    """A budget may end it anywhere: the first setups differ in everything; sizes grow within a setup."""
    grid = setups(["0.1B", "0.5B", "8.0B"], attentions=("sdpa", "flash"))
    assert grid == setups(["0.1B", "0.5B", "8.0B"], attentions=("sdpa", "flash"))
    head = grid[:12]
    assert len({setup.shape.name for setup in head}) == 3
    assert len({setup.task for setup in head}) == len({setup.checkpointing for setup in head}) + 1 == 3
    for setup in grid:
        tokens = [point.tokens for point in points(setup)]
        assert tokens == sorted(tokens)
        assert tokens[-1] <= MOST_TOKENS
    names = [fingerprint(point, "A100") for setup in grid for point in points(setup)]
    assert len(names) == len(set(names))
    assert fingerprint(POINT, "A100") != fingerprint(POINT, "H100")


def test_without_a_budget_the_grid_is_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu_truth.py", "--shapes", "0.5B", "--tasks", "lora"])
    gpu_truth.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 16
    assert all(line.startswith("0.5B lora") for line in lines)


def test_rows_that_the_file_has_are_known(tmp_path: Path) -> None:
    path = tmp_path / "truth.csv"
    gpu_truth.Rows(path).add(gpu_truth.row(POINT, measured(0.5), ABOUT, "bf16"))
    assert gpu_truth.Rows(path).known == {f"truth-{fingerprint(POINT, ABOUT['gpu'])}"}


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of peft about transformers
@pytest.mark.parametrize("task", ["full_finetune", "lora"])
def test_real_steps_of_a_tiny_model(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from truth.models import possible

    if not possible(task):  # torch, transformers and peft are the benchmark's own, and optional: gigabytes with CUDA
        pytest.skip(f"{task} needs libraries that are not installed")
    out = tmp_path / "truth.csv"
    words = ["--budget", "10", "--shapes", "tiny", "--tasks", task, "--no-compile", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["gpu_truth.py", *words])
    gpu_truth.main()
    with out.open(encoding="utf-8", newline="") as handle:
        written = list(csv.DictReader(handle))
    assert written
    for row in written:
        assert float(row["step_time_s"]) > 0
        tokens = float(row["seq_len"]) * float(row["micro_batch"])
        assert float(row["tokens_per_s"]) == pytest.approx(tokens / float(row["step_time_s"]), rel=1e-3)


def test_a_plain_decoder_learns_without_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from truth import models
    from truth.step import optimizer_of

    monkeypatch.setattr(models, "has", lambda name: False)
    cpu = torch.device("cpu")
    setup = Setup(shape=SHAPES["tiny"], task="full_finetune", checkpointing=True, attention="sdpa", compile=False)
    model = models.make(setup, cpu)
    assert isinstance(model, models.PlainDecoder)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert parameters == pytest.approx(gpu_truth.parameters_b(setup) * 1e9)
    tokens = torch.randint(512, (2, 16))
    optimizer = optimizer_of(model, cpu)
    losses = []
    for _ in range(20):
        loss = model(tokens)
        loss.backward()
        optimizer.param_groups[0]["lr"] = 1e-2
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
