"""The machines a plan may run on: what a device can do, how devices are linked, what an offer costs.

Owns the nouns only. Facts (which device has which peak) are data files of `catalog/`; what a plan says of its
machines is `domain.plan.MachineSpec`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

DTYPES = ("fp32", "tf32", "fp16", "bf16", "fp8", "int8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One accelerator as software sees it (one die of a K80, one GCD pair as sold of an MI250).

    Peaks are *dense* rates with fp32 accumulation, because training accumulates in fp32 and no trainer prunes 2:4.
    A dtype absent from `peak_flop_per_s` is not supported in hardware (bf16 on V100 and T4).
    """

    name: str
    vendor: str
    generation: str
    """Architecture generation: `Ampere`, `Hopper`, `CDNA3`, ..."""
    year: int
    memory_bytes: float
    """Nominal memory. Datasheets print GB; NVIDIA's "80 GB" HBM parts are about 80e9 bytes or a little more."""
    bandwidth_bytes_per_s: float
    peak_flop_per_s: Mapping[str, float]
    """Dense peak by dtype (keys from `DTYPES`); int8 in operations per second."""
    achievable_flop_per_s: Mapping[str, float] = field(default_factory=dict)
    """Best measured matmul rate by dtype, where somebody published one (`achievable.csv`)."""
    achievable_bandwidth_bytes_per_s: float | None = None
    interconnect: str = "none"
    interconnect_bytes_per_s: float | None = None
    """Bandwidth between devices of one node, *both* directions added, as datasheets print it; None: unpublished."""
    pcie_generation: int | None = None
    board_limit_w: float | None = None
    evidence: str = ""
    """How the row was checked (`seen`, `tc`: tensor cores x clock, `mem`: recalled)."""
    source: str = ""
    date: str = ""
    notes: str = ""

    @property
    def is_assumed(self) -> bool:
        """True where its figures are a guess that stands for many (a CPU): only a measurement says what it does."""
        return self.evidence == "assumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What carries bytes between the devices of a job."""

    name: str
    bytes_per_s: float
    """One direction, per device."""
    latency_s: float
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One instance that can be rented, at one price, on one date."""

    provider: str
    instance: str
    region: str
    device: str
    """Name of a `Device`, or the provider's own word when it names no single device (`A100`)."""
    gpus: int
    usd_per_hour: float | None
    """On-demand price of the whole instance; None where only a spot price is known."""
    spot_usd_per_hour: float | None = None
    spot_basis: str = ""
    memory_bytes: float | None = None
    """Memory of one GPU as the provider states it."""
    vcpus: float | None = None
    ram_bytes: float | None = None
    priced_on: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingRule:
    """How a provider turns running time into billed time."""

    provider: str
    granularity_s: float
    """Running time is rounded up to a multiple of this."""
    minimum_s: float
    whole_node: bool
    """True when the multi-GPU shapes are billed whole, whatever is used."""
    spot_notice_s: float | None = None
    spot_name: str = ""
    """What the provider calls machines that it may take back (`Spot`); `none` where it has none; empty: unknown."""
    storage_when_stopped: str = ""
    evidence: str = ""
    confidence: str = ""
    date: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A resolved machine: so many devices of one kind, joined by one link."""

    device: Device
    gpus: int = 1
    nodes: int = 1
    link: Link | None = None
    """Between the GPUs of a node; None for a single GPU or where nothing is known."""
    network: Link | None = None
    """Between nodes."""

    @property
    def total_gpus(self) -> int:
        """GPUs in the whole job."""
        return self.gpus * self.nodes
