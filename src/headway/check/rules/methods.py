"""HW2xx, methods: what adapters and quantisation are believed to do to speed.

Owns stated factors and words about a method against headway's prediction of the same step without it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace

from headway.check.case import Case
from headway.check.causes import Cause, causes
from headway.check.rule import Rule
from headway.check.rules.memory import peak_with
from headway.domain.errors import Finding, Position
from headway.domain.plan import Stage
from headway.domain.statement import Factor
from headway.domain.units import Range, format_duration, format_number, format_share
from headway.estimate.nouns import Basis, StageEstimate

WITHOUT = "all weights"
IN_16_BITS = "16 bits"
_WITHOUT = {WITHOUT: "all weights trained", IN_16_BITS: "weights in 16 bits"}
_ADAPTERS = re.compile(r"\b(lora|dora|peft|adapters?)\b", re.IGNORECASE)
_QUANTISED = re.compile(r"\b(int8|nf4|[48][- ]?bits?|qlora|quanti[sz]\w*|bitsandbytes)\b", re.IGNORECASE)
_FASTER = re.compile(
    r"\b(faster|speeds?|quicker|accelerat\w+)\b|(?<!parameter[- ])(?<!memory[- ])\befficien", re.IGNORECASE
)
TOLERANCE = 0.1
"""Share of a step by which a stated factor may differ from the predicted one: half the error of the best stacks."""

SLOWER = 1.05
"""Times of the full step from which an adapter's is worth a word; less is inside the prediction's own noise."""
FASTER = Range(-1.0, -TOLERANCE, 0.0)
"""What words without a figure mean: any less time than now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Belief:
    """What somebody says that a method does to the time of a step."""

    words: str
    says: str
    change: Range
    """Share of the time, negative: faster; open at one end where no figure is given."""
    without: str
    """The key of `Basis.otherwise_s` that it is compared with."""
    source: str
    where: Position


def _beliefs(case: Case) -> Iterator[_Belief]:
    seen = set()
    for experiment in case.plan.experiments:
        for stage in experiment.stages:
            for factor in stage.stated.factors:
                without = compared(factor.cause)
                if without and factor.change.unit == "share" and factor.change.where not in seen:
                    seen.add(factor.change.where)
                    yield _factor(factor, without, stage.stated.source)
    for claim in case.plan.claims:
        for index, words in enumerate(claim.values):
            if claim.path[-1] == "says" and isinstance(words, str) and _FASTER.search(words) and compared(words):
                item = "" if claim.owner else f"claims.says.{index}"
                yield _Belief(
                    words=words.rstrip("."), says="", change=FASTER, without=compared(words), source="",
                    where=case.plan.positions.get(item, claim.where),
                )  # fmt: skip


def _factor(factor: Factor, without: str, source: str) -> _Belief:
    change = factor.change
    ends = sorted(factor.sign * end for end in (change.range.low, change.range.mid, change.range.high))
    unknown = FASTER if factor.sign < 0 else Range(0.0, TOLERANCE, math.inf)
    return _Belief(
        words=factor.cause, says=change.stated_as or change.text, change=unknown if change.unknown else Range(*ends),
        without=without, source=change.source or source, where=change.where,
    )  # fmt: skip


def compared(words: str) -> str:
    """What a step of the method that words name is compared with; empty where they name none."""
    return IN_16_BITS if _QUANTISED.search(words) else WITHOUT if _ADAPTERS.search(words) else ""


def _predicted(case: Case, without: str) -> Cause | None:
    """The first stage of the plan that has the method."""
    found = causes(case, lambda _, stage: without if stage.basis and without in stage.basis.otherwise_s else None)
    return found[0] if found else None


def effect(basis: Basis, without: str) -> float:
    """Share of its time that the method adds to a step; negative where it is faster."""
    return basis.otherwise_s["as planned"] / basis.otherwise_s[without] - 1


def _in_words(change: float) -> str:
    if change > 1:
        return f"{format_number(1 + change)} x the time"
    return f"{format_share(abs(change))} {'faster' if change < 0 else 'slower'}"


def _contradicted(case: Case) -> Iterator[Finding]:
    for belief in _beliefs(case):
        cause = _predicted(case, belief.without)
        if cause is None:
            continue
        found = effect(cause.basis, belief.without)
        stated = belief.change
        if stated.low - TOLERANCE <= found <= stated.high + TOLERANCE:
            continue
        step_s, other_s = cause.basis.otherwise_s["as planned"], cause.basis.otherwise_s[belief.without]
        said = f"{belief.words}: {belief.says}" if belief.says else f'"{belief.words}"'
        yield METHOD.finding(
            f"{said}{'' if belief.source else ', without a source'}: headway predicts {_in_words(found)} here, "
            f"{format_duration(step_s)} a step against {format_duration(other_s)} with {_WITHOUT[belief.without]}",
            where=belief.where,
            evidence={
                "experiments": cause.ids, "stated_share": [stated.low, stated.high],
                "predicted_share": found, "step_s": step_s, "without_s": other_s,
            },
            hint="Name a measurement as its source, or leave it out: a factor without one is an assumption.",
        )  # fmt: skip


def _no_gain(_: Stage, stage: StageEstimate) -> Hashable:
    """An adapter on weights in 16 bits that is slower than training all of them, which would fit as well."""
    basis = stage.basis
    if basis is None or not basis.otherwise_s or basis.recipe.quantize != "none":
        return None
    if 1 + effect(basis, WITHOUT) <= SLOWER or not _fits_in_full(basis):
        return None
    return (basis.model, basis.node.device.name)


def _fits_in_full(basis: Basis) -> bool:
    """True where all weights could be trained on the same GPU: only there is the adapter a choice."""
    return peak_with(basis, replace(basis.recipe, adapter=None)) <= basis.usable_memory_bytes.p50


def _saves_no_time(case: Case) -> Iterator[Finding]:
    found = causes(case, _no_gain)
    if not found or any(belief.without == WITHOUT for belief in _beliefs(case)):
        return
    for cause in found:
        step_s, other_s = cause.basis.otherwise_s["as planned"], cause.basis.otherwise_s[WITHOUT]
        yield NO_FASTER.finding(
            f"the adapter on {cause.basis.model} saves memory, not time: headway predicts {format_duration(step_s)} a "
            f"step, and {format_duration(other_s)} for training all weights in 16 bits",
            where=case.plan.where("adapter"),
            evidence={"experiments": cause.ids, "step_s": step_s, "all_weights_s": other_s},
            hint="Keep it for its memory and small checkpoints; fewer layers (targets: [q, v]) cost less of it.",
        )


_LORA = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 10k, length: 128}}
adapter: {{method: lora, rank: 4}}
micro_batch: 8
run: {{machine: RTX 4090}}
stated:
  factors: {{LoRA against full fine-tuning: {factor}}}
"""
_TARGETS = """headway: 1
model: Qwen/Qwen2-1.5B
data: {{rows: 10k, length: {{mean: 1024, min: 1024, max: 1024}}}}
adapter: {{method: lora, rank: 8, targets: {targets}}}
micro_batch: 4
run: {{machine: A100 SXM 80GB}}
"""

METHOD = Rule(
    code="HW205",
    name="method faster than predicted",
    severity="warning",
    says="What a method is said to do to speed agrees with the prediction within 10 % of a step.",
    because="LoRA needs two thirds of the FLOP of full fine-tuning, which is time only where FLOP decide: users report "
    "30.5 against 29 h (huggingface/peft#664) and 150 against 260 min, slower (jingyaogong/minimind#88). LLM.int8 "
    "saves memory and costs time (Dettmers et al. 2022, section 4: slower below 13B).",
    fails=_LORA.format(factor="30-40% faster"),
    passes=_LORA.format(factor="5-20% slower"),
    find=_contradicted,
)
NO_FASTER = Rule(
    code="HW206",
    name="adapter without speed",
    severity="info",
    says="An adapter whose step is more than 5 % slower than training all weights is chosen for its memory.",
    because="Adapters on every layer add two small products to each, and small models wait for kernel launches: "
    "Qwen2-0.5B takes as long either way (hiyouga/LlamaFactory#4966).",
    fails=_TARGETS.format(targets="all-linear"),
    passes=_TARGETS.format(targets="[q, v]"),
    find=_saves_no_time,
)
RULES = (METHOD, NO_FASTER)
