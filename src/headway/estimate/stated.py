"""Terms of a stage from the rates its author states, end by end: all lows add up, all highs add up.

Owns the author's arithmetic. What nobody stated is left out and named, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from headway.domain.plan import Stage
from headway.domain.spread import Spread, total
from headway.domain.statement import Stated, Value
from headway.domain.units import Range
from headway.estimate.resolve import Job, gpu_range, words

ONCE = ("load", "tokenize", "compile", "final_save", "cleanup")
"""Terms that a stage pays once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Named seconds of a stage, the parts of those terms that have some, and the terms without a rate."""

    terms_s: Mapping[str, Spread]
    details: Mapping[str, Mapping[str, Spread]]
    missing: tuple[str, ...]


def spread_of(value: Value) -> Spread:
    """A stated value as ends."""
    return Spread.from_range(value.range, "stated", f"stated: {words(value)} ({value.where})")


def wall(stated: Stated) -> Spread | None:
    """The stated time of the whole thing, which overrides its parts; None if nobody stated it."""
    parts = stated.terms.get("wall")
    return None if not parts else total(spread_of(value) for value in parts.values())


def step(stage: Stage, job: Job | None) -> Spread | None:
    """Seconds of one optimizer step: stated as such, else from the first stated throughput that decides it."""
    parts = stage.stated.terms.get("step")
    if parts:
        return total(spread_of(value) for value in parts.values())
    for rate in stage.stated.throughput:
        per_step = _units_per_step(rate.noun, job)
        if per_step is not None and rate.range.low > 0:
            seconds = rate.range.inverse() * per_step
            return Spread.from_range(seconds, "stated", f"stated: {words(rate)} ({rate.where})")
    return None


def _units_per_step(noun: str, job: Job | None) -> float | None:
    if noun in ("steps", "step"):
        return 1.0
    if job is None:
        return None
    if noun in ("samples", "sample", "rows", "row"):
        return float(job.batches.rows_per_step)
    if noun in ("tokens", "token"):
        return job.batches.tokens_per_step
    return None


def terms(stage: Stage, job: Job | None, evaluations: int) -> Terms:
    """Seconds of every term that the author's rates decide, with the parts of each."""
    found: dict[str, Spread] = {}
    details: dict[str, dict[str, Spread]] = {}
    times = _times(stage, job, evaluations)
    for term, count in times.items():
        if count == 0:
            continue
        each = step(stage, job) if term == "step" else _each(stage, term, details)
        if each is not None:
            found[term] = each * count
    missing = [term for term, count in times.items() if count and term not in found]
    if stage.kind in ("train", "evaluate") and "load" not in found:
        missing.append("load")
    if stage.kind == "train" and "final_save" not in found:
        missing.append("final_save")
    return Terms(terms_s=found, details=details, missing=tuple(dict.fromkeys(missing)))


def _each(stage: Stage, term: str, details: dict[str, dict[str, Spread]]) -> Spread | None:
    parts = stage.stated.terms.get(term)
    if not parts:
        return None
    spreads = {name: spread_of(value) for name, value in parts.items()}
    if len(spreads) > 1:
        details[term] = spreads
    return total(spreads.values())


def _times(stage: Stage, job: Job | None, evaluations: int) -> dict[str, float]:
    """How often each term is paid: its count, 0 where it is not. Terms paid once count only where they were stated."""
    stated = stage.stated.terms
    times: dict[str, float] = {"evaluation": evaluations}
    if stage.kind in ("train", "evaluate"):
        times |= {term: 1.0 for term in ONCE if term in stated and (stage.kind == "train" or term == "load")}
    if job is not None:
        times |= {"step": job.steps, "checkpoint": job.saves.during, "compile": float(job.recipe.compile)}
    if stage.generate is not None:
        gpus = max(1.0, gpu_range(stage).mid)
        times["generation"] = math.ceil(stage.generate.total / gpus)
    return times


def checks(stage: Stage, samples: int) -> tuple[Spread | None, dict[str, Spread]]:
    """Seconds to put `samples` through every stated check, one after the other, and each check's share."""
    parts = {name: spread_of(value) * samples for name, value in stage.stated.terms.get("checks", {}).items()}
    return (total(parts.values()) if parts else None), parts


def remainder(whole: Spread, parts: Mapping[str, Spread]) -> Spread | None:
    """What a stated total holds beyond its parts, end by end; None where the parts do not fit into it."""
    known = total(parts.values()) if parts else Spread.exact(0.0, "stated")
    ends = (whole.p10 - known.p10, whole.p50 - known.p50, whole.p90 - known.p90)
    if min(ends) < 0 or not ends[0] <= ends[1] <= ends[2]:
        return None
    return Spread.from_range(Range(*ends), "stated", f"{whole.source}, less its parts")
