"""Logs of the machine and of its scheduler: nvidia-smi and sacct."""

from __future__ import annotations

from pathlib import Path

import pytest

from headway.domain.errors import UserError
from headway.logs import tables
from headway.logs.formats import nvidia_smi, sacct
from headway.logs.read import read_log

SAMPLES = Path(__file__).parent / "samples" / "trackers"


def test_dmon_runs_on_over_midnight_and_a_header_that_comes_again() -> None:
    log = read_log(SAMPLES / "nvidia_smi" / "dmon.txt")
    assert log.format == "nvidia_smi"
    assert [(item.rank, item.at_s) for item in log.observations] == [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2)]
    first = log.observations[0].values
    assert (first["power_w"], first["temperature_c"], first["clock_hz"]) == (239, 61, 1.695e9)
    assert (first["utilisation"], first["memory_bytes"]) == (0.96, 20 * 2**30)
    assert "memory_temperature_c" not in first
    assert log.facts["gpus"] == 2
    assert not log.problems


def test_dmon_with_times_alone() -> None:
    log = nvidia_smi.read(SAMPLES / "nvidia_smi" / "dmon_time.txt")
    assert [item.at_s for item in log.observations] == [0, 1, 2]
    assert log.problems == ("line 6: 3 cells under 11 columns, left out",)


def test_dmon_without_times_says_so(tmp_path: Path) -> None:
    place = tmp_path / "gpu.log"
    place.write_text(
        "# gpu   pwr gtemp mtemp    sm   mem\n"
        "# Idx     W     C     C     %     %\n"
        "    0   250    45     -    92     1\n"
    )
    log = read_log(place)
    assert [item.at_s for item in log.observations] == [None]
    assert any("no times" in problem for problem in log.problems)


def test_queries_with_units_and_without(tmp_path: Path) -> None:
    log = read_log(SAMPLES / "nvidia_smi" / "query.csv")
    assert [(item.rank, item.at_s) for item in log.observations] == [
        (0, 0.0),
        (1, pytest.approx(0.004, abs=1e-5)),
        (0, pytest.approx(5.001, abs=1e-5)),
        (1, pytest.approx(5.005, abs=1e-5)),
    ]
    assert log.observations[0].values["memory_bytes"] == 30994 * 2**20
    assert "power_w" not in log.observations[1].values
    assert log.facts["device"] == "NVIDIA A100-SXM4-40GB"
    bare = tmp_path / "gpu.csv"
    bare.write_text("utilization.gpu [%], temperature.gpu\n97, 70\n[N/A], 71\n")
    assert [dict(item.values) for item in read_log(bare).observations] == [
        {"utilisation": 0.97, "temperature_c": 70.0},
        {"temperature_c": 71.0},
    ]


def test_a_job_in_columns() -> None:
    log = read_log(SAMPLES / "sacct" / "columns.txt")
    begin, end = log.observations
    assert (log.format, begin.kind, end.kind, end.at_s) == ("sacct", "begin", "end", 26 * 3600 + 184)
    assert log.facts["state"] == "COMPLETED"
    assert log.facts["max_memory_bytes"] == 9876543 * 1024
    assert any("4712" in problem for problem in log.problems)


def test_a_job_copied_from_a_terminal_with_its_command(tmp_path: Path) -> None:
    place = tmp_path / "jobs.txt"
    place.write_text(
        "$ sacct -j 57\n"
        "       JobID    JobName  Partition    Account  AllocCPUS      State ExitCode \n"
        "------------ ---------- ---------- ---------- ---------- ---------- -------- \n"
        "57           script-1.+         vm     guests          1 CANCELLED+      0:0 \n"
        "57.batch          batch                guests          1  CANCELLED     0:15 \n"
    )
    log = read_log(place)
    assert (log.format, log.facts["job"], log.facts["run_name"]) == ("sacct", "57", "script-1.+")
    assert (log.facts["state"], log.facts["exit_code"]) == ("CANCELLED", "0:0")


def test_a_step_whose_id_was_cut_is_of_the_job_above_it(tmp_path: Path) -> None:
    """sacct cuts ids to twelve characters: `.batch` and `.extern` of a job of an array are `39459879_10+`."""
    place = tmp_path / "jobs.txt"
    place.write_text(
        "JobID           JobName      State    Elapsed     MaxRSS \n"
        "------------ ---------- ---------- ---------- ---------- \n"
        "39459879_10       train  COMPLETED   01:00:00            \n"
        "39459879_10+      batch  COMPLETED   01:00:00      2048K \n"
        "39459879_10+     extern  COMPLETED   01:00:00            \n"
    )
    log = read_log(place)
    assert (log.facts["job"], log.facts["elapsed_s"]) == ("39459879_10", 3600)
    assert log.facts["max_memory_bytes"] == 2048 * 1024
    assert not log.problems


def test_moments_of_a_query_may_be_seconds(tmp_path: Path) -> None:
    place = tmp_path / "gpu.csv"
    place.write_text(
        "timestamp,memory.used,memory.total,utilization.gpu\n"
        "1764189075,1, 24576, 0\n1764189076,1000, 24576, 97\n1764189077.5,1000, 24576, 98\n"
    )
    log = read_log(place)
    assert [(item.rank, item.at_s) for item in log.observations] == [(0, 0.0), (0, 1.0), (0, 2.5)]
    assert not log.problems


def test_a_gpu_that_is_looked_at_fast_is_one(tmp_path: Path) -> None:
    place = tmp_path / "gpu.csv"
    rows = [f"2024/05/01 10:00:{at // 100:02d}.{at % 100:02d}0, {at % 90} %" for at in range(0, 300, 2)]
    place.write_text("\n".join(["timestamp, utilization.gpu [%]", *rows]) + "\n")
    log = read_log(place)
    assert log.facts["gpus"] == 1
    assert len(log.observations) == 150


def test_a_query_below_the_banner_is_found(tmp_path: Path) -> None:
    place = tmp_path / "gpu.log"
    table = "timestamp, index, utilization.gpu [%]\n" + "".join(
        f"2024/05/01 10:00:{at:02d}.000, 0, {90 + at} %\n" for at in range(9)
    )
    banner = "Wed May  1 10:00:00 2024\n+-------------+\n| NVIDIA-SMI  |\n+-------------+\n"
    place.write_text(f"{banner}$ nvidia-smi --query-gpu=timestamp,index,utilization.gpu --format=csv -l 1\n{table}")
    log = read_log(place)
    assert (log.format, len(log.observations)) == ("nvidia_smi", 9)
    # A training that shows its GPUs before it begins is none.
    lines = "".join(f"step {n} loss: 1.5\n" for n in range(1, 30))
    place.write_text(f"{banner}name, memory.total [MiB]\nTesla T4, 15360 MiB\n{lines}")
    assert read_log(place).format == "console"


def test_a_requeued_job_is_two_attempts() -> None:
    log = read_log(SAMPLES / "sacct" / "requeued.txt")
    assert [(item.kind, item.attempt, item.at_s) for item in log.observations] == [
        ("begin", 0, 0.0),
        ("end", 0, 5400.0),
        ("begin", 1, 5530.0),
        ("end", 1, 5530.0 + 39600.0),
    ]
    assert (log.facts["gpus"], log.facts["queue_wait_s"], log.facts["state"]) == (4, 60, "CANCELLED")
    assert log.facts["elapsed_s"] == 45_000
    assert str(log.facts["started"]).count(":") == 2, "the local time of the cluster is not passed off as UTC"


def test_a_running_job_in_json_has_no_end() -> None:
    log = read_log(SAMPLES / "sacct" / "jobs.json")
    assert [item.kind for item in log.observations] == ["begin"]
    assert (log.facts["gpus"], log.facts["state"], log.facts["queue_wait_s"]) == (2, "RUNNING", 600)


def test_an_output_without_a_job_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "sacct.txt"
    place.write_text("JobID|JobName|State|Elapsed\n")
    with pytest.raises(UserError, match="holds a job"):
        sacct.read(place)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024/09/08 13:03:31.250", 1725800611.25),
        ("2024-09-08T13:03:31", 1725800611.0),
        ("20240908   13:03:31", 1725800611.0),
        ("2024-09-08T15:03:31+02:00", 1725800611.0),
        ("2024-13-08T13:03:31", None),
        ("Unknown", None),
        ("", None),
    ],
)
def test_moments(text: str, seconds: float | None) -> None:
    assert tables.moment_s(text) == seconds
