"""The verb `measure`: a probe of a plan's stage on this machine, kept beside the plan, and what follows from it.

Owns the order: which stage, its task, the worker, its lines understood, the record, the page's answer.
"""

from __future__ import annotations

import json
import shlex
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from headway.app.gpus import catalogued
from headway.app.inputs import Inputs, Request, gather
from headway.app.kept import Kept, known_from
from headway.app.probe import Heard, Probe, body_of, understood
from headway.app.stored import keep, made_now
from headway.app.task import evaluation_scale, local_model, rows_of, task_of
from headway.app.worker import INTERRUPTED, OUT_OF_MEMORY, TOO_LONG, stream_worker
from headway.domain.errors import UsageError, UserError
from headway.domain.experiment import Architecture, Parallel
from headway.domain.plan import Experiment, Plan, Stage
from headway.domain.statement import Value
from headway.domain.units import Range, format_bytes, format_duration
from headway.estimate.nouns import Estimate
from headway.estimate.questions.epochs import EpochTable, epoch_table
from headway.estimate.resolve import Job, evaluations, machine_of, saved_by_the_clock
from headway.estimate.stages import job_of
from headway.plan import PlanFile
from headway.report.measure_view import MeasureAnswer
from headway.store.place import folder_of, place_of, prepared, shown
from headway.worker.machine.host import free_host_bytes, has_gpu

LEAST_BUDGET_S = 10.0
GRACE_S = 300.0
"""Beyond twice the budget, after which a probe that does not end is ended: libraries may load slowly, once."""
CPU, CUDA = "cpu", "cuda"
BUDGETS = (("30 min", 1800.0), ("1 h", 3600.0), ("2 h", 7200.0), ("4 h", 14400.0))
"""Time budgets whose epochs are shown where the plan has none."""


class DoesNotFit(UserError):
    """The stage asks for more memory than this machine has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be measured, and how long that may take."""

    experiment: str = ""
    option: str = ""
    device: str = "auto"
    budget_s: float = 90.0
    tolerance: float = 0.01
    whole: bool = False
    """The plan itself, also where only a CPU is there and the plan has an option for one."""
    seed: int | None = None
    share: str = ""
    """File for what others may use of it."""
    command: str = "headway measure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The stage to measure, with everything it is resolved from."""

    inputs: Inputs
    request: Request
    source: PlanFile
    experiment: Experiment
    index: int
    """Of the stage in the experiment."""
    job: Job
    counts: Mapping[str, float]
    least_bytes: float
    """Predicted peak of memory on one device that holds everything, p10."""
    room_bytes: float
    """What the device can hold, p90."""
    option: str
    moved: bool
    """The plan's machine was replaced by this CPU."""
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured, kept, and what follows."""

    answer: MeasureAnswer
    body: Mapping[str, Any] = field(default_factory=dict)
    """`headway.measurement/1`."""
    interrupted: bool = False


def measure(
    source: PlanFile,
    asked: Asked,
    models: Mapping[str, Architecture] | None = None,
    told: Callable[[str], None] = lambda words: None,
    packs: Kept | None = None,
) -> Measured:
    """Measure the first stage that trains, of the plan or of one of its experiments, and keep the result.

    `told` hears of progress; `packs` count for what was not measured. Raises UserError where this machine cannot run
    it (DoesNotFit for lack of memory), UsageError for a wrong request, PlanError where the plan does not decide what
    is run.
    """
    if asked.budget_s < LEAST_BUDGET_S:
        raise UsageError(f"a probe takes {LEAST_BUDGET_S:g} s at least", got=f"{asked.budget_s:g} s",
                         hint="60-120 s give a step time within a few per cent.")  # fmt: skip
    if asked.share:
        from headway.app.packs import refuse_unwritable, share

        refuse_unwritable(asked.share)
    chosen = choose(source, asked, models or {})
    _refuse_cuda(asked, chosen)
    _refuse_too_large(chosen)
    _refuse_spread(chosen)
    heard, code, left_out = _run(chosen, asked, told)
    if code == OUT_OF_MEMORY:
        raise _too_large(heard, chosen)
    if code == INTERRUPTED and not heard.seconds("step"):
        raise KeyboardInterrupt  # there is nothing to keep
    probe = understood(heard, chosen.job)
    device = device_of(heard, chosen)
    plan = chosen.inputs.plan
    remarks = (*chosen.remarks, *left_out, *heard.done.get("remarks", ()), *_elsewhere(device, chosen))
    body = body_of(probe, chosen.job, plan.fingerprint, chosen.experiment.id, device, remarks)
    record = made_now("measurement", body, asked.command, _about(heard))
    place = keep(record, plan.file, told) and shown(place_of(plan.file))
    if asked.share:
        share(asked.share, body, chosen.job, record.made[:10])
    known = (packs or Kept()).before(known_from([(body, record.made[:10])]))
    answer = _answer(chosen, probe, body, place or "", remarks, known)
    return Measured(answer=answer, body=body, interrupted=code == INTERRUPTED)


def _refuse_cuda(asked: Asked, chosen: Chosen) -> None:
    """Raises UsageError where a GPU is asked for and the plan is for a CPU."""
    if asked.device == CUDA and chosen.job.node.device.is_assumed:
        raise UsageError("a GPU is measured where it is named", got=f"device {CUDA}, and the plan is for a CPU",
                         hint="Name it: --assume run.machine=NAME, or --gpu NAME for one run.")  # fmt: skip


def _refuse_too_large(chosen: Chosen) -> None:
    """Raises DoesNotFit for what this host surely has no memory for: Linux ends whatever it likes then."""
    free = free_host_bytes()
    if not chosen.job.node.device.is_assumed or free is None or chosen.least_bytes <= free:
        return
    raise DoesNotFit(
        "what is measured must fit into memory",
        got=f"{format_bytes(chosen.least_bytes)} at least, and {format_bytes(free)} are free",
        hint="Measure an option with a smaller model or batch: --option NAME, or --assume micro_batch=1.",
        where=chosen.job.stage.where,
    )


def _refuse_spread(chosen: Chosen) -> None:
    """Raises DoesNotFit for what a plan spreads over GPUs as one has no room for it; a batch alone says what runs."""
    over, device = chosen.job.recipe.parallel, chosen.job.node.device
    spread = over.tensor * over.pipeline > 1 or (over.data > 1 and over.sharding != "none")
    if device.is_assumed or not spread or chosen.least_bytes <= chosen.room_bytes:
        return
    need, room = format_bytes(chosen.least_bytes), format_bytes(chosen.room_bytes)
    raise DoesNotFit(
        "a probe trains on one GPU, which must hold what the plan spreads over several",
        got=f"{need} at least, and a {device.name} holds {room}",
        hint=f"A program of yours is measured on all of them: {_own_program(chosen)}",
        where=chosen.job.stage.where,
    )


def _own_program(chosen: Chosen) -> str:
    """The command that measures a program of one's own, which runs as the plan's stage does."""
    plan = chosen.inputs.plan
    words = [plan.file if Path(plan.file).is_file() else "PLAN"]
    words += [chosen.experiment.id] if len(plan.experiments) > 1 else []
    return f"{shlex.join(['headway', 'measure', *words])} -- torchrun ..."


def _too_large(heard: Heard, chosen: Chosen) -> DoesNotFit:
    """The refusal of a batch that does not run here, with the one that does."""
    rows, stage = heard.facts.get("longest", {}).get("rows"), chosen.job.stage
    hint = f"Of the longest rows {rows} run in one pass: micro_batch: {rows}." if rows else "Not even one row runs."
    return DoesNotFit(
        "what is measured must fit into memory",
        got=str(heard.done.get("stopped", "")),
        hint=f"{hint} Or max_length, gradient_checkpointing: full, an adapter.",
        where=stage.where,
    )


def choose(source: PlanFile, asked: Asked, models: Mapping[str, Architecture]) -> Chosen:
    """The stage: of the option asked for; without a GPU of the plan's option `cpu`, else of the plan on this CPU."""
    cpu, remarks = asked.device == CPU or (asked.device == "auto" and not has_gpu()), []
    option = asked.option
    if cpu and not option and not asked.whole and CPU in source.plan.options:
        option = CPU
        remarks.append("on a CPU the plan's option `cpu` is measured; --full measures the plan itself")
    request = Request(option=option, models=models, seed=asked.seed or 0)
    inputs = gather(source, request)
    experiment, stage = _stage(inputs.plan, asked.experiment)
    planned = machine_of(stage, inputs.plan, inputs.lookup).node.device
    if moved := cpu and not planned.is_assumed:
        remarks.append(f"measured on this CPU, which says nothing of {planned.name}, the plan's own machine")
        source = (source.variants(option)[0] if option else source).override({"run.machine": {"gpu": CPU}})
        request = replace(request, option="")
        inputs = gather(source, request)
        experiment, stage = _stage(inputs.plan, f"{experiment.id}/{stage.name}")
    remarks += _other_stages(experiment, stage)
    setting = inputs.setting("best", inputs.plan.run.machine)
    predictor, machine = inputs.predictor(setting), machine_of(stage, inputs.plan, inputs.lookup, setting.machine)
    job = job_of(stage, setting, predictor, machine)
    job = saved_by_the_clock(job, predictor.basis(job).step_s.p50 * job.equivalent_steps)
    alone = predictor.basis(_alone(job))
    times = evaluations(stage, job.steps, job.epochs, experiment.stages[-1] is stage)
    counts = predictor.counts(stage, job, times, first=experiment.stages[0] is stage)
    return Chosen(
        inputs=inputs,
        request=request,
        source=source,
        experiment=experiment,
        index=experiment.stages.index(stage),
        job=job,
        counts=counts,
        least_bytes=alone.peak_memory_bytes.p10,
        room_bytes=alone.usable_memory_bytes.p90,
        option=option,
        moved=moved,
        remarks=tuple(remarks),
    )


def _alone(job: Job) -> Job:
    """The job as a probe runs it: on one device, which holds everything."""
    node = replace(job.node, gpus=1, nodes=1, link=None)
    return replace(job, node=node, recipe=replace(job.recipe, parallel=Parallel()))


def _stage(plan: Plan, experiment: str) -> tuple[Experiment, Stage]:
    """The first training stage of the experiment of that id, or of the first that trains; `ID/STAGE` is that stage."""
    trained = [
        (one, stage) for one in plan.experiments for stage in one.stages if stage.kind == "train" and not one.optional
    ]
    for one, stage in trained:
        if experiment in ("", one.id, f"{one.id}/{stage.name}"):
            return one, stage
    known = tuple(dict.fromkeys(one.id for one, _ in trained))
    raise UsageError("an experiment of the plan that trains is needed", got=experiment or "none that trains",
                     hint=f"It has {', '.join(known[:5])}{', …' if len(known) > 5 else ''}.")  # fmt: skip


def _other_stages(experiment: Experiment, stage: Stage) -> tuple[str, ...]:
    """A remark where the experiment trains in several stages, of which one is measured."""
    others = [one.name for one in experiment.stages if one.kind == "train" and one.pace != stage.pace]
    if not others:
        return ()
    other = shlex.quote(f"{experiment.id}/{others[0]}")
    return (f"stage {stage.name} of {experiment.id} was measured; others by name: {other}",)


def _run(chosen: Chosen, asked: Asked, told: Callable[[str], None]) -> tuple[Heard, int, tuple[str, ...]]:
    """The lines of the probe, its exit code, and what it was not asked for."""
    task, left_out = task_of(chosen.job, chosen.inputs.plan, chosen.inputs.lookup, chosen.counts)
    lacks = task["model"]["place"] == "-" and local_model(chosen.job.stage, chosen.inputs.plan.file) is None
    job, plan, lookup = chosen.job, chosen.inputs.plan, chosen.inputs.lookup
    rows = rows_of(job, plan, task["model"])
    own_rows = "lengths" not in rows.said and rows.said["tokenizer"] is None
    heard = Heard(without_weights=lacks, own_rows=own_rows, invented=rows.invented,
                  evaluation_scale=evaluation_scale(job, plan, lookup))  # fmt: skip

    def take(line: Mapping[str, Any]) -> None:
        heard.take(line)
        told(_progress(heard))

    with _scratch(chosen.inputs.plan.file) as out:
        # not `auto`: torch may see no GPU where a driver is, and what its CPU took would be kept as the GPU's
        task |= {"device": CPU if chosen.job.node.device.is_assumed else CUDA, "budget_s": asked.budget_s}
        task |= {"tolerance": asked.tolerance, "out": out}
        if asked.seed is not None:
            task["seed"] = asked.seed
        began = time.perf_counter()
        code = stream_worker("bench", json.dumps(task), take, 2 * asked.budget_s + GRACE_S)
        heard.process_s = time.perf_counter() - began
    if code == TOO_LONG:
        _cut_short(heard)
    return heard, code, left_out


def _cut_short(heard: Heard) -> None:
    """Say of a probe that was ended at its limit that it was. Raises UserError where not a step was timed before."""
    words = f"ended at its limit of {format_duration(heard.process_s)}, twice the budget and 5 minutes"
    if not heard.seconds("step"):
        raise UserError("a probe times at least one step", got=f"none before it was {words}",
                        hint="Give it a longer --budget, or a smaller batch or model.")  # fmt: skip
    remarks = [f"the probe was {words}: what it times last may be missing"]
    heard.take({"event": "done", "stopped": words, "remarks": remarks})


@contextmanager
def _scratch(plan_file: str) -> Iterator[str]:
    """A folder on the disk that runs of the plan save to, gone afterwards; a temporary one where none can be made."""
    try:
        try:
            beside = None if place_of(plan_file) == "none" else prepared(folder_of(plan_file))
            made = tempfile.TemporaryDirectory(prefix="probe-", dir=beside)
        except (UserError, OSError):  # somebody else's, read-only, full
            made = tempfile.TemporaryDirectory(prefix="probe-")
    except OSError as error:
        raise UserError("a probe saves what it trains, to time that", got=str(error),
                        hint="Run it where files may be written.") from None  # fmt: skip
    with made as folder:
        yield folder


def _progress(heard: Heard) -> str:
    """`212 steps`, or what is being timed before the first."""
    last = heard.samples[-1]["term"] if heard.samples else "starting"
    steps = len(heard.of("step"))
    return f"{steps:,} steps" if steps else str(last)


def device_of(heard: Heard, chosen: Chosen) -> str:
    """The catalog's name of the device that was measured; the driver's own where it has none."""
    if chosen.job.node.device.is_assumed:
        return chosen.job.node.device.name
    said = str(heard.machine.get("device", chosen.job.node.device.name))
    return catalogued(said, heard.machine.get("device_memory_bytes"))


def _elsewhere(device: str, chosen: Chosen) -> tuple[str, ...]:
    planned = chosen.job.node.device.name
    if device == planned:
        return ()
    return (f"this is a {device}, the plan is for {planned}: its estimate does not use these steps",)


def _about(heard: Heard) -> dict[str, str]:
    """Libraries and device for the record's provenance."""
    names = ("device", "host", "driver", "torch", "transformers")
    return {name: str(heard.machine[name]) for name in names if heard.machine.get(name)}


def _answer(
    chosen: Chosen, probe: Probe, body: Mapping[str, Any], place: str, remarks: tuple[str, ...], known: Kept
) -> MeasureAnswer:
    """What the page says: the probe, and the stage's total and epochs with it."""
    inputs = gather(chosen.source, replace(chosen.request, kept=known))
    estimate = inputs.estimate("best", inputs.plan.run.machine)
    item = estimate.experiment(chosen.experiment.id)
    stage = item.stages[chosen.index]
    alone = replace(estimate, experiments=(replace(item, stages=(stage,)),))
    return MeasureAnswer(
        plan=inputs.plan,
        experiment=chosen.experiment.id,
        option=chosen.option,
        job=chosen.job,
        device=str(body["device"]),
        machine=probe.heard.machine,
        body=body,
        steps=probe.steps,
        step=probe.step,
        stopped=str(probe.heard.done.get("stopped", "")),
        warm_up=probe.heard.done.get("warm_up") or {},
        stage=stage,
        epochs=_epochs(inputs.plan, alone),
        remarks=remarks,
        place=place,
        own_program=_own_program(chosen),
        next_command=_next(inputs.plan, chosen),
    )


def _epochs(plan: Plan, alone: Estimate) -> EpochTable | None:
    """Epochs for the plan's time budgets, or the usual ones."""
    timed = any(value.unit == "s" and not value.noun for value in plan.run.budget)
    usual = tuple(Value(range=Range.point(seconds), unit="s", text=text) for text, seconds in BUDGETS)
    return epoch_table(plan if timed else replace(plan, run=replace(plan.run, budget=usual)), alone)


def _next(plan: Plan, chosen: Chosen) -> str:
    """The estimate that uses what was measured."""
    if not Path(plan.file).is_file():
        return "headway init"  # what was given in Python or by flags becomes a plan
    moved = ["--assume", f"run.machine={CPU}"] if chosen.moved else []
    option = ["--option", chosen.option] if chosen.option else []
    return shlex.join(["headway", "estimate", plan.file, *option, *moved])
