"""One job for real: a probe, the estimate that follows from it, then the whole run, each in a process of its own.

Owns the order and what is kept of it: a folder per job with `estimate.json` and `run/events.jsonl`. The probe and the
estimate are those of the verbs `measure` and `estimate`; the run is the worker's training program.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

from headway.app.inputs import Request, gather
from headway.app.kept import kept
from headway.app.measure import Asked, choose, measure
from headway.app.task import task_of
from headway.app.worker import stream_worker
from headway.plan import read_plan
from pilots.jobs import MODELS, ROWS, ROWS_FILE, Job
from pilots.texts import write_rows

PROVISIONAL_STEPS = 1000
"""Of the plan that is measured, before anybody knows how many fill the wanted time."""
LIMIT_S = 3600.0


def run(job: Job, folder: Path, told: Callable[[str], None]) -> None:
    """Measure, estimate and run `job` in `folder`, which must be new."""
    folder.mkdir(parents=True)
    for name, config in MODELS.items():
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps(config), encoding="utf-8")
    write_rows(folder / ROWS_FILE, ROWS, job.length, seed=crc32(job.name.encode()))
    plan = _with_steps(folder / "plan.yaml", job, PROVISIONAL_STEPS)
    began = time.perf_counter()
    measure(read_plan(plan), Asked(device="cpu", budget_s=job.pilot_s, command="benchmarks/pilot.py"))
    probe_s = time.perf_counter() - began
    total = _estimated(plan)["wall_s"]["p50"]
    per_plan = _estimated(_with_steps(plan, job, 2 * PROVISIONAL_STEPS))["wall_s"]["p50"] - total
    steps = max(2, round(PROVISIONAL_STEPS * (1 + (job.wanted_s - total) / per_plan)))
    promised = _estimated(_with_steps(plan, job, steps))
    told(f"{job.name}: probe {probe_s:.0f} s, {steps} steps, promised {promised['wall_s']['p50']:.1f} s")
    actual_s = _train(plan, folder)
    told(f"{job.name}: took {actual_s:.1f} s, {promised['wall_s']['p50'] / actual_s - 1:+.1%}")
    said = {"job": job.name, "steps": steps, "probe_s": probe_s, "actual_s": actual_s, **promised}
    (folder / "estimate.json").write_text(json.dumps(said, indent=1), encoding="utf-8")


def _with_steps(plan: Path, job: Job, steps: int) -> Path:
    plan.write_text(json.dumps(job.plan(steps)), encoding="utf-8")  # JSON is YAML
    return plan


def _estimated(plan: Path) -> dict[str, Any]:
    """The experiment's seconds, whole and by term, from what was measured beside the plan."""
    inputs = gather(read_plan(plan), Request(kept=kept(str(plan))))
    item = inputs.estimate("best").experiments[0]
    terms = {term: _ends(spread.to_dict()) for term, spread in item.terms_s.items()}
    return {"wall_s": _ends(item.wall_s.to_dict()), "terms_s": terms}


def _ends(said: Mapping[str, Any]) -> dict[str, Any]:
    return {name: said[name] for name in ("p10", "p50", "p90", "kind")}


def _train(plan: Path, folder: Path) -> float:
    """Seconds of the whole run, from the start of its process to the end."""
    chosen = choose(read_plan(plan), Asked(device="cpu"), {})
    task, _ = task_of(chosen.job, chosen.inputs.plan, chosen.inputs.lookup, chosen.counts)
    task |= {"device": "cpu", "out": str(folder / "run")}
    began = time.perf_counter()
    code = stream_worker("train", json.dumps(task), lambda line: None, LIMIT_S)
    actual_s = time.perf_counter() - began
    if code:
        raise RuntimeError(f"the run of {plan} ended with {code}")
    return actual_s
