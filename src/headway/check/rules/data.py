"""HW54x, experimental design: data that is trained on and scored, repeated, cut off or padded.

Owns datasets as a plan uses them. What rows cost is `work.batches`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass

from headway.check.case import Case
from headway.check.causes import Cause, causes
from headway.check.rule import Rule
from headway.check.trained import evaluated_tasks, names_of, parts_of, rows_of, trained_datasets
from headway.check.words import counted, listed
from headway.domain.errors import Finding, Position
from headway.domain.plan import Dataset, Plan, Stage
from headway.domain.units import format_number, format_share
from headway.estimate.nouns import StageEstimate

MOST_EPOCHS = 4.0
"""Passes up to which repeated data is worth almost as much as new data (Muennighoff et al. 2023, arXiv:2305.16264)."""
MOST_TRUNCATED = 0.05
MOST_TRUNCATED_UNSEEN = 0.25
"""Where only a mean is known and the spread around it is assumed."""
MOST_PADDING = 0.3


def _on_test_sets(case: Case) -> Iterator[Finding]:
    trained = trained_datasets(case.plan)
    scored = {case.plan.tasks[task].data: task for task in evaluated_tasks(case.plan)[1]}
    for id, runs in trained.items():
        dataset = case.plan.datasets[id]
        tested = dataset.split == "test"
        made = bool(names_of(dataset) & case.known.benchmarks)
        if not tested and not made:
            continue
        certain = tested and id in scored
        what = f"the test split of {dataset.name}" if tested else f"{dataset.name}, which is made for evaluation"
        task = case.plan.tasks[scored[id]].name if id in scored else ""
        yield ON_TEST_SET.finding(
            f"{counted(len(runs), 'run')} train{'s' if len(runs) == 1 else ''} on {what}"
            + (f", and {task} scores the same rows" if certain else f"; {task} scores it" if task else "")
            + ": its scores mean nothing afterwards",
            where=case.plan.positions.get(f"datasets.{id}.split", dataset.where),
            evidence={"runs": list(runs), "count": len(runs), "split": dataset.split, "made_for_evaluation": made,
                      "scored_by": task},
            hint="Train on other rows, and keep these for evaluation.",
            severity="error" if certain else "warning",
        )  # fmt: skip


def _nothing_held_out(case: Case) -> Iterator[Finding]:
    scored = {case.plan.tasks[task].data for task in evaluated_tasks(case.plan)[1]}
    held_out = {
        part
        for one in case.plan.experiments
        for stage in one.stages
        if stage.validation_share
        for part in parts_of(stage.data, case.plan)
    }
    shared = [
        case.plan.datasets[id]
        for id in trained_datasets(case.plan)
        if id in scored and id not in held_out and case.plan.datasets[id].split == "train"
    ]
    unclear = [one for one in shared if not names_of(one) & (case.known.rows.keys() | case.known.benchmarks)]
    if unclear:
        yield SAME_ROWS.finding(
            f"{listed([one.name for one in unclear])} {'is' if len(unclear) == 1 else 'are'} trained on and scored, "
            "and the plan does not say that other rows are scored",
            where=unclear[0].where,
            evidence={"datasets": [one.id for one in unclear], "count": len(unclear)},
            hint="Define the held-out rows as a dataset (split: test) and name it as the task's data.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Repeated:
    """How often the run that repeats a dataset most sees it."""

    epochs: float
    run: str
    steps: int
    rows: float
    stage: Stage


def _hidden_epochs(case: Case) -> Iterator[Finding]:
    worst: dict[str, _Repeated] = {}
    for cause in causes(case, _run_by_steps):
        basis, steps = cause.basis, cause.estimate.steps
        for part, share in parts_of(cause.stage.data, case.plan).items():
            rows = rows_of(case.plan.datasets[part], case)
            epochs = steps * basis.batches.rows_per_step * share / rows if rows else 0.0
            if epochs > MOST_EPOCHS and (part not in worst or epochs > worst[part].epochs):
                run = cause.ids[0]
                worst[part] = _Repeated(epochs=epochs, run=run, steps=steps, rows=rows or 0.0, stage=cause.stage)
    if not worst:
        return
    ordered = sorted(worst, key=lambda id: -worst[id].epochs)
    first = worst[ordered[0]]
    said = [
        f"{case.plan.datasets[ordered[0]].name} is seen {format_number(first.epochs)} times ({first.run}: "
        f"{first.steps:,} steps over {first.rows:,.0f} rows)",
        *(f"{case.plan.datasets[id].name} {format_number(worst[id].epochs)} times" for id in ordered[1:]),
    ]
    yield HIDDEN_EPOCHS.finding(
        f"steps hide epochs: {listed(said)}",
        where=_budget_at(first.stage, case.plan),
        evidence={
            "epochs": {id: worst[id].epochs for id in ordered},
            "runs": {id: worst[id].run for id in ordered},
            "steps": {id: worst[id].steps for id in ordered},
            "rows": {id: worst[id].rows for id in ordered},
        },
        hint=f"Beyond {MOST_EPOCHS:.0f} epochs repeated rows teach less and less: fewer steps, or more data.",
    )


def _run_by_steps(stage: Stage, estimate: StageEstimate) -> Hashable:
    """Stages bounded in steps or tokens; packed rows are not counted in rows of the data."""
    bounded = stage.steps is not None or stage.tokens is not None
    if estimate.basis is None or not bounded or estimate.basis.recipe.pack:
        return None
    return (stage.data, estimate.steps, estimate.basis.batches.rows_per_step)


def _budget_at(stage: Stage, plan: Plan) -> Position:
    value = stage.steps or stage.tokens
    return value.where if value is not None and value.where.line else stage.where


def _truncating(stage: Stage, estimate: StageEstimate) -> Hashable:
    basis = estimate.basis
    if basis is None or "length" in basis.assumed:
        return None
    most = MOST_TRUNCATED_UNSEEN if "row lengths" in basis.assumed else MOST_TRUNCATED
    return (stage.data, basis.recipe.max_length) if basis.batches.truncated_share > most else None


def _truncates(case: Case) -> Iterator[Finding]:
    for cause in causes(case, _truncating):
        basis, dataset = cause.basis, case.plan.datasets[cause.stage.data]
        share = basis.batches.truncated_share
        yield TRUNCATES.finding(
            f"max_length {basis.recipe.max_length:,} cuts off {format_share(share)} of the rows of {dataset.name}",
            where=case.plan.where("max_length"),
            evidence={"experiments": cause.ids, "share": share, "max_length": basis.recipe.max_length},
            hint="Raise max_length, or split long rows: what is cut off is often the answer.",
        )


def _padding(stage: Stage, estimate: StageEstimate) -> Hashable:
    """Stages that mostly compute padding, where lengths are known and not only their mean."""
    basis = estimate.basis
    if basis is None or basis.recipe.pack or {"length", "row lengths"} & basis.assumed.keys():
        return None
    return (stage.data, basis.batches.micro_rows) if basis.batches.padding_share > MOST_PADDING else None


def _pads(case: Case) -> Iterator[Finding]:
    for cause in causes(case, _padding):
        dataset, share = case.plan.datasets[cause.stage.data], cause.basis.batches.padding_share
        yield PADS.finding(
            f"{format_share(share)} of the computed tokens of {dataset.name} are padding: rows of one pass are as "
            f"long as the longest of {cause.basis.batches.micro_rows}",
            where=_length_at(dataset, case.plan),
            evidence={"experiments": cause.ids, "share": share, "rows_in_a_pass": cause.basis.batches.micro_rows},
            hint="Say pack: true, or group rows by length.",
        )


def _guessed_lengths(case: Case) -> Iterator[Finding]:
    guessed: dict[str, Cause] = {}
    for cause in causes(case, _by_data):
        for part in parts_of(cause.stage.data, case.plan):
            if _is_guessed(case.plan.datasets[part]) and _is_guessed(case.plan.datasets[cause.stage.data]):
                guessed.setdefault(part, cause)
    if not guessed:
        return
    datasets = [case.plan.datasets[id] for id in guessed]
    cause = next(iter(guessed.values()))
    limit = cause.basis.recipe.max_length
    cut = cause.basis.batches.truncated_share
    yield GUESSED.finding(
        f"tokens in a row are not measured: {listed([one.name for one in datasets])}; time is in proportion "
        "to them"
        + (
            f", and if rows are as usual max_length {limit} cuts off {format_share(round(cut, 2))} of them"
            if limit and cut
            else ""
        ),
        where=_length_at(datasets[0], case.plan),
        evidence={"datasets": [one.id for one in datasets], "count": len(datasets), "truncated_share": cut},
        hint="Run the tokenizer over a thousand rows and say length: {mean, min, max, n}.",
    )


def _by_data(stage: Stage, estimate: StageEstimate) -> Hashable:
    return None if estimate.basis is None else stage.data


def _is_guessed(dataset: Dataset) -> bool:
    """No length at all; a range that no sample stands behind is `samples`."""
    return not dataset.length_quantiles and (dataset.length is None or dataset.length.unknown)


def _length_at(dataset: Dataset, plan: Plan) -> Position:
    if dataset.length is not None and dataset.length.where.line:
        return dataset.length.where
    return dataset.where if dataset.where.line else plan.where("data")


_PLAN = """headway: 1
model: Qwen/Qwen2-0.5B
datasets: {papers: {rows: 1k, length: LENGTH}, KEPT}
tasks: {reading: {data: SCORED}}
data: papers
evaluate: reading
micro_batch: 8
max_length: 512
run: {machine: RTX 4090}
"""
_KEPT = _PLAN.replace("KEPT", "kept: {rows: 100, length: 200, split: test}")
_LENGTH = _KEPT.replace("SCORED", "kept")
_STEPS = _LENGTH.replace("LENGTH", "200").replace("micro_batch", "steps: NUMBER\nmicro_batch")

ON_TEST_SET = Rule(
    code="HW541",
    name="training on a test set",
    severity="error",
    says="No run trains on a test split or on a dataset that is made for evaluation.",
    because="A model that has seen the answers is scored on its memory. An error where a task scores the very rows.",
    fails=_PLAN.replace("LENGTH", "200, split: test").replace(", KEPT", "").replace("SCORED", "papers"),
    passes=_KEPT.replace("LENGTH", "200").replace("SCORED", "kept"),
    find=_on_test_sets,
)
SAME_ROWS = Rule(
    code="HW542",
    name="rows not held out",
    severity="info",
    says="A dataset that is trained on is scored on other rows, and the plan says which.",
    because="Rows that a model was trained on say how well it remembers, not how well it generalises.",
    fails=_PLAN.replace("LENGTH", "200").replace(", KEPT", "").replace("SCORED", "papers"),
    passes=_KEPT.replace("LENGTH", "200").replace("SCORED", "kept"),
    find=_nothing_held_out,
)
HIDDEN_EPOCHS = Rule(
    code="HW543",
    name="epochs hidden in steps",
    severity="warning",
    says="A number of steps passes over its data at most four times.",
    because="Up to 4 epochs repeated rows are worth almost as much as new ones, and with more the worth of further "
    "training decays to nothing (Muennighoff et al. 2023, arXiv:2305.16264, in pretraining); fine-tuning overfits "
    "sooner. Steps x batch / rows are epochs.",
    fails=_STEPS.replace("NUMBER", "5000"),
    passes=_STEPS.replace("NUMBER", "500"),
    find=_hidden_epochs,
)
TRUNCATES = Rule(
    code="HW544",
    name="rows cut off",
    severity="warning",
    says="max_length cuts off at most 5 % of the rows.",
    because="What is cut off is the end of a row, where instruction data has its answer.",
    fails=_LENGTH.replace("LENGTH", "{mean: 600, min: 100, max: 2000}"),
    passes=_LENGTH.replace("LENGTH", "{mean: 300, min: 100, max: 500}"),
    find=_truncates,
)
PADS = Rule(
    code="HW545",
    name="mostly padding",
    severity="info",
    says="At most 30 % of the computed tokens are padding.",
    because="Padding costs what tokens cost. Packing computes none of it; batches of like lengths compute little.",
    fails=_LENGTH.replace("LENGTH", "{mean: 120, min: 10, max: 500}"),
    passes=_LENGTH.replace("LENGTH", "{mean: 120, min: 10, max: 500}").replace("micro", "pack: true\nmicro"),
    find=_pads,
)
GUESSED = Rule(
    code="HW546",
    name="row lengths not measured",
    severity="info",
    says="Tokens in a row come from a sample.",
    because="Time is in proportion to tokens, and guesses of them are off by a factor of three as easily as not: a "
    "template dominates short rows, a few documents dominate long ones. The tokenizer settles it in a minute.",
    fails=_LENGTH.replace("LENGTH", "unknown"),
    passes=_LENGTH.replace("LENGTH", "{mean: 200, min: 100, max: 300, n: 1000}"),
    find=_guessed_lengths,
)
RULES = (ON_TEST_SET, SAME_ROWS, HIDDEN_EPOCHS, TRUNCATES, PADS, GUESSED)
