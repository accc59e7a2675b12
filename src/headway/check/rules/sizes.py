"""HW3xx, sizes: claimed parameters, and how many of them are trained.

Owns the comparison with what the configuration adds up to. Counting is `work/parameters`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from headway.check.case import Case
from headway.check.claims.written import SLIP, covered, gap
from headway.check.rule import Rule
from headway.domain.errors import Finding, Fix
from headway.domain.selection import ancestry
from headway.domain.statement import Claim, Value
from headway.domain.units import Range, format_count, format_share
from headway.estimate.nouns import Basis
from headway.work.parameters import trainable_parameters

TARGETS = {"q and v": ("q", "v"), "attention": ("attention",), "MLP": ("mlp",), "all linear layers": ("all-linear",)}
"""Choices of layers that are common: PEFT's default for most models, attention alone, feed-forward alone, all."""
_IN_NAME = re.compile(r"(?<![\d.a-zA-Z])(\d+(?:\.\d+)?)([bBmM])(?![a-zA-Z])")
_SCALE = {"b": 1e9, "m": 1e6}
TRAINED = ("trainable", "trainable_share")


def _of(basis: Basis, key: str) -> tuple[float, ...]:
    """What may rightly be claimed: with and without the adapter in the whole (PEFT counts it in), and the model's name.

    `Qwen2-7B` has 7.6B parameters, and nobody errs who calls it a model of 7B.
    """
    whole, trained = float(basis.parameters), float(basis.trainable_parameters)
    both = (whole, whole + trained) if basis.recipe.adapter is not None else (whole,)
    if key == "trainable":
        return (trained,)
    if key == "trainable_share":
        return tuple(trained / one for one in both)
    return (*both, *(float(size) * _SCALE[letter.lower()] for size, letter in _IN_NAME.findall(basis.model)))


def _sizes(case: Case) -> Mapping[str, Mapping[tuple[int, int], Basis]]:
    """Different sizes in the plan, in each phase with those inside it, and in each experiment."""
    around = ancestry(case.plan.phases)
    found: dict[str, dict[tuple[int, int], Basis]] = {}
    for experiment, _, estimate in case.stages:
        basis = estimate.basis
        if basis is not None:
            for owner in ("", experiment.id, *around.get(experiment.phase, ())):
                found.setdefault(owner, {}).setdefault((basis.trainable_parameters, basis.parameters), basis)
    return found


def _contradicted(case: Case, keys: tuple[str, ...]) -> Iterator[tuple[Claim, Value, Basis]]:
    """Claims that no stage of what they are about agrees with, with a stage of it."""
    claims = [claim for claim in case.plan.claims if len(claim.path) == 1 and claim.path[0] in keys]
    sizes = _sizes(case) if claims else {}
    for claim in claims:
        found = sizes.get(claim.owner, {})
        for value in claim.values:
            if not isinstance(value, Value) or value.unknown or not found:
                continue
            right = (one for basis in found.values() for one in _of(basis, claim.path[0]))
            if all(gap(value, Range.point(one)) > SLIP for one in right):
                yield claim, value, next(iter(found.values()))


def _trained(case: Case) -> Iterator[Finding]:
    owners = set()
    for claim, value, basis in _contradicted(case, TRAINED):
        if claim.owner in owners:
            continue  # the share is the count once more
        owners.add(claim.owner)
        adapter = basis.recipe.adapter
        others = {} if adapter is None else _alternatives(basis)
        meant, factor = covered(value), basis.parameters if claim.path[0] == "trainable_share" else 1
        fitting = [name for name, count in others.items() if meant.low * factor <= count <= meant.high * factor]
        counted, share = basis.trainable_parameters, format_share(basis.trainable_parameters / basis.parameters)
        said = f"rank {adapter.rank} on {', '.join(adapter.targets)}" if adapter else "what is not frozen"
        whole = claim.path[0] == "trainable"
        sure = adapter is None or any(path.endswith("adapter.targets") for path in case.plan.positions)
        yield TRAINED_SIZE.finding(
            f"{value.text} {'' if whole else 'of the parameters '}are claimed to be trained; {said} has "
            f"{format_count(counted)}, {share} of {format_count(basis.parameters)}",
            where=value.where,
            evidence={"claimed": value.mid, "trainable": counted, "parameters": basis.parameters, "by_targets": others},
            hint=_choice(fitting, others),
            severity=None if sure else "warning",
            fix=_counted(value, format_count(counted) if whole else share) if sure else None,
        )


def _counted(value: Value, count: str) -> Fix:
    """The claim with what was counted, as a plan writes it: without commas and blanks."""
    new = count.replace(",", "").replace(" ", "")
    return Fix(where=value.where, old=value.text, new=new, says="the count of the configuration")


def _alternatives(basis: Basis) -> dict[str, int]:
    """Trained parameters at this rank for each common choice of layers."""
    recipe, adapter = basis.recipe, basis.recipe.adapter
    assert adapter is not None  # the caller asked
    return {
        name: trainable_parameters(basis.architecture, replace(recipe, adapter=replace(adapter, targets=targets))).total
        for name, targets in TARGETS.items()
    }


def _choice(fitting: list[str], others: Mapping[str, int]) -> str:
    """Which layers would have the claimed count, or what each choice has."""
    if fitting:
        return f"On {fitting[0]} it would be true: say so under adapter: {{targets: ...}}."
    counts = ", ".join(f"{name} {format_count(count)}" for name, count in others.items())
    return f"Name the layers (targets): {counts}." if counts else "Take the count of the configuration."


def _parameters(case: Case) -> Iterator[Finding]:
    for _, value, basis in _contradicted(case, ("parameters",)):
        yield MODEL_SIZE.finding(
            f"{value.text} parameters are claimed; {basis.model} has {format_count(basis.parameters)}",
            where=value.where,
            evidence={"claimed": value.mid, "parameters": basis.parameters, "model": basis.model},
            hint="Take the count of the configuration, or name the model that is meant.",
            fix=_counted(value, format_count(basis.parameters)),
        )


_CLAIM = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 1k, length: 128}}
adapter: {{method: lora, rank: 4, targets: all-linear}}
run: {{machine: RTX 4090}}
claims: {{{claim}}}
"""

TRAINED_SIZE = Rule(
    code="HW309",
    name="trained parameters miscounted",
    severity="error",
    says="Claimed trained parameters are those of the adapter's rank and layers.",
    because="An adapter of rank r trains r x (inputs + outputs) for each matrix it stands beside (Hu et al. 2021, "
    "arXiv:2106.09685, section 4.1): the layers chosen make a factor of eight.",
    fails=_CLAIM.format(claim="trainable: 2.5M"),
    passes=_CLAIM.format(claim="trainable: 2.2M"),
    find=_trained,
)
MODEL_SIZE = Rule(
    code="HW310",
    name="parameters miscounted",
    severity="error",
    says="Claimed parameters are those of the model's configuration.",
    because="Memory and FLOP are proportional to them.",
    fails=_CLAIM.format(claim="parameters: 620M"),
    passes=_CLAIM.format(claim="parameters: 500M"),
    find=_parameters,
)
RULES = (TRAINED_SIZE, MODEL_SIZE)
