"""Devices: the figures of well-known cards, memories that fit and that do not, and the messages."""

from __future__ import annotations

import pytest

from headway.catalog.devices import Ambiguous, devices, find_device
from headway.domain.errors import UserError


def test_figures_of_well_known_cards() -> None:
    """Against the vendors' datasheets: dense, fp32 accumulation."""
    a100 = find_device("A100-SXM4-80GB")
    assert a100.peak_flop_per_s["bf16"] == 312e12
    assert a100.bandwidth_bytes_per_s == 2039e9
    assert a100.board_limit_w == 400
    h100 = find_device("H100 SXM")
    assert h100.peak_flop_per_s["bf16"] == pytest.approx(989.4e12)  # not 1,979, which is with 2:4 sparsity
    assert h100.interconnect_bytes_per_s == 900e9
    rtx4090 = find_device("4090")
    assert rtx4090.peak_flop_per_s["bf16"] == pytest.approx(165.2e12)  # GeForce: half rate with fp32 accumulation
    assert rtx4090.memory_bytes == 24e9
    assert find_device("A10G").peak_flop_per_s["fp16"] == 70e12  # not the A10's 125
    assert find_device("T4").peak_flop_per_s["fp16"] == 65e12


@pytest.mark.parametrize("name", ["T4", "V100 SXM2 16GB", "P100 PCIe 16GB", "RTX 2080 Ti"])
def test_no_bf16_before_ampere(name: str) -> None:
    assert "bf16" not in devices()[name].peak_flop_per_s


def test_the_best_published_rate_is_attached() -> None:
    """RTX 4090 fp16 has three sources (150, 158.6, 172 TFLOP/s); T4 bandwidth two (240, 251.8 GB/s)."""
    assert devices()["RTX 4090"].achievable_flop_per_s["fp16"] == 172e12
    assert devices()["T4"].achievable_bandwidth_bytes_per_s == pytest.approx(251.8e9)
    assert devices()["A100 SXM 80GB"].achievable_flop_per_s["bf16"] == pytest.approx(271.2e12)
    assert devices()["RTX 5080"].achievable_flop_per_s == {}
    assert devices()["RTX 5080"].achievable_bandwidth_bytes_per_s is None


@pytest.mark.parametrize(
    ("name", "memory_bytes"),
    [
        ("T4", 15.1e9),
        ("T4", 14.56 * 2**30),
        ("4090", 24e9),
        ("4090", 23.65 * 2**30),
        ("A10G", 22.5 * 2**30),
        ("H100 SXM", 79.1 * 2**30),
        ("B300", 262e9),
    ],
)
def test_a_usable_memory_means_the_nominal_card(name: str, memory_bytes: float) -> None:
    assert find_device(name, memory_bytes=memory_bytes).name == find_device(name).name


def test_memory_decides_between_forms() -> None:
    assert find_device("V100 SXM2", memory_bytes=32e9).name == "V100 SXM2 32GB"
    assert find_device("GH200", memory_bytes=96e9).name == "GH200 96GB"


def test_an_alias_may_name_the_memory_of_the_host() -> None:
    """torch says 102 GB of what its driver calls 480GB."""
    assert find_device("NVIDIA GH200 480GB", memory_bytes=101.97e9).name == "GH200 96GB"
    assert message("NVIDIA GH200 480GB", 24e9).startswith("a GPU's name and memory must agree")


def test_unified_memory_comes_in_many_sizes() -> None:
    assert find_device("M3 Max 36GB").memory_bytes == 36e9
    assert find_device("M3 Max").memory_bytes == 128e9


def message(text: str, memory_bytes: float | None = None) -> str:
    with pytest.raises(UserError) as caught:
        find_device(text, memory_bytes=memory_bytes)
    return str(caught.value)


def test_h100_40gb_may_mean_three_things() -> None:
    with pytest.raises(UserError) as caught:
        find_device("H100 40GB")
    assert caught.value.candidates == ("A100 40GB", "H100 80GB", "MIG 3g.40gb/4g.40gb slice of H100 80GB")
    assert str(caught.value) == (
        "no H100 has 40 GB of memory, got 'H100 40GB'. It may mean A100 40GB, H100 80GB or "
        "MIG 3g.40gb/4g.40gb slice of H100 80GB; write the one you have"
    )
    assert message("H100", 40e9).startswith("no H100 has 40 GB of memory")


def test_other_impossible_memories() -> None:
    assert "It may mean L40 48GB, L40S 48GB, RTX 6000 Ada 48GB or RTX 4090 24GB" in message("RTX 4090 48GB")
    assert message("H100-SXM5-40GB") == (
        "no H100 SXM has 40 GB of memory, got 'H100-SXM5-40GB'. It may mean A100 SXM 40GB, H100 SXM 80GB or "
        "MIG 3g.40gb/4g.40gb slice of H100 SXM 80GB; write the one you have"
    )
    assert message("T4 24GB").startswith("no T4 has 24 GB of memory")


def test_messages() -> None:
    assert message("A100 80GB") == (
        "a GPU name must mean one device, got 'A100 80GB', which may be A100 PCIe 80GB or A100 SXM 80GB. "
        "Write the whole name, for example `gpu: A100 PCIe 80GB`"
    )
    assert message("RTX 4095") == (
        "a GPU must be in the catalog, got 'RTX 4095'. Nearest known: RTX 4090, RTX 4090 D or RTX 5090. "
        "`headway catalog devices` lists all; a datasheet row can be added to the catalog"
    )
    assert message("") == "a GPU must be named, got ''. For example `gpu: RTX 4090`"
    assert message("H100 3g.40gb").startswith("a MIG slice is a part of a device")
    assert message("A100 SXM 80GB", 40e9).startswith("a GPU's name and memory must agree")


def test_ambiguity_is_a_user_error_with_candidates() -> None:
    with pytest.raises(Ambiguous) as caught:
        find_device("V100")
    assert caught.value.candidates == ("V100 PCIe 16GB", "V100 SXM2 16GB", "V100 SXM2 32GB", "V100 PCIe 32GB")
