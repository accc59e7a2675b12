"""HW60x, omissions: work that the plan asks for and its stated hours do not hold.

Owns evaluation and the terms around a step that have no stated rate. What guards a run is `safeguards`.
"""

from __future__ import annotations

from collections.abc import Iterator

from headway.check.case import Case
from headway.check.rule import Rule
from headway.check.trained import counted_experiments
from headway.check.words import counted, listed
from headway.domain.errors import Finding, Position
from headway.domain.plan import Stage
from headway.domain.units import format_duration, format_share
from headway.estimate.nouns import StageEstimate

MOST_LEFT_OUT = 0.02
"""Share of the stated hours up to which what they leave out is worth knowing only."""
NOT_NEGLIGIBLE = 0.01
WORDS = {
    "load": "loading the model",
    "tokenize": "tokenizing",
    "compile": "compiling",
    "checkpoint": "checkpoints",
    "final_save": "saving the final model",
}
"""Terms that come with training and are easily forgotten, in words."""


def _uncosted(case: Case) -> Iterator[Finding]:
    models = [
        (stage, stated)
        for _, stage, stated in _said(case)
        if stage.kind == "train" and "evaluation" in stated.left_out and "step" in stated.terms_s
    ]
    total = case.stated.estimate.subtotal_gpu_s.p50
    if not models or not total:
        return
    evaluations = sum(stated.evaluations for _, stated in models)
    tasks = {len(stage.evaluate.tasks) if stage.evaluate is not None else 0 for stage, _ in models}
    once = evaluations == len(models) * max(tasks)
    rate = _stated_evaluation(case)
    predicted = case.predicted.estimate.terms_s.get("evaluation")
    evidence: dict[str, object] = {"models": len(models), "evaluations": evaluations}
    if rate is not None:
        each, one = evaluations * rate, evaluations / max(tasks) * rate
        evidence |= {"gpu_hours_at_each_task": each / 3600, "gpu_hours_at_all_tasks": one / 3600}
        evidence |= _at_every_stage(case, rate)
        price = (
            f"at the {format_duration(rate)} stated elsewhere {format_duration(each)} ({format_share(each / total)} "
        )
        price += f"more), or {format_duration(one)} if that is for all tasks of a model"
    elif predicted is not None:
        evidence["predicted_gpu_hours"] = predicted.p50 / 3600
        price = f"about {format_duration(predicted.p50)} by prediction"
    else:
        price = "unknown"
    trained = counted(len(models), "trained model")
    many = f"{trained} x {counted(max(tasks), 'task')}" if once else f"{evaluations:,} evaluations of {trained}"
    yield UNCOSTED.finding(
        f"{many} {'has' if many.startswith('1 ') else 'have'} no stated time: {price}",
        where=_evaluate_at(models[0][0], case),
        evidence=evidence,
        hint="State it where they are evaluated: stated: {evaluation: TIME} is for each task.",
    )


def _said(case: Case) -> Iterator[tuple[str, Stage, StageEstimate]]:
    """Stages of experiments that are not optional, by the author's rates."""
    estimates = {item.id: item for item in case.stated.estimate.experiments}
    for experiment in counted_experiments(case.plan):
        for stage, stated in zip(experiment.stages, estimates[experiment.id].stages, strict=True):
            yield experiment.id, stage, stated


def _stated_evaluation(case: Case) -> float | None:
    """Seconds of one evaluation, from wherever the plan states them."""
    for experiment in case.plan.experiments:
        for stage in experiment.stages:
            parts = stage.stated.terms.get("evaluation")
            if parts:
                return sum(value.mid for value in parts.values())
    return None


def _at_every_stage(case: Case, rate: float) -> dict[str, object]:
    """The same if every stage of a chain were evaluated, where there are chains."""
    trained = [[stage for stage in one.stages if stage.kind == "train"] for one in counted_experiments(case.plan)]
    ends = [stages[-1] for stages in trained if stages and stages[-1].evaluate is not None]
    links = [stage for stages in trained if stages and stages[-1].evaluate is not None for stage in stages]
    if len(links) == len(ends):
        return {}
    mean = sum(len(stage.evaluate.tasks) for stage in ends if stage.evaluate is not None) / len(ends)
    return {"stages": len(links), "gpu_hours_at_each_stage": len(links) * mean * rate / 3600}


def _evaluate_at(stage: Stage, case: Case) -> Position:
    return stage.evaluate.where if stage.evaluate is not None else case.plan.where("evaluate")


def _never_evaluated(case: Case) -> Iterator[Finding]:
    if not (case.plan.tasks or case.plan.questions):
        return
    runs = [one for one in counted_experiments(case.plan) if any(stage.kind == "train" for stage in one.stages)]
    blind = [
        one
        for one in runs
        if not any(
            stage.evaluate is not None or stage.validation_share or stage.kind == "verify" for stage in one.stages
        )
    ]
    if blind:
        yield NEVER_EVALUATED.finding(
            f"{len(blind):,} of {counted(len(runs), 'trained model')} {'is' if len(blind) == 1 else 'are'} evaluated "
            f"on nothing: {listed([one.id for one in blind])}",
            where=blind[0].where if blind[0].where.line else case.plan.where("data"),
            evidence={"runs": [one.id for one in blind], "trained": len(runs)},
            hint="Say evaluate: all where they are trained, or validation: 5%.",
        )


def _left_out(case: Case) -> Iterator[Finding]:
    missing: dict[str, float] = {}
    first: Stage | None = None
    guessed = {item.id: item.stages for item in case.predicted.estimate.experiments}
    whole = _stated_as_a_whole(case)
    place: dict[str, int] = {}
    for id, stage, stated in _said(case):
        place[id] = index = place.get(id, -1) + 1
        if stage.kind != "train" or "step" not in stated.terms_s or "wall" in stage.stated.terms or id in whole:
            continue
        for term, spread in guessed[id][index].terms_s.items():
            if term in WORDS and term not in stated.terms_s:
                missing[term] = missing.get(term, 0.0) + spread.p50
                first = first or stage
    if first is None:
        return
    seconds, total = sum(missing.values()), case.stated.estimate.subtotal_wall_s.p50
    share = seconds / total if total else 0.0
    yield LEFT_OUT.finding(
        f"the stated hours leave out {listed([WORDS[term] for term in missing])}: about {format_duration(seconds)} "
        f"more by prediction ({format_share(share)})",
        where=_stated_at(first, case),
        evidence={"predicted_s": missing, "share": share},
        hint=f"State them: stated: {{{next(iter(missing))}: TIME}}, or negligible where they are.",
        severity="warning" if share > MOST_LEFT_OUT else "info",
    )


def _stated_as_a_whole(case: Case) -> frozenset[str]:
    """Ids of experiments whose whole time is stated, or that of their phase: nothing of it is left out."""
    phases = {phase.id for phase in case.plan.phases if "wall" in phase.stated.terms}
    return frozenset(
        one.id for one in case.plan.experiments if "wall" in one.stated.terms or one.phase in phases
    )  # fmt: skip


def _stated_at(stage: Stage, case: Case) -> Position:
    parts = stage.stated.terms.get("step")
    if parts:
        return next(iter(parts.values())).where
    return stage.stated.throughput[0].where if stage.stated.throughput else case.plan.where("stated")


def _called_negligible(case: Case) -> Iterator[Finding]:
    total = case.stated.estimate.subtotal_wall_s.p50
    seen: set[str] = set()
    for _, stage, estimate in case.stages if total else ():
        for term, spread in estimate.terms_s.items():
            value = stage.stated.terms.get(term, {}).get("")
            if value is None or value.mid > 0 or value.unknown or term in seen or spread.p50 < NOT_NEGLIGIBLE * total:
                continue
            seen.add(term)
            yield NEGLIGIBLE.finding(
                f"{WORDS.get(term, term)} is called negligible: by prediction {format_duration(spread.p10)} to "
                f"{format_duration(spread.p90)}, about {format_share(spread.p50 / total)} of the stated time",
                where=value.where,
                evidence={"term": term, "predicted_s": [spread.p10, spread.p50, spread.p90], "rows": estimate.rows},
                hint="Time it once, or cache its result: a second run then pays nothing.",
            )


_PLAN = """headway: 1
model: Qwen/Qwen2-0.5B
datasets: {papers: {rows: 100k, length: 200}, kept: {rows: 1k, length: 200, split: test}}
tasks: {reading: {data: kept}}
data: papers
steps: 1000
EVALUATE
stated: {step: 1 s, RATES}
run: {machine: RTX 4090}
"""
_RATES = "load: 30 s, tokenize: 1 min, final_save: 5 s"


def _plan(evaluate: str, rates: str) -> str:
    return _PLAN.replace("EVALUATE", evaluate).replace("RATES", rates)


UNCOSTED = Rule(
    code="HW601",
    name="evaluation without a time",
    severity="warning",
    says="Every evaluation of a trained model has a stated time, where steps have one.",
    because="Ten tasks of ten minutes for each of fifty models are 83 hours: evaluation is the largest thing that "
    "plans forget. Whether a stated time is for one task or for all of them changes it tenfold.",
    fails=_plan("evaluate: reading", _RATES),
    passes=_plan("evaluate: reading", f"evaluation: 5 min, {_RATES}"),
    find=_uncosted,
)
NEVER_EVALUATED = Rule(
    code="HW602",
    name="trained and never evaluated",
    severity="warning",
    says="Every trained model is evaluated, in a plan that has tasks or questions.",
    because="A run whose model nobody looks at is spent for nothing.",
    fails=_plan("micro_batch: 8", _RATES),
    passes=_plan("evaluate: reading", _RATES),
    find=_never_evaluated,
)
LEFT_OUT = Rule(
    code="HW603",
    name="stated hours are steps alone",
    severity="warning",
    says="Stated rates cover loading, tokenizing, saving and compiling too.",
    because="Short runs spend much of their time around the steps, and every run of many pays it again. A warning "
    "where it is over 2 % of the stated hours.",
    fails=_plan("micro_batch: 8", "load: 30 s"),
    passes=_plan("micro_batch: 8", _RATES),
    find=_left_out,
)
NEGLIGIBLE = Rule(
    code="HW604",
    name="negligible is not",
    severity="info",
    says="What is called negligible takes under 1 % of the stated time.",
    because="Tokenizing is once over all rows, a few hundred thousand tokens a second on one core: minutes for large "
    "data, unless its result is cached.",
    fails=_plan("micro_batch: 8", "load: 30 s, tokenize: negligible, final_save: 5 s"),
    passes=_plan("micro_batch: 8", _RATES),
    find=_called_negligible,
)
RULES = (UNCOSTED, NEVER_EVALUATED, LEFT_OUT, NEGLIGIBLE)
