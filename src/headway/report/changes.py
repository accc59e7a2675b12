"""Two versions of a plan side by side: what came, went and changed, in hours, dollars and memory.

Owns the noun and the comparison of two answers; the page is `diff_view.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Literal

from headway.domain.errors import Finding
from headway.domain.experiment import Adapter, Parallel, Recipe
from headway.domain.plan import Experiment, Stage
from headway.domain.spread import Spread
from headway.estimate.nouns import ExperimentEstimate, Fits
from headway.report.answer import Answer, MachineAnswer

Sign = Literal["+", "~", "-"]
SMALLEST_SHARE = 0.01
"""Changes of hours, dollars or bytes below this share are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One experiment in one version."""

    gpu_s: float
    """Median GPU-seconds."""
    cost_usd: float | None
    """Its share of the bill, by GPU time; None where the bill is unknown."""
    peak_memory_bytes: float | None
    fits: Fits | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One experiment that came, went or changed."""

    sign: Sign
    id: str
    before: Side | None
    after: Side | None
    what: tuple[str, ...]
    """What of it changed, in words: `steps 10,000 → 20,000`, `renamed from 2A/old`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The whole of one version."""

    experiments: int
    gpu_s: Spread
    wall_s: Spread
    cost_usd: Spread | None
    energy_kwh: Spread | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Everything that differs between two versions of a plan."""

    old: str
    new: str
    """Names of the versions, as given."""
    before: Totals
    after: Totals
    experiments: tuple[Change, ...]
    """Largest change of GPU time first."""
    alike: int
    """Experiments that changed only in what `circumstance` says of all of them, and cost the same."""
    unchanged: int
    circumstance: tuple[str, ...]
    """What changed around all experiments: machine, price, buffer; and in every one that changed."""
    found: tuple[Finding, ...]
    """Findings that the new version has and the old one has not."""
    cured: tuple[Finding, ...]


def compared(
    old: str, new: str, before: Answer, after: Answer, found: tuple[Finding, ...], cured: tuple[Finding, ...]
) -> Changes:
    """The changes from one answer to another; `old` and `new` are their names."""
    changes = list(_changes(before, after))
    pairs = [change for change in changes if change.what or not _alike(change)]
    common = _common(pairs)
    told = [replace(change, what=tuple(words for words in change.what if words not in common)) for change in pairs]
    apart = [change for change in told if change.what or not _alike(change)]
    return Changes(
        old=old,
        new=new,
        before=_totals(before),
        after=_totals(after),
        experiments=tuple(sorted(apart, key=_size, reverse=True)),
        alike=len(pairs) - len(apart),
        unchanged=len(changes) - len(pairs),
        circumstance=(*_circumstance(before, after), *(f"every changed experiment: {words}" for words in common)),
        found=found,
        cured=cured,
    )


def _common(changes: list[Change]) -> tuple[str, ...]:
    """What every changed experiment says, where there are several."""
    changed = [change for change in changes if change.sign == "~" and change.what]
    if len(changed) < 2:
        return ()
    return tuple(words for words in changed[0].what if all(words in change.what for change in changed))


def _changes(before: Answer, after: Answer) -> Iterator[Change]:
    """Every experiment of either version, paired by id, or by what it is where only its name changed."""
    here = {_own(item.id, before): item for item in before.plan.experiments}
    there = {_own(item.id, after): item for item in after.plan.experiments}
    lost = {item.fingerprint: id for id, item in here.items() if id not in there}
    renamed = {id: lost[item.fingerprint] for id, item in there.items() if id not in here and item.fingerprint in lost}
    if len(here) == len(there) == 1:  # a plan of one run: the same run, whatever it is called
        renamed = dict(zip(there, here, strict=True))
    sides_before, sides_after = _sides(before), _sides(after)
    for id, item in there.items():
        was = renamed.get(id, id)
        if was not in here:
            yield Change(sign="+", id=id, before=None, after=sides_after[id], what=())
            continue
        what = tuple(_what(here[was], item)) if here[was].fingerprint != item.fingerprint else ()
        what += (f"renamed from {was}",) if was != id and len(there) > 1 else ()
        yield Change(sign="~", id=id, before=sides_before[was], after=sides_after[id], what=what)
    kept = {renamed.get(id, id) for id in there}
    for id in here:
        if id not in kept:
            yield Change(sign="-", id=id, before=sides_before[id], after=None, what=())


def _sides(answer: Answer) -> Mapping[str, Side]:
    bill = answer.machines[0].bill if answer.machines else None
    rate = bill.usd_per_used_gpu_hour.p50 / 3600 if bill and bill.usd_per_used_gpu_hour else None
    return {_own(item.id, answer): _side(item, rate) for item in answer.estimate.experiments}


def _own(id: str, answer: Answer) -> str:
    """An experiment's id without the name of a plan that has no phases: a file may be called otherwise."""
    return id.removeprefix(f"{answer.plan.name}/")


def _side(item: ExperimentEstimate, usd_per_gpu_s: float | None) -> Side:
    return Side(
        gpu_s=item.gpu_s.p50,
        cost_usd=None if usd_per_gpu_s is None else item.gpu_s.p50 * usd_per_gpu_s,
        peak_memory_bytes=None if item.peak_memory_bytes is None else item.peak_memory_bytes.p50,
        fits=item.fits,
    )


def _totals(answer: Answer) -> Totals:
    bill = answer.machines[0].bill if answer.machines else None
    return Totals(
        experiments=sum(not item.optional for item in answer.estimate.experiments),
        gpu_s=answer.estimate.gpu_s,
        wall_s=answer.estimate.wall_s,
        cost_usd=bill.total_usd if bill else None,
        energy_kwh=answer.energy.kwh if answer.energy else None,
    )


def _alike(change: Change) -> bool:
    """True when neither hours nor dollars nor memory moved."""
    one, other = change.before, change.after
    if one is None or other is None:
        return False
    pairs = (
        (one.gpu_s, other.gpu_s),
        (one.cost_usd, other.cost_usd),
        (one.peak_memory_bytes, other.peak_memory_bytes),
    )
    return one.fits == other.fits and all(_near(left, right) for left, right in pairs)


def _near(left: float | None, right: float | None) -> bool:
    if left is None or right is None:
        return left is right
    return abs(left - right) <= SMALLEST_SHARE * max(abs(left), abs(right))


def _size(change: Change) -> float:
    return abs((change.after.gpu_s if change.after else 0.0) - (change.before.gpu_s if change.before else 0.0))


def _what(before: Experiment, after: Experiment) -> Iterator[str]:
    """What differs between two experiments, stage by stage."""
    if len(before.stages) != len(after.stages):
        yield f"{len(before.stages)} → {len(after.stages)} stages"
        return
    words = [_stage(one, other) for one, other in zip(before.stages, after.stages, strict=True)]
    trained = [said for stage, said in zip(after.stages, words, strict=True) if stage.kind == "train"]
    shared = [text for text in trained[0] if all(text in said for said in trained)] if trained else []
    yield from shared
    for stage, said in zip(after.stages, words, strict=True):
        label = f"{stage.name}: " if len(after.stages) > 1 else ""
        yield from (f"{label}{text}" for text in said if text not in shared)


def _stage(before: Stage, after: Stage) -> list[str]:
    here, there = _said(before), _said(after)
    return [
        f"{key} {here.get(key, 'none')} → {there.get(key, 'none')}"
        for key in dict.fromkeys([*here, *there])
        if here.get(key) != there.get(key)
    ]


def _said(stage: Stage) -> dict[str, str]:
    """What a stage is, by the plan's own keys, as text."""
    found = {
        "model": stage.model.use if stage.model else "",
        "data": stage.data,
        "batch": str(stage.batch or ""),
        "seed": str(stage.seed),
        "carry": stage.carry,
    }
    for key in ("epochs", "steps", "tokens"):
        value = getattr(stage, key)
        found[key] = "" if value is None else value.text or f"{value.mid:,.0f}"
    if stage.evaluate is not None:
        found["evaluate"] = ", ".join(stage.evaluate.tasks)
    found |= _recipe(stage.recipe)
    found |= {f"params.{key}": str(value) for key, value in stage.extra.items()}
    return {key: text for key, text in found.items() if text}


def _recipe(recipe: Recipe) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in fields(Recipe):
        value = getattr(recipe, item.name)
        if isinstance(value, Adapter | Parallel):
            found |= {f"{item.name}.{part.name}": str(getattr(value, part.name)) for part in fields(value)}
        elif value is not None:
            found[item.name] = str(value)
    return found


def _circumstance(before: Answer, after: Answer) -> Iterator[str]:
    """What changed around the experiments."""
    names = (before.machines[0] if before.machines else None, after.machines[0] if after.machines else None)
    old, new = (f"{one.gpus} × {one.device}{_called(one)}" if one else "no machine" for one in names)
    if old != new:
        yield f"machine {old} → {new}"
    runs = (before.plan.run, after.plan.run)
    for key in ("pricing", "idle", "jobs", "hours_per_day", "framework"):
        was, is_ = (getattr(run, key) for run in runs)
        if was != is_:
            yield f"{key.replace('_', ' ')} {was or 'none'} → {is_ or 'none'}"
    if before.estimate.buffer_share != after.estimate.buffer_share:
        yield f"buffer {before.estimate.buffer_share:.0%} → {after.estimate.buffer_share:.0%}"


def _called(machine: MachineAnswer) -> str:
    """A machine's own name in brackets, where it is not its GPU's."""
    return f" ({machine.name})" if machine.name != machine.device else ""
