"""What one estimate is made with: plan, resolved names, rates, joint draws of every constant, measurements.

Owns the shared draws, so that doubt which is shared by many experiments (the machine's rates, the tokens of a
dataset) is drawn once and moves all of them together.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from zlib import crc32

import numpy as np

from headway.domain.calibration import Calibration, draw_range
from headway.domain.experiment import Batches, Lengths
from headway.domain.lookup import Lookup, Machine
from headway.domain.machine import Node
from headway.domain.measurement import MeasuredWork, Measurement
from headway.domain.plan import Plan, Stage
from headway.domain.spread import Draws, Kind, Spread
from headway.domain.units import Range
from headway.estimate.nouns import Basis, Rates, StageEstimate
from headway.estimate.resolve import Job, gpu_range, resolve
from headway.predict.pilot import reach
from headway.predict.speed.predict import predict_step
from headway.predict.speed.situation import Situation
from headway.predict.speed.state import Framework, Speed, framework_of

DRAWS = 400
DRAWS_OF_LARGE_PLANS = 200
OWN = "your own runs"
"""Name of the stack that measured steps of the plan itself make."""
LARGE = 2000
"""Experiments above which fewer draws are taken, to keep 100,000 of them within memory."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What was computed already under one seed: shared by all estimates that differ only in the plan's options."""

    constants: dict[int, Mapping[str, Draws]] = field(default_factory=dict)
    """By number of draws."""
    bases: dict[tuple[object, ...], Basis] = field(default_factory=dict)
    tasks: dict[tuple[object, ...], Spread] = field(default_factory=dict)
    lengths: dict[tuple[int, Lengths], Draws] = field(default_factory=dict)
    batches: dict[tuple[object, ...], tuple[Batches, Batches]] = field(default_factory=dict)
    errors: dict[tuple[int, str], Draws] = field(default_factory=dict)
    """Of predicted steps, by number of draws and device, as factors: the first that was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Inputs and shared draws of one estimate. `stages` remembers what was computed already."""

    plan: Plan
    lookup: Lookup
    rates: Rates
    machine: str
    """Overrides the machine of every stage; empty: as the plan says."""
    constants: Mapping[str, Draws]
    middles: Mapping[str, float]
    """The p50 of each constant: what the fit of steps was made with."""
    speed: Speed
    framework: Framework
    slower: Mapping[str, Range]
    """By assumed device and dtype: how many times slower than predicted its own measured steps are."""
    sources: Mapping[str, str]
    """Source of each constant."""
    own: Collection[str]
    """Constants that were measured on the machine of the estimate."""
    titles: Mapping[str, str]
    """Words for each constant."""
    seed: int
    """Decides every draw that is not among `constants`: each value draws from a stream of its own name."""
    draws: int
    measurements: Mapping[tuple[str, str, int], Mapping[str, Measurement]]
    """By (pace of a stage, device, number of devices), then term."""
    stages: dict[tuple[object, ...], StageEstimate] = field(default_factory=dict)
    drawn: dict[tuple[float, float, float, str], Spread] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)

    def kind(self, constant: str) -> Kind:
        """How the rate of something around a step is known: measured where it runs, else assumed of every machine."""
        return "measured" if constant in self.own else "assumed"

    def usable(self, value: Spread) -> Spread:
        """A stated spread as it is under stated rates, and as draws beside predictions (one draw per value)."""
        if self.rates == "stated" or value.draws is not None or value.is_exact:
            return value
        key = (value.p10, value.p50, value.p90, value.source)
        if key not in self.drawn:
            draws = draw_range(Range(value.p10, value.p50, value.p90), self._stream(value.source), self.draws)
            self.drawn[key] = Spread.from_draws(draws, value.kind, value.source)
        return self.drawn[key]

    def length_factor(self, lengths: Lengths) -> Draws:
        """Draws of a mean row length over its middle, shape (draws,); one prior is one draw, however often used."""
        key = (self.draws, lengths)
        if key not in self.memory.lengths:
            spread = Range(lengths.mean_low, lengths.mean, lengths.mean_high)
            drawn = draw_range(spread, self._stream(lengths.source), self.draws)
            self.memory.lengths[key] = drawn / lengths.mean
        return self.memory.lengths[key]

    def step_error(self, device: str, ends: Range) -> Draws:
        """Draws of a measured step over its prediction, p10 to p90 at `ends`; one score for all steps on a device."""
        drawn = draw_range(ends, self._stream(f"a step on {device}"), self.draws)
        self.memory.errors.setdefault((self.draws, device), drawn)
        return drawn

    def _stream(self, name: str) -> np.random.Generator:
        """Random numbers of one named value, whatever else is drawn before it."""
        return np.random.default_rng((self.seed, crc32(name.encode())))

    def drawn_range(self, ends: Range, name: str) -> Draws:
        """Draws from p10 to p90 at `ends`, shape (draws,); the same for the same name."""
        return draw_range(ends, self._stream(name), self.draws)

    def timed(self, stage: Stage, machine: Machine) -> Mapping[str, Measurement]:
        """What was measured for this stage on so many of this device, by term."""
        return self.measurements.get((stage.pace, machine.node.device.name, _gpus(stage)), {})

    def measured(self, stage: Stage, machine: Machine, steps: int) -> dict[str, Spread]:
        """Seconds per unit of every term that was measured for this stage on this device, as draws: of so many steps
        the mean one.
        """
        return {
            term: self.usable(Spread.from_range(_over(item, steps), "measured", _source(item)))
            for term, item in self.timed(stage, machine).items()
        }


def make_setting(
    plan: Plan,
    lookup: Lookup,
    calibration: Calibration,
    speed: Speed,
    *,
    rates: Rates,
    machine: str,
    measurements: tuple[Measurement, ...],
    seed: int,
    own: Collection[str] = (),
    memory: Memory | None = None,
    stages: dict[tuple[object, ...], StageEstimate] | None = None,
) -> Setting:
    """The setting of one estimate; `seed` decides every draw.

    `memory` may be shared between settings of the same seed and calibration, whatever their plans; `stages` between
    those whose datasets and tasks are the same too.
    """
    count = DRAWS if len(plan.experiments) <= LARGE else DRAWS_OF_LARGE_PLANS
    by_stage = _by_stage(measurements)
    speed, framework, slower = _with_own_steps(plan, lookup, calibration, speed, by_stage)
    shared = memory or Memory()
    if count not in shared.constants:
        shared.constants[count] = calibration.draws(np.random.default_rng(seed), count)
    return Setting(
        plan=plan,
        lookup=lookup,
        rates=rates,
        machine=machine,
        constants=shared.constants[count],
        middles=calibration.middle(),
        speed=speed,
        framework=framework,
        slower=slower,
        sources={name: constant.source for name, constant in calibration.constants.items()},
        own=own,
        titles={name: constant.title for name, constant in calibration.constants.items()},
        seed=seed,
        draws=count,
        measurements=by_stage,
        memory=shared,
        stages={} if stages is None else stages,
    )


_Terms = Mapping[str, Measurement]
_Key = tuple[str, str, int]


def _by_stage(measurements: Iterable[Measurement]) -> dict[_Key, _Terms]:
    """By stage, device and number of devices, then term; of several the last counts."""
    found: dict[_Key, dict[str, Measurement]] = {}
    for item in measurements:
        found.setdefault((item.stage, item.device, item.gpus), {})[item.term] = item
    return dict(found)


def _gpus(stage: Stage) -> int:
    return max(1, math.ceil(gpu_range(stage).mid))


def _over(item: Measurement, steps: int) -> Range:
    """Seconds of one unit on average over a run of so many steps, whatever run was in mind when it was measured."""
    if item.doubt is None:
        return item.seconds
    ends = math.exp(reach(item.doubt, steps))
    return Range(item.seconds.mid / ends, item.seconds.mid, item.seconds.mid * ends)


def _source(item: Measurement) -> str:
    """`measured here 2026-11-21, 212 steps`."""
    noun = "step" if item.term in ("step", "data_wait") else "timing"
    return f"{item.source} {item.date}".strip() + f", {item.repeats:,} {noun}{'' if item.repeats == 1 else 's'}"


def situation_of(job: Job, framework: Framework) -> Situation:
    """What is known of a job's step before it runs."""
    return Situation(
        architecture=job.architecture,
        recipe=job.recipe,
        batches=job.batches,
        node=job.node,
        stack=framework.stack,
        family=framework.family,
        kernels=framework.words,
    )


def _with_own_steps(
    plan: Plan,
    lookup: Lookup,
    calibration: Calibration,
    speed: Speed,
    by_stage: Mapping[_Key, _Terms],
) -> tuple[Speed, Framework, dict[str, Range]]:
    """The predictor, the plan's framework and `Setting.slower`, as measured steps of the plan teach them."""
    framework = framework_of(plan.run.framework, speed)
    measured = {key: terms["step"] for key, terms in by_stage.items() if "step" in terms}
    taught = _measured_situations(plan, lookup, replace(framework, stack=OWN), measured)
    if not taught:
        return speed, framework, {}
    from headway.predict.learning.calibrate import calibrate  # few plans have measured steps
    from headway.predict.learning.sample import sample_of

    middles, seconds = calibration.middle(), [measured[key].seconds * (1 / share) for key, (_, share) in taught.items()]
    own = [situation for situation, _ in taught.values()]
    learnt = calibrate(speed, sample_of(own, [one.mid for one in seconds], middles))
    return learnt, replace(framework, stack=OWN), _slower(own, seconds, learnt, middles)


def _slower(
    situations: Iterable[Situation], seconds: Iterable[Range], speed: Speed, middles: Mapping[str, float]
) -> dict[str, Range]:
    """`Setting.slower`. The fit trusts a device's facts and moves little for a step; those of an assumed one are none.

    The middle of several steps is their geometric mean, the ends are the farthest.
    """
    ratios: dict[str, list[Range]] = {}
    for situation, one in zip(situations, seconds, strict=True):
        if situation.node.device.is_assumed:
            ratio = one * (1 / predict_step(situation, speed, middles).p50_s)
            ratios.setdefault(situation.device, []).append(ratio)
    return {
        device: Range(
            min(one.low for one in found),
            math.exp(sum(math.log(one.mid) for one in found) / len(found)),
            max(one.high for one in found),
        )
        for device, found in ratios.items()
    }


def _measured_situations(
    plan: Plan, lookup: Lookup, framework: Framework, measured: Mapping[_Key, Measurement]
) -> dict[_Key, tuple[Situation, float]]:
    """What measured steps computed, as the plan says it, else as the measurement does; and how full they were.

    A step on another number of GPUs is another step.
    """
    stages = {stage.pace: stage for experiment in plan.experiments for stage in experiment.stages}
    machines = {machine.node.device.name: machine for machine in lookup.machines.values()}
    found = {}
    for key, item in measured.items():
        pace, device, gpus = key
        stage = stages.get(pace)
        if device not in machines or (stage is not None and (stage.kind != "train" or gpus != _gpus(stage))):
            continue
        if stage is not None:
            job = resolve(stage, plan, lookup, machines[device])
            found[key] = situation_of(job, framework), job.step_share
        elif item.work is not None:
            found[key] = _left_the_plan(item.work, machines[device].node, framework), 1.0
    return found


def _left_the_plan(work: MeasuredWork, node: Node, framework: Framework) -> Situation:
    """The step of a stage that the plan no longer has, on one device."""
    return Situation(
        architecture=work.architecture,
        recipe=work.recipe,
        batches=work.batches,
        node=replace(node, gpus=1, nodes=1, link=None),
        stack=framework.stack,
        family=framework.family,
        kernels=framework.words,
    )
