"""Consoles as they come to be files: bars without an end of line, blocks, copied terminals, several trainings.

Shortened from published ones; figures counted by hand.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.logs.told import bar, steps, times, told

from headway.domain.observation import Observation
from headway.logs.bars.bar import bars_in
from headway.logs.lines.line_reader import LineReader
from headway.logs.lines.prefix import moment_in
from headway.logs.read import read_log
from headway.logs.repair import settled

ADAPTERS = "Saved adapter weights to adapters/adapters.safetensors and adapters/0000800_adapters.safetensors."


def row(epoch: float, **others: float) -> str:
    return str({"loss": 2.5 - epoch, "learning_rate": 1e-5, **others, "epoch": epoch})


def evaluated(epoch: float, seconds: float) -> str:
    return str({"eval_loss": 2.0, "eval_runtime": seconds, "eval_samples_per_second": 10.0, "epoch": epoch})


class TestBarsOfOthers:
    def test_that_of_the_loss_of_mlx_is_its_evaluation(self) -> None:
        """Both nodes print it, and the line behind it tells of the same one."""
        line = "Train loss 2.1, Learning Rate 1.000e-05, It/sec {}, Tokens/sec 160.1, Trained Tokens 6385"
        _, said = told(
            bar(0, 25, 0, "Calculating loss...: "),
            bar(12, 25, 14, "Calculating loss...: "),
            bar(25, 25, 28, "Calculating loss...: "),
            bar(25, 25, 28, "Calculating loss...: "),
            "Iter 1: Val loss 2.935, Val took 28.274s",
            "Iter 10: " + line.format("0.500"),
            "Iter 20: " + line.format("4.000"),
            f"Iter 20: {ADAPTERS}",
            "Iter 30: " + line.format("4.000"),
        )
        assert steps(said) == [10, 20, 30]
        assert times(said) == {"step": (25.0, 30), "evaluation": (28.274, 1)}
        assert [item.step for item in said if item.kind == "checkpoint"] == [20]

    def test_vectors_of_words_are_no_training(self) -> None:
        """torchtext: 400,000 of them in 29 s, and epochs whose steps nobody counts."""
        for first in (0, 397_360):
            reader, said = told(
                bar(first, 400_000, 29 if first else 0, rate="27112.99it/s") + "Epoch: 02 | Epoch Time: 0m 1s",
                bar(397_360, 400_000, 29, rate="27112.99it/s"),
                "\tTrain Loss: 1.161 | Train Acc: 54.06%",
            )
            assert steps(said) == []
            assert reader.total_steps is None

    def test_a_bar_with_a_loss_may_be_fast(self) -> None:
        (found,) = bars_in(bar(30_000, 60_000, 5, rate="6000.00it/s", after=", loss=0.3"))
        assert found.kind == "train"

    def test_figures_of_evaluations_do_not_make_one_of_the_training(self) -> None:
        """towhee: a bar an epoch, whose description holds the figures of both."""
        shown = "    [epoch {}/50] loss=1.161, metric=0.807, eval_loss=3.127, eval_metric=0.625: "
        lines = [f"{shown.format(epoch)}100%|##########| 374/374 [02:0{epoch}<00:00,  3.02step/s]" for epoch in (1, 2)]
        reader, said = told(*lines)
        assert steps(said) == [374, 748]
        assert times(said) == {"step": (121.0 + 122.0, 748)}
        assert reader.total_steps == 374 * 50

    @pytest.mark.parametrize("described", ["Val loss: 0.31", "Eval: loss=0.3", "Testing loss=0.2, acc=0.9"])
    def test_those_of_an_evaluation_are_its_own(self, described: str) -> None:
        (found,) = bars_in(bar(3, 10, 4, f"{described}: "))
        assert found.kind == "evaluation"

    def test_bars_of_loggers(self) -> None:
        """tqdm-loggable, as Levanter prints it; from a thousand on it rounds its counts."""
        reader, said = told(
            "Progress on:train -it/2.00kit rate:- remaining:? elapsed:00:00 postfix:-",
            "Progress on:train 19.0it/2.00kit rate:10.0s/it remaining:5:30:10 elapsed:03:10 postfix:loss=3.25",
            "Progress on:train 70.0it/2.00kit rate:10.0s/it remaining:5:21:40 elapsed:11:40 postfix:loss=3.12",
            "Progress on:train 1.21kit/2.00kit rate:10.0s/it remaining:2:11:40 elapsed:3:21:40 postfix:loss=2.51",
        )
        assert steps(said) == [19, 70, 1210]
        assert times(said) == {"step": (12_100.0, 1210)}
        assert reader.total_steps == 2000
        assert said[-1].values == {"loss": 2.51}


class TestBarsOfEpochs:
    @pytest.mark.parametrize(("described", "rate"), [("Epochs: ", "7.16s/it"), ("Training: ", "7.16s/Epochs")])
    def test_by_their_words_or_their_unit(self, described: str, rate: str) -> None:
        reader, said = told(*(bar(n, 10, 7 * n, described, rate=rate) for n in range(11)))
        assert steps(said) == []
        assert [(item.epoch, item.seconds) for item in said if item.kind == "epoch"] == [(n, 7) for n in range(1, 11)]
        assert reader.total_steps is None
        assert said[-1].values == {"epochs": 10}

    def test_one_that_goes_on_after_a_resume_has_done_no_more_than_it_did(self) -> None:
        _, said = told(*(bar(n, 10, 7 * (n - 6), "Epochs: ", rate="7.16s/it") for n in (6, 7, 8)))
        assert [(item.epoch, item.seconds) for item in said if item.kind == "epoch"] == [(6, None), (7, 7), (8, 7)]

    def test_lines_between_show_it_too(self, tmp_path: Path) -> None:
        lines = [bar(n, 10, 7 * n, rate="7.16s/it") + f"Epoch {n + 1}/10, Loss: 0.0{n}" for n in range(10)]
        lines_of_its_own = [line for n in range(10) for line in (bar(n, 10, 7 * n), f"Epoch {n + 1}/10, Loss: 0.0{n}")]
        for shown in (lines, lines_of_its_own):
            path = tmp_path / "train.log"
            path.write_text("\n".join([*shown, bar(10, 10, 70, rate="7.16s/it")]) + "\n", encoding="utf-8")
            log = read_log(path)
            found = [item for item in log.observations if item.kind == "epoch"]
            assert [(item.epoch, item.seconds) for item in found] == [(n, 7) for n in range(1, 11)]
            assert (log.total_steps, steps(list(log.observations))) == (None, [])

    def test_it_gives_way_to_lines_that_name_steps(self) -> None:
        """Its own count would go back behind theirs with each epoch."""
        lines = []
        for epoch in (1, 2, 3):
            lines += [bar(epoch, 5, 2000 * epoch, "Epoch: ", rate="2000.00s/it")]
            lines += [f"12/21/2022 1{epoch}:15:41 - INFO - __main__ -   train acc: 0.2{epoch}, loss: 1.{epoch}, "
                      f"global steps: {200 * epoch}"]  # fmt: skip
        reader, said = told(*lines)
        assert steps(said) == [200, 400, 600]
        assert {item.attempt for item in said} == {0}
        assert not any("twice" in problem for problem in reader.problems)

    def test_bars_of_steps_do_not(self) -> None:
        lines = [line for n in range(1, 11) for line in (f"Epoch {n}/10", bar(100, 100, 20, "Training "))]
        reader, said = told(*lines)
        assert reader.counts.of_epochs is None
        assert {item.kind for item in said} == {"begin", "step"}


class TestBarsWithoutALength:
    SHOWN = "Epoch {}/3: {}it [00:{}, 2.50it/s, Loss=2.3, LR=2.63e-07]"

    def test_streamed_rows_have_steps_and_no_total(self) -> None:
        ends = [(1, 50, 20), (1, 100, 40), (2, 50, 22), (2, 100, 42)]
        reader, said = told(*(self.SHOWN.format(*one) for one in ends))
        assert steps(said) == [50, 100, 150, 200]
        assert times(said) == {"step": (82.0, 200)}
        assert reader.total_steps is None

    def test_without_a_loss_they_may_count_anything(self) -> None:
        assert told("Generating train split: 1000it [00:02, 500.00it/s]", "12it [00:02, 6.00it/s]")[1] == []


class TestWhatStandsBehindABar:
    def test_a_moment_there_is_not_that_of_the_bar(self) -> None:
        """The bar was printed an epoch before what a logger puts behind it."""
        lines = ["2024-10-31 11:34:24 AM - INFO - Using mps device"]
        for n in range(4):
            said = f"2024-10-31 11:34:{31 + 7 * n} AM - INFO - saving checkpoint"
            lines.append(bar(100 * n, 400, 7 * n, "Training: ", rate="14.0it/s") + said)
        _, found = told(*lines)
        assert [item.at_s for item in found if item.kind == "step"] == [7.0, 14.0, 21.0]
        assert times(found)["step"] == (21.0, 300)
        assert len([item for item in found if item.kind == "checkpoint"]) == 4

    def test_a_step_that_is_named_there_is_that_of_the_bar(self) -> None:
        """DeepSpeed logs the step that is over behind the bar, which is moved after it."""
        _, said = told(
            bar(999, 24_128, 3362, "Training ", rate="3.33s/it") + "[2021-11-26 02:11:16] [INFO] step=1000, lr=[0.001]",
            bar(1499, 24_128, 5046, "Training ", rate="3.33s/it"),
        )
        assert steps(said) == [999, 1499]
        assert times(said) == {"step": (5046.0, 1499)}

    def test_a_save_there_is_one(self) -> None:
        _, said = told(
            bar(1, 20, 1),
            bar(10, 20, 10) + "Saving model checkpoint to out/checkpoint-10",
            "[2024-10-22 20:11:28,123] [INFO] Saving model checkpoint: out/checkpoint-10/mp_rank_00_model_states.pt",
            "[2024-10-22 20:11:28,923] [INFO] zero checkpoint saved out/checkpoint-10/optim_states.pt",
            bar(20, 20, 21) + "Saving model checkpoint to out/checkpoint-20",
        )
        assert [item.step for item in said if item.kind == "checkpoint"] == [10, 20]


@pytest.mark.parametrize(
    "line",
    [
        "Saving checkpoints every 500 steps",
        "will save after each epoch",
        "Saving config to out/config.json",
        "loading saved checkpointing options",
    ],
)
def test_settings_are_no_saves(line: str) -> None:
    assert told(bar(1, 20, 1, "Training "), line, bar(20, 20, 21, "Training "))[1][-1].kind == "step"
    assert not [item for item in told(line)[1] if item.kind == "checkpoint"]


class TestRowsAndMoments:
    def test_the_moment_before_several_rows_is_that_of_none_but_the_first(self) -> None:
        """DeepSpeed stamps its saves alone: 652 s between two, 103.4 s of them an evaluation, and 50 steps."""
        lines = []
        for save, clock in enumerate(("17:26:52", "17:37:44", "17:48:36")):
            stamp, epoch = f"[2025-02-16 {clock},000] [INFO] [engine.py:1] ", 1.25 + save / 4
            lines += [f"{stamp}Saving model checkpoint: out/{save}/x", f"{stamp}zero checkpoint saved out/{save}/y"]
            lines += [str({"loss": 4.5, "step": 300 + 50 * save + 10 * k, "epoch": epoch}) for k in range(1, 6)]
            lines.append(evaluated(epoch, 103.4))
        reader, said = told(*lines)
        found = times(said)
        each_s = found["step"][0] / found["step"][1]
        assert each_s == pytest.approx((652 - 103.4) / 50)
        assert found["evaluation"] == (pytest.approx(310.2), 3)
        assert len([item for item in said if item.kind == "checkpoint"]) == 3
        assert not reader.problems

    def test_steps_without_a_moment_share_that_of_the_next(self) -> None:
        """By hand: steps 10, 20 and 30 at 0 s, unknown and 40 s: 2 s each of the 20, half of which are told of."""
        told_of = [Observation(kind="step", step=step, at_s=at_s) for step, at_s in ((10, 0.0), (20, None), (30, 40.0))]
        problems: list[str] = []
        found = settled(told_of, problems)
        assert [item.seconds for item in found] == [None, None, 20.0]
        assert [item.steps for item in found] == [10, 10, 10]
        assert not problems

    @pytest.mark.parametrize(
        ("early", "late", "apart_s"),
        [
            ("2024-10-31 11:59:50 AM - ", "2024-10-31 12:00:10 PM - ", 20.0),
            ("2024-10-31 12:59:50 PM - ", "2024-10-31 01:00:10 PM - ", 20.0),
            ("10/31/2024 11:59:50 PM ", "11/01/2024 12:00:10 AM ", 20.0),
            ("2024-10-31 11:59:50 - ", "2024-10-31 12:00:10 - ", 20.0),
        ],
    )
    def test_clocks_with_two_halves_of_a_day(self, early: str, late: str, apart_s: float) -> None:
        one, two = moment_in(early), moment_in(late)
        assert one is not None
        assert two is not None
        assert two - one == apart_s


def test_while_it_goes_on_the_moments_of_its_prints_time_a_short_evaluation() -> None:
    """Its bar shows whole seconds: 0 of 0.7, and 2 of 2.6."""
    reader = LineReader()
    said: list[Observation] = []
    for step, lasted_s in ((10, 0.7), (20, 2.6)):
        at_s = 10.0 * step
        said += reader.feed(bar(step, 40, 10 * step, "Training ") + "\n", at_s=at_s)
        said += reader.feed(bar(0, 8, 0, "Evaluating ") + "\n", at_s=at_s)
        said += reader.feed(bar(8, 8, int(lasted_s), "Evaluating ") + "\n", at_s=at_s + lasted_s)
    said += reader.close()
    assert [item.seconds for item in said if item.kind == "evaluation"] == pytest.approx([0.7, 2.6])


class TestLateRows:
    def test_an_evaluation_whose_row_comes_blocks_later_is_one(self) -> None:
        """Under `nohup` rows wait for a block to be full, bars do not."""
        lines = [bar(n, 181, 10 * n) for n in (1, 50, 99, 100)]
        lines += [bar(k, 50, k - 6) for k in (10, 30, 50)]
        lines += [row(0.06 * k) for k in range(1, 5)]
        lines += [bar(n, 181, 10 * n + 44) for n in (101, 150, 181)]
        lines += [*(row(0.06 * k) for k in range(5, 9)), evaluated(0.55, 44.4951), row(0.54), row(0.6)]
        lines += [str({"train_runtime": 1855.2, "train_loss": 1.0, "epoch": 1.0})]
        _, said = told(*lines)
        found = times(said)
        assert found["evaluation"] == (44.0, 1)
        assert found["step"] == (1810.0, 181)

    def test_another_of_the_same_length_is_another(self) -> None:
        lines = []
        for half in (0, 1):
            at_s = 144 * half
            lines += [bar(n, 20, 10 * (n - 10 * half) + at_s) for n in range(10 * half, 10 * half + 11)]
            lines += [bar(5, 10, 22), bar(10, 10, 44), evaluated(1.0 + half, 44.2)]
        assert times(told(*lines)[1])["evaluation"] == (88.4, 2)


def test_each_training_of_a_script_counts_though_each_bar_is_seen_full_alone() -> None:
    """A terminal that was copied: three models, 327 steps each."""
    lines = ["  1%|1         | 3/327 [00:57<1:42:49, 19.04s/it^" + evaluated(1.0, 122.8)]
    for runtime, clock in ((6217.8, "1:43:37"), (12963.9, "3:36:03"), (13022.8, "3:37:02")):
        lines.append(str({"train_runtime": runtime, "train_steps_per_second": 0.05, "train_loss": 0.8, "epoch": 3.0}))
        lines.append(f"100%|##########| 327/327 [{clock}<00:00, 30.00s/it]")
        lines.append("100%|##########| 24/24 [01:58<00:00,  4.92s/it]")
    reader, said = told(*lines)
    assert sum(item.steps or 0 for item in said if item.kind == "step") == 981
    assert times(said)["step"] == (6217.0 - 122.8 + 12963.0 + 13022.0, 981)
    assert {item.attempt for item in said if item.kind == "step"} == {0, 1, 2}
    assert not any("twice" in problem for problem in reader.problems)
