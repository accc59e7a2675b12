"""Published memory peaks as typed cases: model, recipe, longest rows, machine, software, and the bytes measured.

Owns which rows can be used; no row vanishes: what cannot be used is `Unusable`. How cells are read is `reading/`.
Rows without a speed and rows whose mean length is unknown can be used where their longest row is known.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from headway.domain.errors import UserError
from headway.domain.experiment import Architecture, Batches, Recipe
from headway.domain.machine import Node
from headway.domain.software import Software
from headway.work.parameters import count_parameters
from reading.architecture import architecture
from reading.cells import Row, Unreadable, number
from reading.held import held
from reading.machine import node, spreading
from rows import TRAINING, Label, Unusable, card, configuration, unusable

TRUSTED = ("A", "B")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Peak:
    """A measured peak, as everything that a predictor may know of it, and the measurement."""

    label: Label
    configuration: tuple[str, ...]
    architecture: Architecture
    recipe: Recipe
    batches: Batches
    node: Node
    software: Software
    peak_bytes: float
    """Of one GPU."""
    seen_by: str
    """`allocated` or `reserved` by torch, or `device` (everything)."""

    @property
    def source(self) -> str:
        """Where the row was published."""
        return self.label.source

    @property
    def split(self) -> str:
        """The row's own split; empty where the file has none."""
        return self.label.split


def _peak(row: Row) -> Peak:
    if row["task"] not in TRAINING:
        raise Unreadable(f"not training ({row['task']})")
    arch, _ = architecture(row)
    if "litgpt" in row["framework"].lower():
        arch = replace(arch, fused_qkv=True)  # one matrix for queries, keys and values, whatever the model's own code
    machine, _ = node(row)
    found = held(row, spreading(row), machine.total_gpus)
    label = Label(
        id=row["id"],
        source=row["source"],
        task=row["task"],
        gpu=card(machine.device.name),
        parameters_b=number(row, "params_b") or count_parameters(arch).total / 1e9,
        trust=row["trust"],
        split=row.get("split") or "",
        judged=row["trust"] in TRUSTED,
    )
    return Peak(
        label=label,
        configuration=configuration(row),
        architecture=arch,
        recipe=found.recipe,
        batches=found.batches,
        node=machine,
        software=found.software,
        peak_bytes=found.peak_bytes,
        seen_by=found.seen_by,
    )


def read_peak(row: Row) -> Peak | Unusable:
    """The peak of a row, or why there is none."""
    try:
        return _peak(row)
    except Unreadable as reason:
        return unusable(row, str(reason))
    except UserError as error:
        return unusable(row, f"cannot be described: {error.rule}")


def peaks(rows: Iterable[Row]) -> tuple[list[Peak], list[Unusable]]:
    """Rows with a peak of memory, of trust A and B: those that can be used, and the others with their reasons."""
    found = [read_peak(row) for row in rows if row.get("peak_mem_gb") and row["trust"] in TRUSTED]
    return [one for one in found if isinstance(one, Peak)], [one for one in found if isinstance(one, Unusable)]
