"""Tables of experiments in Markdown: `| experiment | steps | hours |`, with headings as phases.

Owns what columns and cells mean. Hours are the author's and become `stated` times. Rows with steps, or with epochs and
a number of data rows, become training runs, which can be predicted: where they name a model, or no hours are there to
take instead. Any other row is work of the stated length.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from headway.domain.errors import PlanError, Position
from headway.plan.importing.assemble import parameters, plan_name, rows_given
from headway.plan.importing.fields.taking import as_number
from headway.plan.importing.nouns import Ask, Grid, Imported, Importer, NotRead, Read, Source
from headway.plan.importing.text import cells
from headway.plan.reading.yaml import Map, Text, node_from

_COLUMNS: Final = {
    "name": r"experiment|name|runs?\b|config|setup|id\b|exp\b|task|stage|description|method|ablation|what|sequence",
    "hours": r"^(?!.*gpu).*(?:hour|time|duration|\bh\b|days?\b|minutes?|wall)",
    "gpu_hours": r"gpu[- ]?(?:hour|h\b|time)",
    "grad_accum": r"accum",
    "steps": r"^(?!.*(?:warm|eval|sav|log)).*(?:steps?|iterations?|iters?)",
    "epochs": r"epochs?",
    "model": r"model|base",
    "gpus": r"#\s*gpus?|gpus\b|num(?:ber)? of gpus",
    "gpu": r"gpu|hardware|device|machine",
    "rows": r"^(?!.*(?:per |/)).*(?:samples?|rows|examples?|data(?:set)? size)",
    "data": r"data|corpus",
    "total_batch": r"(?:global|effective|total).*(?:batch|\bbs\b)",
    "batch": r"batch|\bbs\b",
    "max_length": r"(?:seq|context|ctx)\w*[\s._-]*(?:len|size)|max[\s._-]*(?:seq|len|tok)|cut-?off|^context$",
    "learning_rate": r"learning[\s_-]?rate|\blr\b",
}
"""Meaning of a column by the first pattern that its heading fits, the more telling ones first where two do."""
_ORDER: Final = (
    "gpu_hours", "hours", "grad_accum", "steps", "epochs", "gpus", "rows", "total_batch", "batch", "max_length",
    "learning_rate", "gpu", "data", "model", "name",
)  # fmt: skip
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
    used: set[str] = field(default_factory=set)
    """Columns whose cells became part of the plan."""

    def take(self, field: str) -> Text | None:
        """A cell that becomes part of the plan; None where there is none."""
        if field in self.cells:
            self.used.add(field)
        return self.cells.get(field)


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
    trained = _trained(rows, given)
    if trained:
        _shared(tree, rows, given)
    _experiments(tree, rows, trained, given)
    _machine(tree, rows, given)
    return Imported(
        format="a table of experiments", guess=recognises(source), plan=tree, read=_told(rows),
        asks=_asks(tree, rows, given, trained),
        notes=(*_notes(rows, trained), *_left_out(source, listed)), not_read=_not_read(source, listed, rows),
        name=source.name, folder=source.folder,
        model=given.get("model") or _only(rows, "model"), parameters=parameters(given.get("params", "")),
        dataset=_only(rows, "data"),
    )  # fmt: skip


def _machine(tree: Map, rows: list[_Row], given: Mapping[str, str]) -> None:
    """The GPU, where one is given or all rows name the same."""
    gpu = given.get("gpu") or _only(rows, "gpu")
    if not gpu:
        return
    if "gpu" not in given:
        _ = [row.take("gpu") for row in rows]
    asked = given.get("gpus", str(max(1, *map(_gpus, rows))))
    machine = {"gpu": gpu, "gpus": asked if asked.isdigit() and int(asked) else "1"}
    _put(tree, "run", {"machine": machine}, rows[0].cells["name"].where)


def _asks(tree: Map, rows: list[_Row], given: Mapping[str, str], trained: bool) -> tuple[Ask, ...]:
    """What an estimate needs and no column says."""
    found = []
    if trained and not _modelled(rows, given):
        found.append(Ask(key="model", why="no column names the model", example="model=Qwen/Qwen2-0.5B"))
    if "run" not in tree:
        found.append(Ask(key="gpu", why="no column names the GPU", example="gpu='RTX 4090'"))
    if trained and not _sized(rows, given):
        found.append(Ask(key="samples", why="no column says how many rows are trained on", example="samples=52k"))
    return tuple(found)


def _told(rows: list[_Row]) -> tuple[Read, ...]:
    """Columns that became part of the plan, and of how many experiments."""
    where = rows[0].cells["name"].where
    counts = {name: sum(name in row.used for row in rows) for name in _ORDER}
    return tuple(
        Read(field=name, value=f"{count} of {len(rows)} experiments", key=name, where=where)
        for name, count in counts.items()
        if count
    )


def _known(grid: Grid) -> dict[str, int]:
    """Columns by meaning; each column has one, each meaning its first column."""
    found: dict[str, int] = {}
    taken: set[int] = set()
    for name in _ORDER:
        for index, column in enumerate(grid.columns):
            free = index not in taken and name not in found
            if free and re.search(_COLUMNS[name], column.lower()) and not (name == "name" and _counts(grid, index)):
                found[name] = index
                taken.add(index)
    if "name" not in found and found and 0 not in taken:
        found["name"] = 0
    if "name" not in found and 0 in (found.get("model"), found.get("data")):
        found["name"] = 0  # runs that are called by their model or data
    return found


def _counts(grid: Grid, index: int) -> bool:
    """Whether a column holds numbers only: of experiments, not their names."""
    said = [row[index].strip() for row in grid.rows if index < len(row) and row[index].strip()]
    return bool(said) and all(re.fullmatch(r"[~\d.,]+", cell) for cell in said)


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
    unit = next((u for p, u in cells.UNITS if re.search(p, column)), "h")
    phase = grid.headings[-1] if grid.headings else ""
    found = []
    for line in grid.rows[:MOST]:
        named = {name: line[index] for name, index in known.items() if index < len(line) and line[index].strip()}
        long = any(name in named and cells.NUMBER.search(named[name]) for name in LONG)
        if "name" in named and long and not _TOTALS.match(named["name"]):
            found.append(_Row(phase, named, unit))
    return found


def _trained(rows: list[_Row], given: Mapping[str, str]) -> bool:
    """Whether the rows become training runs; otherwise their hours are taken."""
    counted = all("steps" in row.cells or "epochs" in row.cells for row in rows)
    return counted and (not _timed(rows) or (_modelled(rows, given) and _sized(rows, given)))


def _one_model(rows: list[_Row], given: Mapping[str, str]) -> str:
    """The model of all rows: given, or the only one that they name; empty where they have several or none."""
    return given.get("model") or _of_size(given) or _only(rows, "model")


def _timed(rows: list[_Row]) -> bool:
    return any({"hours", "gpu_hours"} & row.cells.keys() for row in rows)


def _modelled(rows: list[_Row], given: Mapping[str, str]) -> bool:
    """Whether every row has a model."""
    return bool(_one_model(rows, given)) or all("model" in row.cells for row in rows)


def _sized(rows: list[_Row], given: Mapping[str, str]) -> bool:
    """Whether every row has a number of steps, or of data rows to pass over."""
    return rows_given(given.get("samples", "")) is not None or all({"steps", "rows"} & row.cells.keys() for row in rows)


def _shared(tree: Map, rows: list[_Row], given: Mapping[str, str]) -> None:
    """What holds for all training runs: a model that is given or the only one, data that no column says."""
    where = rows[0].cells["name"].where
    if model := _one_model(rows, given):
        _put(tree, "model", model, where)
        if model == _only(rows, "model"):
            _ = [row.take("model") for row in rows]
    if not any({"rows", "data"} & row.cells.keys() for row in rows):
        _put(tree, "datasets", {"training": _data(None, given)}, where)
        _put(tree, "data", "training", where)


def _data(row: _Row | None, given: Mapping[str, str]) -> dict[str, object]:
    """A dataset in the plan's words: of a row of the table, completed and overruled by what is given."""
    samples = rows_given(given.get("samples", ""))
    cell = row.take("rows") if row is not None and samples is None else None
    rows = cells.amount(cell) if cell is not None else str(samples or "unknown")
    data: dict[str, object] = {"rows": rows}
    if row is not None and (name := row.take("data")):
        data["from"] = str(name)
    if given.get("tokens_per_sample"):
        data["length"] = given["tokens_per_sample"]
    return data


def _of_size(given: Mapping[str, str]) -> str:
    """A name for a model of which only the size is known."""
    size = parameters(given.get("params", ""))
    return f"a model of {size:,.0f} parameters" if size else ""


def _only(rows: list[_Row], field: str) -> str:
    """The value of a column that has one value; empty where it has several, or none."""
    values = {str(row.cells[field]).strip() for row in rows if field in row.cells}
    return values.pop() if len(values) == 1 else ""


def _experiments(tree: Map, rows: list[_Row], trained: bool, given: Mapping[str, str]) -> None:
    phases: dict[str, list[_Row]] = {}
    for row in rows:
        phases.setdefault(row.phase, []).append(row)
    where = rows[0].cells["name"].where
    if len(phases) == 1 and "" in phases:
        _put(tree, "experiments", _entries(rows, trained, given), where)
        return
    made, used = Map(where=where), set[str]()
    for name, members in phases.items():
        id_ = _slug(name or "experiments", used)
        inner = Map(where=members[0].cells["name"].where)
        _put(inner, "name", name or "experiments", inner.where)
        _put(inner, "experiments", _entries(members, trained, given), inner.where)
        made[id_] = inner
        made.places[id_] = inner.where
    _put(tree, "phases", made, where)


def _entries(rows: list[_Row], trained: bool, given: Mapping[str, str]) -> Map:
    made, used = Map(where=rows[0].cells["name"].where), set[str]()
    for row in rows:
        name = row.cells["name"]
        row.used.add("name")
        entry = Map(where=name.where)
        _put(entry, "name", str(name), name.where)
        if trained:
            _training(entry, row, given, several=not _one_model(rows, given))
        else:
            _put(entry, "do", [str(name)], name.where)
        gpus = _gpus(row)
        if gpus != 1:
            _put(entry, *(("gpus", str(gpus)) if gpus else ("by", "cpu")), row.cells["gpus"].where)
        row.take("gpus")
        column = "hours" if "hours" in row.cells else "gpu_hours"
        if column in row.cells and (
            wall := cells.time(row.cells[column], row.unit, gpus if column == "gpu_hours" else 1)
        ):
            _put(entry, "stated", {"wall": wall}, row.cells[column].where)
            row.take(column)
        id_ = _slug(str(name), used)
        made[id_] = entry
        made.places[id_] = name.where
    return made


def _training(entry: Map, row: _Row, given: Mapping[str, str], *, several: bool) -> None:
    """The keys of a training run that the cells of a row say; its model where the table has `several`."""
    if several and (model := row.take("model")):
        _put(entry, "model", str(model), model.where)
    if {"rows", "data"} & row.cells.keys():
        _put(entry, "data", _data(row, given), row.cells["name"].where)
    length = row.take("steps") or row.take("epochs")
    if length is not None:
        _put(entry, "steps" if "steps" in row.used else "epochs", cells.amount(length), length.where)
    _batches(entry, row)
    if "max_length" in row.cells and (tokens := cells.length(row.cells["max_length"])):
        _put(entry, "max_length", str(tokens), row.cells["max_length"].where)
        row.take("max_length")
    if "learning_rate" in row.cells and as_number(row.cells["learning_rate"]):
        _put(entry, "learning_rate", str(row.cells["learning_rate"]), row.cells["learning_rate"].where)
        row.take("learning_rate")


def _batches(entry: Map, row: _Row) -> None:
    """Rows of a pass and passes of a step; `8 x 4` is both. A batch over all GPUs counts where they divide it."""
    both = re.fullmatch(r"(\d{1,6})\s*[x×*]\s*(\d{1,6})", row.cells.get("batch", Text("")).strip())
    for column, key in (("batch", "micro_batch"), ("grad_accum", "grad_accum")):
        size = _whole(row, column)
        if both is not None and column == "batch":
            _put(entry, "grad_accum", str(max(1, int(both[2]))), row.cells[column].where)
            size = int(both[1])
        if size and key not in entry:
            _put(entry, key, str(size), row.cells[column].where)
            row.take(column)
    total = _whole(row, "total_batch")
    one = int(str(entry.get("micro_batch", "1"))) * int(str(entry.get("grad_accum", "1"))) * max(1, _gpus(row))
    if total and total % one == 0 and ("grad_accum" not in entry or total == one):
        _put(entry, "batch", str(total), row.cells["total_batch"].where)
        row.take("total_batch")


def _whole(row: _Row, column: str) -> int:
    """A cell's whole number; 0 where it holds none."""
    text = str(row.cells.get(column, "")).strip().replace(",", "")
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0


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


def _gpus(row: _Row) -> int:
    """GPUs of a row; 1 where it says none."""
    found = re.search(r"\d{1,4}", row.cells["gpus"]) if "gpus" in row.cells else None
    return int(found[0]) if found is not None else 1


def _notes(rows: list[_Row], trained: bool) -> tuple[str, ...]:
    if not _timed(rows):
        return ()
    if trained:
        return ("hours of the table are what its author states: --rates stated computes with them",)
    return (
        f"{len(rows)} experiments are taken with the hours of the table; with a model and steps they are predicted",
    )


def _not_read(source: Source, listed: list[Grid], rows: list[_Row]) -> tuple[NotRead, ...]:
    """Columns of which nothing became part of the plan."""
    used = {name for row in rows for name in row.used}
    found = []
    for grid in source.tables:
        taken = {index for name, index in _known(grid).items() if name in used or grid not in listed}
        found += [NotRead(key=name, where=grid.where) for n, name in enumerate(grid.columns) if n not in taken and name]
    return tuple(found[:100])


IMPORTER = Importer(title="a table of experiments", forms=frozenset({"markdown"}), recognises=recognises, read=read)
