"""HW15x, tables: times by step and epoch, bands of step times, and advice for time budgets.

Owns tables that an author made of one training run. Single results are `figures`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from headway.check.case import Case
from headway.check.claims.scope import Scope, Scopes
from headway.check.claims.written import (
    covered,
    distance,
    end_covered,
    ends_differ,
    said,
    severity,
    shown,
    values,
)
from headway.check.rule import Rule
from headway.check.words import joined
from headway.domain.errors import Finding, UserError
from headway.domain.statement import Claim, Value
from headway.domain.units import Range, format_duration, parse
from headway.estimate.nouns import StageEstimate

TABLES = ("bands", "tree")
"""Claims that are lists of rows, each with a band of step times."""
BY_BUDGET = ("wall_at", "wall_in", "wall_advised", "epochs_in", "epochs_advised")
SHOWN = 4
"""Entries that a message repeats; the others are in the evidence."""
SLACK = 0.1
"""Share of a budget below which nothing is left for what has no rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One figure of a table against what the run's steps make of it."""

    name: str
    value: Value
    range: Range

    @property
    def off(self) -> float:
        """The share by which they differ: of a range its ends, of a point the point."""
        if math.isinf(self.range.high):
            return distance(end_covered(self.value, high=False), Range.point(self.range.low))
        if self.value.range.is_point or self.range.is_point:
            return distance(covered(self.value), self.range)
        return ends_differ(self.value, self.range)

    @property
    def words(self) -> str:
        """`fast: 100-150 min, computed 108 to 162 min`."""
        return f"{self.name} {said(self.value)}, computed {shown(self.range, self.value)}"


def _run(case: Case) -> tuple[Scope, StageEstimate, float] | None:
    """The only training stage of a plan of one run, with the steps of an epoch; None where there is no table."""
    if not any(claim.path[0] in (*TABLES, *BY_BUDGET) for claim in case.plan.claims):
        return None
    scope = Scopes(case).plan()
    trained = [stage for _, stage in scope.trained()]
    if len(scope.members) != 1 or len(trained) != 1 or not trained[0].epochs or not trained[0].steps:
        return None
    return scope, trained[0], trained[0].steps / trained[0].epochs


def _epoch_s(stage: StageEstimate, per_epoch: float) -> float:
    """Seconds of an epoch's steps at the stated step; 0 where none is stated."""
    return stage.stated_step_s.p50 * per_epoch if stage.stated_step_s is not None else 0.0


def _rows(case: Case, table: str) -> dict[str, dict[str, Value]]:
    """Figures of a list of rows, by row (its name, else its number) and key."""
    rows: dict[str, dict[str, Value]] = {}
    names = {claim.path[1]: str(claim.values[0]) for claim in case.plan.claims
             if claim.path[0] == table and claim.path[2:] == ("name",)}  # fmt: skip
    for claim in case.plan.claims:
        if claim.path[0] == table and len(claim.path) == 3 and values(claim):
            number = f"{table} {int(claim.path[1]) + 1}" if claim.path[1].isdecimal() else claim.path[1]
            row = names.get(claim.path[1], number)
            rows.setdefault(row, {})[claim.path[2]] = values(claim)[0]
    return rows


def _tiling(case: Case) -> Iterator[Finding]:
    tables = {table: _bands(case, table) for table in TABLES}
    for table, bands in tables.items():
        between = list(pairwise(bands))
        gaps = [f"{format_duration(a.range.high)} to {format_duration(b.range.low)}" for a, b in between
                if a.range.high < b.range.low]  # fmt: skip
        twice = [f"{format_duration(b.range.low)} to {format_duration(a.range.high)}" for a, b in between
                 if a.range.high > b.range.low]  # fmt: skip
        if not gaps and not twice:
            continue
        below = [f"nothing is said below {format_duration(bands[0].range.low)}"] if bands[0].range.low else []
        words = [f"{joined(gaps)} fall in no band"] * bool(gaps) + [f"{joined(twice)} fall in two"] * bool(twice)
        other = [f"{name} divides the steps otherwise" for name, those in tables.items() if name != table and those
                 and [one.range for one in those] != [one.range for one in bands]]  # fmt: skip
        yield NOT_TILED.finding(
            f"{table}: {'; '.join([*words, *below, *other])}",
            where=bands[0].where,
            evidence={table: [[one.range.low, one.range.high] for one in bands], "gaps": gaps, "overlaps": twice},
            hint="Let each band begin where the one before it ends.",
        )


def _bands(case: Case, table: str) -> list[Value]:
    found = [row["step"] for row in _rows(case, table).values() if "step" in row]
    return sorted(found, key=lambda value: (value.range.low, value.range.high))


def _entries(case: Case) -> Iterator[Finding]:
    run = _run(case)
    if run is None:
        return
    _, stage, per_epoch = run
    for table, entries in _by_table(case, stage, per_epoch):
        wrong = [entry for entry in entries if entry.off]
        if not wrong:
            continue
        worst = max(wrong, key=lambda entry: entry.off)
        shown_first = sorted(wrong, key=lambda entry: -entry.off)[:SHOWN]
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        yield WRONG_ENTRIES.finding(
            f"{table}: {len(wrong)} of {len(entries)} entries are not their steps times epochs: "
            f"{'; '.join(entry.words for entry in shown_first)}{more}",
            where=wrong[0].value.where,
            evidence={entry.name: [entry.value.range.low, entry.value.range.high, entry.range.low, entry.range.high]
                      for entry in wrong},
            hint=f"Compute the table: step x {per_epoch:,.0f} steps x epochs, rounded at the end.",
            severity=severity(worst.off),
        )  # fmt: skip


def _by_table(case: Case, stage: StageEstimate, per_epoch: float) -> Iterator[tuple[str, list[Entry]]]:
    for table in TABLES:
        yield table, [entry for name, row in _rows(case, table).items() for entry in _of_row(name, row, per_epoch)]
    claims = [claim for claim in case.plan.claims if not claim.owner and len(claim.path) == 2
              and values(claim)]  # fmt: skip
    yield "wall_at", list(_grid(claims, per_epoch))
    epoch_s = _epoch_s(stage, per_epoch)
    if not epoch_s:
        return
    counts = {claim.path: values(claim)[0].range for claim in claims
              if claim.path[0].startswith("epochs_")}  # fmt: skip
    for key, counted in (("wall_in", "epochs_in"), ("wall_advised", "epochs_advised")):
        yield key, [_keyed(claim, counts[counted, claim.path[1]] * epoch_s) for claim in claims
                    if claim.path[0] == key and (counted, claim.path[1]) in counts]  # fmt: skip
    yield "epochs_in", [
        _keyed(claim, Range.point(math.floor(budget.low / epoch_s + 1e-9)))
        for claim in claims if claim.path[0] == "epochs_in" and (budget := _budget(claim)) is not None
    ]  # fmt: skip


def _keyed(claim: Claim, right: Range) -> Entry:
    return Entry(name=f"{claim.path[1]}:", value=values(claim)[0], range=right)


def _of_row(name: str, row: dict[str, Value], per_epoch: float) -> Iterator[Entry]:
    """The times in a row of `bands` or `tree`, from its step and its epochs."""
    if "step" not in row:
        return
    epoch = row["step"].range * per_epoch
    if "wall_per_epoch" in row:
        yield Entry(name=f"{name}, an epoch:", value=row["wall_per_epoch"], range=epoch)
    if "wall" in row and "epochs" in row and row["epochs"].range.high > 0:
        count = row["epochs"].range
        whole = Range(epoch.low * count.low, epoch.mid * count.mid, epoch.high * count.high)
        yield Entry(name=f"{name}:", value=row["wall"], range=whole)


def _grid(claims: list[Claim], per_epoch: float) -> Iterator[Entry]:
    """`wall_at`: times by step (its keys) and epochs (its row `epochs`)."""
    rows = [claim for claim in claims if claim.path[0] == "wall_at"]
    epochs = [value.mid for claim in rows if claim.path[1] == "epochs" for value in values(claim)]
    for claim in rows:
        step = _budget(claim)
        if step is None:
            continue
        for count, value in zip(epochs, claim.values, strict=False):
            if not isinstance(value, Value) or value.unknown:
                continue
            name = f"{claim.path[1]} x {count:g}:"
            yield Entry(name=name, value=value, range=step * (per_epoch * count))


def _budget(claim: Claim) -> Range | None:
    """The time that is the key of an entry; None where the key is none."""
    try:
        return parse(claim.path[1], "s").range
    except UserError:
        return None


def _advice(case: Case) -> Iterator[Finding]:
    """Epochs advised for a budget that do not fit it at the stated step."""
    run = _run(case)
    epoch_s = _epoch_s(*run[1:]) if run is not None else 0.0
    if not epoch_s:
        return
    for claim in case.plan.claims:
        budget = _budget(claim) if claim.path[0] == "epochs_advised" and len(claim.path) == 2 else None
        if budget is None or not values(claim):
            continue
        value = values(claim)[0]
        time_s = budget.low if math.isinf(budget.high) else budget.high
        fitting, need = math.floor(time_s / epoch_s + 1e-9), value.range.low * epoch_s
        if need > time_s:
            yield NOT_FITTING.finding(
                f"{said(value)} epochs are advised for {claim.path[1]} and take {format_duration(need)} at the stated "
                f"step: {fitting} fit {format_duration(time_s)}",
                where=value.where,
                evidence={"advised": value.mid, "fitting": fitting, "need_s": need, "budget_s": time_s},
                hint=f"Advise {fitting}, or say from {format_duration(need)}.",
            )


def _slack(case: Case) -> Iterator[Finding]:
    """Budgets that are divided by the time of an epoch alone."""
    run = _run(case)
    claims = [claim for claim in case.plan.claims if claim.path[0] == "epochs_in" and len(claim.path) == 2]
    epoch_s = _epoch_s(*run[1:]) if run is not None and claims else 0.0
    if not epoch_s:
        return
    missing = [term.replace("_", " ") for term in case.stated.estimate.left_out]
    tight = []
    for claim in claims:
        budget = _budget(claim)
        if budget is not None and values(claim):
            left = budget.low - values(claim)[0].mid * epoch_s
            if 0 <= left < SLACK * budget.low:
                tight.append((claim, left))
    if tight and missing:
        words = joined(f"{format_duration(left)} of {claim.path[1]}" for claim, left in tight)
        yield NO_SLACK.finding(
            f"the epochs fill their budgets: {words} are left for {joined(missing)}, which no rate covers",
            where=tight[0][0].where,
            evidence={claim.path[1]: left for claim, left in tight},
            hint="Subtract what is paid once, and plan with the slow end of a step.",
        )


_TABLE = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 3k, length: 128}}
micro_batch: 1
stated: {{step: 500 ms{more}}}
run: {{machine: T4}}
claims:
  {table}
"""
_BANDS = "bands: [{{name: fast, step: 200-300 ms}}, {{name: slow, step: {slow}}}]"

NOT_TILED = Rule(
    code="HW151",
    name="bands with gaps",
    severity="warning",
    says="Bands of step times follow each other without gap or overlap.",
    because="A measurement between two bands finds no advice, and one in two bands finds two.",
    fails=_TABLE.format(more="", table=_BANDS.format(slow="over 400 ms")),
    passes=_TABLE.format(more="", table=_BANDS.format(slow="over 300 ms")),
    find=_tiling,
)
WRONG_ENTRIES = Rule(
    code="HW152",
    name="table that does not multiply",
    severity="error",
    says="Each entry of a table is its step time, times the steps of an epoch, times its epochs.",
    because="Tables are read one entry at a time; ends of a range are multiplied with ends.",
    fails=_TABLE.format(more="", table="wall_at: {epochs: [1, 5], 200 ms: [10 min, 60 min]}"),
    passes=_TABLE.format(more="", table="wall_at: {epochs: [1, 5], 200 ms: [10 min, 50 min]}"),
    find=_entries,
)
NOT_FITTING = Rule(
    code="HW153",
    name="advised epochs do not fit",
    severity="error",
    says="Epochs advised for a budget fit it at the stated step.",
    because="A budget that is over before the last epoch wastes what was trained since the last save.",
    fails=_TABLE.format(more="", table="epochs_advised: {over 1 h: 3}"),
    passes=_TABLE.format(more="", table="epochs_advised: {over 1 h: 2}"),
    find=_advice,
)
NO_SLACK = Rule(
    code="HW154",
    name="budget without slack",
    severity="warning",
    says="A budget of time leaves room for what is paid once: loading, evaluation, saving.",
    because="Budget over time of an epoch, rounded down, leaves what happens to be left; plan against the slow end.",
    fails=_TABLE.format(more="", table="epochs_in: {52 min: 2}"),
    passes=_TABLE.format(more=", load: 1 min, final_save: 10 s", table="epochs_in: {52 min: 2}"),
    find=_slack,
)
RULES = (NOT_TILED, WRONG_ENTRIES, NOT_FITTING, NO_SLACK)
