"""HW2xx, physics: what no machine can do, and what hardly any would.

Owns stated rates against the device's dense peak and against headway's prediction.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from headway.check.case import Case
from headway.check.causes import Cause, causes
from headway.check.rule import Rule
from headway.domain.errors import Finding, Position
from headway.domain.plan import Plan, Stage
from headway.domain.units import Range, format_duration, format_flop, format_number, format_share
from headway.estimate.nouns import Basis, StageEstimate
from headway.predict.rates import dense_peak_flop_per_s

IMPOSSIBLE = 1.0
DOUBTFUL = 0.6
"""Published training hardly exceeds this share: 8 of 1,870 steps of dense models on V100, A100 and H100."""
SUSPICIOUS = 0.03
"""Below this share of the dense peak a training step is mostly overhead, or the rate is wrong."""
APART = 1.5
"""Times that a stated step must lie outside the predicted interval before it is worth a word."""
LIKE = 1.4
"""Two factors this near to each other may have one cause."""


def stated_utilisation(stage: StageEstimate) -> Range | None:
    """Share of the dense peak that the stated step time implies: useful FLOP only (no padding, no recompute).

    None where no step is stated, and on a device whose peak is a guess.
    """
    if stage.basis is None or stage.stated_step_s is None or stage.stated_step_s.p10 <= 0:
        return None
    if stage.basis.node.device.is_assumed:
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


def _hardly(_: Stage, stage: StageEstimate) -> Hashable:
    used = stated_utilisation(stage)
    return _same_step(stage) if used is not None and DOUBTFUL < used.low <= IMPOSSIBLE else None


def _far(_: Stage, stage: StageEstimate) -> Hashable:
    """Steps that the peak does not settle already: a step far under it is far from the prediction, too."""
    if _times_apart(stage) is None or any(told(_, stage) is not None for told in (_exceeding, _idle)):
        return None
    return _same_step(stage)


def _times_apart(stage: StageEstimate) -> float | None:
    """The stated step over the predicted one, middle by middle; None where their intervals come near each other."""
    if stage.basis is None or stage.stated_step_s is None or stage.stated_step_s.p10 <= 0:
        return None
    stated, predicted = stage.stated_step_s, stage.basis.step_s
    if max(stated.p10 / predicted.p90, predicted.p10 / stated.p90) < APART:
        return None
    return stated.p50 / predicted.p50


def _exceeds(case: Case) -> Iterator[Finding]:
    for cause in causes(case, _exceeding):
        used, basis, peak = _shown(cause)
        yield EXCEEDS_PEAK.finding(
            f"the stated step is impossible: {format_flop(basis.useful_flop.mid)} in it is {_times(used)} x the "
            f"dense peak of {peak}",
            where=stated_step_at(cause, case.plan),
            evidence=_evidence(cause),
            hint="Measure a step, or leave the stated rate out.",
        )


def _times(used: Range) -> str:
    """A range of factors, one where its ends read alike."""
    low, high = format_number(used.low), format_number(used.high)
    return low if low == high else f"{low} to {high}"


def _doubts(case: Case) -> Iterator[Finding]:
    for cause in causes(case, _hardly):
        used, _, peak = _shown(cause)
        yield NEAR_PEAK.finding(
            f"the stated step uses {format_share(used.low)} of the dense peak of {peak}, at least: published training "
            f"hardly reaches {format_share(DOUBTFUL)}",
            where=stated_step_at(cause, case.plan),
            evidence=_evidence(cause),
            hint="Say where the rate comes from, or measure a step.",
        )


def _differs(case: Case) -> Iterator[Finding]:
    for cause in causes(case, _far):
        stated, predicted, apart = cause.estimate.stated_step_s, cause.basis.step_s, _times_apart(cause.estimate)
        assert stated is not None and apart is not None  # the cause says so
        size = f"{format_number(apart)} x as long as" if apart > 1 else f"{format_number(1 / apart)} x shorter than"
        between = f"{format_duration(predicted.p10)} to {format_duration(predicted.p90)}"
        yield FAR_FROM_PREDICTION.finding(
            f"the stated step of {format_duration(stated.p50)} is {size} headway predicts "
            f"({format_duration(predicted.p50)}, {between}): {_likely(cause.basis, apart)}",
            where=stated_step_at(cause, case.plan),
            evidence={
                "experiments": cause.ids,
                "stated_s": [stated.p10, stated.p50, stated.p90],
                "predicted_s": [predicted.p10, predicted.p50, predicted.p90],
                "times": apart,
                "evidence": cause.basis.evidence,
            },
            hint="Measure twenty steps before booking anything.",
        )


def _likely(basis: Basis, apart: float) -> str:
    """What the factor between a stated and a predicted step looks like."""
    gpus, passes = basis.node.total_gpus, basis.recipe.grad_accum
    if passes > 1 and passes / LIKE < 1 / apart < passes * LIKE:
        return f"it looks like one pass, and an optimizer step has {passes}"
    if gpus > 1 and gpus / LIKE < apart < gpus * LIKE:
        return f"it looks like a step on one of the {gpus} GPUs"
    if apart < 1:
        return "rates of another model, of shorter rows or of a larger GPU look like this"
    return "rates of a smaller GPU, of longer rows, or with loading, evaluation and saves counted in look like this"


def _wastes(case: Case) -> Iterator[Finding]:
    for cause in causes(case, _idle):
        used, _, peak = _shown(cause)
        yield WASTES_PEAK.finding(
            f"the stated step uses {format_share(used.mid)} of the dense peak of {peak}: mostly waiting, or the rate "
            f"is wrong{_beside_prediction(cause)}",
            where=stated_step_at(cause, case.plan),
            evidence=_evidence(cause),
            hint="Measure a step before believing the hours; a larger batch or packing may be the cure.",
        )


def _beside_prediction(cause: Cause) -> str:
    """How far the step is from headway's own, where that is far."""
    stated, apart, step_s = cause.estimate.stated_step_s, _times_apart(cause.estimate), cause.basis.step_s.p50
    if stated is None or apart is None or apart < 1:
        return ""
    return f"; it takes {format_duration(stated.p50)}, {format_number(apart)} x the {format_duration(step_s)} predicted"


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
NEAR_PEAK = Rule(
    code="HW202",
    name="step near the peak",
    severity="warning",
    says="A stated step uses at most 60 % of the dense peak.",
    because="Of 1,870 published steps of dense models on V100, A100 and H100, eight use more, seven of them BERT, "
    "whose head computes few of its tokens. More is often a step of less work than the plan counts.",
    fails=_STATED.format(step="120 ms"),
    passes=_STATED.format(step="0.4 s"),
    find=_doubts,
)
FAR_FROM_PREDICTION = Rule(
    code="HW204",
    name="step far from the prediction",
    severity="warning",
    says="A stated step lies within 1.5 times of the interval that headway predicts.",
    because="The interval holds 80 % of published steps of its kind; a rate far outside decides every hour of the "
    "plan, and mostly belongs to another GPU, another batch or another model.",
    fails=_STATED.format(step="2 s"),
    passes=_STATED.format(step="0.4 s"),
    find=_differs,
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
RULES = (EXCEEDS_PEAK, NEAR_PEAK, WASTES_PEAK, FAR_FROM_PREDICTION)
