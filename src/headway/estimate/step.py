"""What one optimizer step of a job takes: seconds and memory, draw by draw, and what that rests on.

Owns how doubt enters a step: about row lengths, about the machine and its software, about what was never fitted.
Seconds and bytes themselves are `predict/`; what surrounds a step is `predicted`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from headway.domain.calibration import draw_range
from headway.domain.experiment import Batches, Lengths
from headway.domain.lookup import Machine
from headway.domain.machine import Node
from headway.domain.measurement import Measurement
from headway.domain.software import Software
from headway.domain.spread import Draws, Kind, Spread
from headway.domain.statement import Value as StatedValue
from headway.domain.units import Range, format_duration
from headway.estimate.nouns import Basis
from headway.estimate.resolve import Job
from headway.estimate.setting import Setting, situation_of
from headway.predict.fits import said, usable_bytes, verdict
from headway.predict.memory import MemoryNeed, memory
from headway.predict.peak.basis import LEFT_OUT, group_of
from headway.predict.peak.measured import peak_of_run
from headway.predict.peak.software import software_of
from headway.predict.rates import dense_peak_flop_per_s
from headway.predict.speed.predict import StepTime, predict_step
from headway.predict.values import Value, constant, middle
from headway.work.batches import collate
from headway.work.parameters import count_parameters, trainable_parameters
from headway.work.step import step_work

MODEL = "headway's fit of published steps"
MEMORY = "headway's count of tensors"
MFU = "mfu"
"""Key of a plan's `assume` that replaces the model of a step by one share of the dense peak."""
SHORT_TAIL = 2.0
"""The longest row over the mean one, at least, where nothing but the mean is known."""
SAME_LENGTH = 0.99
"""Of the longest planned row: from here on a measured row is as long."""
AT_THE_LIMIT = 0.5
"""Probability that a run fits whose probe did, though by every count of memory it should not have. Assumed."""
CLEARLY_LESS = 0.95
"""Of what the machine says is usable: from there on a stated memory is another one, and not the same rounded."""
FEW_DRAWS = 0.05
"""Share of draws in which the probe fits from which these alone say whether the run does."""
HARDLY_FASTER = 0.97
"""Share of a full step from which an adapter is said not to save time: half the error of the best known stacks."""
GUESS_NARROWS = "a minute of `headway measure` on the machine itself would put a measurement in the place of a guess"
_PRODUCTS = ("linear", "recompute")
GUESSED = Range(0.2, 1.0, 8.0)
"""Time of a step over that on the assumed CPU: two sockets of 64 cores are several times faster, two cores shared with
others several times slower. Assumed; a measurement takes its place."""


def basis_of(setting: Setting, job: Job) -> Basis:
    """Step time, memory and utilisation of a job; computed once for all jobs that cost the same."""
    bases = setting.memory.bases
    shape = replace(job.batches, steps_per_epoch=1, last_batch_rows=1, packed_rows=1.0)
    plan = setting.plan
    said = (str(plan.assume.get(MFU, "")), plan.run.framework, job.stage.parallel_kind)
    key = (setting.draws, job.architecture, job.recipe, shape, job.lengths, *said, *node_key(job.node))
    if key not in bases:
        bases[key] = _basis(setting, job)
    return replace(bases[key], batches=job.batches, assumed=job.assumed)


def _basis(setting: Setting, job: Job) -> Basis:
    shown = _predicted(setting, job, job.batches)
    step = _assumed(setting, job) or _terms(setting, job, shown)
    kind, source = _known_as(job, shown)
    step_s = spread_of(sum(step.values()), kind, source)
    work = step_work(job.architecture, job.recipe, job.batches)
    need = _memory(setting, job)
    usable = usable_bytes(job.node.device, setting.constants)
    fits, probability = verdict(need, usable)
    model = job.stage.model
    otherwise = _otherwise(setting, job, shown)
    return Basis(
        model=model.use if model else "",
        architecture=job.architecture,
        recipe=job.recipe,
        node=job.node,
        batches=job.batches,
        step_terms_s={name: spread_of(value, kind, source) for name, value in step.items()},
        step_s=step_s,
        flop_per_step=work.flop * job.node.total_gpus,
        useful_flop=_useful_flop(job),
        binds=shown.binds,
        utilisation=spread_of(shown.model_flop_utilisation * shown.p50_s / sum(step.values()), kind, source),
        tier=shown.tier,
        evidence=shown.evidence,
        narrows=shown.narrows if kind == "predicted" else GUESS_NARROWS,
        fitted_on=setting.speed.source,
        memory_terms_bytes={name: spread_of(value, "predicted", MEMORY) for name, value in need.terms.items()},
        peak_memory_bytes=spread_of(need.peak_bytes, "predicted", MEMORY),
        usable_memory_bytes=spread_of(usable, "assumed", setting.sources["usable_memory_share"]),
        memory_moment=need.moment,
        fits=fits,
        fits_probability=probability,
        trainable_parameters=trainable_parameters(job.architecture, job.recipe).total,
        parameters=count_parameters(job.architecture).total,
        otherwise_s=otherwise,
        assumed=job.assumed,
        warnings=(*(warning.message for warning in shown.warnings), *_no_faster(job, otherwise)),
    )


def _predicted(setting: Setting, job: Job, batches: Batches) -> StepTime:
    """One step on these batches, by the fitted predictor."""
    situation = situation_of(job, setting.framework)
    found = predict_step(replace(situation, batches=batches), setting.speed, setting.middles)
    times = setting.slower.get(situation.device)
    return found if times is None else found.slower(times)


def _known_as(job: Job, shown: StepTime) -> tuple[Kind, str]:
    """Kind and source of a step: on a device that is a guess, until it was measured, a guess too."""
    device = job.node.device
    if device.is_assumed and shown.tier != "measured":
        return "assumed", f"{MODEL}, for a {device.name} that is {device.source}"
    return "predicted", MODEL


def _terms(setting: Setting, job: Job, shown: StepTime) -> dict[str, Draws]:
    """Seconds of one step by term: at the drawn row lengths, times one draw of the prediction's error.

    The error is drawn once for a device, so that all steps on it are wrong together: doubt about a machine and its
    software does not average out over experiments.
    """
    batches = by_length(setting, job)
    times = [shown if one is job.batches else _predicted(setting, job, one) for one in batches]
    wide = GUESSED if _known_as(job, shown)[0] == "assumed" else Range.point(1.0)
    ends = Range(wide.low * shown.p10_s / shown.p50_s, 1.0, wide.high * shown.p90_s / shown.p50_s)
    error = setting.step_error(job.node.device.name, ends)
    found = {
        name: over_lengths(setting, job, [time.terms_s[name] for time in times]) * error * unfitted
        for name, unfitted in _unfitted(setting, job, shown.terms_s).items()
    }
    return {name: draws for name, draws in found.items() if np.any(draws)}


def _unfitted(setting: Setting, job: Job, terms: Mapping[str, float]) -> dict[str, Value]:
    """By term, what moves it besides the fit: the fit has no rows of LLM.int8, and two of cards that throttle."""
    shares: dict[str, tuple[str, ...]] = {"sustained_share": (*_PRODUCTS, "attention", "head")}
    if job.recipe.quantize == "int8":
        shares["int8_efficiency"] = _PRODUCTS
    found: dict[str, Value] = dict.fromkeys(terms, 1.0)
    for name, moved in shares.items():
        variant = job.node.device.generation
        factor = constant(setting.middles, name, variant) / constant(setting.constants, name, variant)
        for term in moved:
            found[term] = found[term] * factor
    return found


def _assumed(setting: Setting, job: Job) -> dict[str, Draws]:
    """The step at the utilisation that the plan assumes (`assume: {mfu: 30-40%}`); empty where it assumes none."""
    asked = setting.plan.assume.get(MFU)
    if not isinstance(asked, StatedValue):
        return {}
    mfu = draw_range(asked.range, np.random.default_rng(setting.seed), setting.draws)
    work = step_work(job.architecture, replace(job.recipe, gradient_checkpointing="none"), job.batches)
    peak = dense_peak_flop_per_s(job.node.device, job.recipe.precision)
    return {"at the assumed utilisation": np.asarray(work.flop / (peak * mfu))}


def _otherwise(setting: Setting, job: Job, shown: StepTime) -> dict[str, float]:
    """Seconds of the step as planned, without the adapter, and with the adapter on weights in 16 bits."""
    recipe = job.recipe
    if recipe.adapter is None:
        return {}
    others = {"all weights": replace(recipe, adapter=None, quantize="none")}
    if recipe.quantize != "none":
        others["16 bits"] = replace(recipe, quantize="none")
    found = {name: _predicted(setting, replace(job, recipe=one), job.batches).p50_s for name, one in others.items()}
    return {"as planned": shown.p50_s, **found}


def _no_faster(job: Job, otherwise: Mapping[str, float]) -> tuple[str, ...]:
    """A warning where an adapter saves memory and no time: small models wait for launches, and adapters add some."""
    if job.recipe.adapter is not None and job.recipe.adapter.method == "dora":
        return ("DoRA is counted as LoRA: the norms of its weights, in every pass, make it slower than this",)
    if not otherwise or otherwise["as planned"] < HARDLY_FASTER * otherwise["all weights"]:
        return ()
    step_s, other_s = otherwise["as planned"], otherwise["all weights"]
    times = f"{format_duration(step_s)} against {format_duration(other_s)} a step"
    base = "" if job.recipe.quantize == "none" else f" on weights in {job.recipe.quantize}"
    return (f"the adapter{base} saves memory, not time: {times} for training all weights in 16 bits",)


def _memory(setting: Setting, job: Job) -> MemoryNeed:
    """Memory for the longest rows; where only a mean length is known, between those of a short and a long tail."""
    constants, batches, software = setting.constants, job.batches, software_for(setting, job)
    need = memory(job.architecture, job.recipe, batches, constants, software)
    short = min(SHORT_TAIL * batches.real_row_tokens, batches.longest_row_tokens)
    if job.recipe.pack or job.lengths.fixed or job.lengths.quantiles or short == batches.longest_row_tokens:
        return need
    least = memory(job.architecture, job.recipe, replace(batches, longest_row_tokens=short), constants, software)
    share = np.linspace(0.0, 1.0, setting.draws)[np.random.default_rng(setting.seed).permutation(setting.draws)]
    moments = {
        name: {
            term: least.moments[name][term] + (size - least.moments[name][term]) * share for term, size in terms.items()
        }
        for name, terms in need.moments.items()
    }
    return MemoryNeed(moments=moments)


def with_measured_memory(setting: Setting, basis: Basis, measured: Measurement | None, machine: Machine) -> Basis:
    """The basis with the peak that a probe saw, where its longest row was that of the stage.

    What the probe did not see (on a GPU the context, and what the allocator keeps) stays predicted. Of what it saw,
    weights stay and all else is scaled, so that terms still add up. The verdict knows that the probe fitted: draws in
    which it should not have count for nothing. What can be used is what the machine says, but no more than the plan
    states.
    """
    seen = measured.memory if measured else None
    if seen is None:
        return basis
    if seen.longest_tokens is not None and seen.longest_tokens < SAME_LENGTH * basis.batches.longest_row_tokens:
        return basis
    unseen = LEFT_OUT[seen.seen_by]
    terms_bytes = {name: spread.drawn(setting.draws) for name, spread in basis.memory_terms_bytes.items()}
    beside_bytes = sum((size for name, size in terms_bytes.items() if name in unseen), np.zeros(setting.draws))
    run_bytes = setting.drawn_range(peak_of_run(seen), "peak of a run")
    usable, stated = basis.usable_memory_bytes, machine.spec.memory is not None
    if seen.usable_bytes is not None and not (stated and usable.p50 < CLEARLY_LESS * seen.usable_bytes):
        usable = Spread.exact(seen.usable_bytes, "measured", seen.source)
    room_bytes = usable.drawn(setting.draws) - beside_bytes
    ran = seen.peak_bytes <= room_bytes
    held, count = float(np.sum(run_bytes[ran] <= room_bytes[ran])), float(ran.sum())
    least = FEW_DRAWS * setting.draws
    probability = held / count if count >= least else (held + AT_THE_LIMIT * (least - count)) / least
    scaled_bytes = _scaled_to(run_bytes, {name: size for name, size in terms_bytes.items() if name not in unseen})
    source = f"{MEMORY}, at the peak that was seen"
    told = {name: spread_of(size, "predicted", source) for name, size in scaled_bytes.items()}
    return replace(
        basis,
        memory_terms_bytes={name: told.get(name, spread) for name, spread in basis.memory_terms_bytes.items()},
        peak_memory_bytes=spread_of(run_bytes + beside_bytes, "measured", seen.source),
        usable_memory_bytes=usable,
        fits=said(probability),
        fits_probability=probability,
    )


def _scaled_to(total_bytes: Draws, terms_bytes: Mapping[str, Draws]) -> dict[str, Draws]:
    """Terms that add up to `total_bytes`, draw by draw: weights and adapters stay as far as there is room for them."""
    held = {name for name in terms_bytes if group_of(name) == "resident"}
    resident = sum((terms_bytes[name] for name in held), np.zeros_like(total_bytes))
    others = sum(terms_bytes.values(), np.zeros_like(total_bytes)) - resident
    kept = np.where(others > 0, np.minimum(resident, total_bytes), total_bytes)
    rest = (total_bytes - kept) / np.where(others > 0, others, 1.0)
    return {
        name: size * (kept / np.where(resident > 0, resident, 1.0) if name in held else rest)
        for name, size in terms_bytes.items()
    }


def software_for(setting: Setting, job: Job) -> Software:
    """What the plan's framework does to memory, spread as the stage says: ZeRO is DeepSpeed's."""
    spread = job.stage.parallel_kind
    words = f"{setting.framework.words} deepspeed" if spread.startswith("zero") else setting.framework.words
    return software_of(words, spread)


def over_lengths(setting: Setting, job: Job, values: list[Value]) -> Draws:
    """A quantity known at low, middle and high mean length, at the drawn lengths (linear between and beyond)."""
    low, mid, high = (np.broadcast_to(np.asarray(v, dtype=float), setting.draws) for v in values)
    lengths = job.lengths
    if lengths.mean_low == lengths.mean_high:
        return np.array(mid)
    factor = setting.length_factor(lengths)
    down = (1 - factor) / max(1 - lengths.mean_low / lengths.mean, 1e-9)
    up = (factor - 1) / max(lengths.mean_high / lengths.mean - 1, 1e-9)
    moved: Draws = np.where(factor < 1, (low - mid) * down, (high - mid) * up)
    return np.asarray(np.maximum(mid + moved, 0.05 * mid), dtype=float)


def by_length(setting: Setting, job: Job) -> tuple[Batches, Batches, Batches]:
    """Batches at the low, middle and high mean row length."""
    lengths = job.lengths
    if lengths.mean_low == lengths.mean_high:
        return (job.batches, job.batches, job.batches)
    found = setting.memory.batches
    key = (lengths, job.recipe, job.batches.rows_per_step)
    if key not in found:
        found[key] = (_at_mean(job, lengths.mean_low), _at_mean(job, lengths.mean_high))
    low, high = found[key]
    return (low, job.batches, high)


def node_key(node: Node) -> tuple[object, ...]:
    """What of a node decides how long work takes on it."""
    link = (node.link.name, node.link.bytes_per_s) if node.link else ()
    return (node.device.name, node.gpus, node.nodes, link)


def _at_mean(job: Job, mean: float) -> Batches:
    lengths = longer(job.lengths, mean / job.lengths.mean)
    lengths = replace(lengths, mean_low=mean, mean_high=mean)
    recipe = job.recipe
    return collate(
        lengths, rows=job.batches.rows_per_step, micro_batch=recipe.micro_batch, grad_accum=recipe.grad_accum,
        replicas=recipe.parallel.data, max_length=recipe.max_length, pack=recipe.pack,
    )  # fmt: skip


def longer(lengths: Lengths, factor: float) -> Lengths:
    """The same distribution, every row longer by a factor."""
    if factor == 1:
        return lengths
    return replace(
        lengths,
        mean=lengths.mean * factor,
        mean_low=lengths.mean_low * factor,
        mean_high=lengths.mean_high * factor,
        quantiles=tuple((share, tokens * factor) for share, tokens in lengths.quantiles),
    )


def _useful_flop(job: Job) -> Range:
    """FLOP of one step for real tokens only: no padding, no recompute, at low, middle and high mean length."""
    recipe = replace(job.recipe, gradient_checkpointing="none")
    counts = []
    for mean in (job.lengths.mean_low, job.lengths.mean, job.lengths.mean_high):
        tokens = min(mean, recipe.max_length) if recipe.max_length and not recipe.pack else mean
        if recipe.pack:
            tokens = job.batches.real_row_tokens
        batches = replace(job.batches, row_tokens=tokens, row_tokens_squared=tokens**2, real_row_tokens=tokens)
        counts.append(step_work(job.architecture, recipe, batches).flop * job.node.total_gpus)
    return Range(*sorted(counts))


def spread_of(value: Value, kind: Kind, source: str) -> Spread:
    """Draws as a spread; a number, or draws that are all the same, as an exact one."""
    if isinstance(value, np.ndarray) and value.ndim and value.std() > 0:
        return Spread.from_draws(value, kind, source)
    return Spread.exact(middle(value), kind, source)
