"""Bytes between GPUs -> seconds that computing does not hide.

Owns which path a transfer takes and what overlaps. How much is sent is `work.communication`.
"""

from __future__ import annotations

from dataclasses import dataclass

from headway.domain.experiment import Parallel
from headway.domain.machine import Node
from headway.predict.links import Path, inner_path, outer_path
from headway.predict.values import Constants, Value, constant, larger
from headway.work.step import Work


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exposed:
    """Seconds of communication that lengthen the step."""

    inline_s: Value
    """Tensor parallel: the next layer waits for it."""
    beside_s: Value
    """Data and pipeline parallel: what is left after overlapping with computing."""


def communication_time(work: Work, node: Node, parallel: Parallel, constants: Constants, *, busy_s: Value) -> Exposed:
    """Seconds that transfers add to `busy_s` of computing: bytes / bandwidth + messages x latency on their path.

    Groups are placed as Megatron-LM does (Narayanan et al. 2021, arXiv:2104.04473, section 3.3): tensor innermost,
    then data, then pipeline; a group that does not fit into a node goes over the network. `communication_overlap` of
    data and pipeline transfers can hide behind computing, as long as there is computing to hide behind.
    """
    paths: dict[bool, Path] = {}
    inline: Value = 0.0
    beside: Value = 0.0
    for term in work.terms:
        if not term.link_bytes:
            continue
        group = term.name.split(".", maxsplit=1)[0]
        spans = {
            "tensor": parallel.tensor > node.gpus,
            "data": parallel.tensor * parallel.data > node.gpus,
            "pipeline": node.nodes > 1,
        }[group]
        if spans not in paths:
            paths[spans] = outer_path(node, constants) if spans else inner_path(node, constants)
        seconds = term.link_bytes / paths[spans].bytes_per_s + term.messages * paths[spans].latency_s
        if group == "tensor":
            inline = inline + seconds
        else:
            beside = beside + seconds
    hidden = beside * constant(constants, "communication_overlap")
    return Exposed(inline_s=inline, beside_s=beside - hidden + larger(hidden - busy_s, 0.0))
