"""A command run as if it were alone, its output seen on the way: what `watch -- COMMAND` starts.

Owns the process, its streams and signals. What its output means is `logs/`; nothing of it is changed or held back.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType

from headway.domain.errors import UserError
from headway.track.screen import put

PATIENCE_S = 10.0
"""Between SIGINT and SIGTERM, and between SIGTERM and SIGKILL."""
ORPHANED_S = 1.0
"""How long output is waited for after the command ended: a process that it left behind may hold the stream open."""
PIECE_BYTES = 65536


@dataclass(slots=True)
class _Stream:
    """One stream of the command: where it is read and where it goes on to."""

    source: int
    sink: int
    rest: bytes = b""
    within_line: bool = False
    """Whether what was written last stands in a line that goes on: a bar."""


class Process:
    """A running command. `seen(text)` gets whole lines (of either kind of end) as they come."""

    def __init__(self, words: Sequence[str], *, alone: bool = False, to_stderr: bool = False) -> None:
        """Start it; `alone`: in a session of its own, without input, so that all of it can be stopped.

        Raises UserError where it cannot be started.
        """
        if os.name == "nt":
            raise UserError(
                "a command is watched where its output can be read as it comes: on Linux and macOS",
                got="Windows",
                hint="Watch its files (headway watch FOLDER), or use headway.track in the program.",
            )
        self._alone = alone
        ours, theirs = zip(_channel(1), _channel(2), strict=True)
        try:
            self._popen = subprocess.Popen(
                list(words),
                stdin=subprocess.DEVNULL if alone else None,
                stdout=theirs[0],
                stderr=theirs[1],
                start_new_session=alone,
                env={"PYTHONUNBUFFERED": "1", **os.environ},
            )
        except (OSError, ValueError) as error:
            for end in ours:
                os.close(end)
            why = getattr(error, "strerror", None) or str(error)
            raise UserError(
                "the command after -- can be started",
                got=f"{words[0]}: {why}",
                hint="It is run without a shell: for a && b or pipes, write sh -c '...'.",
            ) from None
        finally:
            for end in theirs:
                os.close(end)
        self._streams = [_Stream(ours[0], 2 if to_stderr else 1), _Stream(ours[1], 2)]
        self._asked_s: list[float] = []

    def run(self, seen: Callable[[str], None], tick: Callable[[], None]) -> int:
        """Pass everything on until it ends; its exit code, 128 + signal where a signal ended it.

        `tick` is called several times a second. Ctrl-C is the command's to answer: it is waited for.
        """
        before = {number: signal.signal(number, self._forward) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            self._pump(seen, tick)
            code = self._popen.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            for stream in self._streams:
                os.close(stream.source)
        return code if code >= 0 else 128 - code

    def say(self, words: str) -> None:
        """One line on stderr, in a line of its own where a bar stands there."""
        shared = [stream for stream in self._streams if stream.sink == 2 or os.isatty(stream.sink)]
        say(words, after="\n" if any(stream.within_line for stream in shared) else "")
        for stream in shared:
            stream.within_line = False

    def stop(self) -> None:
        """Ask it to end: first SIGINT, which training programs know, then, asked again later, harder."""
        now = time.monotonic()
        if self._asked_s and now - self._asked_s[-1] < PATIENCE_S:
            return
        order = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
        self._send(order[min(len(self._asked_s), 2)])
        self._asked_s.append(now)

    def _send(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            if self._alone:
                os.killpg(self._popen.pid, number)
            else:
                self._popen.send_signal(number)

    def _forward(self, number: int, _: FrameType | None) -> None:
        """A terminal sends Ctrl-C to the command itself; anybody else sent it to us alone."""
        if self._alone or number != signal.SIGINT or not _has_the_terminal():
            self._send(number)

    def _pump(self, seen: Callable[[str], None], tick: Callable[[], None]) -> None:
        with selectors.DefaultSelector() as waiting:
            for stream in self._streams:
                waiting.register(stream.source, selectors.EVENT_READ, stream)
            last = time.monotonic()
            while waiting.get_map():
                ready = waiting.select(timeout=0.25)
                now = time.monotonic()
                last = now if ready else last
                for key, _ in ready:
                    if not _pass_on(key.data, seen):
                        waiting.unregister(key.fileobj)
                tick()
                if self._popen.poll() is not None and now - last > ORPHANED_S:
                    return


def _channel(descriptor: int) -> tuple[int, int]:
    """Our end and the command's of one stream: a terminal where ours is one, so that it prints what it would."""
    if not os.isatty(descriptor):
        return os.pipe()
    import pty
    import tty

    ours, theirs = pty.openpty()
    tty.setraw(theirs)  # bytes arrive as they were written
    with suppress(OSError):
        import fcntl
        import termios

        fcntl.ioctl(theirs, termios.TIOCSWINSZ, fcntl.ioctl(descriptor, termios.TIOCGWINSZ, b"\0" * 8))
    return ours, theirs


def _has_the_terminal() -> bool:
    """Whether Ctrl-C goes to this group of processes, whatever its streams are."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _pass_on(stream: _Stream, seen: Callable[[str], None]) -> bool:
    """Read a piece, write it, tell of its whole lines; False at the end of the stream."""
    try:
        piece = os.read(stream.source, PIECE_BYTES)
    except OSError:  # a terminal whose other end is closed reads as an error (EIO)
        piece = b""
    if not _written(stream, piece):
        return False
    text = stream.rest + piece
    cut = max(text.rfind(b"\n"), text.rfind(b"\r")) + 1
    # a bar is written in one piece that ends without an end of line; waiting for the next would date it too late
    if not piece or len(text) > PIECE_BYTES or text[cut - 1 : cut] == b"\r":
        seen(f"{text.decode('utf-8', 'replace')}\n")
        stream.rest = b""
    else:
        if cut:
            seen(text[:cut].decode("utf-8", "replace"))
        stream.rest = text[cut:]
    return bool(piece)


def _written(stream: _Stream, piece: bytes) -> bool:
    """False where our reader has gone: then the command's has too, as it would without us."""
    try:
        stream.within_line = not piece.endswith(b"\n") if piece else stream.within_line
        while piece:
            piece = piece[os.write(stream.sink, piece) :]
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.sink)
        return False
    return True


def say(words: str, after: str = "") -> None:
    """One line on stderr, `after` what ends the line before."""
    put(f"{after}headway: {words}\n")
