"""Which of a folder's files are a run's, and which of them is believed; figures by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from headway.domain.errors import UserError
from headway.domain.observation import times_of
from headway.logs.read import read_log

PUBLISHED = next((Path(__file__).parent / "samples/trackers/tfevents").glob("events.out.tfevents.1744230855*"))


def state(place: Path, *, steps: int, **last: float) -> None:
    """A trainer_state.json with a row each 100 steps, and the last row of a training where its figures are given."""
    rows: list[dict[str, float]] = [{"step": step, "loss": 2.0, "epoch": 1.0} for step in range(100, steps + 1, 100)]
    rows += [{"step": steps, "epoch": 1.0, **last}] if last else []
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps({"log_history": rows, "global_step": steps, "max_steps": 1000}))


def rows(place: Path, steps: int) -> None:
    """A trainer_log.jsonl with a row each 100 steps of a second."""
    place.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        {"current_steps": n, "total_steps": 2000, "loss": 2.0, "elapsed_time": f"0:{n // 60:02d}:{n % 60:02d}"}
        for n in range(100, steps + 1, 100)
    ]
    place.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def test_totals_do_not_stand_for_rows(tmp_path: Path) -> None:
    """5.01 steps/s for 200 s would be 1,002 steps."""
    last = {"train_runtime": 200.0, "train_steps_per_second": 5.01, "train_loss": 2.0}
    state(tmp_path / "trainer_state.json", steps=1000, **last)
    (tmp_path / "all_results.json").write_text(json.dumps({"epoch": 1.0, **last}))
    log = read_log(tmp_path)
    assert log.format == "trainer_state"
    assert times_of(log.observations)["step"].units == 1000


def test_a_run_learns_nothing_of_the_run_beside_it(tmp_path: Path) -> None:
    rows(tmp_path / "b" / "trainer_log.jsonl", steps=900)
    (tmp_path / "a").mkdir()
    totals = {"train_runtime": 200.0, "train_steps_per_second": 0.5, "train_loss": 2.0, "total_flos": 1e15}
    (tmp_path / "a" / "all_results.json").write_text(json.dumps(totals))
    state(tmp_path / "a" / "trainer_state.json", steps=100)
    log = read_log(tmp_path)
    assert (log.format, log.total_steps) == ("trainer_log", 2000)
    assert not {"train_runtime_s", "total_flop", "steps_done"} & log.facts.keys()
    assert log.problems[-1] == "read from b/trainer_log.jsonl; not of its run: a"


def test_a_run_is_read_with_what_lies_in_its_own_folders(tmp_path: Path) -> None:
    rows(tmp_path / "b" / "trainer_log.jsonl", steps=900)
    state(tmp_path / "b" / "checkpoint-900" / "trainer_state.json", steps=900)
    state(tmp_path / "a" / "trainer_state.json", steps=1000)
    log = read_log(tmp_path)
    assert log.facts["steps_done"] == 900
    assert log.problems[-1] == (
        "read from b/trainer_log.jsonl; also there: b/checkpoint-900/trainer_state.json; not of its run: a"
    )


@pytest.mark.parametrize("end", [True, False])
def test_the_checkpoint_that_was_pushed_last_is_older_than_the_end(tmp_path: Path, end: bool) -> None:
    state(tmp_path / "checkpoint-300" / "trainer_state.json", steps=300)
    if end:
        state(tmp_path / "trainer_state.json", steps=1000)
    state(tmp_path / "last-checkpoint" / "trainer_state.json", steps=800)
    log = read_log(tmp_path)
    assert log.facts["steps_done"] == (1000 if end else 800)
    assert not any("not of its run" in problem for problem in log.problems)


def test_samples_of_the_machine_have_no_place_on_another_clock(tmp_path: Path) -> None:
    rows(tmp_path / "trainer_log.jsonl", steps=900)
    (tmp_path / "gpu.csv").write_text(
        "timestamp, index, utilization.gpu [%]\n2024/05/01 10:00:00.000, 0, 95 %\n2024/05/01 10:00:00.000, 1, 90 %\n"
    )
    log = read_log(tmp_path)
    samples = [item for item in log.observations if item.kind == "device"]
    assert [(item.at_s, item.rank) for item in samples] == [(None, 0), (None, 1)]
    assert "gpus" not in log.facts, "those of the machine are not those that the run used"


def test_samples_are_placed_where_both_logs_say_when_they_began(tmp_path: Path) -> None:
    """W&B began a minute after the run, and took its sample 30 s later."""
    header = {"schema": "headway.events/1", "started": "2024-05-05T07:59:00Z", "total_steps": 20}
    events = [{"kind": "begin", "at_s": 0.0}, *({"kind": "step", "at_s": 60.0 * n, "step": n} for n in range(1, 11))]
    (tmp_path / "events.jsonl").write_text("".join(f"{json.dumps(said)}\n" for said in [header, *events]))
    (tmp_path / "history.csv").write_text(
        "_step,_runtime,_timestamp,train/loss,system/gpu.0.gpu\n0,30,1714896030,1.0,95\n"
    )
    log = read_log(tmp_path)
    assert log.format == "headway"
    assert [item.at_s for item in log.observations if item.kind == "device"] == [90.0]


def test_a_pointer_of_git_lfs_is_no_log(tmp_path: Path) -> None:
    place = tmp_path / "events.out.tfevents.1700000000.host.1.0"
    place.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:12ab\nsize 4096\n")
    with pytest.raises(UserError) as refused:
        read_log(place)
    assert "git lfs pull" in refused.value.hint
    rows(tmp_path / "trainer_log.jsonl", steps=900)
    log = read_log(tmp_path)
    assert (log.format, log.problems) == ("trainer_log", ())


def test_event_files_in_runs_are_of_the_folder_that_has_logs_of_its_own(tmp_path: Path) -> None:
    """The Trainer writes them into OUTPUT/runs/MOMENT_HOST; other programs write one run after another into runs/."""
    for moment in ("May01_host", "May02_host"):
        (tmp_path / "out" / "runs" / moment).mkdir(parents=True)
        shutil.copy(PUBLISHED, tmp_path / "out" / "runs" / moment)
    log = read_log(tmp_path / "out")
    assert log.problems[-1].endswith("; not of its run: runs/May02_host")
    rows(tmp_path / "out" / "trainer_log.jsonl", steps=900)
    said = read_log(tmp_path).problems[-1]
    assert "not of its run" not in said
    assert "out/runs/May01_host" in said and "out/runs/May02_host" in said
