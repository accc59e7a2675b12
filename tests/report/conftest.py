"""Two answers made by hand: a small plan of phases at exact stated rates, and one run with ranges and a prediction.

Every number is chosen so that it can be checked in the head: 2 s a step, $3.60 an hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from headway.cost.billing import Bill, bill
from headway.cost.calendar import over_budget
from headway.cost.energy import energy
from headway.cost.segments import Segment
from headway.domain.errors import Finding, Position
from headway.domain.experiment import Architecture, Batches, Recipe
from headway.domain.lookup import Lookup, Machine, Price
from headway.domain.machine import Device, Node
from headway.domain.plan import Dataset, Experiment, MachineSpec, Phase, Plan, Reference, Run, Stage
from headway.domain.spread import Spread, total
from headway.domain.statement import Name, Value
from headway.domain.units import Range
from headway.estimate.nouns import (
    Basis,
    Estimate,
    ExperimentEstimate,
    PhaseEstimate,
    Saves,
    Scenario,
    StageEstimate,
)
from headway.estimate.questions.reference import CrossCheck
from headway.estimate.questions.sensitivity import Effect
from headway.report.answer import Answer, Calendar, MachineAnswer, OptionAnswer
from headway.schedule.jobs import Job
from headway.schedule.ladder import makespans

DEVICE = Device(name="RTX 4090", vendor="NVIDIA", generation="Ada", year=2022, memory_bytes=24e9,
                bandwidth_bytes_per_s=1.008e12, peak_flop_per_s={"bf16": 165e12})  # fmt: skip
MODEL = Architecture(name="tiny", family="decoder", layers=2, hidden=8, heads=2, kv_heads=2, ffn=16, vocab=100,
                     tied=True, gated=True, head_dim=4)  # fmt: skip


def stated(low: float, mid: float | None = None, high: float | None = None) -> Spread:
    """A stated spread by its ends, or a point."""
    middle = low if mid is None else mid
    return Spread(p10=low, p50=middle, p90=middle if high is None else high, kind="stated", source="the plan")


def predicted(low: float, mid: float, high: float) -> Spread:
    """A predicted spread by its ends."""
    return Spread(p10=low, p50=mid, p90=high, kind="predicted", source="headway")


def value(low: float, unit: str, text: str, **more: object) -> Value:
    """A stated point."""
    return Value(range=Range.point(low), unit=unit, text=text, **more)


BASIS = Basis(
    model="org/tiny", architecture=MODEL, recipe=Recipe(micro_batch=4, grad_accum=2), node=Node(device=DEVICE),
    batches=Batches(rows_per_step=8, micro_steps=2, micro_rows=4, row_tokens=100.0, row_tokens_squared=1e4,
                    real_row_tokens=80.0, longest_row_tokens=128, steps_per_epoch=1000, last_batch_rows=8,
                    packed_rows=8000, padding_share=0.2),
    step_terms_s={"compute": predicted(0.06, 0.08, 0.1), "overhead": predicted(0.01, 0.02, 0.03)},
    step_s=predicted(0.07, 0.1, 0.13), flop_per_step=1e12, useful_flop=Range(0.8e12, 0.8e12, 0.8e12),
    binds="compute", utilisation=predicted(0.03, 0.05, 0.06),
    tier="same device", evidence="measured steps of RTX 4090, bf16, in other stacks; 8 stacks",
    narrows="a 60 s measurement would cut ±30% to ±20%", fitted_on="2,277 published steps",
    memory_terms_bytes={"weights": predicted(1e9, 1e9, 1e9), "activations": predicted(2e9, 3e9, 4e9)},
    peak_memory_bytes=predicted(3e9, 4e9, 5e9), usable_memory_bytes=predicted(24e9, 25.2e9, 25.6e9),
    memory_moment="backward_end", fits="yes", fits_probability=0.99,
    trainable_parameters=1000, parameters=100_000, assumed={"precision": "bf16, the best of RTX 4090"},
)  # fmt: skip


def stage(terms_s: Mapping[str, Spread], steps: int, basis: Basis | None = BASIS, **more: object) -> StageEstimate:
    """A training stage on one GPU."""
    wall = total(terms_s.values())
    left_out = more.pop("left_out", ())
    return StageEstimate(name="", kind="train", by="gpu", gpus=Range.point(1.0), rows=steps * 8.0,
                         epochs=steps / 1000, steps=steps, tokens=stated(steps * 800.0), terms_s=terms_s, wall_s=wall,
                         gpu_s=wall, left_out=left_out, basis=basis, **more)  # fmt: skip


def experiment(id_: str, phase: str, name: str, *stages: StageEstimate) -> ExperimentEstimate:
    """The chain of these stages."""
    terms = {term: total(s.terms_s[term] for s in stages if term in s.terms_s) for s in stages for term in s.terms_s}
    wall = total(s.wall_s for s in stages)
    peaks = [s.basis.peak_memory_bytes for s in stages if s.basis]
    return ExperimentEstimate(id=id_, phase=phase, name=name, stages=stages, steps=sum(s.steps for s in stages),
                              tokens=stages[0].tokens, terms_s=terms, wall_s=wall, gpu_s=wall,
                              peak_memory_bytes=peaks[0] if peaks else None, fits="yes" if peaks else None)  # fmt: skip


def phase(id_: str, parent: str, name: str, asks: str, members: list[ExperimentEstimate]) -> PhaseEstimate:
    """The sums of its members."""
    return PhaseEstimate(id=id_, parent=parent, name=name, asks=asks, experiments=len(members),
                         gpu_s=total(m.gpu_s for m in members), wall_s=total(m.wall_s for m in members),
                         steps=sum(m.steps for m in members))  # fmt: skip


def estimate_of(
    experiments: list[ExperimentEstimate], phases: list[PhaseEstimate], buffer: float, **more: object
) -> Estimate:
    """The plan's estimate with these parts."""
    wall = total(item.wall_s for item in experiments)
    terms = {term: total(e.terms_s[term] for e in experiments if term in e.terms_s)
             for e in experiments for term in e.terms_s}  # fmt: skip
    said: dict[str, object] = {"plan": "small", "title": "A small plan", "scenarios": (), "left_out": {}, **more}
    return Estimate(fingerprint="0123456789abcdef", rates="stated", machine="home", experiments=tuple(experiments),
                    phases=tuple(phases), terms_s=terms, wall_s=wall * (1 + buffer), gpu_s=wall * (1 + buffer),
                    subtotal_wall_s=wall, subtotal_gpu_s=wall, buffer_share=buffer, **said)  # fmt: skip


def plan_of(made: Estimate, **more: object) -> Plan:
    """The plan behind an estimate, as far as a page reads it."""
    ran = tuple(
        Experiment(id=item.id, phase=item.phase, name=item.name,
                   stages=tuple(Stage(name="", kind="train", data="rows") for _ in item.stages))
        for item in made.experiments
    )  # fmt: skip
    phases = tuple(Phase(id=p.id, parent=p.parent, name=p.name) for p in made.phases)
    said: dict[str, object] = {
        "datasets": {}, "references": {}, "run": Run(machine="home", hours_per_day=8), **more,
    }  # fmt: skip
    return Plan(name=made.plan, title=made.title, file="plan.yaml", sources=(), tasks={}, phases=phases,
                experiments=ran, questions={}, options={}, decisions={}, claims=(), assume={}, **said)  # fmt: skip


TARIFF = value(0.15, "usd_per_kwh", "$0.15/kWh")
HOME_SPEC = MachineSpec(id="home", power={"stated": value(450, "w", "450 W")}, electricity=TARIFF)
HOME = Machine(name="home", node=Node(device=DEVICE), spec=HOME_SPEC)
CLOUD = Machine(name="cloud", node=Node(device=DEVICE), spec=MachineSpec(id="cloud"), provider="lambda",
                instance="gpu_1x", price=Price(usd_per_hour=Range.point(3.6), kind="measured", source="a page",
                                               priced_on="2026-11-01"))  # fmt: skip


def bill_of(made: Estimate, machine: Machine) -> Bill:
    """The whole plan as one stretch of that machine's time."""
    return bill([Segment(id="all", name="all", gpus=1, wall=made.wall_s)], machine)


def answer_of(made: Estimate, machines: tuple[Machine, ...], plan: Plan, **more: object) -> Answer:
    """An answer about `made` on these machines, the plan's own first."""
    listed = tuple(
        MachineAnswer(name=m.name, provider=m.provider, instance=m.instance, device=DEVICE.name, gpus=1, estimate=made,
                      bill=bill_of(made, m), from_catalog=False, hours_transferred=index == 0)
        for index, m in enumerate(machines)
    )  # fmt: skip
    calendar = Calendar(days=made.wall_s * (1 / 86400), working_days=made.wall_s * (1 / 28800), hours_per_day=8.0,
                        needs_resume=(), limits=(), contingency={})  # fmt: skip
    said: dict[str, object] = {"beside": None, "beside_ratio": None, "calendar": calendar, "schedules": (),
                               "options": (), "node_scenarios": (), "energy": energy(made.gpu_s, machines[0]),
                               "next_command": "headway estimate plan.yaml", "today": "2026-11-21", **more}  # fmt: skip
    return Answer(plan=plan, lookup=Lookup(architectures={}, machines={m.name: m for m in machines}, lengths={}),
                  estimate=made, machines=listed, **said)  # fmt: skip


@pytest.fixture
def many() -> Answer:
    """Four runs in three phases, 2 s a step: 1, 2, 4 and 4 h of 7,200 s each thousand; a buffer of 10 %."""
    step = {n: stage({"step": stated(2.0 * n)}, n, left_out=("evaluation",)) for n in (1800, 3600, 7200)}
    runs = [
        experiment("1/short", "1", "Short", step[1800]),
        experiment("2A/middle", "2A", "Middle", step[3600]),
        experiment("2A/long", "2A", "Long", step[7200]),
        experiment("2B/chain", "2B", "Chain", step[3600], step[3600]),
    ]
    phases = [
        phase("1", "", "First things", "Does it start?", runs[:1]),
        phase("2", "", "Second things", "", runs[1:]),
        phase("2A", "2", "More data", "Does more data help a model that has seen a lot of it?", runs[1:3]),
        phase("2B", "2", "模型训练 (chains)", "Do chains help?", runs[3:]),
    ]
    made = estimate_of(runs, phases, 0.1, left_out={"evaluation": "40 task evaluations of 4 trained models"})
    other = replace(made, rates="predicted", gpu_s=predicted(2000, 2904, 4000), wall_s=predicted(2000, 2904, 4000),
                    phases=tuple(replace(p, gpu_s=p.gpu_s * (1 / 15)) for p in phases),
                    subtotal_gpu_s=made.subtotal_gpu_s * (1 / 15))  # fmt: skip
    jobs = [Job(id=run.id, duration_s=run.wall_s.p50) for run in runs]
    option = OptionAnswer(id="no-long", label="Without the long one", experiments=3, members=("1/short", "2A/middle"),
                          gpu_s=stated(7 * 3600.0), saves_gpu_s=stated(4 * 3600.0))  # fmt: skip
    place = Position("plan.yaml", 12, 3)
    finding = Finding(code="HW203", severity="warning", message="the stated step is mostly waiting", where=place,
                      evidence={"share": [0.01, 0.02]}, hint="Measure a step.")  # fmt: skip
    return answer_of(made, (HOME, CLOUD), plan_of(made), beside=other, beside_ratio=15.0,
                     schedules=makespans(jobs, (1, 2, 4)), options=(option,), findings=(finding,))  # fmt: skip


@pytest.fixture
def one() -> Answer:
    """One run of 1,000 steps at 0.8-1.2 s, loading in two parts, ten saves; rented at $3.60/h, with a budget."""
    load = {"model": stated(30, 45, 60), "tokenizer": stated(2, 2.5, 3)}
    terms = {"load": total(load.values()), "step": stated(800, 1000, 1200), "checkpoint": stated(50, 75, 100)}
    ran = stage(terms, 1000, saves=Saves(during=10, final=1, kept=3, bytes_each=predicted(1e9, 1e9, 1e9),
                                          final_bytes=predicted(1e9, 1e9, 1e9)),
                details={"load": load})  # fmt: skip
    run = experiment("run", "", "run", ran)
    ends = (("best", "p10"), ("expected", "p50"), ("worst", "p90"))
    scenarios = tuple(
        Scenario(name=name, gpu_s=getattr(run.gpu_s, end), wall_s=getattr(run.wall_s, end),
                 terms_s={term: getattr(spread, end) for term, spread in terms.items()})
        for name, end in ends
    )  # fmt: skip
    made = estimate_of([run], [], 0.0, scenarios=scenarios, plan="one", title="")
    parts = {"part 1": value(6000, "count", "6 * 1000"), "part 2": value(2000, "count", "2 * 1000")}
    rows = Dataset(id="rows", name="rows", rows=value(8000, "count", "", parts=parts))
    reference = Reference(id="readme", name="readme", gpu=Name(use="A10"), rows=value(4000, "count", "4000"),
                          wall=value(3600, "s", "1 h"), source="README.md")  # fmt: skip
    plan = plan_of(made, datasets={"rows": rows}, references={"readme": reference},
                   run=Run(machine="cloud", budget=(value(1.0, "usd", "$1"),)))  # fmt: skip
    cost = bill_of(made, CLOUD).total_usd
    limits = over_budget(plan.run.budget, wall_s=made.wall_s, cost_usd=cost, gpu_s=made.gpu_s)
    calendar = Calendar(days=made.wall_s * (1 / 86400), working_days=made.wall_s * (1 / 86400), hours_per_day=24.0,
                        needs_resume=(), limits=limits, contingency={})  # fmt: skip
    check = CrossCheck(reference=reference, rows_ratio=2.0, speedup=Range(2, 2.5, 3), wall_s=Range(2400, 2880, 3600),
                       estimate_s=made.wall_s, apart=2400 / 1363)  # fmt: skip
    unknown = float("nan")
    effects = (
        Effect(name="step", favourable_s=-200, unfavourable_s=200, total_s=1122.5, kind="stated", source="the plan"),
        Effect(name="swap", favourable_s=unknown, unfavourable_s=unknown, total_s=1122.5, kind="stated", source=""),
    )
    return answer_of(made, (CLOUD,), plan, calendar=calendar, cross_checks=(check,), sensitivity=effects,
                     narrower="the step moves the total most")  # fmt: skip


@pytest.fixture
def nothing_known(many: Answer) -> Answer:
    """The plan of `many` under rates that know no time at all."""
    empty = Spread.exact(0.0, "assumed", "nothing is known")
    bare = stage({}, 1800, basis=None, left_out=("step",))
    run = ExperimentEstimate(id="1/short", phase="1", name="Short", stages=(bare,), steps=1800, tokens=None,
                             terms_s={}, wall_s=empty, gpu_s=empty, peak_memory_bytes=None, fits=None)  # fmt: skip
    runs = [run, replace(run, id="1/other")]
    made = replace(
        estimate_of(runs, [phase("1", "", "First things", "", runs)], 0.0),
        rates="measured",
        left_out={"step": "2 stages"},
    )
    option = OptionAnswer(id="less", label="Less", experiments=1, members=(), gpu_s=empty, saves_gpu_s=empty)
    return answer_of(made, (HOME, CLOUD), plan_of(made), options=(option,))
