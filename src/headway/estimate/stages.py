"""One experiment: its stages' terms, each from the best knowledge that the rates asked for allow.

Owns the choice between measured, predicted and stated per term, and how stages add up to an experiment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from headway.domain.courses import by_course
from headway.domain.errors import UserError
from headway.domain.lookup import Machine
from headway.domain.plan import Experiment, Plan, Stage
from headway.domain.spread import Spread, total
from headway.domain.statement import Stated
from headway.domain.units import Range
from headway.estimate import stated
from headway.estimate.nouns import TERMS, Basis, ExperimentEstimate, StageEstimate
from headway.estimate.predicted import Predictor
from headway.estimate.resolve import Job, evaluations, gpu_range, machine_of, node_for, resolve, saved_by_the_clock
from headway.estimate.setting import Setting
from headway.estimate.stated import Terms
from headway.estimate.step import node_key, with_measured_memory

MEASURED = ("best", "measured")
"""Rates under which what was measured of a stage counts for it."""
BY_AUTHOR = ("verify", "do")
"""Kinds of stages that nothing but their author can time: people, CPU chores, checks of one's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a stage stands in its chain."""

    first: bool
    last: bool
    samples: int
    """Samples that the chain generates, for the stage that verifies them."""


def estimate_experiment(
    experiment: Experiment, setting: Setting, predictor: Predictor, share: Spread | None = None
) -> ExperimentEstimate:
    """The experiment with every stage; a stated time of the whole overrides its parts under stated rates.

    `share` is its part of a time stated for its phase, which counts where nothing is known of the experiment itself.
    """
    last = len(experiment.stages) - 1
    samples = sum(stage.generate.total for stage in experiment.stages if stage.generate is not None)
    stages = tuple(
        estimate_stage(stage, setting, predictor, Place(first=index == 0, last=index == last, samples=samples))
        for index, stage in enumerate(experiment.stages)
    )
    whole = stated.wall(experiment.stated)
    if whole is None and not any(stage.terms_s for stage in stages):
        whole = share
    if whole is not None and (setting.rates == "stated" or all(stage.kind in BY_AUTHOR for stage in stages)):
        return _overridden(experiment, stages, setting.usable(whole), setting)
    return _experiment(
        experiment,
        stages,
        terms=_by_term(stages),
        wall=total(stage.wall_s for stage in stages),
        gpu=total(stage.gpu_s for stage in stages),
    )


def with_shared_beginnings(
    plan: Plan, done: tuple[ExperimentEstimate, ...], setting: Setting
) -> tuple[ExperimentEstimate, ...]:
    """The experiments with every training that another one contains taken from its checkpoint (`reuse: prefixes`).

    Its steps, its waiting for data and its compilation fall away; loading, evaluation and saves stay.
    """
    trainings = [
        _Training(experiment=item.id, index=index, course=stage.course, steps=made.steps, alone=_trains(plan_item) == 1)
        for item, plan_item in zip(done, plan.experiments, strict=True)
        if not item.optional
        for index, (stage, made) in enumerate(zip(plan_item.stages, item.stages, strict=True))
        if stage.reuse == "prefixes" and "step" in made.terms_s
    ]
    taken = {
        (trainings[index].experiment, trainings[index].index): trainings[indices[0]].experiment
        for indices in by_course(trainings)
        for index in indices[1:]
    }
    if not taken:
        return done
    return tuple(
        _retaken(item, plan_item, taken, setting) for item, plan_item in zip(done, plan.experiments, strict=True)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Training:
    """One training stage, as far as sharing goes (`domain.courses`)."""

    experiment: str
    index: int
    course: str
    steps: int
    alone: bool


def _trains(experiment: Experiment) -> int:
    return sum(stage.kind == "train" for stage in experiment.stages)


def _retaken(
    item: ExperimentEstimate, experiment: Experiment, taken: Mapping[tuple[str, int], str], setting: Setting
) -> ExperimentEstimate:
    """The experiment with what it takes from others."""
    stages = tuple(
        _without_training(stage, taken[item.id, index], setting) if (item.id, index) in taken else stage
        for index, stage in enumerate(item.stages)
    )
    if stages == item.stages:
        return item
    wall, gpu = total(stage.wall_s for stage in stages), total(stage.gpu_s for stage in stages)
    return _experiment(experiment, stages, terms=_by_term(stages), wall=wall, gpu=gpu)


def _without_training(stage: StageEstimate, trained_in: str, setting: Setting) -> StageEstimate:
    terms = {term: spread for term, spread in stage.terms_s.items() if term not in ("step", "data_wait", "compile")}
    wall = total(terms.values()) if terms else Spread.exact(0.0, "assumed", f"trained in {trained_in}")
    return replace(stage, terms_s=terms, wall_s=wall, gpu_s=_gpu_time(wall, stage.gpus, setting), trained_in=trained_in)


def _overridden(
    experiment: Experiment, stages: tuple[StageEstimate, ...], whole: Spread, setting: Setting
) -> ExperimentEstimate:
    """Parts and what the whole holds beyond them; the whole alone where the parts exceed it."""
    known = _by_term(stages)
    rest = stated.remainder(whole, known) if known else None
    if rest is not None:
        terms = {**known, "unexplained": rest} if rest.p90 > 0 else known
    else:
        kinds = {stage.kind for stage in stages}
        terms = {"step" if kinds == {"train"} else "work": whole}
    stages = tuple(_without_missing(stage) for stage in stages)
    widest = max((stage.gpus for stage in stages), key=lambda gpus: gpus.mid)
    return _experiment(experiment, stages, terms=terms, wall=whole, gpu=_gpu_time(whole, widest, setting))


def _without_missing(stage: StageEstimate) -> StageEstimate:
    """The stage of an experiment whose whole time is stated: nothing of it is left out."""
    return replace(stage, left_out=()) if stage.left_out else stage


def _experiment(
    experiment: Experiment,
    stages: tuple[StageEstimate, ...],
    *,
    terms: Mapping[str, Spread],
    wall: Spread,
    gpu: Spread,
) -> ExperimentEstimate:
    bases = [stage.basis for stage in stages if stage.basis is not None]
    tokens = [stage.tokens for stage in stages if stage.tokens is not None]
    tightest = max(bases, key=lambda basis: 1 - basis.fits_probability, default=None)
    return ExperimentEstimate(
        id=experiment.id,
        phase=experiment.phase,
        name=experiment.name,
        stages=stages,
        steps=sum(stage.steps for stage in stages),
        tokens=total(tokens) if tokens else None,
        terms_s=terms,
        wall_s=wall,
        gpu_s=gpu,
        peak_memory_bytes=max((basis.peak_memory_bytes for basis in bases), key=lambda peak: peak.p50, default=None),
        fits=None if tightest is None else tightest.fits,
        optional=experiment.optional,
    )


def _by_term(stages: tuple[StageEstimate, ...]) -> dict[str, Spread]:
    """Terms of a chain, added up over its stages, in reading order."""
    found = {}
    for term in TERMS:
        parts = [stage.terms_s[term] for stage in stages if term in stage.terms_s]
        if parts:
            found[term] = total(parts)
    return found


def estimate_stage(stage: Stage, setting: Setting, predictor: Predictor, place: Place) -> StageEstimate:
    """One stage under the rates of `setting`. Stages that cost the same share one result."""
    machine = machine_of(stage, setting.plan, setting.lookup, setting.machine)
    node = node_for(stage, machine.node)
    key = (setting.rates, setting.draws, *node_key(node), *_cost_key(stage, place))
    if key not in setting.stages:
        try:
            setting.stages[key] = _estimate_stage(stage, machine, setting, predictor, place)
        except UserError as error:
            raise error.at(setting.plan.where(error.field) if error.field else stage.where) from error
    return setting.stages[key]


def _cost_key(stage: Stage, place: Place) -> tuple[object, ...]:
    """Everything of a stage that its time depends on; learning rates, seeds and names are not among it."""
    return (
        stage.name,
        stage.kind,
        stage.model.use if stage.model else "",
        stage.recipe,
        stage.parallel_kind,
        stage.batch,
        stage.micro_batch_auto,
        stage.grad_accum_stated,
        stage.data,
        stage.epochs.range if stage.epochs else None,
        stage.steps.range if stage.steps else None,
        stage.tokens.range if stage.tokens else None,
        stage.gpus.range if stage.gpus else None,
        stage.by,
        _evaluation_key(stage),
        stage.generate.total if stage.generate else None,
        stage.verify,
        stage.validation_share,
        (stage.save.every_steps, stage.save.every_epochs, stage.save.every_s, stage.save.keep) if stage.save else None,
        _stated_key(stage.stated),
        stage.fingerprint if stage.kind in ("generate", "verify", "do") else "",
        place,
    )


def _evaluation_key(stage: Stage) -> tuple[object, ...]:
    asked = stage.evaluate
    if asked is None:
        return ()
    rows = asked.rows.range if asked.rows else None
    return (asked.tasks, asked.when, asked.every_steps, asked.every_epochs, rows, asked.shots)


def _stated_key(said: Stated) -> tuple[object, ...]:
    """The rates themselves, wherever they were written."""
    terms = tuple((term, part, value.range) for term, parts in said.terms.items() for part, value in parts.items())
    rates = tuple((value.noun, value.range) for value in said.throughput)
    return (terms, rates, tuple((factor.cause, factor.sign, factor.change.range) for factor in said.factors))


def _estimate_stage(
    stage: Stage, machine: Machine, setting: Setting, predictor: Predictor, place: Place
) -> StageEstimate:
    job = job_of(stage, setting, predictor, machine) if stage.kind == "train" else None
    times = evaluations(stage, job.steps if job else 0, job.epochs if job else None, place.last)
    basis = predictor.basis(job) if job else None
    if basis is not None and setting.rates in MEASURED:
        basis = with_measured_memory(setting, basis, setting.timed(stage, machine).get("step"), machine)
    found = _choose(stage, job, basis, times, setting, predictor, machine, place)
    if job is not None and stage.save is not None and stage.save.every_s and "step" in found.terms_s:
        job = saved_by_the_clock(job, found.terms_s["step"].p50)
        found = _choose(stage, job, basis, times, setting, predictor, machine, place)
    whole = stated.wall(stage.stated)
    terms = dict(found.terms_s)
    missing = found.missing
    if whole is not None and (setting.rates == "stated" or stage.kind in BY_AUTHOR):
        terms, missing = _stage_wall(stage, setting.usable(whole), terms), ()
    wall = total(terms.values()) if terms else Spread.exact(0.0, "assumed", "nothing is known")
    gpus = gpu_range(stage)
    return StageEstimate(
        name=stage.name,
        kind=stage.kind,
        by=stage.by,
        gpus=gpus,
        rows=job.rows_seen if job else None,
        epochs=job.epochs if job else None,
        steps=job.steps if job else 0,
        tokens=predictor.tokens(job) if job else None,
        terms_s={term: terms[term] for term in TERMS if term in terms},
        wall_s=wall,
        gpu_s=_gpu_time(wall, gpus, setting),
        left_out=missing,
        saves=predictor.saves(job) if job else None,
        evaluations=times,
        details=found.details,
        basis=basis,
        counts=predictor.counts(stage, job, times, first=place.first),
        stated_step_s=stated.step(stage, job),
        stated_factors=stage.stated.factors,
    )


def job_of(stage: Stage, setting: Setting, predictor: Predictor, machine: Machine) -> Job:
    """The stage resolved; `micro_batch: auto` becomes the largest that fits and divides a given batch."""
    job = resolve(stage, setting.plan, setting.lookup, machine)
    if not stage.micro_batch_auto:
        return job
    rows = predictor.largest_micro_batch(job)
    if stage.batch is not None:
        each = stage.batch // job.recipe.parallel.data
        rows = max((n for n in range(1, min(rows, each) + 1) if each % n == 0), default=1)
    chosen = replace(stage, recipe=replace(stage.recipe, micro_batch=max(1, rows)), micro_batch_auto=False)
    job = resolve(chosen, setting.plan, setting.lookup, machine)
    return replace(job, assumed={**job.assumed, "micro_batch": f"{max(1, rows)}, the most that surely fits"})


def _stage_wall(stage: Stage, whole: Spread, terms: dict[str, Spread]) -> dict[str, Spread]:
    rest = stated.remainder(whole, terms) if terms else None
    if rest is not None:
        return {**terms, "unexplained": rest} if rest.p90 > 0 else terms
    name = {"train": "step", "generate": "generation", "verify": "checks", "evaluate": "evaluation"}
    return {name.get(stage.kind, "work"): whole}


def _gpu_time(wall: Spread, gpus: Range, setting: Setting) -> Spread:
    """GPU-seconds of a stretch: ends multiply end by end, draws take the middle count."""
    if gpus.is_point or setting.rates != "stated":
        return wall * gpus.mid
    return wall.times(Spread.from_range(gpus, "stated", "GPUs as stated"))


def _choose(
    stage: Stage,
    job: Job | None,
    basis: Basis | None,
    times: int,
    setting: Setting,
    predictor: Predictor,
    machine: Machine,
    place: Place,
) -> Terms:
    """Terms by the rates asked for: stated only, measured only, or measured before predicted before stated."""
    said = _said(stage, job, times, setting, place)
    if setting.rates == "stated":
        return said
    steps = job.steps if job else 0
    measured = setting.measured(stage, machine, steps) if setting.rates in MEASURED else {}
    predicted = (
        {} if setting.rates == "measured" else predictor.terms(stage, job, basis, times, machine, first=place.first)
    )
    kept = {t: s for t, s in said.terms_s.items() if t not in predicted and _only_stated(stage, t)}
    terms = {**kept, **predicted}
    counts = predictor.counts(stage, job, times, first=place.first)
    terms |= {term: each * counts[term] for term, each in measured.items() if counts.get(term)}
    if setting.rates == "measured":
        terms = {term: spread for term, spread in terms.items() if term in measured or _only_stated(stage, term)}
    elif (validation := predictor.validation(job, machine)) is not None:  # beside the tasks, which may be measured
        terms["evaluation"] = total([terms["evaluation"], validation]) if "evaluation" in terms else validation
    missing = tuple(term for term in counts if counts[term] and term not in terms)
    details = {term: parts for term, parts in said.details.items() if term in kept}
    return Terms(terms_s=terms, details=details, missing=missing)


def _only_stated(stage: Stage, term: str) -> bool:
    """Work that nothing but its author can time: checks of one's own, people, CPU chores."""
    return stage.kind in BY_AUTHOR or term in ("checks", "work", "cleanup")


def _said(stage: Stage, job: Job | None, times: int, setting: Setting, place: Place) -> Terms:
    """The author's terms, as ends under stated rates and as draws beside predictions."""
    said = stated.terms(stage, job, times)
    found = dict(said.terms_s)
    details = dict(said.details)
    missing = list(said.missing)
    if stage.kind == "verify":
        whole, parts = stated.checks(stage, place.samples)
        if whole is not None:
            found["checks"], details["checks"] = whole, parts
        elif stated.wall(stage.stated) is None:
            missing.append("checks")
    if stage.kind == "do" and stated.wall(stage.stated) is None:
        missing.append("work")
    return Terms(
        terms_s={term: setting.usable(spread) for term, spread in found.items()},
        details=details,
        missing=tuple(missing),
    )
