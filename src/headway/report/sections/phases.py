"""The plan by phase: runs, steps and GPU-hours, subtotal, buffer and total.

Owns the summary table that a plan of several experiments is known by.
"""

from __future__ import annotations

from collections.abc import Iterator

from headway.domain.spread import Spread
from headway.domain.units import format_share
from headway.estimate.nouns import Estimate, PhaseEstimate
from headway.report.answer import Answer
from headway.report.figures import MEDIANS, NONE, apart, hours_column, interval_column, interval_name, shared_kind
from headway.report.sections.selection import counted, is_known, is_single, known_phases
from headway.report.view import Column, Detail, Section, by_columns


def parts(answer: Answer, detail: Detail) -> Iterator[Section]:
    """The phase table; nothing for a plan of one experiment."""
    made = answer.estimate
    phases = [phase for phase in made.phases if phase.experiments and (detail.verbose or not phase.optional)]
    if is_single(answer) or not phases:
        return
    sums = _sums(made, made.subtotal_gpu_s)
    spreads = [*(phase.gpu_s for phase in phases), *sums.values()]
    kind = shared_kind(spread for spread in spreads if spread.p50)
    tail = [""] * (len(sums) - 1)
    uneven = any(item.gpus != 1 for item in counted(answer))
    walls = [
        *(phase.wall_s.p50 for phase in phases),
        *(spread.p50 for spread in _sums(made, made.subtotal_wall_s).values()),
    ]
    gpus = [*(_gpus(answer, phase) for phase in phases), *([""] * len(sums))]
    runs = [*(f"{phase.experiments:,}" for phase in phases), *tail, f"{len(counted(answer)):,}"]
    steps = [*(_steps(phase.steps) for phase in phases), *tail, _steps(sum(item.steps for item in counted(answer)))]
    known = _known(made, phases, sums)
    columns = [
        (Column(name="Phase", least=10), [*(phase.id for phase in phases), *sums]),
        (Column(name="Name", least=14 if uneven else 22, drop=1),
         [*(_name(phase) for phase in phases), *([""] * len(sums))]),
        (Column(name="Runs", align="right", drop=2), runs if not uneven or len(counted(answer)) > len(phases) else []),
        (Column(name="Steps", align="right", drop=7), steps),
        (Column(name="GPUs", align="right", drop=3), gpus if uneven else []),
        (Column(name="Hours", align="right", drop=3), _hours(walls, known) if uneven else []),
        (Column(name="GPU-h", align="right"), _hours([spread.p50 for spread in spreads], known)),
        (Column(name=interval_name(detail.confidence), align="right", drop=4), _intervals(spreads, known, detail)),
        (Column(name="kind", drop=5), [] if kind else [spread.kind if spread.p50 else "" for spread in spreads]),
        (Column(name="predicted" if made.rates == "stated" else "stated", align="right", drop=6),
         _beside(answer, phases, sums)),
    ]  # fmt: skip
    table = by_columns(
        [column for column in columns if column[1]],
        levels=[_level(phase, phases) for phase in phases],
        strong={index for index, phase in enumerate(phases) if _has_parts(phase, phases)} | {len(spreads) - 1},
        footers=len(sums),
        note=_note(answer, phases),
    )
    yield Section(title=f"Phases ({kind})" if kind else "Phases", items=(table,))


def _sums(made: Estimate, subtotal: Spread) -> dict[str, Spread]:
    """Footer rows: subtotal and buffer where there is one, then the total."""
    if not made.buffer_share:
        return {"Total": subtotal}
    share = format_share(made.buffer_share).replace(" ", "")
    whole = subtotal * (1 + made.buffer_share)
    return {"Subtotal": subtotal, f"Buffer {share}": subtotal * made.buffer_share, "Total": whole}


def _known(made: Estimate, phases: list[PhaseEstimate], sums: dict[str, Spread]) -> list[bool]:
    """Whether the time of each row is known; of the footer, that of the whole plan."""
    found = known_phases(made)
    return [*(phase.id in found for phase in phases), *([is_known(made)] * len(sums))]


def _hours(values_s: list[float], known: list[bool]) -> list[str]:
    """Hours of each row; unknown where a rate of it is not known."""
    return hours_column([value if sure else None for value, sure in zip(values_s, known, strict=True)])


def _intervals(spreads: list[Spread], known: list[bool], detail: Detail) -> list[str]:
    """Both ends of each row; empty where its time is unknown."""
    bounds = interval_column(spreads, detail.confidence)
    return [cell if sure else "" for cell, sure in zip(bounds, known, strict=True)]


def _gpus(answer: Answer, phase: PhaseEstimate) -> str:
    """GPUs of the phase's widest experiment."""
    return f"{max((item.gpus for item in answer.estimate.experiments if item.phase == phase.id), default=0.0):g}"


def _beside(answer: Answer, phases: list[PhaseEstimate], sums: dict[str, Spread]) -> list[str]:
    """The same phases under the other rates; nothing where there are none or nothing was found."""
    if answer.beside is None or not is_known(answer.beside):
        return []
    found = {phase.id: phase.gpu_s.p50 for phase in answer.beside.phases}
    others = _sums(answer.beside, answer.beside.subtotal_gpu_s)
    return hours_column([*(found.get(phase.id) for phase in phases), *(others[name].p50 for name in sums)])


def _steps(steps: int) -> str:
    return f"{steps:,}" if steps else NONE


def _name(phase: PhaseEstimate) -> str:
    return f"{phase.name} (optional)" if phase.optional else phase.name


def _level(phase: PhaseEstimate, phases: list[PhaseEstimate]) -> int:
    parents = {item.id: item.parent for item in phases}
    level, parent = 0, phase.parent
    while parent in parents:
        level, parent = level + 1, parents[parent]
    return level


def _has_parts(phase: PhaseEstimate, phases: list[PhaseEstimate]) -> bool:
    return any(item.parent == phase.id for item in phases)


def _note(answer: Answer, phases: list[PhaseEstimate]) -> str:
    """What is not counted, and why the rows may not add up."""
    made = answer.estimate
    optional = [phase.name or phase.id for phase in made.phases if phase.optional and not phase.parent]
    top = [phase.gpu_s for phase in phases if not phase.parent and not phase.optional]
    notes = [f"Optional and not counted: {', '.join(optional)}."] if optional else []
    if is_known(made) and apart(top, made.subtotal_gpu_s):
        notes.append(MEDIANS)
    return " ".join(notes)
