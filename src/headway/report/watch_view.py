"""The page of `headway watch`: how far a run is, what it spends its time on, what is left, why it became slower.

Owns its words and table. What is left is `track/remaining.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from headway.check.verdicts.reasons import signed_share
from headway.domain.errors import Finding
from headway.domain.observation import Timed
from headway.domain.units import format_count, format_duration, format_share
from headway.report.figures import dollars
from headway.report.view import Column, Fact, Item, Note, Page, Section, View, by_columns

SCHEMA = "headway.watch/1"
FEW = 3
"""Steps, or epochs, after which a log that knows their times has shown them."""
NAMES = {
    "load": "loading", "tokenize": "tokenizing", "compile": "compiling", "step": "steps", "epoch": "epochs",
    "data_wait": "waiting for data", "evaluation": "evaluations", "checkpoint": "saves", "final_save": "final save",
    "generation": "generation",
}  # fmt: skip
"""Phases in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """One phase that is still to come."""

    term: str
    units: float
    p50_s: float | None
    p90_s: float | None
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchAnswer:
    """A run as it stands."""

    title: str
    state: str
    """`ended`, `running`, `stale` (its log no longer grows), or of a command `stopped` (by us) or `failed`."""
    source: str
    """The format of what was read."""
    step: int
    total_steps: int | None
    epoch: int | None = None
    """Epochs that are done, of a run that tells of these and of no steps."""
    total_epochs: int | None = None
    elapsed_s: float
    times: Mapping[str, Timed]
    ahead: tuple[Ahead, ...]
    left_p50_s: float | None
    left_p90_s: float | None
    spent_usd: float | None = None
    total_usd: float | None = None
    total_p90_usd: float | None = None
    promise_p50_s: float | None = None
    promise_p90_s: float | None = None
    findings: tuple[Finding, ...] = ()
    remarks: tuple[str, ...] = ()
    exit_code: int | None = None
    """Of the command that was run."""
    run: str = ""
    next_command: str = ""

    @property
    def progress(self) -> tuple[int, int | None]:
        """What is done and the whole, in steps, or in epochs where it tells of these alone."""
        return (self.step, self.total_steps) if self.epoch is None else (self.epoch, self.total_epochs)

    @property
    def end_p50_s(self) -> float | None:
        """Seconds of the whole run, at the median."""
        return None if self.left_p50_s is None else self.elapsed_s + self.left_p50_s

    @property
    def end_p90_s(self) -> float | None:
        """The same at p90."""
        return None if self.left_p90_s is None else self.elapsed_s + self.left_p90_s


def watch_page(answer: WatchAnswer) -> Page:
    """Facts and the table of phases for people; everything unrounded for programs."""
    return Page(view=lambda: _view(answer), document=lambda: _document(answer), rows=lambda: _records(answer))


def _document(answer: WatchAnswer) -> dict[str, Any]:
    promise = None if answer.promise_p90_s is None else {"p50": answer.promise_p50_s, "p90": answer.promise_p90_s}
    return {
        "schema": SCHEMA,
        "title": answer.title,
        "state": answer.state,
        "source": answer.source,
        "run": answer.run,
        "exit_code": answer.exit_code,
        "step": answer.step,
        "total_steps": answer.total_steps,
        "epoch": answer.epoch,
        "total_epochs": answer.total_epochs,
        "elapsed_s": answer.elapsed_s,
        "left_s": {"p50": answer.left_p50_s, "p90": answer.left_p90_s},
        "whole_s": {"p50": answer.end_p50_s, "p90": answer.end_p90_s},
        "promised_s": promise,
        "usd": {"spent": answer.spent_usd, "whole_p50": answer.total_usd, "whole_p90": answer.total_p90_usd},
        "phases": list(_records(answer)),
        "findings": [
            {"code": one.code, "severity": one.severity, "message": one.message, "evidence": dict(one.evidence),
             "hint": one.hint}
            for one in answer.findings
        ],
        "remarks": list(answer.remarks),
        "next_command": answer.next_command,
    }  # fmt: skip


def _records(answer: WatchAnswer) -> Iterator[dict[str, object]]:
    ahead = {one.term: one for one in answer.ahead}
    for term in NAMES:
        done, come = answer.times.get(term), ahead.get(term)
        if done is None and come is None:
            continue
        yield {
            "term": term,
            "seconds": None if done is None else done.seconds,
            "units": None if done is None else done.units,
            "left_units": 0 if come is None else come.units,
            "left_p50_s": 0.0 if come is None else come.p50_s,
            "left_p90_s": 0.0 if come is None else come.p90_s,
            "left_kind": "" if come is None else come.kind,
        }


def _view(answer: WatchAnswer) -> View:
    notes: list[Item] = [Note(text=text) for text in answer.remarks]
    notes += [Note(text=f"{one.code} {one.message}", severity=one.severity, hint=one.hint) for one in answer.findings]
    items: tuple[Item, ...] = (*_facts(answer),)
    tables: tuple[Item, ...] = (_phases(answer),) if answer.times or answer.ahead else ()
    sections = tuple(Section(title="", items=part) for part in (items, tables, tuple(notes)) if part)
    return View(title=answer.title, subtitle=_how(answer), sections=sections, next_command=answer.next_command)


def _how(answer: WatchAnswer) -> str:
    code = "" if answer.exit_code is None else f" with exit code {answer.exit_code}"
    read = f" · read as {answer.source}" if answer.source else ""
    return f"{answer.state}{code}{read}"


def _facts(answer: WatchAnswer) -> Iterator[Fact]:
    done, total = answer.progress
    of = "" if total is None else f" of {total:,}"
    share = f" ({format_share(done / total)})" if total else ""
    yield Fact(label="steps" if answer.epoch is None else "epochs", text=f"{done:,}{of}{share}")
    if answer.elapsed_s or not done:
        yield Fact(label="time so far", text=format_duration(answer.elapsed_s), kind="measured")
    else:
        yield Fact(label="time so far", text="unknown")
    if answer.state != "ended" and (answer.state != "failed" or done):
        yield Fact(label="left", text=_span(answer.left_p50_s, answer.left_p90_s), note=_without(answer))
        if answer.end_p50_s is not None:
            yield Fact(label="whole run", text=_span(answer.end_p50_s, answer.end_p90_s), note=_against(answer))
    elif answer.promise_p90_s is not None:
        yield Fact(label="estimate", text=_span(answer.promise_p50_s, answer.promise_p90_s), note=_against(answer))
    if answer.spent_usd is not None:
        whole = "" if answer.state == "ended" or answer.total_usd is None else f" of {dollars(answer.total_usd)}"
        p90 = f"p90 {dollars(answer.total_p90_usd)}" if whole and answer.total_p90_usd is not None else ""
        yield Fact(label="money", text=f"{dollars(answer.spent_usd)}{whole}", note=p90)


def _span(p50_s: float | None, p90_s: float | None) -> str:
    if p50_s is None or p90_s is None:
        return "unknown"
    return f"{format_duration(p50_s)} (p90 {format_duration(p90_s)})"


def _without(answer: WatchAnswer) -> str:
    unseen = [NAMES[one.term] for one in answer.ahead if one.p50_s is None]
    if answer.left_p50_s is None:
        done, total = answer.progress
        unit = "steps" if answer.epoch is None else "epochs"
        if total is None:
            return f"the log does not say how many {unit} there are; --{unit} N does"
        return f"too few {unit} yet" if done < FEW else f"the log does not say how long {unit} took"
    return f"without {' and '.join(unseen)}, not seen yet" if unseen else ""


def _against(answer: WatchAnswer) -> str:
    """The run's whole time beside the promise."""
    if answer.promise_p90_s is None or answer.promise_p50_s is None or answer.end_p50_s is None:
        return ""
    over = answer.end_p50_s / answer.promise_p50_s - 1.0
    held = "within" if answer.end_p50_s <= answer.promise_p90_s else "beyond"
    return (
        f"{signed_share(over)} against the estimate's median, {held} its p90 of {format_duration(answer.promise_p90_s)}"
    )


def _phases(answer: WatchAnswer) -> Item:
    rows = list(_records(answer))
    ahead = {one.term: one for one in answer.ahead}
    timed = [answer.times.get(str(row["term"])) for row in rows]
    spent = ["" if one is None else format_duration(one.seconds) for one in timed]
    whole_s = sum(one.seconds for one in timed if one is not None)
    coming = [ahead.get(str(row["term"])) for row in rows]
    return by_columns(
        [
            (Column(name="phase"), [NAMES[str(row["term"])] for row in rows]),
            (Column(name="time", align="right"), spent),
            (Column(name="share", align="right", drop=1),
             ["" if one is None or not whole_s else format_share(one.seconds / whole_s) for one in timed]),
            (Column(name="count", align="right"), [_count(one) for one in timed]),
            (Column(name="each", align="right"), [_each(one) for one in timed]),
            (Column(name="to come", align="right"), ["" if one is None else format_count(one.units) for one in coming]),
            (Column(name="left", align="right"), ["" if one is None else _left(one) for one in coming]),
        ]
    )  # fmt: skip


def _count(one: Timed | None) -> str:
    return "" if one is None or one.units == 1 else format_count(one.units)


def _each(one: Timed | None) -> str:
    return "" if one is None or one.units <= 1 else format_duration(one.each_s)


def _left(one: Ahead) -> str:
    return "unknown" if one.p50_s is None else format_duration(one.p50_s)
