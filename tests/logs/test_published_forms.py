"""Forms that users have published, which are easily misread; figures counted by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from headway.domain.errors import UserError
from headway.domain.observation import Observation, RunLog, times_of
from headway.logs.lines.line_reader import LineReader
from headway.logs.read import read_log

Written = Callable[..., RunLog]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Reads a file of that name with these lines."""

    def read(name: str, *lines: str) -> RunLog:
        place = tmp_path / name
        place.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return read_log(place)

    return read


def steps(log: RunLog) -> list[Observation]:
    return [item for item in log.observations if item.kind == "step"]


def units(log: RunLog) -> dict[str, tuple[float, float]]:
    return {term: (round(timed.seconds, 3), timed.units) for term, timed in times_of(log.of_rank_0).items()}


def bar(n: int, total: int, elapsed: str, described: str = "", after: str = "") -> str:
    return (
        f"{described}{100 * n // total:3d}%|{'█' * (10 * n // total)}| {n}/{total} [{elapsed}<00:10, 3.79it/s{after}]"
    )


class TestBars:
    def test_a_bar_without_a_word_before_the_training_is_not_the_training(self, written: Written) -> None:
        """kohya's sd-scripts: sizes of images, then steps with their loss."""
        lines = ["loading image sizes.", bar(20, 41, "00:00"), bar(41, 41, "00:00"), "running training"]
        lines += [bar(n, 800, f"00:{n // 4:02d}", "steps: ", ", avr_loss=nan") for n in range(4, 100, 4)]
        log = written("train.log", *lines)
        assert log.total_steps == 800
        assert [item.step for item in steps(log)] == list(range(4, 100, 4))
        assert "evaluation" not in units(log)
        assert any("a bar of 41" in problem for problem in log.problems)

    @pytest.mark.parametrize(
        ("described", "rate"),
        [
            ("Capturing CUDA graph shapes: ", "5.55it/s"),
            ("train: Scanning labels... 722 images: ", "900.0it/s"),
            ("Processed prompts: ", "1.2it/s"),
            ("", "12.5ba/s"),
        ],
    )
    def test_preparations_are_no_training(self, written: Written, described: str, rate: str) -> None:
        before = f"{described}100%|██████████| 43/43 [00:07<00:00, {rate}]"
        log = written("train.log", before, *(bar(n, 100, f"00:{n:02d}") for n in range(5, 30, 5)))
        assert log.total_steps == 100
        assert steps(log)[-1].step == 25

    def test_a_bar_that_is_printed_once_an_epoch(self, written: Written) -> None:
        """Ultralytics: epoch, memory and losses before the bar, whose digits move."""
        lines = []
        for epoch, targets in ((70, "10"), (71, "12"), (72, " 8")):
            lines += [
                f"    {epoch}/1000      6.73G      1.081     0.4706      1.084         {targets}        640: "
                "100%|██████████| 16/16 [00:05<00:00,  2.78it/s]",
                "                 Class     Images  Instances      Box(P          R      mAP50: "
                "100%|██████████| 8/8 [00:02<00:00,  3.9it/s]",
            ]
        log = written("train.log", *lines)
        assert [item.step for item in steps(log)] == [16, 32, 48]
        assert units(log)["evaluation"] == (6.0, 3)
        assert log.total_steps == 16_000

    def test_an_evaluation_bar_that_stands_again_below_its_row_is_one(self, written: Written) -> None:
        """The Trainer's row is written between the bars, which tqdm then prints anew."""
        lines = [bar(n, 100, f"00:{n:02d}") for n in range(10, 51, 10)]
        lines += [bar(n, 20, f"00:{n // 2:02d}") for n in (0, 10, 20)]
        lines += [bar(50, 100, "01:00"), bar(20, 20, "00:10"), bar(60, 100, "01:10")]
        assert units(written("train.log", *lines))["evaluation"] == (10.0, 1)

    def test_a_bar_of_no_width(self, written: Written) -> None:
        """tqdm leaves the bar out where it knows no columns: Colab, SageMaker, mpirun."""
        lines = [
            f"Epoch 0: {n}% {17 * n}/1700 [{n // 2:02d}:00<00:24,  2.11it/s, loss=0.158, v_num=0]" for n in (50, 98)
        ]
        log = written("train.log", *lines)
        assert log.total_steps is None  # of one epoch: how many there are is not said
        assert [item.step for item in steps(log)] == [850, 1666]

    def test_keras_without_a_bar(self, written: Written) -> None:
        lines = [line for epoch in (1, 2, 3) for line in (
            f"Epoch {epoch}/3", "469/469 - 12s - loss: 0.3366 - accuracy: 0.9049 - 12s/epoch - 26ms/step",
        )]  # fmt: skip
        log = written("train.log", *lines)
        assert log.total_steps == 1407
        assert units(log)["step"] == (36.0, 1407)

    def test_keras_that_counts_rows_says_that_its_steps_are_unknown(self, written: Written) -> None:
        log = written("train.log", "Train on 60000 samples", "Epoch 1/5",
                      "60000/60000 [==============================] - 4s 63us/sample - loss: 0.5341")  # fmt: skip
        assert not steps(log)
        assert any("rows, not steps" in problem for problem in log.problems)


class TestTrainerLog:
    def row(self, step: int, at: str, **more: object) -> str:
        return json.dumps({"current_steps": step, "total_steps": 369, "epoch": 1.0, **more, "elapsed_time": at})

    def test_an_evaluation_between_two_rows_covers_its_steps(self, written: Written) -> None:
        """Two seconds a step; four steps and the evaluation in 15 s."""
        rows = [self.row(step, f"0:{step // 30:02d}:{2 * step % 60:02d}", loss=1.0) for step in range(5, 366, 5)]
        log = written("trainer_log.jsonl", *rows, self.row(369, "0:12:25", eval_loss=1.37), self.row(369, "0:12:26"))
        assert sum(item.steps or 0 for item in steps(log)) == 369
        assert units(log)["evaluation"] == (7.0, 1)

    def test_keys_that_are_null_tell_of_nothing(self, written: Written) -> None:
        """The callback of 2023 writes every key into every row, and its clock stands still while it evaluates."""
        empty = {"loss": None, "eval_loss": None, "learning_rate": None, "predict_loss": None, "reward": None}
        rows = [self.row(step, f"0:00:{step:02d}", **empty | {"loss": 1.0, "learning_rate": 1e-5}) for step in (10, 20)]
        rows += [self.row(20, "0:00:20", **empty | {"eval_loss": 1.2})]
        rows += [self.row(30, "0:00:45", **empty | {"loss": 0.9, "learning_rate": 1e-5})]
        log = written("trainer_log.jsonl", *rows)
        assert [item.step for item in steps(log)] == [10, 20, 30]
        (evaluation,) = (item for item in log.observations if item.kind == "evaluation")
        assert evaluation.seconds is None
        assert evaluation.values["eval_loss"] == 1.2


class TestTrackers:
    def test_lightning_steps_up_to_the_last_evaluation_were_done(self, written: Written) -> None:
        log = written("metrics.csv", "epoch,step,train_loss,val_loss", "0,49,0.5,", "0,68,,0.2156", "1,99,0.4,",
                      "1,137,,0.1437")  # fmt: skip
        assert sum(item.steps or 0 for item in steps(log)) == 138

    def test_what_lightning_does_after_its_fit_adds_no_step(self, written: Written) -> None:
        """60 steps from 0 to 59; after them `validate` and `test` tell that there were 60."""
        head = ("epoch,step,train_loss,val_loss,test_loss", "0,49,0.5,,", "0,59,,0.4,")
        for after in (["1,60,,,0.41"], ["1,60,,0.4,"], ["1,60,,0.4,", "1,60,,,0.41", "1,60,,0.4,"]):
            log = written("metrics.csv", *head, *after)
            assert sum(item.steps or 0 for item in steps(log)) == 60
            evaluations = [item for item in log.observations if item.kind == "evaluation"]
            assert [item.step for item in evaluations] == [60] * (1 + len(after))

    def test_tests_alone_are_no_training(self, written: Written) -> None:
        log = written("metrics.csv", "epoch,step,test_acc,test_loss", "0,0,0.9,0.3")
        assert not steps(log)
        assert [item.values for item in log.observations] == [{"acc": 0.9, "loss": 0.3}]

    def test_the_other_versions_of_a_folder_are_named(self, tmp_path: Path) -> None:
        for version in (0, 2, 10):
            (tmp_path / f"version_{version}").mkdir()
            (tmp_path / f"version_{version}" / "metrics.csv").write_text(f"epoch,step,train_loss\n0,{version},0.5\n")
        log = read_log(tmp_path)
        assert steps(log)[0].step == 11
        assert "read: version_10, the newest; also there: version_2, version_0" in log.problems

    def test_a_row_of_a_callback_leaves_the_loss_of_its_step(self, written: Written) -> None:
        log = written("metrics.csv", "episode,epoch,lr-Adam,step,train_loss", ",,0.001,49,", ",1,,49,10.028",
                      ",,0.001,99,", ",2,,99,nan")  # fmt: skip
        assert [item.step for item in steps(log)] == [50, 100]
        assert steps(log)[0].values == {"lr-Adam": 0.001, "train_loss": 10.028} or "loss" in steps(log)[0].values

    def test_a_name_may_end_with_its_split(self, written: Written) -> None:
        log = written("metrics.csv", "epoch,step,Loss/train,Loss/val,wall_time", "1,99,0.5,,100", "1,99,,0.6,103",
                      "2,199,0.4,,203", "2,199,,0.5,206")  # fmt: skip
        assert [item.values for item in log.observations if item.kind == "evaluation"] == [{"Loss": 0.6}, {"Loss": 0.5}]
        assert units(log)["step"] == (100.0, 100)

    def test_a_chart_of_the_machine_holds_no_steps(self, written: Written) -> None:
        log = written("wandb_export.csv",
                      '"Relative Time (Process)","run - system/gpu.0.gpu","run - system/gpu.1.gpu"',
                      "10,95,90", "25,96,91")  # fmt: skip
        assert not steps(log)
        samples = [item for item in log.observations if item.kind == "device"]
        assert {item.rank for item in samples} == {0, 1}
        assert len(samples) == 4


class TestMachine:
    def test_gpus_without_a_number_are_told_apart_by_their_moment(self, written: Written) -> None:
        rows = [
            f"2024/05/01 10:00:{second:02d}.{at:03d}, Tesla T4, {1000 + at} MiB, {90 + at} %"
            for second in (0, 5, 10)
            for at in (1, 3)
        ]
        log = written("gpu.csv", "timestamp, name, memory.used [MiB], utilization.gpu [%]", *rows)
        assert log.facts["gpus"] == 2.0
        assert [item.rank for item in log.observations] == [0, 1] * 3

    def test_processes_are_no_gpus(self, tmp_path: Path) -> None:
        place = tmp_path / "pmon.txt"
        place.write_text("# gpu        pid  type    sm   mem   enc   dec   command\n"
                         "    3    2642685     C    70    65     -     -   python\n", encoding="utf-8")  # fmt: skip
        try:
            log = read_log(place)
        except UserError:
            return
        assert not [item for item in log.observations if item.kind == "device"]

    def test_a_table_of_jobs_below_its_command(self, written: Written) -> None:
        log = written("jobs.txt", "(base) [login11: ~]--% sacct -j 2355542 --parsable2",
                      "JobID|JobName|Partition|Account|AllocCPUS|State|ExitCode|Elapsed",
                      "2355542|train|gpu|me|8|COMPLETED|0:0|01:00:00")  # fmt: skip
        assert log.format == "sacct"
        assert log.facts["elapsed_s"] == 3600.0


def test_nemo_rl_validates_within_its_step() -> None:
    """The total of the step holds the validation, which is printed before it."""
    lines = []
    for step in (1, 2):
        lines += [f"{'=' * 25} Step {step}/100 {'=' * 25}", "▶ Taking a training step..."]
        if step == 2:
            lines += ["📊 Validation Results:", "    • Accuracy: 0.1250", "    • Total validation time: 9.50s"]
        lines += ["📊 Training Results:", "  • Loss: 0.1234", "⏱️  Timing:", f"  • Total step time: {10 * step}.50s"]
    reader = LineReader()
    seen = reader.feed("\n".join(lines) + "\n")
    found = times_of(seen)
    assert (found["step"].seconds, found["step"].units) == (10.5 + 11.0, 2)
    assert (found["evaluation"].seconds, found["evaluation"].units) == (9.5, 1)
    assert [item.values for item in seen if item.kind == "step"] == [{"loss": 0.1234}] * 2
