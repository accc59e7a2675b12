"""What a log counts in: steps, samples, epochs, or calls of the tracker; files written by hand, field by field."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

import pytest
from tests.logs.made import varint

from headway.domain.observation import Observation, RunLog, times_of
from headway.logs import wire
from headway.logs.formats import mlflow, tfevents, wandb_csv, wandb_offline
from headway.logs.formats.wandb_offline import OF_CALLS_SAID, axis_of

BEGAN_S = 1.7e9


def of_kind(log: RunLog, kind: str) -> list[Observation]:
    return [item for item in log.observations if item.kind == kind]


def steps(log: RunLog) -> list[int | None]:
    return [item.step for item in of_kind(log, "step")]


def part(number: int, content: bytes) -> bytes:
    """A field of a message that has a length."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def event_file(place: Path, scalars: Iterable[tuple[float, int, str, float]], began_s: float = 0.0) -> Path:
    """An event file that was opened at a moment, with these moments, steps, tags and values; all after `BEGAN_S`."""
    events = [b"\x09" + struct.pack("<d", BEGAN_S + began_s) + part(3, b"brain.Event:2")]
    for at_s, step, tag, value in scalars:
        scalar = part(1, tag.encode()) + b"\x15" + struct.pack("<f", value)
        events.append(b"\x09" + struct.pack("<d", BEGAN_S + at_s) + b"\x10" + varint(step) + part(5, part(1, scalar)))
    records = b""
    for event in events:
        head = struct.pack("<Q", len(event))
        records += head + struct.pack("<I", wire.masked_crc32c(head))
        records += event + struct.pack("<I", wire.masked_crc32c(event))
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(records)
    return place


def run_file(place: Path, history: Iterable[dict[str, float]]) -> Path:
    """An offline run file of W&B with these rows."""
    whole = wandb_offline.MAGIC + b"\0"
    for row in history:
        items = (part(1, part(1, name.encode()) + part(16, json.dumps(value).encode())) for name, value in row.items())
        record = part(2, b"".join(items))
        whole += struct.pack("<IHB", zlib.crc32(record, zlib.crc32(b"\x01")), len(record), 1) + record
    place.write_bytes(whole)
    return place


class TestEventFiles:
    def test_samples_are_no_steps(self, tmp_path: Path) -> None:
        """Megatron tells each value over iterations and again over samples, here 256 each."""
        names = ("learning-rate", "lm loss", "grad-norm")
        scalars = [
            (2.0 * step, step * more, f"{name}{over}", 1.0)
            for step in range(10, 60, 10)
            for name in names
            for over, more in (("", 1), (" vs samples", 256))
        ]
        log = tfevents.read(event_file(tmp_path / "events.out.tfevents.1.megatron", scalars))
        assert steps(log) == [10, 20, 30, 40, 50]
        assert not log.problems
        assert (times_of(log.observations)["step"].seconds, times_of(log.observations)["step"].units) == (100.0, 50)

    def test_means_of_an_epoch_stand_at_its_number(self, tmp_path: Path) -> None:
        """kohya's sd-scripts: two epochs of five steps."""
        scalars = []
        for step in range(1, 11):
            scalars += [(float(step), step, "loss/current", 0.5), (float(step), step, "lr/unet", 1e-4)]
            scalars += [(float(step), step // 5, "loss/epoch", 0.4)] if step % 5 == 0 else []
        log = tfevents.read(event_file(tmp_path / "events.out.tfevents.1.kohya", scalars))
        assert steps(log) == list(range(1, 11))
        assert {item.attempt for item in log.observations} == {0}
        assert not log.problems

    def test_results_of_an_epoch_stand_at_its_number(self, tmp_path: Path) -> None:
        """mmengine: 150 iterations an epoch, three rows each."""
        scalars = []
        for step in range(50, 451, 50):
            scalars += [(float(step), step, "lr", 1e-4), (float(step), step, "loss", 0.5)]
            scalars += [(step + 9.0, step // 150, "coco/bbox_mAP", 0.3)] if step % 150 == 0 else []
        log = tfevents.read(event_file(tmp_path / "events.out.tfevents.1.mm", scalars))
        assert steps(log) == list(range(50, 451, 50))
        assert not log.problems

    def test_a_loss_that_goes_back_is_a_restart(self, tmp_path: Path) -> None:
        order = [10, 20, 30, 20, 30, 40]
        scalars = [
            (10.0 * at, step, tag, 0.5) for at, step in enumerate(order) for tag in ("train/loss", "train/grad_norm")
        ]
        log = tfevents.read(event_file(tmp_path / "events.out.tfevents.1.again", scalars))
        assert steps(log) == order
        assert {item.attempt for item in of_kind(log, "step")} == {0, 1}
        assert any("restarted" in problem for problem in log.problems)

    def test_rows_of_other_strides_are_on_the_same_axis(self, tmp_path: Path) -> None:
        scalars = []
        for step in range(1, 31):
            scalars += [(float(step), step, "profiling/generate", 0.1)]
            scalars += [(float(step), step, "train/loss", 0.5)] if step % 10 == 0 else []
            scalars += [(step + 0.5, step, "eval/loss", 0.5)] if step % 15 == 0 else []
        log = tfevents.read(event_file(tmp_path / "events.out.tfevents.1.strides", scalars))
        assert steps(log) == list(range(1, 31))
        assert [item.step for item in of_kind(log, "evaluation")] == [15, 30]

    def test_keras_validates_at_iterations_and_tells_epochs_beside(self, tmp_path: Path) -> None:
        scalars = []
        for epoch in range(3):
            done = 469 * (epoch + 1)
            scalars += [(60.0 * epoch, done, "evaluation_loss_vs_iterations", 0.4)]
            scalars += [(60.0 * epoch, epoch, "epoch_loss", 0.4)]
        log = tfevents.read(event_file(tmp_path / "events.out.tfevents.1.validation", scalars))
        assert [item.step for item in of_kind(log, "evaluation")] == [469, 938, 1407]
        assert sum(item.steps or 0 for item in of_kind(log, "step")) == 1407
        assert not log.problems

    def test_what_stands_beside_the_epochs_of_keras_is_told_by_the_epoch_too(self, tmp_path: Path) -> None:
        scalars = [(60.0 * n, n, tag, 0.4) for n in range(3) for tag in ("epoch_loss", "learning rate")]
        log = tfevents.read(event_file(tmp_path / "events.out.tfevents.1.train", scalars))
        assert [(item.step, item.epoch) for item in of_kind(log, "step")] == [(None, 1), (None, 2), (None, 3)]

    def test_a_users_name_that_begins_like_those_of_keras_is_told_at_steps(self, tmp_path: Path) -> None:
        scalars = [(float(step), step, tag, 0.4) for step in (100, 200, 300) for tag in ("epoch_loss", "train_loss")]
        log = tfevents.read(event_file(tmp_path / "events.out.tfevents.1.own", scalars))
        assert steps(log) == [100, 200, 300]

    def test_ultralytics_counts_epochs(self, tmp_path: Path) -> None:
        tags = ("train/box_loss", "metrics/mAP50(B)", "lr/pg0")
        scalars = [(30.0 * epoch, epoch, tag, 0.4) for epoch in (1, 2, 3) for tag in tags]
        log = tfevents.read(event_file(tmp_path / "events.out.tfevents.1.yolo", scalars))
        assert [(item.step, item.epoch) for item in of_kind(log, "step")] == [(None, 1), (None, 2), (None, 3)]

    def test_lightning_tests_at_the_number_of_its_steps(self, tmp_path: Path) -> None:
        (tmp_path / "hparams.yaml").write_text("lr: 0.1\n")
        scalars = [(float(step), step, tag, 0.4) for step in (4, 9) for tag in ("train_loss", "epoch")]
        scalars += [(20.0, 10, "test_loss", 0.4), (20.0, 10, "epoch", 2.0)]
        log = tfevents.read(event_file(tmp_path / "events.out.tfevents.1.lightning", scalars))
        assert steps(log) == [5, 10]
        assert [item.step for item in of_kind(log, "evaluation")] == [10]


class TestEventFilesOfSeveralProcesses:
    def test_files_of_the_same_tags_at_once_are_of_ranks(self, tmp_path: Path) -> None:
        for rank in (0, 1):
            scalars = [(rank + 10.0 * n, 10 * n, "train/loss", 0.5) for n in range(1, 5)]
            event_file(tmp_path / f"events.out.tfevents.170000000{rank}.host.{rank}", scalars, began_s=rank)
        log = tfevents.read(tmp_path)
        assert steps(log) == [10, 20, 30, 40]
        assert {item.attempt for item in log.observations} == {0}
        assert log.problems == ("several processes wrote event files of the same steps: the first one's are counted",)

    def test_files_of_other_tags_at_once_are_one_run(self, tmp_path: Path) -> None:
        event_file(tmp_path / "events.out.tfevents.1.a", [(10.0 * n, 10 * n, "train/loss", 0.5) for n in range(1, 5)])
        event_file(tmp_path / "events.out.tfevents.1.b", [(10.0 * n + 3, 10 * n, "eval/loss", 0.5) for n in (2, 4)])
        log = tfevents.read(tmp_path)
        assert steps(log) == [10, 20, 30, 40]
        assert [item.step for item in of_kind(log, "evaluation")] == [20, 40]
        assert {item.attempt for item in log.observations} == {0}

    def test_a_file_that_begins_later_is_another_attempt(self, tmp_path: Path) -> None:
        event_file(tmp_path / "events.out.tfevents.1.a", [(10.0 * n, 10 * n, "train/loss", 0.5) for n in range(1, 5)])
        again = [(90.0 + n, 10 * n, "train/loss", 0.5) for n in range(3, 6)]
        event_file(tmp_path / "events.out.tfevents.2.a", again, began_s=80.0)
        log = tfevents.read(tmp_path)
        assert steps(log) == [10, 20, 30, 40, 30, 40, 50]
        assert {item.attempt for item in of_kind(log, "step")} == {0, 1}


GRPO = [
    said
    for step in range(1, 5)
    for said in (
        {"_step": 3 * step, "_timestamp": BEGAN_S + 10 * step - 5, "profiling/Time taken: GRPOTrainer.generate": 4.0},
        {"_step": 3 * step + 1, "_timestamp": BEGAN_S + 10 * step - 1, "profiling/Time taken: compute_loss": 3.0},
        {"_step": 3 * step + 2, "_timestamp": BEGAN_S + 10 * step, "train/loss": 0.1, "train/global_step": step},
    )
]
"""TRL's trainer tells what parts of a step took, in rows without the step."""


class TestWandb:
    def test_a_run_is_counted_by_one_key(self, tmp_path: Path) -> None:
        log = wandb_offline.read(run_file(tmp_path / "run-grpo.wandb", GRPO))
        assert steps(log) == [1, 2, 3, 4]
        assert {item.attempt for item in log.observations} == {0}
        assert times_of(log.observations)["step"].each_s == pytest.approx(10.0)
        assert log.problems == ("the file has no end: the run was stopped, or goes on",)

    def test_an_exported_history_is_counted_by_one_key(self, tmp_path: Path) -> None:
        columns = sorted({name for said in GRPO for name in said})
        lines = [",".join(str(said.get(name, "")) for name in columns) for said in GRPO]
        place = tmp_path / "history.csv"
        place.write_text("\n".join([",".join(columns), *lines]) + "\n")
        log = wandb_csv.read(place)
        assert steps(log) == [1, 2, 3, 4]
        assert not log.problems

    def test_the_key_is_one_that_stands_beside_a_loss(self) -> None:
        said = [{"loss": 1.0, "_step": 0.0}, {"val/loss": 1.0, "global_step": 10.0, "_step": 1.0}]
        assert axis_of(said) == ("_step", 0)
        assert axis_of(said[1:]) == ("global_step", 0)
        assert axis_of([{"loss": 1.0}]) == ("", 0)

    def test_steps_that_wandb_counted_itself_are_doubted(self, tmp_path: Path) -> None:
        said = [{"_step": n, "_timestamp": BEGAN_S + n, "loss": 0.5} for n in range(4)]
        assert OF_CALLS_SAID in wandb_offline.read(run_file(tmp_path / "run-own.wandb", said)).problems
        place = tmp_path / "history.csv"
        place.write_text("_step,_timestamp,loss\n0,1700000000,0.5\n1,1700000001,0.4\n")
        assert OF_CALLS_SAID in wandb_csv.read(place).problems


@pytest.mark.parametrize(
    ("epochs", "told"), [("3", [(None, 1), (None, 2), (None, 3)]), ("30", [(0, None), (1, None), (2, None)])]
)
def test_mlflow_told_once_for_each_epoch_that_was_set(
    tmp_path: Path, epochs: str, told: list[tuple[int | None, int | None]]
) -> None:
    """Keras's autologging; where a run set out for more epochs than it tells, nobody knows."""
    for folder in ("metrics", "params"):
        (tmp_path / folder).mkdir()
    (tmp_path / "meta.yaml").write_text("run_id: a\nstart_time: 1700000000000\n")
    (tmp_path / "params" / "epochs").write_text(epochs)
    lines = [f"{1_700_000_060_000 + 60_000 * n} 0.5 {n}" for n in range(3)]
    (tmp_path / "metrics" / "loss").write_text("\n".join(lines) + "\n")
    assert [(item.step, item.epoch) for item in of_kind(mlflow.read(tmp_path), "step")] == told


class TestRowsWrittenAtOnce:
    def test_an_evaluation_that_is_written_with_its_training_row_has_no_time_of_its_own(self, tmp_path: Path) -> None:
        """As published: rows of both 0.4 ms apart, after 200 steps and an evaluation that took 2,336 s together."""
        said = [(t, n, name, 0.3) for t, n in ((2336.0, 200), (4625.0, 400)) for name in ("acc", "eval_acc")]
        said = [(at_s + 0.0004 * (name == "eval_acc"), n, name, value) for at_s, n, name, value in said]
        log = tfevents.read(event_file(tmp_path / "events.out.tfevents.1.host.1.0", said))
        assert [item.seconds for item in of_kind(log, "evaluation")] == [None, None]
        assert sum(item.seconds or 0.0 for item in of_kind(log, "step")) == pytest.approx(4625.0)
        assert any("2 evaluations are told with the steps" in problem for problem in log.problems)

    def test_an_evaluation_alone_is_of_steps_that_another_file_has(self, tmp_path: Path) -> None:
        said = [(0.003, 300, name, value) for name, value in (("eval/loss", 0.1), ("eval/runtime", 0.3447))]
        log = tfevents.read(event_file(tmp_path / "events.out.tfevents.1.host.1.0", said))
        assert of_kind(log, "step") == []
        assert [(item.step, item.seconds) for item in of_kind(log, "evaluation")] == [(300, pytest.approx(0.3447))]

    def test_a_list_of_rows_that_was_copied_tells_no_times(self, tmp_path: Path) -> None:
        """What OpenAI's fine-tunings give to W&B when they are over: 551 rows within 0.32 s."""
        said = [{"_step": n, "_timestamp": BEGAN_S + 0.0006 * n, "train/loss": 0.5} for n in range(40)]
        log = wandb_offline.read(run_file(tmp_path / "run-copied.wandb", said))
        assert [item.seconds for item in of_kind(log, "step")] == [None] * 40
        assert any("all at once" in problem for problem in log.problems)

    def test_a_run_without_figures_says_so(self, tmp_path: Path) -> None:
        log = wandb_offline.read(run_file(tmp_path / "run-empty.wandb", [{"_step": 0.0, "_timestamp": BEGAN_S}]))
        assert any("no row tells" in problem for problem in log.problems)
