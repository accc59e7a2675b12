"""Progress bars of published logs that are easily misread, shortened and made neutral; figures counted by hand."""

from __future__ import annotations

import pytest
from tests.logs.told import bar, steps, times, told

from headway.logs.bars.bar import bars_in
from headway.logs.lines.line_reader import LineReader


class TestDescriptionsThatAreSetLater:
    def test_that_of_llama_recipes_is_set_after_the_first_print(self) -> None:
        lines = []
        for epoch in (1, 2):
            done = f"Training Epoch: {epoch}/3, step {{}}/388 completed (loss: 1.7{epoch}): "
            lines += [
                f"Training Epoch: {epoch}:   0%|          | 0/388 [00:00<?, ?it/s]",
                done.format(193) + " 50%|#####     | 194/388 [1:47:12<1:47:12, 33.16s/it]",
                done.format(387) + "100%|##########| 388/388 [3:34:24<00:00, 33.16s/it]",
                "evaluating Epoch: 100%|##########| 84/84 [05:00<00:00,  3.57s/it]",
            ]
        reader, said = told(*lines)
        assert steps(said) == [194, 388, 582, 776]
        assert times(said) == {"step": (2 * 12864.0, 776), "evaluation": (600.0, 2)}
        assert reader.total_steps == 1164

    def test_that_of_torchtune_tells_the_loss(self) -> None:
        reader, said = told(
            "  0%|          | 1/1367 [04:24<100:30:01, 264.86s/it]",
            "1|1|Loss: 1.849762201309204:   0%|          | 1/1367 [04:24<100:30:01, 264.86s/it]",
            "1|1|Loss: 1.849762201309204:   0%|          | 2/1367 [05:03<49:53:19, 131.58s/it]",
            "1|2|Loss: 1.2548030614852905:   0%|          | 2/1367 [05:03<49:53:19, 131.58s/it]",
            "1|2|Loss: 1.2548030614852905:   0%|          | 3/1367 [05:04<27:20:19, 72.15s/it]",
        )
        assert steps(said) == [1, 2, 3]
        assert times(said) == {"step": (304.0, 3)}
        assert reader.total_steps == 1367

    def test_a_figure_that_is_no_number_leaves_the_bar_the_same(self) -> None:
        _, said = told(
            "119/500  34G  0.6445  0.5113  0.3872  12  640: 100%|##########| 1377/1377 [05:40<00:00,  4.05it/s]",
            "120/500  34G  0.6445  nan  0.3872  12  640: 100%|##########| 1377/1377 [05:44<00:00,  4.00it/s]",
        )
        assert steps(said) == [1377, 2754]
        assert times(said) == {"step": (684.0, 2754)}


class TestPreparations:
    def test_a_long_bar_without_a_word_before_the_training(self) -> None:
        """kohya's sd-scripts: latents of images, then steps with their loss."""
        lines = [bar(20, 41, 6), bar(41, 41, 12), "running training", bar(0, 800, 0, "steps: ", "?it/s")]
        lines += [bar(n, 800, n, "steps: ", after=", avr_loss=0.12") for n in range(1, 6)]
        reader, said = told(*lines)
        assert steps(said) == [1, 2, 3, 4, 5]
        assert times(said) == {"step": (5.0, 5)}
        assert reader.total_steps == 800
        assert any("a bar of 41" in problem for problem in reader.problems)

    @pytest.mark.parametrize("described", ["", "Encoding prompts: "])
    def test_the_rows_of_a_trainer_are_of_the_bar_that_goes_on_with_them(self, described: str) -> None:
        def shown(n: int) -> str:
            return bar(n, 60, n, rate=f"{1 + n / 100:.2f}it/s")

        row = "{'loss': 1.5, 'learning_rate': 1e-05, 'epoch': 0.1}"
        lines = [bar(250, 500, 20, described), bar(500, 500, 40, described), *map(shown, range(11)), row]
        lines += [*map(shown, range(10, 21)), row, *map(shown, (20, 21))]
        reader, said = told(*lines)
        assert [item.step for item in said if "loss" in item.values] == [10, 20]
        assert times(said) == {"step": (21.0, 21)}
        assert reader.total_steps == 60

    def test_the_banner_says_how_long_the_training_is(self) -> None:
        lines = ["  Total optimization steps = 60", bar(100, 200, 20), bar(200, 200, 40)]
        reader, said = told(*lines, *(bar(n, 60, n) for n in range(6)))
        assert steps(said) == [1, 2, 3, 4, 5]
        assert times(said) == {"step": (5.0, 5)}
        assert reader.total_steps == 60

    def test_a_training_without_figures_stays_one_before_a_shorter_bar(self) -> None:
        lines = [bar(n, 100, n) for n in range(0, 101, 10)]
        _, said = told(*lines, *(bar(n, 20, n) for n in range(0, 21, 10)))
        assert times(said) == {"step": (100.0, 100), "evaluation": (20.0, 1)}

    def test_while_a_run_goes_on_another_attempt_begins(self) -> None:
        reader = LineReader()
        shown = [(6, bar(10, 20, 6)), (12, bar(20, 20, 12)), (12, bar(0, 100, 0, "steps: ", "?it/s"))]
        shown += [(12 + n, bar(n, 100, n, "steps: ", after=", loss=0.5")) for n in range(1, 6)]
        said = [item for at_s, line in shown for item in reader.feed(line + "\n", at_s=float(at_s))]
        own = [item for item in said if item.attempt == 1]
        assert steps(own) == [1, 2, 3, 4, 5]
        assert times(own) == {"step": (5.0, 5)}
        assert reader.total_steps == 100


class TestBarsAroundOthers:
    def test_simpletransformers_shows_features_then_epochs_then_steps(self) -> None:
        reader, said = told(
            "  0%|          | 0/20000 [00:00<?, ?it/s]",
            "100%|##########| 20000/20000 [00:30<00:00, 666.67it/s]",
            "Epoch 1 of 2:   0%|          | 0/2 [00:00<?, ?it/s]",
            "Running Epoch 0 of 2:   0%|          | 0/50 [00:00<?, ?it/s]",
            "Epochs 0/2. Running Loss:    0.6931:  50%|#####     | 25/50 [00:10<00:10,  2.50it/s]",
            "Epochs 0/2. Running Loss:    0.5931: 100%|##########| 50/50 [00:20<00:00,  2.50it/s]",
            "Epoch 2 of 2:  50%|#####     | 1/2 [00:21<00:21, 21.00s/it]",
            "Running Epoch 1 of 2:   0%|          | 0/50 [00:00<?, ?it/s]",
            "Epochs 1/2. Running Loss:    0.4931: 100%|##########| 50/50 [00:20<00:00,  2.50it/s]",
        )
        assert steps(said) == [25, 50, 100]
        assert times(said) == {"step": (41.0, 100)}
        assert reader.total_steps == 100

    @pytest.mark.parametrize(
        ("outer", "inner", "loss"),
        [("Epoch ... ({}/3): ", "Training...: ", ""), ("", "", ", loss=0.5")],
        ids=["Flax", "no words"],
    )
    def test_a_bar_of_epochs_tells_how_many_there_are(self, outer: str, inner: str, loss: str) -> None:
        reader, said = told(
            bar(0, 3, 0, outer.format(1), "?it/s"),
            bar(0, 50, 0, inner, "?it/s"),
            bar(25, 50, 10, inner, after=loss),
            bar(50, 50, 20, inner, after=loss),
            bar(1, 3, 21, outer.format(2)),
            bar(0, 50, 0, inner, "?it/s"),
            bar(50, 50, 20, inner, after=loss),
            bar(2, 3, 42, outer.format(3)),
        )
        assert steps(said) == [25, 50, 100]
        assert times(said) == {"step": (41.0, 100)}
        assert reader.total_steps == 150


class TestOtherForms:
    def test_a_bar_of_ultralytics_own(self) -> None:
        validation = "                 Class     Images  Instances      Box(P          R      mAP50  mAP50-95): "
        lines = [
            "      Epoch    GPU_mem   box_loss   cls_loss   dfl_loss  Instances       Size",
            "      1/300      3.87G       3.63      5.712      4.189        176        640: 0% ──────────── 0/8  0.0s",
            "      1/300      3.87G       3.63      5.712      4.189        176        640: 50% ━━━━━━────── 4/8 "
            "3.1it/s 1.3s<1.3s",
            "      1/300      3.87G       3.63      5.712      4.189        176        640: 100% ━━━━━━━━━━━━ 8/8 "
            "3.1it/s 2.6s",
            f"{validation}100% ━━━━━━━━━━━━ 4/4 1.2s/it 4.8s",
            "                   all        128        929       0.64      0.537      0.605      0.446",
            "      2/300      3.87G       3.63      5.712      4.189        176        640: 100% ━━━━━━━━━━━━ 8/8 "
            "7.8s/it 1:02",
        ]
        reader, said = told(*lines)
        assert steps(said) == [4, 8, 16]
        assert times(said) == {"step": (64.6, 16), "evaluation": (4.8, 1)}
        assert reader.total_steps == 2400

    def test_spaces_alone_are_no_bar(self) -> None:
        assert not list(bars_in("     12/300      3.87G       3.63      5.712      4.189        176        640:"))
        assert [found.n for found in bars_in("938/938 ━━━━━━━━━━ 12s 13ms/step - loss: 0.2")] == [938]

    def test_batches_of_composer_are_steps_where_it_trains(self) -> None:
        _, said = told(
            "train          Epoch   0:    0%|          | 0/625 [00:00<?, ?ba/s]",
            "train          Epoch   0:   50%|#####     | 312/625 [05:05<05:06,  1.02ba/s, loss/train/total=6.4103]",
            "train          Epoch   0:  100%|##########| 625/625 [10:11<00:00,  1.02ba/s, loss/train/total=6.2503]",
        )
        assert steps(said) == [312, 625]
        assert times(said) == {"step": (611.0, 625)}


def lightning(epoch: int, began_s: int, validated_s: int) -> list[str]:
    """The end of an epoch of 246 batches, and of 62 of validation, which its bar counts as well."""
    described, after = f"Epoch {epoch}: ", ", loss=0.0376, v_num=54"
    lines = [bar(246, 308, began_s, described, after=after), "Validating: 0it [00:00, ?it/s]"]
    for done in range(0, 60, 3):
        so_far_s = done * validated_s // 62
        lines += [
            bar(done, 62, so_far_s, "Validating: "),
            bar(248 + done, 308, began_s + so_far_s, described, after=after),
        ]
    return [*lines, bar(60, 62, validated_s, "Validating: "), bar(308, 308, began_s + validated_s, described)]


class TestCountsThatAreNoSteps:
    def test_batches_of_validation_in_the_bar_of_the_training(self) -> None:
        """Lightning up to 1.9; the bar of the validation is taken away before it is full."""
        reader, said = told(bar(0, 308, 0, "Epoch 0: ", "?it/s"), *lightning(0, 233, 56), *lightning(1, 226, 6))
        assert max(step or 0 for step in steps(said)) == 492
        assert times(said) == {"step": (459.0, 492), "evaluation": (62.0, 2)}
        assert reader.total_steps is None
        assert any("validations" in problem for problem in reader.problems)

    def test_a_bar_of_images_whose_counts_show_the_batch(self) -> None:
        counts = (0, 48, 112, 160, 208, 304, 448, 896, 900)
        lines = [bar(n, 900, n // 20, "Epoch 1/2: ", " 20.00img/s", ", loss (batch)=0.342") for n in counts]
        lines += [bar(n, 900, n // 20, "Epoch 2/2: ", " 20.00img/s", ", loss (batch)=0.242") for n in (0, 900)]
        reader, said = told(*lines)
        assert steps(said) == [19, 28, 56, 57, 114]
        assert times(said) == {"step": (90.0, 114)}
        assert reader.total_steps == 114
        assert any("16 of them" in problem for problem in reader.problems)

    @pytest.mark.parametrize(
        "counts", [(900,), (0, 90, 180, 270, 360, 450, 540, 630, 720, 810, 900)], ids=["ends alone", "tenths"]
    )
    def test_a_bar_of_images_whose_counts_do_not(self, counts: tuple[int, ...]) -> None:
        lines = [bar(n, 900, n // 20, "Epoch 1/50: ", "19.68 img/s", ", loss (batch)=0.342") for n in counts]
        reader, said = told(*lines, bar(90, 90, 9, "Validation round: ", "9.00batch/s"))
        assert not steps(said)
        assert times(said) == {"evaluation": (9.0, 1)}
        assert any("rows, not steps" in problem for problem in reader.problems)

    def test_keras_that_calls_rows_steps_shows_the_batch_first(self) -> None:
        reader, said = told(
            "Train on 60000 samples, validate on 10000 samples",
            "Epoch 1/2",
            "   32/60000 [..............................] - ETA: 4:10 - loss: 2.3000",
            "   64/60000 [..............................] - ETA: 3:30 - loss: 2.2000",
            "60000/60000 [==============================] - 120s 2ms/step - loss: 0.3000 - val_loss: 0.2000",
            "Epoch 2/2",
            "60000/60000 [==============================] - 110s 2ms/step - loss: 0.2000 - val_loss: 0.1900",
            "10000/10000 [==============================] - 1s 55us/step",
        )
        assert steps(said) == [1875, 3750]
        assert times(said) == {"step": (230.0, 3750), "evaluation": (0.55, 1)}
        assert reader.total_steps == 3750
        assert not any("not read" in problem for problem in reader.problems)

    @pytest.mark.parametrize(
        "lines",
        [
            ["60000/60000 [==============================] - 2s 35us/step - loss: 0.4000"],
            ["Train on 50000 samples", "50000/50000 [==============================] - 678s - loss: 1.5000"],
        ],
        ids=["too fast for steps", "named above"],
    )
    def test_keras_that_calls_rows_steps_and_shows_no_batch(self, lines: list[str]) -> None:
        reader, said = told(*lines)
        assert not said
        assert any("rows, not steps" in problem for problem in reader.problems)

    def test_a_download_of_keras_is_no_training(self) -> None:
        reader, said = told(
            "Downloading data from https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
            "   16384/11490434 [..............................] - ETA: 0s",
            "11493376/11490434 [==============================] - 0s 0us/step",
            "Epoch 1/2",
            "938/938 [==============================] - 25s 27ms/step - loss: 0.3000",
        )
        assert steps(said) == [938]
        assert times(said) == {"step": (25.0, 938)}
        assert reader.total_steps == 1876


class TestSeveralProcesses:
    def test_one_that_is_a_step_behind_restarts_nothing(self) -> None:
        shown = [(62, 779), (63, 791), (62, 780), (64, 803), (63, 792), (64, 803)]
        lines = [bar(n, 64, at_s, after=f", loss=1.{place}") for place, (n, at_s) in enumerate(shown)]
        reader, said = told(*lines)
        assert steps(said) == [62, 63, 64, 64]
        assert {item.attempt for item in said} == {0}
        assert times(said) == {"step": (803.0, 64)}
        assert not reader.problems

    def test_one_that_is_an_epoch_behind_restarts_nothing(self) -> None:
        shown = [(1, 63, 791), (1, 64, 803), (2, 0, 0), (1, 64, 804), (2, 1, 12), (2, 0, 0), (2, 2, 25)]
        reader, said = told(*(bar(n, 64, at_s, f"Epoch {epoch}/2: ") for epoch, n, at_s in shown))
        assert steps(said) == [63, 64, 65, 66]
        assert {item.attempt for item in said} == {0}
        assert times(said) == {"step": (828.0, 66)}
        assert reader.total_steps == 128


def cifar(n: int, total: int, passed: str, loss: float) -> str:
    filled = "=" * (64 * n // total)
    return f" [{filled}>{'.' * (64 - len(filled))}]  Step: 51ms | Tot: {passed} | Loss: {loss} | Acc: 30.000% (3/10)"


class TestFormsOfNotebooksAndScripts:
    @pytest.mark.parametrize(
        ("line", "step", "total", "seconds"),
        [
            (" [60/60 07:29, Epoch 0/1]", 60, 60, 449.0),
            (" [ 120/1000 02:24 < 17:50, 0.82 it/s, Epoch 0.12/1]", 120, 1000, 144.0),
            ("[900/900 1:02:03, Epoch 3/3]", 900, 900, 3723.0),
        ],
    )
    def test_that_of_the_trainer_in_a_notebook(self, line: str, step: int, total: int, seconds: float) -> None:
        reader, said = told(line, "Step\tTraining Loss", "50\t1.823800", "100\t2.292700")
        assert times(said) == {"step": (seconds, step)}
        assert reader.total_steps == total
        assert [item.values for item in said if item.kind == "step"] == [
            {"epoch": float(line.partition("Epoch ")[2].partition("/")[0])}
        ]

    def test_that_of_an_evaluation_in_a_notebook(self) -> None:
        _, said = told("[60/60 07:29, Epoch 1/1]", "Step\tTraining Loss", " [13/13 00:05]")
        assert times(said) == {"step": (449.0, 60), "evaluation": (5.0, 1)}

    @pytest.mark.parametrize(
        "line",
        [
            "[05/20 12:30:45] INFO: Epoch 1/5",
            "[11/22 10:14:21 d2.utils.events]: eta: 0:12:53  iter: 20",
            "[1/2] 12:30 started",
            "Epoch: [0]  [ 10/1250]  eta: 0:12:53  lr: 0.000010  loss: 2.3 (2.4)  time: 0.5  data: 0.1",
            "Epoch(train) [1][  50/1000]  lr: 1.0e-02  eta: 1:02:03  time: 0.5  data_time: 0.1  loss: 2.3",
            "100.00% [70/70 00:30<00:00 0.5]",
        ],
    )
    def test_what_looks_like_it(self, line: str) -> None:
        assert not list(bars_in(line))

    def test_that_of_yolov5_has_no_brackets(self) -> None:
        _, said = told(
            "val: Scanning val2017.cache... 4952 images, 48 backgrounds, 0 corrupt: 100%|####| 5000/5000 00:00",
            "        0/2      22.4G    0.07281    0.08384    0.06359        199        640:   5%|5   | 92/1849 00:40"
            "<12:46, 2.3it/s",
            "        0/2      22.4G    0.07281    0.08384    0.06359        199        640: 100%|####| 1849/1849 13:15",
            "                 Class     Images  Instances          P          R      mAP50: 100%|####| 79/79 00:45",
            "        1/2      22.4G    0.06403       0.07       0.05        199        640: 100%|####| 1849/1849 13:10",
        )
        assert steps(said) == [92, 1849, 3698]
        assert times(said) == {"tokenize": (0.0, 1), "step": (1585.0, 3698), "evaluation": (45.0, 1)}

    @pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "file"])
    def test_that_of_a_training_on_cifar(self, terminal: bool) -> None:
        def shown(n: int, total: int, passed: str) -> str:
            line = cifar(n, total, passed, 1.9)
            if terminal:
                return f"{line[:30]} {n}/{total} {line[33 + len(f'{n}/{total}') - 1 :]}"
            return f"{line}{' ' * 9}{chr(8) * 80} {n}/{total} "

        lines = [shown(100, 391, "4s802ms"), shown(391, 391, "1m20s"), shown(100, 100, "2s100ms")]
        reader, said = told("Epoch: 0", *lines, "Epoch: 1", *lines)
        assert steps(said) == [100, 391, 491, 782]
        assert times(said) == {"step": (160.0, 782), "evaluation": (4.2, 2)}
        assert said[-2].values["Loss"] == 1.9
        assert reader.total_steps is None

    @pytest.mark.parametrize(
        ("clocks", "seconds"),
        [("3s 1ms", 3.0), ("4s 2ms", 4.0), ("2s 1250us", 2.149), ("8s 52ms", 8.0), ("192s 454ms", 192.0)],
        ids=["coarser", "coarser still", "finer", "without what is compiled", "long"],
    )
    def test_the_finer_of_the_two_clocks_of_keras(self, clocks: str, seconds: float) -> None:
        _, said = told(f"1719/1719 [==============================] - {clocks}/step - loss: 0.4485")
        assert times(said) == {"step": (seconds, 1719)}


class TestLinesAroundBars:
    @pytest.mark.parametrize("line", ["Starting training...", "INFO:__main__:***** Running training *****"])
    def test_a_bar_before_the_training_starts_is_not_its(self, line: str) -> None:
        lines = [bar(5481, 5481, 268), "Embedding extraction completed in 79.43 seconds.", line]
        reader, said = told(*lines, bar(1207, 1207, 185), line, bar(1207, 1207, 181))
        assert times(said) == {"step": (366.0, 2414)}
        assert any("a bar of 5,481" in problem for problem in reader.problems)

    def test_one_that_goes_on_is_its(self) -> None:
        lines = [bar(10, 200, 10), "Starting training", bar(100, 200, 100), bar(200, 200, 200)]
        _, said = told(*lines, bar(50, 50, 30))
        assert times(said) == {"step": (200.0, 200), "evaluation": (30.0, 1)}

    def test_a_save_of_diffusers_is_told_once(self) -> None:
        _, said = told(
            bar(500, 1000, 500, "Steps: ", after=", loss=0.07"),
            "10/20/2023 15:55:17 - INFO - accelerate.accelerator - Saving current state to out/checkpoint-500",
            "10/20/2023 15:55:19 - INFO - __main__ - Saved state to out/checkpoint-500",
            bar(501, 1000, 503, "Steps: ", after=", loss=0.06"),
        )
        assert [item.step for item in said if item.kind == "checkpoint"] == [500]
