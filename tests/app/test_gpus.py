"""What this machine computes on, as nvidia-smi names it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from headway.app import gpus
from headway.app.gpus import device_here, kinds_in


@pytest.mark.parametrize(
    ("said", "kinds"),
    [
        ("NVIDIA GeForce RTX 3090, 24576, [N/A]\n", {"RTX 3090"}),
        ("NVIDIA A100-SXM4-80GB, 81920, Disabled\n" * 8, {"A100 SXM 80GB"}),
        ("NVIDIA H200, 143771, Disabled\nNVIDIA L4, 23034, [N/A]\n", {"H200 SXM 141GB", "L4"}),
        ("NVIDIA GH200 480GB, 97871, Disabled\n", {"GH200 96GB"}),
        ("NVIDIA A100-SXM4-40GB, 40960, Enabled\n", {""}),  # torch sees a slice of it
        ("NVIDIA Unheard 9000, [N/A], [N/A]\n", {"NVIDIA Unheard 9000"}),
        ("No devices were found\n", set()),
    ],
)
def test_the_driver_names_are_the_catalogs(said: str, kinds: set[str]) -> None:
    assert kinds_in(said) == kinds


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("NVIDIA L4, 23034, [N/A]", "L4"),
        ("NVIDIA L4, 23034, [N/A]\nTesla T4, 15360, [N/A]", ""),  # which of them a program takes is torch's to say
        ("", ""),
    ],
)
def test_the_device_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, found: str) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{lines}\nEND\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert device_here() == found
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert device_here() == "CPU"


def test_without_a_gpu_it_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "has_gpu", lambda: False)
    assert device_here() == "CPU"
