"""What named trainers print, as their users have published it; figures worked out by hand from the lines."""

from __future__ import annotations

import pytest
from tests.logs.told import steps, times, told


def megatron(step: int, seconds: float, total: int = 3_125_000) -> str:
    return (
        f"[default3]: iteration {step:8d}/ {total} | consumed samples: {96 * step:12d} |"
        f" elapsed time per iteration (s): {seconds:.4f} | learning rate: 4.438E-07 | lm loss: 1.010967E+01 |"
    )


class TestMegatronDeepSpeed:
    def test_its_times_are_seconds(self) -> None:
        reader, said = told(megatron(10, 7.231), megatron(20, 5.3551))
        assert times(said) == {"step": (125.861, 20)}
        assert reader.total_steps == 3_125_000
        assert said[-1].rows == 960

    def test_a_log_that_begins_late_tells_of_one_step_first(self) -> None:
        _, said = told(megatron(94_768, 215.82, 115_311), "after restart", megatron(94_769, 215.99, 115_311))
        assert times(said) == {"step": (431.81, 2)}


def test_mlx_says_its_iterations_before_them() -> None:
    line = "Iter {}: Train loss 2.1, Learning Rate 1.000e-05, It/sec {}, Tokens/sec 16.1, Trained Tokens 3137"
    reader, said = told(
        "Starting training..., iters: 1000",
        "Iter 1: Val loss 2.935, Val took 28.274s",
        line.format(10, 0.125),
        line.format(20, 8.0),
    )
    assert reader.total_steps == 1000
    assert times(said) == {"step": (81.25, 20), "evaluation": (28.274, 1)}


class TestLeRobot:
    LINE = "INFO 2025-05-28 12:{} ts/train.py:232 step:{} smpl:2K ep:3 epch:0.16 loss:7.490 grdn:1.5 lr:1.0e-05 {}"

    def line(self, at: str, step: str, update_s: float, data_s: float = 0.0) -> str:
        return self.LINE.format(at, step, f"updt_s:{update_s:.3f} data_s:{data_s:.3f}")

    def test_thousands_go_on_as_far_apart_as_the_steps_before(self) -> None:
        shown = ["200", "400", "600", "800", "1K", "1K", "1K", "2K", "2K"]
        at = ["12:40", "12:48", "12:57", "13:05", "13:14", "13:22", "13:31", "13:40", "13:48"]
        reader, said = told(*(self.line(*both, 0.041, 0.001) for both in zip(at, shown, strict=True)))
        assert steps(said) == [200, 400, 600, 800, 1000, 1200, 1400, 1600, 1800]
        assert times(said) == {"step": (75.6, 1800)}
        assert reader.total_steps is None

    def test_thousands_alone_are_taken_as_they_stand(self) -> None:
        _, said = told(*(self.line(f"12:{n}0", step, 0.05) for n, step in enumerate(("20K", "20K", "21K", "21K"), 1)))
        assert steps(said) == [20_000, 20_000, 21_000, 21_000]

    def test_a_newer_one_beside_a_bar(self) -> None:
        bar = "Training:  12%|#2        | 6000/50000 [22:14<2:51:08,  4.88step/s]"
        line = "INFO step:6000 smpl:24000 ep:1 loss:0.412 grdn:3.201 lr:9.8e-05 updt_s:0.180 data_s:0.062"
        reader, said = told(bar, line)
        assert set(steps(said)) == {6000}
        assert reader.total_steps == 50_000


class TestMindFormers:
    def test_epochs_and_milliseconds(self) -> None:
        line = (
            "2025-04-07 15:34:{} - [callback.py:529] - INFO - {{ Epoch:[  1/  2], step:[{:5d}/   19], loss: 10.649,"
            " per_step_time: {}ms, lr: 0.0, overflow cond: False, loss_scale: 1.0"
        )
        reader, said = told(line.format("27,308", 1, 103_328), line.format("29,173", 2, 1752))
        assert times(said) == {"step": (105.08, 2)}
        assert reader.total_steps == 38

    def test_without_epochs_the_count_is_that_of_the_run(self) -> None:
        line = "{{ step:[{:5d}/   10], loss:  11.8, per_step_time: {:6d}ms, lr: 1.0e-05, throughput:   1.36T }}"
        reader, said = told(line.format(1, 13_570), line.format(2, 710))
        assert times(said) == {"step": (14.28, 2)}
        assert reader.total_steps == 10


class TestMindSpore:
    LOSS = "epoch: {} step: {}, loss is 6.558913"
    TIME = "epoch time: {} ms, per step time: {} ms"

    def test_an_epoch_has_its_time_in_the_next_line(self) -> None:
        lines = [self.LOSS.format(1, 400), self.TIME.format("4000.000", "10.000"),
                 self.LOSS.format(2, 400), "Train " + self.TIME.format("3200.000", "8.000")]  # fmt: skip
        _, said = told(*lines)
        assert steps(said) == [400, 800]
        assert times(said) == {"step": (7.2, 800)}

    def test_losses_of_each_step_are_told_as_they_come(self) -> None:
        lines = [self.LOSS.format(1, step) for step in (1, 2, 3)] + [self.TIME.format("30.0", "10.0")]
        _, said = told(*lines, *(self.LOSS.format(2, step) for step in (1, 2)))
        assert steps(said) == [2, 3, 4, 5]
        assert times(said) == {}


class TestPaddleNlp:
    STEP = "[2022-08-31 15:39:{}] [    INFO] - loss: 0.11, lr: 1.8e-06, global_step: {}, interval_runtime: {}"
    RATE = ", interval_samples_per_second: 9.103, interval_steps_per_second: {}, epoch: 20.0"

    def test_a_save_and_an_evaluation_are_not_the_steps_after_them(self) -> None:
        _, said = told(
            self.STEP.format("25,594", 10, 0.8788) + self.RATE.format(11.379),
            "[2022-08-31 15:39:25,594] [    INFO] - ***** Running Evaluation *****",
            "[2022-08-31 15:39:26,266] [    INFO] - eval_loss: 0.95, eval_accuracy: 0.75, eval_runtime: 0.6708,"
            " eval_samples_per_second: 238.532, eval_steps_per_second: 4.472, epoch: 20.0",
            "[2022-08-31 15:39:26,266] [    INFO] - Saving model checkpoint to ./checkpoints/checkpoint-10",
            "[2022-08-31 15:39:29,251] [    INFO] - tokenizer config file saved in ./out/checkpoint-10/tokenizer.json",
            self.STEP.format("36,089", 20, 10.4958) + self.RATE.format(0.953),
            self.STEP.format("36,965", 30, 0.8758) + self.RATE.format(11.418),
        )
        assert steps(said) == [10, 20, 30]
        # 10.4958 s, of them 0.6708 of the evaluation and ten steps as before.
        assert times(said) == {"step": (2.633, 30), "evaluation": (0.671, 1), "checkpoint": (8.946, 1)}
        assert [item.step for item in said if item.kind == "evaluation"] == [10]

    def test_without_moments(self) -> None:
        line = "[    INFO] - loss: 12.06, global_step: {}, interval_runtime: {}, interval_steps_per_second: {}"
        _, said = told(line.format(1, 1.1518, 0.8682), line.format(2, 0.2556, 3.913))
        assert times(said) == {"step": (1.407, 2)}


def test_hifi_gan_names_the_seconds_of_a_batch() -> None:
    line = "Steps : {}, Gen Loss: 3.475, Disc Loss: 0.589, Time Loss: 1.252, s/b : {}"
    _, said = told("Epoch: 1", line.format(0, 1.858), line.format(200, 0.32), line.format(400, 0.336))
    assert steps(said) == [0, 200, 400]
    assert times(said) == {"step": (131.2, 400)}


def test_min_gpt_knows_no_time_at_its_first_iteration() -> None:
    line = "iter_dt {}ms; iter {}: train loss 1.05609"
    _, said = told(line.format("0.00", 0), line.format("231.01", 100), line.format("318.02", 200))
    assert times(said) == {"step": (54.903, 200)}
    assert times(told(line.format("0.00", 100))[1]) == {}
    stamped = "10/21/2024 18:23:{} - INFO - src.trainer -   " + line
    _, said = told(stamped.format("02", "0.00", 0), stamped.format("05", "20.87", 100))
    assert times(said) == {"step": (3.0, 100)}


class TestTimm:
    HEAD = "2024-03-06 19:{} - train: [    INFO] - {}"
    TRAIN = "Train: {} [{:4d}/390 ({:3d}%)]  Loss: 13.42 (13.4)  Loss_gt: 6.973 (6.97) LR: 1.000e-04"
    TEST = "Test: [{:4d}/78]  Time: {} ({})  Loss:  6.6175 (6.6175)  Acc@1:  0.0000 ( 0.0000)"

    def line(self, at: str, epoch: int, step: int) -> str:
        return self.HEAD.format(at, self.TRAIN.format(epoch, step, 100 * step // 390))

    def test_a_killed_run_and_the_next_with_its_evaluation(self) -> None:
        reader, said = told(
            self.HEAD.format("45:01,485", "Scheduled epochs: 300"),
            *(self.line(*one) for one in (("45:25,127", 0, 0), ("47:15,913", 0, 200), ("48:59,177", 0, 389))),
            self.HEAD.format("52:36,215", "Scheduled epochs: 300"),
            *(self.line(*one) for one in (("52:50,642", 0, 0), ("54:31,958", 0, 200), ("56:05,232", 0, 389))),
            self.HEAD.format("56:10,347", self.TEST.format(0, "5.114", "5.114")),
            self.HEAD.format("56:18,442", self.TEST.format(78, "0.209", "0.167")),
            *(self.line(*one) for one in (("56:19,307", 1, 0), ("58:04,887", 1, 200))),
        )
        assert steps(said) == [1, 201, 390, 1, 201, 390, 391, 591]
        assert {item.attempt for item in said} == {0, 1}
        assert reader.total_steps == 117_000
        # 79 batches of 0.167 s; 214.05 s in the first run, 194.59, 0.882 and 105.58 s in the second.
        assert times(said) == {"step": (515.102, 979), "evaluation": (13.193, 1)}
        assert [item.step for item in said if item.kind == "evaluation"] == [390]

    def test_a_resumed_run_goes_on(self) -> None:
        reader, said = told("Scheduled epochs: 300", self.line("45:25,127", 5, 0), self.line("47:15,913", 5, 200))
        assert steps(said) == [1951, 2151]
        assert reader.total_steps == 117_000


class TestChainer:
    def test_a_table_of_iterations(self) -> None:
        _, said = told(
            "iteration   main/loss   validation/main/loss  main/accuracy  validation/main/accuracy  elapsed_time",
            "1           5.80999                           0.08                                     0.64273",
            "2           10.8657                           0.14                                     0.679493",
            "5           2.22639     1.2                   0.14           0.5                       0.741015",
        )
        assert steps(said) == [1, 2, 5]
        assert times(said) == {"step": (0.741, 5)}

    def test_a_resumed_one_does_not_tell_of_its_first_row(self) -> None:
        _, said = told(
            "epoch       iteration   main/loss   elapsed_time",
            "3           1800        0.05        34.0",
            "4           2400        0.04        44.5",
        )
        assert steps(said) == [1800, 2400]
        assert times(said) == {"step": (10.5, 600)}


class TestHeadings:
    @pytest.mark.parametrize(
        "heading", ["Epoch {}/3", "Epoch [{}/3]", "===== Epoch {} / 3 =====", "[Train] Epoch {} of 3:"]
    )
    def test_counts_below_an_epoch_go_on(self, heading: str) -> None:
        lines = [
            line
            for epoch in (1, 2)
            for line in (heading.format(epoch), *(f"step {step}/100 loss: 2.0" for step in (50, 100)))
        ]
        reader, said = told(*lines)
        assert steps(said) == [50, 100, 150, 200]
        assert reader.total_steps == 300
        assert {item.attempt for item in said} == {0}

    def test_a_count_of_the_run_is_left_as_it_is(self) -> None:
        reader, said = told("Epoch 1/2", "step 50/200 loss: 2.0", "step 100/200 loss: 2.0", "Epoch 2/2",
                            "step 150/200 loss: 1.0")  # fmt: skip
        assert steps(said) == [50, 100, 150]
        assert reader.total_steps == 200

    def test_an_epoch_of_an_unknown_number_says_nothing_of_the_run(self) -> None:
        reader, said = told("[Training] Epoch 1:", "Step 96/818 - loss: 1.2", "Step 192/818 - loss: 1.1")
        assert steps(said) == [96, 192]
        assert reader.total_steps is None


def test_darknet_has_a_line_for_each_batch() -> None:
    _, said = told(
        "Loaded: 0.000034 seconds",
        "Region 94 Avg IOU: 0.775313, Class: 0.775805, Obj: 0.726921, No Obj: 0.002233, .5R: 1.0,  count: 28",
        " 1: 730.512, 730.512 avg, 0.000000 rate, 3.250000 seconds, 64 images",
        " 2: 2.950644, 15.939886 avg loss, 0.001000 rate, 2.750000 seconds, 128 images, 12.300000 hours left",
        " 3: -nan, nan avg loss, 0.001000 rate, 3.000000 seconds, 192 images",
    )
    assert times(said) == {"step": (9.0, 3)}
    assert [item.rows for item in said] == [None, 64, 64]
    assert said[1].values == {"loss": 2.950644, "learning_rate": 0.001}


def test_fastai_shows_bars_of_its_own() -> None:
    """fastprogress on a console: a bar of the training and one of the validation under the same words."""

    def shown(epoch: int, n: int, total: int, elapsed_s: int, loss: str = " 0.4512") -> str:
        filled = "█" * n + "-" * (total - n)
        return f"Epoch {epoch}/2 : |{filled}| {100 * n / total:.2f}% [{n}/{total} 00:{elapsed_s:02d}<00:05{loss}]"

    lines = [
        line
        for epoch in (1, 2)
        for line in (
            *(shown(epoch, n, 20, 2 * n, "" if n == 0 else " 0.4512") for n in (0, 5, 10, 15, 20)),
            *(shown(epoch, n, 4, n) for n in (0, 2, 4)),
        )
    ]
    reader, said = told(*lines)
    assert steps(said) == [5, 10, 15, 20, 25, 30, 35, 40]
    assert times(said) == {"step": (80.0, 40), "evaluation": (8.0, 2)}
    assert reader.total_steps == 40
