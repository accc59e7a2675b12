"""Generation and checks: how many samples, in how many rounds, and what each costs.

Owns the arithmetic's words: `25 × 30 s = 12.5 min`, `200 × 16.1 s = 53.7 min one after the other`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from headway.domain.plan import Stage
from headway.domain.spread import total
from headway.domain.units import format_duration
from headway.estimate.nouns import StageEstimate
from headway.report.answer import Answer
from headway.report.figures import duration
from headway.report.sections.selection import counted
from headway.report.view import Detail, Fact, Section

MOST = 6
"""Stages that are shown; a plan with more of them has them in its phases."""


def parts(answer: Answer, detail: Detail) -> Iterator[Section]:
    """One line for each stage that generates or checks; nothing for a plan without, or with very many."""
    planned = {item.id: item.stages for item in answer.plan.experiments}
    chains = [(planned.get(item.id, ()), item.stages) for item in counted(answer)]
    kinds = [stage.kind for _, stages in chains for stage in stages if stage.kind in ("generate", "verify")]
    if not kinds or len(kinds) > MOST:
        return
    facts: list[Fact] = []
    for said, stages in chains:
        samples = sum(stage.generate.total for stage in said if stage.generate is not None)
        for plan, stage in zip(said, stages, strict=False):
            facts += _generation(plan, stage, detail) if stage.kind == "generate" else _checks(stage, samples, detail)
    if facts:
        yield Section(title="Generation and checks", items=tuple(facts))


def _generation(plan: Stage, stage: StageEstimate, detail: Detail) -> Iterator[Fact]:
    """`200 samples on 8 GPUs: 25 × 30 s = 12.5 min`."""
    spent = stage.terms_s.get("generation")
    if plan.generate is None or spent is None:
        return
    gpus = max(1.0, stage.gpus.mid)
    rounds = math.ceil(plan.generate.total / gpus)
    whole = duration(spent, detail.confidence)
    each = format_duration(spent.p50 / rounds)
    yield Fact(label="generation", text=f"{rounds:,} × {each} = {whole}", kind=spent.kind,
               note=f"{plan.generate.total:,} samples on {gpus:g} GPU{'' if gpus == 1 else 's'}")  # fmt: skip


def _checks(stage: StageEstimate, samples: int, detail: Detail) -> Iterator[Fact]:
    """`200 × 16.1 s = 53.7 min`, with the parts, and the time counted where the plan says it is another one."""
    found = stage.details.get("checks")
    if stage.kind != "verify" or not found or not samples:
        return
    serial = total(found.values())
    named = ", ".join(f"{name} {format_duration(part.p50 / samples)}" for name, part in found.items())
    text = f"{samples:,} × {format_duration(serial.p50 / samples)} = {duration(serial, detail.confidence)}"
    counted_s = stage.wall_s.p50
    differs = abs(counted_s - serial.p50) > 1e-6 * serial.p50
    yield Fact(label="checks", text=f"{text} one after the other", kind=serial.kind,
               note=named + (f"; counted: {format_duration(counted_s)}" if differs else ""))  # fmt: skip
