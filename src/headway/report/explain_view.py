"""The chain behind one figure: what it is, what it is made of, what those parts rest on, and where each comes from.

Owns the reading of a number path (`experiments.2A/openwebtext-10k.terms_s.step`) and the page that explains it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping

from headway.domain.errors import UsageError
from headway.domain.spread import Spread
from headway.domain.units import format_bytes, format_count, format_duration, format_flop, format_number, format_share
from headway.estimate.nouns import Basis, ExperimentEstimate, StageEstimate
from headway.report.answer import Answer
from headway.report.figures import dollars
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
TOTALS = ("gpu_hours", "wall_hours", "cost_usd", "energy_kwh")
FIGURES = ("gpu_hours", "wall_hours", "peak_memory_bytes", "steps", "tokens", "terms_s")


def explain_view(answer: Answer, path: str) -> View:
    """The page behind `path`: `totals.gpu_hours`, `phases.2A.gpu_hours`, `experiments.ID.terms_s.step`, ...

    Raises UsageError with the nearest paths when there is no such figure.
    """
    head, _, rest = path.strip().partition(".")
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


def paths(answer: Answer) -> Iterable[str]:
    """Every path that can be explained, totals first."""
    yield from (f"totals.{name}" for name in TOTALS)
    yield from (f"phases.{phase.id}.gpu_hours" for phase in answer.estimate.phases)
    for item in answer.estimate.experiments:
        yield from (f"experiments.{item.id}.{name}" for name in FIGURES[:-1])
        yield from (f"experiments.{item.id}.terms_s.{term}" for term in item.terms_s)


def _unknown(path: str, answer: Answer) -> UsageError:
    known = list(paths(answer))
    near = tuple(difflib.get_close_matches(path, known, n=3, cutoff=0.3)) or tuple(known[:3])
    return UsageError(
        "a figure's path is needed", got=path or "nothing", hint=f"Nearest: {', '.join(near)}.", candidates=near
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
            _figure(whole, _hours),
            Section(title="made of", items=(_parts("", rows, _hours),)),
            Section(title="the same by term", items=tuple(by_term)),
            *_left_out(answer),
        ]
    if name == "energy_kwh":
        return _energy(answer)
    if name == "cost_usd":
        return _cost(answer)
    raise _unknown(f"totals.{name}", answer)


def _energy(answer: Answer) -> list[Section]:
    energy = answer.energy
    if energy is None or energy.kwh is None:
        return [Section(title="", items=(Note(text="unknown: neither the plan nor a datasheet names a wattage"),))]
    kwh: Format = lambda joule: f"{format_number(joule / 3.6e6)} kWh"  # noqa: E731 - a name for one table
    items: list[Item] = [Fact(label="watt", text=energy.basis)]
    items += [Note(text=note) for note in energy.notes]
    return [
        _figure(energy.joule, kwh) if energy.joule else Section(title="", items=()),
        Section(title="made of", items=(_parts("", list(energy.terms.items()), kwh), *items)),
    ]


def _cost(answer: Answer) -> list[Section]:
    bill = answer.machines[0].bill if answer.machines else None
    if bill is None or bill.total_usd is None:
        words = bill.notes if bill else ("no machine with a price",)
        return [Section(title="", items=tuple(Note(text=f"unknown: {note}") for note in words))]
    lines = [(line.name, line.usd) for line in bill.lines if line.usd is not None]
    facts = [Fact(label="price", text=bill.price_source or "unknown", kind=bill.price_kind, note=bill.priced_on)]
    facts += [Fact(label="", text=note) for note in bill.notes]
    return [_figure(bill.total_usd, dollars), Section(title="made of", items=(_parts("", lines, dollars), *facts))]


def _phase(answer: Answer, rest: str) -> list[Section]:
    found = _longest(rest, [phase.id for phase in answer.estimate.phases])
    if found is None or rest[len(found) :] not in ("", ".gpu_hours"):
        raise _unknown(f"phases.{rest}", answer)
    phase = next(phase for phase in answer.estimate.phases if phase.id == found)
    nested = [(inner.name, inner.gpu_s) for inner in answer.estimate.phases if inner.parent == found]
    own = [(item.id, item.gpu_s) for item in answer.estimate.experiments if item.phase == found]
    return [_figure(phase.gpu_s, _hours), Section(title="made of", items=(_parts("", nested + own, _hours),))]


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
            _figure(whole, _hours),
            Section(title="made of, wall time", items=(gpus, _parts("", rows, format_duration))),
            *_rests(item, answer),
        ]
    if figure == "terms_s" and term in item.terms_s:
        return [_figure(item.terms_s[term], format_duration), *_term(item, term), *_rests(item, answer)]
    if figure == "peak_memory_bytes":
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
    verdict = f"{widest.fits}, with {format_share(widest.fits_probability)}"
    facts = (
        Fact(label="moment", text=widest.memory_moment),
        Fact(
            label="fits",
            text=verdict,
            note=f"{widest.node.device.name} has {format_bytes(widest.node.device.memory_bytes)}",
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
        for effect in answer.sensitivity[:6]
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


def _deeper(answer: Answer, head: str, rest: str) -> str:
    """The command that goes one step further down."""
    file = answer.plan.file or "plan.yaml"
    made = answer.estimate
    if head == "totals" and made.phases:
        return (
            f"headway explain phases.{max(made.phases, key=lambda p: p.gpu_s.p50 * (not p.parent)).id}.gpu_hours {file}"
        )
    if head == "phases":
        phase = _longest(rest, [phase.id for phase in made.phases])
        inside = [item for item in made.experiments if item.phase == phase]
        if inside:
            return f"headway explain experiments.{max(inside, key=lambda i: i.gpu_s.p50).id}.terms_s.step {file}"
    return f"headway estimate {file}"
