"""The page of `headway verify`: what was promised of runs, what they took, why, and how promises are kept in general.

Owns its words, tables and the document `headway.verify/1`. The comparison and the
statistics are `check/verdicts/`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from headway.check.verdicts.ledger import Held, Ledger, Line, Middle
from headway.check.verdicts.reasons import name_of, reason, signed_duration, signed_share, why
from headway.check.verdicts.verdict import TermVerdict, Verdict, document
from headway.domain.spread import Spread
from headway.domain.units import format_count, format_duration, format_number, format_share
from headway.report.figures import NONE, count, duration, interval_name, same_unit, shared_kind
from headway.report.view import Column, Detail, Fact, Item, Note, Page, Section, Table, View, by_columns

SCHEMA = "headway.verify/1"
APART = 3
"""Runs whose terms are shown, where not everything is asked for."""
FEW = 4
"""Runs below which the ledger says how little it can say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """One experiment's estimate before and after its runs were taken as measurements."""

    experiment: str
    before: Spread
    after: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyAnswer:
    """Everything the verb `verify` found."""

    verdicts: tuple[Verdict, ...]
    tolerance: float | None
    ledger: Ledger
    here: Ledger
    """Of the devices of these runs alone."""
    remarks: tuple[str, ...]
    measurements: tuple[Mapping[str, Any], ...] | None
    """Documents made by recalibrating; None: it was not asked for."""
    learnt: tuple[Learnt, ...]
    next_command: str

    @property
    def missed(self) -> tuple[Verdict, ...]:
        """Runs that were off by more than is tolerated."""
        return tuple(verdict for verdict in self.verdicts if verdict.missed(self.tolerance))


def verify_page(answer: VerifyAnswer, detail: Detail | None = None) -> Page:
    """The table for people; verdicts and ledger unrounded for programs."""
    shown = detail or Detail()
    return Page(
        view=lambda: verify_view(answer, shown),
        document=lambda: verify_document(answer),
        rows=lambda: _rows(answer),
    )


def verify_view(answer: VerifyAnswer, detail: Detail | None = None) -> View:
    """The page for people."""
    shown = detail or Detail()
    apart = answer.verdicts if shown.verbose or len(answer.verdicts) <= APART else ()
    sections = [
        Section(title="", items=(_runs(answer), *_reasons(apart))),
        *(
            Section(title=f"{name}: term by term", items=(_terms(verdict, shown),))
            for name, verdict in zip(_names(apart), apart, strict=True)
        ),
        Section(title="Promises kept", items=tuple(_ledger(answer, shown))),
    ]
    if answer.measurements is not None:
        sections.append(Section(title="Recalibrated", items=tuple(_recalibrated(answer, shown))))
    if answer.remarks:
        sections.append(Section(title="", items=tuple(Note(text=text) for text in answer.remarks)))
    return View(
        title=f"Promised and measured: {count(len(answer.verdicts), 'run')}",
        subtitle=_judgement(answer),
        sections=tuple(sections),
        next_command=answer.next_command,
    )


def _judgement(answer: VerifyAnswer) -> str:
    """Which runs were missed, and by which measure."""
    limit = "the promised p90" if answer.tolerance is None else f"±{format_share(answer.tolerance)} of the promise"
    missed = answer.missed
    if not missed:
        return f"within {limit}"
    names = ", ".join(_names(missed)[:3]) + (", …" if len(missed) > 3 else "")
    return f"{len(missed)} of {len(answer.verdicts)} outside {limit}: {names}"


def _runs(answer: VerifyAnswer) -> Table:
    missed = answer.missed
    return by_columns(
        [
            (Column(name="Run", least=10), _names(answer.verdicts)),
            (Column(name="est P50 (P90)", align="right"), [_promised(one) for one in answer.verdicts]),
            (Column(name="actual", align="right"), [format_duration(one.measured_s) for one in answer.verdicts]),
            (Column(name="error", align="right"), [signed_share(one.error) for one in answer.verdicts]),
            (Column(name="why", least=12), [why(one) for one in answer.verdicts]),
        ],
        strong=[index for index, one in enumerate(answer.verdicts) if one in missed],
    )


def _names(verdicts: Sequence[Verdict]) -> list[str]:
    """Experiments, as people know them; with the end of the run's id where one was run more than once."""
    times = Counter(verdict.experiment for verdict in verdicts)
    ends = Counter(short(verdict.run) for verdict in verdicts)
    return [
        one.experiment
        if times[one.experiment] == 1
        else f"{one.experiment} {short(one.run) if ends[short(one.run)] == 1 else one.run}"
        for one in verdicts
    ]


def short(run: str) -> str:
    """The end of a run's id: `3f9a` of `20261121-165201-3f9a`."""
    return run.rpartition("-")[2]


def _promised(verdict: Verdict) -> str:
    if verdict.inside is None:
        return format_duration(verdict.promised.p50)
    middle, high = same_unit([verdict.promised.p50, verdict.promised.p90])
    return f"{middle} ({high.partition(' ')[0]})"


def _reasons(verdicts: Sequence[Verdict]) -> Iterator[Note]:
    """The whole sentence, where the table may have cut it."""
    for name, verdict in zip(_names(verdicts), verdicts, strict=True):
        if len(why(verdict)) > 30:
            yield Note(text=f"{name}: {why(verdict)}.")


def _terms(verdict: Verdict, detail: Detail) -> Table:
    terms = [*verdict.terms]
    spreads = [term.promised for term in terms if term.promised is not None]
    kind = shared_kind(spreads)
    notes = [f"Promised: {kind}." if kind else "", _left_out(verdict), _together(verdict)]
    return by_columns(
        [
            (Column(name="Term", least=10), [name_of(term) for term in terms] + ["whole"]),
            (
                Column(name=f"promised ({interval_name(0.8)})", align="right"),
                [NONE if one.promised is None else duration(one.promised, 0.8) for one in terms]
                + [duration(verdict.promised, 0.8)],
            ),
            (
                Column(name="measured", align="right"),
                [format_duration(taken) for taken in (*(one.measured_s for one in terms), verdict.measured_s)],
            ),
            (
                Column(name="differs", align="right"),
                [signed_duration(moved) for moved in (*(one.difference_s for one in terms), verdict.difference_s)],
            ),
            (Column(name="units", align="right", drop=3), [_units(term) for term in terms] + [""]),
            (Column(name="by count", align="right", drop=1), [_part(one.count_s) for one in terms] + [""]),
            (Column(name="by time of each", align="right", drop=2), [_part(one.rate_s) for one in terms] + [""]),
        ],
        footers=1,
        note=" ".join(note for note in notes if note),
    )


def _left_out(verdict: Verdict) -> str:
    names = ", ".join(verdict.left_out).replace("_", " ")
    return f"Not timed by the run, and not compared: {names}." if names else ""


def _together(verdict: Verdict) -> str:
    """Why the differences of the terms are not that of the whole, where that shows."""
    if abs(verdict.together_s) < 0.005 * verdict.promised.p50:
        return ""
    moved = signed_duration(verdict.together_s)
    return f"With {moved} for the whole, whose middle is not the sum of its terms' middles."


def _part(seconds: float) -> str:
    return NONE if not seconds else signed_duration(seconds)


def _units(term: TermVerdict) -> str:
    if term.units is None or term.promised_units is None:
        return NONE
    return f"{format_count(round(term.units, 1))}/{format_count(round(term.promised_units, 1))}"


def _ledger(answer: VerifyAnswer, detail: Detail) -> Iterator[Item]:
    """Coverage and bias, of these devices first, then of all."""
    if answer.ledger.whole is None:
        yield Note(
            text="No run counts yet. One does when it was promised before it began, for the device that it ran on, and "
            "when it was finished."
        )
        return
    yield from _lines(answer.here, "this device" if answer.here.whole != answer.ledger.whole else "all runs")
    if answer.here.whole != answer.ledger.whole:
        yield from _lines(answer.ledger, "all runs")
    shown = answer.ledger.terms if detail.verbose or answer.ledger.whole.runs > 1 else ()
    if shown:
        yield _ledger_table((*shown, *(answer.ledger.kinds + answer.ledger.devices if detail.verbose else ())))


def _lines(book: Ledger, name: str) -> Iterator[Fact]:
    if book.whole is None:
        yield Fact(label=name, text="no run that counts")
        return
    line = book.whole
    yield Fact(label=name, text=coverage(line), note=coverage_means(line))
    yield Fact(label="", text=f"measured ÷ promised: {spread_of(line.ratio)}", note=_counted(book))


def coverage(line: Line) -> str:
    """`p90 held in 9 of 10, inside p10–p90 in 8 of 10`."""
    if not line.below.of:
        return f"{count(line.runs, 'run')}, of which no interval was promised"
    return f"p90 held in {line.below.held} of {line.below.of}, inside p10–p90 in {line.inside.held} of {line.inside.of}"


def coverage_means(line: Line) -> str:
    """What the counts say of the promised 80 %, and how sure that is."""
    if not line.inside.of:
        return ""
    held = line.inside
    low, high = held.interval
    reach = f"{low * 100:.0f}–{high * 100:.0f} % at 95 %"
    if held.compatible:
        few = ", as almost anything is so early" if held.of < FEW else ""
        return f"compatible with the promised 80 % ({reach}{few})"
    narrow = held.held < held.promised * held.of
    chance = f"{held.probability:.1%}" if held.probability >= 0.001 else "less than 0.1 %"
    return f"not compatible with the promised 80 % ({reach}; chance {chance}): intervals are too " + (
        "narrow, recalibrate" if narrow else "wide, recalibrating narrows them"
    )


def spread_of(middle: Middle) -> str:
    """`1.04 (0.98–1.11, 89 % sure)`; what few values cannot say is said."""
    value = format_number(middle.value)
    if middle.of == 1:
        return f"{value} (one run)"
    return f"{value} ({format_number(middle.low)}–{format_number(middle.high)}, {middle.level * 100:.0f} % sure)"


def _counted(book: Ledger) -> str:
    parts = []
    if book.whole is not None and book.promises < book.whole.runs:
        of = f"{count(book.whole.runs, 'run')} of {count(book.promises, 'promise')}"
        parts.append(f"{of}: they say less than as many different ones")
    if book.not_counted:
        parts.append(f"{count(book.not_counted, 'run')} not counted: promised afterwards, not finished, or on another "
                     "device")  # fmt: skip
    return "; ".join(parts)


def _ledger_table(lines: Sequence[Line]) -> Table:
    return by_columns(
        [
            (Column(name="Term", least=10), [line.name.replace("_", " ") for line in lines]),
            (Column(name="runs", align="right"), [f"{line.runs}" for line in lines]),
            (Column(name="p90 held", align="right", drop=2), [_held(line.below) for line in lines]),
            (Column(name="inside", align="right"), [_held(line.inside) for line in lines]),
            (Column(name="measured ÷ promised", align="right", drop=1), [spread_of(line.ratio) for line in lines]),
            (
                Column(name="recalibrating", align="right"),
                [NONE if line.each is None else f"{signed_share(line.each.value - 1)} each" for line in lines],
            ),
        ]
    )


def _held(held: Held) -> str:
    return f"{held.held} of {held.of}" if held.of else NONE


def _recalibrated(answer: VerifyAnswer, detail: Detail) -> Iterator[Item]:
    """What the next estimate says, in a line an experiment; the largest change first."""
    made = count(len(answer.measurements or ()), "measurement")
    moved = sorted(answer.learnt, key=lambda one: -abs(one.after.p50 - one.before.p50))
    for one in moved if detail.verbose else moved[:5]:
        before = f"{duration(one.before, detail.confidence)} {one.before.kind}"
        yield Fact(
            label=one.experiment, text=f"{before} → {duration(one.after, detail.confidence)}", kind=one.after.kind
        )
    if len(moved) > 5 and not detail.verbose:
        yield Note(text=f"And {count(len(moved) - 5, 'other experiment')}, with -v.")
    yield Note(text=f"{made} recorded: estimates of these stages on this device use them from now on.")


def verify_document(answer: VerifyAnswer) -> dict[str, Any]:
    """The JSON document `headway.verify/1`."""
    return {
        "schema": SCHEMA,
        "missed": [verdict.run for verdict in answer.missed],
        "tolerance": answer.tolerance,
        "verdicts": [_verdict(verdict, answer.tolerance) for verdict in answer.verdicts],
        "ledger": _book(answer.ledger),
        "ledger_of_device": _book(answer.here),
        "measurements": None if answer.measurements is None else list(answer.measurements),
        "learnt": [
            {"experiment": one.experiment, "before_s": one.before.to_dict(), "after_s": one.after.to_dict()}
            for one in answer.learnt
        ],
        "remarks": list(answer.remarks),
        "next_command": answer.next_command,
    }


def _verdict(verdict: Verdict, tolerance: float | None) -> dict[str, Any]:
    terms = {term.term: reason(term) for term in verdict.terms}
    said = document(verdict)
    said.pop("schema")
    return {**said, "missed": verdict.missed(tolerance), "why": why(verdict), "reasons": terms}


def _book(book: Ledger) -> dict[str, Any]:
    return {
        "whole": None if book.whole is None else _line(book.whole),
        "promises": book.promises,
        "not_counted": book.not_counted,
        **{name: [_line(line) for line in getattr(book, name)] for name in ("terms", "kinds", "devices")},
    }


def _line(line: Line) -> dict[str, Any]:
    return {
        "name": line.name,
        "runs": line.runs,
        **{
            name: {
                "held": held.held,
                "of": held.of,
                "promised": held.promised,
                "interval": list(held.interval),
                "probability": held.probability,
                "compatible": held.compatible,
            }
            for name, held in (("inside", line.inside), ("below_p90", line.below))
        },
        "ratio": asdict(line.ratio),
        "each": None if line.each is None else asdict(line.each),
    }


def _rows(answer: VerifyAnswer) -> Iterator[dict[str, object]]:
    for verdict in answer.verdicts:
        for term in verdict.terms:
            spread = term.promised
            yield {
                "run": verdict.run,
                "experiment": verdict.experiment,
                "term": term.term,
                "promised_p10_s": None if spread is None else spread.p10,
                "promised_p50_s": None if spread is None else spread.p50,
                "promised_p90_s": None if spread is None else spread.p90,
                "measured_s": term.measured_s,
                "by_count_s": term.count_s,
                "by_rate_s": term.rate_s,
                "inside": term.inside,
            }
