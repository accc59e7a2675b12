"""What a claim should say: the same result computed from the plan and its author's own rates, with the arithmetic.

Owns the meaning of each key of `claims` as far as one claim against the estimate goes. Money, tables, calendars,
references and savings have rules of their own; the precision of figures is `written`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from headway.check.claims.scope import Scope, Scopes, ends, same
from headway.domain.spread import Spread
from headway.domain.statement import Claim
from headway.domain.units import Range, format_count, format_duration, format_number

ENDS = ("low", "mid", "high")
WHOLES = frozenset(("wall", "gpu_hours", "by_phase", "days", "share", "energy", "electricity"))
"""Keys of everything that runs, which nothing follows for where its main part has no rate."""
ESSENTIAL = frozenset(("step", "generation", "checks", "work"))
MANY = 12
"""More parts than these are not spelled out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Computed:
    """A result in base units and how it comes about."""

    range: Range
    words: str
    """The arithmetic: `10 + 27 + 26`."""
    readings: bool = False
    """The range holds several readings of the claim (with a buffer or without, side by side or not), not doubt."""


def computed(scopes: Scopes, claim: Claim) -> Computed | None:
    """What the claim's figure should be; None where the plan and the stated rates do not decide it.

    A count is that of the expanded plan. Times follow from the stated rates, ends from ends. Splits (`subtotal`,
    `buffer`, `total`, `active`) choose the part of the total, `low`, `mid` and `high` the end of it.
    """
    head = claim.path[0]
    key, rest = (claim.path[1], claim.path[2:]) if head in _SPLIT and len(claim.path) > 1 else (head, claim.path[1:])
    reader = _READERS.get(key)
    scope = scopes.of(claim) if reader is not None else None
    if reader is None or scope is None or (key in WHOLES and not ESSENTIAL.isdisjoint(scope.unrated())):
        return None
    return reader(scope, _Asked(split=head if head in _SPLIT else "", rest=rest))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    split: str
    rest: tuple[str, ...]

    @property
    def end(self) -> str:
        """`low`, `mid` or `high`, where the claim names one."""
        return self.rest[-1] if self.rest and self.rest[-1] in ENDS else ""


_SPLIT = ("subtotal", "buffer", "total", "active")


# ---- counts


def _point(number: float, words: str) -> Computed:
    return Computed(range=Range.point(float(number)), words=words)


def _experiments(scope: Scope, _: _Asked) -> Computed:
    parts = [str(phase.experiments) for phase in scope.parts]
    count, stages = len(scope.members), sum(len(experiment.stages) for experiment, _ in scope.members)
    chained = f", of {stages} stages" if stages > count else ""
    return _point(count, " + ".join(parts) if 1 < len(parts) <= MANY else f"{count} in the plan{chained}")


def _sequences(scope: Scope, _: _Asked) -> Computed:
    chains = [experiment for experiment, _ in scope.members if len(experiment.stages) > 1]
    return _point(len(chains), f"{sum(len(chain.stages) for chain in chains)} stages in {len(chains)} chains")


def _rows(scope: Scope, asked: _Asked) -> Computed | None:
    plan = scope.reading.plan
    data = same(stage.data for stage, _ in scope.trained())
    rows = plan.datasets[data].rows if data is not None else None
    if rows is None or rows.unknown:
        return None
    if asked.rest and asked.rest[0] != "total":
        part = rows.parts.get(asked.rest[0])
        return None if part is None or part.unknown else Computed(range=part.range, words=part.text)
    texts = [format_count(part.mid) for part in rows.parts.values()]
    return Computed(range=rows.range, words=" + ".join(texts) or rows.text)


def _batch(scope: Scope, _: _Asked) -> Computed | None:
    recipe = same(basis.recipe for _, stage in scope.trained() if (basis := stage.basis))
    if recipe is None:
        return None
    return _point(recipe.batch, f"{recipe.micro_batch} x {recipe.grad_accum} x {recipe.parallel.data}")


def _grad_accum(scope: Scope, _: _Asked) -> Computed | None:
    recipe = same(basis.recipe for _, stage in scope.trained() if (basis := stage.basis))
    if recipe is None:
        return None
    words = f"{recipe.batch} / ({recipe.micro_batch} x {recipe.parallel.data})"
    return _point(recipe.grad_accum, words)


def _steps(scope: Scope, _: _Asked) -> Computed | None:
    if len(scope.members) != 1:
        return None
    trained = [stage for _, stage in scope.trained()]
    words = " + ".join(f"{stage.steps:,}" for stage in trained)
    if len(trained) == 1 and trained[0].basis is not None and trained[0].rows:
        batch = trained[0].basis.batches.rows_per_step
        words = f"{format_count(trained[0].rows)} rows / {batch}"
    return _point(sum(stage.steps for stage in trained), words) if trained else None


def _epochs(scope: Scope, _: _Asked) -> Computed | None:
    epochs = same(stage.epochs for _, stage in scope.trained())
    return None if epochs is None else _point(epochs, "steps over steps of an epoch")


def _tokens_per_step(scope: Scope, _: _Asked) -> Computed | None:
    """From the real tokens of rows to rows that are all padded to the longest."""
    pairs = [(stage, one.basis) for stage, one in scope.trained() if one.basis]
    found = {basis.batches for _, basis in pairs}
    rows = same(batches.rows_per_step for batches in found)
    known = lengths_known(scope)
    if rows is None or not (known or all(basis.recipe.max_length for _, basis in pairs)):
        return None
    real = min(batches.real_row_tokens for batches in found) if known else 1.0
    longest = max(max(batches.longest_row_tokens, batches.row_tokens) for batches in found)
    longest = longest if known else float(max(basis.recipe.max_length or 0 for _, basis in pairs))
    words = f"{rows} rows x {format_count(round(real))} to {format_count(round(longest))} tokens"
    return Computed(range=Range(rows * real, rows * (real + longest) / 2, rows * longest), words=words)


def lengths_known(scope: Scope) -> bool:
    """True where the plan says how long the rows are that it trains on; what headway assumes proves nothing."""
    datasets = scope.reading.plan.datasets
    data = [datasets[stage.data] for stage, _ in scope.trained() if stage.data in datasets]
    return all((one.length is not None and not one.length.unknown) or bool(one.length_quantiles) for one in data)


def _tasks(scope: Scope, asked: _Asked) -> Computed | None:
    tasks = scope.reading.plan.tasks.values()
    group = asked.rest[0] if asked.rest and asked.rest[0] != "all" else ""
    found = [task for task in tasks if task.group == group or not group]
    if not group and not scope.whole:
        found = []
    return _point(len(found), f"{len(found)} {group} tasks".replace("  ", " ")) if found else None


def _generations(scope: Scope, _: _Asked) -> Computed | None:
    asked = [stage.generate for stage, _ in scope.stages() if stage.generate is not None]
    words = " + ".join(f"{one.prompts} x {one.samples}" for one in asked)
    return _point(sum(one.total for one in asked), words) if asked else None


def _kept(scope: Scope, _: _Asked) -> Computed | None:
    saves = same((stage.saves.kept, stage.saves.during) for _, stage in scope.trained() if stage.saves)
    return None if saves is None else _point(saves[0], f"of {saves[1]} saves")


COUNTS: Mapping[str, Callable[[Scope, _Asked], Computed | None]] = {
    "experiments": _experiments,
    "sequences": _sequences,
    "rows": _rows,
    "batch": _batch,
    "grad_accum": _grad_accum,
    "steps": _steps,
    "epochs": _epochs,
    "tokens_per_step": _tokens_per_step,
    "tasks": _tasks,
    "generations": _generations,
    "checkpoints_kept": _kept,
}
"""Keys that are counted in the plan."""


# ---- times


def _of(spread: Spread, asked: _Asked, words: str) -> Computed | None:
    return Computed(range=ends(spread, asked.end), words=words) if spread.p90 > 0 else None


def _wall(scope: Scope, asked: _Asked) -> Computed | None:
    if asked.split == "active":
        busy = [stage.wall_s for _, stage in scope.stages() if stage.gpus.mid > 0]
        found = sum((ends(one).mid for one in busy), 0.0)
        return _point(found, "stages that hold a GPU") if found else None
    variant = bool(asked.rest) and not asked.end
    if scope.whole and variant:
        made = scope.reading.makespan_s
        return _point(made, "longest first, one experiment per GPU") if made and asked.rest[0].isdecimal() else None
    serial = _total(scope, asked, scope.wall_s(), [phase.wall_s for phase in scope.parts])
    shortest = None if asked.split or asked.end else _side_by_side_s(scope)
    if serial is None or shortest is None or shortest >= serial.range.low:
        return serial
    words = f"{serial.words}, or side by side"
    return Computed(range=Range(shortest, serial.range.mid, serial.range.high), words=words, readings=True)


def _side_by_side_s(scope: Scope) -> float | None:
    """The least time of several experiments on a machine of several GPUs; None where they follow each other."""
    run, bill = scope.reading.plan.run, scope.reading.bill
    spec = run.machines.get(run.machine) or next(iter(run.machines.values()), None)
    gpus = bill.gpus if bill is not None else (spec.gpus or 1) * spec.nodes if spec is not None else 1
    if len(scope.members) < 2 or max(gpus, run.jobs) < 2:
        return None
    return scope.reading.makespan_s if scope.whole else max(estimate.wall_s.p10 for _, estimate in scope.members)


def _share(scope: Scope, asked: _Asked) -> Computed | None:
    """The share of the time in which a GPU is held."""
    if asked.split != "active" or not scope.whole or not scope.wall_s().p50:
        return None
    busy = sum(stage.wall_s.p50 for _, stage in scope.stages() if stage.gpus.mid > 0)
    whole = scope.wall_s().p50
    return _point(min(1.0, busy / whole), f"{format_duration(busy)} of {format_duration(whole)}")


def _gpu_hours(scope: Scope, asked: _Asked) -> Computed | None:
    return _total(scope, asked, scope.gpu_s(), [phase.gpu_s for phase in scope.parts])


def _total(scope: Scope, asked: _Asked, serial: Spread, parts: Sequence[Spread]) -> Computed | None:
    """The part of a total that is asked for; where it is not said, with or without the buffer is right."""
    buffer = scope.reading.estimate.buffer_share
    if not scope.whole or not buffer or asked.split == "subtotal":
        return _of(serial, asked, _terms(scope, parts))
    if asked.split == "buffer":
        return _of(serial * buffer, asked, f"{buffer:.0%} of {format_duration(serial.p50)}")
    words = f"{format_duration(serial.p50)} and a buffer of {buffer:.0%}"
    if not asked.split and not asked.end:
        return Computed(
            range=Range(serial.p10, serial.p50, serial.p90 * (1 + buffer)), words=f"{words} at most", readings=True
        )
    return _of(serial * (1 + buffer), asked, words)


def _terms(scope: Scope, parts: Sequence[Spread]) -> str:
    """The parts of a total: the phases inside it, or the terms of a run."""
    if scope.stage is None and len(scope.members) == 1:
        terms = scope.members[0][1].terms_s
        return " + ".join(f"{term} {format_duration(one.p50)}" for term, one in terms.items() if one.p50)
    if 1 < len(parts) <= MANY:
        return " + ".join(f"{format_number(part.p50 / 3600)} h" for part in parts)
    return f"{len(scope.members)} experiments" if len(scope.members) != 1 else "by the stated rates"


def _by_phase(scope: Scope, asked: _Asked) -> Computed | None:
    hours = {phase.id: phase.gpu_s for phase in scope.reading.estimate.phases}
    phase = asked.rest[0] if asked.rest else ""
    return _of(hours[phase], asked, f"what is kept of {phase}") if phase in hours else None


def _days(scope: Scope, asked: _Asked) -> Computed | None:
    """At the hours that the claim names; without any, around the clock up to the plan's hours a day."""
    run = scope.reading.plan.run
    named = asked.rest[0] if asked.rest else ""
    if named.isdecimal() and scope.whole and scope.reading.makespan_s:
        days = scope.reading.makespan_s
        found = Range(days, days, days * 24 / run.hours_per_day)
        return Computed(range=found, words="longest first, around the clock", readings=True)
    wall = scope.wall_s() if not scope.whole else scope.reading.estimate.wall_s
    hours, slash, _ = named.partition("h/day")
    if slash and (_number(hours.strip()) or 0) > 0:
        scaled = wall * (24 / float(hours))
        return _of(scaled, asked, f"{format_duration(wall.p50)} at {hours.strip()} h a day")
    slowest, shortest = wall.p90 * 24 / run.hours_per_day, _side_by_side_s(scope) or wall.p10
    found = Range(min(shortest, wall.p10), wall.p50, slowest)
    return Computed(range=found, words=format_duration(wall.p50), readings=True) if not named else None


def _one_term(scope: Scope, asked: _Asked) -> Computed | None:
    term = asked.rest[0] if asked.rest else ""
    if term == "overhead":
        step, wall = scope.term_s("step"), scope.wall_s()
        if step is None:
            return None
        left = [wall.p10 - step.p10, wall.p50 - step.p50, wall.p90 - step.p90]
        return Computed(range=Range(*sorted(left)), words="everything but the steps")
    found = scope.term_s(term)
    return None if found is None else _of(found, asked, _counted(scope, term))


def _counted(scope: Scope, term: str) -> str:
    """How often a term is paid."""
    stages = [stage for _, stage in scope.stages()]
    counts = {
        "step": sum(stage.steps for stage in stages),
        "checkpoint": sum(s.saves.during for s in stages if s.saves),
    }
    return f"{counts[term]:,} of them" if term in counts else "by the stated rates"


def _hours_at(scope: Scope, asked: _Asked) -> Computed | None:
    step = same((s.stated_step_s.p10, s.stated_step_s.p50, s.stated_step_s.p90) for _, s in scope.trained()
                if s.stated_step_s)  # fmt: skip
    steps = _number(asked.rest[0]) if asked.rest else None
    if step is None or steps is None:
        return None
    return Computed(range=Range(*step) * steps, words=f"{steps:,.0f} x {format_duration(step[1])}")


def _number(text: str) -> float | None:
    factor = {"k": 1e3, "M": 1e6}.get(text[-1:], 1.0)
    digits = text.rstrip("kM").replace(".", "", 1)
    return float(text.rstrip("kM")) * factor if digits.isdecimal() else None


def _per_sample(scope: Scope, _: _Asked) -> Computed | None:
    checks = [value.range for stage, _ in scope.stages() for value in stage.stated.terms.get("checks", {}).values()]
    if not checks:
        return None
    whole = sum(checks[1:], checks[0])
    return Computed(range=whole, words=" + ".join(format_duration(one.mid) for one in checks))


def _serial(scope: Scope, asked: _Asked) -> Computed | None:
    each = _per_sample(scope, asked)
    samples = sum(s.generate.total for item, _ in scope.members for s in item.stages if s.generate)
    if each is None or not samples:
        return None
    return Computed(range=each.range * samples, words=f"{samples} x {format_duration(each.range.mid)}")


def _per_epoch(scope: Scope, asked: _Asked) -> Computed | None:
    step, epochs = scope.term_s("step"), same(stage.epochs for _, stage in scope.trained())
    if step is None or not epochs:
        return None
    steps = sum(stage.steps for _, stage in scope.trained())
    words = f"{steps / epochs:,.0f} steps x {format_duration(step.p50 / steps)}"
    return _of(step * (1 / epochs), asked, words)


def _energy(scope: Scope, asked: _Asked) -> Computed | None:
    power = scope.reading.energy
    if not scope.whole or power is None or power.joule is None or power.joule.kind == "assumed":
        return None
    return _of(power.joule, asked, power.basis)


def _electricity(scope: Scope, asked: _Asked) -> Computed | None:
    power = scope.reading.energy
    if not scope.whole or power is None or power.usd is None or power.usd.kind == "assumed":
        return None
    return _of(power.usd, asked, power.basis)


TIMES: Mapping[str, Callable[[Scope, _Asked], Computed | None]] = {
    "wall": _wall,
    "gpu_hours": _gpu_hours,
    "share": _share,
    "by_phase": _by_phase,
    "days": _days,
    "terms": _one_term,
    "hours_at": _hours_at,
    "per_sample": _per_sample,
    "serial": _serial,
    "wall_per_epoch": _per_epoch,
    "energy": _energy,
    "electricity": _electricity,
}
"""Keys that follow from the stated rates."""
_READERS = {**COUNTS, **TIMES}
