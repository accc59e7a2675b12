"""A whole plan: every experiment, phases with all that is nested in them, totals, scenarios, what is left out.

Owns the adding up. Optional experiments are estimated but stand outside the totals.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from headway.domain.plan import Phase, Plan
from headway.domain.spread import Spread, total
from headway.estimate.nouns import TERMS, Estimate, ExperimentEstimate, PhaseEstimate, Scenario
from headway.estimate.predicted import Predictor
from headway.estimate.setting import Setting
from headway.estimate.stages import estimate_experiment, with_shared_beginnings
from headway.estimate.stated import wall


def assemble(setting: Setting, predictor: Predictor) -> Estimate:
    """The estimate of the setting's plan."""
    plan = setting.plan
    shares = _shares_of_phases(plan)
    done = tuple(
        estimate_experiment(experiment, setting, predictor, shares.get(experiment.phase))
        for experiment in plan.experiments
    )
    done = with_shared_beginnings(plan, done, setting)
    counted = tuple(item for item in done if not item.optional)
    terms = _terms(counted)
    serial, gpu = total(item.wall_s for item in counted), total(item.gpu_s for item in counted)
    buffer = plan.run.buffer.mid if plan.run.buffer is not None else 0.0
    return Estimate(
        plan=plan.name,
        title=plan.title,
        fingerprint=plan.fingerprint,
        rates=setting.rates,
        machine=setting.machine or plan.run.machine,
        experiments=done,
        phases=tuple(_phases(plan, done)),
        terms_s=terms,
        wall_s=serial * (1 + buffer),
        gpu_s=gpu * (1 + buffer),
        subtotal_wall_s=serial,
        subtotal_gpu_s=gpu,
        buffer_share=buffer,
        scenarios=_scenarios(terms, serial, gpu, buffer),
        left_out=_left_out(counted),
        measured=sum(len(items) for items in setting.measurements.values()),
    )


def _shares_of_phases(plan: Plan) -> dict[str, Spread]:
    """Phase to each of its experiments' part of the time that is stated for the phase: equal parts."""
    found = {}
    for phase in plan.phases:
        whole = wall(phase.stated)
        if whole is not None and len(phase.experiments) > 1:
            found[phase.id] = whole * (1 / len(phase.experiments))
    return found


def _terms(experiments: Iterable[ExperimentEstimate]) -> dict[str, Spread]:
    """Seconds by term over experiments, in reading order."""
    by_term: dict[str, list[Spread]] = {}
    for experiment in experiments:
        for term, spread in experiment.terms_s.items():
            by_term.setdefault(term, []).append(spread)
    return {term: total(by_term[term]) for term in TERMS if term in by_term}


def _phases(plan: Plan, done: tuple[ExperimentEstimate, ...]) -> list[PhaseEstimate]:
    """Every phase with its own experiments and those of the phases nested in it."""
    parents = {phase.id: phase.parent for phase in plan.phases}
    members: dict[str, list[ExperimentEstimate]] = {phase.id: [] for phase in plan.phases}
    for item in done:
        phase = item.phase
        while phase in members:
            members[phase].append(item)
            phase = parents.get(phase, "")
    return [_phase(phase, members[phase.id]) for phase in plan.phases]


def _phase(phase: Phase, members: list[ExperimentEstimate]) -> PhaseEstimate:
    counted = members if phase.optional else [item for item in members if not item.optional]
    return PhaseEstimate(
        id=phase.id,
        parent=phase.parent,
        name=phase.name,
        asks=phase.asks,
        experiments=len(counted),
        gpu_s=total(item.gpu_s for item in counted),
        wall_s=total(item.wall_s for item in counted),
        steps=sum(item.steps for item in counted),
        optional=phase.optional,
    )


def _scenarios(terms: Mapping[str, Spread], serial: Spread, gpu: Spread, buffer: float) -> tuple[Scenario, ...]:
    """Best, expected and worst: ends of stated ranges, or p10, p50 and p90 of the draws shared out over the terms."""
    if serial.is_exact:
        return ()
    found = []
    for name, share in (("best", 0.1), ("expected", 0.5), ("worst", 0.9)):
        found.append(
            Scenario(
                name=name,
                gpu_s=gpu.quantile(share) * (1 + buffer),
                wall_s=serial.quantile(share) * (1 + buffer),
                terms_s=_shares(terms, serial, share),
            )
        )
    return tuple(found)


def _shares(terms: Mapping[str, Spread], whole: Spread, share: float) -> dict[str, float]:
    """How the terms make up a quantile of their sum, exactly.

    Draws: the mean of each term, moved by its part in the covariance with the sum (the Euler allocation of a
    standard deviation, Tasche 2000); a term that would become negative stays at 0 and the others are scaled.
    """
    target = whole.quantile(share)
    if whole.draws is None:
        return {term: spread.quantile(share) for term, spread in terms.items()}
    centred = whole.draws - whole.draws.mean()
    reach = (target - whole.draws.mean()) / float(centred @ centred or 1.0)
    parts = {
        term: max(0.0, spread.mean + (0.0 if spread.draws is None else float(centred @ spread.draws) * reach))
        for term, spread in terms.items()
    }
    scale = target / (sum(parts.values()) or 1.0)
    return {term: part * scale for term, part in parts.items()}


def _left_out(experiments: Iterable[ExperimentEstimate]) -> dict[str, str]:
    """Terms without a rate, with how much of them there is."""
    stages: dict[str, int] = {}
    counts: dict[str, int] = {}
    for experiment in experiments:
        for stage in experiment.stages:
            for term in stage.left_out:
                stages[term] = stages.get(term, 0) + 1
                counts[term] = counts.get(term, 0) + (
                    stage.evaluations if term == "evaluation" else stage.saves.during if stage.saves else 1
                )
    found = {}
    for term, number in stages.items():
        noun = "stage" if number == 1 else "stages"
        if term == "evaluation":
            found[term] = f"{counts[term]:,} task evaluations of {number:,} trained models"
        elif term == "checkpoint":
            found[term] = f"{counts[term]:,} saves in {number:,} {noun}"
        else:
            found[term] = f"{number:,} {noun}"
    return found
