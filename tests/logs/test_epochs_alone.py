"""Logs that tell of epochs and of no steps, as a quarter of those found on the web do; figures by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.app.runs import run_document
from headway.domain.observation import Observation, RunLog
from headway.logs.forms.named_epochs import epoch_named
from headway.logs.lines.epochs_alone import EpochsAlone
from headway.logs.lines.line_reader import LineReader
from headway.logs.read import read_log
from headway.track.remaining import Course, Remaining


def stamp(seconds: int) -> str:
    return f"2025-06-04 {17 + seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d},341"


def read(folder: Path, *lines: str) -> RunLog:
    path = folder / "train.log"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_log(path)


def epochs(log: RunLog) -> list[tuple[float | None, float | None]]:
    """Epochs done and the seconds of those since the observation before."""
    return [(item.epoch, item.seconds) for item in log.observations if item.kind == "epoch"]


def total(log: RunLog) -> float | None:
    return log.observations[-1].values.get("epochs")


def test_a_line_at_the_end_of_each_epoch(tmp_path: Path) -> None:
    """142 s each; that the first of them stood at an end is known with the second, how long it took is not."""
    log = read(
        tmp_path,
        *(f"{stamp(142 * k)} - INFO - Epoch {k}/35, Train Loss: {1 / k:.4f}, Test Acc: 5{k}.86%" for k in (1, 2, 3, 4)),
    )
    assert epochs(log) == [(1, None), (2, 142.0), (3, 142.0), (4, 142.0)]
    assert total(log) == 35
    assert any("epochs are told of, steps are not" in problem for problem in log.problems)


def test_headings_begin_their_epochs(tmp_path: Path) -> None:
    """PyTorch's tutorial of transfer learning: from 0, with the number of the last one behind the line."""
    lines = [
        line
        for k in range(3)
        for line in (
            f"{stamp(60 * k)} Epoch {k}/24",
            "----------",
            "train Loss: 0.61 Acc: 0.70",
            "val Loss: 0.3 Acc: 0.9",
        )
    ]
    log = read(tmp_path, *lines)
    assert epochs(log) == [(1, 60.0), (2, 60.0)]
    assert total(log) == 25


def test_a_heading_and_a_line_at_the_end_are_of_one_epoch(tmp_path: Path) -> None:
    lines = [
        line
        for k in (1, 2, 3)
        for line in (f"{stamp(100 * k)} Epoch {k}/3", f"{stamp(100 * k + 90)} Epoch {k} - loss: 0.5 - val_loss: 0.4")
    ]
    found = epochs(read(tmp_path, *lines))
    assert [done for done, _ in found] == [1, 2, 3]
    assert [seconds for _, seconds in found] == [100.0] * 3


def test_lines_within_an_epoch_count_it_once(tmp_path: Path) -> None:
    """Forty batches an epoch, 2 s each, and no number of any of them."""
    lines = [
        f"{stamp(2 * (40 * k + n))} - INFO - Epoch {k + 1} - Batch loss: 1{n}.13" for k in range(3) for n in range(40)
    ]
    assert epochs(read(tmp_path, *lines)) == [(1, 80.0), (2, 80.0)]


@pytest.mark.parametrize(
    "end",
    [
        "avg_loss: 488.539 time: {}s",
        "({}s) | Train Loss: 0.0261 | Val Loss: 0.0286",
        "| loss 0.12 | took {} s",
        "- {}s - loss: 0.5",
    ],
)
def test_times_of_the_lines_count_where_no_moment_does(tmp_path: Path, end: str) -> None:
    log = read(tmp_path, *(f"Epoch: {k:04d} {end.format(f'{40 + k}.25')}" for k in range(3)))
    assert epochs(log) == [(1, 40.25), (2, 41.25), (3, 42.25)]
    assert run_document(log)["wall_s"] == pytest.approx(123.75)


def test_times_since_the_beginning_are_told_apart(tmp_path: Path) -> None:
    log = read(tmp_path, *(f"Epoch {k} loss 0.5 total time: {30 * k}.0 s" for k in (1, 2, 3, 4)))
    assert epochs(log) == [(1, 30.0), (2, 30.0), (3, 30.0), (4, 30.0)]


def test_every_twentieth_epoch_stands_for_twenty(tmp_path: Path) -> None:
    lines = [f"{stamp(30 * k)} - components - INFO - Epoch {20 * k}/200: train_loss=0.45" for k in (2, 3, 4)]
    assert epochs(read(tmp_path, *lines)) == [(39, None), (40, None), (60, 30.0), (80, 30.0)]


def test_a_run_that_goes_on_has_not_done_what_was_before(tmp_path: Path) -> None:
    lines = [f"{stamp(50 * k)} Epoch {145 + k}: Train Loss=0.05, Val Loss=0.04" for k in range(3)]
    assert epochs(read(tmp_path, *lines)) == [(144, None), (145, None), (146, 50.0), (147, 50.0)]


def test_another_training_begins_anew(tmp_path: Path) -> None:
    lines = [f"Epoch {k}/2 loss 0.5 time: 10.0 s" for k in (1, 2)] * 2
    assert epochs(read(tmp_path, *lines)) == [(1, 10.0), (2, 10.0), (0, None), (1, 10.0), (2, 10.0)]


@pytest.mark.parametrize(
    "line", ["Epochs     : 30", "{'num_epochs': 30, 'lr': 0.1}", "Starting training for 30 epochs", "# epoch: 30"]
)
def test_a_banner_says_how_many_there_are(tmp_path: Path, line: str) -> None:
    log = read(tmp_path, line, "Epoch: 1 Training Loss: 0.7", "Epoch: 2 Training Loss: 0.6")
    assert total(log) == 30


def test_steps_are_finer(tmp_path: Path) -> None:
    lines = [
        line
        for k in (1, 2)
        for line in (f"{stamp(60 * k)} Epoch {k}/2", *(f"{stamp(60 * k + n)} Step {n} | loss: 0.5" for n in (20, 40)))
    ]
    log = read(tmp_path, *lines)
    assert epochs(log) == []
    assert {item.kind for item in log.observations} == {"step"}


@pytest.mark.parametrize(
    "line",
    [
        "Saved new best Diffusion model at epoch {} with val loss 1.0190",
        "Best epoch: {}, loss 0.4",
        "Resume training from epoch {}",
        "INFO:root:Evaluation Epoch {} - Average Loss: 4.5484",
        "Epoch {}.5 loss: 0.4",
        "warmup_epoch: {}",
        "Early stopping at epoch {}",
    ],
)
def test_an_epoch_that_is_named_beside_something_else_is_none(line: str) -> None:
    reader = EpochsAlone()
    assert [reader.observe(line.format(k), 10.0 * k, 0) for k in (1, 2, 3)] == [[], [], []]


def test_of_several_ranks_the_first_counts() -> None:
    reader = EpochsAlone()
    said: list[Observation] = []
    for k in (1, 2, 3):
        for rank in (0, 1):
            said += reader.observe(f"Epoch {k} loss: 0.5", 10.0 * k, rank)
    assert [(item.epoch, item.rank) for item in said] == [(1, 0), (2, 0), (3, 0)]


FASTAI = """
epoch     train_loss  valid_loss  accuracy  time
0         0.470989    0.399647    0.818320  11:36
epoch     train_loss  valid_loss  accuracy  time
0         0.347313    0.300254    0.875400  30:52
1         0.278736    0.217268    0.914320  1:00:12
"""


def test_fastai_prints_a_table_for_each_of_its_trainings(tmp_path: Path) -> None:
    """`fine_tune` trains the head for an epoch, then all of the model."""
    found = epochs(read(tmp_path, *FASTAI.splitlines()))
    assert found == [(1, 696.0), (0, None), (1, 1852.0), (2, 3612.0)]


def test_skorch_prints_a_table_with_seconds(tmp_path: Path) -> None:
    log = read(
        tmp_path,
        "  epoch    train_loss    valid_acc    valid_loss     dur",
        "-------  ------------  -----------  ------------  ------",
        "      1        \x1b[36m0.7111\x1b[0m       \x1b[32m0.5100\x1b[0m        \x1b[35m0.6894\x1b[0m  0.1345",
        "      2        0.7021       0.5200        0.6800  0.1215",
    )
    assert epochs(log) == [(1, 0.1345), (2, 0.1215)]


def test_mxnet_says_what_an_epoch_cost(tmp_path: Path) -> None:
    """Its batches are of a size that is not said, and so are its steps to come."""
    lines = [
        line
        for k in (0, 1)
        for line in (
            *(
                f"INFO:root:Epoch[{k}] Batch [{n}]\tSpeed: 62.21 samples/sec\tTrain-accuracy=0.99{k}"
                for n in (100, 200)
            ),
            f"INFO:root:Epoch[{k}] Train-accuracy=0.993666",
            f"INFO:root:Epoch[{k}] Time cost=97{k}.951",
            f"INFO:root:Epoch[{k}] Validation-accuracy=0.988455",
        )
    ]
    assert epochs(read(tmp_path, *lines)) == [(1, 970.951), (2, 971.951)]


@pytest.mark.parametrize("line", ["warmup epochs: 5", "save every epochs = 10", "early_stop_epochs: 7"])
def test_other_numbers_of_epochs_are_not_theirs(tmp_path: Path, line: str) -> None:
    log = read(tmp_path, line, "Epoch: 1 Training Loss: 0.7", "Epoch: 2 Training Loss: 0.6")
    assert total(log) is None


def test_ranks_that_nothing_tells_apart_begin_no_other_training(tmp_path: Path) -> None:
    order = [1, 1, 2, 2, 3, 4, 3, 4, 5, 5]
    alike = read(tmp_path, *(f"{stamp(10 * n)} INFO Epoch {k}/5 loss: 0.5" for n, k in enumerate(order)))
    assert [done for done, _ in epochs(alike)] == [1, 2, 3, 4, 5]
    unlike = read(tmp_path, *(f"{stamp(10 * n)} INFO Epoch {k}/5 loss: 0.{n}" for n, k in enumerate(order)))
    assert [done for done, _ in epochs(unlike)] == [1, 2, 3, 4]


@pytest.mark.parametrize("line", ["epoch: 100", "+ python train.py --epoch 100 --lr 1e-3", "Start epoch: 0"])
def test_a_setting_is_no_progress(tmp_path: Path, line: str) -> None:
    log = read(tmp_path, line, *(f"{stamp(30 * k)} Epoch {k}/100, loss: 0.5" for k in (1, 2, 3)))
    assert epochs(log) == [(1, None), (2, 30.0), (3, 30.0)]
    assert total(log) == 100


def test_rows_without_a_step_leave_epochs_as_they_are(tmp_path: Path) -> None:
    bars = [f"Epochs: {10 * n:3d}%|###| {n}/10 [00:{7 * n:02d}<00:30,  7.00s/it]" for n in range(4)]
    lines = [line for shown in bars for line in (shown, "{'train_loss': 0.5, 'val_loss': 0.4}", shown)]
    assert epochs(read(tmp_path, *lines)) == [(1, 7.0), (2, 7.0), (3, 7.0)]


def test_a_bar_that_jumps_from_its_beginning_did_all_of_it(tmp_path: Path) -> None:
    lines = ["Epochs:   0%| | 0/10 [00:00<?, ?it/s]", "Epochs: 100%|##########| 10/10 [01:10<00:00,  7.00s/it]"]
    assert epochs(read(tmp_path, *lines)) == [(10, 70.0)]


@pytest.mark.parametrize(
    "end",
    [
        "- data_time: 0.31 - batch_time: 0.45 - loss 0.5",
        "data loading took 12 s",
        "validation took 3.2 s",
        "(120s left)",
        "remaining time: 1200 s",
        "cost=29.800000000",
        "duration model loss: 812.5",
        "time MAE: 812.5",
        "loss 0.3, finishes in 100s",
        "estimated time 96s",
        "of 9, 12 M params",
        "time limit 30s",
        "| loss 0.3 [00:15]",
        "Time: 2024-01-05 10:11:12",
    ],
)
def test_times_of_something_else_are_not_an_epochs(end: str) -> None:
    named = epoch_named(f"Epoch 3 {end}")
    assert named is not None
    assert named.took_s is None


@pytest.mark.parametrize(
    ("end", "seconds"),
    [
        ("finished in 42.1s", 42.1),
        ("completed in 12 seconds", 12.0),
        ("val_loss 0.5 time 1m 12s", 72.0),
        ("- 34s", 34.0),
        ("time: 1m12s", 72.0),
        ("took 1h2m3s", 3723.0),
        ("time: 1,234.5s", 1234.5),
        ("time: 350us", 0.00035),
        ("time: 1.2e-02s", 0.012),
        ("time (ms): 2500", 2.5),
        ("time(min): 2.5", 150.0),
        ("time: 12,5 s", 12.5),
        ("time: 1 day, 2:00:00", 93_600.0),
        ("took 1 minutes and 12 seconds", 72.0),
        ("cost: 0.35 time: 12s", 12.0),
        ("finished. Loss: 0.3. Time taken: 0:00:31.123456", 31.123456),
        ("loss 0.3 time 0:02:11", 131.0),
        ("(1m12s)", 72.0),
        ("loss 0.3, 12.5 s/epoch", 12.5),
        ("Accuracy: 910/10000 (92%) time 12s", 12.0),
        ("time/step 15ms time/epoch 15s", 15.0),
        ("loss 0.3 耗时: 12.3秒", 12.3),
    ],
)
def test_times_of_epochs(end: str, seconds: float) -> None:
    named = epoch_named(f"Epoch 3 {end}")
    assert named is not None
    assert (named.took_s, named.sure) == (seconds, True)


def test_stamps_say_more_than_the_times_beside_them(tmp_path: Path) -> None:
    """Every tenth epoch is told of, 30 s after the one before; a slow first one hides that the time is a sum."""
    tenth = read(tmp_path, *(f"{stamp(3 * k)} Epoch {k}/100 loss 0.5 time: 30.0s" for k in (10, 20, 30)))
    assert epochs(tenth)[-2:] == [(20, pytest.approx(30.0)), (30, pytest.approx(30.0))]
    summed = read(tmp_path, *(f"Epoch {k} loss 0.5 total time: {45 + 15 * k} s" for k in (1, 2, 3)))
    assert epochs(summed) == [(1, 60.0), (2, 15.0), (3, 15.0)]


def test_lines_that_stand_there_twice_are_one(tmp_path: Path) -> None:
    lines = [line for k in (1, 2, 3) for line in [f"Epoch {k} | loss 0.5 | time: 42 s"] * 2]
    assert epochs(read(tmp_path, *lines)) == [(1, 42.0), (2, 42.0), (3, 42.0)]


def test_epochs_before_the_first_step_leave_its_time_alone(tmp_path: Path) -> None:
    """Of 1,000 steps the log says nothing but that they are done: their time is not what passed since a heading."""
    headings = [f"{stamp(100 * k)} Epoch {k + 1}" for k in range(3)]
    log = read(tmp_path, *headings, f"{stamp(320)} Step 1000 | loss: 0.5", f"{stamp(420)} Step 2000 | loss: 0.4")
    assert [(item.step, item.seconds) for item in log.observations] == [(1000, None), (2000, 100.0)]


def test_an_epoch_that_was_broken_off_begins_with_its_last_heading(tmp_path: Path) -> None:
    """A file to which each start of a script is added: an hour lies between the first two."""
    lines = [
        f"{stamp(0)} Epoch 1/3",
        f"{stamp(3600)} Epoch 1/3",
        f"{stamp(3700)} Epoch 2/3",
        f"{stamp(3800)} Epoch 3/3",
    ]
    assert epochs(read(tmp_path, *lines)) == [(1, 100.0), (2, 100.0)]


WORDS = st.sampled_from(
    ["Epoch 1/3", "Epoch: 2", "epoch 0", "Epoch 000012", "Epoch [3/10]", "loss: 0.5", "time: 3.5 s", "- 4s", "val",
     "time: 999999999999h", "took 1m 3s", "(12s)", "Epochs: 10", "num_epochs=999999", "epoch  train_loss  time",
     "1  0.5  00:03", "2  0.4  1:00:03", "2025-06-04 17:00:03,341", "2025-06-04 16:00:03", "[rank1]:", "\x00", "é中",
     " 50%|###  | 1/2 [00:03<00:03,  3.00s/epoch]", "{'loss': 0.5}", "{'loss': 0.5, 'epoch': 1.0}",
     "Step 3 | loss: 0.4"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(WORDS, min_size=1, max_size=4).map(" ".join), max_size=30), st.booleans())
def test_whatever_stands_there_epochs_go_on_and_take_time(lines: list[str], live: bool) -> None:
    reader, remaining = LineReader(), Remaining(Course(total_epochs=20))
    said: list[Observation] = []
    for number, line in enumerate(lines):
        said += reader.feed(f"{line}\n", at_s=float(number) if live else None)
    before = 0.0
    for item in said + reader.close():
        remaining.feed(item)
        if item.kind != "epoch":
            continue
        done = item.epoch or 0.0
        assert done >= before or item.seconds is None  # another training
        assert item.seconds is None or item.seconds >= 0
        assert item.values.get("epochs", done) >= done
        before = done
    left = remaining.left()
    assert left.p50_s is None or 0 <= left.p50_s < math.inf


@pytest.mark.parametrize(
    "prefix",
    [
        "2026-11-22 10:01:00,123 INFO     ",
        "[10:01:00] INFO     ",
        "WARNING ",
        "2026-11-22 10:01:00,123 INFO trainer ",
        "2026-11-22T10:01:00.123Z stdout F ",
        "Sun Nov 22 10:01:00 2026 ",
        "Fold 1, ",
        "Fold 1 ",
        "🚀 ",
        "Time for ",
        "[train] ",
        "loss: 0.3, ",
    ],
)
def test_what_may_stand_before_an_epoch(prefix: str) -> None:
    named = epoch_named(f"{prefix}Epoch 3/9 loss 0.3")
    assert named is not None
    assert (named.epoch, named.epochs) == (3, 9)


def test_constant_times_that_are_called_elapsed_are_of_one_epoch(tmp_path: Path) -> None:
    lines = [f"Epoch {k}/9 loss 0.3 elapsed: {20 + k / 10}s" for k in (1, 2, 3, 4)]
    assert epochs(read(tmp_path, *lines)) == [(k, pytest.approx(20 + k / 10)) for k in (1, 2, 3, 4)]


def test_a_short_first_epoch_makes_no_sum_of_the_others(tmp_path: Path) -> None:
    lines = [f"Epoch {k}/9 loss 0.3 time: {seconds}s" for k, seconds in enumerate((5.1, 9.0, 9.2, 9.3), 1)]
    assert epochs(read(tmp_path, *lines))[2:] == [(3, pytest.approx(9.2)), (4, pytest.approx(9.3))]


def test_lines_of_training_and_validation_are_two_kinds(tmp_path: Path) -> None:
    lines = [
        f"[{what}] epoch {k}/9 loss 0.3 time {seconds}s"
        for k in (1, 2, 3)
        for what, seconds in (("train", 10), ("valid", 2))
    ]
    assert [done for done, _ in epochs(read(tmp_path, *lines))] == [1, 2, 3]


def test_the_number_that_was_set_decides(tmp_path: Path) -> None:
    lines = ["Namespace(batch_size=64, epochs=9)", *(f"Epoch [{k}/9] loss 0.3" for k in (0, 1, 2))]
    assert total(read(tmp_path, *lines)) == 9
    assert total(read(tmp_path, "python train.py --epochs 30", "Epoch 1 loss: 0.5", "Epoch 2 loss: 0.4")) == 30


def test_rows_of_a_table_may_have_empty_cells(tmp_path: Path) -> None:
    """skorch's checkpoints: `+` where one was saved."""
    rows = [f"      {k}    0.7111    0.5100    0.6894     {'+' if k < 3 else ' '}  0.1345" for k in (1, 2, 3, 4)]
    log = read(tmp_path, "  epoch    train_loss    valid_acc    valid_loss    cp     dur", *rows)
    assert epochs(log) == [(k, 0.1345) for k in (1, 2, 3, 4)]


def test_the_last_heading_is_over_with_the_training(tmp_path: Path) -> None:
    """PyTorch's tutorial of transfer learning, at its end."""
    lines = [line for k in range(3) for line in (f"Epoch {k}/2", "----------", "train Loss: 0.61 Acc: 0.70")]
    log = read(tmp_path, *lines, "", "Training complete in 1m 7s", "Best val Acc: 0.93")
    assert [done for done, _ in epochs(log)] == [1, 2, 3]
    assert total(log) == 3
