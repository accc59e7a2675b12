"""What was acknowledged is there: with four writers at once, and after kill -9 at any moment."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headway.store import open_store

WRITER = Path(__file__).with_name("writer.py")
WRITERS, EACH = 4, 50


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


@pytest.mark.parametrize(("kind", "rounds"), [("file", 100), ("database", 10)])
def test_kill_9_loses_nothing_acknowledged(request: pytest.FixtureRequest, kind: str, rounds: int) -> None:
    """Each round kills a writer after so many acknowledgements and so many milliseconds as the dice say: while it
    writes what follows, and in some rounds while it still opens the store.
    """
    place = str(request.getfixturevalue(kind))
    dice = random.Random(kind)
    acknowledged: set[str] = set()
    for number in range(rounds):
        with started(place, f"round-{number}") as writer:
            assert writer.stdout is not None
            for _ in range(dice.randint(0, 8)):
                acknowledged.add(writer.stdout.readline().decode().strip())
            time.sleep(dice.random() * 0.05 if dice.random() < 0.2 else dice.random() * 0.004)
            writer.kill()
            # what it said before it died; a line that is not whole was never said
            acknowledged.update(line.decode().strip() for line in writer.stdout if line.endswith(b"\n"))
        assert "" not in acknowledged
    with open_store(place) as store:
        kept = {record.id for record in store.read()}
    assert acknowledged <= kept
    # one more at most per round: stored, and killed before it was said
    assert len(kept) <= len(acknowledged) + rounds
    assert len(acknowledged) >= rounds
