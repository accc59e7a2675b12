"""What `init` takes from its flags, and what it refuses at once."""

from __future__ import annotations

import pytest

from headway.app.init import commented
from headway.app.load import Project
from headway.app.quick import Flags
from headway.domain.errors import UsageError
from headway.plan import read_plan


def test_counts_stay_as_they_were_typed() -> None:
    text = commented(Flags(samples="52k", tokens_per_sample="1.5k", steps="10k"))
    assert "data: {rows: 52k, length: 1.5k}" in text
    assert "steps: 10k\n" in text
    dataset = read_plan("p.yaml", text=text).plan.datasets["data"]
    assert dataset.rows is not None
    assert dataset.rows.mid == 52_000


def test_a_gpu_of_several_is_refused_with_them() -> None:
    with pytest.raises(UsageError) as caught:
        commented(Flags(gpu="A100"))
    assert {"A100 SXM 80GB", "A100 PCIe 40GB"} <= set(caught.value.candidates)
    assert caught.value.field == "--gpu"
    assert f'--gpu "{caught.value.candidates[0]}"' in caught.value.hint
    assert f"machine: {caught.value.candidates[0]}" in commented(Flags(gpu=caught.value.candidates[0]))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (Flags(gpu="Quantum 3000"), "a GPU must be in the catalog, got 'Quantum 3000'"),
        (Flags(samples="many"), "--samples takes a count, got 'many'"),
        (Flags(steps="10k", epochs="3"), "a run is as long as its steps or its epochs say"),
        (Flags(lora=4, full=True), "a run trains in one way, got --lora and --full"),
    ],
)
def test_what_it_refuses(flags: Flags, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        commented(flags)


@pytest.mark.parametrize("flags", [Flags(), Flags(full=True), Flags(qlora=8)], ids=["lora", "full", "qlora"])
def test_check_has_nothing_against_it(flags: Flags) -> None:
    plan = read_plan("p.yaml", text=commented(flags))
    assert [found for found in Project(plan).check(today="2026-11-21").findings if found.severity != "info"] == []
