"""Second opinions: published runs scaled to this plan, and what each assumption moves.

Owns their tables and verdicts. The arithmetic is `estimate/`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from headway.domain.units import format_share
from headway.estimate.questions.reference import CrossCheck
from headway.estimate.questions.sensitivity import Effect
from headway.report.answer import Answer
from headway.report.figures import UNKNOWN, duration, fixed, span, span_time, times
from headway.report.sections.selection import is_known
from headway.report.view import Column, Detail, Fact, Item, Section, Table, by_columns

SHOWN = 6
"""Assumptions that are shown unless all are asked for."""
WORTH_SHARE = 0.005
"""Effects below this share of the total are shown to who asks for all of them."""


def parts(answer: Answer, detail: Detail) -> Iterator[Section]:
    """Cross-checks, then sensitivity; nothing where no time is known."""
    if not is_known(answer.estimate):
        return
    facts: list[Item] = [fact for check in answer.cross_checks for fact in _check(check, detail)]
    if facts:
        yield Section(title="Cross-check", items=tuple(facts))
    if effects := answer.sensitivity if detail.sensitivity else large(answer.sensitivity):
        yield Section(title="What moves the total", items=(_sensitivity(effects, answer, detail),))


def large(effects: tuple[Effect, ...]) -> tuple[Effect, ...]:
    """Effects that are worth a line: half a percent of the total, or of unknown size. Less is noise of the fit."""
    return tuple(
        one for one in effects if not max(-one.favourable_share, one.unfavourable_share) < WORTH_SHARE  # NaN stays
    )  # fmt: skip


def _check(check: CrossCheck, detail: Detail) -> Iterator[Fact]:
    """What the reference says, scaled, and whether it agrees with the estimate."""
    reference = check.reference
    rows = f"{reference.rows.mid:,.0f} rows" if reference.rows else ""
    wall = reference.wall.stated_as or span_time(reference.wall.range) if reference.wall else ""
    gpu = reference.gpu.words if reference.gpu else ""
    facts = ", ".join(part for part in (rows, gpu, wall) if part)
    yield Fact(label=reference.id, text=facts, kind="stated", note=reference.source)
    faster = span(check.speedup, 1, "×")
    yield Fact(label="scaled", text=f"{span_time(check.wall_s)}: {fixed(check.rows_ratio, 2)} × the rows, "
               f"{faster} as fast")  # fmt: skip
    here = duration(check.estimate_s, detail.confidence)
    verdict = "they agree" if check.agrees else f"they disagree: {times(check.apart)} apart"
    yield Fact(label="verdict", text=f"the estimate says {here}, {verdict}")


def _sensitivity(effects: tuple[Effect, ...], answer: Answer, detail: Detail) -> Table:
    """Minutes and percent at the favourable and at the unfavourable end of each input, the others in the middle."""
    shown = effects if detail.sensitivity or detail.verbose else effects[:SHOWN]
    unit_s, unit = (60.0, "min") if shown[0].total_s < 48 * 3600 else (3600.0, "h")
    hidden, below = len(effects) - len(shown), len(answer.sensitivity) - len(effects)
    notes = ["One at a time, the others in the middle."]
    if hidden:
        notes.append(f"{hidden} smaller {'one' if hidden == 1 else 'ones'}: -v.")
    if below:
        notes.append(f"{below} below {format_share(WORTH_SHARE)} of the total: --sensitivity.")
    return by_columns(
        [
            (Column(name="Assumption", least=22), [effect.name for effect in shown]),
            (Column(name=f"best, {unit}", align="right"), [_moved(e.favourable_s, unit_s) for e in shown]),
            (Column(name="%", align="right", drop=2), [_moved(e.favourable_share, 0.01) for e in shown]),
            (Column(name=f"worst, {unit}", align="right"), [_moved(e.unfavourable_s, unit_s) for e in shown]),
            (Column(name="%", align="right", drop=1), [_moved(e.unfavourable_share, 0.01) for e in shown]),
            (Column(name="kind", drop=3), [_kind(effect) for effect in shown]),
        ],
        note=" ".join(notes),
    )


def _moved(change: float, unit: float) -> str:
    """`−8.2`, `+3.1`, `0`; a size that the plan does not say is unknown."""
    if math.isnan(change):
        return UNKNOWN
    value = change / unit
    size = fixed(abs(value), 1 if abs(value) >= 0.95 else 2)
    return "0" if float(size.replace(",", "")) == 0 else f"{'−' if value < 0 else '+'}{size}"


def _kind(effect: Effect) -> str:
    return effect.kind
