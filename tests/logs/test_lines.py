"""What trainings of other tools print, line by line, with figures counted by hand.

The forms are those of the tools' own sources and of logs that their users have published.
"""

from __future__ import annotations

import math

import pytest

from headway.domain.observation import Observation, times_of
from headway.logs.formats.console import LineReader
from headway.logs.forms.metric_lines import metrics_in
from headway.logs.lines.prefix import moment_in, rank_of
from headway.logs.text import duration_s


def told(text: str) -> tuple[LineReader, list[Observation]]:
    reader = LineReader()
    return reader, reader.feed(text) + reader.close()


def times(text: str) -> dict[str, tuple[float, float]]:
    found = times_of(item for item in told(text)[1] if item.rank == 0)
    return {term: (round(timed.seconds, 3), timed.units) for term, timed in found.items()}


def bar(n: int, total: int, elapsed: str, described: str = "", rate: str = "1.00it/s") -> str:
    return f"{described}{100 * n // total:3d}%|{'█' * (10 * n // total)}| {n}/{total} [{elapsed}<00:10, {rate}]"


def clock(seconds: int) -> str:
    return f"{seconds // 60:02d}:{seconds % 60:02d}"


def test_a_single_bar_tells_steps_time_and_total() -> None:
    reader, seen = told(" 25%|██▌ | 807/3232 [06:45<20:15, 2.0it/s] loss: 0.4521")
    assert reader.total_steps == 3232
    assert seen[-1].step == 807
    assert seen[-1].seconds == 405
    assert seen[-1].values["loss"] == 0.4521


def test_bars_of_hours_and_seconds_per_step() -> None:
    first, second = "  1%| | 1/100 [1:02:03<9:00:00, 3.1s/it]", "  2%| | 2/100 [1:02:06<9:00:00, 3.1s/it]"
    seen = told(f"{first}\r{second}")[1]
    assert seen[1].seconds == 3723
    assert seen[2].seconds == 3


def test_training_and_evaluation_bars_do_not_fight() -> None:
    text = "\r".join(bar(n, 40, clock(n)) for n in range(21))
    text += "\r" + "\r".join(bar(n, 5, clock(2 * n)) for n in range(6)) + "\n"
    text += "{'eval_loss': nan, 'eval_runtime': 10.5, 'eval_samples_per_second': 4.0, 'epoch': 0.5}\n"
    text += "\r".join(bar(n, 40, clock(n + 10)) for n in range(21, 41))
    # 50 s by the bar, 10.5 of them the evaluation, which its row and its bar both tell of.
    assert times(text) == {"step": (39.5, 40), "evaluation": (10.5, 1)}
    evaluation = next(item for item in told(text)[1] if item.kind == "evaluation")
    assert math.isnan(evaluation.values["eval_loss"])
    assert evaluation.rows == 42


def test_a_bar_per_epoch_is_one_training() -> None:
    epochs = []
    for epoch in (1, 2, 3):
        train = "\r".join(bar(n, 10, clock(2 * n), f"Epoch {epoch}/3: ") for n in range(11))
        check = "\r".join(bar(n, 4, clock(n), "Validation: ") for n in range(5))
        epochs.append(f"{train}\n{check}")
    reader, seen = told("\n".join(epochs))
    assert reader.total_steps == 30
    assert [item.step for item in seen if item.kind == "step"][-1] == 30
    assert times("\n".join(epochs)) == {"step": (60.0, 30), "evaluation": (12.0, 3)}


def test_loading_and_tokenizing_bars_are_terms() -> None:
    text = bar(4, 4, "00:10", "Loading checkpoint shards: ", "2.5s/it") + "\n"
    text += bar(52_000, 52_000, "00:20", "Map (num_proc=4): ", "2600 examples/s") + "\n"
    text += bar(7, 7, "00:30", "Downloading shards: ") + "\n" + "\r".join(bar(n, 9, clock(n)) for n in range(10))
    assert times(text) == {"load": (10.0, 1), "tokenize": (20.0, 1), "step": (9.0, 9)}


def test_a_resume_that_is_announced_and_one_that_the_bar_shows() -> None:
    bars = "\r".join([bar(0, 40, "00:00"), *(bar(n, 40, clock(2 * (n - 20))) for n in range(21, 41))])
    assert times(f"  Continuing training from global step 20\n{bars}") == {"step": (40.0, 20)}
    bars = "\r".join([bar(0, 900, "00:00"), *(bar(n, 900, clock(5 * (n - 500))) for n in range(501, 521))])
    assert times(bars) == {"step": (100.0, 20)}


def test_a_restart_in_one_file_is_another_attempt() -> None:
    one = "\r".join(bar(n, 40, clock(n)) for n in range(21))
    reader, seen = told(f"{one}\nTraceback (most recent call last):\n{one}\n")
    assert max(item.attempt for item in seen) == 1
    assert sum(item.seconds or 0.0 for item in seen) == 40
    assert "restarted" in reader.problems[0]


def test_rows_of_trainer_5_are_text() -> None:
    row = "{'loss': '6.403', 'grad_norm': 'nan', 'learning_rate': '2e-05', 'epoch': '0.1', 'step': 10}"
    seen = told(row)[1]
    assert (seen[0].step, seen[0].epoch, seen[0].values["loss"]) == (10, 0.1, 6.403)
    assert math.isnan(seen[0].values["grad_norm"])


def test_a_row_over_several_lines_is_one_and_a_repeated_end_counts_once() -> None:
    text = "{'train_runtime': 1.42, 'train_samples_per_second': 1.41,\n 'train_steps_per_second': 0.7, 'epoch': 0.5}\n"
    text += "TrainOutput(global_step=1, training_loss=8.7, metrics={'train_runtime': 1.42, 'epoch': 0.5})\n"
    reader, seen = told(text)
    assert [item.kind for item in seen] == ["end"]
    assert reader.facts["train_runtime_s"] == 1.42


def test_ms_swift_rows_have_a_step_a_total_and_a_clock() -> None:
    rows = [
        f"{{'loss': 1.5, 'memory(GiB)': 12.5, 'global_step/max_steps': '{5 * i}/50', 'elapsed_time': '{i}m 5s'}}\n"
        for i in (1, 2, 3)
    ]
    reader, seen = told("".join(rows))
    assert reader.total_steps == 50
    assert times("".join(rows)) == {"step": (185.0, 15)}
    assert seen[-1].values["memory_bytes"] == 12.5 * 2**30


MEGATRON = (
    " [2026-04-27 00:00:{:02d}] iteration {:8d}/     100 | consumed samples: {:12d} | elapsed time per iteration (ms):"
    " 200.5 | throughput per GPU (TFLOP/s/GPU): 40.4 | learning rate: 1.5E-06 | global batch size:  8 | lm loss:"
    " 1.192634E+01 | loss scale: 1.0 | grad norm: 5.960 | number of skipped iterations:   0 |\n"
)


def test_megatron_tells_the_mean_of_its_interval() -> None:
    text = "".join(MEGATRON.format(2 * i, 10 * i, 80 * i) for i in (1, 2, 3))
    text += " validation loss at iteration 30 | lm loss value: 2.1E+00 | lm loss PPL: 8.1E+00 |\n"
    text += "    save-checkpoint ................................: (1234.50, 1235.00)\n"
    reader, seen = told(text)
    assert reader.total_steps == 100
    assert times(text) == {"step": (6.015, 30), "checkpoint": (1.234, 1)}
    assert (seen[1].rows, seen[1].values["loss"], seen[1].values["grad_norm"]) == (80, 11.92634, 5.96)
    assert seen[3].kind == "evaluation"


def test_nemo_counts_from_nought() -> None:
    line = "Training epoch 0, iteration {}/9 | lr: 1e-05 | reduced_train_loss: 11.03 | train_step_timing in s: 1.2\n"
    text = "".join(line.format(step) for step in range(10))
    assert told(text)[0].total_steps == 10
    assert times(text) == {"step": (12.0, 10)}


def test_keras_of_both_generations() -> None:
    two = " 12/938 [......] - ETA: 1:02 - loss: 2.2\r938/938 [==============] - 25s 27ms/step - loss: 0.3\n"
    three = "\x1b[1m938/938\x1b[0m \x1b[32m━━━━━━━━━━\x1b[0m\x1b[37m\x1b[0m \x1b[1m12s\x1b[0m 13ms/step - loss: 0.2\n"
    text = f"Epoch 1/2\n{two}Epoch 2/2\n{three}"
    reader, seen = told(text)
    assert reader.total_steps == 1876
    assert times(text) == {"step": (37.0, 1876)}
    assert seen[-1].values["loss"] == 0.2


def test_lines_with_a_time_of_one_step() -> None:
    nano = "".join(f"iter {10 * i}: loss 3.2, time 120.50ms, mfu 12.00%\n" for i in range(4))
    assert times(nano) == {"step": (3.615, 30)}
    llm_c = "".join(f"step   {i}/100 | loss 5.2 (+nanz)| norm 1.2 | lr 1e-4 | 123.45 ms | 40% MFU\n" for i in (1, 2))
    assert times(llm_c) == {"step": (0.247, 2)}


def test_a_clock_of_training_alone_leaves_evaluations_out() -> None:
    line = "step:{}/100 {}:4.5 train_time:{}ms step_avg:100ms\n"
    text = "".join(line.format(i, "val_loss" if i % 5 == 0 else "train_loss", 1000 * i) for i in range(12))
    reader, seen = told(text)
    assert reader.total_steps == 100
    assert times(text) == {"step": (11.0, 11)}
    assert sum(item.kind == "evaluation" for item in seen) == 3


def test_stamped_lines_are_timed_by_their_moments() -> None:
    titan = "[rank0]:[titan] 2026-01-01 00:00:{:02d},500 - root - INFO - \x1b[31mstep: {}  loss: 7.5  memory: 12.5GiB\n"
    text = "".join(titan.format(5 * i, 10 * i) for i in (1, 2, 3))
    assert times(text) == {"step": (10.0, 20)}
    assert told(text)[1][0].values["memory_bytes"] == 12.5 * 2**30
    plain = "".join(f"2026-01-01 00:0{i}:00 INFO Epoch [1/3], Step [{100 * i}/900], Loss: 1.5\n" for i in (1, 2, 3))
    assert times(plain) == {"step": (120.0, 200)}


def test_deepspeeds_two_lines_of_one_step_count_once() -> None:
    text = ""
    for i in (1, 2, 3):
        stamp = f"[2026-01-01 00:00:{3 * i:02d},001] [INFO]"
        text += f"{stamp} [logging.py:96:log_dist] [Rank 0] step={10 * i}, skipped=0, lr=[1e-05], mom=[(0.9, 0.95)]\n"
        text += f"{stamp} [timer.py:260:stop] epoch=0/micro_step={10 * i}/global_step={10 * i}, CurrSamplesPerSec=3.1\n"
    assert times(text) == {"step": (6.0, 20)}


def test_mlperf_lines_carry_their_own_clock() -> None:
    events = [
        (0, "init_start", "null", "{}"),
        (60_000, "init_stop", "null", "{}"),
        (60_000, "run_start", "null", "{}"),
        (60_000, "global_batch_size", "8", "{}"),
        (61_000, "train_loss", "1.25", '{"samples_count": 80}'),
        (62_000, "train_loss", "NaN", '{"samples_count": 160}'),
        (62_000, "eval_start", "null", "{}"),
        (65_000, "eval_stop", "null", "{}"),
        (66_000, "train_loss", "1.0", '{"samples_count": 240}'),
        (66_000, "run_stop", "null", "{}"),
    ]
    text = "".join(
        f':::MLLOG {{"time_ms": {1_715_200_000_000 + at}, "key": "{key}", "value": {value}, "metadata": {extra}}}\n'
        for at, key, value, extra in events
    )
    assert times(text) == {"load": (60.0, 1), "step": (3.0, 30), "evaluation": (3.0, 1)}


def test_ranks_are_told_apart() -> None:
    text = "".join(f"[rank{rank}]: {{'loss': 1.5, 'step': {step}}}\n" for step in (10, 20) for rank in (0, 1))
    seen = told(text)[1]
    assert [(item.rank, item.step, item.steps) for item in seen] == [(0, 10, 10), (1, 10, 10), (0, 20, 10), (1, 20, 10)]


def test_moments_of_a_run_in_progress_time_its_steps() -> None:
    reader = LineReader()
    seen = []
    for step in range(1, 6):
        seen += reader.feed(f"{{'loss': 1.5, 'step': {step}}}\n", at_s=1_000.0 + 0.25 * step)
    assert [item.seconds for item in seen] == [None, 0.25, 0.25, 0.25, 0.25]


@pytest.mark.parametrize(
    ("line", "rank", "rest"),
    [
        ("[rank3]: step 1", 3, "step 1"),
        ("[default0]:iteration 1", 0, "iteration 1"),
        ("[1,7]<stdout>:x", 7, "x"),
        ("12: step 1", 12, "step 1"),
        ("[2025] [Rank 2] step=1", 2, "[2025] [Rank 2] step=1"),
        ("step 1", None, "step 1"),
    ],
)
def test_prefixes_of_launchers(line: str, rank: int | None, rest: str) -> None:
    assert rank_of(line) == (rank, rest)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("2024-05-08 20:23:38,250 x", "2024-05-08 20:23:39,750 x"),
        ("[2024-02-28T23:59:59.500Z]", "[2024-02-29T00:00:01Z]"),
        ("05/08/2024 20:23:38.5 - INFO", "05/08/2024 20:23:40 - INFO"),
        ("I0508 20:23:38.500000 123 x.cc", "I0508 20:23:40.000000 123 x.cc"),
        ("[NeMo I 2024-05-08 20:23:38.5 x]", "[NeMo I 2024-05-08 20:23:40 x]"),
        ("2024-05-08T20:23:38.5+02:00", "2024-05-08T18:23:40Z"),
    ],
)
def test_moments_before_a_line(earlier: str, later: str) -> None:
    first, second = moment_in(earlier), moment_in(later)
    assert first is not None
    assert second is not None
    assert second - first == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0:32:48", 1968),
        ("9 days, 21:39:23", 855_563),
        ("1 day, 2:03:04", 93_784),
        ("9-21:39:23", 855_563),
        ("06:45", 405),
        ("1m 5s", 65),
        ("1d 2h 3m 4s", 93_784),
        ("12.5", 12.5),
        ("soon", None),
        (None, None),
        (True, None),
        ("nan", None),
    ],
)
def test_durations_as_tools_print_them(text: object, seconds: float | None) -> None:
    assert duration_s(text) == seconds


FIRST_TWO = {
    "mmengine, iterations": (
        [f"05/01 12:00:0{i} - mmengine - INFO - Iter(train) [{10 * i:5d}/10000]  lr: 2.0000e-05  eta: 1:00:00  "
         "time: 0.1500  data_time: 0.0100  memory: 1000  loss: 2.3" for i in (1, 2)],
        {"step": (3.0, 20)}, 10_000,
    ),
    "timm, from 0": (
        [f"Train: 0 [{50 * i:>4d}/1251 ({4 * i:>3d}%)]  Loss: 6.9 (6.91)  Time: 0.500s, 2000.00/s  "
         "(0.600s, 1706.67/s)  LR: 1.000e-06  Data: 0.010 (0.020)" for i in (0, 1)],
        {"step": (25.5, 51)}, None,
    ),
    "DeepSpeed, resumed: its timer counts from the start of the process": (
        [line for i in (1, 3) for line in (
            f"[2024-01-01 12:00:0{i},000] [INFO] [logging.py:96:log_dist] [Rank 0] step={5000 + 10 * i}, skipped=0, "
            "lr=[1e-05], mom=[[0.9, 0.95]]",
            f"[2024-01-01 12:00:0{i},001] [INFO] [timer.py:260:stop] epoch=0/micro_step={20 * i}/global_step={10 * i}, "
            "RunningAvgSamplesPerSec=12.3, CurrSamplesPerSec=12.1, MemAllocated=1.2GB, MaxMemAllocated=3.4GB",
        )],
        {"step": (2.0, 20)}, None,
    ),
    "MaxText, from 0": (
        [f"completed step: {i}, seconds: 1.250, TFLOP/s/device: 200.123, Tokens/s/device: 5000.1, "
         "total_weights: 65536, loss: 8.100" for i in (0, 1)],
        {"step": (2.5, 2)}, None,
    ),
    "verl": (
        [f"(TaskRunner pid=12) step:{i} - actor/loss:0.1 - critic/score/mean:0.5 - {'x/y:1.0 - ' * 600}"
         "timing_s/gen:20.1 - timing_s/step:45.5 - perf/throughput:100.0" for i in (1, 2)],
        {"step": (91.0, 2)}, None,
    ),
    "MLX": (
        ["Iter 10: Val loss 2.500, Val took 3.250s",
         *(f"Iter {i}: Train loss 2.123, Learning Rate 1.000e-05, It/sec 2.000, Tokens/sec 500.1, Trained Tokens 2500, "
           "Peak mem 10.1 GB" for i in (10, 20))],
        {"step": (10.0, 20), "evaluation": (3.25, 1)}, None,
    ),
    "fairseq's JSON": (
        [f'{{"epoch": 1, "update": 0.1, "loss": "12.3", "num_updates": "{100 * i}", "lr": "0.1", "wall": "{40 * i}"}}'
         for i in (1, 2)],
        {"step": (80.0, 200)}, None,
    ),
    "NeMo-RL": (
        [line for i in (1, 2) for line in (
            f"{'=' * 25} Step {i}/100 {'=' * 25}", "▶ Taking a training step...", "📊 Training Results:",
            "  • Loss: 0.1234", "⏱️  Timing:", "  • Total step time: 12.50s", "  • policy_training: 10.20s (81.6%)",
        )],
        {"step": (25.0, 2)}, 100,
    ),
    "ESPnet: an update may be of several batches": (
        [f"[gpu01:0/2] 2020-07-19 08:{at},000 (trainer:464) INFO: 1epoch:train:{first}-{last}batch: "
         "iter_time=2.878e-04, forward_time=0.134, loss=123.963, loss_att=77.448, lr_0=3.460e-06, train_time=1.816"
         for at, first, last in (("49:04", 1, 682), ("54:09", 683, 1364))],
        {"step": (305.0, 682)}, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FIRST_TWO)
def test_lines_of_more_tools(name: str) -> None:
    lines, expected, total = FIRST_TWO[name]
    text = "\n".join(lines)
    assert times(text) == expected
    assert told(text)[0].total_steps == total


@pytest.mark.parametrize(
    ("line", "each_s"),
    [
        ("step 10 loss 2.3 steps/sec: 1.6", 0.625),
        ("step 10 loss 2.3 steps/sec: 1.6000000000000001", 0.625),
        ("step 10 loss 2.3 steps_per_second=5.0e-02", 20.0),
        ("step 10 loss 2.3, It/s 8", 0.125),
        ("step 10 loss 2.3 1.85 it/s 4.2GB", None),  # the rate stands in front
        ("step 10 loss 2.3 it/sec 1,234", None),
        ("step 10 loss 2.3 env steps/s: 12000", None),
        ("step 10 loss 2.3 eval it/s 40", None),
        ("step 10 loss 2.3 steps/sec: 0.0", None),
    ],
)
def test_a_rate_stands_for_the_time_of_a_step(line: str, each_s: float | None) -> None:
    found = metrics_in(line)
    assert found is not None
    assert found.each_s == (None if each_s is None else pytest.approx(each_s))


def test_a_row_with_a_wall_that_is_no_clock() -> None:
    rows = [f'{{"step": {i}, "loss": 2.3, "wall": 0.53, "time": {1_700_000_000 + 3 * i}}}' for i in (1, 2, 3)]
    assert times("\n".join(rows)) == {"step": (6.0, 2)}


def heard(lines: list[tuple[float, str]]) -> tuple[LineReader, list[Observation]]:
    """What lines that come at such moments say."""
    reader = LineReader()
    return reader, [item for at_s, line in lines for item in reader.feed(line + "\n", at_s=at_s)]


def test_composers_console_is_timed_by_when_it_comes() -> None:
    reader, seen = heard([
        (0.0, "[batch=1/4]:"), (0.0, "\t Train time/batch: 0"), (0.0, "\t Train loss/train/total: 11.7"),
        (2.0, "[batch=2/4]:"), (2.0, "\t Train time/batch: 1"),
        (3.0, "[Eval batch=1/2] Eval on eval data"), (4.5, "[Eval batch=2/2] Eval on eval data:"),
        (6.5, "[batch=3/4]:"),
    ])  # fmt: skip
    found = times_of(seen)
    assert reader.total_steps == 4
    assert (found["step"].seconds, found["step"].units) == (4.0, 2)
    assert (found["evaluation"].seconds, found["evaluation"].units) == (2.5, 1)


def test_composer_counts_batches_also_where_a_run_is_measured_in_epochs_or_tokens() -> None:
    _, seen = heard([(1.0 * i, f"[epoch={1 + i // 2}][batch={1 + i % 2}/2]:") for i in range(4)])
    assert [item.step for item in seen if item.kind == "step"] == [1, 2, 3, 4]
    tokens = [line for i in range(3) for line in ((i, f"[token={i + 1}00/900]:"), (i, f"\t Train time/batch: {9 + i}"))]
    _, seen = heard(tokens)
    assert [item.step for item in seen if item.kind == "step"] == [10, 11, 12]


def test_spacys_table_is_one_row_an_evaluation() -> None:
    table = [
        "E    #       LOSS TOK2VEC  LOSS NER  ENTS_F  ENTS_P  ENTS_R  SCORE ",
        "---  ------  ------------  --------  ------  ------  ------  ------",
        "  0       0          0.00     45.50    0.00    0.00    0.00    0.00",
        "  0     200         12.31    901.22   55.01   60.00   51.00    0.55",
        "  1     400         20.02    450.10   71.20   73.00   70.00    0.71",
    ]
    _, seen = heard([(40.0 * index, line) for index, line in enumerate(table)])
    steps = [item for item in seen if item.kind == "step"]
    assert [item.step for item in steps] == [0, 200, 400]
    assert steps[-1].values == {
        "loss tok2vec": 20.02, "loss ner": 450.10, "ents_f": 71.20, "ents_p": 73.0, "ents_r": 70.0, "score": 0.71
    }  # fmt: skip
    assert (times_of(seen)["step"].seconds, times_of(seen)["step"].units) == (80.0, 400)


def test_numbers_below_no_table_and_banners_without_times_are_no_steps() -> None:
    _, seen = heard([(0.0, "  0     200         12.31    901.22"), (1.0, f"{'=' * 25} Step 3/9 {'=' * 25}"),
                     (2.0, "[Eval batch=1/2] Eval on eval data"), (3.0, "  • Total time: 3.00s")])  # fmt: skip
    assert seen == []


def test_a_log_that_begins_in_the_middle_tells_of_what_it_shows() -> None:
    """A run of Megatron that was resumed, and one of nanoGPT: the first line is no hundred thousand steps long."""
    line = " iteration {}/  250000 | consumed samples: 1 | elapsed time per iteration (ms): {} | lm loss: 2.3E+00 |\n"
    assert times(line.format(100001, 61995.3) + line.format(100002, 12553.7)) == {"step": (74.549, 2)}
    assert times(line.format(100, 500.0) + line.format(200, 400.0)) == {"step": (90.0, 200)}  # a mean of a hundred
    again = "iter 60000: loss 2.79, time 42509.50ms\niter 60010: loss 2.80, time 250.00ms\n"
    assert times(again) == {"step": (45.01, 11)}


def test_a_first_line_while_it_is_printed_has_no_more_time_than_passed() -> None:
    reader = LineReader()
    reader.course.take(Observation(kind="device", at_s=0.0, rank=-1))
    reader.feed("starting\n", at_s=1.0)
    (first,) = [item for item in reader.feed("iter 500: loss 2.8, time 400.00ms\n", at_s=9.0) if item.kind == "step"]
    assert (first.steps, first.seconds) == (1, 0.4)


def test_a_rate_that_is_the_same_by_chance_does_not_hide_an_interval() -> None:
    lines = ["  0%|          | 0/1000 [00:00<?, ?it/s]\n"]
    for done in range(100, 700, 100):
        lines += [bar(done, 1000, clock(3 * done), rate="3.00s/it"), "\n", "{'loss': 2.0, 'epoch': 0.1}\n"]
    assert times("".join(lines)) == {"step": (1800.0, 600)}


def test_a_stamped_log_that_begins_in_the_middle_of_a_bar() -> None:
    """What `kubectl logs --timestamps --tail` gives: an hour of steps before, then 36 s for every ten."""
    lines = []
    for index in range(4):
        shown = f"2024-08-20T12:0{index * 36 // 60}:{index * 36 % 60:02d}"
        lines.append(f"{shown}.100000Z {bar(1000 + 10 * index, 3000, f'1:{clock(36 * index)}', rate='3.60s/it')}\n")
        lines.append(f"{shown}.200000Z {{'loss': 0.5, 'learning_rate': 1e-05, 'epoch': 1.0}}\n")
    reader, seen = told("".join(lines))
    assert not list(reader.problems)
    assert [item.seconds for item in seen if item.kind == "step" and item.steps == 10] == pytest.approx([36.0] * 3)
