"""Totals of published trainings that stopped early or were resumed, and W&B's summaries; figures counted by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from headway.domain.observation import RunLog, times_of
from headway.logs.read import read_log

Written = Callable[..., RunLog]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Reads a file of that name with these totals."""

    def read(name: str = "all_results.json", **said: object) -> RunLog:
        place = tmp_path / name
        place.write_text(json.dumps({key.replace("__", "/"): value for key, value in said.items()}), encoding="utf-8")
        return read_log(place)

    return read


def timed(log: RunLog, term: str = "step") -> tuple[float, float] | None:
    """Seconds and units of a term."""
    found = times_of(log.observations).get(term)
    return (round(found.seconds, 4), found.units) if found else None


def says(log: RunLog, *words: str) -> bool:
    return any(all(word in problem for word in words) for problem in log.problems)


@pytest.mark.parametrize(
    ("runtime_s", "rate", "epoch", "steps"),
    [
        (28624.551, 0.384, 1.364877161055505, 10992),  # ByErenOzer/Whisper_Finetune: did 1500, then stopped
        (476827.8094, 0.031, 18.03, 14782),  # anthonyrathe/fixed-whisperv2-flemish: resumed for its last 4000
        (623384.3788, 0.16, 4.01, 99742),  # CoralReefFish/whisper-tiny-nbaiLab: resumed for about 35,300
        (38738.2786, 0.258, 24.29, 9994),  # Fujump/qlora: did all of 10,000, but nobody could tell
    ],
)
def test_an_epoch_that_is_not_whole_leaves_the_steps_in_doubt(
    written: Written, runtime_s: float, rate: float, epoch: float, steps: int
) -> None:
    log = written(train_runtime=runtime_s, train_steps_per_second=rate, train_loss=0.3, epoch=epoch)
    assert timed(log) == (runtime_s, steps)
    assert says(log, f"epoch {epoch:.4g} is no whole one")
    assert says(log, "too short where it was resumed")


@pytest.mark.parametrize("epoch", [3.0, 2.9966])
def test_a_whole_epoch_leaves_them_in_none(written: Written, epoch: float) -> None:
    """A last batch that is not full may be left out of each epoch."""
    log = written(train_runtime=100.0, train_steps_per_second=1.5, epoch=epoch)
    assert timed(log) == (100.0, 150)
    assert not says(log, "whole one")


def test_a_stop_in_the_third_epoch_of_three_is_said(written: Written) -> None:
    """10 rows/s for 300 s are three times the 1,000 rows: 3 / 2.5 is 1.2."""
    rates = {"train_samples_per_second": 10.0, "train_steps_per_second": 0.6}
    log = written(epoch=2.5, train_runtime=300.0, train_samples=1000, **rates)
    assert timed(log) == (300.0, 180)
    assert says(log, "3 epochs, 2.5 were done", "1.2 times as long")


def test_what_a_training_did_that_stopped_early_is_its_share_of_the_epochs(written: Written) -> None:
    """A third of the 180 steps that were meant, in 300 s: 60, 5 s each."""
    rates = {"train_samples_per_second": 10.0, "train_steps_per_second": 0.6}
    log = written(epoch=1.0, train_runtime=300.0, train_samples=1000, **rates)
    assert timed(log) is None
    assert [item.step for item in log.observations if item.kind == "end"] == [60]
    assert says(log, "about 60 steps were done: 5 s each if")


def test_steps_that_nobody_can_have_done_were_done_before(written: Written) -> None:
    """ziedsb19/tunbert_tn, transformers 4.4: the rate is of 585,540 steps, a millisecond each."""
    log = written("train_results.json", epoch=15.0, train_runtime=597.6283, train_samples=312284,
                  train_samples_per_second=979.773)  # fmt: skip
    assert timed(log) is None
    assert says(log, "no step times", "585,540 steps in 598 s", "resumed")


def test_an_old_rate_of_more_steps_than_there_were_rows(written: Written) -> None:
    """2 steps a second for 1,000 s are 2,000; half an epoch of 1,000 rows has 500 steps at most."""
    log = written(epoch=0.5, train_runtime=1000.0, train_samples=1000, train_samples_per_second=2.0)
    assert timed(log) is None
    assert says(log, "no step times", "2,000 steps")


class TestCounted:
    def test_a_count_comes_before_the_rate(self, written: Written) -> None:
        """JackXfmax/PaddleOCR_VL_1.5_Fine_Tuning: 0.173 x 976 s is 168.8."""
        log = written("train_results.json", epoch=3.0, global_step=169, total_flos=0, train_loss=0.056,
                      train_runtime=976.0, train_steps_per_second=0.173)  # fmt: skip
        assert timed(log) == (976.0, 169)
        assert "total_flop" not in log.facts

    def test_a_training_that_stopped_early(self, written: Written) -> None:
        log = written(global_step=1500, train_runtime=28624.551, train_steps_per_second=0.384, epoch=1.3649)
        assert timed(log) == (28624.551, 1500)
        assert says(log, "stopped early: 1,500 of about 10,992 steps")
        assert not says(log, "whole one")

    def test_a_rate_of_fewer_is_of_the_last_start(self, written: Written) -> None:
        """2 steps a second for 100 s are 200 of the 1,000."""
        log = written(global_step=1000, train_runtime=100.0, train_steps_per_second=2.0, epoch=5.0)
        assert timed(log) == (100.0, 200)
        assert says(log, "resumed", "200 of 1,000 steps")
        assert next(item.step for item in log.observations if item.kind == "step") == 1000

    def test_a_count_tells_what_a_rate_of_one_digit_cannot(self, written: Written) -> None:
        """0.003 steps/s for 857,595 s is 2,144 to 3,001 steps."""
        log = written(global_step=2178, train_runtime=857595.1, train_steps_per_second=0.003, train_loss=2.0)
        assert timed(log) == (857595.1, 2178)


class TestSummaries:
    """`wandb-summary.json`: the last value of each."""

    def test_of_an_older_trainer(self, written: Written) -> None:
        """0-KaiKai-0/stanford_alpaca."""
        log = written("wandb-summary.json", train__loss=0.338, train__epoch=3.0, train__global_step=1218,
                      _runtime=13153.06, _step=1218, train__train_runtime=13155.3572,
                      train__train_samples_per_second=11.859, train__train_steps_per_second=0.093,
                      train__total_flos=0.0, train__train_loss=0.52944, _wandb={"runtime": 13217})  # fmt: skip
        assert log.format == "all_results"
        assert timed(log) == (13155.3572, 1218)
        assert log.facts["train_runtime_s"] == 13155.3572
        (end,) = (item for item in log.observations if item.kind == "end")
        assert (end.step, end.epoch) == (1218, 3.0)

    def test_of_a_newer_one_with_an_evaluation(self, written: Written) -> None:
        """tsebaka/T-Lab-2024-LLM-Alignment, and the evaluation of ananyakaligal/Gemma2B-Finetuning."""
        log = written("wandb-summary.json", train__global_step=760, train__epoch=0.38894575, train_runtime=1594.9832,
                      train_steps_per_second=0.476, train_samples_per_second=243.965, train__loss=0.0952,
                      eval__loss=0.5, eval__runtime=13.649, eval__samples_per_second=10.0)  # fmt: skip
        assert timed(log) == (1594.9832, 760)
        assert timed(log, "evaluation") == (13.649, 1)
        assert not says(log, "whole one")

    def test_a_count_of_0_is_none(self, written: Written) -> None:
        """zkdeng-uofa/modelTesting: 12 steps by the rate."""
        log = written("wandb-summary.json", train__global_step=0, train_runtime=24.0, train_steps_per_second=0.5)
        assert timed(log) == (24.0, 12)
        assert [item.step for item in log.observations if item.kind == "end"] == [None]

    def test_of_a_loop_of_ones_own(self, written: Written) -> None:
        """chau25102001/BART-sentiment: 792 calls in 403 s, and nobody knows of how many steps."""
        log = written("wandb-summary.json", train__lr=1e-4, _timestamp=1674220360, _runtime=403, _step=791,
                      train__loss=0.3036, test__loss=0.2056)  # fmt: skip
        assert [item.kind for item in log.observations] == ["begin"]
        assert log.facts == {"elapsed_s": 403.0}
        assert says(log, "last value of each alone")


def test_sets_of_one_evaluation_are_one_round(written: Written) -> None:
    """3 + 4.5 s; 30 rows of one set and 90 of the other."""
    log = written("eval_results.json", eval_a_runtime=3.0, eval_a_samples_per_second=10.0, eval_a_loss=0.5,
                  eval_b_runtime=4.5, eval_b_samples_per_second=20.0, eval_b_loss=0.7)  # fmt: skip
    (evaluation,) = log.observations
    assert (evaluation.seconds, evaluation.rows) == (7.5, 120.0)
    assert (evaluation.values["eval_a_loss"], evaluation.values["eval_b_loss"]) == (0.5, 0.7)
