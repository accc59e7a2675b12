"""HW7xx, disk: what checkpoints and finished models take.

Owns the sum over a plan. Sizes of one save are the estimate's.
"""

from __future__ import annotations

from collections.abc import Iterator

from headway.check.case import Case
from headway.check.rule import Rule
from headway.domain.errors import Finding
from headway.domain.plan import Stage
from headway.domain.units import format_bytes

WORTH_BYTES = 10e9
"""Checkpoints of less are nobody's trouble."""
FEW = 2
"""Checkpoints that resuming needs: the last, and the one before it while that is written."""
ROOT_DISK_BYTES = 100e9
"""What a rented machine's own disk often has."""


def _disk(case: Case) -> Iterator[Finding]:
    """One finding for the plan: its disk is one."""
    during = finished = 0.0
    kept, first = 0, None
    for _, stage, estimate in case.stages:
        saves = estimate.saves
        if saves is None:
            continue
        finished += saves.final * (saves.final_bytes.p50 if saves.final_bytes else 0.0)
        if saves.kept and saves.bytes_each is not None:
            during, kept = during + saves.kept * saves.bytes_each.p50, kept + saves.kept
            first = first or (stage, saves.bytes_each.p50)
    if first is None or during < WORTH_BYTES:
        return
    stage, each = first
    if kept <= FEW and during + finished <= ROOT_DISK_BYTES:
        return
    yield DISK.finding(
        f"{kept:,} checkpoint{'s' if kept > 1 else ''} kept at {format_bytes(each)} take {format_bytes(during)} of "
        f"disk, and finished models {format_bytes(finished)}",
        where=stage.save.where if stage.save else case.plan.where("save"),
        evidence={"kept": kept, "bytes_each": each, "checkpoints_bytes": during, "final_bytes": finished},
        hint=_cure(stage, each),
        severity="warning" if during + finished > ROOT_DISK_BYTES else None,
    )


def _cure(stage: Stage, each: float) -> str:
    kept = stage.save.keep if stage.save is not None else None
    if kept == 1:
        return "Make room for them before the first save."
    if kept == 2:
        return f"Keep one (save: {{keep: 1}}, {format_bytes(each)} a run): only the last is resumed from."
    return f"Keep one or two (save: {{keep: 2}}, {format_bytes(2 * each)} a run): only the last is resumed from."


_SAVES = """headway: 1
model: Qwen/Qwen2-7B
data: {{rows: 64k, length: 512}}
micro_batch: 1
grad_accum: 64
save: {{every: 100 steps, keep: {keep}}}
run: {{machine: H200}}
"""

DISK = Rule(
    code="HW704",
    name="disk for checkpoints",
    severity="info",
    says="Checkpoints that are kept have a place: less than 10 GB of them, or few.",
    because="A checkpoint that can be resumed holds the weights and two moments of each trained parameter: 6 bytes in "
    "16 bits, 12 for an adapter. A warning from 100 GB, which fills the disk that rented machines come with.",
    fails=_SAVES.format(keep="all"),
    passes=_SAVES.format(keep=1).replace("Qwen2-7B", "Qwen2-0.5B"),
    find=_disk,
)
RULES = (DISK,)
