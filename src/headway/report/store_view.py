"""The pages of `headway store`: what is recorded, one record, what was imported.

Owns their words and tables. Which records are meant is `app/store.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headway.domain.record import KINDS, Record, plain
from headway.report.figures import count
from headway.report.view import Code, Column, Fact, Note, Page, Section, View, by_columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Records of a store that were asked for, oldest first."""

    place: str
    records: tuple[Record, ...]
    others: int
    """How many more the store holds."""
    kind: str
    plan: str
    """Fingerprint, or the beginning of one; empty for all plans."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What an import did."""

    place: str
    file: str
    records: int
    new: int


def summary_page(kept: Kept) -> Page:
    """Where the store is, and records by kind with the newest of each."""
    rows = [
        {"kind": kind, "records": len(found), "newest": found[-1].made, "id": found[-1].id}
        for kind in KINDS
        if (found := [record for record in kept.records if record.kind == kind])
    ]
    return Page(
        view=lambda: _summary(kept, rows),
        document=lambda: {"schema": "headway.store/1", "place": kept.place, "plan": kept.plan, "kinds": rows,
                          "records": len(kept.records), "others": kept.others},
        rows=lambda: rows,
    )  # fmt: skip


def list_page(kept: Kept, shown: int | None) -> Page:
    """Records, newest first; the table shows the first `shown`, programs get all."""
    rows = [_row(record) for record in reversed(kept.records)]
    return Page(
        view=lambda: _list(kept, rows if shown is None else rows[:shown]),
        document=lambda: {"schema": "headway.store.list/1", "place": kept.place, "kind": kept.kind,
                          "plan": kept.plan, "others": kept.others, "records": rows},
        rows=lambda: rows,
    )  # fmt: skip


def record_page(record: Record) -> Page:
    """One record, whole."""
    row = _row(record)
    whole = {"kind": record.kind, "made": record.made, "by": plain(record.by), "body": plain(record.body)}
    facts = [Fact(label="what", text=row["what"]), Fact(label="made", text=f"{_moment(record.made)} UTC")]
    facts += [Fact(label=str(name), text=str(text)) for name, text in record.by.items()]
    body = Code(text=json.dumps(whole["body"], indent=2, ensure_ascii=False), language="json")
    return Page(
        view=lambda: View(
            title=f"{record.kind.capitalize()} {record.id}",
            sections=(Section(title="", items=tuple(facts)), Section(title="", items=(body,))),
            next_command=f"headway store list --kind {record.kind}",
        ),
        document=lambda: {"schema": "headway.record/1", "id": record.id, **whole},
        rows=lambda: [row],
    )


def moved_page(moved: Moved) -> Page:
    """How many records came, and how many were there already."""
    row = {"file": moved.file, "place": moved.place, "records": moved.records, "new": moved.new}
    there = f", {moved.records - moved.new:,} were there already" if moved.new < moved.records else ""
    text = f"{count(moved.new, 'record')} imported{there}."
    return Page(
        view=lambda: View(title=f"Import into {moved.place}", next_command="headway store list",
                          sections=(Section(title="", items=(Note(text=text),)),)),
        document=lambda: {"schema": "headway.store.import/1", **row},
        rows=lambda: [row],
    )  # fmt: skip


def _summary(kept: Kept, rows: Sequence[Mapping[str, Any]]) -> View:
    if not rows:
        return _nothing(kept)
    table = by_columns(
        [
            (Column(name="Records"), [row["kind"] for row in rows]),
            (Column(name="number", align="right"), [f"{row['records']:,}" for row in rows]),
            (Column(name="newest, UTC"), [_moment(row["newest"]) for row in rows]),
            (Column(name="its id"), [row["id"] for row in rows]),
        ],
        note=_left_out(kept),
    )
    return View(title=f"Store {kept.place}", sections=(Section(title="", items=(table,)),),
                next_command="headway store list")  # fmt: skip


def _list(kept: Kept, rows: Sequence[Mapping[str, Any]]) -> View:
    if not rows:
        return _nothing(kept)
    hidden = len(kept.records) - len(rows)
    more = f"{len(rows)} of {len(kept.records)} records; --all shows {hidden} more." if hidden else ""
    table = by_columns(
        [
            (Column(name="Id"), [row["id"] for row in rows]),
            (Column(name="made, UTC"), [_moment(row["made"]) for row in rows]),
            (Column(name="kind"), [row["kind"] for row in rows]),
            (Column(name="what", least=12), [row["what"] for row in rows]),
            (Column(name="plan", drop=1), [row["plan"][:8] for row in rows]),
        ],
        note=" ".join(part for part in (more, _left_out(kept)) if part),
    )
    return View(title=f"Store {kept.place}", sections=(Section(title="", items=(table,)),),
                next_command=f"headway store show {rows[0]['id']}")  # fmt: skip


def _nothing(kept: Kept) -> View:
    """What to do where there is nothing to show."""
    if kept.others:
        return View(title=f"Store {kept.place}", sections=(Section(title="", items=(Note(text=_left_out(kept)),)),),
                    next_command="headway store list")  # fmt: skip
    note = Note(text="Nothing is recorded here yet.", hint="What is measured is, and every run that is tracked.")
    return View(title=f"Store {kept.place}", sections=(Section(title="", items=(note,)),),
                next_command="headway measure plan.yaml")  # fmt: skip


def _left_out(kept: Kept) -> str:
    """That there is more than was asked for."""
    if not kept.others:
        return ""
    return f"{count(kept.others, 'record')} of other kinds or plans, or of the plan before it was changed, left out."


def _row(record: Record) -> dict[str, Any]:
    plan = record.body.get("plan", "")
    return {
        "id": record.id,
        "made": record.made,
        "kind": record.kind,
        "what": _what(record.body),
        "plan": str(plan.get("fingerprint", "") if isinstance(plan, Mapping) else plan or ""),
        "by": str(record.by.get("command", "")),
    }


def _what(body: Mapping[str, Any]) -> str:
    """What a record is about, in the words that its body has for it."""
    plan = body.get("plan")
    words = [plan.get("name") if isinstance(plan, Mapping) else None]
    words += [body.get(name) for name in ("experiment", "stage_name", "name")]
    said = list(dict.fromkeys(str(word) for word in words if isinstance(word, str) and word))
    device = body.get("device")
    return " ".join(said) + (f" on {device}" if isinstance(device, str) and device else "")


def _moment(made: str) -> str:
    """`2026-11-21 16:40`, of a moment in UTC."""
    return f"{made[:10]} {made[11:16]}"
