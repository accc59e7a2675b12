"""What joins the GPUs of a node where the plan names nothing: NVLink, Infinity Fabric, PCIe.

Owns the default links, and which group of GPUs goes beyond them. How much is sent is `work.communication`; what of it
computing hides is `speed`.
"""

from __future__ import annotations

from headway.domain.experiment import Parallel
from headway.domain.machine import Device, Link, Node

_PCIE_BYTES_PER_S = {1: 3e9, 2: 6e9, 3: 12e9, 4: 24e9, 5: 48e9, 6: 96e9}
"""x16, one direction, after packet overhead: 12-13 GB/s measured of generation 3's 15.75, doubling by generation.
Source: PCI-SIG base specifications; NVIDIA `bandwidthTest` figures."""

_FABRICS = ("nvlink", "infinity fabric", "neuronlink", "ici", "gbe")
"""Fabrics that every device of a node is wired to. A bridge joins two cards and is an extra: it is not assumed."""


def default_link(device: Device) -> Link:
    """The link that the device most likely has to its neighbours in a node, at wire speed in one direction.

    Source: the datasheet's bidirectional figure, halved; else PCIe of its generation (3 where unknown).
    """
    fabric = device.interconnect.lower()
    if device.interconnect_bytes_per_s and "bridge" not in fabric and any(word in fabric for word in _FABRICS):
        rate = device.interconnect_bytes_per_s / 2
        return Link(name=device.interconnect, bytes_per_s=rate, latency_s=0.0, source=device.source)
    generation = device.pcie_generation or 3
    return Link(
        name=f"PCIe {generation}.0 x16",
        bytes_per_s=_PCIE_BYTES_PER_S[generation],
        latency_s=0.0,
        source=f"PCI-SIG, generation {generation}",
    )


def leaves_node(group: str, node: Node, parallel: Parallel) -> bool:
    """Whether a parallel group (`tensor`, `data`, `pipeline`) sends over the network.

    Groups are placed as Megatron-LM does (Narayanan et al. 2021, arXiv:2104.04473, section 3.3): tensor innermost,
    then data, then pipeline; a group that does not fit into a node goes over the network.
    """
    if group == "pipeline":
        return node.nodes > 1
    ranks = parallel.tensor if group == "tensor" else parallel.tensor * parallel.data
    return ranks > node.gpus
