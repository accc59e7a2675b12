"""A command run as if it were alone, its output seen on the way: what `watch -- COMMAND` starts.

Owns the process, its streams and signals. What its output means is `logs/`; nothing of it is changed or held back.
"""

from __future__ import annotations

import os
import select
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import FrameType

from headway.domain.errors import UserError
from headway.track.screen import put

PATIENCE_S = 10.0
"""Between SIGINT and SIGTERM, and between SIGTERM and SIGKILL."""
ORPHANED_S = 1.0
"""How long output is waited for after the command ended: a process that it left behind may hold the stream open."""
TICK_S = 0.25
PIECE_BYTES = 65536


@dataclass(slots=True)
class _Stream:
    """One stream of the command: where it is read and where it goes on to."""

    source: int
    """-1 where it is closed."""
    sink: int
    rest: bytes = b""
    within_line: bool = False
    """Whether what was written last stands in a line that goes on: a bar."""

    def close(self) -> None:
        """Read it no more: a command that writes on learns that nobody listens. More than once does nothing."""
        source, self.source = self.source, -1
        if source >= 0:
            os.close(source)


class Process:
    """A running command. `seen(text)` gets whole lines (of either kind of end) as they come."""

    def __init__(
        self,
        words: Sequence[str],
        *,
        alone: bool = False,
        to_stderr: bool = False,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """Start it; `alone`: in a session of its own, without input, so that all of it can be stopped. `variables` of
        its environment are beside ours.

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
                env={"PYTHONUNBUFFERED": "1", **os.environ, **(variables or {})},
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
        self._fault: Exception | None = None

    def run(self, seen: Callable[[str], None], tick: Callable[[], None]) -> int:
        """Pass everything on until it ends; its exit code, 128 + signal where a signal ended it.

        `tick` is called several times a second. Signals are the command's to answer: it is waited for. What `seen` or
        `tick` raises ends the reading, not the passing-on: it is raised when the command is over.
        """
        heard = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
        # what is ignored for us (nohup) is for the command too; None: taken by what is not Python
        taken = [one for one in (*heard, signal.SIGWINCH) if signal.getsignal(one) not in (signal.SIG_IGN, None)]
        before = {number: signal.signal(number, self._forward) for number in taken}
        try:
            self._pump(seen, tick)
            while self._popen.poll() is None:  # its streams are closed, and it goes on
                with suppress(subprocess.TimeoutExpired):
                    self._popen.wait(timeout=TICK_S)
                self._beat(tick)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            for stream in self._streams:
                stream.close()
        if self._fault is not None:
            raise self._fault
        code = self._popen.wait()
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
        """A terminal sends its own signals to the command itself; anybody else sent them to us alone."""
        if number == signal.SIGWINCH:  # sent on, for the one of its own may have come before its new size
            self._resize()
        of_terminal = number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
        if self._alone or not of_terminal or not _has_the_terminal():
            self._send(number)

    def _resize(self) -> None:
        """The command's terminals have the size that ours now have."""
        for descriptor, stream in zip((1, 2), self._streams, strict=True):
            if stream.source >= 0 and os.isatty(descriptor):
                _size_as(stream.source, descriptor)

    def _pump(self, seen: Callable[[str], None], tick: Callable[[], None]) -> None:
        with selectors.DefaultSelector() as waiting:
            for stream in self._streams:
                waiting.register(stream.source, selectors.EVENT_READ, stream)
            last = time.monotonic()
            while waiting.get_map():
                ready = waiting.select(timeout=TICK_S)
                now = time.monotonic()
                last = now if ready else last
                for key, _ in ready:
                    if not _pass_on(key.data, partial(self._guarded, seen)):
                        waiting.unregister(key.fileobj)
                        key.data.close()
                self._beat(tick)
                if self._popen.poll() is not None and now - last > ORPHANED_S:
                    return

    def _beat(self, tick: Callable[[], None]) -> None:
        self._guarded(tick)
        if self._fault is not None and self._alone:
            self.stop()  # it ran to be measured

    def _guarded(self, tell: Callable[..., None], *said: str) -> None:
        """Tell of what came, as long as that was never a fault: a training does not die of being watched."""
        if self._fault is None:
            try:
                tell(*said)
            except Exception as fault:
                self._fault = fault


def _channel(descriptor: int) -> tuple[int, int]:
    """Our end and the command's of one stream: a terminal where ours is one, so that it prints what it would."""
    if not os.isatty(descriptor):
        return os.pipe()
    import pty
    import tty

    ours, theirs = pty.openpty()
    tty.setraw(theirs)  # bytes arrive as they were written
    _size_as(theirs, descriptor)
    return ours, theirs


def _size_as(terminal: int, other: int) -> None:
    """Give a terminal the size of another."""
    with suppress(OSError):
        import fcntl
        import termios

        fcntl.ioctl(terminal, termios.TIOCSWINSZ, fcntl.ioctl(other, termios.TIOCGWINSZ, b"\0" * 8))


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
    stream.within_line = not piece.endswith(b"\n") if piece else stream.within_line
    while piece:
        try:
            piece = piece[os.write(stream.sink, piece) :]
        except BlockingIOError:  # a stream of ours that does not wait by itself
            select.select((), (stream.sink,), ())
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.sink)
            if nowhere != stream.sink:
                os.close(nowhere)
            return False
    return True


def say(words: str, after: str = "") -> None:
    """One line on stderr, `after` what ends the line before."""
    put(f"{after}headway: {words}\n")
