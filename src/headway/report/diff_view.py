"""Two versions of a plan as a page, and as the document `headway.diff/1`.

Owns the order and words of the page. What differs is `changes.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headway.domain.spread import Spread
from headway.domain.units import format_bytes, format_duration
from headway.report.changes import Change, Changes, Side, Totals
from headway.report.check_view import document as finding_as_data
from headway.report.contract import hours, spread
from headway.report.figures import dollars
from headway.report.sections.remarks import finding_note
from headway.report.view import Column, Detail, Fact, Item, Note, Page, Section, View, by_columns

SCHEMA = "headway.diff/1"
SHOWN = 30
"""Experiments in the table; the rest are counted, and all are in the document and with -v."""
HOUR_S = 3600.0


def diff_page(changes: Changes, detail: Detail | None = None) -> Page:
    """The changes in their forms for people and programs."""
    return Page(
        view=lambda: _view(changes, detail or Detail()),
        document=lambda: _document(changes),
        rows=lambda: (_row(change) for change in changes.experiments),
    )


def _view(changes: Changes, detail: Detail) -> View:
    return View(
        title=f"{changes.old} → {changes.new}",
        subtitle=_counts(changes),
        sections=tuple(_sections(changes, detail)),
        next_command=f"headway estimate {changes.new}" if ":" not in changes.new else "",
    )


def _counts(changes: Changes) -> str:
    signs = [change.sign for change in changes.experiments]
    said = {"added": signs.count("+"), "changed": signs.count("~"), "removed": signs.count("-")}
    said["changed alike"] = changes.alike
    parts = [f"{number:,} {word}" for word, number in said.items() if number]
    return ", ".join([*parts, f"{changes.unchanged:,} unchanged"]) if parts else "no experiment changed"


def _sections(changes: Changes, detail: Detail) -> Iterator[Section]:
    yield Section(title="", items=tuple(_facts(changes)))
    shown = changes.experiments if detail.verbose else changes.experiments[:SHOWN]
    if shown:
        yield Section(title="Experiments", items=(_table(changes, shown),))
    if changes.found:
        yield Section(title="New findings", items=tuple(finding_note(finding) for finding in changes.found))
    if changes.cured:
        items = tuple(Note(text=f"{finding.message} ({finding.code})") for finding in changes.cured)
        yield Section(title="No longer found", items=items)


def _facts(changes: Changes) -> Iterator[Item]:
    before, after = changes.before, changes.after
    yield Fact(label="GPU-hours", text=_step(before.gpu_s, after.gpu_s, _hours), kind=after.gpu_s.kind)
    yield Fact(label="time", text=_step(before.wall_s, after.wall_s, format_duration), kind=after.wall_s.kind)
    if before.cost_usd or after.cost_usd:
        yield Fact(label="money", text=_step(before.cost_usd, after.cost_usd, dollars))
    if before.experiments != after.experiments:
        yield Fact(label="experiments", text=f"{before.experiments:,} → {after.experiments:,}")
    stopped = [change.id for change in changes.experiments if _fits(change) == "stopped"]
    began = [change.id for change in changes.experiments if _fits(change) == "began"]
    if stopped:
        yield Fact(label="fits no more", text=_some(stopped))
    if began:
        yield Fact(label="fits now", text=_some(began))
    for words in changes.circumstance:
        yield Fact(label="around", text=words)


def _some(ids: list[str]) -> str:
    return ", ".join(ids[:6]) + (f" and {len(ids) - 6:,} more" if len(ids) > 6 else "")


def _fits(change: Change) -> str:
    """`stopped` or `began` to fit; empty where that did not change."""
    if change.before is None or change.after is None or change.before.fits == change.after.fits:
        return ""
    return "began" if change.after.fits == "yes" else "stopped" if change.before.fits == "yes" else ""


def _step(before: Spread | None, after: Spread | None, show: Any) -> str:
    """`27.3 → 31.0 (+13.6 %)`."""
    if before is None or after is None:
        return " → ".join("unknown" if one is None else show(one.p50) for one in (before, after))
    if before.p50 == after.p50:
        return f"{show(after.p50)} (no change)"
    share = f" ({_signed(100 * (after.p50 / before.p50 - 1))} %)" if before.p50 else ""
    return f"{show(before.p50)} → {show(after.p50)}{share}"


def _signed(value: float) -> str:
    size = f"{abs(value):,.1f}" if abs(value) < 1000 else f"{abs(value):,.0f}"
    return f"{'−' if value < 0 else '+'}{size}"


def _hours(seconds: float) -> str:
    return f"{seconds / HOUR_S:,.2f}" if seconds < 100 * HOUR_S else f"{seconds / HOUR_S:,.1f}"


def _table(changes: Changes, shown: tuple[Change, ...]) -> Any:
    left = len(changes.experiments) - len(shown)
    return by_columns(
        [
            (Column(name=""), [change.sign for change in shown]),
            (Column(name="Experiment", least=16), [change.id for change in shown]),
            (Column(name="GPU-h", align="right"), [_moved(change, _gpu_hours) for change in shown]),
            (Column(name="$", align="right", drop=1), [_moved(change, _usd) for change in shown]),
            (Column(name="peak", align="right", drop=2), [_peak(change) for change in shown]),
            (Column(name="what", least=18, drop=3), ["; ".join(change.what) for change in shown]),
        ],
        note=f"{left:,} more with -v." if left else "",
    )


def _gpu_hours(side: Side) -> float | None:
    return side.gpu_s / HOUR_S


def _usd(side: Side) -> float | None:
    return side.cost_usd


def _moved(change: Change, figure: Any) -> str:
    """The change of a figure with its sign; empty where it is unknown."""
    before, after = (figure(side) if side else 0.0 for side in (change.before, change.after))
    if before is None or after is None:
        return ""
    moved = after - before
    return "0" if abs(moved) < 0.005 else f"{'−' if moved < 0 else '+'}{abs(moved):,.2f}"


def _peak(change: Change) -> str:
    sizes = [side.peak_memory_bytes for side in (change.before, change.after) if side]
    texts = [format_bytes(size) for size in sizes if size is not None]
    return " → ".join(dict.fromkeys(texts))


def _document(changes: Changes) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "old": changes.old,
        "new": changes.new,
        "totals": {"before": _totals(changes.before), "after": _totals(changes.after)},
        "circumstance": list(changes.circumstance),
        "experiments": [_change(change) for change in changes.experiments],
        "alike": changes.alike,
        "unchanged": changes.unchanged,
        "found": [finding_as_data(finding) for finding in changes.found],
        "cured": [finding_as_data(finding) for finding in changes.cured],
    }


def _totals(totals: Totals) -> dict[str, Any]:
    return {
        "experiments": totals.experiments,
        "gpu_hours": hours(totals.gpu_s),
        "wall_hours": hours(totals.wall_s),
        "cost_usd": spread(totals.cost_usd),
        "energy_kwh": spread(totals.energy_kwh),
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "sign": change.sign,
        "id": change.id,
        "before": None if change.before is None else _side(change.before),
        "after": None if change.after is None else _side(change.after),
        "what": list(change.what),
    }


def _side(side: Side) -> dict[str, Any]:
    return {
        "gpu_hours": side.gpu_s / HOUR_S,
        "cost_usd": side.cost_usd,
        "peak_memory_bytes": side.peak_memory_bytes,
        "fits": side.fits,
    }


def _row(change: Change) -> dict[str, object]:
    found: dict[str, object] = {"sign": change.sign, "experiment": change.id}
    for name, side in (("before", change.before), ("after", change.after)):
        values = _side(side) if side else dict.fromkeys(("gpu_hours", "cost_usd", "peak_memory_bytes", "fits"))
        found |= {f"{key}_{name}": value for key, value in values.items()}
    return found | {"what": "; ".join(change.what)}
