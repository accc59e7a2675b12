"""The chain behind one figure: what it is, what it is made of, what those parts rest on, and where each comes from.

Owns the reading of a number path (`experiments.2A/openwebtext-10k.terms_s.step`) and the page that explains it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from shlex import quote

from headway.domain.errors import UsageError
from headway.domain.spread import Spread
from headway.domain.units import format_bytes, format_count, format_duration, format_flop, format_number, format_share
from headway.estimate.nouns import Basis, Estimate, ExperimentEstimate, StageEstimate
from headway.report.answer import Answer
from headway.report.figures import dollars, sold_as, usable
from headway.report.sections.checks import large
from headway.report.sections.machines import energy_basis
from headway.report.sections.selection import is_known, known_phases
from headway.report.view import Column, Fact, Item, Note, Row, Section, Table, View

Format = Callable[[float], str]
PART = (
    Column(name="part", least=16),
    Column(name="p10", align="right", drop=2),
    Column(name="p50", align="right"),
    Column(name="p90", align="right", drop=2),
    Column(name="kind"),
    Column(name="from", least=20, drop=1),
)
MOST_PARTS = 40
TOTALS = ("gpu_hours", "wall_hours", "billed_gpu_hours", "cost_usd", "energy_kwh", "experiments")
PHASE_FIGURES = ("gpu_hours", "wall_hours")
FIGURES = ("gpu_hours", "wall_hours", "peak_memory_bytes", "fits", "steps", "tokens")
ENDS = ("p10", "p50", "p90")
KINDS = (
    f"totals.({'|'.join(TOTALS)}), phases.ID.({'|'.join(PHASE_FIGURES)}), "
    f"experiments.ID.({'|'.join(FIGURES)}|terms_s.TERM); a number for ID counts from 0"
)
"""Paths that can be explained, in one line."""


def explain_view(answer: Answer, path: str) -> View:
    """The page behind `path`: `totals.gpu_hours`, `phases.2A.gpu_hours`, `experiments.ID.terms_s.step`, ...

    Raises UsageError with the nearest paths when there is no such figure.
    """
    head, _, rest = named(answer, path).partition(".")
    makers: Mapping[str, Callable[[Answer, str], list[Section]]] = {
        "totals": _totals,
        "phases": _phase,
        "experiments": _experiment,
    }
    if head not in makers or not rest:
        raise _unknown(path, answer)
    return View(
        title=path,
        subtitle=f"{answer.estimate.plan} · {answer.estimate.rates} rates",
        sections=tuple(makers[head](answer, rest)),
        next_command=_deeper(answer, head, rest),
    )


def named(answer: Answer, path: str) -> str:
    """The figure that a path of the JSON is part of: without its end (`.p50`), with an id for an index (`phases.0`)."""
    bare, _, end = path.strip().rpartition(".")
    bare = bare if end in ENDS else path.strip()
    head, _, rest = bare.partition(".")
    made = answer.estimate
    ids = [item.id for item in (made.phases if head == "phases" else made.experiments if head == "experiments" else ())]
    index, dot, figure = rest.partition(".")
    if index.isdecimal() and _longest(rest, ids) is None and int(index) < len(ids):
        return f"{head}.{ids[int(index)]}{dot}{figure}"
    return bare


def paths(answer: Answer) -> Iterable[str]:
    """Every path that can be explained, totals first."""
    yield from (f"totals.{name}" for name in TOTALS)
    for phase in answer.estimate.phases:
        yield from (f"phases.{phase.id}.{name}" for name in PHASE_FIGURES)
    for item in answer.estimate.experiments:
        yield from (f"experiments.{item.id}.{name}" for name in FIGURES)
        yield from (f"experiments.{item.id}.terms_s.{term}" for term in item.terms_s)


def _unknown(path: str, answer: Answer) -> UsageError:
    known = list(paths(answer))
    near = tuple(difflib.get_close_matches(path, known, n=3, cutoff=0.3)) or tuple(known[:3])
    return UsageError(
        "a figure's path is needed",
        got=path or "nothing",
        hint=f"Nearest: {', '.join(near)}. What can be explained: {KINDS}.",
        candidates=near,
    )


def _totals(answer: Answer, name: str) -> list[Section]:
    made = answer.estimate
    if name in ("gpu_hours", "wall_hours"):
        whole, subtotal = (
            (made.gpu_s, made.subtotal_gpu_s) if name == "gpu_hours" else (made.wall_s, made.subtotal_wall_s)
        )
        top = [phase for phase in made.phases if not phase.parent and not phase.optional]
        rows = [(phase.name, phase.gpu_s if name == "gpu_hours" else phase.wall_s) for phase in top]
        if made.buffer_share:
            rows.append((f"buffer of {format_share(made.buffer_share)}", subtotal * made.buffer_share))
        by_term = [_parts("by term, wall time", list(made.terms_s.items()), format_duration)]
        return [
            *_whole(made, whole),
            Section(title="made of", items=(_parts("", rows, _hours),)),
            Section(title="the same by term", items=tuple(by_term)),
            *_left_out(answer),
        ]
    if name == "energy_kwh":
        return _energy(answer)
    if name == "cost_usd":
        return _cost(answer)
    if name == "billed_gpu_hours":
        return _billed(answer)
    if name == "experiments":
        return _count(answer)
    raise _unknown(f"totals.{name}", answer)


def _whole(made: Estimate | ExperimentEstimate, whole: Spread) -> list[Section]:
    """The figure, or that it is unknown and only its known parts follow."""
    if is_known(made):
        return [_figure(whole, _hours)]
    return [Section(title="", items=(Note(text="unknown: a rate is missing; what is known of it follows"),))]


def _billed(answer: Answer) -> list[Section]:
    if not is_known(answer.estimate):
        return [Section(title="", items=(Note(text="unknown: without a time nothing can be billed"),))]
    bill = answer.machines[0].bill if answer.machines else None
    if bill is None or bill.billed_gpu_s is None:
        words = "nothing is billed by time: the machine is not rented"
        return [Section(title="", items=(Note(text=words),))]
    lines = [(line.name, line.gpu_s) for line in bill.lines if line.gpu_s is not None]
    facts = [Fact(label="used", text=_hours(bill.used_gpu_s.p50), kind=bill.used_gpu_s.kind)]
    facts += [Fact(label="", text=note) for note in bill.notes]
    made_of = Section(title="made of", items=(_parts("", lines, _hours), *facts))
    return [_figure(bill.billed_gpu_s, _hours), made_of]


def _count(answer: Answer) -> list[Section]:
    """How many experiments, by phase; optional ones beside them."""
    own: dict[str, int] = {}
    for item in answer.estimate.experiments:
        own[item.phase] = own.get(item.phase, 0) + (not item.optional)
    optional = sum(1 for item in answer.estimate.experiments if item.optional)
    facts = [Fact(label="experiments", text=f"{sum(own.values()):,}", note=f"{optional:,} optional ones not counted")]
    facts += [Fact(label=phase or "no phase", text=f"{number:,}") for phase, number in own.items()]
    return [Section(title="", items=tuple(facts))]


def _energy(answer: Answer) -> list[Section]:
    energy = answer.energy
    if not is_known(answer.estimate):
        return [Section(title="", items=(Note(text="unknown: without a time there is no energy"),))]
    if energy is None or energy.kwh is None:
        return [Section(title="", items=(Note(text="unknown: neither the plan nor a datasheet names a wattage"),))]
    kwh: Format = lambda joule: f"{format_number(joule / 3.6e6)} kWh"  # noqa: E731 - a name for one table
    items: list[Item] = [Fact(label="watt", text=energy_basis(energy))]
    items += [Note(text=note) for note in energy.notes]
    return [
        _figure(energy.joule, kwh) if energy.joule else Section(title="", items=()),
        Section(title="made of", items=(_parts("", list(energy.terms.items()), kwh), *items)),
    ]


def _cost(answer: Answer) -> list[Section]:
    bill = answer.machines[0].bill if answer.machines else None
    if not is_known(answer.estimate):
        return [Section(title="", items=(Note(text="unknown: without a time there is no cost"),))]
    if bill is None or bill.total_usd is None:
        words = bill.notes if bill else ("no machine with a price",)
        return [Section(title="", items=tuple(Note(text=f"unknown: {note}") for note in words))]
    lines = [(line.name, line.usd) for line in bill.lines if line.usd is not None]
    facts = [Fact(label="price", text=bill.price_source or "unknown", kind=bill.price_kind, note=bill.priced_on)]
    facts += [Fact(label="", text=note) for note in bill.notes]
    return [_figure(bill.total_usd, dollars), Section(title="made of", items=(_parts("", lines, dollars), *facts))]


def _phase(answer: Answer, rest: str) -> list[Section]:
    found = _longest(rest, [phase.id for phase in answer.estimate.phases])
    figure = "" if found is None else rest[len(found) + 1 :]
    if found is None or figure not in ("", *PHASE_FIGURES):
        raise _unknown(f"phases.{rest}", answer)
    wall, made = figure == "wall_hours", answer.estimate
    phase = next(phase for phase in made.phases if phase.id == found)
    inside = [(one.name, one.wall_s if wall else one.gpu_s) for one in made.phases if one.parent == found]
    inside += [(item.id, item.wall_s if wall else item.gpu_s) for item in made.experiments if item.phase == found]
    whole = _figure(phase.wall_s if wall else phase.gpu_s, _hours)
    if found not in known_phases(made):
        whole = Section(title="", items=(Note(text="unknown: a rate is missing; what is known of it follows"),))
    return [whole, Section(title="made of", items=(_parts("", inside, _hours),))]


def _experiment(answer: Answer, rest: str) -> list[Section]:
    found = _longest(rest, [item.id for item in answer.estimate.experiments])
    if found is None:
        raise _unknown(f"experiments.{rest}", answer)
    item = answer.estimate.experiment(found)
    figure, _, term = rest[len(found) :].lstrip(".").partition(".")
    if figure in ("", "gpu_hours", "wall_hours"):
        whole = item.wall_s if figure == "wall_hours" else item.gpu_s
        rows = list(item.terms_s.items())
        gpus = Fact(label="GPUs", text=format_number(item.gpus))
        return [
            *_whole(item, whole),
            Section(title="made of, wall time", items=(gpus, _parts("", rows, format_duration))),
            *_rests(item, answer),
        ]
    if figure == "terms_s" and term in item.terms_s:
        return [_figure(item.terms_s[term], format_duration), *_term(item, term), *_rests(item, answer)]
    if figure in ("peak_memory_bytes", "fits"):
        return _memory(item)
    if figure in ("steps", "tokens"):
        return [Section(title="", items=tuple(fact for stage in item.stages for fact in _counts(stage)))]
    raise _unknown(f"experiments.{rest}", answer)


def _term(item: ExperimentEstimate, term: str) -> list[Section]:
    """A term by stage, its parts, and for training steps what a step is made of."""
    rows = [(stage.name, stage.terms_s[term]) for stage in item.stages if term in stage.terms_s]
    items: list[Item] = [_parts("", rows, format_duration)]
    for stage in item.stages:
        parts = stage.details.get(term)
        if parts:
            items.append(_parts(f"parts of {term}", list(parts.items()), format_duration))
        if term == "step":
            items += _counts(stage)
            if stage.basis is not None and stage.terms_s[term].kind != "stated":
                items.append(_parts("one step", list(stage.basis.step_terms_s.items()), format_duration))
    return [Section(title="made of", items=tuple(items))]


def _counts(stage: StageEstimate) -> list[Item]:
    """How the steps were counted."""
    facts: list[Item] = []
    basis = stage.basis
    if basis is None:
        return facts
    batches, recipe = basis.batches, basis.recipe
    rows = "unknown rows" if stage.rows is None else f"{stage.rows:,.0f} rows"
    facts.append(Fact(label="steps", text=f"{stage.steps:,}", note=f"{rows} in batches of {batches.rows_per_step}"))
    facts.append(
        Fact(
            label="batch",
            text=f"{batches.rows_per_step} rows",
            note=f"{recipe.micro_batch} x {recipe.grad_accum} accumulated x {recipe.parallel.data} replicas",
        )
    )
    if stage.tokens is not None:
        padding = f"{format_share(batches.padding_share)} padding, {format_share(batches.truncated_share)} of rows cut"
        facts.append(Fact(label="tokens", text=format_count(stage.tokens.p50), kind=stage.tokens.kind, note=padding))
    return facts


def _memory(item: ExperimentEstimate) -> list[Section]:
    bases = [stage.basis for stage in item.stages if stage.basis is not None]
    if not bases:
        return [Section(title="", items=(Note(text="unknown: nothing is trained"),))]
    widest = max(bases, key=lambda basis: basis.peak_memory_bytes.p50)
    verdict = f"{widest.fits}: fits with a probability of {format_share(widest.fits_probability)}"
    facts = (
        Fact(label="moment", text=widest.memory_moment),
        Fact(
            label="fits",
            text=verdict,
            note=f"{usable(widest)} on {sold_as(widest.node.device)}",
        ),
    )
    return [
        _figure(widest.peak_memory_bytes, format_bytes),
        Section(title="made of", items=(_parts("", list(widest.memory_terms_bytes.items()), format_bytes), *facts)),
    ]


def _rests(item: ExperimentEstimate, answer: Answer) -> list[Section]:
    """What a prediction rests on: shapes, device, priors and what was assumed."""
    seen: dict[int, Basis] = {id(s.basis): s.basis for s in item.stages if s.basis is not None}
    items: list[Item] = []
    for basis in seen.values():
        arch, device = basis.architecture, basis.node.device
        peak = device.peak_flop_per_s.get(basis.recipe.precision)
        rate = "no peak in that dtype" if peak is None else f"{format_flop(peak)}/s dense {basis.recipe.precision}"
        trained = f"{format_count(basis.trainable_parameters)} trained of {format_count(basis.parameters)}"
        items += [
            Fact(label="model", text=f"{basis.model}: {trained}", note=f"{arch.source} {arch.date}".strip()),
            Fact(label="device", text=f"{device.name}: {rate}", note=f"{device.source} {device.date}".strip()),
            Fact(
                label="work",
                text=f"{format_flop(basis.flop_per_step)} a step",
                note=f"{format_flop(basis.useful_flop.mid)} for real tokens without recompute",
            ),
            Fact(label="binds", text=basis.binds, note=f"{format_share(basis.utilisation.p50)} of the dense peak"),
            Fact(label="evidence", text=f"{basis.tier}: {basis.evidence}", note=basis.fitted_on),
            Fact(label="narrower", text=basis.narrows),
        ]
        items += [Fact(label="assumed", text=f"{key}: {words}", kind="assumed") for key, words in basis.assumed.items()]
        items += [Note(text=warning, severity="warning") for warning in basis.warnings]
    items += [
        Fact(
            label="moved by",
            text=effect.name,
            kind=effect.kind,
            note=f"{effect.favourable_share:+.0%} to {effect.unfavourable_share:+.0%} of the whole plan; "
            f"{effect.source}",
        )
        for effect in large(answer.sensitivity)[:6]
    ]
    return [Section(title="rests on", items=tuple(items))] if items else []


def _left_out(answer: Answer) -> list[Section]:
    rows = [Note(text=f"not in it: {term}, {words}") for term, words in answer.estimate.left_out.items()]
    return [Section(title="left out", items=tuple(rows))] if rows else []


def _figure(spread: Spread, show: Format) -> Section:
    """The figure itself."""
    facts = [Fact(label="p50", text=show(spread.p50), kind=spread.kind, note=spread.source)]
    if not spread.is_exact:
        facts.append(Fact(label="p10–p90", text=f"{show(spread.p10)} – {show(spread.p90)}"))
    return Section(title="", items=tuple(facts))


def _parts(title: str, rows: list[tuple[str, Spread]], show: Format) -> Table:
    """Named parts with their ends, kind and source."""
    shown = rows[:MOST_PARTS]
    left = len(rows) - len(shown)
    return Table(
        columns=PART,
        rows=tuple(
            Row(cells=(name, show(part.p10), show(part.p50), show(part.p90), part.kind, part.source))
            for name, part in shown
        ),
        title=title,
        note=f"{left:,} more" if left else "",
    )


def _hours(seconds: float) -> str:
    return f"{format_number(seconds / 3600)} h"


def _longest(text: str, ids: list[str]) -> str | None:
    """The longest id that `text` begins with: ids may hold dots."""
    found = [id for id in ids if text == id or text.startswith(id + ".")]
    return max(found, key=len, default=None)


def _main_term(item: ExperimentEstimate) -> str:
    """The largest term of an experiment, which not every experiment spends on steps."""
    return f"terms_s.{max(item.terms_s, key=lambda term: item.terms_s[term].p50)}" if item.terms_s else "gpu_hours"


def _deeper(answer: Answer, head: str, rest: str) -> str:
    """The command that goes one step further down."""
    file = quote(answer.plan.file or "plan.yaml")
    made = answer.estimate
    if head == "totals" and made.phases:
        largest = max(made.phases, key=lambda phase: phase.gpu_s.p50 * (not phase.parent))
        return f"headway explain {quote(f'phases.{largest.id}.gpu_hours')} {file}"
    if head == "phases":
        phase = _longest(rest, [phase.id for phase in made.phases])
        inside = [item for item in made.experiments if item.phase == phase]
        if inside:
            longest = max(inside, key=lambda item: item.gpu_s.p50)
            return f"headway explain {quote(f'experiments.{longest.id}.{_main_term(longest)}')} {file}"
    return f"headway estimate {file}"
