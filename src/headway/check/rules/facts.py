"""HW3xx, facts: devices, models, instances and prices that are not as the plan says.

Owns what the catalog contradicts.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from headway.check.case import Case
from headway.check.causes import causes
from headway.check.rule import Rule
from headway.domain.errors import Finding
from headway.domain.plan import Stage
from headway.estimate.nouns import Basis, StageEstimate


def _absent_format(_: Stage, stage: StageEstimate) -> Hashable:
    basis = stage.basis
    if basis is None or basis.recipe.precision in basis.node.device.peak_flop_per_s:
        return None
    return (basis.node.device.name, basis.recipe.precision)


def _formats(case: Case) -> Iterator[Finding]:
    for cause in causes(case, _absent_format):
        device, precision = cause.basis.node.device, cause.basis.recipe.precision
        yield ABSENT_FORMAT.finding(
            f"{device.name} has no {precision} in hardware: it is emulated, or computed in a wider format",
            where=case.plan.where("precision"),
            evidence={"experiments": cause.ids, "device": device.name, "precision": precision},
            hint=f"Use {' or '.join(device.peak_flop_per_s)}.",
        )


def _too_long(_: Stage, stage: StageEstimate) -> Hashable:
    basis = stage.basis
    if basis is None or not 0 < _limit(basis) < (basis.recipe.max_length or 0):
        return None
    return (basis.model, basis.recipe.max_length)


def _limit(basis: Basis) -> int:
    """Positions that the model has a row for or, with computed ones, has been trained on; 0 where nobody says."""
    return basis.architecture.learned_positions or basis.architecture.max_positions


def _positions(case: Case) -> Iterator[Finding]:
    for cause in causes(case, _too_long):
        basis = cause.basis
        positions, learned = _limit(basis), basis.architecture.learned_positions > 0
        yield TOO_LONG.finding(
            f"{basis.model} {'has' if learned else 'is made for'} {positions:,} positions and max_length is "
            f"{basis.recipe.max_length:,}",
            where=case.plan.where("max_length"),
            evidence={"experiments": cause.ids, "positions": positions, "max_length": basis.recipe.max_length},
            hint=f"Use max_length: {positions}, or another model.",
            severity=None if learned else "warning",
        )


_FORMAT = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 1k, length: {{mean: 128, max: 128}}}}
adapter: {{method: lora, rank: 8}}
precision: {precision}
run: {{machine: T4}}
"""
_LENGTH = """headway: 1
model: gpt2
data: {{rows: 1k, length: {{mean: 512, max: 512}}}}
max_length: {tokens}
run: {{machine: A100 SXM 80GB}}
"""

ABSENT_FORMAT = Rule(
    code="HW301",
    name="number format without hardware",
    severity="warning",
    says="A device computes in number formats that it has hardware for.",
    because="bf16 on a T4 runs at 2.25 TFLOP/s, fp16 at 25 (chsasank/device-benchmarks): ten times slower.",
    fails=_FORMAT.format(precision="bf16"),
    passes=_FORMAT.format(precision="fp16"),
    find=_formats,
)
TOO_LONG = Rule(
    code="HW302",
    name="rows longer than the model",
    severity="error",
    says="max_length stays within a model's positions.",
    because="A learned table has no row for a later position: the lookup fails at the first long row. Computed "
    "positions beyond those of pretraining are a warning: quality falls there (Chen et al. 2023, arXiv:2306.15595).",
    fails=_LENGTH.format(tokens=4096),
    passes=_LENGTH.format(tokens=1024),
    find=_positions,
)
RULES = (ABSENT_FORMAT, TOO_LONG)
