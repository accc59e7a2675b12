"""Programs of the worker room, each run in a process of its own: only there are the training libraries imported.

Owns the process and what of its failure is said.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from typing import Any

from headway.domain.errors import UsageError, UserError

OUT_OF_MEMORY, INTERRUPTED = 4, 130
"""Exit codes of a program that said what it had."""
TOO_LONG = 124
"""Of one that was ended at its limit, as timeout(1) leaves."""
KILLED = -9
"""What `subprocess` says of a program that SIGKILL ended."""


def run_worker(program: str, words: Sequence[str], given: str = "") -> dict[str, Any]:
    """The JSON object that `python -m headway.worker.PROGRAM WORDS` prints last; `given` is its standard input.

    Nothing is downloaded. Raises UserError with the last line that the program says when it fails.
    """
    done = subprocess.run(
        [sys.executable, "-m", f"headway.worker.{program}", *words],
        input=given,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )
    if done.returncode:
        raise _failure(done.returncode, done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def stream_worker(program: str, given: str, heard: Callable[[dict[str, Any]], None], limit_s: float) -> int:
    """Run a program that prints JSON lines, each handed to `heard` as it comes; its exit code: 0, 4, 124 or 130.

    An interrupt is the program's own affair: it says what it has and ends; a second one ends it. So does `limit_s`.
    Raises UserError with the last line that the program says when it fails.
    """
    late = threading.Event()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as words:
        process = subprocess.Popen(
            [sys.executable, "-m", f"headway.worker.{program}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
            text=True,
            encoding="utf-8",
            env=os.environ | {"HF_HUB_OFFLINE": "1"},
        )

        def end() -> None:
            late.set()
            process.kill()

        patience = threading.Timer(limit_s, end)
        patience.start()
        try:
            code = _listen(process, given, heard)
        finally:
            patience.cancel()
            process.kill()
            for pipe in filter(None, (process.stdin, process.stdout)):
                with contextlib.suppress(BrokenPipeError):  # what it did not read is flushed once more
                    pipe.close()
        if code in (0, OUT_OF_MEMORY, INTERRUPTED):
            return code
        if late.is_set():
            return TOO_LONG
        words.seek(0)
        raise _failure(code, words.read())


def _failure(code: int, said: str) -> UserError:
    """The error of a program that failed: its last line, or what its end means where it said nothing of it."""
    if code == KILLED:
        return UserError("a worker must fit into memory", got="it was killed, as Linux does where memory ends",
                         hint="Take a smaller batch or model, or free memory.")  # fmt: skip
    last = (said.strip().splitlines() or [f"the worker ended with {code} and said nothing"])[-1]
    return (UsageError if code == 2 else UserError)(last.removeprefix("error: "))


def _listen(process: subprocess.Popen[str], given: str, heard: Callable[[dict[str, Any]], None]) -> int:
    """Hand over the task, then every line, until the program ends."""
    assert process.stdin is not None and process.stdout is not None  # both are pipes
    with contextlib.suppress(BrokenPipeError):  # it refused before it read: its words say why
        process.stdin.write(given)
        process.stdin.close()
    interrupted = False
    while True:
        try:
            for line in process.stdout:
                if line.startswith("{"):
                    heard(json.loads(line))
            code = process.wait()
            return INTERRUPTED if interrupted and code in (0, -2) else code
        except KeyboardInterrupt:  # the program heard it too, as one of the same terminal
            if interrupted:
                raise
            interrupted = True
