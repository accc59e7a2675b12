"""One experiment term by term: rows, steps, saves, and every term at its low, expected and high end.

Owns the page of a plan of one experiment; of a chain, stage by stage.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from headway.domain.plan import Dataset
from headway.domain.spread import Spread, total_of
from headway.domain.statement import Value
from headway.domain.units import format_bytes, format_count, format_duration, format_share
from headway.estimate.nouns import StageEstimate
from headway.report.answer import Answer
from headway.report.figures import MEDIANS, UNKNOWN, apart, count, fixed, same_unit, shared_kind, size, sold_as, usable
from headway.report.sections.selection import counted, is_known, is_single, trained
from headway.report.view import Column, Detail, Fact, Note, Section, Table, by_columns

WORDS = {
    "load": "load",
    "step": "training steps",
    "data_wait": "waiting for data",
    "final_save": "final save",
    "checkpoint": "checkpoints",
    "unexplained": "not explained by parts",
}

SMALL_BYTES = 2e9
"""Peaks below which terms are shown in MB."""
SHARED = (
    "The columns share out the total's p10, p50 and p90 over the terms, so that they add up; "
    "they are not each term's own p10, p50 and p90."
)


def parts(answer: Answer, detail: Detail) -> Iterator[Section]:
    """Derivation, terms and memory of the only experiment; memory terms also where all details are asked for."""
    if is_single(answer):
        yield from _derivation(answer, detail)
        if table := _terms(answer):
            yield Section(title="Time by term", items=(table,))
    if is_single(answer) or detail.verbose:
        yield from _memory(answer, detail)


def _derivation(answer: Answer, detail: Detail) -> Iterator[Section]:
    """From rows to steps to saves, with the arithmetic."""
    for index, stage in enumerate(counted(answer)[0].stages):
        facts: list[Fact | Table] = []
        dataset = answer.plan.datasets.get(_data(answer, index))
        if dataset is not None and dataset.rows is not None and len(dataset.rows.parts) > 1:
            facts.append(_rows(dataset))
        facts += list(_counts(stage, detail))
        if facts:
            name = stage.name or stage.kind
            yield Section(title=f"From data to steps{'' if stage.kind == 'train' else f': {name}'}", items=tuple(facts))


def _data(answer: Answer, index: int) -> str:
    experiment = next(item for item in answer.plan.experiments if item.id == counted(answer)[0].id)
    return experiment.stages[index].data


def _rows(dataset: Dataset) -> Table:
    """The parts of the data, each with its own arithmetic."""
    rows = dataset.rows
    parts: dict[str, Value] = dict(rows.parts) if rows else {}
    return by_columns(
        [
            (Column(name="Rows of"), [*parts, "Total"]),
            (Column(name="Arithmetic", least=16, drop=1), [*(part.text for part in parts.values()), ""]),
            (Column(name="Rows", align="right"),
             [f"{part.mid:,.0f}" for part in (*parts.values(), *([rows] if rows else []))]),
        ],
        strong={len(parts)},
        footers=1,
    )  # fmt: skip


def _counts(stage: StageEstimate, detail: Detail) -> Iterator[Fact]:
    """Steps, tokens and saves in one line each."""
    basis = stage.basis
    if stage.steps and stage.rows and stage.epochs and basis:
        epochs = f" × {fixed(stage.epochs, 0 if stage.epochs == round(stage.epochs) else 2)} epochs"
        per_epoch = stage.rows / stage.epochs
        yield Fact(label="steps", text=(
            f"{per_epoch:,.0f} rows ÷ {basis.batches.rows_per_step:,} a step{'' if stage.epochs == 1 else epochs}"
            f" = {stage.steps:,} steps"
        ))  # fmt: skip
        recipe = basis.recipe
        yield Fact(label="batch", text=(
            f"{count(recipe.micro_batch, 'row')} × {recipe.grad_accum} accumulated × "
            f"{count(recipe.parallel.data, 'replica')} = {count(basis.batches.rows_per_step, 'row')}"
        ))  # fmt: skip
    elif stage.steps:
        yield Fact(label="steps", text=f"{stage.steps:,} steps")
    if stage.tokens is not None and basis:
        padded = basis.batches.padding_share
        padding = f", {format_share(padded)} of them padding" if padded else ""
        per_row = f"{fixed(basis.batches.row_tokens, 0)} a row{padding}"
        yield Fact(label="tokens", text=f"{format_count(stage.tokens.p50)} computed: {per_row}", kind=stage.tokens.kind)
    yield from _saves(stage, detail)
    if basis and basis.trainable_parameters:
        share = format_share(basis.trainable_parameters / basis.parameters) if basis.parameters else UNKNOWN
        yield Fact(label="trained", text=(
            f"{basis.trainable_parameters:,} of {format_count(basis.parameters)} parameters ({share})"
        ))  # fmt: skip


def _saves(stage: StageEstimate, detail: Detail) -> Iterator[Fact]:
    saves = stage.saves
    if saves is None or not saves.during + saves.final:
        return
    final = " + the final one" if saves.final else ""
    text = f"{saves.during} at the interval{final}" if saves.during else "the finished model only"
    kept = f", {saves.kept} kept" if saves.kept < saves.during else ""
    one = saves.bytes_each if saves.during else saves.final_bytes
    each = f" of {size(one, detail.confidence)}{' each' if saves.during else ''}" if one is not None else ""
    disk = ""
    if saves.during and saves.bytes_each is not None and saves.final_bytes is not None:
        held = saves.bytes_each.p50 * saves.kept + saves.final_bytes.p50 * saves.final
        disk = f"on disk at the end: {format_bytes(held)}"
    yield Fact(label="saves", text=f"{text}{kept}{each}", note=disk)


def _terms(answer: Answer) -> Table | None:
    """Best, expected and worst of each term; one column where nothing is in doubt."""
    made = answer.estimate
    if not is_known(made):
        return None
    rows: list[tuple[str, int, list[float], str]] = []
    details = {term: found for stage in counted(answer)[0].stages for term, found in stage.details.items()}
    for term, spread in made.terms_s.items():
        ends = [scenario.terms_s.get(term, 0.0) for scenario in made.scenarios] or [spread.p50]
        rows.append((WORDS.get(term, term), 0, ends, spread.kind))
        if len(counted(answer)[0].stages) == 1:
            for part, of in _parts_of(spread, details.get(term, {})).items():
                rows.append((part, 1, [of.p10, of.p50, of.p90] if made.scenarios else [of.p50], of.kind))
    whole = [scenario.wall_s for scenario in made.scenarios] or [made.wall_s.p50]
    if made.buffer_share:
        bare = [value / (1 + made.buffer_share) for value in whole]
        rows.append((f"buffer {format_share(made.buffer_share)}", 0, [a - b for a, b in zip(whole, bare, strict=True)],
                     "stated"))  # fmt: skip
    kind = shared_kind(made.terms_s.values())
    names = [scenario.name for scenario in made.scenarios] or ["expected"]
    columns = [(Column(name="Term"), [*(name for name, *_ in rows), "Total"])]
    cells = [same_unit(ends) for ends in (*(row[2] for row in rows), whole)]
    for index, name in enumerate(names):
        columns.append((Column(name=name, align="right"), [row[index] for row in cells]))
    shared = bool(made.scenarios) and made.wall_s.draws is not None
    each = "of which each" if not shared else "each (own p50)"
    columns.append((Column(name=each, drop=2), [*(_each(answer, row[0], row[1]) for row in rows), ""]))
    if not kind:
        columns.append((Column(name="kind", drop=1), [*(row[3] for row in rows), made.wall_s.kind]))
    notes = [f"All {kind}." if kind else "", SHARED if shared else ""]
    note = " ".join(part for part in notes if part)
    return by_columns(columns, levels=[row[1] for row in rows], strong={len(rows)}, footers=1, note=note)


def _parts_of(term: Spread, found: Mapping[str, Spread]) -> Mapping[str, Spread]:
    """Stated parts of a term; none where the term comes from elsewhere and they do not add up to it."""
    return found if found and abs(total_of(found).p50 - term.p50) <= 1e-9 * term.p50 else {}


def _each(answer: Answer, name: str, level: int) -> str:
    """`2,375 × 1 s` beside the steps and checkpoints of a single stage."""
    stages = counted(answer)[0].stages
    if level or len(stages) > 1:
        return ""
    stage = stages[0]
    during = stage.saves.during if stage.saves else 0
    for term, times in (("step", stage.steps), ("checkpoint", during), ("evaluation", stage.evaluations)):
        if times and name == WORDS.get(term, term) and term in stage.terms_s:
            return f"{times:,} × {format_duration(stage.terms_s[term].p50 / times)}"
    return ""


def _memory(answer: Answer, detail: Detail) -> Iterator[Section]:
    """Memory of one GPU by term, at the moment of the peak, for the tightest training."""
    found = trained(answer)
    if not found:
        return
    _, _, basis = min(found, key=lambda item: (item[2].fits_probability, -item[2].peak_memory_bytes.p50))
    terms = [(name, spread) for name, spread in basis.memory_terms_bytes.items() if spread.p50 > 0]
    if not terms:
        return
    peak = basis.peak_memory_bytes
    unit, unit_bytes, digits = ("GB", 1e9, 2) if peak.p50 >= SMALL_BYTES else ("MB", 1e6, 0)
    sizes = [fixed(spread.p50 / unit_bytes, digits) for spread in (*(spread for _, spread in terms), peak)]
    table = by_columns(
        [
            (Column(name=f"{unit} of one GPU"), [*(name.replace("_", " ") for name, _ in terms), "Peak"]),
            (Column(name="expected", align="right"), sizes),
        ],
        strong={len(terms)},
        footers=1,
    )
    device = basis.node.device
    room = f"Peak {size(peak, detail.confidence)} of {usable(basis)} on {sold_as(device)}."
    sums = f" {MEDIANS}" if apart([spread for _, spread in terms], peak) else ""
    alike = all(spread.kind == peak.kind for _, spread in terms)
    known = peak.kind if alike else f"{peak.kind}; its terms are predicted"
    yield Section(title=f"Memory ({known})", items=(table, Note(text=f"{room}{sums}")))
