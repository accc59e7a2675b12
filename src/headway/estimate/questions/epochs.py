"""How many epochs a time budget affords, and what an epoch would take if a step took longer or shorter.

Owns the division of a budget into fixed costs and epochs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from headway.domain.plan import Plan
from headway.domain.spread import Spread, total
from headway.domain.statement import Value
from headway.domain.units import parse
from headway.estimate.nouns import Estimate, StageEstimate

PER_EPOCH = ("step", "data_wait", "checkpoint")
"""Terms that grow with epochs; the others are paid once."""
GRID_EPOCHS = (1, 5, 10)
GRID_FACTORS = (0.4, 0.6, 0.8, 1.0, 1.2, 1.5, 2.0)
MAX_EPOCHS = 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class Affordable:
    """Epochs that fit one budget."""

    budget: Value
    epochs: int
    """At the middle estimate."""
    epochs_p90: int
    """That fit with 90 % probability."""
    wall_s: float
    """Of `epochs` epochs, fixed costs included, at the middle estimate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochTable:
    """One stage by epochs."""

    experiment: str
    epoch_s: Spread
    fixed_s: Spread
    steps_per_epoch: float
    rows: float
    budgets: tuple[Affordable, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Seconds by step time and number of epochs: `wall_s[i][j]` for `step_s[i]`, `epochs[j]`."""

    step_s: tuple[float, ...]
    epochs: tuple[float, ...]
    wall_s: tuple[tuple[float, ...], ...]


def epoch_table(plan: Plan, estimate: Estimate) -> EpochTable | None:
    """Epochs for every time budget of the plan; None unless it is one training stage with known rows."""
    found = _single(estimate)
    if found is None:
        return None
    name, stage = found
    epochs = stage.epochs or 1.0
    growing = [spread for term, spread in stage.terms_s.items() if term in PER_EPOCH]
    once = [spread for term, spread in stage.terms_s.items() if term not in PER_EPOCH]
    if not growing:
        return None
    epoch, fixed = total(growing) * (1 / epochs), total(once) if once else Spread.exact(0.0, "assumed")
    budgets = [value for value in plan.run.budget if value.unit == "s" and not value.noun]
    return EpochTable(
        experiment=name,
        epoch_s=epoch,
        fixed_s=fixed,
        steps_per_epoch=stage.steps / epochs,
        rows=(stage.rows or 0.0) / epochs,
        budgets=tuple(_affordable(value, epoch, fixed) for value in budgets),
    )


def _affordable(budget: Value, epoch: Spread, fixed: Spread) -> Affordable:
    fits = _fitting(budget.mid, epoch.p50, fixed.p50)
    return Affordable(
        budget=budget,
        epochs=fits,
        epochs_p90=_fitting(budget.mid, epoch.p90, fixed.p90),
        wall_s=fixed.p50 + fits * epoch.p50,
    )


def _fitting(budget_s: float, epoch_s: float, fixed_s: float) -> int:
    """Whole epochs within a budget; a rounding error short of one counts."""
    return 0 if budget_s < fixed_s else min(MAX_EPOCHS, math.floor((budget_s - fixed_s) / epoch_s + 1e-9))


def grid(plan: Plan, estimate: Estimate) -> Grid | None:
    """Total step time over step times and epochs: those the plan's own claims tabulate, else around the estimate."""
    found = _single(estimate)
    if found is None:
        return None
    _, stage = found
    per_epoch = stage.steps / (stage.epochs or 1.0)
    epochs = _claimed_epochs(plan) or GRID_EPOCHS
    steps = _claimed_steps(plan)
    if not steps:
        step = stage.terms_s.get("step")
        if step is None or not stage.steps:
            return None
        steps = tuple(step.p50 / stage.steps * factor for factor in GRID_FACTORS)
    wall = tuple(tuple(step * per_epoch * count for count in epochs) for step in steps)
    return Grid(step_s=steps, epochs=epochs, wall_s=wall)


def _claimed_epochs(plan: Plan) -> tuple[float, ...]:
    return tuple(
        value.mid
        for claim in plan.claims
        if claim.path == ("wall_at", "epochs")
        for value in claim.values
        if isinstance(value, Value)
    )


def _claimed_steps(plan: Plan) -> tuple[float, ...]:
    """Step times that the author tabulates: the keys of `claims: {wall_at: {200 ms: ...}}`."""
    return tuple(
        parse(claim.path[1], "s").range.mid
        for claim in plan.claims
        if len(claim.path) == 2 and claim.path[0] == "wall_at" and claim.path[1] != "epochs"
    )


def _single(estimate: Estimate) -> tuple[str, StageEstimate] | None:
    """The training stage of a plan of one experiment, where its rows are known."""
    counted = [item for item in estimate.experiments if not item.optional]
    if len(counted) != 1:
        return None
    trained = [(counted[0].id, stage) for stage in counted[0].stages if stage.kind == "train"]
    if len(trained) != 1 or trained[0][1].epochs is None:
        return None
    return trained[0]
