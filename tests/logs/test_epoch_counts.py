"""Logs found on the web whose steps begin again with each epoch, or are told in ways of their own; figures by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from headway.domain.observation import RunLog, times_of
from headway.logs.read import read_log
from headway.logs.text import is_text


def moment(second: int) -> str:
    return f"2024-06-13 {10 + second // 3600}:{second // 60 % 60:02d}:{second % 60:02d}"


def flair() -> str:
    lines = [
        f"{moment(420 * epoch + 42 * part)},913 epoch {epoch + 1} - iter {21 * part}/210 - loss 14.2 - lr: 0.1"
        for epoch in range(3)
        for part in range(1, 11)
    ]
    return "\n".join(lines)


def imagenet() -> str:
    return "\n".join(
        f"Epoch: [{epoch}][{step:4d}/500]\tTime  0.250 ( 0.260)\tData  0.010 ( 0.020)\tLoss 6.9e+00 (6.9e+00)"
        for epoch in range(3)
        for step in range(0, 500, 10)
    )


def swin() -> str:
    return "\n".join(
        f"INFO Train: [{epoch}/300][{step}/500]\teta 0:05:00 lr 0.000001\ttime 0.2500 (0.2700)\tloss 6.9 (6.9)"
        for epoch in range(2)
        for step in range(0, 500, 100)
    )


def mmdetection() -> str:
    return "\n".join(
        f"mmdet - INFO - Epoch [{epoch}][{step}/500]\tlr: 1.9e-03, eta: 1 day, 2:03:04, time: 0.522, data_time: 0.1,"
        " memory: 3811, loss: 2.1"
        for epoch in (1, 2)
        for step in range(50, 501, 50)
    )


def tutorial() -> str:
    return "\n".join(
        f"{moment(50 * ((epoch - 1) * 6 + step // 100))} Epoch [{epoch}/5], Step [{step}/600], Loss: 0.5"
        for epoch in (1, 2)
        for step in range(100, 601, 100)
    )


def open_clip(*, rate: bool = True, step_rows: int = 64) -> str:
    """Rows of 64 that are one step; negCLIP doubles them after the rate was taken (its issue 27)."""
    lines = []
    for epoch in range(2):
        for step in (*range(1, 1710, 100), 1710):
            said = f", {step_rows / 0.5:#g}/s, {step_rows / 0.5:#g}/s/gpu" if rate else ""
            when = moment(1000 * epoch + step // 2).replace(" ", ",")
            lines.append(
                f"{when} | INFO | Train Epoch: {epoch} [{64 * step:6d}/109468 ({step // 17}%)] Data (t): 0.158"
                f" Batch (t): 0.500{said} LR: 0.000001 Logit Scale: 99.995 Loss: 0.97884 (1.023)"
            )
    return "\n".join(lines)


def fairseq() -> str:
    return "\n".join(
        f"{moment(50 * part)} | INFO | train_inner | epoch 003:     85 / 282 loss=3.147, ppl=8.86, ups=2,"
        f" num_updates={100 * part}, lr=0.000157917, train_wall=48, wall={50 * part}"
        for part in range(1, 11)
    )


def olmo() -> str:
    return "\n".join(
        f"{moment(50 * part)}.867\thost:0\tolmo.train:990\tINFO\t[step={10 * part}/1000,epoch=0]\n"
        "    train/CrossEntropyLoss=5.608\n    throughput/total_tokens=1000"
        for part in range(1, 11)
    )


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., RunLog]:
    def reading(text: str | bytes, name: str = "train.log") -> RunLog:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_log(tmp_path / name)

    return reading


@pytest.mark.parametrize(
    ("text", "last", "total", "each_s"),
    [
        (flair(), 630, None, 2.0),
        (imagenet(), 1491, None, 0.26),
        (swin(), 901, 150_000, 0.27),
        (mmdetection(), 1000, None, 0.522),
        (tutorial(), 1200, 3000, 0.5),
        (fairseq(), 1000, None, 0.5),
        (olmo(), 100, 1000, 5.0),
        (open_clip(), 3420, None, 0.5),
        (open_clip(rate=False), 3420, None, 0.5),
        (open_clip(step_rows=32), 3420, None, 0.5),
    ],
    ids=[
        "flair",
        "imagenet",
        "swin",
        "mmdetection",
        "tutorial",
        "fairseq",
        "olmo",
        "open_clip",
        "open_clip, no rate",
        "negclip",
    ],
)
def test_steps_are_counted_through_the_run(
    text: str, last: int, total: int | None, each_s: float, read: Callable[..., RunLog]
) -> None:
    log = read(text)
    assert max(item.step or 0 for item in log.observations) == last
    assert log.total_steps == total
    assert {item.attempt for item in log.observations} == {0}
    assert times_of(log.observations)["step"].each_s == pytest.approx(each_s, rel=0.001)


@pytest.mark.parametrize(
    "lines",
    [
        [f"Train Epoch: 1 [{640 * n}/60000 ({n}%)]\tLoss: 0.3" for n in range(90)],
        [f"Train Epoch: 1 [{64 * (100 * n + 1)}/109468 ({n}%)] Batch (t): 0.5 Loss: 0.3" for n in range(2, 17)],
        [f"Train Epoch: 1 [{10 * n}/500 ({2 * n}%)] Batch (t): 0.5 Loss: 0.3" for n in range(1, 50)],
    ],
    ids=["mnist", "seen from the middle", "perhaps batches"],
)
def test_rows_are_no_steps_where_nothing_tells_how_many_a_step_takes(
    lines: list[str], read: Callable[..., RunLog]
) -> None:
    log = read("\n".join(lines))
    assert not log.observations
    assert "no line of" in log.problems[0]


def test_a_bar_of_epochs_stands_around_that_of_the_steps(read: Callable[..., RunLog]) -> None:
    lines = ["Epoch:   0%|          | 0/3 [00:00<?, ?it/s]"]
    for epoch in range(3):
        lines += [f"Iteration: {2 * n:3d}%|##| {n}/50 [00:{n:02d}<00:10,  1.00it/s]" for n in range(1, 51)]
        lines += [f"Evaluating: {n}0%|##| {n}/10 [00:{n:02d}<00:10,  1.00it/s]" for n in range(1, 11)]
        minutes, seconds = divmod(60 * (epoch + 1), 60)
        lines += [f"Epoch: {33 * (epoch + 1)}%|###| {epoch + 1}/3 [{minutes:02d}:{seconds:02d}<01:50, 60.00s/it]"]
    log = read("\r".join(lines))
    assert log.total_steps == 150
    times = times_of(log.observations)
    assert (times["step"].seconds, times["step"].units) == (150, 150)
    assert (times["evaluation"].seconds, times["evaluation"].units) == (30, 3)


def test_a_hole_of_zeros_leaves_a_text_one(read: Callable[..., RunLog]) -> None:
    bars = "\r".join(f"{n:3d}%|##| {n}/100 [00:{n // 2:02d}<00:10,  2.00it/s]" for n in range(0, 101, 2))
    for hole in (b"some words before it\n" + b"\0" * 3000, b"\0" * 3000):
        log = read(hole + bars.encode(), "slurm.out")
        assert log.total_steps == 100
        assert times_of(log.observations)["step"].seconds == 50
    assert not is_text(b"\0" * 500)


def test_a_trainer_without_bars_counts_by_its_epochs(read: Callable[..., RunLog]) -> None:
    banner = "   \\\\   /|    Num examples = 480 | Num Epochs = 2 | Total steps = 60\n"
    rows = "\n".join(f"{{'loss': 1.5, 'learning_rate': 1e-4, 'epoch': {n / 30:.2f}}}" for n in range(1, 61))
    end = (
        "\n{'train_runtime': 120.0, 'train_samples_per_second': 8.0, 'train_steps_per_second': 0.5, "
        "'train_loss': 1.5, 'epoch': 2.0}\n"
    )
    for text in (banner + rows + end, rows + end):
        log = read(text)
        assert times_of(log.observations)["step"].each_s == pytest.approx(2.0)
        assert max(item.step or 0 for item in log.observations) == 60
        assert any("counted from their epochs" in problem for problem in log.problems)


def test_settings_that_are_printed_are_no_row(read: Callable[..., RunLog]) -> None:
    assert not read("config: {'learning_rate': 0.0003, 'eps': 1e-08, 'weight_decay': 0.1}\n").observations
