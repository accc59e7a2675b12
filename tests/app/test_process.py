"""A command that is passed on: however it is read, whatever its reading comes to, whoever sends a signal."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable

import pytest

from headway.app import process


def faulty(*_: str) -> None:
    raise ZeroDivisionError


def test_a_reader_that_is_slow_loses_nothing() -> None:
    """A stream of ours may be one that does not wait by itself."""
    there, sink = os.pipe()
    os.set_blocking(sink, False)
    got: list[bytes] = []

    def drain() -> None:
        while piece := os.read(there, 65536):
            got.append(piece)

    reader = threading.Timer(0.05, drain)
    reader.start()
    written = process._written(process._Stream(-1, sink), b"x" * 300_000)
    os.close(sink)
    reader.join()
    os.close(there)
    assert (written, sum(map(len, got))) == (True, 300_000)


def test_a_reader_that_has_gone_leaves_nothing_open() -> None:
    there, sink = os.pipe()
    os.close(there)
    free = os.dup(sink)
    os.close(free)
    assert not process._written(process._Stream(-1, sink), b"x")
    again = os.dup(sink)
    os.close(again)
    os.close(sink)
    assert again == free


def test_a_fault_in_reading_is_raised_when_the_command_is_over(capfd: pytest.CaptureFixture[str]) -> None:
    command = process.Process(["sh", "-c", "echo one; sleep 0.2; echo two"])
    with pytest.raises(ZeroDivisionError):
        command.run(faulty, lambda: None)
    assert capfd.readouterr().out == "one\ntwo\n"


@pytest.mark.parametrize("program", ["sleep 30", "exec >&- 2>&-; sleep 30"], ids=["silent", "without streams"])
def test_a_command_that_ran_to_be_measured_is_stopped_at_once(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(process, "PATIENCE_S", 0.3)
    began = time.monotonic()
    command = process.Process(["sh", "-c", program], alone=True)
    with pytest.raises(ZeroDivisionError):
        command.run(lambda _: None, faulty)
    assert time.monotonic() - began < 10.0


def ended(number: int, ours: Callable[..., None] | signal.Handlers, rest_s: float) -> int:
    """The exit code of a command that leaves with 7 at a signal, which is sent to us as soon as it says a word."""
    program = f"import signal, sys, time\nsignal.signal({int(number)}, lambda *_: sys.exit(7))\n"
    program += f"print('ready', flush=True)\ntime.sleep({rest_s})"
    before = signal.signal(number, ours)
    try:
        command = process.Process([sys.executable, "-c", program])
        return command.run(lambda _: os.kill(os.getpid(), number), lambda: None)
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_to_us_is_the_commands(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Slurm sends one before the end of a job's time, to the process that it started."""
    monkeypatch.setattr(process, "_has_the_terminal", lambda: False)
    assert ended(number, lambda *_: None, 20.0) == 7


def test_a_signal_that_a_terminal_sends_to_both_is_not_sent_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_has_the_terminal", lambda: True)
    assert ended(signal.SIGHUP, lambda *_: None, 0.3) == 0


def test_what_is_ignored_for_us_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """As nohup asks for."""
    monkeypatch.setattr(process, "_has_the_terminal", lambda: False)
    assert ended(signal.SIGHUP, signal.SIG_IGN, 0.3) == 0
