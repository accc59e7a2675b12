"""What joins the GPUs of a job, and the seconds of communication that computing does not hide.

Owns the default links (NVLink, PCIe, network) where the plan names none, which path a transfer takes, and what
overlaps. How much is sent is `work.communication`.
"""

from __future__ import annotations

from dataclasses import dataclass

from headway.domain.experiment import Parallel
from headway.domain.machine import Device, Link, Node
from headway.predict.values import Constants, Value, constant, larger
from headway.work.step import Work

_PCIE_BYTES_PER_S = {1: 3e9, 2: 6e9, 3: 12e9, 4: 24e9, 5: 48e9, 6: 96e9}
"""x16, one direction, after packet overhead: 12-13 GB/s measured of generation 3's 15.75, doubling by generation.
Source: PCI-SIG base specifications; NVIDIA `bandwidthTest` figures."""

_FABRICS = ("nvlink", "infinity fabric", "neuronlink", "ici", "gbe")
"""Fabrics that every device of a node is wired to. A bridge joins two cards and is an extra: it is not assumed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Path:
    """How fast bytes leave one GPU: one direction, after protocol efficiency, and the delay of one message."""

    bytes_per_s: Value
    latency_s: Value


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


def inner_path(node: Node, constants: Constants) -> Path:
    """Between GPUs of one node: the node's link or the device's default, times `link_efficiency`."""
    link = node.link or default_link(node.device)
    kind = "pcie" if "pcie" in link.name.lower() else "fabric"
    rate = link.bytes_per_s * constant(constants, "link_efficiency", kind)
    return Path(bytes_per_s=rate, latency_s=link.latency_s or constant(constants, "message_s"))


def outer_path(node: Node, constants: Constants) -> Path:
    """Between nodes: the node's network, or the assumed `network_bytes_per_s` for each GPU."""
    if node.network is None:
        return Path(
            bytes_per_s=constant(constants, "network_bytes_per_s"), latency_s=constant(constants, "network_message_s")
        )
    rate = node.network.bytes_per_s * constant(constants, "link_efficiency", "network")
    return Path(bytes_per_s=rate, latency_s=node.network.latency_s or constant(constants, "network_message_s"))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exposed:
    """Seconds of communication that lengthen the step."""

    inline_s: Value
    """Tensor parallel: the next layer waits for it."""
    beside_s: Value
    """Data and pipeline parallel: what is left after overlapping with computing."""


def leaves_node(group: str, node: Node, parallel: Parallel) -> bool:
    """Whether a parallel group (`tensor`, `data`, `pipeline`) sends over the network.

    Groups are placed as Megatron-LM does (Narayanan et al. 2021, arXiv:2104.04473, section 3.3): tensor innermost,
    then data, then pipeline; a group that does not fit into a node goes over the network.
    """
    if group == "pipeline":
        return node.nodes > 1
    ranks = parallel.tensor if group == "tensor" else parallel.tensor * parallel.data
    return ranks > node.gpus


def communication_time(work: Work, node: Node, parallel: Parallel, constants: Constants, *, busy_s: Value) -> Exposed:
    """Seconds that transfers add to `busy_s` of computing: bytes / bandwidth + messages x latency on their path.

    `communication_overlap` of data and pipeline transfers can hide behind computing, as long as there is computing to
    hide behind.
    """
    paths: dict[bool, Path] = {}
    inline: Value = 0.0
    beside: Value = 0.0
    for term in work.terms:
        if not term.link_bytes:
            continue
        group = term.name.split(".", maxsplit=1)[0]
        spans = leaves_node(group, node, parallel)
        if spans not in paths:
            paths[spans] = outer_path(node, constants) if spans else inner_path(node, constants)
        seconds = term.link_bytes / paths[spans].bytes_per_s + term.messages * paths[spans].latency_s
        if group == "tensor":
            inline = inline + seconds
        else:
            beside = beside + seconds
    hidden = beside * constant(constants, "communication_overlap")
    return Exposed(inline_s=inline, beside_s=beside - hidden + larger(hidden - busy_s, 0.0))
