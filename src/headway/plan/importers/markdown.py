"""Tables of experiments in Markdown: `| experiment | steps | hours |`, with headings as phases.

Owns what columns and cells mean. Hours are the author's and become `stated` times; a row with steps or epochs and a
model becomes a training run, which can be predicted; any other is work of the stated length.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from headway.domain.errors import PlanError, Position
from headway.plan.importing.assemble import parameters, plan_name, rows_given
from headway.plan.importing.nouns import Ask, Grid, Imported, Importer, NotRead, Read, Source
from headway.plan.reading.yaml import Map, Text, node_from

_COLUMNS: Final = {
    "name": r"experiment|name|runs?\b|config|setup|id\b|exp\b|task|stage|description|method|ablation|what|sequence",
    "hours": r"^(?!.*gpu).*(?:hour|time|duration|\bh\b|days?\b|minutes?|wall)",
    "gpu_hours": r"gpu[- ]?(?:hour|h\b|time)",
    "steps": r"steps?|iterations?|iters?",
    "epochs": r"epochs?",
    "model": r"model|base",
    "gpus": r"#\s*gpus?|gpus\b|num(?:ber)? of gpus",
    "gpu": r"gpu|hardware|device|machine",
    "rows": r"samples?|rows|examples?|data(?:set)? size",
    "data": r"data|corpus",
    "batch": r"batch",
}
"""Meaning of a column by the first pattern that its heading fits, the more telling ones first where two do."""
_ORDER: Final = ("gpu_hours", "hours", "steps", "epochs", "gpus", "rows", "batch", "gpu", "data", "model", "name")
_UNITS: Final = (
    (r"min", "min"), (r"days?|\bd\b", "days"), (r"sec|\bs\b", "s"), (r"hour|hrs?|\bh\b|gpu-?h|time|wall|dur", "h"),
)  # fmt: skip
_NUMBER = re.compile(r"(\d[\d,]*(?:\.\d+)?)\s*(?:([-–—]|to)\s*(\d[\d,]*(?:\.\d+)?))?\s*([a-zA-Z]*)")
_TOTALS = re.compile(
    r"^\W*(?:sub-?)?(?:total|sum|average|mean|overall|grand total|buffer|contingency)\b", re.IGNORECASE
)
_SUMMARY = re.compile(r"summar|overview|scenario|cost|total|budget|answer", re.IGNORECASE)
"""Headings of tables that say once more what other tables list."""
_ALTERNATIVES: Final = ("scenario", "option")
LONG: Final = frozenset({"hours", "gpu_hours", "steps", "epochs"})
"""Columns that say how long a run is."""
MOST: Final = 1000


@dataclass(frozen=True, slots=True)
class _Row:
    """One experiment of a table."""

    phase: str
    cells: dict[str, Text]
    unit: str


def recognises(source: Source) -> str:
    """A table with a column of experiments and one of steps, epochs or hours."""
    for grid in source.tables:
        known = _known(grid)
        if "name" in known and LONG & known.keys() and grid.rows:
            return f"a table has the columns {', '.join(grid.columns[:4])}"
    return ""


def read(source: Source, given: Mapping[str, str]) -> Imported:
    """The plan of all tables. Raises PlanError for a document whose tables hold no row with a time or a length."""
    listed = _listed(source)
    rows = [row for grid in listed for row in _rows(grid)]
    if not rows:
        raise PlanError(
            "a table of experiments has rows with steps, epochs or hours", got="none",
            where=Position(source.name, 1, 1), hint="Write them like | lora-r8 | 10k | 2.5 h |.",
        )  # fmt: skip
    tree = Map(where=Position(source.name))
    _put(tree, "headway", "1", tree.where)
    _put(tree, "name", plan_name(source.name), tree.where)
    trained = _shared(tree, rows, given)
    _experiments(tree, rows, trained)
    gpu = given.get("gpu") or _only(rows, "gpu")
    if gpu:
        asked = given.get("gpus", str(max(1, *map(_gpus, rows))))
        machine = {"gpu": gpu, "gpus": asked if asked.isdigit() and int(asked) else "1"}
        _put(tree, "run", {"machine": machine}, rows[0].cells["name"].where)
    asks = () if gpu else (Ask(key="gpu", why="no column names the GPU", example="gpu='RTX 4090'"),)
    told = [
        Read(field=field, value=f"{count} of {len(rows)} experiments", key=field, where=rows[0].cells["name"].where)
        for field in _ORDER
        if (count := sum(1 for row in rows if field in row.cells))
    ]
    return Imported(
        format="a table of experiments", guess=recognises(source), plan=tree, read=tuple(told), asks=asks,
        notes=(*_notes(rows, trained), *_left_out(source, listed)), not_read=_not_read(source), name=source.name,
        folder=source.folder,
        model=given.get("model") or _only(rows, "model"), parameters=parameters(given.get("params", "")),
    )  # fmt: skip


def _known(grid: Grid) -> dict[str, int]:
    """Columns by meaning; each column has one, each meaning its first column."""
    found: dict[str, int] = {}
    taken: set[int] = set()
    for field in _ORDER:
        for index, column in enumerate(grid.columns):
            free = index not in taken and field not in found
            if free and re.search(_COLUMNS[field], column.lower()) and not (field == "name" and _counts(grid, index)):
                found[field] = index
                taken.add(index)
    if "name" not in found and found and 0 not in taken:
        found["name"] = 0
    return found


def _counts(grid: Grid, index: int) -> bool:
    """Whether a column holds numbers only: of experiments, not their names."""
    cells = [row[index].strip() for row in grid.rows if index < len(row) and row[index].strip()]
    return bool(cells) and all(re.fullmatch(r"[~\d.,]+", cell) for cell in cells)


def _listed(source: Source) -> list[Grid]:
    """The tables that list experiments; where all of them sum up, the first one that does not list alternatives."""
    told = [grid for grid in source.tables if _rows(grid)]
    listed = [grid for grid in told if not _repeats(grid)]
    return listed or sorted(told, key=lambda grid: _first_name(grid) in _ALTERNATIVES)[:1]


def _first_name(grid: Grid) -> str:
    """The heading of the column of names, in lower case."""
    known = _known(grid)
    return grid.columns[known["name"]].lower() if "name" in known else ""


def _repeats(grid: Grid) -> bool:
    """Whether a table sums up: by the heading above it, or because its rows are phases and scenarios."""
    return bool(grid.headings and _SUMMARY.search(grid.headings[-1])) or _first_name(grid) in ("phase", *_ALTERNATIVES)


def _left_out(source: Source, listed: list[Grid]) -> tuple[str, ...]:
    """The tables that were taken for sums of the others."""
    lines = [str(grid.where.line) for grid in source.tables if grid not in listed and _rows(grid)]
    return (f"tables at line {', '.join(lines)} sum up the others: not counted once more",) if lines else ()


def _rows(grid: Grid) -> list[_Row]:
    known = _known(grid)
    if "name" not in known or not LONG & known.keys():
        return []
    column = next((grid.columns[known[field]].lower() for field in ("hours", "gpu_hours") if field in known), "")
    unit = next((u for p, u in _UNITS if re.search(p, column)), "h")
    phase = grid.headings[-1] if grid.headings else ""
    found = []
    for cells in grid.rows[:MOST]:
        named = {field: cells[index] for field, index in known.items() if index < len(cells) and cells[index].strip()}
        long = any(field in named and _NUMBER.search(named[field]) for field in LONG)
        if "name" in named and long and not _TOTALS.match(named["name"]):
            found.append(_Row(phase, named, unit))
    return found


def _shared(tree: Map, rows: list[_Row], given: Mapping[str, str]) -> bool:
    """What holds for all runs; True where they can be trained: a model and a number of steps are known."""
    where = rows[0].cells["name"].where
    model = given.get("model") or _only(rows, "model") or _of_size(given)
    counted = all("steps" in row.cells or "epochs" in row.cells for row in rows)
    sized = rows_given(given.get("samples", "")) or all("steps" in row.cells for row in rows)
    if not model or not counted or not sized:
        return False
    _put(tree, "model", model, where)
    data: dict[str, object] = {"rows": str(rows_given(given.get("samples", "")) or "unknown")}
    if given.get("tokens_per_sample"):
        data["length"] = given["tokens_per_sample"]
    _put(tree, "datasets", {"training": data}, where)
    _put(tree, "data", "training", where)
    return True


def _of_size(given: Mapping[str, str]) -> str:
    """A name for a model of which only the size is known."""
    size = parameters(given.get("params", ""))
    return f"a model of {size:,.0f} parameters" if size else ""


def _only(rows: list[_Row], field: str) -> str:
    """The value of a column that has one value; empty where it has several, or none."""
    values = {str(row.cells[field]).strip() for row in rows if field in row.cells}
    return values.pop() if len(values) == 1 else ""


def _experiments(tree: Map, rows: list[_Row], trained: bool) -> None:
    phases: dict[str, list[_Row]] = {}
    for row in rows:
        phases.setdefault(row.phase, []).append(row)
    where = rows[0].cells["name"].where
    if len(phases) == 1 and "" in phases:
        _put(tree, "experiments", _entries(rows, trained), where)
        return
    made, used = Map(where=where), set[str]()
    for name, members in phases.items():
        id_ = _slug(name or "experiments", used)
        inner = Map(where=members[0].cells["name"].where)
        _put(inner, "name", name or "experiments", inner.where)
        _put(inner, "experiments", _entries(members, trained), inner.where)
        made[id_] = inner
        made.places[id_] = inner.where
    _put(tree, "phases", made, where)


def _entries(rows: list[_Row], trained: bool) -> Map:
    made, used = Map(where=rows[0].cells["name"].where), set[str]()
    for row in rows:
        name = row.cells["name"]
        entry = Map(where=name.where)
        _put(entry, "name", str(name), name.where)
        if trained:
            field = "steps" if "steps" in row.cells else "epochs"
            _put(entry, field, _amount(row.cells[field]), row.cells[field].where)
            if "batch" in row.cells and row.cells["batch"].isdigit() and int(row.cells["batch"]):
                _put(entry, "micro_batch", str(int(row.cells["batch"])), row.cells["batch"].where)
        else:
            _put(entry, "do", [str(name)], name.where)
        gpus = _gpus(row)
        if gpus > 1:
            _put(entry, "gpus", str(gpus), row.cells["gpus"].where)
        elif gpus == 0:
            _put(entry, "by", "cpu", row.cells["gpus"].where)
        field = "hours" if "hours" in row.cells else "gpu_hours"
        if field in row.cells and (time := _time(row.cells[field], row.unit, gpus if field == "gpu_hours" else 1)):
            _put(entry, "stated", {"wall": time}, row.cells[field].where)
        id_ = _slug(str(name), used)
        made[id_] = entry
        made.places[id_] = name.where
    return made


def _put(tree: Map, key: str, value: object, where: Position) -> None:
    tree[key] = node_from(value, where)
    tree.places[key] = where


def _slug(text: str, used: set[str]) -> str:
    base = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40] or "run"
    base = base if base[0].isalpha() else f"run-{base}"
    id_, number = base, 1
    while id_ in used:
        number += 1
        id_ = f"{base}-{number}"
    used.add(id_)
    return id_


def _amount(cell: Text) -> str:
    """`10k`, `1,000`, `3` as the plan writes counts."""
    found = _NUMBER.search(cell)
    if found is None:
        return "1"
    unit = found[4].lower() if found[4].lower() in ("k", "m") else ""
    return f"{found[1].replace(',', '')}{unit.replace('m', 'M')}"


def _gpus(row: _Row) -> int:
    """GPUs of a row; 1 where it says none."""
    found = re.search(r"\d{1,4}", row.cells["gpus"]) if "gpus" in row.cells else None
    return int(found[0]) if found is not None else 1


def _time(cell: Text, usual: str, gpus: int = 1) -> str:
    """`2.5 h`, `30-45 min`; a bare number is of the column's unit. GPU-hours are divided by their GPUs."""
    found = _NUMBER.search(cell)
    if found is None:
        return ""
    if both := re.search(r"(\d+)\s*h\w*\s*(\d+)\s*m", cell):
        return f"{(int(both[1]) + int(both[2]) / 60) / max(1, gpus):g} h"
    unit = next((u for p, u in _UNITS if found[4] and re.match(p, found[4].lower())), usual)
    low, high = (part and f"{float(part.replace(',', '')) / max(1, gpus):g}" for part in (found[1], found[3] or ""))
    return f"{low}-{high} {unit}" if high and float(high) >= float(low) else f"{low} {unit}"


def _notes(rows: list[_Row], trained: bool) -> tuple[str, ...]:
    if trained:
        return ("hours of the table are what its author states: --rates stated computes with them",)
    return (
        f"{len(rows)} experiments are taken with the hours of the table; with a model and steps they are predicted",
    )


def _not_read(source: Source) -> tuple[NotRead, ...]:
    """Columns that nothing was made of."""
    found = []
    for grid in source.tables:
        known = set(_known(grid).values())
        found += [NotRead(key=name, where=grid.where) for n, name in enumerate(grid.columns) if n not in known and name]
    return tuple(found[:100])


IMPORTER = Importer(title="a table of experiments", forms=frozenset({"markdown"}), recognises=recognises, read=read)
