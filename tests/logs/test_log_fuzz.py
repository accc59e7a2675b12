"""Whatever the bytes are, a reader says what it can, or says what is wrong: never anything else, and never for long."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.domain.errors import UserError
from headway.domain.observation import KINDS, times_of
from headway.logs import READERS
from headway.logs.lines.line_reader import LineReader
from headway.logs.read import read_log

SAMPLES = Path(__file__).parent / "samples"
FILES = {
    "trainer_state": "trainer_state_unfinished.json",
    "all_results": "trainer_run/all_results.json",
    "trainer_log": "trainer_log.jsonl",
    "torchtune": "log_1716012345.txt",
    "axolotl": "axolotl.log",
    "console": "console_trainer.log",
    "headway": "events.jsonl",
    "ultralytics": "results.csv",
}
EVENTS = b"""{"schema": "headway.events/1", "total_steps": 9, "micro_batch": 2}
{"kind": "begin", "at_s": 0.0}
{"kind": "step", "at_s": 2.0, "seconds": 2.0, "step": 1, "steps": 1, "values": {"loss": "NaN"}}
{"kind": "step", "at_s": 4.0, "step": 2, "epoch": 0.5}
{"kind": "evaluation", "at_s": 7.0, "seconds": 3.0, "step": 2}
{"kind": "end", "at_s": 7.0, "step": 2}
"""
RESULTS = b"""epoch,time,train/box_loss,metrics/mAP50(B),val/box_loss,lr/pg0
1,93.2846,1.01057,0.0944,0.71757,0.00043
2,116.739,0.90306,0.22315,0.75367,0.00087
3,144.906,0.95781,0.27311,1.05783,0.00128
"""
MADE = {"headway": EVENTS, "ultralytics": RESULTS}
LONGEST = 12_000
"""Bytes of a sample that are wounded: each of 300 wounded ones is read whole."""


def whole(name: str) -> bytes:
    return MADE[name] if name in MADE else (SAMPLES / FILES[name]).read_bytes()[:LONGEST]


def flipped(data: bytes, chance: random.Random) -> bytes:
    broken = bytearray(data)
    for _ in range(chance.choice((1, 5, 50))):
        broken[chance.randrange(len(broken))] = chance.randrange(256)
    return bytes(broken)


def cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def inserted(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    deep = (b"{" * 300, b"[" * 5_000, b'{"')
    foreign = chance.choice((*deep, chance.randbytes(40), b"\r" * 99, b"9" * 5_000, b"-1e999"))
    return data[:at] + foreign + data[at:]


def shuffled(data: bytes, chance: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    lines += chance.choices(lines, k=3)
    chance.shuffle(lines)
    return b"".join(lines)


def encoded(data: bytes, chance: random.Random) -> bytes:
    coding = chance.choice(("utf-16", "utf-16-le", "utf-8-sig", "cp037", "utf-32"))
    return data.decode("latin-1").encode(coding, errors="replace")


def renumbered(data: bytes, chance: random.Random) -> bytes:
    digits = chance.choice((b"0", b"99999999999999999999", b"-7", b"NaN", b"null", b"1e308", b'"x"', b"true", b"[]"))
    parts = data.split(b": ")
    at = chance.randrange(len(parts))
    return b": ".join([*parts[:at], digits, *parts[at + 1 :]])


WOUNDS: tuple[Callable[[bytes, random.Random], bytes], ...] = (flipped, cut, inserted, shuffled, encoded, renumbered)


def test_every_format_of_text_is_wounded() -> None:
    assert set(FILES) <= set(READERS)
    assert all(READERS[name].claims(Path(FILES[name]), whole(name)) > 0.4 for name in FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_wounded_log_is_read_or_refused(tmp_path: Path, name: str) -> None:
    chance = random.Random(f"{name} 1")
    read = 0
    for wounded in range(300):
        data = WOUNDS[wounded % len(WOUNDS)](whole(name), chance)
        place = tmp_path / Path(FILES[name]).name
        place.write_bytes(data)
        for reader in (READERS[name].read, read_log):
            try:
                log = reader(place)
            except UserError:
                continue
            read += 1
            assert all(item.kind in KINDS for item in log.observations)
            assert all((item.seconds or 0.0) >= 0.0 for item in log.observations if item.kind == "step")
            assert len(log.problems) <= 60
            times_of(log.of_rank_0)
    # Most wounds leave most of a log readable.
    assert read > 300


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="0123456789{}'\":,/ \r\n\t%|[]<.-eloss stepitraunm█━é", max_size=400))
def test_any_text_is_taken_in_any_pieces(text: str) -> None:
    together, apart = LineReader(), LineReader()
    once = together.feed(text) + together.close()
    pieces = [item for at in range(0, len(text), 7) for item in apart.feed(text[at : at + 7])] + apart.close()
    assert repr(once) == repr(pieces)


@pytest.mark.parametrize(
    "line",
    [
        "{'" * 40_000,
        "{'loss': " * 20_000,
        "1/1 " + " " * 200_000,
        "step " * 50_000 + "loss",
        "save-checkpoint" + " ." * 60_000,
        "100%|" * 20_000,
        "a" * 300_000 + "loss: 1",
        "Epoch " + "1" * 100_000,
        ":::MLLOG " + "{" * 50_000,
        "iteration " + "9" * 50_000 + "/ 1 |",
        "\x1b[" * 50_000,
        "[" * 100_000,
    ],
)
def test_no_line_costs_more_than_its_length(tmp_path: Path, line: str) -> None:
    # What backtracks would take minutes here; the runner's limit would end it.
    place = tmp_path / "run.log"
    place.write_text(f"{line}\nstep 3 loss: 1.5\n")
    assert read_log(place).observations[-1].values["loss"] == 1.5


def test_a_packed_file_that_is_cut_or_false_is_read_or_refused(tmp_path: Path) -> None:
    place = tmp_path / "run.log.gz"
    for data in (b"\x1f\x8b", b"\x1f\x8b" + b"x" * 50, b"\x1f\x8b\x08\x00" + bytes(200)):
        place.write_bytes(data)
        with pytest.raises(UserError):
            read_log(place)
