"""What much-copied loops print, as their users have published it; figures worked out by hand from the lines."""

from __future__ import annotations

import pytest
from tests.logs.told import steps, times, told

from headway.domain.observation import Observation
from headway.logs.forms.epochs import Epochs
from headway.logs.forms.metric_lines import metrics_in


def evaluated_at(said: list[Observation]) -> list[int | None]:
    return [item.step for item in said if item.kind == "evaluation"]


class TestBothLosses:
    def test_batches_of_a_validation_are_one_evaluation(self) -> None:
        """reid-strong-baseline with a validation's own counts."""
        line = "2020-09-22 15:12:{} train INFO: Epoch[{}/100] Iteration[{}] {}_Loss: 0.475, {}_Acc: 0.969"
        lines = [("44,009", 1, "27/29", "Train"), ("44,323", 1, "28/29", "Train"), ("46,339", 1, "29/29", "Train"),
                 ("49,118", 1, "1/10", "Val"), ("49,222", 1, "2/10", "Val"), ("50,833", 1, "10/10", "Val"),
                 ("52,000", 2, "1/29", "Train")]  # fmt: skip
        reader, said = told(*(line.format(*words, words[-1]) for words in lines))
        assert steps(said) == [27, 28, 29, 30]
        assert evaluated_at(said) == [29]
        assert times(said) == {"step": (3.497, 3), "evaluation": (4.494, 1)}
        assert reader.total_steps == 2900

    def test_a_step_that_had_a_small_evaluation_is_one(self) -> None:
        """S. Raschka's book, Build a Large Language Model."""
        line = "2024-10-10 22:34:{} | INFO     | __main__:train:101 - Ep 1 (Step {:06d}): Train loss 8.9, Val loss 8.7"
        _, said = told(line.format("03.484", 0), line.format("03.926", 5), line.format("04.348", 10))
        assert steps(said) == [0, 5, 10]
        assert times(said) == {"step": (0.864, 10)}

    def test_beside_lines_of_steps_it_is_an_evaluation(self) -> None:
        """nanoGPT, and a loop that says it in words of its own."""
        iterations = [f"iter {n}: loss 4.2, time 100.00ms, mfu 12.00%" for n in range(3)]
        _, said = told("step 0: train loss 4.2874, val loss 4.2823", *iterations,
                       "step 2: train loss 4.1, val loss 4.2", "Step 2 | Train Loss: 4.1 | Val Loss: 4.2")  # fmt: skip
        assert steps(said) == [0, 1, 2]
        assert evaluated_at(said) == [0, 2, 2]

    def test_beside_a_bar_it_is_one_too(self) -> None:
        line = metrics_in("Step 499: Train loss 2.0, Val loss 2.1")
        assert line is not None
        assert (line.kind, line.step) == ("step", 499)
        epochs = Epochs()
        epochs.told_elsewhere()
        seen = epochs.through(line)
        assert seen is not None
        assert seen.kind == "evaluation"


class TestElapsed:
    """Times since the start or since the epoch began, which are not those of a step."""

    def test_a_clock_of_the_run_at_the_end_of_a_line(self) -> None:
        line = "Iter: {:6d},  Train Loss:   0.63,  Train Acc: 79.69%,  Val Loss:  0.64,  Val Acc: 79.70%,  Time: {} *"
        lines = ["Epoch [1/20]", line.format(0, "0:00:05"), line.format(100, "0:04:23"), "Epoch [2/20]",
                 line.format(200, "0:07:52")]  # fmt: skip
        reader, said = told(*lines)
        assert steps(said) == [0, 100, 200]
        assert times(said) == {"step": (467.0, 200)}
        assert evaluated_at(said) == []
        assert reader.total_steps is None

    def test_bert_tells_the_epochs_time_and_its_evaluations(self) -> None:
        lines = []
        for epoch in (1, 2):
            shown = [(40, "0:00:26"), (80, "0:00:52"), (120, "0:01:18"), (160, "0:01:45"), (240, "0:02:37")]
            lines += [f"======== Epoch {epoch} / 4 ========", "Training..."]
            lines += [f"  Batch {step:5d}  of    241.    Elapsed: {at}." for step, at in shown]
            lines += ["  Average training loss: 0.50", "  Training epcoh took: 0:02:37", "Running Validation...",
                      "  Accuracy: 0.78", "  Validation took: 0:00:06"]  # fmt: skip
        reader, said = told(*lines)
        assert steps(said) == [40, 80, 120, 160, 240, 241, 281, 321, 361, 401, 481, 482]
        assert times(said) == {"step": (314.0, 482), "evaluation": (12.0, 2)}
        assert evaluated_at(said) == [241, 482]
        assert reader.total_steps == 964

    def test_bert_with_thousands(self) -> None:
        line = "  Batch   1,000  of  1,563.    Elapsed: 0:22:22.  Remaining: 0:12:36"
        _, said = told("======== Epoch 1 / 3 ========", line)
        assert steps(said) == [1000]
        assert times(said) == {"step": (1342.0, 1000)}

    def test_gpt_2(self) -> None:
        line = "[{} | {}] loss=3.25 avg=3.25"
        _, said = told(line.format(1, 21.85), line.format(2, 39.46), line.format(3, 55.75))
        assert times(said) == {"step": (55.75, 3)}
        _, said = told(line.format(1001, "20.00"), line.format(1002, "38.00"))
        assert times(said) == {"step": (18.0, 1)}

    def test_kaggle_tells_what_remains_too(self) -> None:
        line = "Epoch: [{}][{}/391] Elapsed {} (remain {}) Loss: 2.8918(2.8918) Grad: inf LR: 0.00002000 "
        over = "Epoch {} - avg_train_loss: 0.4871  avg_val_loss: 0.3924  time: {}s"
        lines = [line.format(1, 0, "0m 2s", "17m 13s"), line.format(1, 390, "8m 15s", "0m 0s"), over.format(1, 519),
                 line.format(2, 0, "0m 1s", "9m 44s"), line.format(2, 390, "8m 14s", "0m 0s"),
                 "EVAL: [0/98] Elapsed 0m 1s (remain 0m 40s) Loss: 0.4 ",
                 "EVAL: [97/98] Elapsed 0m 23s (remain 0m 0s) Loss: 0.4 ", over.format(2, 518)]  # fmt: skip
        reader, said = told(*lines)
        assert steps(said) == [1, 391, 392, 782]
        # 519 - 495 s, and the 23 s of the one that has lines.
        assert times(said) == {"step": (989.0, 782), "evaluation": (47.0, 2)}
        assert reader.total_steps is None

    def test_minutes_of_an_epoch_that_a_line_above_names(self) -> None:
        line = "        Step {}/818 - Loss: 1.203 | Acc: 56.68% | Time Elapsed: {}Mins | Avg Time Per Batch: 0.46Secs"
        reader, said = told("[Training] Epoch 1:", line.format(96, 0.73), line.format(192, 1.43))
        assert steps(said) == [96, 192]
        assert times(said) == {"step": (85.8, 192)}
        assert reader.total_steps is None

    def test_a_clock_of_the_run_before_the_step(self) -> None:
        lines = ["0m 21s (5000 5%) 2.5152", "0m 43s (10000 10%) 2.7758", "1m 4s (- 16m 49s) (15000 15%) 2.2884"]
        _, said = told(*lines)
        assert steps(said) == [5000, 10_000, 15_000]
        assert times(said)["step"] == (pytest.approx(43.0, abs=0.01), 10_001)
        _, said = told("5000 5% (0m 10s) 2.5 Rovigatti / Italian", "6000 6% (0m 12s) 2.5 Li / Chinese")
        assert times(said)["step"] == (pytest.approx(2.0, abs=0.01), 1001)

    def test_epochs_in_the_same_form_are_no_steps(self) -> None:
        _, said = told("0m 33s (- 8m 12s) (5 6%) 1.5304", "1m 6s (- 7m 40s) (10 12%) 0.6776")
        assert steps(said) == []

    def test_a_clock_of_hours_minutes_and_seconds(self) -> None:
        line = "Iteration {:4d}/10000 | examples/s: 7785.4 | loss: 1.3832 | time elapsed: 00h00m{:02d}s "
        reader, said = told(line.format(100, 2), "             | time left: 00h04m46s", line.format(200, 5))
        assert times(said) == {"step": (5.0, 200)}
        assert reader.total_steps == 10_000

    def test_a_wall_clock_is_not_that_of_all_cores(self) -> None:
        """mdeff/cnn_graph, in its lines and in a file that has lost their ends."""
        step = "step {} / 4000 (epoch {} / 20):"
        losses = "  learning_rate = 1.00e-03, loss_average = 1.49e-01"
        valid = "  validation accuracy: 0.4439 (272744 / 614400), iou (weighted): 0.1135, loss: 1.83e+00"
        both = [(15, "0.07", "3456s (wall 310s)"), (30, "0.15", "6912s (wall 619s)")]
        lines = [line for n, at, took in both for line in (step.format(n, at), losses, valid, f"  time: {took}")]
        reader, said = told(*lines)
        assert times(said) == {"step": (619.0, 30)}
        assert reader.total_steps == 4000
        assert evaluated_at(said) == []
        assert times(told("1.2" + "1.8365".join(lines) + "1.9")[1]) == {"step": (619.0, 30)}


class TestMeansOfTheEpoch:
    def test_hrnet_goes_on_with_a_run(self) -> None:
        line = "Epoch: [{}/520] Iter:[{}/495], Time: {}, lr: [0.018086], Loss: 1.594388, Acc:0.645758"
        lines = [line.format(352, 0, 5.02), line.format(352, 10, 0.66), line.format(352, 20, 0.55),
                 "Loss: 0.985, MeanIU:  0.4960, Best_mIoU:  0.5217", "0", "10", line.format(353, 0, 4.31)]  # fmt: skip
        reader, said = told(*lines)
        assert steps(said) == [174_241, 174_251, 174_261, 174_736]
        assert reader.total_steps == 257_400
        assert evaluated_at(said) == [174_261]
        seconds = [item.seconds or 0.0 for item in said if item.kind == "step"]
        assert sum(seconds[:3]) == pytest.approx(21 * 0.55, abs=0.11)

    def test_center_net(self) -> None:
        line = (
            "ctdet/coco_dla| {}: [{}][{}]|Tot: {} |ETA: 0:00:00 |loss 37.9388 |hm_loss 35.1197 |Data 0.661s(0.674s)"
            " |Net {}s"
        )
        shown = [("train", 1, "59/61", "0:01:43", 1.728), ("train", 1, "60/61", "0:01:45", 1.722),
                 ("val", 1, "0/10", "0:00:02", 1.2), ("val", 1, "9/10", "0:00:12", 1.2),
                 ("train", 2, "0/61", "0:00:01", 1.346), ("train", 2, "1/61", "0:00:02", 1.344)]  # fmt: skip
        _, said = told(*(line.format(*words) for words in shown))
        assert steps(said) == [60, 61, 62, 63]
        # 61 of 1.722 s, then two of 1.344 s.
        assert times(said)["step"] == (pytest.approx(105.042 + 2.688, abs=0.1), 63)
        assert times(said)["evaluation"] == (12.0, 1)

    def test_a_bar_that_was_copied_with_all_its_states(self) -> None:
        bar = "ctdet/coco |      | train: [1][{}/29571]|Tot: 0:00:{:02d} |ETA: 2 days, 19:07:27 |loss 8664.5 |Net 4.2"
        reader, said = told("".join(bar.format(n, at) for n, at in ((1, 8), (2, 8), (3, 9))))
        assert steps(said) == [4]
        assert times(said) == {"step": (9.0, 4)}
        assert reader.total_steps is None


class TestMiniMind:
    def test_minutes_that_are_left_tell_the_mean_so_far(self) -> None:
        line = "Epoch:[1/1]({}/3125) loss:8.901 lr:0.0002000 epoch_Time:{}.0min;"
        left = [63, 40, 39, 38, 37, 36, 34, 33, 32, 30]
        reader, said = told(*(line.format(100 * n, minutes) for n, minutes in enumerate(left)))
        assert steps(said) == list(range(1, 902, 100))
        assert reader.total_steps == 3125
        # 30 whole minutes for 2,224 batches: 0.81 s each, a minute more or less.
        assert times(said)["step"] == (pytest.approx(901 * 1800 / 2224, rel=1 / 30), 901)

    def test_the_last_minutes_tell_nothing(self) -> None:
        _, said = told("Epoch:[1/1](3000/3125) loss:8.901 lr:0.0002 epoch_Time:1.0min;")
        assert times(said) == {}

    def test_moments_are_believed_and_ranks_counted_once(self) -> None:
        line = "Epoch:[0/20]({}/41914) loss:2.663 lr:0.0001997 epoch_Time:52.0min:"
        lines = []
        for step, at in ((20_000, "13:56:39,914"), (20_100, "13:56:54,117"), (20_200, "13:57:08,326")):
            stamped = f"2025-01-28 {at} __main__ INFO {line.format(step)}"
            lines += [stamped, line.format(step), stamped]
        reader, said = told(*lines)
        assert times(said) == {"step": (28.412, 200)}
        assert reader.total_steps == 838_280


def test_an_epoch_of_unknown_length_tells_no_time() -> None:
    """TensorFlow's tutorials: each hundredth batch, from 0."""
    lines = [f"    Epoch {epoch} Batch {step} Loss 2.0556" for epoch in (1, 2) for step in (0, 100, 200)]
    lines[3:3] = ["    Epoch 1 Loss 1.009767", "    Time taken for 1 epoch 256.95692324638367 sec"]
    reader, said = told(*lines)
    assert steps(said) == [1, 101, 201, 202, 302, 402]
    assert times(said) == {}
    assert reader.total_steps is None


class TestTimesOnOtherLines:
    def test_char_rnn(self) -> None:
        line = "\t{}/20450 (epoch 0), train_loss = 7.951, time/batch = {}"
        reader, said = told(line.format(0, 0.458), "\tmodel saved to save/model.ckpt", line.format(1, 0.025),
                            line.format(2, 0.03))  # fmt: skip
        assert steps(said) == [0, 1, 2]
        assert times(said) == {"step": (0.055, 2)}
        assert reader.total_steps == 20_450
        lua = "    {}/3300 (epoch 49.909), train_loss = 1.4496, grad/param norm = 1.9957e-01, time/batch = {}s"
        assert times(told(lua.format(3294, 0.432), lua.format(3295, 0.4353))[1]) == {"step": (0.867, 2)}

    def test_captions_are_read_before_their_batch(self) -> None:
        line = "    iter {} (epoch 0), train_loss = 9.157, time/batch = {}"
        _, said = told("    Read data: 0.281188964844", line.format(0, 0.146), "    Read data: 0.0435318946838",
                       line.format(1, 0.088), "    Read data: 0.033087015152", line.format(2, 0.072))  # fmt: skip
        assert times(said) == {"step": (0.237, 2)}

    def test_ssd_has_its_time_before_it_where_a_warning_comes_between(self) -> None:
        lines = []
        for step, seconds in ((0, 13.8028), (10, 0.352), (20, 0.3982)):
            lines += [f"timer: {seconds:.4f} sec.", f"iter {step} || Loss: 19.4798 || utils.py:238: UserWarning: x"]
        _, said = told(*lines)
        assert steps(said) == [0, 10, 20]
        assert times(said) == {"step": (7.502, 20)}

    def test_ssd_has_the_next_time_behind_it_mostly(self) -> None:
        lines = ["timer: 7.9134 sec.", "iter 0 || Loss: 27.4027 || timer: 0.1308 sec.",
                 "iter 10 || Loss: 14.9920 || timer: 0.1609 sec.", "iter 20 || Loss: 20.7590 || timer: 0.1654 sec.",
                 "iter 30 || Loss: 120128.8672 || Traceback (most recent call last):"]  # fmt: skip
        _, said = told(*lines)
        assert steps(said) == [0, 10, 20, 30]
        assert times(said) == {"step": (3.263, 20)}

    def test_dsfd(self) -> None:
        lines = []
        for step, seconds in ((0, 1.6476), (10, 0.6669), (20, 0.6645)):
            lines += [f"Timer: {seconds}", f"epoch:0 || iter:{step} || Loss:26.3755", "->>lr:0.0005"]
        _, said = told(*lines)
        assert steps(said) == [0, 10, 20]
        assert times(said) == {"step": (13.314, 20)}

    def test_faster_rcnn(self) -> None:
        lines = []
        for epoch, step, seconds in ((1, 0, 0.492602), (1, 100, 32.317783), (1, 200, 32.949185), (2, 0, 0.5)):
            lines += [f"[session 1][epoch {epoch:2d}][iter {step:4d}/10022] loss: 4.3784, lr: 1.00e-03",
                      f"\t\t\tfg/bg=(29/99), time cost: {seconds}",
                      "\t\t\trpn_cls: 0.7079, rpn_box: 0.1296, rcnn_cls: 2.9030"]  # fmt: skip
        reader, said = told(*lines)
        assert steps(said) == [1, 101, 201, 10_023]
        assert times(said) == {"step": (65.267, 200)}
        assert reader.total_steps is None

    def test_intervals_of_epochs_whose_length_stands_above(self) -> None:
        line = "    [{}][{}] time: {} a 0.8130 att_neg 2.7123 lr 0.0100 mls 0.6820"
        reader, said = told("    # epochs: 12", "    epoch_size: 1000", line.format(1, 1, "4.19"),
                            line.format(1, 101, "37.72"), line.format(2, 1, "38.00"))  # fmt: skip
        assert steps(said) == [1, 101, 1001]
        assert times(said) == {"step": (37.72, 100)}
        assert reader.total_steps == 12_000


def test_retinaface_counts_in_the_epoch_and_through_the_run() -> None:
    line = "Epoch:1/250 || Epochiter: {}/403 || Iter: {}/100750 || Loc: 4.6 Cla: 10.1 || LR: 0.001 || Batchtime: {} s"
    reader, said = told(line.format(1, 1, 2.7341), line.format(2, 2, 0.2298))
    assert times(said) == {"step": (2.964, 2)}
    assert reader.total_steps == 100_750


@pytest.mark.parametrize(
    ("lines", "epochs"),
    [
        (["Epoch: 01 | Epoch Time: 0m 26s", "\tTrain Loss: 0.317 | Train Acc: 86.41%",
          "\t Val. Loss: 0.162 |  Val. Acc: 94%"], [(1, 26.0)]),
        (["Epoch: 0001 loss_train: 2.1885 acc_train: 0.1177 loss_val: 2.1724 acc_val: 0.1675 time: 0.3276s"],
         [(1, 0.3276)]),
        (["Epoch 00197 | Time(s) 0.0053 | Loss 0.3799 | Accuracy 0.8020 | ETputs(KTEPS) 2007.47"],
         [(196, None), (197, 0.0053)]),
        (["# epoch: 20", "epoch       main/loss   main/accuracy  elapsed_time",
          "1           0.189677    0.9419         13.51", "2           0.073214    0.9775         26.02"],
         [(1, 13.51), (2, 12.51)]),
        (["  epoch    train_loss    valid_acc    valid_loss     dur",
          "-------  ------------  -----------  ----  ------",
          "      1        0.7679       0.5008        0.7617  3.1300"], [(1, 3.13)]),
        (["Epoch 1 of 500 took 58.438s", "  training loss:        1.360644", "  validation accuracy:  87.55 %%"],
         [(1, 58.438)]),
        (["2021-07-31 06:04:01,312 - INFO - Epoch 1/10", "2021-07-31 06:13:14,049 - INFO - Train loss 0.71",
          "2021-07-31 06:14:10,222 - INFO - Val loss 0.66 accuracy 0.64"], []),
        (["2025-12-02 03:34:18,436 - INFO - Epoch 1/20 - Train Loss: 0.6938, Cell Acc: 0.0000, EP Acc: 0.2197"], []),
        (["2024-12-26 08:14:54,333:INFO::Epoch_batch_00000 | lr 0.0005 |Train_Loss 0.7066 | Loss 0.8879 |"
          " Val_Loss 0.6405| Train Time(s) 3.5625| Val Time(s) 0.0713 | Time(s) 3.6338"], []),
        (["2025-03-02 05:16:20,348 - INFO - ##### Epoch 1 #####",
          "2025-03-02 05:16:20,962 - INFO - Epoch 1 - Batch loss: 12.1"], []),
    ],
    ids=["bentrevett", "pygcn", "dgl", "chainer", "skorch", "lasagne", "bert", "zh", "simplehgn", "t5"],
)  # fmt: skip
def test_epochs_alone_are_no_steps(lines: list[str], epochs: list[tuple[int, float | None]]) -> None:
    reader, said = told(*lines)
    assert {item.kind for item in said} <= {"epoch"}
    assert [(item.epoch, item.seconds) for item in said] == [
        (done, None if seconds is None else pytest.approx(seconds)) for done, seconds in epochs
    ]
    assert reader.total_steps is None


def test_iterations_of_chinese_ner_are_epochs() -> None:
    """zjy-ucas: steps of the epoch, which begins again."""
    counts = [("22:40:46", 47, 1398), ("22:40:52", 47, 1498), ("22:41:05", 48, 11), ("22:41:11", 48, 111)]
    stamped = "2018-08-20 {},811 - train.log - INFO - iteration:{} step:{}/1687, NER loss: 0.888115"
    _, said = told(*(stamped.format(*one) for one in counts))
    assert [item.step for item in said if item.kind == "step"] == [1398, 1498, 1698, 1798]
    assert {item.attempt for item in said} == {0}


def test_batches_of_paddle_rec() -> None:
    line = "2022-04-12 20:{}:45,686 - INFO - epoch: 11, batch_id: {}, loss:0.087, avg_batch_cost: 0.56000 sec, ips: 1"
    _, said = told(line.format(30, 500), line.format(35, 1000))
    assert [(item.step, item.seconds) for item in said if item.kind == "step"][-1] == (1000, 280.0)
