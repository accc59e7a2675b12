"""Spellings seen in the wild (price lists, papers, torch, nvidia-smi, cloud consoles) and the device each means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.catalog.devices import Ambiguous, devices, find_device, matching_devices
from headway.catalog.names import normalise
from headway.domain.errors import UserError

RESOLVED = {
    # what people write
    "4090": "RTX 4090",
    "rtx4090": "RTX 4090",
    "RTX-4090": "RTX 4090",
    "GeForce RTX 4090 24GB": "RTX 4090",
    "3090": "RTX 3090",
    "rtx3090ti": "RTX 3090 Ti",
    "RTX 3080": "RTX 3080 10GB",
    "RTX 3060": "RTX 3060 12GB",
    "2080 Ti": "RTX 2080 Ti",
    "RTX 5070 Ti": "RTX 5070 Ti",
    "A6000": "RTX A6000",
    "RTXA6000": "RTX A6000",
    "A5000": "RTX A5000",
    "A4000": "RTX A4000",
    "6000 Ada": "RTX 6000 Ada",
    "RTX-6000-Ada": "RTX 6000 Ada",
    "A100 80GB SXM": "A100 SXM 80GB",
    "A100-40GB-SXM": "A100 SXM 40GB",
    "A100 SXM4 40 GB": "A100 SXM 40GB",
    "a100_80g_sxm": "A100 SXM 80GB",
    "A100-80GB-PCIe": "A100 PCIe 80GB",
    "A100-PCIe-80": "A100 PCIe 80GB",
    "a100 pci-e 40gb": "A100 PCIe 40GB",
    "H100-SXM5-80GB": "H100 SXM 80GB",
    "H100 SXM 80GB": "H100 SXM 80GB",
    "H100-SXM-80GB": "H100 SXM 80GB",
    "h100 sxm": "H100 SXM 80GB",
    "H100-PCIe": "H100 PCIe 80GB",
    "H100-NVL": "H100 NVL 94GB",
    "H200": "H200 SXM 141GB",
    "H200-SXM5-141GB": "H200 SXM 141GB",
    "H200 NVL": "H200 NVL 141GB",
    "B200": "B200 SXM",
    "B200-SXM-180GB": "B200 SXM",
    "B200 192GB": "B200 SXM",
    "B300": "B300 SXM",
    "GB200": "GB200",
    "GH200 96GB": "GH200 96GB",
    "GH200-141GB": "GH200 144GB",
    "V100-PCIe-32GB": "V100 PCIe 32GB",
    "RTX 4070 Ti SUPER": "RTX 4070 Ti SUPER",
    "4070ti": "RTX 4070 Ti",
    "RTX 4060": "RTX 4060",
    "RTX 4060 Ti 16G": "RTX 4060 Ti 16GB",
    "RTX 4090 D": "RTX 4090 D",
    "RTX 5060 Ti 16GB": "RTX 5060 Ti 16GB",
    "RTX 5000 Ada": "RTX 5000 Ada",
    "Quadro RTX 8000": "Quadro RTX 8000",
    "GTX TITAN X": "GTX TITAN X",
    "1080 Ti": "GTX 1080 Ti",
    "GB300": "GB300",
    "P40": "P40",
    "RTX PRO 6000 Blackwell Max-Q": "RTX PRO 6000 Blackwell Max-Q",
    "Radeon AI PRO R9700": "Radeon AI PRO R9700",
    "V100-SXM2-16GB": "V100 SXM2 16GB",
    "P100-SXM2-16GB": "P100 SXM2 16GB",
    "A10": "A10",
    "A10G": "A10G",
    "L4": "L4",
    "L40": "L40",
    "L40S": "L40S",
    "K80": "K80",
    "TITAN RTX": "TITAN RTX",
    "RTX PRO 6000 BSE": "RTX PRO 6000 Blackwell SE",
    # what torch and nvidia-smi print
    "NVIDIA GeForce RTX 4090": "RTX 4090",
    "Tesla T4": "T4",
    "NVIDIA A100-SXM4-80GB": "A100 SXM 80GB",
    "NVIDIA A100 80GB PCIe": "A100 PCIe 80GB",
    "NVIDIA A100-PCIE-40GB": "A100 PCIe 40GB",
    "NVIDIA H100 80GB HBM3": "H100 SXM 80GB",
    "NVIDIA H100 PCIe": "H100 PCIe 80GB",
    "NVIDIA GH200 480GB": "GH200 96GB",
    "Tesla V100-SXM2-32GB": "V100 SXM2 32GB",
    "Tesla P100-PCIE-16GB": "P100 PCIe 16GB",
    "NVIDIA RTX 6000 Ada Generation": "RTX 6000 Ada",
    "NVIDIA RTX PRO 6000 Blackwell Workstation Edition": "RTX PRO 6000 Blackwell WS",
    "Quadro RTX 6000": "Quadro RTX 6000",
    "nvidia-l4": "L4",
    "nvidia-tesla-t4": "T4",
    # other vendors
    "MI 300X": "MI300X",
    "AMD Instinct MI250X": "MI250X",
    "MI250": "MI250",
    "Radeon RX 7900 XTX": "RX 7900 XTX",
    "Intel(R) Gaudi(R) 2 AI Accelerator": "Gaudi2",
    "Gaudi 3": "Gaudi3",
    "trn1": "Trainium1",
    "AWS Trainium2": "Trainium2",
    "TPUv4": "TPU v4",
    "tpu-v5e": "TPU v5e",
    "v5litepod": "TPU v5e",
    "Trillium": "TPU v6e",
    "Apple M3 Max": "Apple M3 Max",
    "M1": "Apple M1",
}

AMBIGUOUS = {
    "A100": 4,  # form factor and memory
    "A100 80GB": 2,  # form factor
    "a100_80g": 2,
    "A100-40": 2,
    "nvidia-a100-80gb": 2,
    "H100": 3,  # SXM, PCIe, NVL
    "H100-80GB": 2,
    "V100": 4,
    "V100-32GB": 2,
    "P100": 2,
    "GH200": 2,  # memory
    "RTX 6000": 5,  # Turing, Ada, three Blackwell
    "RTX-PRO-6000": 3,  # workstation, Max-Q and server edition
    "RTX5000": 2,  # Turing, Ada
    "RTX 4060 Ti": 2,
    "M3": 2,  # Max, Ultra
}

UNKNOWN = (
    # cards that exist but are not in the catalog: a near name must not stand in for them
    "RTX 4090 Laptop", "RTX 4060 Laptop 8GB", "RTX 3080 Ti Laptop", "RTX 3070 Ti", "RTX A2000", "Gaudi1", "P4000",
    "M4000", "A100X", "H100-SXM5-96GB-HBM2e-500W", "MI50", "GTX 1660",
    # words that name no device
    "Ada", "SXM", "Ti", "A100-SXM4 40/80 mixed", "A100-40GB-PCIe/SXM", "gpu",
)  # fmt: skip


@pytest.mark.parametrize(("text", "name"), RESOLVED.items())
def test_a_spelling_resolves(text: str, name: str) -> None:
    assert find_device(text).name == name


@pytest.mark.parametrize(("text", "count"), AMBIGUOUS.items())
def test_an_ambiguous_name_lists_what_it_may_mean(text: str, count: int) -> None:
    with pytest.raises(Ambiguous) as caught:
        find_device(text)
    assert len(caught.value.candidates) == count
    assert {device.name for device in matching_devices(text)} == set(caught.value.candidates)


@pytest.mark.parametrize("text", UNKNOWN)
def test_an_unlisted_card_is_not_taken_for_a_neighbour(text: str) -> None:
    with pytest.raises(UserError, match="must be"):
        find_device(text)


def test_there_are_enough_spellings() -> None:
    assert len(RESOLVED) >= 60


def test_every_full_name_means_itself() -> None:
    for name, device in devices().items():
        assert find_device(name) is device
        assert find_device(name.replace(" ", "-").lower()) is device


@pytest.mark.parametrize(
    ("text", "memory_bytes"),
    [("X 80GB", 80e9), ("X 80 GiB", 80 * 2**30), ("X-80g", 80e9), ("X 15.1 GB", 15.1e9), ("x_40gb", 40e9), ("X", None)],
)
def test_memory_is_read_with_its_unit(text: str, memory_bytes: float | None) -> None:
    name = normalise(text)
    assert name.memory_bytes == memory_bytes
    assert name.words == {"x"}


@given(
    name=st.sampled_from(sorted(devices())), separator=st.sampled_from([" ", "-", "_", "  ", "/"]), upper=st.booleans()
)
def test_case_and_separators_do_not_matter(name: str, separator: str, upper: bool) -> None:
    written = separator.join((name.upper() if upper else name.lower()).split())
    assert normalise(written) == normalise(name)


@given(text=st.text(max_size=40))
def test_any_text_is_a_device_or_a_user_error(text: str) -> None:
    try:
        assert find_device(text).name in devices()
    except UserError as error:
        assert str(error)
