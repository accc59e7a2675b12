"""HW50x, experimental design: questions that the runs of the plan cannot answer, and runs that answer none.

Owns contrast, targets, orphans and measures. Which runs differ in one thing alone is `check.contrast`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from headway.check.case import Case
from headway.check.contrast import contrasts
from headway.check.hours import gpu_seconds, reading_of_steps, share_of
from headway.check.rule import Rule
from headway.check.words import counted, listed
from headway.domain.errors import Finding
from headway.domain.plan import Experiment, Phase, Plan
from headway.domain.selection import ALL, select
from headway.domain.units import format_duration, format_share

_OF = re.compile(r"\bof\s+(?P<reference>.+?)\s*$", re.IGNORECASE)
_PRETRAINING = re.compile(r"pre-?train", re.IGNORECASE)


def _without_contrast(case: Case) -> Iterator[Finding]:
    for question in case.plan.questions.values():
        if not question.along or question.answered_by is None:
            continue
        picked = set(select(case.plan, question.answered_by))
        runs = [one for one in case.plan.experiments if one.id in picked and trains(one)]
        values = contrasts(runs, question.along, case.plan)
        if any(len(group) > 1 for group in values):
            continue
        yield NO_CONTRAST.finding(
            f"{question.id} asks along {question.along}, and of its {counted(len(runs), 'run')} no two differ in "
            f"{question.along} alone: nothing can be compared",
            where=case.plan.where(f"questions.{question.id}.along"),
            evidence={
                "question": question.ask,
                "along": question.along,
                "runs": len(runs),
                "settings with one value": len(values),
            },
            hint=f"Vary {question.along} in a matrix with all else equal, or ask what the runs do compare.",
        )


def _without_score(case: Case) -> Iterator[Finding]:
    for question in case.plan.questions.values():
        match = _OF.search(question.target)
        if match is None:
            continue
        name = match["reference"]
        reference = next(
            (one for one in case.plan.references.values() if name.lower() in (one.id.lower(), one.name.lower())), None
        )
        if (reference is not None and reference.scores) or (reference is None and _is_run(case.plan, name)):
            continue
        missing = "is no reference of the plan" if reference is None else "has no score in the plan"
        yield NO_SCORE.finding(
            f"{question.id} aims at {question.target}, and {name} {missing}: the target is no number",
            where=case.plan.where(f"questions.{question.id}.target"),
            evidence={"question": question.ask, "target": question.target, "scores": 0},
            hint=f"Say references: {{{name}: {{scores: {{TASK: SCORE}}, source: ...}}}} for the tasks that count.",
        )


def _is_run(plan: Plan, name: str) -> bool:
    """The target is a run or a phase of the plan itself."""
    return any(name in (one.id, one.phase) for one in plan.experiments) or any(name == one.id for one in plan.phases)


def trains(experiment: Experiment) -> bool:
    """True where a stage of it trains."""
    return any(stage.kind == "train" for stage in experiment.stages)


def _orphans(case: Case) -> Iterator[Finding]:
    answering: set[str] = set()
    for question in case.plan.questions.values():
        if question.answered_by is not None and ALL not in question.answered_by.patterns:
            answering |= set(select(case.plan, question.answered_by))
    orphans: dict[str, list[str]] = {}
    for one in case.plan.experiments if answering else ():  # where none names a run, none leaves one out
        if trains(one) and not one.optional and one.id not in answering:
            orphans.setdefault(one.phase, []).append(one.id)
    if not orphans:
        return
    reading = reading_of_steps(case)
    seconds = gpu_seconds(reading)
    phases = {phase.id: phase for phase in case.plan.phases}
    weights = {phase: share_of((seconds[id] for id in ids), reading) for phase, ids in orphans.items()}
    heaviest = sorted(orphans, key=lambda phase: -weights[phase][0])
    said = [
        f"{_named(phases.get(phase), orphans[phase])} ({format_duration(weights[phase][0])}, "
        f"{format_share(weights[phase][1])})"
        for phase in heaviest
    ]
    total, share = share_of((seconds[id] for ids in orphans.values() for id in ids), reading)
    runs = sum(map(len, orphans.values()))
    asked = [repr(phases[phase].asks) for phase in heaviest if phase in phases and phases[phase].asks]
    yield ORPHANS.finding(
        f"{counted(runs, 'run')} of {format_duration(total)} ({format_share(share)}) answer{'s' * (runs == 1)} no "
        f"question that names {'it' if runs == 1 else 'them'}: {listed(said)}",
        where=phases[heaviest[0]].where if heaviest[0] in phases else case.plan.where("questions"),
        evidence={
            "runs": {phase: orphans[phase] for phase in heaviest},
            "gpu_hours": {phase: weights[phase][0] / 3600 for phase in heaviest},
        },
        hint=f"Make a question of what they ask ({listed(asked)}), or leave them out."
        if asked
        else "Add the question that they answer, or leave them out.",
    )


def _named(phase: Phase | None, ids: list[str]) -> str:
    if phase is None or len(ids) < len(phase.experiments):
        return listed(ids)
    return f"{phase.id} {phase.name}" if phase.name != phase.id else phase.id


def _unread(case: Case) -> Iterator[Finding]:
    open_ = [one for one in case.plan.questions.values() if not one.along and not one.target]
    if open_:
        quoted = [f"{one.id} ({one.ask})" if one.ask else one.id for one in open_]
        yield NO_MEASURE.finding(
            f"{counted(len(open_), 'question')} of {len(case.plan.questions)} "
            f"say{'s' if len(open_) == 1 else ''} neither what is compared nor what is aimed at: {listed(quoted)}",
            where=case.plan.where(f"questions.{open_[0].id}"),
            evidence={"questions": [one.id for one in open_]},
            hint="Give each an `along` (the key that varies) or a `target` before the runs, so that a result decides.",
        )


def _not_continued(case: Case) -> Iterator[Finding]:
    phases = {phase.id: phase for phase in case.plan.phases}
    early = {id for id in phases if _is_pretraining(id, phases)}
    runs = [one for one in case.plan.experiments if trains(one) and not one.optional]
    pretrained = [one for one in runs if one.phase in early]
    if not pretrained or len(pretrained) == len(runs):
        return
    starts = {stage.fingerprint for one in runs for stage in one.stages[:-1] if stage.kind == "train"}
    went_on = [one for one in pretrained if one.stages[-1].fingerprint in starts]
    ending = [one for one in pretrained if one.stages[-1].fingerprint not in starts]
    if not ending:
        return
    reading = reading_of_steps(case)
    seconds = gpu_seconds(reading)
    total, share = share_of((seconds[one.id] for one in ending), reading)
    yield NOT_CONTINUED.finding(
        f"{len(ending)} of {counted(len(pretrained), 'pretrained model')} ({format_duration(total)}, "
        f"{format_share(share)}) {'is' if len(ending) == 1 else 'are'} never fine-tuned: what pretraining brings to "
        f"fine-tuned tasks is measured on {len(went_on) or 'none'} of them",
        where=phases[ending[0].phase].where,
        evidence={
            "not_continued": [one.id for one in ending],
            "continued": [one.id for one in went_on],
        },
        hint="Add chains that start from the pretrained models: stages: [{data: CORPUS}, {data: TASK}].",
    )


def _is_pretraining(id: str, phases: dict[str, Phase]) -> bool:
    """By its name or that of a phase around it: no key says it."""
    while id in phases:
        if _PRETRAINING.search(phases[id].name) or _PRETRAINING.search(id):
            return True
        id = phases[id].parent
    return False


_PLAN = """headway: 1
model: Qwen/Qwen2-0.5B
stated: {step: 1 s}
datasets: {papers: {rows: 1M, length: 200}, reviews: {rows: 1M, length: 200}}
run: {machine: RTX 4090}
"""
_PHASES = _PLAN + (
    "phases:\n  small: {data: papers, steps: 1k}\n  large: {data: papers, steps: 9k}\n"
    "questions: {scale: {ask: More steps?, along: KEY, answered_by: [WHICH]}}\n"
)
_PRETRAIN = _PLAN + "phases:\n  pretraining: {data: papers, steps: 9k}\n  fine-tuning: STAGES\n"
_TARGET = _PHASES.replace("along: KEY", "target: 80% of gpt-4").replace("WHICH", "small, large")

NO_CONTRAST = Rule(
    code="HW501",
    name="question without a contrast",
    severity="warning",
    says="The runs that answer a question differ in what it asks along, with all else equal.",
    because="Two runs that differ in two things cannot tell which of them made the difference: an optimal mixture "
    "cannot be found among mixtures of different data that each have one ratio.",
    fails=_PHASES.replace("KEY", "adapter.rank").replace("WHICH", "small, large"),
    passes=_PHASES.replace("KEY", "steps").replace("WHICH", "small, large"),
    find=_without_contrast,
)
NO_SCORE = Rule(
    code="HW502",
    name="target without a score",
    severity="warning",
    says="A target that is a share of a reference has the reference's score.",
    because="80 % of an unknown number cannot be reached or missed; the score of a reference depends on task, prompt "
    "and date, so it has to be measured or cited.",
    fails=_TARGET,
    passes=_TARGET + "references: {gpt-4: {scores: {reviews: 0.9}}}\n",
    find=_without_score,
)
ORPHANS = Rule(
    code="HW503",
    name="runs that answer no question",
    severity="warning",
    says="Every run that trains is named by a question, where questions name runs.",
    because="Hours that no question needs are the first to save. A question that is answered by `all` names no run.",
    fails=_PHASES.replace("KEY", "steps").replace("WHICH", "small"),
    passes=_PHASES.replace("KEY", "steps").replace("WHICH", "small, large"),
    find=_orphans,
)
NO_MEASURE = Rule(
    code="HW504",
    name="question without a measure",
    severity="info",
    says="A question says along which key runs are compared, or what is aimed at.",
    because="A question without a measure is answered after the fact, by whichever difference looks largest; one run "
    "for each arm makes that easy.",
    fails=_PHASES.replace("along: KEY, ", "").replace("WHICH", "small, large"),
    passes=_PHASES.replace("KEY", "steps").replace("WHICH", "small, large"),
    find=_unread,
)
NOT_CONTINUED = Rule(
    code="HW505",
    name="pretraining that nothing continues",
    severity="info",
    says="A pretrained model is fine-tuned somewhere in a plan that also fine-tunes.",
    because="Where fine-tuning always starts from the base model, its benefit from pretraining is never measured.",
    fails=_PRETRAIN.replace("STAGES", "{data: reviews, steps: 1k}"),
    passes=_PRETRAIN.replace("STAGES", "{stages: [{data: papers, steps: 9k}, {data: reviews, steps: 1k}]}"),
    find=_not_continued,
)
RULES = (NO_CONTRAST, NO_SCORE, ORPHANS, NO_MEASURE, NOT_CONTINUED)
