"""The page of `headway trace`: what the real model does beside what the formulas say.

Owns its words and table. The counting is `worker/trace.py`, the comparison `check/trace.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from headway.check.trace import Compared
from headway.domain.experiment import Recipe
from headway.domain.units import format_bytes, format_flop, format_share
from headway.report.view import Column, Note, Page, Section, View, by_columns

SCHEMA = "headway.trace_check/1"
_FORMATS = {"parameters": lambda value: f"{value:,.0f}", "flop": format_flop, "bytes": format_bytes}


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceAnswer:
    """Everything the verb `trace` found out about one training step."""

    title: str
    recipe: Recipe
    seq: int
    """Tokens in every row."""
    trace: Mapping[str, Any]
    """The document `headway.trace/1`."""
    rows: tuple[Compared, ...]
    remarks: tuple[str, ...]
    """What was traced otherwise than asked."""
    next_command: str


def trace_page(answer: TraceAnswer) -> Page:
    """The table for people; counts and formulas unrounded, with the trace itself, for programs."""
    return Page(view=lambda: _view(answer), document=lambda: _document(answer), rows=lambda: _records(answer.rows))


def _document(answer: TraceAnswer) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "title": answer.title,
        "agrees": all(row.agrees for row in answer.rows),
        "rows": list(_records(answer.rows)),
        "remarks": list(answer.remarks),
        "trace": answer.trace,
        "next_command": answer.next_command,
    }


def _records(rows: Iterable[Compared]) -> Iterator[dict[str, object]]:
    for row in rows:
        yield {
            "quantity": row.name,
            "unit": row.unit,
            "counted": row.counted,
            "formula": row.formula,
            "difference": row.difference,
            "allowed": row.allowed,
            "agrees": row.agrees,
        }


def _view(answer: TraceAnswer) -> View:
    rows = [row for row in answer.rows if row.counted or row.formula]
    table = by_columns(
        [
            (Column(name="Quantity"), [row.name for row in rows]),
            (Column(name="real model", align="right"), [_FORMATS[row.unit](row.counted) for row in rows]),
            (Column(name="headway", align="right"), [_FORMATS[row.unit](row.formula) for row in rows]),
            (Column(name="off by", align="right"), [_difference(row) for row in rows]),
            (Column(name="", drop=1), ["" if row.agrees else "differs" for row in rows]),
        ],
        strong=[index for index, row in enumerate(rows) if not row.agrees],
    )
    notes = (_verdict(answer.rows), *(Note(text=text) for text in answer.remarks))
    return View(
        title=answer.title,
        subtitle=f"{_how(answer)} · {_made(answer.trace)}",
        sections=(Section(title="", items=(table,)), Section(title="", items=notes)),
        next_command=answer.next_command,
    )


def _how(answer: TraceAnswer) -> str:
    recipe = answer.recipe
    method = "all weights" if recipe.adapter is None else (
        f"LoRA of rank {recipe.adapter.rank} on {', '.join(recipe.adapter.targets)}"
    )  # fmt: skip
    again = ", full checkpointing" if recipe.gradient_checkpointing == "full" else ""
    size = f"{recipe.micro_batch} × {answer.seq:,} tokens"
    return f"{method}, {size}, {recipe.precision}, {recipe.attention}{again}"


def _made(trace: Mapping[str, Any]) -> str:
    about = trace["environment"]
    return f"{trace['model']['class']} of transformers {about['transformers']}, torch {about['torch']}"


def _difference(row: Compared) -> str:
    if row.counted == row.formula:
        return "0"
    if row.difference is None:
        return "not there"
    if abs(row.difference) < 0.0005:
        return "< 0.05 %"
    return f"{row.difference * 100:+.1f} %"


def _verdict(rows: Iterable[Compared]) -> Note:
    """Whether the formulas hold, and else which of them does not."""
    wrong = [row for row in rows if not row.agrees]
    if not wrong:
        return Note(text="The formulas agree with the model: parameters exactly, FLOP within 1 %, memory within 5 %.")
    parts = [f"{row.name} {_difference(row)} ({_allowed(row)})" for row in wrong]
    return Note(
        text=f"The formulas differ from the model: {'; '.join(parts)}.",
        severity="warning",
        hint="An estimate of this model is off by as much there; please report it with the model's config.json.",
    )


def _allowed(row: Compared) -> str:
    return f"{format_share(row.allowed)} allowed" if row.allowed else "none allowed"
