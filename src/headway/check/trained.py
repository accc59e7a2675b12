"""What a plan trains on and evaluates on: datasets by run, alone or in mixtures, before and after training.

Owns these readings of a plan, which rules about baselines and overlap share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from headway.check.case import Case
from headway.domain.plan import Dataset, Experiment, Plan


def counted_experiments(plan: Plan) -> Iterator[Experiment]:
    """Experiments that are not optional."""
    return (one for one in plan.experiments if not one.optional)


def names_of(dataset: Dataset) -> frozenset[str]:
    """Names under which a catalog may know a dataset, lower case."""
    names = (dataset.id, dataset.name, dataset.name.replace(" ", "-"), dataset.origin)
    return frozenset(name.lower() for name in names if name)


def rows_of(dataset: Dataset, case: Case) -> float | None:
    """Rows as the plan says, else as the catalog knows them; None where neither does."""
    if dataset.rows is not None and not dataset.rows.unknown:
        return dataset.rows.mid
    return next((float(case.known.rows[name]) for name in names_of(dataset) if name in case.known.rows), None)


def parts_of(id: str, plan: Plan) -> Mapping[str, float]:
    """Shares (0..1) of the datasets that a dataset is mixed from, at any depth; itself alone where it is no mixture."""
    mix = plan.datasets[id].mix
    if not mix:
        return {id: 1.0}
    found: dict[str, float] = {}
    for part, share in mix:
        for inner, portion in parts_of(part, plan).items():
            found[inner] = found.get(inner, 0.0) + share * portion
    return found


def trained_datasets(plan: Plan) -> Mapping[str, tuple[str, ...]]:
    """Every dataset that is trained on, alone or in a mixture, with the runs that do."""
    found: dict[str, dict[str, None]] = {}
    for experiment in counted_experiments(plan):
        for stage in experiment.stages:
            for part in parts_of(stage.data, plan) if stage.kind == "train" else ():
                found.setdefault(part, {})[experiment.id] = None
    return {part: tuple(runs) for part, runs in found.items()}


def evaluated_tasks(plan: Plan) -> tuple[frozenset[str], frozenset[str]]:
    """Tasks on which a model is evaluated before any training (baselines), and after some."""
    before: set[str] = set()
    after: set[str] = set()
    for experiment in counted_experiments(plan):
        trained = False
        for stage in experiment.stages:
            trained = trained or stage.kind == "train"
            if stage.evaluate is not None:
                (after if trained else before).update(stage.evaluate.tasks)
    return frozenset(before), frozenset(after)
