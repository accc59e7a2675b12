"""Printed lines of published logs that are easily misread, shortened and made neutral; figures counted by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headway.domain.observation import Observation, times_of
from headway.logs.forms.epochs import Epochs
from headway.logs.forms.line import Line
from headway.logs.forms.metric_lines import metrics_in
from headway.logs.lines.line_reader import LineReader
from headway.logs.read import read_log


def told(*lines: str) -> list[Observation]:
    reader = LineReader()
    return reader.feed("\n".join(lines) + "\n") + reader.close()


def steps(*lines: str) -> list[int | None]:
    return [item.step for item in told(*lines) if item.kind == "step"]


def timed(*lines: str) -> dict[str, tuple[float, float]]:
    return {term: (round(found.seconds, 3), found.units) for term, found in times_of(told(*lines)).items()}


def found_in(line: str) -> Line:
    found = metrics_in(line)
    assert found is not None
    return found


NANO_GPT = [
    "iter 0: loss 4.2490, time 35000.00ms, mfu -100.00%",
    "iter 10: loss 4.1490, time 1100.00ms, mfu 12.00%",
    "step 20: train loss 4.0390, val loss 4.0427",
    "saving checkpoint to out",
    "iter 20: loss 4.0490, time 35100.00ms, mfu 11.00%",
    "iter 30: loss 3.9490, time 1100.00ms, mfu 11.00%",
]


class TestEvaluationsWithinAStep:
    def test_the_time_of_one_iteration_that_evaluated_is_not_that_of_ten(self) -> None:
        assert timed(*NANO_GPT)["step"] == (33.0, 30)

    def test_llama2_c_evaluates_in_its_iterations_too(self) -> None:
        line = "{} | loss 9.3700 | lr 5.000000e-04 | {:.2f}ms | mfu 1.20%"
        lines = [line.format(0, 13597.1), line.format(10, 200.0), "step 20: train loss 9.1, val loss 9.2"]
        assert timed(*lines, line.format(20, 9200.0), line.format(30, 200.0))["step"] == (6.0, 30)

    def test_the_evaluation_has_the_rest(self) -> None:
        counted = Epochs()
        lines = [counted.through(found_in(line)) for line in NANO_GPT if not line.startswith("saving")]
        held = lines[3]
        assert held is not None
        assert held.each_s == pytest.approx(1.1)
        (evaluation,) = held.others(0)
        assert (evaluation.kind, evaluation.step) == ("evaluation", 20)
        assert evaluation.seconds == pytest.approx(34.0)
        assert all(line is not None and not line.others(0) for line in lines if line is not held)

    def test_a_step_as_fast_as_the_others_holds_no_evaluation(self) -> None:
        lines = ["iter 10: loss 4.1, time 100ms", "step 20: val loss 4.0", "iter 20: loss 4.0, time 110ms"]
        assert timed(*lines)["step"] == (2.1, 20)

    def test_verl_names_testing_and_saving_within_its_step_or_after_it(self) -> None:
        parts = "timing_s/generate_sequences:3.9 - timing_s/gen:{} - timing_s/update_actor:{}"
        within = found_in(
            f"step:10 - actor/loss:0.1 - {parts.format(12.0, 9.0)} - timing_s/testing: 351.66 - timing_s/step: 373.16"
            " - timing_s/stop_profile:9.17e-05"
        )
        assert within.each_s == pytest.approx(21.5)
        assert within.beside == (("evaluation", 351.66),)
        after = found_in(
            f"step:20 - actor/loss:0.1 - {parts.format(4.4, 50.7)} - timing_s/step:55.13 - timing_s/testing:22.98"
            " - timing_s/save_checkpoint:17.46"
        )
        assert after.each_s == 55.13
        assert [(item.kind, item.seconds, item.step) for item in after.others(0)] == [
            ("evaluation", 22.98, 20), ("checkpoint", 17.46, 20)
        ]  # fmt: skip


class TestWhatIsCounted:
    def test_litgpt_counts_batches_and_steps(self) -> None:
        line = "Epoch 34 | iter {} step {} | loss train: 2.846, val: 2.861 | iter time: 112.20 ms (step)"
        far = found_in(line.format(3_050_700, 610_140))
        assert (far.step, far.values["loss"]) == (610_140, 2.846)
        assert far.each_s == pytest.approx(0.561)
        lines = [line.format(5, 1), line.format(10, 2), "iter 10: val loss 1.7258, val time: 3778.02 ms"]
        assert timed(*lines) == {"step": (1.122, 2), "evaluation": (3.778, 1)}
        assert [item.step for item in told(*lines)] == [1, 2, 2]

    def test_lit_gpt_before_its_first_step(self) -> None:
        line = "iter {} step {}: loss 2.8460, iter time: 100.00ms{}"
        lines = [line.format(1, 0, ""), line.format(2, 1, " (optimizer.step)"), line.format(4, 2, " (optimizer.step)")]
        assert timed(*lines) == {"step": (0.4, 2)}

    def test_a_decimal_is_no_count(self) -> None:
        assert metrics_in("batch 107.03 | loss  4.02") is None
        assert found_in("step 1,234 | loss 4.02").step == 1234

    def test_batches_of_an_epoch_and_their_mean_time(self) -> None:
        line = "| epoch {:3d} | {:5d}/ 1106 batches | lr 20.00 | ms/batch 100.00 | loss  4.02 | ppl    55.70"
        lines = [line.format(epoch, batch) for epoch in (1, 2) for batch in (200, 400)]
        assert steps(*lines) == [200, 400, 1306, 1506]
        assert timed(*lines) == {"step": (150.6, 1506)}
        assert found_in("| epoch 3 step 1200 | 200 batches | lr 0.00025 | ms/batch 500.10 | loss 7.4").step == 1200

    def test_a_tutorial_counts_in_its_epochs(self) -> None:
        assert steps("[1,  2000] loss: 2.173", "[1,  4000] loss: 1.853", "[2,  2000] loss: 1.241") == [2000, 4000, 6000]

    def test_tflearn_counts_steps_and_beside_them_rows(self) -> None:
        lines = []
        for step, shown, rows in ((1, 0.5, 64), (2, 0.8, 128), (3, 1.1, 192), (4, 0.3, 64)):
            loss = "\x1b[1m\x1b[32m0.69315\x1b[0m\x1b[0m"
            lines += [f"Training Step: {step}  | total loss: {loss} | time: {shown:.3f}s",
                      f"\x1b[2K\r| Adam | epoch: 001 | loss: 0.69315 - acc: 0.5 -- iter: {rows:05d}/55000"]  # fmt: skip
        assert steps(*lines) == [1, 2, 3, 4]
        assert timed(*lines) == {"step": (0.9, 3)}

    @pytest.mark.parametrize(
        "line",
        [
            "Train Epoch: 1 [{}/60000 (1%)]\tLoss: 2.1",
            "(epoch: 3, iters: {}, time: 0.078, data: 0.2) G_GAN: 1.2 D_real: 0.4 G_loss: 1.2",
        ],
        ids=["mnist", "cyclegan"],
    )
    def test_rows_whose_step_is_not_said_are_said_to_be_rows(self, line: str, tmp_path: Path) -> None:
        (tmp_path / "train.log").write_text("\n".join(line.format(640 * n) for n in range(9)))
        log = read_log(tmp_path / "train.log")
        assert not log.observations
        assert any("rows, not steps" in problem for problem in log.problems)


class TestTimes:
    @pytest.mark.parametrize(
        ("line", "step", "each_s"),
        [
            ("INFO:tensorflow:global step 4: loss = 64.2000 (16.9 sec/step)", 4, 16.9),
            ("iter 10 || Loss: 12.1000 || timer: 0.2100 sec.", 10, 0.21),
            ("Iter [50/160000]\tlr: 9.9e-03, eta: 5:00:00, time: 0.320, data_time: 0.010, decode.loss_ce: 2.6",
             50, 0.32),
            ("2021-05-27 10:00:00,123 INFO: [train..][epoch:  1, iter:   1,000, lr:(1.000e-04,)] "
             "[eta: 1 day, 2:03:04, time (data): 0.412 (0.003)] l_pix: 1.2300e-02 ", 1000, 0.412),
            ("I20230515 12:00:00 12345 dinov2 helpers.py:102] Training  [  10/1250]  eta: 0:12:13  lr: 0.0000 (0.0000)"
             "  total_loss: 12.0 (12.5)  time: 0.587053  data: 0.000129  max mem: 2", 11, 0.587053),
        ],
        ids=["slim", "ssd", "mmseg", "basicsr", "dinov2"],
    )  # fmt: skip
    def test_the_time_of_a_step_as_it_is_printed(self, line: str, step: int, each_s: float) -> None:
        found = found_in(line)
        assert (found.kind, found.step, found.each_s) == ("step", step, pytest.approx(each_s))

    def test_detectron2_has_seconds_without_a_unit(self) -> None:
        line = (
            "[05/01 12:00:{:02d} d2.utils.events]:  eta: 1:02:03  iter: {}  total_loss: 1.2  loss_cls: 0.3"
            "  time: 0.3000  data_time: 0.0120  lr: 0.0002  max_mem: 2000M"
        )
        assert timed(line.format(6, 19), line.format(12, 39)) == {"step": (11.7, 39)}

    def test_a_validation_of_torchtitan_is_no_step(self) -> None:
        lines = [
            f"[rank0]:[titan] 2026-01-01 00:00:{at},500 - root - INFO - {what}  loss: 7.5  memory: 12.5GiB(13%)"
            for at, what in (("10", "step: 10"), ("13", "validate step: 10"), ("18", "step: 20"))
        ]
        assert timed(*lines) == {"step": (5.0, 10), "evaluation": (3.0, 1)}

    def test_older_fairseq_has_its_wall_clock(self) -> None:
        line = (
            "| epoch 001:   {:4d} / 1000 loss=9.300, nll_loss=8.100, wps=900, num_updates={}, lr=0.1, oom=0,"
            " wall={}, train_wall={}"
        )
        lines = [line.format(100, 100, 40, 36), line.format(200, 200, 80, 72)]
        lines += ["| epoch 001 | loss 9.200 | wps 900 | num_updates 250 | lr 0.1 | wall 100 | train_wall 90"]
        lines += ["| epoch 001 | valid on 'valid' subset | valid_loss 8.1 | valid_ppl 118.06 | num_updates 250"]
        assert timed(*lines) == {"step": (100.0, 250)}
        assert [item.step for item in told(*lines) if item.kind == "evaluation"] == [250]

    def test_marian_is_timed_by_its_moments(self) -> None:
        line = "[2021-07-17 20:{}:00] Ep. 1 : Up. {} : Sen. 5,529,093 : Cost 2.79048038 : Time 817.42s : 2193 words/s"
        lines = [line.format(10, 2000), line.format(20, 4000)]
        lines += ["[2021-07-17 20:20:30] [valid] Ep. 1 : Up. 4000 : cross-entropy : 67.9483 : new best"]
        assert timed(*lines, line.format(30, 6000)) == {"step": (1170.0, 4000), "evaluation": (30.0, 1)}

    def test_boosted_trees(self) -> None:
        rounds = found_in("[99]\ttrain-rmse:0.51\teval-rmse:0.62")
        assert (rounds.step, rounds.values) == (100, {"train-rmse": 0.51, "eval-rmse": 0.62})
        assert found_in("[100]\ttraining's l2: 0.2\tvalid_1's l2: 0.3").step == 100
        line = "{}:\tlearn: 0.69\ttest: 0.68\tbest: 0.68 (0)\ttotal: {}\tremaining: 20s"
        cat_boost = [line.format(0, "200ms"), line.format(50, "10.2s"), line.format(100, "1m 2s")]
        assert timed(*cat_boost) == {"step": (62.0, 101)}


class TestRowsOfIterations:
    def row(self, epoch: int, count: int) -> str:
        return json.dumps({"mode": "train", "epoch": epoch, "iter": count, "lr": 0.02, "loss": 0.558, "time": 0.4})

    def test_openmmlab_counts_iterations_of_the_epoch(self) -> None:
        lines = []
        for epoch in (1, 2):
            lines += [self.row(epoch, 50), self.row(epoch, 100)]
            lines += [json.dumps({"mode": "val", "epoch": epoch, "iter": 25, "lr": 0.02, "bbox_mAP": 0.296})]
        seen = told(*lines)
        assert steps(*lines) == [50, 100, 150, 200]
        assert timed(*lines) == {"step": (80.0, 200)}
        assert {item.attempt for item in seen} == {0}
        evaluations = [item for item in seen if item.kind == "evaluation"]
        assert [item.step for item in evaluations] == [100, 200]
        assert evaluations[0].values["bbox_mAP"] == 0.296

    def test_epochs_of_one_row_each_are_no_row_told_again(self) -> None:
        assert steps(*(self.row(epoch, 50) for epoch in (1, 2, 3))) == [50, 100, 150]

    def test_iterations_that_count_through_are_left_as_they_are(self) -> None:
        assert steps(*(self.row(epoch, 50 * epoch) for epoch in (1, 2, 3))) == [50, 100, 150]

    def test_detectron2_writes_the_time_of_an_iteration(self) -> None:
        rows = [
            json.dumps({"data_time": 0.01, "iteration": count, "lr": 0.001, "time": 0.3, "total_loss": 1.2})
            for count in (19, 39)
        ]
        assert timed(*rows) == {"step": (12.0, 40)}  # counted from 0: 20 and 40 were done


class TestMeansOfTheEpoch:
    LINE = "Epoch: [{}][{:4d}/5005]\tTime  0.300 ({:6.3f})\tData  0.000 ( 0.470)\tLoss 7.0204e+00 (7.0204e+00)"

    def lines(self, epoch: int, counts: range) -> list[str]:
        """10.1 s for the first step, 0.3 s for each other one."""
        return [self.LINE.format(epoch, count, (10.1 + 0.3 * count) / (count + 1)) for count in counts]

    def test_a_mean_of_the_epoch_is_not_that_of_the_last_steps(self) -> None:
        lines = self.lines(0, range(0, 60, 10))
        assert timed(*lines)["step"] == (pytest.approx(25.1, abs=0.03), 51)
        assert [item.seconds for item in told(*lines)][1:] == pytest.approx([3.0] * 5, abs=0.03)

    def test_it_starts_afresh_with_each_epoch(self) -> None:
        lines = self.lines(0, range(0, 5005, 10)) + self.lines(1, range(0, 60, 10))
        # The last four of the first epoch are taken for its mean.
        assert timed(*lines)["step"] == (pytest.approx(1510.1 + 1.2 + 25.1, abs=2.6), 5056)

    def test_its_rounding_is_no_time_of_steps(self) -> None:
        seconds = [item.seconds or 0.0 for item in told(*self.lines(0, range(0, 5005, 10)))]
        assert max(seconds[1:]) < 4.0
        assert min(seconds) > 1.4

    def test_a_stall_late_in_the_epoch_is_seen(self) -> None:
        line = "INFO Train: [3/300][{}/5005]\teta 0:05:00 lr 0.000001\ttime 0.2500 ({:.4f})\tloss 6.9 (6.9)"
        spent = [(4000, 1000.25), (4010, 1002.75), (4020, 1065.25), (4030, 1067.75)]
        seconds = [item.seconds for item in told(*(line.format(n, s / (n + 1)) for n, s in spent))]
        assert seconds[1:] == pytest.approx([2.5, 62.5, 2.5], abs=0.6)

    def test_a_mean_that_shrinks_is_one_of_the_last_steps(self) -> None:
        line = "Epoch: [0][{}/500]\tTime 0.300 ({:.3f})\tLoss 7.0 (7.0)"
        lines = [line.format(count, mean) for count, mean in ((100, 0.9), (200, 0.3), (300, 0.6), (400, 0.3))]
        assert [item.seconds for item in told(*lines)] == pytest.approx([90.0, 30.0, 60.0, 30.0])


class TestTotals:
    def total(self, *lines: str) -> int | None:
        reader = LineReader()
        reader.feed("\n".join(lines) + "\n")
        return reader.total_steps

    def test_an_epoch_is_not_the_run(self) -> None:
        yolox = "yolox.core.trainer:after_iter:246 - epoch: 1/300, iter: {}/1849, iter_time: 0.588s, total_loss: 16.9"
        assert self.total(*(yolox.format(count) for count in (10, 20))) == 554_700
        tutorial = "Epoch [1/5], Step [{}/600], Loss: 2.2047"
        assert self.total(tutorial.format(100)) is None
        assert self.total(*(tutorial.format(count) for count in (100, 200))) == 3000
        assert self.total("Epoch [7/50], Step [10/724], Mel Loss: 0.72029") == 36_200

    def test_without_a_number_of_epochs_the_next_one_tells(self) -> None:
        flair = "epoch {} - iter {}/1227 - loss 0.93329908 - time (sec): 5.65 - lr: 0.000030"
        counts = [(1, 122), (1, 244), (2, 122)]
        assert [self.total(*(flair.format(*said) for said in counts[: n + 1])) for n in range(3)] == [None] * 3
        assert steps(*(flair.format(*said) for said in counts)) == [122, 244, 1349]
        through = "epoch {}, iter {}/500, loss: 2.0"
        assert self.total(*(through.format(*said) for said in ((1, 100), (2, 200)))) == 500

    @pytest.mark.parametrize(
        "line",
        [
            "2021-03-30 06:55:57 [INFO]\t[TRAIN] epoch: 1, iter: 20/500, loss: 2.0859, lr: 0.0096, batch_cost: 0.5344",
            "epoch 0.04 | step 20/500 | loss 2.0",
            "epoch 1 | global step 20/500 | loss 2.0",
            "Epoch 1/1, step 20/500, loss 2.0",
        ],
        ids=["paddleseg", "fractions", "global", "one epoch"],
    )
    def test_what_surely_counts_through(self, line: str) -> None:
        assert self.total(line) == 500

    @pytest.mark.parametrize("first", [0, 1])
    def test_a_run_that_counts_through_its_epochs_is_told_once(self, first: int) -> None:
        lines = [f"Epoch {n // 200 + first}/5, step {n + 1}/1000, loss 2.0" for n in range(19, 1000, 20)]
        assert self.total(*lines) == 1000
        assert steps(*lines)[-1] == 1000


class TestEstimators:
    def test_the_seconds_are_those_since_the_line_before(self) -> None:
        lines = ["INFO:tensorflow:loss = 96.96749, step = 0", "INFO:tensorflow:global_step/sec: 0.803899"]
        for step, seconds in ((100, 124.394), (200, 146.504)):
            line = f"loss = 4.264659, step = {step} ({seconds} sec)"
            lines += [f"INFO:tensorflow:{line}", f"I0407 23:41:22.065083 1402 basic_session_run_hooks.py:260] {line}"]
        assert timed(*lines)["step"] == (270.898, 200)

    def test_the_first_line_of_a_cut_log_does_not_tell_of_how_many_steps(self) -> None:
        lines = [f"INFO:tensorflow:loss = 3.28, step = {step} (199.310 sec)" for step in (5100, 5200)]
        assert timed(*lines) == {"step": (199.31, 100)}

    def test_what_is_saved_of_an_evaluation_is_no_step(self) -> None:
        saved = "INFO:tensorflow:Saving dict for global step 300: accuracy = 0.9, global_step = 300, loss = 3.2"
        (seen,) = told(saved)
        assert (seen.kind, seen.step, seen.values["loss"]) == ("evaluation", 300, 3.2)


def test_llama_cpp_tells_the_time_of_an_iteration() -> None:
    line = "train_opt_callback: iter=    70 sample=72/5608 sched=0.700000 loss=4.948237 dt=00:04:59 eta=03:29:33 |->"
    assert (found_in(line).step, found_in(line).each_s, found_in(line).values) == (70, 299.0, {"loss": 4.948237})


class TestToldInParts:
    def test_allennlp_tells_epochs_and_validations_apart_from_batches(self) -> None:
        line = "2017-10-14 16:{},000 - INFO - allennlp.training.trainer - {}"
        said = [("48:00", "Epoch 0/139"), ("48:00", "Training"), ("48:10", "Batch 100/1000: loss: 6.66 ||"),
                ("49:30", "Batch 900/1000: loss: 1.32 ||"), ("49:40", "Validating"),
                ("49:50", "Batch 5/60: loss: 2 ||"), ("50:00", "Epoch 1/139"), ("50:00", "Training"),
                ("50:10", "Batch 100/1000: loss: 1.1 ||")]  # fmt: skip
        lines = [line.format(*words) for words in said]
        assert steps(*lines) == [100, 900, 1000, 1100]
        assert timed(*lines) == {"step": (100.0, 1000), "evaluation": (20.0, 1)}
        reader = LineReader()
        reader.feed("\n".join(lines) + "\n")
        assert reader.total_steps == 140_000

    def test_coqui_has_its_times_below_its_step(self) -> None:
        lines = []
        for within, step, mean in ((24, 370_025, 0.6), (49, 370_050, 0.55), (24, 370_402, 0.5)):
            lines += [f"    --> STEP: {within}/377 -- GLOBAL_STEP: {step}", "   | > loss_1: 28.72600  (30.49375)",
                      f"   | > step_time: 0.55960  ({mean:.5f})", "   | > loader_time: 0.1072  (0.1009)"]  # fmt: skip
        lines += ["    --> STEP: 3", "      | > loss_1: 29.1  (29.2)"]
        seen = told(*lines)
        assert [item.step for item in seen] == [370_025, 370_050, 370_402]
        assert seen[1].seconds == pytest.approx(0.55 * 49 - 0.6 * 24)
        assert seen[1].values == {"loss_1": 28.726}
