"""What programs may rely on: the JSON of an estimate (`headway.estimate/1`) and its rows for spreadsheets.

Owns the mapping from nouns to plain values in stated units; numbers are unrounded. Keys may be added, never changed.
S is `{"p10", "p50", "p90", "kind", "source"}`; an unknown is null, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from headway.cost.billing import Bill
from headway.domain.errors import Finding
from headway.domain.spread import Spread
from headway.domain.units import Range
from headway.estimate.nouns import ExperimentEstimate
from headway.plan import Imported
from headway.report.answer import Answer, MachineAnswer, OptionAnswer
from headway.report.figures import HOUR_S
from headway.report.sections.calendar import unjudged
from headway.report.sections.machines import rate_usd_per_hour
from headway.report.sections.selection import is_known, known_phases
from headway.report.view import Code, Fact, Item, Note, View

ESTIMATE = "headway.estimate/1"


def estimate_document(answer: Answer) -> dict[str, Any]:
    """The estimate as JSON types, `headway.estimate/1`."""
    document = streamed_document(answer)
    return document | {"experiments": list(document["experiments"])}


def streamed_document(answer: Answer) -> dict[str, Any]:
    """The same with `experiments` as an iterator, so that a long plan is written as it goes."""
    made = answer.estimate
    known = known_phases(made)
    return {
        "schema": ESTIMATE,
        "plan": {"name": made.plan, "fingerprint": made.fingerprint, "title": made.title, "rates": made.rates},
        "totals": _totals(answer),
        "phases": [
            {
                "id": phase.id,
                "parent": phase.parent or None,
                "name": phase.name,
                "experiments": phase.experiments,
                "gpu_hours": hours(phase.gpu_s if phase.id in known else None),
                "wall_hours": hours(phase.wall_s if phase.id in known else None),
                "steps": phase.steps,
                "asks": phase.asks,
                "optional": phase.optional,
            }
            for phase in made.phases
        ],
        "experiments": (_experiment(item) for item in made.experiments),
        "scenarios": [
            {"name": one.name, "gpu_hours": one.gpu_s / HOUR_S, "wall_hours": one.wall_s / HOUR_S,
             "terms_s": dict(one.terms_s)}
            for one in (made.scenarios if is_known(made) else ())
        ],
        "offers": [_offer(answer, machine) for machine in answer.machines if _is_rented(machine)],
        "warnings": [finding_document(finding) for finding in answer.findings],
        **_additions(answer),
    }  # fmt: skip


def _totals(answer: Answer) -> dict[str, Any]:
    made = answer.estimate
    bill = answer.machines[0].bill if answer.machines and is_known(made) else None
    energy = answer.energy if is_known(made) else None
    return {
        "experiments": sum(1 for item in made.experiments if not item.optional),
        "gpu_hours": hours(made.gpu_s if is_known(made) else None),
        "billed_gpu_hours": hours(bill.billed_gpu_s) if bill else None,
        "wall_hours": hours(made.wall_s if is_known(made) else None),
        "cost_usd": spread(bill.total_usd) if bill else None,
        "energy_kwh": spread(energy.kwh if energy else None),
        "subtotal_gpu_hours": hours(made.subtotal_gpu_s if is_known(made) else None),
        "buffer_share": made.buffer_share,
        "electricity_usd": spread(energy.usd if energy else None),
        "terms_s": {term: spread(found) for term, found in made.terms_s.items()},
        "measurements": made.measured,
    }


def _experiment(item: ExperimentEstimate) -> dict[str, Any]:
    return {
        "id": item.id,
        "phase": item.phase,
        "name": item.name,
        "steps": item.steps,
        "tokens": None if item.tokens is None else round(item.tokens.p50),
        "gpu_hours": hours(item.gpu_s if is_known(item) else None),
        "wall_hours": hours(item.wall_s if is_known(item) else None),
        "peak_memory_bytes": spread(item.peak_memory_bytes),
        "fits": item.fits or "uncertain",
        "terms_s": {term: spread(found) for term, found in item.terms_s.items()},
        "stages": len(item.stages),
        "optional": item.optional,
        "evidence": _evidence(item),
    }


def _evidence(item: ExperimentEstimate) -> dict[str, str] | None:
    """What the prediction of the longest training stage's steps stands on; None where nothing is trained."""
    trained = [stage for stage in item.stages if stage.basis is not None]
    basis = max(trained, key=lambda stage: stage.gpu_s.p50).basis if trained else None
    return None if basis is None else {"tier": basis.tier, "on": basis.evidence, "narrows": basis.narrows}


def _is_rented(machine: MachineAnswer) -> bool:
    return machine.from_catalog or (machine.bill is not None and machine.bill.billed_gpu_s is not None)


def _offer(answer: Answer, machine: MachineAnswer) -> dict[str, Any]:
    bill = machine.bill
    return {
        "name": machine.name,
        "provider": machine.provider,
        "instance": machine.instance,
        "gpu": machine.device,
        "gpus": machine.gpus,
        "usd_per_hour": rate_usd_per_hour(answer, machine),
        "priced_on": bill.priced_on or None if bill else None,
        "price_kind": bill.price_kind or None if bill else None,
        "cost_usd": spread(bill.total_usd) if bill and is_known(machine.estimate) else None,
        "gpu_hours": hours(machine.estimate.gpu_s if is_known(machine.estimate) else None),
        "from_catalog": machine.from_catalog,
        "hours_of_this_device": machine.hours_transferred,
    }


def imported_document(found: Imported) -> dict[str, Any]:
    """What was read from another tool's file, with its places."""
    return {
        "format": found.format,
        "guess": found.guess,
        "read": [
            {"field": one.field, "value": one.value, "key": one.key, "line": one.where.line} for one in found.read
        ],
        "absent": [{"field": one.field, "value": one.value, "source": one.source} for one in found.absent],
        "not_read": [{"key": one.key, "line": one.where.line} for one in found.not_read],
        "notes": list(found.notes),
    }


def _additions(answer: Answer) -> dict[str, Any]:
    """What the contract allows beside its own keys."""
    known = is_known(answer.estimate)
    return {
        **({} if answer.imported is None else {"imported": imported_document(answer.imported)}),
        "left_out": dict(answer.estimate.left_out),
        "beside": _beside(answer),
        "calendar": _calendar(answer),
        "schedules": [
            {"gpus": rung.gpus, "makespan_hours": rung.hours, "floor_hours": rung.floor_s / HOUR_S,
             "utilisation": rung.utilisation}
            for rung in (answer.schedules if known else ())
        ],
        "options": [_option(option, known=known) for option in answer.options],
        "bill": _bill(answer.machines[0].bill) if answer.machines and known else None,
        "ways_to_pay": [
            {"name": one.name, "cost_usd": spread(one.bill.total_usd), "running_hours": hours(one.bill.running_s),
             "billed_gpu_hours": hours(one.bill.billed_gpu_s)}
            for one in (answer.node_scenarios if known else ())
        ],
        "interrupted_within": dict(answer.interrupted),
        "cross_checks": [
            {"reference": check.reference.id, "rows_ratio": check.rows_ratio, "wall_hours": ends(check.wall_s, HOUR_S),
             "estimate_hours": hours(check.estimate_s), "agrees": check.agrees, "apart": check.apart}
            for check in (answer.cross_checks if known else ())
        ],
        "epochs": _epochs(answer),
        "sensitivity": [
            {"name": effect.name, "favourable_s": number(effect.favourable_s),
             "unfavourable_s": number(effect.unfavourable_s), "total_s": effect.total_s, "kind": effect.kind,
             "source": effect.source}
            for effect in (answer.sensitivity if known else ())
        ],
        "next_command": answer.next_command,
    }  # fmt: skip


def _beside(answer: Answer) -> dict[str, Any] | None:
    other = answer.beside
    if other is None:
        return None
    return {
        "rates": other.rates,
        "gpu_hours": hours(other.gpu_s if is_known(other) else None),
        "stated_over_predicted": answer.beside_ratio,
    }


def _calendar(answer: Answer) -> dict[str, Any]:
    calendar, known = answer.calendar, is_known(answer.estimate)
    return {
        "days": spread(calendar.days if known else None),
        "working_days": spread(calendar.working_days if known else None),
        "hours_per_day": calendar.hours_per_day,
        "needs_resume": list(calendar.needs_resume),
        "limits": [
            {"what": check.what, "unit": check.unit, "limit": check.limit, "need": spread(check.need),
             "verdict": check.verdict}
            for check in (calendar.limits if known else map(unjudged, calendar.limits))
        ],
        "contingency_s": {name: ends(aside, 1.0) for name, aside in calendar.contingency.items()},
    }  # fmt: skip


def _bill(bill: Bill | None) -> dict[str, Any] | None:
    """The plan machine's bill line by line; they sum to its total."""
    if bill is None:
        return None
    return {
        "machine": bill.machine,
        "pricing": bill.pricing,
        "lines": [{"name": line.name, "gpu_hours": hours(line.gpu_s), "usd": spread(line.usd)} for line in bill.lines],
        "running_gpu_hours": hours(bill.running_gpu_s),
        "usd_per_used_gpu_hour": spread(bill.usd_per_used_gpu_hour),
        "allocated_share": spread(bill.allocated_share),
        "notes": list(bill.notes),
    }


def _option(option: OptionAnswer, *, known: bool) -> dict[str, Any]:
    return {
        "id": option.id,
        "label": option.label,
        "experiments": option.experiments,
        "members": list(option.members),
        "gpu_hours": hours(option.gpu_s if known and option.is_known else None),
        "saves_gpu_hours": hours(option.saves_gpu_s if known and option.is_known else None),
        "makespan_hours": option.rung.hours if option.rung and known else None,
        "gpus": option.rung.gpus if option.rung else None,
        "cost_usd": spread(option.bill.total_usd) if option.bill and known else None,
    }


def _epochs(answer: Answer) -> dict[str, Any] | None:
    table = answer.epochs
    if table is None:
        return None
    grid = answer.grid
    return {
        "epoch_s": spread(table.epoch_s),
        "fixed_s": spread(table.fixed_s),
        "rows": table.rows,
        "steps_per_epoch": table.steps_per_epoch,
        "budgets": [
            {"budget_s": one.budget.mid, "epochs": one.epochs, "epochs_p90": one.epochs_p90, "wall_s": one.wall_s}
            for one in table.budgets
        ],
        "grid": None if grid is None else {"step_s": grid.step_s, "epochs": grid.epochs, "wall_s": grid.wall_s},
    }


def estimate_rows(answer: Answer) -> Iterator[Mapping[str, object]]:
    """One row per experiment, in plan order; seconds, bytes and hours in the column names."""
    for item in answer.estimate.experiments:
        yield {
            "experiment": item.id,
            "phase": item.phase,
            "name": item.name,
            "optional": "yes" if item.optional else "no",
            "stages": len(item.stages),
            "steps": item.steps,
            "tokens": None if item.tokens is None else round(item.tokens.p50),
            **_ends("gpu_hours", item.gpu_s if is_known(item) else None, HOUR_S),
            **_ends("wall_hours", item.wall_s if is_known(item) else None, HOUR_S),
            "kind": item.gpu_s.kind if is_known(item) else "unknown",
            **_ends("peak_memory_bytes", item.peak_memory_bytes, 1.0),
            "fits": item.fits,
        }


def _ends(name: str, value: Spread | None, unit: float) -> dict[str, float | None]:
    """Three columns of a quantity; empty where it is unknown."""
    return {f"{name}_{end}": None if value is None else getattr(value, end) / unit for end in ("p10", "p50", "p90")}


def finding_document(finding: Finding) -> dict[str, Any]:
    """F of the contract: a remark with its place and its numbers."""
    where = finding.where
    return {
        "code": finding.code,
        "severity": finding.severity,
        "message": finding.message,
        "where": {"file": where.file, "line": where.line, "column": where.column},
        "evidence": _plain(finding.evidence),
        "hint": finding.hint,
    }


def spread(value: Spread | None) -> dict[str, Any] | None:
    """S of the contract; None where nothing is known. Its ends are in order and finite."""
    if value is None:
        return None
    return value.to_dict()


def hours(value_s: Spread | None) -> dict[str, Any] | None:
    """Seconds as S in hours."""
    if value_s is None:
        return None
    found = value_s.to_dict()
    return found | {end: found[end] / HOUR_S for end in ("p10", "p50", "p90")}


def ends(value: Range, unit: float) -> dict[str, float]:
    """A stated range in a unit."""
    return {"low": value.low / unit, "mid": value.mid / unit, "high": value.high / unit}


def number(value: float) -> float | None:
    """A number, or None where it is not one."""
    return value if math.isfinite(value) else None


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return number(value)
    return value if value is None or isinstance(value, str | int | bool) else str(value)


def view_document(schema: str, view: View) -> dict[str, Any]:
    """A page whose figures are text (`explain`) as JSON: title, sections of facts, tables, notes, lines to copy."""
    return {
        "schema": schema,
        "title": view.title,
        "subtitle": view.subtitle,
        "sections": [
            {"title": section.title, "items": [_item(item) for item in section.items]} for section in view.sections
        ],
        "next_command": view.next_command,
    }


def _item(item: Item) -> dict[str, Any]:
    if isinstance(item, Fact):
        return {"fact": item.label, "text": item.text, "kind": item.kind or None, "note": item.note}
    if isinstance(item, Note):
        return {"note": item.text, "severity": item.severity, "where": item.where, "hint": item.hint}
    if isinstance(item, Code):
        return {"code": item.text, "language": item.language}
    names = [column.name for column in item.columns]
    rows = [row.cells for row in (*item.rows, *item.footer)]
    return {"table": item.title, "columns": names, "rows": rows, "note": item.note}
