"""What a probe said, as seconds of an estimate's terms and rates of this machine: the body of `headway.measurement/1`.

Owns the conversion of units. Timing is `worker/bench.py`, the projection of steps `predict/pilot.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from headway.domain.calibration import P90_SCORE
from headway.domain.errors import UserError
from headway.domain.record import plain
from headway.domain.sample import Summary, mean_error, summarise
from headway.domain.units import Range
from headway.estimate.resolve import Job
from headway.predict.pilot import Processor, RunSteps, StepOfRun, TimedStep, project

SCHEMA = "headway.measurement/1"
ONCE = 1.25
"""Factor by which a thing that was timed once or twice is taken to differ from run to run. Assumed."""
MOST_SAMPLES = 500
"""Of one term that a record keeps, evenly spaced."""
PLANNED = "planned"


@dataclass(slots=True, kw_only=True)
class Heard:
    """The lines of one probe, as they came."""

    machine: dict[str, Any] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The last line of every other kind: `disk`, `device`, `longest`, `done`."""
    process_s: float = 0.0
    """From the start of the program's process to its end, as its caller saw it; 0: not known."""
    own_rows: bool = False
    """Rows were those of the run, by the model's own tokenizer: the longest is the run's."""
    invented: bool = False
    """By a tokenizer that was made of the rows, in the place of the model's: its time and lengths are not the run's."""
    evaluation_scale: float = 1.0
    """A row of the evaluation's tasks over one that the probe evaluated (`app/task.py`)."""
    without_weights: bool = False
    """Weights were drawn at random in the place of some that the run reads: loading took less than it will."""

    def take(self, line: Mapping[str, Any]) -> None:
        """One line of the program."""
        said = dict(line)
        event = str(said.pop("event", ""))
        if event == "sample":
            self.samples.append(said)
        elif event == "machine":
            self.machine = said
        else:
            self.facts[event] = said

    def of(self, term: str) -> list[dict[str, Any]]:
        """Samples of a term that have seconds."""
        return [one for one in self.samples if one.get("term") == term and one.get("seconds") is not None]

    def seconds(self, term: str) -> list[float]:
        """Their seconds; of steps those as planned, without the wait for data."""
        if term != "step":
            return [float(one["seconds"]) for one in self.of(term)]
        return [one.compute_s for one in self.steps() if one.planned]

    def steps(self) -> list[TimedStep]:
        """Every step, those of other sizes included."""
        return [
            TimedStep(
                seconds=float(one["seconds"]),
                wait_s=float(one.get("wait_s") or 0.0),
                tokens=float(one.get("tokens") or 0.0),
                squares=float(one.get("squares") or 0.0),
                micro_steps=float(one.get("micro_steps") or 1.0),
                planned=one.get("size", PLANNED) == PLANNED,
            )
            for one in self.of("step")
        ]

    @property
    def outside_s(self) -> float:
        """Start and end of the process, which the program itself cannot time and every run pays."""
        return max(self.process_s - float(self.done.get("spent_s", self.process_s)), 0.0)

    @property
    def done(self) -> Mapping[str, Any]:
        """How it ended."""
        return self.facts.get("done", {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A probe of one stage, understood."""

    heard: Heard
    step: StepOfRun
    steps: Summary
    """Of the planned steps, waiting apart."""
    terms: Mapping[str, Range]
    """Seconds of one unit of each term."""
    rates: Mapping[str, Range]
    """Constants of the calibration."""


def understood(heard: Heard, job: Job) -> Probe:
    """What the lines say of the stage. Raises UserError where not a single step was timed."""
    planned = heard.seconds("step")
    if not planned:
        raise UserError("a probe times at least one step", got="none",
                        hint="Give it a longer --budget, or a smaller batch or model.")  # fmt: skip
    processor: Processor = "cpu" if job.node.device.is_assumed else "gpu"
    step = project(heard.steps(), _run(heard, job), processor, float(heard.done.get("others_share") or 0.0))
    terms = {"step": Range(step.p10_s, step.p50_s, step.p90_s), "data_wait": step.wait_s}
    terms |= dict(_terms(heard, job))
    rates = {name: _doubted(value) for name, value in _rates(heard).items()}
    rates["data_wait_share"] = step.wait_s * (1 / step.p50_s)
    return Probe(heard=heard, step=step, steps=summarise(planned), terms=terms, rates=rates)


def _run(heard: Heard, job: Job) -> RunSteps:
    """The steps of the whole run: as long as the worker counted them in the data, else as planned."""
    own = not heard.invented or job.lengths.kind == "assumed"
    batches, run = job.batches, heard.done.get("run", {}) if own else {}
    rows = batches.rows_per_step / job.recipe.parallel.data
    return RunSteps(
        steps=float(max(1, job.steps)),
        tokens=float(run.get("tokens") or rows * batches.row_tokens),
        squares=float(run.get("squares") or rows * batches.row_tokens_squared),
        micro_steps=float(run.get("micro_steps") or job.recipe.grad_accum),
    )


def _terms(heard: Heard, job: Job) -> Iterator[tuple[str, Range]]:
    tokenised = any(one.get("tokens") for one in heard.of("tokenize"))
    # random weights are not read, nor rows of random tokens
    made_up = {"load": heard.without_weights, "tokenize": heard.invented or not tokenised}
    for term in ("load", "tokenize", "compile", "checkpoint", "final_save"):
        found = heard.seconds(term)
        if found and not made_up.get(term):
            yield term, mean_of(found) + Range.point(heard.outside_s if term == "load" else 0.0)
    evaluated = heard.of("evaluation")
    if evaluated and job.stage.evaluate is not None:
        each = [float(one["seconds"]) / float(one["rows"]) for one in evaluated]
        whole = mean_of(each) * (float(evaluated[0]["of_rows"]) * heard.evaluation_scale)
        off = math.log(ONCE) * min(1.0, abs(math.log(heard.evaluation_scale)))  # other rows are another shape
        yield "evaluation", Range(whole.low * math.exp(-off), whole.mid, whole.high * math.exp(off))


def mean_of(seconds: Sequence[float]) -> Range:
    """p10, p50 and p90 of the mean of timings; a few are known to a factor only."""
    values = np.asarray(seconds, dtype=float)
    mean = float(values.mean())
    if values.size < 3:
        return _doubted(mean)
    reach = P90_SCORE * mean_error(values)
    return Range(max(mean - reach, 0.1 * mean), mean, mean + reach)


def _doubted(value: float) -> Range:
    return Range(value / ONCE, value, value * ONCE)


def _rates(heard: Heard) -> dict[str, float]:
    """Rates for other stages on this machine, from sizes and seconds."""
    found: dict[str, float] = {}
    per_second = (
        ("tokenize_tokens_per_s", "tokenize", "tokens"),
        ("checkpoint_write_bytes_per_s", "checkpoint", "bytes"),
        ("checkpoint_write_bytes_per_s", "final_save", "bytes"),
    )
    for name, term, unit in per_second:
        timed = [one for one in heard.of(term) if one.get(unit)]  # what was worked out rests on the disk's speed too
        if timed and name not in found and not (term == "tokenize" and heard.invented):
            seconds = sum(float(one.get("encode_s", one["seconds"])) for one in timed)  # a tokenizer is loaded once
            found[name] = sum(float(one[unit]) for one in timed) / max(1e-9, seconds)
    for one in heard.of("load"):
        if one.get("import_s"):
            found["import_s"] = float(one["import_s"]) + heard.outside_s
        if one.get("bytes"):  # none are read where weights are drawn at random
            found["weights_load_bytes_per_s"] = float(one["bytes"]) / max(1e-9, float(one["build_s"]))
    return found


def body_of(probe: Probe, job: Job, plan: str, experiment: str, device: str, left_out: Sequence[str]) -> dict[str, Any]:
    """The record of a probe: numbers, and names of the plan; no path, no name of a person or host."""
    heard, longest = probe.heard, probe.heard.facts.get("longest", {})
    repeats = {term: len(heard.seconds(term)) for term in probe.terms} | {"data_wait": len(heard.seconds("step"))}
    memory = {"peak_bytes": longest.get("peak_bytes"), "longest_tokens": longest.get("tokens"),
              "fits": longest.get("fits"), "largest_micro_batch": longest.get("rows"),
              "worked_out": longest.get("worked_out") or None, "own_rows": heard.own_rows or None,
              "evaluation_peak_bytes": heard.done.get("evaluation_peak_bytes"),
              "evaluation_fits": heard.done.get("evaluation_fits")}  # fmt: skip
    return {
        "schema": SCHEMA,
        "stage": job.stage.pace,
        "stage_name": job.stage.name,
        "experiment": experiment,
        "plan": plan,
        "device": device,
        "gpus": 1,
        "terms": {term: _ends(value) | {"repeats": repeats[term]} for term, value in probe.terms.items()},
        "doubt": plain(probe.step.doubt),
        "rates": {name: _ends(value) for name, value in probe.rates.items()},
        "memory": {name: value for name, value in memory.items() if value is not None},
        "disk": heard.facts.get("disk", {}),
        "resume_s": next(iter(heard.seconds("resume")), None),
        "machine": heard.machine,
        "task": {
            "micro_batch": job.recipe.micro_batch,
            "grad_accum": job.recipe.grad_accum,
            "max_length": job.recipe.max_length,
            "precision": job.recipe.precision,
            "tokens_per_step": _run(heard, job).tokens,
        },
        "work": plain({"architecture": job.architecture, "recipe": job.recipe, "batches": job.batches}),
        "steps": {"mean_s": probe.steps.mean_s, "median_s": probe.steps.median_s, "sd_s": probe.steps.sd_s,
                  "low_s": probe.steps.low_s, "high_s": probe.steps.high_s, "warm_up": heard.done.get("warm_up")},
        "samples": {term: _thinned(heard.seconds(term)) for term in repeats if term != "data_wait"},
        "remarks": list(left_out),
    }  # fmt: skip


def _ends(value: Range) -> dict[str, float]:
    return {"p10": value.low, "p50": value.mid, "p90": value.high}


def _thinned(values: Sequence[float]) -> list[float]:
    """At most `MOST_SAMPLES`, evenly spaced, to a microsecond."""
    every = max(1, -(-len(values) // MOST_SAMPLES))
    return [round(value, 6) for value in values[::every]]
