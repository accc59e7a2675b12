"""What a run that is tracked writes to stderr: one row on a terminal, whole lines elsewhere, nothing that can fail."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest

import headway
from headway.track.screen import Screen

LONG = (
    "25%|██      | 807/3,232 [1:06:45<20:15:11 (p90 21:02:44) + evaluation, not seen yet, 502 ms/step, $0.31 of $1.24]"
)


class Terminal(io.StringIO):
    """A stream that says it is a terminal, of a width that nobody knows."""

    def isatty(self) -> bool:
        return True


class Broken:
    """A stream whose other end is gone."""

    def __init__(self, problem: type[Exception]) -> None:
        self.problem = problem

    def isatty(self) -> bool:
        return True

    def write(self, _: str) -> int:
        raise self.problem

    def flush(self) -> None:
        raise self.problem


def at_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal as stderr; within the test, for pytest puts its own there before it."""
    found = Terminal()
    monkeypatch.setattr(sys, "stderr", found)
    monkeypatch.delitem(sys.modules, "tqdm", raising=False)
    return found


def test_a_line_never_wraps_and_is_written_over(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = at_terminal(monkeypatch)
    screen = Screen(loud=True)
    assert screen.live
    screen.status(LONG)
    screen.status("short")
    first, second = terminal.getvalue().split("\r")[1:]
    assert len(first) == 79 and first.endswith("…")
    assert second == "short".ljust(79)
    screen.status("end", last=True)
    screen.warn("HW904 a word")
    assert terminal.getvalue().endswith("\nheadway: HW904 a word\n")


def test_a_warning_takes_the_place_of_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = at_terminal(monkeypatch)
    screen = Screen(loud=True)
    screen.status("going")
    screen.warn("a word")
    assert terminal.getvalue() == "\rgoing\r     \rheadway: a word\n"


@pytest.mark.parametrize("bars", [True, False])
def test_beside_the_bar_of_another_lines_are_whole(monkeypatch: pytest.MonkeyPatch, bars: bool) -> None:
    """Known of a trainer; of a loop by the bars that tqdm draws. tqdm puts the line above them."""
    terminal = at_terminal(monkeypatch)
    above: list[str] = []

    class Tqdm:
        _instances = ("a bar",) if bars else ()

        @staticmethod
        def write(text: str, **_: Any) -> None:
            above.append(text)

    monkeypatch.setitem(sys.modules, "tqdm", SimpleNamespace(tqdm=Tqdm))
    screen = Screen(loud=True, beside_bar=not bars)
    assert not screen.live
    screen.status(LONG)
    assert above == [f"headway: {LONG}\n"]
    assert terminal.getvalue() == ""


@pytest.mark.parametrize("stream", [Broken(OSError), Broken(ValueError), SimpleNamespace(write=lambda _: None), None])
def test_a_stderr_that_fails_stops_no_training(monkeypatch: pytest.MonkeyPatch, stream: Any, tmp_path: Any) -> None:
    """A terminal that was closed, a stream that was, one of a logger without the rest, none at all."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADWAY_STORE", "none")
    monkeypatch.setattr(sys, "stderr", stream)
    loop = headway.track([1, 2, 3], plan="")
    loop.meter._due._next_s = 0.0
    assert list(loop) == [1, 2, 3]
    Screen(loud=True).warn("a word")
