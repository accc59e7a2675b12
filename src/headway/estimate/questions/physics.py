"""What cannot be, or hardly is: stated rates against the device's peak, models against its memory.

Owns the remarks an estimate makes on its own inputs. Linting a plan is `check/`.
"""

from __future__ import annotations

from collections.abc import Iterable

from headway.domain.errors import Finding, Position
from headway.domain.plan import Plan
from headway.domain.units import Range, format_bytes, format_flop, format_number, format_share
from headway.estimate.nouns import Basis, ExperimentEstimate, StageEstimate
from headway.predict.rates import dense_peak_flop_per_s

IMPOSSIBLE = 1.0
SUSPICIOUS = 0.03
"""Below this share of the dense peak a training step is mostly overhead, or the rate is wrong."""


def stated_utilisation(stage: StageEstimate) -> Range | None:
    """Share of the dense peak that the stated step time implies: useful FLOP only (no padding, no recompute)."""
    if stage.basis is None or stage.stated_step_s is None or stage.stated_step_s.p10 <= 0:
        return None
    basis, step = stage.basis, stage.stated_step_s
    peak = peak_flop_per_s(basis)
    ends = (
        basis.useful_flop.low / step.p90,
        basis.useful_flop.mid / step.p50,
        basis.useful_flop.high / step.p10,
    )
    return Range(*(end / peak for end in ends))


def peak_flop_per_s(basis: Basis) -> float:
    """Dense peak of all GPUs of the job in the dtype it computes in."""
    return dense_peak_flop_per_s(basis.node.device, basis.recipe.precision) * basis.node.total_gpus


def findings(experiments: Iterable[ExperimentEstimate], plan: Plan) -> tuple[Finding, ...]:
    """One remark per cause, with the experiments it holds for in its evidence."""
    causes: dict[tuple[object, ...], tuple[StageEstimate, list[str]]] = {}
    for item in experiments:
        for stage in item.stages:
            for code in _codes(stage):
                causes.setdefault(_cause(code, stage), (stage, []))[1].append(item.id)
    return tuple(_finding(str(cause[0]), stage, ids, plan) for cause, (stage, ids) in causes.items())


def _cause(code: str, stage: StageEstimate) -> tuple[object, ...]:
    """What two remarks must share to be one: model and device, and the verdict or the stated step."""
    basis, step = stage.basis, stage.stated_step_s
    if basis is None:
        return (code,)
    verdict = basis.fits if code == "HW701" else (step.p10, step.p90) if step else None
    return (code, basis.model, basis.node.device.name, basis.node.total_gpus, verdict)


def _codes(stage: StageEstimate) -> list[str]:
    used = stated_utilisation(stage)
    codes = []
    if used is not None and used.low > IMPOSSIBLE:
        codes.append("HW201")
    if used is not None and used.high < SUSPICIOUS:
        codes.append("HW203")
    basis = stage.basis
    if basis is None:
        return codes
    if basis.fits != "yes":
        codes.append("HW701")
    if basis.recipe.precision not in basis.node.device.peak_flop_per_s:
        codes.append("HW301")
    if 0 < basis.architecture.learned_positions < (basis.recipe.max_length or 0):
        codes.append("HW302")
    return codes


def _finding(code: str, stage: StageEstimate, ids: list[str], plan: Plan) -> Finding:
    basis = stage.basis
    assert basis is not None  # every code above asks for one
    evidence: dict[str, object] = {"experiments": ids, "device": basis.node.device.name}
    if code == "HW701":
        return _too_large(basis, evidence, plan)
    return _absent(code, basis, evidence, plan) if code.startswith("HW3") else _rate(code, stage, basis, evidence, plan)


def _too_large(basis: Basis, evidence: dict[str, object], plan: Plan) -> Finding:
    device, usable = basis.node.device, format_bytes(basis.usable_memory_bytes.p50)
    chance = f"may not fit: fits with a probability of {format_share(basis.fits_probability)}"
    return Finding(
        code="HW701",
        severity="error" if basis.fits == "no" else "warning",
        message=f"{basis.model} needs {format_bytes(basis.peak_memory_bytes.p50)} a GPU at its peak "
        f"({basis.memory_moment}) of {usable} usable on {device.name}: "
        + ("does not fit" if basis.fits == "no" else chance),
        where=plan.where("model"),
        evidence=evidence | {"peak_bytes": basis.peak_memory_bytes.p50, "probability": basis.fits_probability},
        hint=f"Try {_remedies(basis)}.",
    )


def _absent(code: str, basis: Basis, evidence: dict[str, object], plan: Plan) -> Finding:
    """A number format that the device has not, or positions that the model has not."""
    if code == "HW301":
        precision, device = basis.recipe.precision, basis.node.device.name
        message = f"{device} has no {precision} in hardware: it is emulated, or computed in a wider format"
        return Finding(code=code, severity="warning", message=message, where=plan.where("precision"), evidence=evidence,
                       hint=f"Use {' or '.join(basis.node.device.peak_flop_per_s)}.")  # fmt: skip
    positions = basis.architecture.learned_positions
    message = f"{basis.model} has {positions:,} positions and max_length is {basis.recipe.max_length:,}"
    return Finding(code=code, severity="error", message=message, where=plan.where("max_length"), evidence=evidence,
                   hint=f"Use max_length: {positions}, or another model.")  # fmt: skip


def _remedies(basis: Basis) -> str:
    """What would need less memory and is not done already."""
    recipe, found = basis.recipe, []
    if recipe.micro_batch > 1:
        found.append("a smaller micro_batch")
    if recipe.max_length is None:
        found.append("a max_length")
    if recipe.gradient_checkpointing != "full":
        found.append("gradient_checkpointing: full")
    if recipe.adapter is None:
        found.append("an adapter")
    elif recipe.quantize == "none":
        found.append("quantize: nf4")
    if basis.node.total_gpus > 1 and recipe.parallel.sharding != "zero3":
        found.append("parallel: fsdp")
    return ", ".join(found) or "a larger GPU or more of them"


def _rate(code: str, stage: StageEstimate, basis: Basis, evidence: dict[str, object], plan: Plan) -> Finding:
    """A stated step against the peak: more than there is, or hardly any of it."""
    used = stated_utilisation(stage)
    assert used is not None  # the code says so
    gpus = basis.node.total_gpus
    device = basis.node.device.name if gpus == 1 else f"{gpus} x {basis.node.device.name}"
    peak = format_flop(peak_flop_per_s(basis)) + "/s"
    impossible = code == "HW201"
    if impossible:
        message = (
            f"the stated step is impossible: {format_flop(basis.useful_flop.mid)} in it is {format_number(used.low)} "
            f"to {format_number(used.high)} x the dense peak of {device} ({peak})"
        )
        hint = "Measure a step, or leave the stated rate out."
    else:
        message = (
            f"the stated step uses {format_share(used.mid)} of the dense peak of {device} ({peak}): mostly waiting, "
            "or the rate is wrong"
        )
        hint = "Measure a step before believing the hours; a larger batch or packing may be the cure."
    return Finding(
        code=code,
        severity="error" if impossible else "warning",
        message=message,
        where=_stated_at(stage, plan),
        evidence=evidence | {"share_of_peak": [used.low, used.mid, used.high], "useful_flop": basis.useful_flop.mid},
        hint=hint,
    )


def _stated_at(stage: StageEstimate, plan: Plan) -> Position:
    """Where the stated step stands."""
    for experiment in plan.experiments:
        for item in experiment.stages:
            parts = item.stated.terms.get("step")
            if parts and item.name == stage.name:
                return next(iter(parts.values())).where
    return plan.where("stated.step")
