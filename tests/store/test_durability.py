"""What was acknowledged is there: with four writers at once, and after kill -9 at any moment."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headway.store import open_store

WRITER = Path(__file__).with_name("writer.py")
WRITERS, EACH = 4, 50
ROUNDS = int(os.environ.get("HEADWAY_TEST_KILLS", "40"))
"""A process each; a hundred and more pass too, and take longer."""


def started(place: str, *words: str) -> subprocess.Popen[bytes]:
    """A writer in a process of its own."""
    return subprocess.Popen([sys.executable, WRITER, place, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_four_writers_lose_nothing(lasting: str) -> None:
    """They also make the store, all at the same time."""
    running = [started(lasting, f"writer-{number}", str(EACH)) for number in range(WRITERS)]
    said = [one.communicate(timeout=60) for one in running]
    assert [one.returncode for one in running] == [0] * WRITERS, [err.decode()[-500:] for _, err in said]
    acknowledged = {key for out, _ in said for key in out.decode().split()}
    assert len(acknowledged) == WRITERS * EACH
    with open_store(lasting) as store:
        assert {record.id for record in store.read()} == acknowledged


def killed(writer: subprocess.Popen[bytes], dice: random.Random) -> set[str]:
    """End a writer after some acknowledgements and some milliseconds; returns what it had acknowledged."""
    with writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        lines = [writer.stdout.readline() for _ in range(dice.randint(0, 8))]
        time.sleep(dice.random() * 0.05 if dice.random() < 0.2 else dice.random() * 0.004)
        gone = writer.poll() is not None
        writer.kill()
        said, error = writer.stdout.read(), writer.stderr.read()
    assert not gone, error.decode()
    # a line that is not whole was never said
    return {line.decode().strip() for line in (*lines, *said.splitlines(keepends=True)) if line.endswith(b"\n")}


@pytest.mark.parametrize(("kind", "rounds"), [("file", ROUNDS), ("database", 10)])
def test_kill_9_loses_nothing_acknowledged(request: pytest.FixtureRequest, kind: str, rounds: int) -> None:
    """Each round kills a writer after so many acknowledgements and so many milliseconds as the dice say: while it
    writes what follows, and in some rounds while it still opens the store. The next one writes already.
    """
    place = str(request.getfixturevalue(kind))
    dice = random.Random(kind)
    acknowledged: set[str] = set()
    following = started(place, "round-0")
    try:
        for number in range(1, rounds + 1):
            writer, following = following, started(place, f"round-{number}")
            acknowledged |= killed(writer, dice)
    finally:
        killed(following, dice)
    with open_store(place) as store:
        everything = list(store.read())
    kept = {record.id for record in everything}
    assert acknowledged <= kept
    # one more at most per writer: stored, and killed before it was said; what the last one said was not listened to
    unsaid = [record.body["plan"] for record in everything if record.id not in acknowledged]
    assert all(unsaid.count(name) == 1 for name in unsaid if name != f"round-{rounds}")
    assert len(acknowledged) >= rounds
