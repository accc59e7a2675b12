"""Samples of the machine: what nvidia-smi says is read, and no source that fails is asked twice."""

from __future__ import annotations

import mmap
import sys
import time
from types import SimpleNamespace

import pytest

from headway.track.slowdowns.machine import Sampler, read_devices


def test_the_busiest_device_is_read_in_base_units() -> None:
    text = "210, 31, 0, 75.1, 700.00, 4, 143771\n1980, 64, 97, 688.02, 700.00, 120000, 143771\n"
    found = read_devices(text)
    assert found["clock_hz"] == 1.98e9
    assert (found["temperature_c"], found["utilisation"]) == (64.0, 0.97)
    assert found["memory_total_bytes"] == pytest.approx(150.755e9, rel=1e-4)


def test_figures_that_a_device_does_not_know_are_left_out() -> None:
    assert read_devices("[N/A], 40, [Not Supported], , 300") == {"temperature_c": 40.0, "power_limit_w": 300.0}
    assert read_devices("") == {}


def test_a_source_that_fails_is_asked_once() -> None:
    sampler, asked = Sampler(), []

    def broken() -> dict[str, float]:
        asked.append(1)
        raise RuntimeError("no driver")

    sampler._sources = [broken, lambda: {"load_per_cpu": 0.5}]
    assert [sampler.sample(), sampler.sample()] == [{"load_per_cpu": 0.5}] * 2
    assert asked == [1]


def test_nvmls_own_errors_are_a_lack_and_other_mistakes_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    class NVMLError(Exception):
        pass

    def broken() -> dict[str, float]:
        raise NVMLError("not supported")

    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(NVMLError=NVMLError))
    sampler = Sampler()
    sampler._sources = [broken]
    assert sampler.sample() == {}
    monkeypatch.delitem(sys.modules, "pynvml")
    sampler._sources = [broken]
    with pytest.raises(NVMLError):
        sampler.sample()


def test_pages_given_anew_are_counted_between_samples() -> None:
    pytest.importorskip("resource")  # Windows has none
    sampler = Sampler()
    assert "page_faults_per_s" not in sampler.sample()  # nothing to compare with yet
    began = time.monotonic()
    with mmap.mmap(-1, 64 << 20) as held:
        held[:: mmap.PAGESIZE] = b"x" * ((64 << 20) // mmap.PAGESIZE)
    found = sampler.sample()
    passed = time.monotonic() - began
    assert found["page_faults_per_s"] * passed >= 16  # of 16,384 pages, or of 32 where they are huge
    assert 0 <= found["system_share"] <= 1
