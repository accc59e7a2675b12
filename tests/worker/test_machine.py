"""What is said of the machine: facts that a prediction needs, and nothing that names anybody."""

from __future__ import annotations

import getpass
import json
import os
import platform
from pathlib import Path

import torch

from headway.worker.machine.facts import Peak, free_disk_bytes, free_memory_bytes, machine, sensors

CPU = torch.device("cpu")


def test_the_machine_is_described_without_names_and_places() -> None:
    found = machine(CPU)
    assert found["device"] == found["host"]
    assert found["cores"] >= 1
    assert found["threads"] == torch.get_num_threads()
    assert found["memory_bytes"] > 1e8
    assert found["torch"] == torch.__version__
    said = json.dumps(found)
    assert platform.node() not in said
    assert str(Path.home()) not in said
    assert getpass.getuser() not in {str(value) for value in found.values()}
    assert os.getcwd() not in said


def test_a_cpu_has_no_sensors() -> None:
    assert sensors(CPU) == {}


def test_free_bytes_are_within_what_there_is(tmp_path: Path) -> None:
    free = free_memory_bytes(CPU)
    assert free is None or 0 < free <= machine(CPU)["memory_bytes"]
    assert free_disk_bytes(tmp_path / "not" / "there") == free_disk_bytes(tmp_path) > 0


def test_a_peak_is_seen_after_its_tensor_is_gone() -> None:
    peak = Peak(CPU)
    peak.forget()
    before = peak.bytes()
    held = torch.ones(64 << 20, dtype=torch.uint8)
    del held
    assert peak.bytes() - before >= (60 << 20) or before > (300 << 20)  # where the system cannot forget its peak
