"""Names of a plan become facts: architectures, machines with prices and billing, token lengths.

Owns the wiring of plan and catalog, and the sentence that says how an unclear name was read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from headway.app.machines import machine_from, nearest_offers
from headway.catalog import (
    find_model,
    read_config,
)
from headway.domain.calibration import P90_SCORE, Calibration
from headway.domain.errors import UserError
from headway.domain.experiment import Architecture, Lengths
from headway.domain.lookup import Lookup, Machine
from headway.domain.plan import Dataset, MachineSpec, Plan, Stage
from headway.domain.units import Range
from headway.estimate.resolve import gpu_range
from headway.work.batches import LENGTH_SIGMA, mixed_quantiles, with_mean

ASSUMED = "(assumed)"
"""Mark of a model's source whose shape is taken from another model of its size."""


def resolve(
    plan: Plan,
    calibration: Calibration,
    *,
    like: tuple[Plan, Lookup] | None = None,
    known: Mapping[str, Architecture] = MappingProxyType({}),
) -> Lookup:
    """Everything the plan names, looked up. UserError with the place of the name that is unknown or ambiguous.

    `like` is another plan with its names resolved: a machine that is the same there is not looked up again. `known`
    are models that need no looking up: those of an imported file.
    """
    stages = [stage for experiment in plan.experiments for stage in experiment.stages]
    widest = max((math.ceil(gpu_range(stage).mid) for stage in stages), default=1)
    machines = {
        name: _known(name, spec, widest, like) or machine_from(spec, widest) for name, spec in plan.run.machines.items()
    }
    return Lookup(
        architectures=_architectures(stages, plan.file, known),
        machines=machines,
        lengths=_lengths(plan, calibration),
        offers=nearest_offers(machines.get(plan.run.machine)),
        notes={name: arch.source for name, arch in known.items() if ASSUMED in arch.source},
    )


def _known(name: str, spec: MachineSpec, widest: int, like: tuple[Plan, Lookup] | None) -> Machine | None:
    """The machine of that name where another plan has the very same one, of enough GPUs."""
    if like is None or like[0].run.machines.get(name) != spec:
        return None
    machine = like[1].machines[name]
    return machine if spec.gpus or machine.node.gpus >= widest else None


def _architectures(stages: Iterable[Stage], file: str, known: Mapping[str, Architecture]) -> Mapping[str, Architecture]:
    found: dict[str, Architecture] = dict(known)
    for stage in stages:
        if stage.model is None or stage.model.use in found:
            continue
        try:
            found[stage.model.use] = _architecture(stage.model.use, file)
        except UserError as error:
            raise error.at(stage.model.where, "model") from error
    return found


def _architecture(name: str, file: str) -> Architecture:
    """A folder or config.json beside the plan, else a model of the catalog."""
    beside = Path(file).parent / name if file else Path(name)
    if name.endswith(".json") or name.startswith((".", "/")) or beside.is_dir():
        return read_config(beside)
    return find_model(name)


def _lengths(plan: Plan, calibration: Calibration) -> Mapping[str, Lengths]:
    """Row lengths of every dataset that is trained on or evaluated."""
    stages = (stage for experiment in plan.experiments for stage in experiment.stages)
    cap = max((stage.recipe.max_length or 0 for stage in stages), default=0) or None
    return {name: row_lengths(name, plan.datasets, cap, calibration) for name in plan.datasets}


def row_lengths(name: str, datasets: Mapping[str, Dataset], cap: int | None, calibration: Calibration) -> Lengths:
    """Token lengths of a dataset: as stated or read, of a mixture the weighted mean of its parts, else a wide prior.

    `cap` is the largest `max_length` of the plan, in tokens.
    """
    dataset = datasets[name]
    if dataset.length is not None and not dataset.length.unknown:
        return _stated_lengths(dataset)
    parts = [(row_lengths(part, datasets, cap, calibration), share) for part, share in dataset.mix]
    if any(part.kind != "assumed" for part, _ in parts):
        return Lengths(
            mean=sum(part.mean * share for part, share in parts),
            mean_low=sum(part.mean_low * share for part, share in parts),
            mean_high=sum(part.mean_high * share for part, share in parts),
            quantiles=mixed_quantiles(parts) if all(part.quantiles or part.fixed for part, _ in parts) else (),
            kind="stated",
            source=f"rows of the parts of {name}, by their shares",
        )
    return _prior(cap, calibration)


def _prior(cap: int | None, calibration: Calibration) -> Lengths:
    """Rows of unknown length: of usual size, or the usual share of `max_length` where that is longer.

    The prior is of rows before truncation: what `max_length` cuts is counted where batches are made.
    """
    rows, share = calibration["row_tokens"], calibration["length_mean_share"]
    shares = share.range * float(cap or 0)
    low, mid, high = (max(pair) for pair in zip(_ends(rows.range), _ends(shares), strict=True))
    source = f"{low:,.0f}-{mid:,.0f}-{high:,.0f} tokens in a row, before truncation"
    return Lengths(mean=mid, mean_low=low, mean_high=high, source=f"{source}: {rows.source}")


def _ends(value: Range) -> tuple[float, float, float]:
    return value.low, value.mid, value.high


SHORTEST_SCORE = 3.1
"""Standard normal score of the shortest of a thousand rows."""


def _bounded(known: Mapping[str, float], mean: float) -> Mapping[str, float]:
    """What is known of a sample, with the shortest row that goes with a mean and a longest one."""
    if "max" not in known or "min" in known or "sd" in known or "median" in known:
        return known
    usual = mean * math.exp(-LENGTH_SIGMA * (SHORTEST_SCORE + LENGTH_SIGMA / 2))
    return {**known, "min": known["max"] if known["max"] <= mean else usual}


def _stated_lengths(dataset: Dataset) -> Lengths:
    value = dataset.length
    assert value is not None  # the caller asked
    known, doubt = value.statistics, value.range
    mean = known.get("mean", value.mid)
    quantiles = dataset.length_quantiles
    if not quantiles and known:
        known = _bounded(known, mean)
        quantiles = tuple((q, known[key]) for q, key in ((0.0, "min"), (0.5, "median"), (1.0, "max")) if key in known)
    if "sd" in known and "median" not in known:
        reach, ends = P90_SCORE * known["sd"], dict(quantiles)
        least, most = ends.get(0.0, 1.0), ends.get(1.0, math.inf)
        quantiles = ((0.1, max(least, mean - reach)), (0.5, mean), (0.9, min(most, mean + reach)))
        quantiles = tuple(sorted((*ends.items(), *quantiles)))
    if not quantiles and not doubt.is_point:  # ends are p10 and p90, of the rows as of their mean
        quantiles = ((0.1, doubt.low), (0.5, doubt.mid), (0.9, doubt.high))
    found = Lengths(
        mean=mean,
        mean_low=mean if known else doubt.low,
        mean_high=mean if known else doubt.high,
        quantiles=quantiles if len(quantiles) > 1 else (),
        fixed=len({tokens for _, tokens in quantiles}) == 1 and len(quantiles) > 1,
        kind="measured" if dataset.length_quantiles else "stated",
        source=f"stated: {value.text} ({value.where})",
    )
    bounded = {"min", "max"} <= known.keys() and not dataset.length_quantiles and not found.fixed
    free = bounded and "median" not in known and known["min"] < mean < known["max"]
    return with_mean(found, mean) if free else found
