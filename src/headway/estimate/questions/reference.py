"""A published run of somebody else, scaled to this plan: a second opinion on the total.

Owns the scaling by rows and device speed, and the verdict whether the two estimates agree.
"""

from __future__ import annotations

from dataclasses import dataclass

from headway.domain.plan import Plan, Reference
from headway.domain.spread import Spread
from headway.domain.units import Range
from headway.estimate.nouns import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossCheck:
    """What a reference says of this plan's wall time, in seconds."""

    reference: Reference
    rows_ratio: float
    speedup: Range
    """This plan's machine over the reference's."""
    wall_s: Range
    estimate_s: Spread
    apart: float
    """Gap between the two ranges as a factor, 1 where they overlap."""

    @property
    def agrees(self) -> bool:
        """True when the ranges overlap."""
        return self.apart == 1.0


def cross_checks(plan: Plan, estimate: Estimate) -> tuple[CrossCheck, ...]:
    """Every reference of the plan that gives rows and a time, against the estimate without its buffer.

    wall = reference wall x rows here / rows there / speedup; a speedup range turns round: faster is shorter.
    """
    rows = sum(stage.rows or 0.0 for item in estimate.experiments if not item.optional for stage in item.stages)
    found = []
    for reference in plan.references.values():
        if reference.wall is None or reference.rows is None or not rows:
            continue
        ratio = rows / reference.rows.mid
        speedup = reference.speedup.range if reference.speedup is not None else Range.point(1.0)
        slower = speedup.inverse()
        there = reference.wall.range
        wall = Range(there.low * ratio * slower.low, there.mid * ratio * slower.mid, there.high * ratio * slower.high)
        here = estimate.subtotal_wall_s
        apart = max(1.0, wall.low / here.p90 if here.p90 else 1.0, here.p10 / wall.high if wall.high else 1.0)
        found.append(
            CrossCheck(
                reference=reference,
                rows_ratio=ratio,
                speedup=speedup,
                wall_s=wall,
                estimate_s=here,
                apart=apart,
            )
        )
    return tuple(found)
