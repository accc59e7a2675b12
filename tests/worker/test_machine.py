"""What is said of the machine: facts that a prediction needs, and nothing that names anybody."""

from __future__ import annotations

import getpass
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
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


class Fault(Exception):
    """Of amdsmi, whose errors are of no other class."""


@pytest.mark.parametrize(("hip", "power_w"), [("6.2", 350.0), (None, 0.35)])
def test_a_gpu_says_watts_or_milliwatts_and_fails_in_its_makers_way(
    monkeypatch: pytest.MonkeyPatch, hip: str | None, power_w: float
) -> None:
    def fault(device: torch.device) -> None:
        raise Fault

    gpu = torch.device("cuda", 0)
    monkeypatch.setitem(sys.modules, "amdsmi", SimpleNamespace(AmdSmiException=Fault))
    monkeypatch.setattr(torch.version, "hip", hip)
    for name, value in (("temperature", 61), ("clock_rate", 2100), ("power_draw", 350), ("utilization", 97)):
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    assert sensors(gpu) == {"temperature_c": 61.0, "clock_hz": 2.1e9, "power_w": power_w, "utilisation": 0.97}
    monkeypatch.setattr(torch.cuda, "utilization", lambda device: "N/A")
    assert set(sensors(gpu)) == {"temperature_c", "clock_hz", "power_w"}
    monkeypatch.setattr(torch.cuda, "power_draw", fault)
    assert set(sensors(gpu)) == {"temperature_c", "clock_hz"}


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


def test_a_host_keeps_what_a_step_frees() -> None:
    """In a process of its own, whose heap nobody has set up: pages that are asked for the second time."""
    program = (
        "import resource, torch\n"
        "from headway.worker.machine.heap import keep_freed_memory\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    torch.ones(16 << 20)\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "faults()\n"
        "plain = faults()\n"
        "done = keep_freed_memory()\n"
        "kept = sum(faults() for _ in range(30)) / 30\n"  # small pieces may stand in the way of the first
        "print(done, plain, kept)\n"
    )
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_", "LD_"))}

    def run(**more: str) -> list[str]:
        return subprocess.run(
            [sys.executable, "-c", program], env=bare | more, capture_output=True, text=True, check=True
        ).stdout.split()

    done, plain, kept = run()
    if done != "True" or int(plain) < 1000:  # 64 MiB in pages of 4 or 64 KiB
        pytest.skip("no glibc here, whose heap this is about, or huge pages, which make nothing of it")
    assert float(kept) < int(plain) / 2
    assert run(MALLOC_ARENA_MAX="1")[0] == "False"  # the user's choice stands
