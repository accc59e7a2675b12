"""HW2xx, physics: what no machine can do, and what hardly any would.

Owns stated rates against the device's dense peak.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from headway.check.case import Case
from headway.check.causes import Cause, causes
from headway.check.rule import Rule
from headway.domain.errors import Finding, Position
from headway.domain.plan import Plan, Stage
from headway.domain.units import Range, format_flop, format_number, format_share
from headway.estimate.nouns import Basis, StageEstimate
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


def _same_step(stage: StageEstimate) -> Hashable:
    """What two stages share whose stated step is wrong for one reason: model, machine and the step."""
    step, basis = stage.stated_step_s, stage.basis
    assert step is not None and basis is not None  # there is a utilisation
    return (basis.model, basis.node.device.name, basis.node.total_gpus, step.p10, step.p90)


def _exceeding(_: Stage, stage: StageEstimate) -> Hashable:
    used = stated_utilisation(stage)
    return _same_step(stage) if used is not None and used.low > IMPOSSIBLE else None


def _idle(_: Stage, stage: StageEstimate) -> Hashable:
    used = stated_utilisation(stage)
    return _same_step(stage) if used is not None and used.high < SUSPICIOUS else None


def _exceeds(case: Case) -> Iterator[Finding]:
    for cause in causes(case, _exceeding):
        used, basis, peak = _shown(cause)
        yield EXCEEDS_PEAK.finding(
            f"the stated step is impossible: {format_flop(basis.useful_flop.mid)} in it is {format_number(used.low)} "
            f"to {format_number(used.high)} x the dense peak of {peak}",
            where=stated_step_at(cause, case.plan),
            evidence=_evidence(cause),
            hint="Measure a step, or leave the stated rate out.",
        )


def _wastes(case: Case) -> Iterator[Finding]:
    for cause in causes(case, _idle):
        used, _, peak = _shown(cause)
        yield WASTES_PEAK.finding(
            f"the stated step uses {format_share(used.mid)} of the dense peak of {peak}: mostly waiting, or the rate "
            "is wrong",
            where=stated_step_at(cause, case.plan),
            evidence=_evidence(cause),
            hint="Measure a step before believing the hours; a larger batch or packing may be the cure.",
        )


def _shown(cause: Cause) -> tuple[Range, Basis, str]:
    """Utilisation, basis and the machine with its peak in words."""
    used, basis = stated_utilisation(cause.estimate), cause.basis
    assert used is not None  # the cause says so
    gpus, name = basis.node.total_gpus, basis.node.device.name
    device = name if gpus == 1 else f"{gpus} x {name}"
    return used, basis, f"{device} ({format_flop(peak_flop_per_s(basis))}/s)"


def _evidence(cause: Cause) -> dict[str, object]:
    used, basis, _ = _shown(cause)
    return {
        "experiments": cause.ids,
        "device": basis.node.device.name,
        "share_of_peak": [used.low, used.mid, used.high],
        "useful_flop": basis.useful_flop.mid,
    }


def stated_step_at(cause: Cause, plan: Plan) -> Position:
    """Where the stated step, or the throughput that gives it, stands."""
    stated = cause.stage.stated
    parts = stated.terms.get("step")
    if parts:
        return next(iter(parts.values())).where
    return stated.throughput[0].where if stated.throughput else plan.where("stated.step")


_STATED = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 10k, length: 1024}}
micro_batch: 8
run: {{machine: A100 SXM 80GB}}
stated: {{step: {step}}}
"""

EXCEEDS_PEAK = Rule(
    code="HW201",
    name="step beyond the peak",
    severity="error",
    says="A stated step takes at least its FLOP over the dense peak of the machine.",
    because="No kernel is faster than the peak; published training reaches 5-60 % of it. Counted are real tokens, "
    "without padding and recomputation, so that the verdict holds for any implementation.",
    fails=_STATED.format(step="20 ms"),
    passes=_STATED.format(step="0.4 s"),
    find=_exceeds,
)
WASTES_PEAK = Rule(
    code="HW203",
    name="step far under the peak",
    severity="warning",
    says="A stated step uses at least 3 % of the dense peak.",
    because="Below that the GPU mostly waits: small batches wait for kernel launches, and larger ones or packing cure "
    "it. Or the rate is wrong, and with it every hour of the plan.",
    fails=_STATED.format(step="9 s"),
    passes=_STATED.format(step="0.4 s"),
    find=_wastes,
)
RULES = (EXCEEDS_PEAK, WASTES_PEAK)
