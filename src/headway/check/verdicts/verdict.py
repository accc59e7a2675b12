"""Promised against measured: one run beside what was promised of it, term by term, and where the difference is from.

Owns the comparison and its document (`headway.verdict/1`). Sentences are `reasons.py`, many verdicts together
`ledger.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from headway.check.verdicts.promise import Promise, PromisedTerm, merged, spread_from
from headway.check.verdicts.ran import Ran
from headway.domain.errors import UserError
from headway.domain.observation import TIMED, Timed
from headway.domain.spread import Spread

SCHEMA = "headway.verdict/1"
LOOP = ("step", "data_wait", "compile", "evaluation", "checkpoint", "generation")
"""Terms inside the clock of a training loop; the others are compared where they were timed themselves."""
IN_STEPS = ("data_wait", "compile")
"""Terms that a timing of a step holds, where they are not timed apart."""
OUTSIDE = "outside"
"""Time of the run that no term holds, where every term of the loop was timed apart."""
DONE_SHARE = 0.999
"""Of its steps, from which a run counts as finished: the last batch may be dropped."""
ENOUGH_SHARE = 0.9
"""Of the promised steps, from which a finished run is the one that was promised: rows may be dropped."""
COUNTING = ("headway", "console")
"""Sources of runs that count steps: a run of theirs without any took none."""
ROUNDING = 1e-3
"""Share of the whole run below which what no term holds is the rounding of clocks and what runs between two timings."""
POINT_TOLERANCE = 0.1
"""By which a promise without an interval may be exceeded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TermVerdict:
    """One term, promised and measured; both parts of the difference add up to it."""

    term: str
    includes: tuple[str, ...]
    """Other terms that the run does not tell apart from it."""
    promised: Spread | None
    """Seconds, at the run's progress; None: nothing was promised of it."""
    promised_units: float | None
    measured_s: float
    units: float | None
    count_s: float
    """Of the difference, from paying it more or less often than promised."""
    rate_s: float
    """Of the difference, from each time taking longer or shorter."""

    @property
    def difference_s(self) -> float:
        """Measured less promised (middle); all of it, where nothing was promised."""
        return self.count_s + self.rate_s

    @property
    def inside(self) -> bool | None:
        """Whether p10 to p90 holds it; None where no interval was promised."""
        return _inside(self.promised, self.measured_s)

    @property
    def each_ratio(self) -> float | None:
        """Seconds of one unit, measured over promised; None where either is unknown."""
        if self.promised is None or not self.promised_units or not self.units or self.promised.p50 <= 0:
            return None
        return (self.measured_s / self.units) / (self.promised.p50 / self.promised_units)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One run beside its promise."""

    run: str
    name: str
    plan: str
    experiment: str
    device: str
    """That the run was on."""
    promised_device: str
    promise: str
    """Id of the record; empty for a promise that was never kept."""
    before: bool
    """Whether it was promised before the run began; only such promises count."""
    promised: Spread
    """Seconds of what is compared, at the run's progress."""
    measured_s: float
    terms: tuple[TermVerdict, ...]
    together_s: float
    """Sum of the terms' middles less the middle of their sum, as a sum of medians is no median."""
    left_out: tuple[str, ...]
    """Promised terms that the run did not time."""
    paces: Mapping[str, str]
    """Name and pace (`domain.plan.Stage.pace`) of the stages that it was compared with."""
    gpus: float
    progress: float
    """Share of its steps that the run had done."""
    ended: bool

    @property
    def complete(self) -> bool:
        """Whether the run did all of its steps."""
        return self.progress >= DONE_SHARE

    @property
    def difference_s(self) -> float:
        """Measured less promised; what the terms differ by and `together_s` add up to it."""
        return self.measured_s - self.promised.p50

    @property
    def error(self) -> float:
        """The difference as a share of what was promised."""
        return self.difference_s / self.promised.p50

    @property
    def inside(self) -> bool | None:
        """Whether p10 to p90 holds the run; None where no interval was promised."""
        return _inside(self.promised, self.measured_s)

    @property
    def counts(self) -> bool:
        """Whether it says something of how good promises are: made before, for this device, of a finished run."""
        same = not self.device or not self.promised_device or self.device == self.promised_device
        return self.before and self.complete and same

    def missed(self, tolerance: float | None) -> bool:
        """Whether the run is further from the middle than `tolerance`, a share; without one, above the p90.

        A promise without an interval is missed at 10 % above it.
        """
        if tolerance is not None:
            return abs(self.error) > tolerance
        limit = self.promised.p50 * (1 + POINT_TOLERANCE) if self.inside is None else self.promised.p90
        return self.measured_s > limit


def compare(promise: Promise, ran: Ran, *, record: str = "", before: bool = True) -> Verdict:
    """The verdict on a run. Raises UserError where run and promise have nothing in common.

    A run that is not finished is compared with the promise at its progress. Terms of the loop that were not timed
    apart are compared together with the step, with the time of the run that no other term holds. One that told of
    epochs alone did as large a part of the promised steps.
    """
    ran = _with_steps(promise, ran)
    progress = _progress(promise, ran)
    stages = promise.covering(ran.stages)
    promised = merged(stages)
    compared = _terms(promised, ran, progress if progress < DONE_SHARE else None)
    terms = tuple(sorted(compared, key=lambda term: _order(term.term)))
    known = [term.promised for term in terms if term.promised is not None]
    if known and not progress and not any(one.p50 for one in known):
        raise UserError("a run that is not finished is compared by its steps", got=f"{ran.name} without any",
                        hint="Verify it when it is over; one that took no step broke no promise.")  # fmt: skip
    if not known or sum(one.p50 for one in known) <= 0:
        raise UserError("a run is compared in terms that were promised",
                        got=f"{', '.join(ran.terms) or 'no timings'} against {', '.join(promised) or 'nothing'}",
                        hint="Was it another experiment? Name it with --experiment.")  # fmt: skip
    together = promise.together(known)
    held = {name for term in terms for name in (term.term, *term.includes)}
    return Verdict(
        run=ran.id,
        name=ran.name,
        plan=promise.plan,
        experiment=promise.experiment,
        device=ran.device,
        promised_device=promise.device,
        promise=record,
        before=before,
        promised=together,
        measured_s=sum(term.measured_s for term in terms),
        terms=terms,
        together_s=sum(one.p50 for one in known) - together.p50,
        left_out=tuple(name for name, term in promised.items() if name not in held and term.seconds.p50 > 0),
        paces={stage.name: stage.pace for stage in stages},
        gpus=max(stage.gpus for stage in stages),
        progress=progress,
        ended=ran.ended,
    )


def _with_steps(promise: Promise, ran: Ran) -> Ran:
    """A run that counted its epochs alone with the promised steps of so many.

    By the epochs that were promised; where the promise does not say them, by those that the run meant to do.
    """
    stages = promise.covering(ran.stages)
    promised, meant = merged(stages).get("step"), [stage.epochs for stage in stages if "step" in stage.terms]
    if ran.steps or ran.epochs is None or promised is None:
        return ran
    done, total = ran.epochs
    total = sum(one or 0.0 for one in meant) if all(meant) else total
    return ran if not total else replace(ran, steps=promised.units * done / total, total_steps=promised.units)


def _progress(promise: Promise, ran: Ran) -> float:
    """1 for a run that did all it meant to do, if that is about what was promised; else its steps over those.

    A trial of 40 steps is not the promised 1,000: it is compared with 4 % of them. One whose steps nobody counts did
    all of them where it finished.
    """
    promised = merged(promise.covering(ran.stages)).get("step")
    due = promised.units if promised is not None else 0.0
    goal = ran.total_steps or due
    if not goal or not ran.steps:
        counted = bool(goal) and (ran.total_steps is not None or ran.source in COUNTING)
        return 1.0 if ran.ended and not counted else 0.0
    if ran.steps >= DONE_SHARE * goal and ran.steps >= ENOUGH_SHARE * due:
        return 1.0
    return min(1.0, ran.steps / max(goal, due))


def _terms(promised: Mapping[str, PromisedTerm], ran: Ran, progress: float | None) -> Iterator[TermVerdict]:
    """The compared terms; `progress` is None for a finished run."""
    measured, inside = _timed(promised, ran)
    unnamed_s = (ran.wall_s or 0.0) - sum(timed.seconds for timed in measured.values())
    unnamed_s = unnamed_s if unnamed_s > ROUNDING * (ran.wall_s or 0.0) else 0.0
    untold = [name for name in LOOP if name in promised and name not in measured and name not in inside]
    lead = _lead(measured, untold, ran)
    if lead and ran.wall_s is None:
        untold = [name for name in untold if name in IN_STEPS]
    if lead:
        others = tuple(name for name in untold if name != lead)
        timed = measured.get(lead, Timed(seconds=0.0, units=ran.steps if lead == "step" else 0.0))
        whole = Timed(seconds=timed.seconds + unnamed_s, units=timed.units)
        joined = _joined([promised[name] for name in others], promised.get(lead))
        yield _term(lead, joined, whole, ran, progress, (*others, *(inside if lead == "step" else ())))
    for name, timed in measured.items():
        if name != lead:
            yield _term(name, promised.get(name), timed, ran, progress, inside if name == "step" else ())
    if not lead and unnamed_s > 0:
        yield _term(OUTSIDE, None, Timed(seconds=unnamed_s, units=0.0), ran, progress)


def _timed(promised: Mapping[str, PromisedTerm], ran: Ran) -> tuple[dict[str, Timed], tuple[str, ...]]:
    """What the run timed, and what of it is part of its steps: a step that was promised alone is a whole step."""
    measured = ran.terms
    if "step" not in promised or "step" not in measured:
        return measured, ()
    inside = tuple(name for name in IN_STEPS if name in measured and name not in promised)
    seconds = measured["step"].seconds + sum(measured.pop(name).seconds for name in inside)
    return {**measured, "step": Timed(seconds=seconds, units=measured["step"].units)}, inside


def _order(name: str) -> int:
    """Terms as an estimate lists them, unknown ones last."""
    return TIMED.index(name) if name in TIMED else len(TIMED)


def _lead(measured: Mapping[str, Timed], untold: list[str], ran: Ran) -> str:
    """The term that those which were not timed apart are compared with; empty where there are none or no time is."""
    if not untold or ("step" not in measured and ran.wall_s is None):
        return ""
    if "step" in measured:
        return "step" if ran.wall_s is not None or any(name in IN_STEPS for name in untold) else ""
    return untold[0]


def _joined(others: list[PromisedTerm], lead: PromisedTerm | None) -> PromisedTerm | None:
    """The promise of a term with those that are compared together with it; units are those of the first."""
    parts = [*([] if lead is None else [lead]), *others]
    if not parts:
        return None
    seconds = parts[0].seconds
    for part in parts[1:]:
        seconds = seconds + part.seconds
    return PromisedTerm(seconds=seconds, units=0.0 if lead is None else lead.units)


def _term(
    name: str,
    promised: PromisedTerm | None,
    timed: Timed,
    ran: Ran,
    progress: float | None,
    includes: tuple[str, ...] = (),
) -> TermVerdict:
    """One term: of the difference, what comes from the number of units and what from the seconds of each."""
    if promised is None:
        return TermVerdict(term=name, includes=includes, promised=None, promised_units=None, measured_s=timed.seconds,
                           units=timed.units or None, count_s=0.0, rate_s=timed.seconds)  # fmt: skip
    expected = promised.units if progress is None else _expected(name, promised.units, timed, ran, progress)
    share = expected / promised.units if promised.units else 1.0 if progress is None else progress
    spread = promised.seconds * share
    known = bool(promised.units and timed.units)
    count_s = (timed.units - expected) * promised.each_s if known else 0.0
    return TermVerdict(
        term=name,
        includes=includes,
        promised=spread,
        promised_units=expected if promised.units else None,
        measured_s=timed.seconds,
        units=timed.units or None,
        count_s=count_s,
        rate_s=timed.seconds - spread.p50 - count_s,
    )


def _expected(name: str, units: float, timed: Timed, ran: Ran, progress: float) -> float:
    """How often a term was due in a run that is not finished: by its progress; the round that falls into it may be done
    or not.
    """
    if name in ("step", "data_wait"):
        return min(ran.steps or timed.units, timed.units, units)
    if name in LOOP and name != "compile":
        due = math.ceil(units * progress)
        return min(max(timed.units, due - 1), due)
    return units


def _inside(promised: Spread | None, seconds: float) -> bool | None:
    return None if promised is None or promised.p10 == promised.p90 else promised.p10 <= seconds <= promised.p90


def document(verdict: Verdict) -> dict[str, Any]:
    """The verdict as `headway.verdict/1`, unrounded."""
    names = ("run", "name", "plan", "experiment", "device", "promised_device", "promise", "before")
    return {
        "schema": SCHEMA,
        **{name: getattr(verdict, name) for name in names},
        "complete": verdict.complete,
        "progress": verdict.progress,
        "ended": verdict.ended,
        "promised_s": verdict.promised.to_dict(),
        "measured_s": verdict.measured_s,
        "difference_s": verdict.difference_s,
        "error": verdict.error,
        "inside": verdict.inside,
        "together_s": verdict.together_s,
        "left_out": list(verdict.left_out),
        "paces": dict(verdict.paces),
        "gpus": verdict.gpus,
        "terms": [_term_document(term) for term in verdict.terms],
    }


def _term_document(term: TermVerdict) -> dict[str, Any]:
    return {
        "term": term.term,
        "includes": list(term.includes),
        "promised_s": None if term.promised is None else term.promised.to_dict(),
        "promised_units": term.promised_units,
        "measured_s": term.measured_s,
        "units": term.units,
        "count_s": term.count_s,
        "rate_s": term.rate_s,
        "inside": term.inside,
    }


def verdict_from(body: Mapping[str, Any]) -> Verdict:
    """The verdict of a document. Raises UserError for anything else."""
    try:
        if body["schema"] != SCHEMA:
            raise ValueError(body["schema"])
        names = ("run", "name", "plan", "experiment", "device", "promised_device", "promise")
        return Verdict(
            **{name: str(body[name]) for name in names},
            before=bool(body["before"]),
            promised=spread_from(body["promised_s"]),
            measured_s=float(body["measured_s"]),
            terms=tuple(_term_from(term) for term in body["terms"]),
            together_s=float(body["together_s"]),
            left_out=tuple(str(name) for name in body["left_out"]),
            paces={str(name): str(pace) for name, pace in body["paces"].items()},
            gpus=float(body["gpus"]),
            progress=float(body["progress"]),
            ended=bool(body["ended"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise UserError("a stored verdict has the form headway.verdict/1",
                        got=f"{type(problem).__name__}: {problem}") from problem  # fmt: skip


def _term_from(said: Mapping[str, Any]) -> TermVerdict:
    units, promised_units = said["units"], said["promised_units"]
    return TermVerdict(
        term=str(said["term"]),
        includes=tuple(str(name) for name in said["includes"]),
        promised=None if said["promised_s"] is None else spread_from(said["promised_s"]),
        promised_units=None if promised_units is None else float(promised_units),
        measured_s=float(said["measured_s"]),
        units=None if units is None else float(units),
        count_s=float(said["count_s"]),
        rate_s=float(said["rate_s"]),
    )
