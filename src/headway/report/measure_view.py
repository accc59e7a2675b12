"""The page of `headway measure`: what a probe found on this machine, and how far a time budget goes with it.

Owns its words, table and document. Measuring is `worker/bench.py`, the conversion of units `app/probe.py`.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from headway.domain.plan import Plan
from headway.domain.sample import Summary
from headway.domain.spread import Spread
from headway.domain.units import Range, format_bytes, format_duration, format_share
from headway.estimate.nouns import StageEstimate
from headway.estimate.questions.epochs import EpochTable
from headway.estimate.resolve import Job
from headway.predict.pilot import StepOfRun
from headway.report.figures import NONE, count, duration, fixed, places
from headway.report.view import Column, Fact, Item, Note, Page, Section, View, by_columns

SCHEMA = "headway.measure/1"
NOTABLE_DRIFT = 0.05
"""Second half of the steps over the first, from which it is said."""
LEAST_SHARE = 0.001
NAMES = {
    "evaluation": "evaluation",
    "checkpoint": "save",
    "final_save": "final save",
    "load": "load",
    "tokenize": "tokenize",
    "compile": "compile",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureAnswer:
    """Everything that the verb `measure` found out about one stage on one machine."""

    plan: Plan
    experiment: str
    option: str
    """The plan's option that was measured; empty: the plan itself."""
    job: Job
    device: str
    machine: Mapping[str, Any]
    """As the worker says it: `device host cores threads torch ...`."""
    body: Mapping[str, Any]
    """The record `headway.measurement/1`."""
    steps: Summary
    step: StepOfRun
    stopped: str
    warm_up: Mapping[str, float]
    """`steps` and `seconds` before the timings that count."""
    stage: StageEstimate
    """The stage as it is estimated with what was measured."""
    epochs: EpochTable | None
    remarks: tuple[str, ...]
    place: str
    """Where the record is kept; empty: nowhere."""
    own_program: str
    """The command that measures a program of one's own on all that the stage runs on."""
    next_command: str


def measure_page(answer: MeasureAnswer) -> Page:
    """The page for people; the record with epochs and total for programs; one line a term for spreadsheets."""
    return Page(view=lambda: _view(answer), document=lambda: _document(answer), rows=lambda: _records(answer))


def _document(answer: MeasureAnswer) -> dict[str, Any]:
    table = answer.epochs
    return {
        "schema": SCHEMA,
        "plan": {"name": answer.plan.name, "fingerprint": answer.plan.fingerprint},
        "experiment": answer.experiment,
        "stage": answer.stage.name,
        "option": answer.option or None,
        "measurement": dict(answer.body),
        "step": {"mean_s": answer.steps.mean_s, "mean_error_s": _finite(answer.steps.mean_error_s),
                 "median_s": answer.steps.median_s, "low_s": answer.steps.low_s, "high_s": answer.steps.high_s,
                 "sd_s": answer.steps.sd_s, "steps": answer.steps.repeats, "outliers": answer.steps.outliers,
                 "drift": answer.steps.drift, "parts_s": dict(answer.step.parts_s)},
        "total_s": answer.stage.wall_s.to_dict(),
        "terms_s": {term: spread.to_dict() for term, spread in answer.stage.terms_s.items()},
        "epoch_s": None if table is None else table.epoch_s.to_dict(),
        "epochs": [] if table is None else [
            {"budget_s": one.budget.mid, "epochs": one.epochs, "epochs_p90": one.epochs_p90, "wall_s": one.wall_s}
            for one in table.budgets
        ],
        "stopped": answer.stopped,
        "warm_up": dict(answer.warm_up),
        "recorded": answer.place or None,
        "remarks": list(answer.remarks),
        "next_command": answer.next_command,
    }  # fmt: skip


def _finite(value: float) -> float | None:
    """None where a single timing leaves the error unknown: JSON has no infinity."""
    return value if math.isfinite(value) else None


def _records(answer: MeasureAnswer) -> Iterator[dict[str, object]]:
    for term, said in answer.body["terms"].items():
        yield {"term": term, "p10_s": said["p10"], "p50_s": said["p50"], "p90_s": said["p90"],
               "repeats": said["repeats"], "device": answer.device}  # fmt: skip


def _view(answer: MeasureAnswer) -> View:
    option = f", option {answer.option}" if answer.option else ""
    return View(
        title=f"Measured: {answer.plan.title or answer.plan.name}{option}",
        subtitle=_where(answer),
        sections=tuple(
            section
            for section in (
                Section(title="", items=tuple(_facts(answer))),
                Section(title="Epochs", items=tuple(_epochs(answer))),
                Section(title="", items=tuple(_notes(answer))),
            )
            if section.items
        ),
        next_command=answer.next_command,
    )


def _where(answer: MeasureAnswer) -> str:
    """`AMD EPYC, 2 cores, 8.3 GB · torch 2.13.0 · fp32, 8 × 512 tokens`."""
    machine, recipe = answer.machine, answer.job.recipe
    device = str(machine.get("device", answer.device))
    if answer.job.node.device.is_assumed:
        device += f" (CPU, {count(int(machine.get('threads') or machine.get('cores') or 1), 'thread')})"
    memory = machine.get("device_memory_bytes") or machine.get("memory_bytes")
    parts = [
        device,
        format_bytes(float(memory)) if memory else "",
        f"torch {machine['torch']}" if "torch" in machine else "",
    ]
    return " · ".join([*filter(None, parts), recipe.precision])


def _facts(answer: MeasureAnswer) -> Iterator[Fact]:
    steps, table = answer.steps, answer.epochs
    if steps.repeats > 1:
        text = f"{_time(steps.mean_s)} ± {_time(steps.mean_error_s)}"
        note = f"mean ± its standard error, {count(steps.repeats, 'step')}"
        yield Fact(label="step", text=text, kind="measured", note=note)
        shown = (("median", steps.median_s), ("p90", steps.p90_s), ("min", steps.low_s), ("max", steps.high_s),
                 ("standard deviation", steps.sd_s))  # fmt: skip
        yield Fact(label="", text=", ".join(f"{name} {_time(value)}" for name, value in shown))
    else:
        yield Fact(label="step", text=_time(steps.mean_s), kind="measured", note="one step: its error is not known")
    wait = answer.step.wait_s.mid
    yield Fact(label="data wait", text=_share(wait / max(1e-12, wait + steps.mean_s)))
    if memory := _memory(answer):
        yield Fact(label="memory", text=memory, kind="measured")
    for term, name in NAMES.items():
        if term in answer.body["terms"]:
            said = answer.body["terms"][term]
            value = Spread.from_range(Range(said["p10"], said["p50"], said["p90"]), "measured")
            yield Fact(label=name, text=duration(value, 0.8), kind="measured", note=_each(term, said["repeats"]))
    if answer.body.get("resume_s") is not None:
        yield Fact(label="resume", text=_time(answer.body["resume_s"]), kind="measured", note="from the save, once")
    if disk := _disk(answer.body.get("disk") or {}):
        yield Fact(label="disk", text=disk, kind="measured")
    if table is not None:
        steps_of = f"{table.rows:,.0f} rows in {table.steps_per_epoch:,.0f} steps"
        note = f"{steps_of}: {_in_every_unit(table.epoch_s.p50)}"
        yield Fact(label="one epoch", text=duration(table.epoch_s, 0.8), kind=table.epoch_s.kind, note=note)
    yield Fact(label="this stage", text=duration(answer.stage.wall_s, 0.8), kind=answer.stage.wall_s.kind,
               note=f"{answer.stage.steps:,} steps with everything around them")  # fmt: skip
    yield Fact(label="stopped", text=_stopped(answer))


def _in_every_unit(seconds: float) -> str:
    """`1,686.4 s = 28.1 min = 0.468 h`."""
    units = ((1.0, "s"), (60.0, "min"), (3600.0, "h"))
    return " = ".join(f"{fixed(seconds / factor, max(1, places(seconds / factor)))} {unit}" for factor, unit in units)


def _share(share: float) -> str:
    return f"{format_share(share) if share >= LEAST_SHARE else 'under 0.1 %'} of a step"


def _time(seconds: float) -> str:
    return format_duration(seconds)


def _each(term: str, repeats: int) -> str:
    units = {"load": "with the start and end of the process", "tokenize": "all rows", "compile": "paid once"}
    return f"{units.get(term, 'each')}, {count(repeats, 'timing')}"


def _memory(answer: MeasureAnswer) -> str:
    memory = answer.body["memory"]
    total = answer.machine.get("device_memory_bytes") or answer.machine.get("memory_bytes")
    parts = []
    if memory.get("peak_bytes"):
        of = f" of {format_bytes(float(total))}" if total else ""
        parts.append(f"peak {format_bytes(memory['peak_bytes'])}{of}")
    if memory.get("fits") is not None:
        size = f", {memory['longest_tokens']:,.0f} tokens a row" if memory.get("longest_tokens") else ""
        parts.append(f"the longest batch {'fits' if memory['fits'] else 'does not fit'}{size}")
    if memory.get("largest_micro_batch") and not memory.get("fits"):
        parts.append(f"largest batch that runs: {count(memory['largest_micro_batch'], 'row')}")
    return "; ".join(parts)


def _disk(said: Mapping[str, Any]) -> str:
    """`writes 320 MB/s, reads 1.1 GB/s, 68 GB free`."""
    words = (("write_bytes_per_s", "writes {}/s"), ("read_bytes_per_s", "reads {}/s"), ("free_bytes", "{} free"))
    return ", ".join(text.format(format_bytes(float(said[name]))) for name, text in words if said.get(name))


def _stopped(answer: MeasureAnswer) -> str:
    warm = answer.warm_up
    words = answer.stopped or "at the end"
    if warm.get("steps"):
        words += f"; {count(warm['steps'], 'step')} of warm-up ({_time(float(warm.get('seconds', 0)))}) left out"
    return words


def _epochs(answer: MeasureAnswer) -> Iterator[Item]:
    """Epochs for each budget, for people in the order of the budgets."""
    table = answer.epochs
    if table is None or not table.budgets:
        return
    yield by_columns(
        [
            (Column(name="Budget", align="right"),
             [one.budget.text or format_duration(one.budget.mid) for one in table.budgets]),
            (Column(name="epochs", align="right"), [f"{one.epochs:,}" for one in table.budgets]),
            (Column(name="take", align="right"),
             [format_duration(one.wall_s) if one.epochs else NONE for one in table.budgets]),
            (Column(name="sure (p90)", align="right"), [f"{one.epochs_p90:,}" for one in table.budgets]),
        ]
    )  # fmt: skip


def _notes(answer: MeasureAnswer) -> Iterator[Note]:
    steps = answer.steps
    for remark in answer.remarks:
        yield Note(text=_sentence(remark))
    if steps.outliers:
        yield Note(
            text=f"{count(steps.outliers, 'step')} of {steps.repeats:,} took far longer or shorter than the others; "
            "they count, as they come again in a long run.",
            severity="warning",
            hint="See what else runs on the machine.",
        )
    said = any("second half" in remark for remark in answer.remarks)
    if abs(steps.drift) > NOTABLE_DRIFT and not said:
        yield Note(text=f"The second half of the steps was {format_share(abs(steps.drift))} "
                   f"{'slower' if steps.drift > 0 else 'faster'} than the first: the machine was not steady.",
                   severity="warning", hint="Measure again, longer: --budget 180s.")  # fmt: skip
    yield _kept(answer) if answer.place else Note(text="Not kept.")


def _kept(answer: MeasureAnswer) -> Note:
    """Where the record is, and which estimates use it: they look for their stage, device and number of devices."""
    kept, planned, gpus = f"Kept in {answer.place}", answer.job.node.device, answer.job.recipe.parallel.gpus
    if gpus > 1:
        used = "only the rates around its step" if answer.device == planned.name else "nothing of it"
        return Note(
            text=f"{kept}; the stage runs on {gpus:,} GPUs and one device was measured: its estimate uses {used}.",
            hint=f"A program of yours is measured on all of them: {answer.own_program}",
        )
    if answer.device != planned.name:
        there = shlex.quote(answer.device)
        return Note(text=f"{kept}; estimates with --assume run.machine={there} use it from now on.")
    where = "this CPU" if planned.is_assumed else f"a {answer.device}"
    return Note(text=f"{kept}; estimates of this plan on {where} use it from now on.")


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + ("" if words.endswith(".") else ".")
