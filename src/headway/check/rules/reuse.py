"""HW53x, experimental design: trainings that are run although others of the plan contain them.

Owns the findings about shared beginnings. What shares what is `schedule.reuse`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from headway.check.case import Case, Reading
from headway.check.hours import reading_of_steps
from headway.check.rule import Rule
from headway.check.words import counted, listed
from headway.domain.errors import Finding, Fix, Position
from headway.domain.plan import Plan
from headway.domain.units import format_duration, format_number, format_share
from headway.schedule.reuse import Contained, Training, contained

HOUR_S = 3600.0
COOLDOWN = 0.2
"""Share of its steps that a branch needs to let the learning rate fall (arXiv:2405.18392, figure 5)."""


def trainings(case: Case, reading: Reading) -> list[Training]:
    """Every training of the plan that is not optional and does not share its beginning already."""
    estimates = {item.id: item for item in reading.estimate.experiments}
    found = []
    for experiment in case.plan.experiments:
        if experiment.optional:
            continue
        pairs = zip(experiment.stages, estimates[experiment.id].stages, strict=True)
        trained = [(stage, estimate) for stage, estimate in pairs if stage.kind == "train"]
        for stage, estimate in trained:
            if stage.reuse == "none" and "step" in estimate.terms_s:
                found.append(
                    Training(
                        experiment=experiment.id,
                        phase=experiment.phase,
                        alone=len(trained) == 1,
                        stage=stage,
                        steps=estimate.steps,
                        gpu_s=estimate.terms_s["step"].p50 * estimate.gpus.mid,
                    )
                )
    return found


def _nested(case: Case) -> Iterator[Finding]:
    reading, parts = _parts(case)
    parts = [one for one in parts if one.nested]
    if parts:
        branched = sum(part.saved_gpu_s(COOLDOWN) for part in parts)
        one = len(parts) == 1
        runs = "1 run differs" if one else f"{len(parts):,} runs differ"
        yield NESTED.finding(
            f"{runs} from a longer one in nothing but steps, and train{'s' * one} its beginning again: "
            f"{_saves(parts, reading)} saved by keeping checkpoints; {listed(_scales(parts))}",
            where=_at(parts[0], case.plan),
            evidence=_evidence(parts, reading) | {"gpu_hours_saved_with_cooldown": branched / HOUR_S},
            hint=f"Say reuse: prefixes; where the learning rate has to fall for each scale, branches of "
            f"{format_share(COOLDOWN)} of the steps leave {format_duration(branched)} saved.",
            fix=_share_prefixes(case.plan),
        )


def _links(case: Case) -> Iterator[Finding]:
    reading, parts = _parts(case)
    parts = [one for one in parts if not one.part.alone]
    if parts:
        longest = sorted(parts, key=lambda one: -one.saved_gpu_s())
        stages = counted(len(parts), "stage")
        yield LINKS.finding(
            f"{stages} of chains train{'s' if len(parts) == 1 else ''} what another run trains: "
            f"{_saves(parts, reading)} saved by starting from its checkpoint; "
            f"{listed([_link(one) for one in longest])}",
            where=_at(parts[0], case.plan),
            evidence=_evidence(parts, reading),
            hint="Say reuse: prefixes, and run what is shared first.",
            fix=_share_prefixes(case.plan),
        )


def _repeats(case: Case) -> Iterator[Finding]:
    reading, parts = _parts(case)
    parts = [one for one in parts if one.part.alone and not one.nested]
    if parts:
        names = [f"{one.part.experiment} {_is(one)}" for one in parts]
        yield REPEATS.finding(
            f"{counted(len(parts), 'run')} as written {'is' if len(parts) == 1 else 'are'} contained in others: "
            f"{listed(names)} (same model, data, recipe and seed), {_saves(parts, reading)}",
            where=_at(parts[0], case.plan),
            evidence=_evidence(parts, reading),
            hint="Say what differs (params, seed, another dataset), or run it once: reuse: prefixes.",
            fix=_share_prefixes(case.plan),
        )


def _parts(case: Case) -> tuple[Reading, list[Contained]]:
    if not _may_share(case.plan):
        return case.predicted, []
    reading = reading_of_steps(case)
    found = contained(trainings(case, reading))
    return reading, [one for one in found if one.part.gpu_s > 0]


def _may_share(plan: Plan) -> bool:
    """True when two trainings take the same course, which needs no estimate to see."""
    courses = [stage.course for one in plan.experiments for stage in one.stages if stage.course and not one.optional]
    return len(set(courses)) < len(courses)


def _saves(parts: Sequence[Contained], reading: Reading) -> str:
    saved, total = sum(one.saved_gpu_s() for one in parts), reading.estimate.gpu_s.p50
    hours, of = format_number(saved / HOUR_S), format_number(total / HOUR_S)
    return f"{hours} of {of} GPU-hours ({format_share(saved / total)})"


def _scales(parts: Sequence[Contained]) -> list[str]:
    """`10,000 and 25,000 steps are in 2A/two-corpus-50k`, by longest run."""
    within: dict[str, list[str]] = {}
    for one in parts:
        within.setdefault(one.whole.experiment, []).append(f"{one.part.steps:,}")
    return [f"{listed(steps)} steps are in {whole}" for whole, steps in within.items()]


def _is(one: Contained) -> str:
    return f"is {one.same.experiment}" if one.same is not None else f"begins {one.whole.experiment}"


def _link(one: Contained) -> str:
    begins = f" and begins {one.whole.experiment}" if one.same is not None and one.same.phase != one.whole.phase else ""
    return f"{one.part.stage.name} of {one.part.experiment} {_is(one)}{begins} ({format_duration(one.saved_gpu_s())})"


def _at(one: Contained, plan: Plan) -> Position:
    for value in (one.part.stage.steps, one.part.stage.epochs, one.part.stage.tokens):
        if value is not None and value.where.line:
            return value.where
    return one.part.stage.where if one.part.stage.where.line else plan.where("data")


def _evidence(parts: Sequence[Contained], reading: Reading) -> dict[str, object]:
    saved = sum(one.saved_gpu_s() for one in parts)
    return {
        "gpu_hours_saved": saved / HOUR_S,
        "share": saved / reading.estimate.gpu_s.p50,
        "rates": reading.estimate.rates,
        "trainings": [
            {
                "experiment": one.part.experiment,
                "stage": one.part.stage.name,
                "steps": one.part.steps,
                "gpu_hours": one.saved_gpu_s() / HOUR_S,
                "same_as": one.same.experiment if one.same is not None else None,
                "contained_in": one.whole.experiment,
                "contained_in_steps": one.whole.steps,
            }
            for one in parts
        ],
    }


def _share_prefixes(plan: Plan) -> Fix | None:
    """`reuse: prefixes` as a line of its own at the top of the plan; None where the plan speaks of reuse already."""
    if any(path.rpartition(".")[2] == "reuse" for path in plan.positions):
        return None
    key = next((path for path, at in plan.positions.items() if path in _AFTER_HEADER and at.column == 1), None)
    if key is None:
        return None
    return Fix(
        where=plan.positions[key],
        old=key,
        new=f"reuse: prefixes\n{key}",
        says="trains shared beginnings once",
        safe=False,
    )


_AFTER_HEADER = frozenset(("phases", "experiments", "matrix", "stages", "data", "run"))
"""Keys before which a line may stand that holds for the whole plan."""

_HEAD = """headway: 1
model: Qwen/Qwen2-0.5B
adapter: {method: lora, rank: 8}
"""
_TAIL = """stated: {step: 1 s}
datasets: {papers: {rows: 1M, length: 200}, reviews: {rows: 1M, length: 200}}
run: {machine: RTX 4090}
"""
_SCALES = _HEAD + "data: papers\nmatrix: {steps: [10k, 25k, 50k]}\n" + _TAIL
_CHAIN = (
    _HEAD
    + """experiments:
  pretrained: {data: papers, steps: 10k}
  in-sequence: {stages: [{data: papers, steps: 5k}, {data: reviews, steps: 1k}]}
"""
    + _TAIL
)
_TWICE = (
    _HEAD
    + """phases:
  pretraining: {data: papers, steps: 10k}
  fine-tuning: {data: papers, steps: 10k}
"""
    + _TAIL
)

NESTED = Rule(
    code="HW531",
    name="step scales trained separately",
    severity="warning",
    says="Runs that differ only in steps share their beginning.",
    because="The first 10k steps of a 50k run are the 10k run: one run with checkpoints gives every scale. With a "
    "decaying learning rate each scale needs a short branch: constant rate and a cool-down of 20 % of the steps reach "
    "what a whole cosine run reaches (Hägele et al. 2024, arXiv:2405.18392).",
    fails=_SCALES,
    passes=_SCALES.replace("matrix", "reuse: prefixes\nmatrix"),
    find=_nested,
)
LINKS = Rule(
    code="HW532",
    name="chain trains what exists",
    severity="warning",
    says="A chain starts from the checkpoint of a run that trains the same.",
    because="A stage with the same start, model, data, recipe and seed as another run ends in the same model.",
    fails=_CHAIN,
    passes=_CHAIN.replace("steps: 5k", "steps: 5k, seed: 2"),
    find=_links,
)
REPEATS = Rule(
    code="HW533",
    name="same run twice",
    severity="warning",
    says="Two runs differ in model, data, recipe, steps or seed.",
    because="Runs that differ in nothing that is written give one result at twice the price; what makes them two (a "
    "prompt format, a loss) belongs into the plan, or neither can be told from the other later.",
    fails=_TWICE,
    passes=_TWICE.replace("pretraining: {", "pretraining: {params: {prompt: none}, "),
    find=_repeats,
)
RULES = (NESTED, LINKS, REPEATS)
