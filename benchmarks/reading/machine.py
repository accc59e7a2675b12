"""The machine of a row and how the job is spread over it.

Owns GPU names that the catalog does not settle by itself, and the ways in which sources write parallelism.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from headway.catalog.devices import devices, matching_devices
from headway.domain.errors import UserError
from headway.domain.experiment import Parallel
from headway.domain.machine import Device, Link, Node
from reading.cells import Row, Unreadable, count, number

_PREFERRED = ("SXM", "OAM")
"""`A100-80GB` without a form factor is read as SXM: multi-GPU nodes of it are, and single cards of clouds mostly."""
_LAPTOP = "a laptop GPU, whose clock and power are not in the catalog"
_TITAN_BANDWIDTH = 2.4e12
_BARE = {"A100": "A100 SXM 80GB", "H100": "H100 SXM 80GB", "V100": "V100 SXM2 16GB"}


def device(text: str) -> tuple[Device, tuple[str, ...]]:
    """The catalog's device for a GPU name, with what was assumed. Raises `Unreadable` where there is none.

    Without form factor: SXM. `unspecified` memory: the 80 GB part. The 96 GB H100 of Meta's Grand Teton is the SXM
    board with HBM2e of 2.4 TB/s at 500 W (pytorch/torchtitan, benchmarks/): its own memory, the SXM peaks.
    """
    if "laptop" in text.lower():
        raise Unreadable(_LAPTOP)
    if text.startswith("H100-SXM5-96GB"):
        board = devices()["H100 SXM 80GB"]
        return replace(
            board,
            memory_bytes=96e9,
            bandwidth_bytes_per_s=_TITAN_BANDWIDTH,
            achievable_bandwidth_bytes_per_s=None,
            board_limit_w=500.0,
        ), ("H100 of 96 GB HBM2e at 500 W: peaks of the SXM board",)
    plain = re.sub(r"[-_ ]?(unspecified|unknown)", "", text)
    try:
        found = matching_devices(_BARE.get(plain, plain))
    except UserError as error:
        raise Unreadable("the GPU is not in the catalog") from error
    if len(found) == 1:
        return found[0], (() if plain == text else (f"{text} read as {found[0].name}",))
    chosen = next((one for one in found if any(form in one.name for form in _PREFERRED)), found[0])
    return chosen, (f"{text} read as {chosen.name}",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spreading:
    """How a job is spread, with what `Parallel` has no word for."""

    parallel: Parallel
    context: int = 1
    """Ranks that share one sequence (ring attention). Counted as data-parallel ranks in `parallel`."""
    virtual: int = 1
    """Chunks of layers per pipeline stage (interleaved schedule)."""
    expert: int = 1
    """Ranks that share the experts of a layer; inside the data-parallel group."""
    assumed: tuple[str, ...] = ()


_SIZES = {"tp": "tensor", "pp": "pipeline", "dp": "data", "cp": "context", "vp": "virtual", "ep": "expert"}
_ZERO = re.compile(r"zero[-_ ]?([123])")


def _sizes(text: str) -> dict[str, int]:
    """`tp4 pp8 cp1`, `tp=2`, `TP 4`: each size by its name."""
    found = {}
    for short, name in _SIZES.items():
        match = re.search(rf"(?<![a-z]){short}\s*[=:]?\s*(\d+)", text)
        if match:
            found[name] = max(1, int(match[1]))
    return found


def _sharding(text: str, framework: str, data: int) -> str:
    """Of the data-parallel group. NeMo and Megatron-Bridge use the distributed optimizer, which is ZeRO-1."""
    if data < 2:
        return "none"
    if match := _ZERO.search(text):
        return f"zero{match[1]}"
    if "shard_grad_op" in text:
        return "zero2"
    sharded = re.search(r"(?:fsdp|hsdp)\s*(\d*)", text)
    if sharded and sharded[1] != "0":
        return "zero3"
    return "zero1" if re.search(r"nemo|megatron-bridge", framework.lower()) else "none"


def _unstated(row: Row, gpus: int) -> tuple[int, tuple[str, ...]]:
    """Replicas where no spreading is stated: global batch / (micro-batch x accumulation), if that divides the GPUs.

    MLPerf logs state no parallelism: 8 rows a step in 2 micro-steps of 1 on 8 GPUs leave 4 replicas of 2 GPUs.
    """
    rows, steps = count(row, "global_batch"), count(row, "grad_accum")
    replicas = (rows or 0) / ((steps or 1) * (count(row, "micro_batch") or 1))
    if gpus > 1 and rows and 1 <= replicas < gpus and gpus % replicas == 0:
        return int(replicas), ("model-parallel group from batch and accumulation; all tensor parallel",)
    return gpus, (() if gpus == 1 else ("no spreading stated: data parallel",))


def spreading(row: Row) -> Spreading:
    """How a row's job is spread over its GPUs.

    Offloading to host memory is read as if it were not done. Raises `Unreadable` for layers that take turns over GPUs
    (`device_map`) and for weights paged to disk.
    """
    text, gpus = (row.get("parallelism") or "").lower(), count(row, "n_gpus") or 1
    if "naive" in text or "device_map" in text:
        raise Unreadable("layers take turns over GPUs (device_map)")
    if "ssd" in text or "disk" in text:
        raise Unreadable("weights are paged to disk")
    sizes = _sizes(text)
    assumed: tuple[str, ...] = ("offloading to host memory left out",) if "offload" in text else ()
    tensor, pipeline = sizes.get("tensor", 1), sizes.get("pipeline", 1)
    if gpus % (tensor * pipeline):
        raise Unreadable("parallel sizes do not divide the GPUs")
    data = gpus // (tensor * pipeline)
    if not text:
        data, assumed = _unstated(row, gpus)
        tensor = gpus // data
    sharding = _sharding(text, row["framework"], data)
    if row["source"].startswith("mlcommons"):  # 70 GB of frozen fp8 weights on cards of 80 GB and more: replicated
        sharding = "none"
    elif not text and "lora" in row["task"] and tensor == 1 and (number(row, "params_b") or 0) > 20:
        sharding = "zero3" if data > 1 else "none"
    return Spreading(
        parallel=Parallel(data=data, tensor=tensor, pipeline=pipeline, sharding=sharding),
        context=sizes.get("context", 1),
        virtual=sizes.get("virtual", 1),
        expert=sizes.get("expert", 1),
        assumed=assumed,
    )


def _network(text: str, per_node: int) -> Link | None:
    """The network between nodes where its speed is stated: per node, or per GPU."""
    found = re.search(r"(?:(\d+)\s*x\s*)?(\d+)\s*gb(?:ps|/s|e)?\b[^|]*?(/node|per node|per gpu|/s per gpu)", text)
    if not found:
        return None
    bits = float(found[2]) * int(found[1] or 1) * 1e9
    shared = 1 if "gpu" in found[3] else per_node
    return Link(name="network", bytes_per_s=bits / 8 / shared, latency_s=0.0, source=text)


def _inner(text: str) -> Link | None:
    """PCIe where the row says so: a card's NVLink, if it has one, is then not wired."""
    if not text.startswith("pcie"):
        return None
    generation = re.search(r"gen\s?(\d)", text)
    rate = {3: 12e9, 4: 24e9, 5: 48e9}[int(generation[1])] if generation else 24e9
    return Link(name="PCIe x16", bytes_per_s=rate, latency_s=0.0, source=text)


def node(row: Row) -> tuple[Node, tuple[str, ...]]:
    """The machine of a row: device, GPUs of a node, nodes, links where they are stated.

    GB200 and GB300 racks join 72 GPUs by NVLink, whatever the trays of 4 that sources call nodes.
    """
    found, assumed = device(row["gpu"])
    gpus, nodes = count(row, "n_gpus") or 1, count(row, "n_nodes") or 1
    if found.name.startswith(("GB200", "GB300")):
        nodes = max(1, -(-gpus // 72))
    while gpus % nodes:
        nodes -= 1
    text = (row.get("interconnect") or "").lower()
    inner = _inner(text) if gpus > 1 else None
    outer = _network(text, gpus // nodes) if nodes > 1 else None
    return Node(device=found, gpus=gpus // nodes, nodes=nodes, link=inner, network=outer), assumed
