"""What an estimate is: named terms in seconds, by stage, experiment, phase and plan.

Owns the result nouns of the room. Terms of a record add up exactly to its total (`domain.spread.total`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from headway.domain.experiment import Architecture, Batches, Recipe
from headway.domain.machine import Node
from headway.domain.spread import Spread
from headway.domain.statement import Factor
from headway.domain.units import Range

Rates = Literal["stated", "predicted", "measured", "best"]
RATES: tuple[Rates, ...] = ("stated", "predicted", "measured", "best")
Fits = Literal["yes", "no", "uncertain"]

TERMS = (
    "load",
    "tokenize",
    "compile",
    "step",
    "data_wait",
    "evaluation",
    "checkpoint",
    "final_save",
    "generation",
    "checks",
    "work",
    "cleanup",
    "unexplained",
)
"""Terms of a stage in the order people read them. `work` is human, CPU or other work of a stated length;
`unexplained` is what a stated total holds beyond its stated parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saves:
    """Checkpoints written by a stage."""

    during: int
    """At the interval, while training."""
    final: int
    """1 when the finished model is saved."""
    kept: int
    """Of those during training, on disk at the end."""
    bytes_each: Spread | None = None
    """One that can be resumed: what is trained, with the optimizer's states."""
    final_bytes: Spread | None = None
    """The finished model, or its adapter alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What a stage's prediction rests on; shared by all stages that cost the same."""

    model: str
    architecture: Architecture
    recipe: Recipe
    node: Node
    batches: Batches
    step_terms_s: Mapping[str, Spread]
    """Predicted seconds of one optimizer step, by term."""
    step_s: Spread
    flop_per_step: float
    """Executed by all GPUs, padding and recompute included."""
    useful_flop: Range
    """Of one step for its real tokens only, without padding and recompute, over the doubt about row lengths."""
    binds: str
    """`compute`, `bandwidth`, `overhead` or `communication`."""
    utilisation: Spread
    """Model FLOP per second over the dense peak (MFU)."""
    tier: str
    """Which kind of evidence the step's interval has earned (`predict.speed.tiers.TIERS`)."""
    evidence: str
    """What that tier stands on here, in words."""
    narrows: str
    """The measurement that would narrow the interval of a step most."""
    fitted_on: str
    """What the prediction of steps was fitted on."""
    memory_terms_bytes: Mapping[str, Spread]
    peak_memory_bytes: Spread
    usable_memory_bytes: Spread
    """What a program can allocate on the device, which the peak is compared with."""
    memory_moment: str
    fits: Fits
    fits_probability: float
    trainable_parameters: int
    parameters: int
    otherwise_s: Mapping[str, float] = field(default_factory=dict)
    """For a stage with an adapter: middle seconds of a step `as planned`, with `all weights` trained in 16 bits
    instead, and with the frozen weights in `16 bits` where they are quantised."""
    assumed: Mapping[str, str] = field(default_factory=dict)
    """What the plan did not say and what was taken instead: `precision` -> `bf16, the best of the device`."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StageEstimate:
    """One stage: how long, on how many GPUs, made of what."""

    name: str
    kind: str
    by: str
    gpus: Range
    rows: float | None
    """Rows of data seen in all epochs."""
    epochs: float | None
    steps: int
    tokens: Spread | None
    """Computed tokens, padding included."""
    terms_s: Mapping[str, Spread]
    wall_s: Spread
    gpu_s: Spread
    left_out: tuple[str, ...]
    """Terms that cost time and have no rate under the rates asked for."""
    saves: Saves | None = None
    evaluations: int = 0
    """Task evaluations (tasks x times)."""
    details: Mapping[str, Mapping[str, Spread]] = field(default_factory=dict)
    """Parts of a term, in seconds: `load` -> model, adapter, tokenizer, data."""
    basis: Basis | None = None
    trained_in: str = ""
    """The experiment whose checkpoint is taken instead of training, where beginnings are shared."""
    counts: Mapping[str, float] = field(default_factory=dict)
    """How often each term is paid."""
    stated_step_s: Spread | None = None
    """What the plan states of a step, whichever rates were used."""
    stated_factors: tuple[Factor, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentEstimate:
    """One experiment: the chain of its stages."""

    id: str
    phase: str
    name: str
    stages: tuple[StageEstimate, ...]
    steps: int
    tokens: Spread | None
    terms_s: Mapping[str, Spread]
    wall_s: Spread
    gpu_s: Spread
    peak_memory_bytes: Spread | None
    fits: Fits | None
    """None where no model is trained or nothing is known."""
    optional: bool = False

    @property
    def gpus(self) -> float:
        """GPUs that it holds, at its widest stage."""
        return max((stage.gpus.mid for stage in self.stages), default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseEstimate:
    """A phase with everything nested in it."""

    id: str
    parent: str
    name: str
    asks: str
    experiments: int
    gpu_s: Spread
    wall_s: Spread
    """One experiment after the other."""
    steps: int
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """All inputs at their favourable, middle or unfavourable ends."""

    name: str
    gpu_s: float
    wall_s: float
    terms_s: Mapping[str, float]
    """By term, over the whole plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A plan in hours. Optional experiments stand in `experiments` but not in any total."""

    plan: str
    title: str
    fingerprint: str
    rates: Rates
    machine: str
    experiments: tuple[ExperimentEstimate, ...]
    phases: tuple[PhaseEstimate, ...]
    terms_s: Mapping[str, Spread]
    """Seconds by term over all experiments that are not optional."""
    wall_s: Spread
    """From start to end, `at_a_time` experiments at once, buffer included."""
    gpu_s: Spread
    """GPU-seconds used, buffer included."""
    subtotal_wall_s: Spread
    subtotal_gpu_s: Spread
    buffer_share: float
    scenarios: tuple[Scenario, ...]
    left_out: Mapping[str, str]
    """Term -> what is missing, in words (`53 models x 10 tasks`)."""
    at_a_time: int = 1
    """Experiments that run side by side; `terms_s` are those of all of them."""
    measured: int = 0
    """Measurements that were used."""

    def experiment(self, id: str) -> ExperimentEstimate:
        """The experiment of that id; KeyError if there is none."""
        for item in self.experiments:
            if item.id == id:
                return item
        raise KeyError(id)
