"""What other programs take from a probe, by accounts of processors written by hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from headway.worker.machine import others
from headway.worker.machine.others import Others


def lines(busy: dict[int, int], idle: dict[int, int]) -> str:
    """`/proc/stat` with so many ticks of each processor in use and idle."""
    each = [f"cpu{core} {busy[core]} 0 0 {idle[core]} 0 0 0 0 0 0" for core in busy]
    return "\n".join(["cpu  1 2 3 4 5 6 7 8 9 10", *each, "intr 5"])


@pytest.mark.parametrize(
    ("threads", "own_s", "busy", "idle", "share"),
    [
        (1, 10.0, {0: 1000, 1: 0}, {0: 0, 1: 1000}, 0.0),  # alone
        (1, 10.0, {0: 1000, 1: 1000}, {0: 0, 1: 0}, 0.0),  # the other processor is not needed
        (2, 10.0, {0: 1000, 1: 1000}, {0: 0, 1: 0}, 0.5),  # it is needed, and somebody else has it
        (1, 4.0, {0: 1000, 1: 1000}, {0: 0, 1: 0}, 0.6),  # two busy strangers on two processors
        (2, 12.0, {0: 600, 1: 600}, {0: 400, 1: 400}, 0.0),  # threads of one's own that wait
        (1, 5.0, {0: 500, 1: 0, 7: 1000}, {0: 500, 1: 1000, 7: 0}, 0.0),  # a processor that may not be used
    ],
)
def test_only_what_was_needed_was_taken(
    threads: int, own_s: float, busy: dict[int, int], idle: dict[int, int], share: float,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    stat = tmp_path / "stat"
    stat.write_text(lines(dict.fromkeys(busy, 0), dict.fromkeys(busy, 0)))
    clock, own = [0.0], [0.0]
    monkeypatch.setattr(others, "_STAT", stat)
    monkeypatch.setattr(others, "_own_s", lambda: own[0])
    monkeypatch.setattr(others.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    monkeypatch.setattr(os, "sysconf", lambda name: 100)
    watched = Others(threads)
    assert watched.share() is None  # no time has passed
    stat.write_text(lines(busy, idle))
    clock[0], own[0] = 10.0, own_s
    assert watched.share() == pytest.approx(share)


def test_where_there_are_no_accounts_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(others, "_STAT", tmp_path / "none")
    assert Others(2).share() is None


def test_a_system_that_keeps_none_and_lacks_their_clock_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(others, "_STAT", tmp_path / "none")
    monkeypatch.delattr(os, "sysconf")  # as on Windows
    assert Others(2).share() is None
