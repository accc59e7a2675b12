"""Whatever the bytes are, a tracker's reader says what it can, or says what is wrong: never anything else."""

from __future__ import annotations

import random
import shutil
import struct
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.logs.made import varint

from headway.domain.errors import UserError
from headway.domain.observation import KINDS, times_of
from headway.logs import READERS, wire
from headway.logs.formats import mlflow, tfevents
from headway.logs.read import read_log

SAMPLES = Path(__file__).parent / "samples" / "trackers"
FORMATS = ("tfevents", "wandb_offline", "wandb_csv", "mlflow", "lightning_csv", "nvidia_smi", "sacct")
FILES = [
    ("tfevents", "tfevents/torch/events.out.tfevents.1795279332.vm.29149.0", 300),
    ("tfevents", "tfevents/trainer/events.out.tfevents.1795279252.vm.28238.0", 300),
    ("wandb_offline", "wandb/offline-run-20261121_164052-g8gniqgs/run-g8gniqgs.wandb", 300),
    ("wandb_csv", "wandb_csv/history.csv", 300),
    ("wandb_csv", "wandb_csv/chart.csv", 300),
    ("wandb_csv", "wandb_csv/runs.csv", 300),
    ("mlflow", "mlflow/mlflow.sqlite", 300),
    ("lightning_csv", "lightning/version_0/metrics.csv", 300),
    ("nvidia_smi", "nvidia_smi/dmon.txt", 300),
    ("nvidia_smi", "nvidia_smi/query.csv", 300),
    ("sacct", "sacct/columns.txt", 300),
    ("sacct", "sacct/requeued.txt", 300),
    ("sacct", "sacct/jobs.json", 300),
]


def corrupted(whole: bytes, chance: random.Random) -> bytes:
    """`whole` with one to four wounds: flipped, lost, foreign or doubled bytes, or its end cut off."""
    broken = bytearray(whole)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(broken) + 1)
        long = chance.choice((1, 4, 40, 400))
        wound = chance.randrange(6)
        if wound == 0:
            broken[at : at + 1] = bytes([chance.randrange(256)])
        elif wound == 1:
            del broken[at:]
        elif wound == 2:
            del broken[at : at + long]
        elif wound == 3:
            broken[at:at] = chance.randbytes(long)
        elif wound == 4:
            broken[at:at] = broken[at : at + long]
        else:
            broken[at : at + 8] = b"\xff" * 8
    return bytes(broken)


def test_every_format_here_is_wounded() -> None:
    assert {name for name, _, _ in FILES} == set(FORMATS) <= set(READERS)


@pytest.mark.parametrize(("name", "sample", "times"), FILES, ids=[sample for _, sample, _ in FILES])
def test_wounds_are_survived(name: str, sample: str, times: int, tmp_path: Path) -> None:
    whole = (SAMPLES / sample).read_bytes()
    place = tmp_path / Path(sample).name
    chance = random.Random(sample)
    read = 0
    for _ in range(times):
        place.write_bytes(corrupted(whole, chance))
        try:
            log = READERS[name].read(place)
        except UserError as problem:
            assert str(problem)
            continue
        read += 1
        assert {item.kind for item in log.observations} <= set(KINDS)
        assert all(timed.seconds >= 0 for timed in times_of(log.observations).values())
        assert all(item.at_s is None or item.at_s >= 0 for item in log.observations)
    assert read > times / 20  # most wounds leave something, and what is left is read


def test_wounds_of_the_file_store_are_survived(tmp_path: Path) -> None:
    store = tmp_path / "mlruns"
    shutil.copytree(SAMPLES / "mlflow" / "mlruns", store)
    files = sorted(place for place in store.rglob("*") if place.is_file())
    whole = {place: place.read_bytes() for place in files}
    chance = random.Random(7)
    for _ in range(300):
        place = chance.choice(files)
        place.write_bytes(corrupted(whole[place], chance))
        try:
            assert mlflow.read(store).format == "mlflow"
        except UserError as problem:
            assert str(problem)
        place.write_bytes(whole[place])


@given(st.binary(max_size=400), st.sampled_from(FORMATS))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str) -> None:
    place = tmp_path_factory.getbasetemp() / f"any-{name}"
    place.write_bytes(data)
    assert READERS[name].claims(place, data) >= 0
    try:
        assert READERS[name].read(place).format == name
    except UserError as problem:
        assert str(problem)


@given(st.binary(max_size=200))
def test_a_message_is_read_or_no_message(data: bytes) -> None:
    try:
        assert all(number >= 0 for number, _ in wire.fields(data))
    except wire.WireError as problem:
        assert str(problem)


@pytest.mark.parametrize("size", [2**60, 2**63, 2**64 - 1, 2**31])
def test_a_length_beyond_the_file_costs_nothing(size: int, tmp_path: Path) -> None:
    head = struct.pack("<Q", size)
    place = tmp_path / "events.out.tfevents.9.vm"
    whole = (SAMPLES / "tfevents/torch/events.out.tfevents.1795279332.vm.29149.0").read_bytes()
    place.write_bytes(whole + head + struct.pack("<I", wire.masked_crc32c(head)) + b"x" * 100)
    tracemalloc.start()
    try:
        log = tfevents.read(place)
        with pytest.raises(wire.WireError, match="longer than its message"):
            list(wire.fields(b"\x0a" + varint(size) + b"x" * 100))
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most_bytes < 10e6
    assert any("cut off" in problem for problem in log.problems)
    assert len(log.observations) == 21


@given(st.integers(min_value=0, max_value=2**64 - 1))
def test_varints_come_back(number: int) -> None:
    assert wire.varint(varint(number) + b"\x01", 0) == (number, len(varint(number)))


def test_the_sum_is_that_of_the_standard() -> None:
    # RFC 3720, appendix B.4: 32 bytes of zeros, of ones, and counting up.
    assert wire.crc32c(bytes(32)) == 0x8A9136AA
    assert wire.crc32c(b"\xff" * 32) == 0x62A8AB43
    assert wire.crc32c(bytes(range(32))) == 0x46DD794E


@pytest.mark.parametrize("name", ["empty.wandb", "events.out.tfevents.1.vm", "metrics.csv"])
def test_an_empty_file_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    with pytest.raises(UserError, match="says something"):
        read_log(tmp_path / name)
