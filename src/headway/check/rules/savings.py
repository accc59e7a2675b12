"""HW14x, savings: what options claim to save against what they save on this plan.

Owns savings in GPU-hours, money and shares. Which experiments options hold is `subsets`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from headway.check.case import Case, Reading
from headway.check.claims.scope import same
from headway.check.claims.written import covered, distance, said, severity, shown, values
from headway.check.rule import Rule
from headway.domain.errors import Finding
from headway.domain.plan import Option
from headway.domain.selection import select
from headway.domain.spread import Spread
from headway.domain.statement import Claim, Selector, Value
from headway.domain.units import Range, format_count, format_number

UNPRICED = ("early_stop", "reuse")
"""What an option may set that saves an amount nobody knows beforehand."""
BATCHING = ("micro_batch", "grad_accum", "batch", "gpus", "pack")


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """What an option saves on the plan, with the reason in words."""

    range: Range
    words: str


def savings(case: Case) -> Iterator[tuple[Claim, Value, Option]]:
    """Every claimed saving of an option that can be computed from the plan."""
    for claim in case.plan.claims:
        head, _, id_ = claim.owner.partition(".")
        if head != "options" or claim.path[0] != "saves" or not values(claim):
            continue
        option = case.plan.options[id_]
        keys = [key.rpartition(".")[2] for key in (*option.set, *option.vary)]
        if set(keys).isdisjoint(UNPRICED) and not option.vary and "run.pricing" not in option.set:
            yield claim, values(claim)[0], option


def _saved(case: Case) -> Iterator[Finding]:
    for _, value, option in savings(case):
        if grown(case, option) is not None:
            continue  # other work for the same steps: HW143
        booked = _booked(case, option)
        right = _expected(case, option, value, booked)
        if right is None or not (off := distance(covered(value), right.range)):
            continue
        room = "" if booked is None or value.unit != "s" or value.mid <= booked[1] else (
            f", of the {shown(Range.point(booked[1]), value)} that are booked for {booked[0]}")  # fmt: skip
        yield NOT_SAVED.finding(
            f"{option.id} is said to save {said(value)}{room}; on this plan it saves {shown(right.range, value)}: "
            f"{right.words}",
            where=value.where,
            evidence={"claimed": value.mid, "computed": [right.range.low, right.range.high],
                      "booked": None if booked is None else booked[1]},
            hint=f"Let headway price it: headway estimate --option {option.id}.",
            severity=severity(off),
        )  # fmt: skip


def _expected(case: Case, option: Option, value: Value, booked: tuple[str, float] | None) -> Saving | None:
    """The saving in the unit of the claim; None where it cannot be told."""
    read = case.option(option.id)
    if len(read) != 1:
        return None
    before, after = case.stated, read[0][1]
    paying = all(key.startswith("run.") for key in (*option.set, *option.vary)) and not (option.keep or option.drop)
    if value.unit == "usd" or (paying and value.unit == "share"):
        return _money(before, after, value)
    if paying or "step" in before.estimate.left_out:
        return None
    whole, there = before.estimate.subtotal_gpu_s, after.estimate.subtotal_gpu_s
    if value.unit == "s" and value.noun != "GPU-h":
        whole, there = before.estimate.subtotal_wall_s, after.estimate.subtotal_wall_s
    if not whole.p50:
        return None
    saved = _difference(whole, there)
    buffer = before.estimate.buffer_share
    unit = "h" if value.unit == "s" and value.noun != "GPU-h" else "GPU-h"
    hours = f"{format_number(there.p50 / 3600)} of {format_number(whole.p50 / 3600)} {unit} are left"
    if value.unit == "share":
        return Saving(range=saved * (1 / whole.p50), words=hours)
    if value.unit != "s":
        return None
    if not saved.high and booked is not None:
        return _scaled(case, option, booked, after) or Saving(range=saved, words=hours)
    return Saving(range=Range(saved.low, saved.mid, saved.high * (1 + buffer)), words=hours)


def _money(before: Reading, after: Reading, value: Value) -> Saving | None:
    """The difference of the bills, as dollars or as a share."""
    if before.bill is None or after.bill is None or before.bill.total_usd is None or after.bill.total_usd is None:
        return None
    there = f"${after.bill.total_usd.p50:,.0f} against ${before.bill.total_usd.p50:,.0f}"
    saved = _difference(before.bill.total_usd, after.bill.total_usd)
    if value.unit == "share":
        return Saving(range=saved * (1 / before.bill.total_usd.p50), words=there) if before.bill.total_usd.p50 else None
    return Saving(range=saved, words=there)


def _difference(whole: Spread, there: Spread) -> Range:
    """What is taken away, end by end; nothing where it adds."""
    return Range(*sorted(max(0.0, a - b) for a, b in
                         ((whole.p10, there.p10), (whole.p50, there.p50), (whole.p90, there.p90))))  # fmt: skip


def _booked(case: Case, option: Option) -> tuple[str, float] | None:
    """Name and GPU-seconds of what the option's settings are about (`extensions.gpus`: extensions)."""
    names = {key.split(".")[0] for key in option.set} - {"run"}
    named = {phase.id for phase in case.plan.phases} | {item.id for item in case.plan.experiments}
    about = sorted(names & named)
    if len(about) != 1:
        return None
    ids = set(select(case.plan, Selector(patterns=(about[0],))))
    return about[0], sum(item.gpu_s.p50 for item in case.stated.estimate.experiments if item.id in ids)


def _scaled(case: Case, option: Option, booked: tuple[str, float], after: Reading) -> Saving | None:
    """What a claimed speedup, or fewer generations, would save of hours whose stated wall does not move."""
    name, gpu_s = booked
    hours = f"{format_number(gpu_s / 3600)} GPU-h of {name}"
    faster = [value.mid for claim in case.plan.claims if claim.owner == f"options.{option.id}"
              and claim.path == ("speedup",) for value in values(claim)]  # fmt: skip
    if faster and faster[0] > 1:
        saved = gpu_s * (1 - 1 / faster[0])
        return Saving(range=Range.point(saved), words=f"{format_number(faster[0])} x faster on {hours}")
    before, left = _generations(case.stated, name), _generations(after, name)
    if before and left < before:
        saved = gpu_s * (1 - left / before)
        return Saving(range=Range.point(saved), words=f"{left} of {before} generations are left of {hours}")
    return None


def _generations(reading: Reading, name: str) -> int:
    ids = set(select(reading.plan, Selector(patterns=(name,))))
    return sum(stage.generate.total for item in reading.plan.experiments if item.id in ids for stage in item.stages
               if stage.generate)  # fmt: skip


def _twice(case: Case) -> Iterator[Finding]:
    """Options that drop the same experiments and each claim what that saves."""
    everything = {item.id for item in case.plan.experiments if not item.optional}
    holders: dict[str, list[tuple[str, Value]]] = {}
    for _, value, option in savings(case):
        if option.is_subset and (read := case.option(option.id)):
            kept = {item.id for item in read[0][1].plan.experiments}
            for id_ in everything - kept:
                holders.setdefault(id_, []).append((option.id, value))
    shared: dict[tuple[str, ...], tuple[list[str], list[tuple[str, Value]]]] = {}
    for id_, several in holders.items():
        if len(several) > 1:
            shared.setdefault(tuple(name for name, _ in several), ([], several))[0].append(id_)
    for names, (ids, several) in shared.items():
        hours = sum(item.gpu_s.p50 for item in case.stated.estimate.experiments if item.id in set(ids)) / 3600
        yield ONE_SAVING.finding(
            f"{' and '.join(names)} drop the same {len(ids)} experiments: one saving of {format_number(hours)} GPU-h, "
            f"said {len(names)} times",
            where=several[-1][1].where,
            evidence={"options": list(names), "experiments": ids, "gpu_hours": hours},
            hint="Price options together; never add their savings.",
        )


def grown(case: Case, option: Option) -> tuple[float, float, int] | None:
    """Rows of a step before and under the option, and the steps, where steps are fixed and rows are not; else None."""
    if {key.rpartition(".")[2] for key in option.set}.isdisjoint(BATCHING):
        return None
    read = case.option(option.id)
    if len(read) != 1 or len(read[0][1].plan.experiments) != len(case.plan.experiments):
        return None
    found, steps = [], 0
    for item, there, changed in zip(
        case.plan.experiments, case.stated.estimate.experiments, read[0][1].estimate.experiments, strict=True
    ):
        for stage, before, after in zip(item.stages, there.stages, changed.stages, strict=True):
            if stage.steps is not None and before.basis is not None and after.basis is not None:
                found.append((before.basis.batches.rows_per_step, after.basis.batches.rows_per_step))
                steps += after.steps if before.steps == after.steps else 0
    rows = same(found)
    return None if rows is None or rows[0] == rows[1] or not steps else (float(rows[0]), float(rows[1]), steps)


def _fixed_steps(case: Case) -> Iterator[Finding]:
    for option in case.plan.options.values():
        claims = [one for one in case.plan.claims if one.owner == f"options.{option.id}" and values(one)]
        rows = grown(case, option) if claims else None
        if rows is None:
            continue
        before, after, steps = rows
        times = after / before
        yield FIXED_STEPS.finding(
            f"{option.id} changes the rows of a step from {before:,.0f} to {after:,.0f} and keeps "
            f"{format_count(steps)} steps: {format_number(times)} x the tokens, not the same training in less time",
            where=values(claims[0])[0].where,
            evidence={"rows_per_step": [before, after], "steps": steps, "steps_for_equal_tokens": steps / times},
            hint=f"Compare at equal tokens: {format_count(round(steps / times))} steps.",
            severity="error" if any(one.path[0] in ("saves", "speedup") for one in claims) and times > 1 else "warning",
        )


_OPTION = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 80k, length: 128}}
micro_batch: 8
matrix: {{steps: [1k, 3k]}}
stated: {{step: 1.8 s}}
run: {{machine: RTX 4090}}
options:
  short: {{drop: '*/3k', claims: {{saves: {saved}}}}}
"""
_BATCHES = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 80k, length: 128}}
micro_batch: 8
steps: 1k
stated: {{step: 1.8 s}}
run: {{machine: RTX 4090}}
options:
  large: {{set: {{{changed}}}, claims: {{saves: 70-80%}}}}
"""

NOT_SAVED = Rule(
    code="HW141",
    name="saving that is not there",
    severity="error",
    says="An option saves what the plan costs without it less what it costs with it.",
    because="Savings are guessed from memory and quoted of another total. No option saves more than is booked.",
    fails=_OPTION.format(saved="40%"),
    passes=_OPTION.format(saved="75%"),
    find=_saved,
)
ONE_SAVING = Rule(
    code="HW142",
    name="one saving counted twice",
    severity="warning",
    says="What two options drop is saved once.",
    because="Savings of overlapping options do not add up: the second finds nothing left to drop.",
    fails=_OPTION.format(saved="75%") + "  long: {drop: '*/3k', claims: {saves: 1.5 GPU-h}}\n",
    passes=_OPTION.format(saved="75%") + "  long: {drop: '*/1k', claims: {saves: 0.5 GPU-h}}\n",
    find=_twice,
)
FIXED_STEPS = Rule(
    code="HW143",
    name="more tokens at fixed steps",
    severity="error",
    says="Two settings are compared at the same number of tokens.",
    because="A larger batch or more accumulation at a fixed number of steps trains on more tokens: it takes longer, "
    "and is another experiment.",
    fails=_BATCHES.format(changed="grad_accum: 4"),
    passes=_BATCHES.format(changed="grad_accum: 4, steps: 250"),
    find=_fixed_steps,
)
RULES = (NOT_SAVED, ONE_SAVING, FIXED_STEPS)
