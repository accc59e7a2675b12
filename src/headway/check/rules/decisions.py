"""HW51x, experimental design: forks in the road without a criterion, or that count work twice.

Owns decisions. What a branch keeps is priced on the plan.
"""

from __future__ import annotations

from collections.abc import Iterator

from headway.check.case import Case
from headway.check.rule import Rule
from headway.domain.errors import Finding, Fix
from headway.domain.plan import Decision, Plan
from headway.domain.selection import select
from headway.domain.statement import Claim, Selector, Value
from headway.domain.units import format_duration

HOUR_S = 3600.0
SLACK = 0.01
"""A claim of the remaining hours may exceed them by this share: people round."""


def _without_predicate(case: Case) -> Iterator[Finding]:
    for decision in case.plan.decisions.values():
        if decision.predicate and not decision.stated_as:
            continue
        words = decision.stated_as or decision.id
        taken = ", ".join(f"{key} {value}" for key, value in decision.predicate.items())
        yield NO_PREDICATE.finding(
            f"the decision {words!r} has no criterion"
            + (f" in the document; the plan takes one of its own: {taken}" if taken else ""),
            where=case.plan.where(f"decisions.{decision.id}.if"),
            evidence={"decision": decision.id, "words": words, "criteria": len(decision.predicate)},
            hint="Agree on it before the runs."
            if taken
            else "Say it before the runs: if: {metric: accuracy, of: PHASE, beats: PHASE, by: 2 points}.",
            severity="info" if taken else "warning",
        )


def _counted_again(case: Case) -> Iterator[Finding]:
    for decision in case.plan.decisions.values():
        for name, branch in (("then", decision.then), ("else", decision.otherwise)):
            said = _claimed_hours(case.plan, decision, name)
            if said is None:
                continue
            claim, value = said
            done, kept = _done(case, decision), _kept(case, branch)
            again = done & kept
            seconds = {item.id: item.gpu_s.p50 for item in case.stated.estimate.experiments}
            buffer = 1 + case.stated.estimate.buffer_share
            before = sum(seconds[id] for id in again) * buffer
            remaining = sum(seconds[id] for id in kept - done) * buffer
            if not again or not before or value.range.low <= remaining * (1 + SLACK):
                continue
            yield AGAIN.finding(
                f"{format_duration(value.mid)} are claimed for what follows {_words(decision)!r}, "
                f"{format_duration(before)} of which are done by then: {format_duration(remaining)} remain",
                where=value.where if value.where.line else claim.where,
                evidence={
                    "claimed_gpu_hours": value.mid / HOUR_S,
                    "done_gpu_hours": before / HOUR_S,
                    "remaining_gpu_hours": remaining / HOUR_S,
                    "runs_done": len(again),
                },
                hint="Count what is left to run, not the whole plan.",
                fix=_fix(value, remaining),
            )


def _words(decision: Decision) -> str:
    return decision.stated_as or decision.id


def _claimed_hours(plan: Plan, decision: Decision, branch: str) -> tuple[Claim, Value] | None:
    """The GPU-hours that are claimed for a branch."""
    owner = f"decisions.{decision.id}.{branch}"
    for claim in plan.claims:
        if claim.owner == owner and claim.path == ("gpu_hours",) and isinstance(claim.values[0], Value):
            return claim, claim.values[0]
    return None


def _done(case: Case, decision: Decision) -> frozenset[str]:
    """Ids of the runs that the decision looks back on: those of an option, or of phases."""
    if decision.after is None:
        return frozenset()
    found: set[str] = set()
    for name in decision.after.patterns:
        if name in case.plan.options:
            found |= _of_option(case, name)
        else:
            found |= set(select(case.plan, Selector(patterns=(name,))))
    return frozenset(found)


def _kept(case: Case, branch: Selector | str) -> frozenset[str]:
    """Ids of the runs of a branch; none where it stops or goes on as it is."""
    if isinstance(branch, Selector):
        return frozenset(select(case.plan, branch))
    return frozenset(_of_option(case, branch)) if branch in case.plan.options else frozenset()


def _of_option(case: Case, name: str) -> set[str]:
    variants = case.option(name)
    return {item.id for item in variants[0][1].estimate.experiments if not item.optional} if variants else set()


def _fix(value: Value, remaining_s: float) -> Fix | None:
    """The remaining hours in place of the claimed ones, with as many decimals; only of a bare number."""
    text = value.text.strip()
    if not text.replace(".", "", 1).isdigit() or not value.where.line:
        return None
    decimals = len(text.partition(".")[2])
    new = f"{remaining_s / HOUR_S:.{decimals}f}"
    return Fix(where=value.where, old=text, new=new, says=f"claims the {new} GPU-hours that remain")


_PLAN = """headway: 1
model: Qwen/Qwen2-0.5B
stated: {step: 1 s}
datasets: {papers: {rows: 1M, length: 200}}
phases:
  small: {data: papers, steps: 3600}
  large: {data: papers, steps: 36k}
run: {machine: RTX 4090}
decisions:
"""
NO_PREDICATE = Rule(
    code="HW511",
    name="decision without a criterion",
    severity="warning",
    says="A decision names a metric, whose result it is, what it must beat and by how much.",
    because="'Promising?' is answered yes by whoever wants to go on. A criterion written down before the runs decides.",
    fails=_PLAN + "  go-on: {after: small, then: {keep: large}, else: stop}\n",
    passes=_PLAN + "  go-on: {after: small, if: {metric: accuracy, of: small, beats: 50%, by: 2 points}, "
    "then: {keep: large}, else: stop}\n",
    find=_without_predicate,
)
AGAIN = Rule(
    code="HW512",
    name="done hours counted again",
    severity="warning",
    says="What a branch still costs leaves out what is done when it is chosen.",
    because="The decision is about the hours that remain: counting those already spent makes going on look dearer.",
    fails=_PLAN + "  go-on: {after: small, then: {keep: all, claims: {gpu_hours: 11}}}\n",
    passes=_PLAN + "  go-on: {after: small, then: {keep: all, claims: {gpu_hours: 10}}}\n",
    find=_counted_again,
)
RULES = (NO_PREDICATE, AGAIN)
