"""HW10x, counting: saves, partial batches, and batches whose size nobody says.

Owns what goes wrong between rows and steps. Claimed counts of other things are `figures`.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator

from headway.check.case import Case
from headway.check.causes import causes
from headway.check.claims.scope import Scopes
from headway.check.claims.written import covered, distance, said, values
from headway.check.rule import Rule
from headway.domain.errors import Finding, Fix, Position
from headway.domain.plan import Stage
from headway.domain.statement import Value
from headway.domain.units import Range, format_duration
from headway.estimate.nouns import Basis, StageEstimate

FEW_STEPS = 100
"""An epoch of more steps does not notice its last batch."""
UNSAID = re.compile(r"\b(?:not|nowhere|un)\s?(?:said|stated|given|known|mentioned|specified)\b")
BY_EPOCH = ("wall_per_epoch", "epochs_in", "wall_at", "wall_in")
"""Claims that turn rows into time through a batch."""


def _saves(case: Case) -> Iterator[Finding]:
    scopes = Scopes(case)
    for claim in scopes.claims:
        if claim.path != ("checkpoints",):
            continue
        scope, found = scopes.of(claim), values(claim)
        if scope is None or not found:
            continue
        saving = [(stage, one) for stage, one in scope.trained() if one.saves is not None and one.saves.during]
        counted = sum(one.saves.during for _, one in saving if one.saves)
        if saving and distance(covered(found[0]), Range.point(float(counted))):
            yield _miscounted(found[0], saving, counted)


def _miscounted(value: Value, saving: list[tuple[Stage, StageEstimate]], counted: int) -> Finding:
    stage, estimate = saving[0]
    every = stage.save.every_steps if stage.save else None
    words = f"{counted} saves while training"
    if every and len(saving) == 1:
        words = f"{estimate.steps:,} steps / {every} are {counted} saves, the last after step {counted * every:,}"
    right = str(counted)
    fix = Fix(where=value.where, old=value.text, new=right, says=f"checkpoints: {right}")
    return SAVES.finding(
        f"{said(value)} checkpoints claimed; {words}, and the finished model is saved once more",
        where=value.where,
        evidence={"claimed": value.mid, "counted": counted, "steps": estimate.steps, "every": every},
        hint="Count the saves at their interval, and the final one under final_save.",
        fix=fix if value.text.isdecimal() else None,
    )


def _uneven(_: Stage, stage: StageEstimate) -> Hashable:
    basis = stage.basis
    if basis is None or stage.rows is None or stage.epochs is None or basis.batches.steps_per_epoch > FEW_STEPS:
        return None
    batches = basis.batches
    if batches.last_batch_rows == batches.rows_per_step or stage.steps < batches.steps_per_epoch:
        return None
    return (batches.rows_per_step, batches.last_batch_rows, batches.steps_per_epoch)


def _by_epochs(stage: Stage) -> bool:
    return stage.kind == "train" and stage.steps is None and stage.tokens is None


def _last_batches(case: Case) -> Iterator[Finding]:
    if not any(_by_epochs(stage) for one in case.plan.experiments for stage in one.stages):
        return
    for cause in causes(case, _uneven):
        batches = cause.basis.batches
        yield LAST_BATCH.finding(
            f"the last of {batches.steps_per_epoch} steps of an epoch has {batches.last_batch_rows} of "
            f"{batches.rows_per_step} rows: its gradient is noisier, or the rows are dropped",
            where=case.plan.where("batch") if cause.stage.batch else cause.stage.where,
            evidence={"experiments": cause.ids, "rows_per_step": batches.rows_per_step,
                      "last": batches.last_batch_rows, "steps_per_epoch": batches.steps_per_epoch},
            hint="Choose a batch that divides the rows, or say that the last one is dropped.",
        )  # fmt: skip


def _batchless(case: Case) -> Iterator[Finding]:
    """Times of an epoch from the time of a batch, where the plan does not say how many rows a batch has."""
    asked = [claim for claim in case.plan.claims if claim.path[0] in BY_EPOCH]
    unsaid = _unsaid(case) if asked else None
    if unsaid is None:
        return
    for _, _, estimate in case.stages:
        if estimate.basis is not None and estimate.stated_step_s is not None and estimate.rows and estimate.epochs:
            yield _hidden(unsaid, estimate, estimate.basis)
            return


def _hidden(unsaid: Position, estimate: StageEstimate, basis: Basis) -> Finding:
    rows, step = (estimate.rows or 0.0) / (estimate.epochs or 1.0), estimate.stated_step_s
    assert step is not None  # the caller asked
    batch = basis.batches.rows_per_step
    epoch, fourfold = (format_duration(rows / (batch * times) * step.p50) for times in (1, 4))
    return NO_BATCH.finding(
        f"the time of an epoch depends on the rows of a batch, which is not said: {rows:,.0f} rows at "
        f"{format_duration(step.p50)} a batch are {epoch} with {batch} in a batch, {fourfold} with {4 * batch}",
        where=unsaid,
        evidence={"rows": rows, "assumed_batch": batch, "step_s": step.p50},
        hint="Say micro_batch, and multiply by batches, not by rows.",
    )


def _unsaid(case: Case) -> Position | None:
    """Where the size of a batch is missing, or given with words that it is not said; None where it is said."""
    said_at = {path: where for path, where in case.plan.positions.items()
               if path.rpartition(".")[2] in ("batch", "micro_batch")}  # fmt: skip
    if not said_at:
        return next((claim.where for claim in case.plan.claims if claim.path[0] in BY_EPOCH), Position())
    lines = case.text.splitlines()
    for path, where in said_at.items():
        words = case.plan.positions.get(f"{path}.stated_as")
        if (
            words is not None
            and 0 < words.line <= len(lines)
            and UNSAID.search(lines[words.line - 1][words.column - 1 :])
        ):
            return where
    return None


_SAVING = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 1900, length: 128}}
micro_batch: 8
save: {{every: 50 steps}}
run: {{machine: RTX 4090}}
claims: {{checkpoints: {saves}}}
"""
_LAST = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: {rows}, length: 128}}
micro_batch: 64
run: {{machine: RTX 4090}}
"""
_EPOCH = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 3232, length: 128}}
{batch}stated: {{step: 500 ms}}
run: {{machine: T4}}
claims: {{wall_per_epoch: 26.9 min}}
"""

SAVES = Rule(
    code="HW102",
    name="checkpoints counted wrong",
    severity="error",
    says="Checkpoints are counted down: one at each full interval, and the finished model once.",
    because="A trainer saves when the step is a multiple of the interval, so 2,375 steps at every 50 give 47, not the "
    "47.5 rounded to 48; the save at the end is the final one.",
    fails=_SAVING.format(saves=5),
    passes=_SAVING.format(saves=4),
    find=_saves,
)
LAST_BATCH = Rule(
    code="HW103",
    name="partial last batch",
    severity="info",
    says="In a short epoch the batch divides the rows.",
    because="With few steps the last one weighs as much as any other and averages over fewer rows.",
    fails=_LAST.format(rows=1000),
    passes=_LAST.format(rows=1024),
    find=_last_batches,
)
NO_BATCH = Rule(
    code="HW104",
    name="batch size not said",
    severity="warning",
    says="A time for each batch becomes a time for each epoch through the rows of a batch.",
    because="Time of a batch x rows is right for batches of one row only; with four it is four times too long.",
    fails=_EPOCH.format(batch=""),
    passes=_EPOCH.format(batch="micro_batch: 1\n"),
    find=_batchless,
)
RULES = (SAVES, LAST_BATCH, NO_BATCH)
