"""Folders of finished jobs -> rows: the promise, what happened, and what bars said on the way.

Owns the reading of `estimate.json`, `events.jsonl` and the probe's record, and the totals said at 5, 20 and 50 % of a
run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headway.domain.observation import Observation, times_of
from headway.store import open_store
from headway.store.place import FILE, FOLDER
from headway.track.remaining import Course, Remaining
from pilots.bars import SHARES, totals_by_bar
from pilots.jobs import JOBS, LONG_PILOT_S, Job

EVERY_S, LEAST_REST_S = 10.0, 100.0


def collected(passes: Sequence[Path]) -> dict[str, Any]:
    """All finished jobs of the passes, each a folder, with the machine they ran on."""
    rows: list[dict[str, Any]] = []
    machine: Mapping[str, Any] = {}
    for number, raw in enumerate(passes, start=1):
        found, machine = _of_pass(raw)
        rows += [{"pass": number, **row} for row in found]
    return {"machine": machine, "rows": rows}


def _of_pass(raw: Path) -> tuple[list[dict[str, Any]], Mapping[str, Any]]:
    rows: list[dict[str, Any]] = []
    machine: Mapping[str, Any] = {}
    for job in JOBS.values():
        folder = raw / job.name
        if (folder / "estimate.json").exists():
            said = json.loads((folder / "estimate.json").read_text(encoding="utf-8"))
            header, events = _events(folder / "run" / "events.jsonl")
            machine = header["machine"]
            with open_store(raw / job.name / FOLDER / FILE) as store:
                (probe,) = store.read("measurement")
            row = _row(job, said, events) | {"peak_bytes": _peaks(probe.body, events)}
            rows.append(row | ({"wander": wander(events, LONG_PILOT_S)} if job.long else {}))
    return rows, machine


def _events(path: Path) -> tuple[dict[str, Any], list[Observation]]:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return lines[0], [Observation.from_mapping(line) for line in lines if "kind" in line]


def _row(job: Job, said: Mapping[str, Any], events: Sequence[Observation]) -> dict[str, Any]:
    steps, actual_s = said["steps"], said["actual_s"]
    return {
        "job": job.name,
        "long": job.long,
        "steps": steps,
        "probe_s": round(said["probe_s"], 1),
        "predicted_s": {name: round(said["wall_s"][name], 2) for name in ("p10", "p50", "p90")},
        "actual_s": round(actual_s, 2),
        "terms_s": {
            term: {"promised": round(said["terms_s"][term]["p50"], 3) if term in said["terms_s"] else None,
                   "measured": round(timed.seconds, 3)}
            for term, timed in times_of(events).items()
        },
        "bars_s": _said(events, steps, actual_s, _bar),
        "tracked_s": _said(events, steps, actual_s, lambda *given: _tracked(job, *given)),
    }  # fmt: skip


def wander(events: Sequence[Observation], window_s: float) -> float:
    """How far the mean pace (seconds a token) of a window is from that of the whole rest of the run after it: the root
    mean square of the relative difference, over windows that begin every `EVERY_S`.

    What a probe of that length could not know even from inside the run.
    """
    steps = [item for item in events if item.kind == "step" and item.seconds and item.tokens]
    seconds, tokens = (np.array([float(getattr(one, name)) for one in steps]) for name in ("seconds", "tokens"))
    ends_s = np.cumsum(seconds)
    found = []
    for begin_s in np.arange(0.0, ends_s[-1] - window_s - LEAST_REST_S, EVERY_S):
        inside = (ends_s > begin_s) & (ends_s <= begin_s + window_s)
        after = ends_s > begin_s + window_s
        pace, rest = (seconds[some].sum() / tokens[some].sum() for some in (inside, after))
        found.append(pace / rest - 1)
    return round(float(np.sqrt(np.mean(np.square(found)))), 4)


def _peaks(probe: Mapping[str, Any], events: Sequence[Observation]) -> dict[str, float]:
    """The most memory that the process of the probe held on the longest rows, and that of the run."""
    held = [item.values["memory_bytes"] for item in events if "memory_bytes" in item.values]
    return {"probe": probe["memory"]["peak_bytes"], "run": max(held)}


def _said(events: Sequence[Observation], steps: int, actual_s: float, ask: Any) -> dict[str, float | None]:
    found = {f"{share:g}": ask(events, steps, share * actual_s) for share in SHARES}
    return {share: None if total is None else round(total, 2) for share, total in found.items()}


def _bar(events: Sequence[Observation], steps: int, now_s: float) -> float | None:
    """A bar appears when training begins: when model and data are there."""
    moments = [item.at_s for item in events if item.kind == "step" and item.at_s is not None]
    ready = max(item.at_s or 0.0 for item in events if item.kind in ("load", "tokenize", "compile"))
    return totals_by_bar(moments, ready, steps, now_s)


def _tracked(job: Job, events: Sequence[Observation], steps: int, now_s: float) -> float | None:
    course = Course(total_steps=steps, evaluate_every=job.evaluate_every, save_every=job.save_every, final_saves=1)
    remaining = Remaining(course)
    for item in events:
        if item.at_s is not None and item.at_s > now_s:
            break
        remaining.feed(item)
    left = remaining.left()
    return None if left.p50_s is None else left.elapsed_s + left.p50_s
