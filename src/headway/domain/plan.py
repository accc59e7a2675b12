"""A plan, read and expanded: what somebody wants to train, believes, claims and asks.

Owns the nouns that hold a plan file's content with the place of every part. Reading YAML and expanding matrices is
`plan/`; resolving names to devices, offers and architectures is `app/` with `catalog/`; computing is the spine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from headway.domain.errors import Position
from headway.domain.experiment import Recipe
from headway.domain.statement import Claim, Name, Selector, Stated, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Rows of training or evaluation data."""

    id: str
    name: str
    rows: Value | None = None
    rows_counted: bool = False
    """Whether they were counted in the file of `origin`, as the plan does not say them: one more is no other data."""
    length: Value | None = None
    """Tokens in a row; `statistics` when a sample was measured."""
    length_quantiles: tuple[tuple[float, float], ...] = ()
    """From a lengths file: (share, tokens)."""
    tokens: Value | None = None
    mix: tuple[tuple[str, float], ...] = ()
    """Parts of a mixture: dataset id and share (0..1), adding up to 1."""
    origin: str = ""
    split: str = "train"
    labels: int | None = None
    where: Position = Position()


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Something a model is evaluated on."""

    id: str
    name: str
    group: str = ""
    metrics: tuple[str, ...] = ()
    data: str = ""
    labels: int | None = None
    shots: int | None = None
    origin: str = ""
    where: Position = Position()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Which tasks, when, on how many rows."""

    tasks: tuple[str, ...]
    """Ids of tasks (groups resolved)."""
    when: str = "end"
    """`end` of the experiment or `each stage`."""
    every_steps: int | None = None
    every_epochs: float | None = None
    rows: Value | None = None
    shots: int | None = None
    where: Position = Position()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """How often something is saved or logged."""

    every_steps: int | None = None
    every_epochs: float | None = None
    every_s: float | None = None
    keep: int | None = None
    """Checkpoints kept; None: all."""
    text: str = ""
    """`50 steps`, as written; it stands at `where`."""
    where: Position = Position()


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """Samples drawn from a model."""

    prompts: int
    samples: int = 1
    tokens: Value | None = None
    prompt_tokens: Value | None = None

    @property
    def total(self) -> int:
        """Generations in all."""
        return self.prompts * self.samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One link of an experiment's chain: it trains, evaluates, generates, verifies, or is other work."""

    name: str
    kind: str
    """`train`, `evaluate`, `generate`, `verify` or `do`."""
    model: Name | None = None
    recipe: Recipe = field(default_factory=Recipe)
    """`precision` is `auto` and `parallel` may be unset (data = 0) until a machine is known."""
    parallel_kind: str = ""
    """As written: `ddp`, `fsdp`, `zero1`, `zero2`, `zero3`; with tensor and pipeline sizes in `recipe.parallel`."""
    batch: int | None = None
    """Effective batch as written; None: micro_batch x grad_accum x replicas."""
    micro_batch_auto: bool = False
    grad_accum_stated: bool = False
    data: str = ""
    """Dataset id."""
    epochs: Value | None = None
    steps: Value | None = None
    tokens: Value | None = None
    gpus: Value | None = None
    by: str = "gpu"
    """`gpu`, `cpu` or `human`."""
    do: tuple[str, ...] = ()
    evaluate: Evaluation | None = None
    generate: Generation | None = None
    verify: str = ""
    validation_share: float = 0.0
    save: Cadence | None = None
    log: Cadence | None = None
    carry: str = "adapter"
    early_stop: str = ""
    reuse: str = "none"
    seed: int = 0
    extra: Mapping[str, object] = field(default_factory=dict)
    """learning_rate, lr_schedule, warmup, weight_decay, params: kept for the fingerprint and the run."""
    machine: str = ""
    """A machine's name where it differs from `run.machine`."""
    stated: Stated = field(default_factory=Stated)
    stated_at: Mapping[str, str] = field(default_factory=dict)
    """Level each stated term comes from: path of the plan, phase, experiment or stage that says it."""
    fingerprint: str = ""
    """Identity of the model after this stage: what was trained, on what, from what."""
    course: str = ""
    """Identity of a training apart from its length: of two stages that share it, the shorter is how the longer begins.
    Empty for a stage that does not train."""
    pace: str = ""
    """Identity of how fast a training goes: model, recipe, batches, data and tasks, whatever its length, seed or
    learning rate. What was measured of one stage counts for all that share it. Of other stages: their fingerprint."""
    where: Position = Position()


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One run of the plan: a chain of stages."""

    id: str
    phase: str
    name: str
    stages: tuple[Stage, ...]
    stated: Stated = field(default_factory=Stated)
    """What was stated of the experiment itself (`wall`), not of its stages."""
    axes: Mapping[str, object] = field(default_factory=dict)
    """The matrix values that made it."""
    optional: bool = False
    fingerprint: str = ""
    where: Position = Position()


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A group of experiments. Phases nest; `parent` is empty at the top."""

    id: str
    parent: str
    name: str
    asks: str = ""
    after: Selector | None = None
    needs: Selector | None = None
    optional: bool = False
    experiments: tuple[str, ...] = ()
    """Ids of its own experiments, not those of nested phases."""
    stated: Stated = field(default_factory=Stated)
    """What was stated of the phase as a whole (`wall`)."""
    where: Position = Position()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A research question and what answers it."""

    id: str
    ask: str
    answered_by: Selector | None = None
    along: str = ""
    target: str = ""
    where: Position = Position()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An outside fact to compare with: a published benchmark, another model's score."""

    id: str
    name: str
    gpu: Name | None = None
    rows: Value | None = None
    wall: Value | None = None
    speedup: Value | None = None
    """This plan's machine over the reference's."""
    scores: Mapping[str, Value] = field(default_factory=dict)
    says: str = ""
    source: str = ""
    where: Position = Position()


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A what-if: keeps, drops, sets or varies parts of the plan."""

    id: str
    name: str
    keep: tuple[Selector, ...] = ()
    drop: tuple[Selector, ...] = ()
    set: Mapping[str, object] = field(default_factory=dict)
    vary: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    first: Selector | None = None
    with_: tuple[str, ...] = ()
    """Optional phases brought in."""
    where: Position = Position()

    @property
    def is_subset(self) -> bool:
        """True when it only keeps or drops, so that `--subset` may name it."""
        return bool(self.keep or self.drop) and not (self.set or self.vary or self.first or self.with_)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A node with a predicate: go on with one option or another."""

    id: str
    after: Selector | None
    predicate: Mapping[str, object]
    """`metric`, `of`, `beats`, `by`; empty when only words were given (`stated_as`)."""
    then: Selector | str
    otherwise: Selector | str
    stated_as: str = ""
    then_words: str = ""
    """The document's own words for a branch, where it has some."""
    otherwise_words: str = ""
    where: Position = Position()


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSpec:
    """A machine as the plan describes it, before names are resolved."""

    id: str
    gpu: Name | None = None
    provider: str = ""
    instance: Name | None = None
    region: str = ""
    gpus: int | None = None
    nodes: int = 1
    memory: Value | None = None
    """Of one GPU, as written."""
    link: str = ""
    price: Value | None = None
    """USD per hour of the whole machine."""
    spot_price: Value | None = None
    spot_discount: Value | None = None
    hazard: Value | None = None
    """Share interrupted per hour, with the noun `h`, `day` or `month` it was stated per."""
    notice: Value | None = None
    max_price: Value | None = None
    billing_unit: str = ""
    """`gpu` or `node`."""
    billing_block: Value | None = None
    billing_minimum: Value | None = None
    power: Mapping[str, Value] = field(default_factory=dict)
    """`board_limit`, `average`, `wall` in watt (a bare wattage is under `stated`), `pue` as a factor."""
    electricity: Value | None = None
    where: Position = Position()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Circumstance: where and how the plan runs. Never part of a fingerprint."""

    machine: str = ""
    machines: Mapping[str, MachineSpec] = field(default_factory=dict)
    pricing: str = "on-demand"
    idle: str = "keep"
    hours_per_day: float = 24.0
    budget: tuple[Value, ...] = ()
    """Seconds (`s`), dollars (`usd`) or GPU-hours (`s` with the noun `GPU-h`)."""
    deadline: str = ""
    session: Value | None = None
    buffer: Value | None = None
    contingency: Mapping[str, Value] = field(default_factory=dict)
    reserve: Value | None = None
    measure: Mapping[str, object] = field(default_factory=dict)
    alert: tuple[Mapping[str, object], ...] = ()
    engine: str = "local"
    framework: str = ""
    """What trains (`torchtitan`, `unsloth`); empty: an ordinary Hugging Face trainer."""
    jobs: int = 1
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything one plan file says, expanded into experiments in document order."""

    name: str
    title: str
    file: str
    sources: tuple[str, ...]
    datasets: Mapping[str, Dataset]
    tasks: Mapping[str, Task]
    phases: tuple[Phase, ...]
    experiments: tuple[Experiment, ...]
    """Optional ones included, marked."""
    questions: Mapping[str, Question]
    references: Mapping[str, Reference]
    options: Mapping[str, Option]
    decisions: Mapping[str, Decision]
    claims: tuple[Claim, ...]
    assume: Mapping[str, Value | str]
    run: Run
    first: Selector | None = None
    """Run before the rest, where an option says so."""
    stated: Stated = field(default_factory=Stated)
    """What was stated of the plan as a whole (`wall`)."""
    trained_on: frozenset[str] = frozenset()
    """Datasets that the whole plan trains on, parts of mixtures too, whatever an option keeps of it."""
    positions: Mapping[str, Position] = field(default_factory=dict)
    """Dotted path of every field of the file to its place."""
    fingerprint: str = ""
    """Of all experiments together."""

    def where(self, path: str) -> Position:
        """The place of `path`, or of its nearest parent that has one."""
        while path:
            if path in self.positions:
                return self.positions[path]
            path = path.rpartition(".")[0]
        return Position(self.file)
