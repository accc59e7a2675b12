"""The trackers' readers say what the tools' own readers say of the same files, and whose time each interval was."""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
import struct
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from statistics import median

import pytest

from headway.domain.errors import UserError
from headway.domain.observation import Observation, RunLog, times_of
from headway.logs import wire
from headway.logs.formats import lightning_csv, mlflow, tfevents, wandb_csv, wandb_offline
from headway.logs.read import read_log

SAMPLES = Path(__file__).parent / "samples" / "trackers"
EXPECTED = json.loads((SAMPLES / "expected.json").read_text(encoding="utf-8"))
EVENT_FILES = [name for name in EXPECTED if "tfevents" in name]
WANDB_FILES = [name for name in EXPECTED if name.endswith(".wandb")]
PUBLISHED = SAMPLES / "tfevents" / "events.out.tfevents.1744230855.b-3-167.5388.4"


def of_kind(log: RunLog, kind: str) -> list[Observation]:
    return [item for item in log.observations if item.kind == kind]


def same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def spelt(rows: Iterable[tuple[float, int, str, float]]) -> list[tuple[float, int, str, str]]:
    return sorted((at_s, step, name, repr(value)) for at_s, step, name, value in rows)


# ---- the same numbers as the tools


@pytest.mark.parametrize("name", EVENT_FILES)
def test_scalars_are_those_that_tensorboard_reads(name: str) -> None:
    file = tfevents.EventFile.at(SAMPLES / name)
    assert spelt(file.scalars) == sorted(tuple(row) for row in EXPECTED[name])
    assert len(file.scalars) > 20
    assert not file.problems


@pytest.mark.parametrize("name", WANDB_FILES)
def test_history_is_what_wandbs_own_classes_read(name: str) -> None:
    log, told = wandb_offline.read(SAMPLES / name), EXPECTED[name]
    steps = of_kind(log, "step")
    own = [row for row in told["history"] if "train/loss" in row]
    assert len(steps) == len(own) > 10
    for step, row in zip(steps, own, strict=True):
        assert same(step.values["loss"], float(json.loads(row["train/loss"])))
        if "val/loss" not in row:  # else the row was told when the evaluation was over
            assert step.at_s == pytest.approx(float(row["_timestamp"]) - told["start"], abs=1e-3)
        assert step.step == int(row.get("train/global_step", row["_step"]))
    assert len(of_kind(log, "evaluation")) == sum("eval/loss" in row or "val/loss" in row for row in told["history"])
    samples = of_kind(log, "device")
    assert [item.at_s for item in samples] == pytest.approx(
        [at_s - told["start"] for at_s, _ in told["stats"]], abs=1e-3
    )
    for item, (_, said) in zip(samples, told["stats"], strict=True):
        assert item.values["host_memory_utilisation"] == pytest.approx(float(said["memory_percent"]) / 100)
    assert (log.facts["run"], log.facts["exit_code"]) == (told["run"], told["exit_code"])
    named = any("train/global_step" in row for row in told["history"])
    assert list(log.problems) == ([] if named else [wandb_offline.OF_CALLS_SAID])


@pytest.mark.parametrize(("place", "loss"), [("mlflow/mlflow.sqlite", "loss"), ("mlflow/mlruns", "loss")])
def test_metrics_are_those_that_mlflows_client_reads(place: str, loss: str) -> None:
    log = mlflow.read(SAMPLES / place)
    own = [(step, float(value)) for _, step, name, value in EXPECTED[place] if name == loss]
    steps = of_kind(log, "step")
    assert [item.step for item in steps] == [step for step, _ in own]
    assert all(same(item.values["loss"], value) for item, (_, value) in zip(steps, own, strict=True))
    assert log.facts["status"] == "FINISHED"
    assert not log.problems


# ---- whose time it was


def test_three_trackers_of_one_run_agree() -> None:
    places = ("tfevents/trainer", "wandb/offline-run-20261121_164052-g8gniqgs", "mlflow/mlflow.sqlite")
    logs = [read_log(SAMPLES / place) for place in places]
    assert [log.format for log in logs] == ["tfevents", "wandb_offline", "mlflow"]
    for log in logs:
        assert log.total_steps == 60
        assert (log.facts["micro_batch"], log.facts["grad_accum"]) == (4, 2)
        assert log.facts["train_runtime_s"] == pytest.approx(8.5485, abs=1e-4)
        times = times_of(log.observations)
        assert (times["step"].units, times["evaluation"].units) == (60, 3)
        assert times["evaluation"].seconds == pytest.approx(0.0377 + 0.0246 + 0.0245, abs=1e-6)
        # The median of an interval is the same for all: MLflow alone began just before the first step.
        usual = [item.seconds for item in of_kind(log, "step") if item.seconds is not None]
        assert median(usual) == pytest.approx(0.315, abs=0.002)
    assert logs[0].total_steps == logs[1].total_steps


def test_a_published_file_of_an_older_wandb_adds_up_to_the_trainers_own_time() -> None:
    log = read_log(SAMPLES / "wandb" / "run-20231117_045208-8kelgntz")
    times = times_of(log.of_rank_0)
    assert times["step"].units == 12
    assert times["step"].seconds == pytest.approx(float(log.facts["train_runtime_s"]), rel=0.015)
    assert (log.facts["micro_batch"], log.facts["grad_accum"], log.facts["model"]) == (2, 16, "huggyllama/llama-7b")
    assert {item.rank for item in of_kind(log, "device")} == set(range(8))
    assert max(item.values.get("power_w", 0.0) for item in of_kind(log, "device")) == 404.13
    assert "total_flop" not in log.facts


def test_a_published_run_took_its_steps_and_evaluations() -> None:
    log = tfevents.read(PUBLISHED)
    rows = EXPECTED[PUBLISHED.relative_to(SAMPLES).as_posix()]
    runtimes = [float(value) for _, _, name, value in rows if name == "eval/runtime"]
    losses = [(at_s, step) for at_s, step, name, _ in rows if name == "train/loss"]
    times = times_of(log.observations)
    assert times["step"].units == log.total_steps == 1200
    assert times["evaluation"].seconds == pytest.approx(sum(runtimes))
    # From the first logged step to the last all is steps and evaluations, to the milliseconds that logging took.
    steps = of_kind(log, "step")
    between = sum(item.seconds or 0.0 for item in steps[1:]) + sum(runtimes[: len(losses) - 1])
    assert between == pytest.approx(losses[-1][0] - losses[0][0], rel=0.002)
    assert log.facts["micro_batch"] == 32


def test_a_resumed_run_is_two_attempts_of_sixty_steps() -> None:
    log = tfevents.read(SAMPLES / "tfevents" / "resumed")
    assert {item.attempt for item in log.observations} == {0, 1}
    second = [item for item in of_kind(log, "step") if item.attempt == 1]
    assert [item.step for item in second] == [45, 50, 55, 60]
    assert [item.steps for item in second] == [5, 5, 5, 5]
    assert max(item.seconds or 0.0 for item in of_kind(log, "step")) < 0.5
    # Steps 41 to 45 were done twice: 65 steps of 0.06 s, and nothing of the 5.6 s between the attempts.
    assert times_of(log.observations)["step"].units == 65
    assert times_of(log.observations)["step"].each_s == pytest.approx(0.062, abs=0.002)
    moments = [item.at_s for item in log.observations if item.at_s is not None]
    assert moments == sorted(moments)


def test_an_evaluation_without_a_runtime_is_what_the_interval_lasts_beyond_its_steps() -> None:
    hand_made = wandb_offline.read(SAMPLES / WANDB_FILES[1])
    evaluations = of_kind(hand_made, "evaluation")
    assert [item.step for item in evaluations] == [20, 40, 60]
    assert all(0.39 < (item.seconds or 0.0) < 0.45 for item in evaluations)  # each slept 0.4 s
    assert hand_made.facts["step_axis"] == "_step"
    assert (hand_made.facts["batch_size"], hand_made.facts["grad_accum"]) == (8, 4)
    files = mlflow.read(SAMPLES / "mlflow" / "mlruns")
    assert all(0.09 < (item.seconds or 0.0) < 0.15 for item in of_kind(files, "evaluation"))  # each slept 0.1 s


def test_lightning_names_the_step_it_is_in() -> None:
    table = lightning_csv.read(SAMPLES / "lightning" / "version_0")
    events = tfevents.read(SAMPLES / "lightning" / "version_0")
    for log in (table, events):
        assert [item.step for item in of_kind(log, "step")] == list(range(5, 61, 5))
        assert [item.step for item in of_kind(log, "evaluation")] == [20, 40, 60]
        assert of_kind(log, "step")[0].values["loss"] == pytest.approx(0.41679513454437256)
    assert "step" not in times_of(table.observations)
    assert any("no times" in problem for problem in table.problems)


def test_an_exported_history_has_what_the_run_said() -> None:
    log = wandb_csv.read(SAMPLES / "wandb_csv" / "history.csv")
    times = times_of(log.observations)
    # Five rows by hand: 20, then an evaluation of 7.75 s, then 20.5 + 20; ten steps of 20 s before the first row.
    assert (times["step"].seconds, times["step"].units) == (pytest.approx(80.5), 40)
    assert (times["evaluation"].seconds, times["load"].seconds) == (7.75, 22.5)
    assert math.isnan(of_kind(log, "step")[2].values["loss"])
    assert log.facts["started"] == "2024-05-05T08:00:00+00:00"


def test_an_exported_table_of_runs_has_the_time_of_the_longest() -> None:
    log = read_log(SAMPLES / "wandb_csv" / "runs.csv")
    assert [(item.kind, item.at_s) for item in log.observations] == [("begin", 0), ("end", 1200.5)]
    assert (log.facts["run_name"], log.facts["state"], log.facts["batch_size"], log.total_steps) == (
        "b",
        "crashed",
        32,
        5000,
    )
    assert log.facts["started"] == "2026-05-25T12:00:00+00:00"


def test_an_event_file_without_scalars_is_refused_as_one(tmp_path: Path) -> None:
    whole = PUBLISHED.read_bytes()
    (size,) = struct.unpack("<Q", whole[:8])
    place = tmp_path / PUBLISHED.name
    place.write_bytes(whole[: size + 16])
    with pytest.raises(UserError, match="TensorBoard holds scalars"):
        read_log(place)


def test_an_exported_chart_is_read_for_the_run_that_says_most() -> None:
    log = wandb_csv.read(SAMPLES / "wandb_csv" / "chart.csv")
    assert log.facts["run_name"] == "brisk-pond-1"
    assert [(item.step, item.values["loss"]) for item in of_kind(log, "step")] == [(10, 1.6), (20, 1.5), (30, 1.4)]
    assert any("calm-sea-2" in problem for problem in log.problems)


def test_rows_of_keras_count_epochs(tmp_path: Path) -> None:
    # Messages by hand: wall_time 1.7e9 + 60 n, step n, summary {value {tag, simple_value}}.
    records = b""
    for epoch in range(3):
        value = b"\x0a\x0aepoch_loss\x15" + struct.pack("<f", 1 / (epoch + 1))
        summary = b"\x0a" + bytes([len(value)]) + value
        event = b"\x09" + struct.pack("<d", 1.7e9 + 60 * epoch) + b"\x10" + bytes([epoch])
        event += b"\x2a" + bytes([len(summary)]) + summary
        head = struct.pack("<Q", len(event))
        records += head + struct.pack("<I", wire.masked_crc32c(head))
        records += event + struct.pack("<I", wire.masked_crc32c(event))
    place = tmp_path / "events.out.tfevents.1700000000.host.1.0.v2"
    place.write_bytes(records)
    steps = of_kind(tfevents.read(place), "step")
    assert [(item.epoch, item.step, item.seconds) for item in steps] == [
        (1, None, None),
        (2, None, None),
        (3, None, None),
    ]
    assert steps[2].at_s == 120


def test_a_store_of_mlflow_that_is_being_written_is_read(tmp_path: Path) -> None:
    place = tmp_path / "mlflow.db"
    shutil.copy(SAMPLES / "mlflow" / "mlflow.sqlite", place)
    before = mlflow.read(place)
    with closing(sqlite3.connect(place)) as writer:
        writer.execute("pragma journal_mode = wal")
        run = writer.execute("select run_uuid from runs").fetchone()[0]
        writer.execute("insert into metrics values ('loss', 0.5, 1795279999000, ?, 65, 0)", (run,))
        writer.commit()
        after = mlflow.read(place)
    assert len(after.observations) == len(before.observations) + 1
    assert of_kind(after, "step")[-1].values["loss"] == 0.5


def test_a_run_that_was_deleted_from_mlflow_is_not_the_newest(tmp_path: Path) -> None:
    for name, began, stage in (("old", 1_700_000_000_000, "active"), ("new", 1_700_000_900_000, "deleted")):
        run = tmp_path / "mlruns" / "0" / name
        (run / "metrics").mkdir(parents=True)
        (run / "meta.yaml").write_text(f"run_id: {name}\nlifecycle_stage: {stage}\nstart_time: {began}\n")
        (run / "metrics" / "loss").write_text(f"{began + 1000} 0.5 10\n")
    assert mlflow.read(tmp_path / "mlruns").facts["run"] == "old"


@pytest.mark.parametrize(("marked", "read"), [(True, "old"), (False, "new")])
def test_a_run_that_was_deleted_from_mlflows_database_is_not_the_newest(
    tmp_path: Path, marked: bool, read: str
) -> None:
    place = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(place)) as store:
        more = ", lifecycle_stage" if marked else ""
        store.execute(f"create table runs (run_uuid, name, status, start_time, end_time{more})")
        store.execute("create table metrics (run_uuid, key, value, timestamp, step, is_nan)")
        store.execute("create table params (run_uuid, key, value)")
        for name, began, stage in (("old", 1_700_000_000_000, "active"), ("new", 1_700_000_900_000, "deleted")):
            run = (name, name, "FINISHED", began, began + 5000, stage)[: 6 if marked else 5]
            store.execute(f"insert into runs values ({', '.join('?' * len(run))})", run)
            store.execute("insert into metrics values (?, 'loss', 0.5, ?, 10, 0)", (name, began + 1000))
        store.commit()
    assert mlflow.read(place).facts["run"] == read


# ---- broken files say so


def test_a_cut_event_file_keeps_what_stands_before(tmp_path: Path) -> None:
    whole = PUBLISHED.read_bytes()
    place = tmp_path / "events.out.tfevents.1.cut"
    place.write_bytes(whole[: len(whole) // 2])
    log = tfevents.read(place)
    assert 0 < len(of_kind(log, "step")) < 12
    assert any("cut off" in problem for problem in log.problems)


def test_a_flipped_bit_costs_one_record(tmp_path: Path) -> None:
    whole = bytearray(PUBLISHED.read_bytes())
    at = whole.index(b"train/loss")
    whole[at] ^= 1
    place = tmp_path / "events.out.tfevents.1.flipped"
    place.write_bytes(whole)
    log = tfevents.read(place)
    assert len(tfevents.EventFile.at(place).scalars) == len(tfevents.EventFile.at(PUBLISHED).scalars) - 1
    assert any("sum is wrong" in problem for problem in log.problems)


def test_a_broken_length_costs_the_records_up_to_the_next_whole_one(tmp_path: Path) -> None:
    whole = bytearray(PUBLISHED.read_bytes())
    (size,) = struct.unpack("<Q", whole[:8])
    second = 12 + size + 4
    whole[second] ^= 0xFF
    place = tmp_path / "events.out.tfevents.1.lost"
    place.write_bytes(whole)
    log = tfevents.read(place)
    assert len(of_kind(log, "step")) == 12
    assert any("no record begins here" in problem for problem in log.problems)


def test_a_broken_block_of_wandb_costs_what_stands_in_it(tmp_path: Path) -> None:
    whole = bytearray((SAMPLES / WANDB_FILES[1]).read_bytes())
    whole[40_000] ^= 0xFF
    place = tmp_path / "run-broken.wandb"
    place.write_bytes(whole)
    log = wandb_offline.read(place)
    assert 0 < len(of_kind(log, "step")) < 60
    assert any("broken record" in problem for problem in log.problems)


def test_a_run_of_wandb_that_goes_on_has_no_end(tmp_path: Path) -> None:
    whole = (SAMPLES / WANDB_FILES[0]).read_bytes()
    place = tmp_path / "run-cut.wandb"
    place.write_bytes(whole[: len(whole) - 3000])
    log = wandb_offline.read(place)
    assert not of_kind(log, "end")
    assert any("no end" in problem for problem in log.problems)


def test_gpus_of_wandb_are_ranks() -> None:
    values = {"gpu.0.gpu": 97.0, "gpu.0.temp": 71.0, "gpu.1.powerWatts": 250.5, "gpu.1.memoryAllocatedBytes": 3e9}
    first, second = wandb_offline.samples_of({**values, "disk.in": 3.0}, 12.0)
    assert (first.rank, dict(first.values)) == (0, {"utilisation": 0.97, "temperature_c": 71.0})
    assert (second.rank, dict(second.values)) == (1, {"power_w": 250.5, "memory_bytes": 3e9})
