"""Runs as they are recorded: a log or a run's folder as a document `headway.run/1`.

Owns what of a log becomes part of the record, and where runs of a plan lie. Reading logs is `logs/`, a live run writes
its record in `track/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from headway.app.kept import CPU
from headway.check.verdicts.ran import SCHEMA, Ran, ran_from
from headway.domain.errors import UserError
from headway.domain.observation import EVENTS_FILE, Observation, RunLog, timed_in, times_of
from headway.domain.record import fingerprint, utc_text
from headway.domain.sample import mean_error
from headway.logs.read import read_log
from headway.store.place import folder_of

MOST_PROBLEMS = 20
OVER = ("COMPLETED", "FINISHED")
"""States of a run that did what it meant to do, as Slurm, and W&B and MLflow call them."""


def run_folders(plan_file: str | None = None) -> list[Path]:
    """Folders of runs beside a plan file, or in the working directory, by name."""
    return sorted(path.parent for path in folder_of(plan_file).glob(f"runs/*/{EVENTS_FILE}"))


def read_run(path: str | Path) -> dict[str, Any]:
    """The run of a folder or a log of any format. Raises UserError where nothing in it can be read."""
    place = Path(path)
    events = place / EVENTS_FILE if place.is_dir() else place
    own = events.name == EVENTS_FILE and events.is_file()
    return run_document(read_log(events if own else place), events.parent.name if own else "")


def ran_of(body: Mapping[str, Any]) -> Ran:
    """The run of a record, its device by the catalog's name. Raises UserError for a record of another form."""
    ran = ran_from(body)
    return replace(ran, device=device_name(ran.device))


def run_document(log: RunLog, run: str = "") -> dict[str, Any]:
    """A log as `headway.run/1`; `run` is its id where the log names none, else its own fingerprint.

    Raises UserError for a log that times nothing.
    """
    said = log.of_rank_0
    wall_s = _wall_s(log)
    stages = _stages(said, str(log.facts.get("stage", "")))
    if not any(stages.values()) and wall_s is None:
        raise UserError("a run is verified by its times", got=f"{log.name} ({log.format}) without any",
                        hint="Logs with times: console output, TensorBoard, or a run tracked by headway.")  # fmt: skip
    started = moment(log.facts.get("started"))
    epochs, over = _epochs(said)
    ended = over or any(item.kind == "end" for item in said) or "train_runtime_s" in log.facts
    finished = ended and str(log.facts.get("state") or log.facts.get("status") or OVER[0]).upper() in OVER
    steps = _steps(said)
    if not steps and not epochs and log.total_steps and (not finished or any(item.step is not None for item in said)):
        raise UserError("a run is verified by the steps that it did",
                        got=f"{log.name}: of {log.total_steps:,} that were meant none is known to be done")  # fmt: skip
    return {
        "schema": SCHEMA,
        "run": str(log.facts.get("run") or run or _identity(log)),
        "name": run or log.name,
        "plan": str(log.facts.get("plan", "")),
        "experiment": str(log.facts.get("experiment", "")),
        "stages": stages or {"": {}},
        "wall_s": wall_s,
        "steps": steps,
        "total_steps": log.total_steps,
        "started": started,
        "ended": _later(started, wall_s) if finished else None,
        "finished": finished,
        "device": device_name(str(log.facts.get("device", ""))),
        "machine": {"host": str(log.facts["host"])} if "host" in log.facts else {},
        "source": log.format,
        "problems": list(log.problems[:MOST_PROBLEMS]),
        **epochs,
        **{name: str(said) for name, said in log.facts.items() if name == "watched_by"},
    }


def _steps(said: Sequence[Observation]) -> int:
    """Steps that the log saw done, by all of its attempts; 0 where it tells of none.

    What an earlier process did is before the first `begin`. Where that does not say, as on a console, it is before
    the steps that the first observation covers.
    """
    before = next((item.step for item in said if item.kind == "begin"), None)
    if before is None:
        firsts = (item for item in said if item.kind == "step")
        before = next((one.step - (one.step if one.steps is None else one.steps) for one in firsts if one.step), 0)
    done = max((item.step - before for item in said if item.step is not None), default=0)
    return done or sum(1 if item.steps is None else item.steps for item in said if item.kind == "step")


def _epochs(said: Sequence[Observation]) -> tuple[dict[str, float | None], bool]:
    """Epochs whose time a log tells that tells of no steps, and how many were meant; and whether the last is over.

    Those before a resume took none of its time, and how long the first took is not always known.
    """
    told = [item for item in said if item.kind == "epoch"]
    if not told or any(item.kind == "step" for item in said):
        return {}, False
    counts = [0.0, *(item.epoch or 0.0 for item in told)]
    timed = sum(now - before for item, before, now in zip(told, counts, counts[1:], strict=False) if item.seconds)
    total = told[-1].values.get("epochs")
    return {"epochs": timed, "total_epochs": total}, total is not None and counts[-1] >= total


def device_name(said: str) -> str:
    """The catalog's name of a device, `CPU` for a processor, else as it was said."""
    from headway.catalog import find_device
    from headway.worker.machine.host import host_cpu

    if said.lower() == "cpu" or (said and said == host_cpu()):
        return CPU
    try:
        return find_device(said).name if said else ""
    except UserError:
        return said


def moment(said: object) -> str:
    """A moment as UTC with seconds and `Z`; local time where it names no zone; empty for what is none."""
    try:
        if isinstance(said, int | float):
            return utc_text(datetime.fromtimestamp(said, tz=UTC))
        return utc_text(datetime.fromisoformat(str(said)))
    except (ValueError, OverflowError, OSError):
        return ""


def _later(started: str, seconds: float | None) -> str | None:
    if not started or seconds is None:
        return None
    return moment((datetime.fromisoformat(started) + timedelta(seconds=seconds)).isoformat())


def _identity(log: RunLog) -> str:
    """The same log is the same run, wherever it lies."""
    lines = [item.to_line() for item in log.observations]
    return f"log-{fingerprint([log.format, {name: str(fact) for name, fact in log.facts.items()}, lines])[:12]}"


def _wall_s(log: RunLog) -> float | None:
    """From the first to the last moment of the log, or what it says of its epochs or the whole training, whichever is
    longer.
    """
    # Samples of the machine may begin before it and go on after it.
    said = [item for item in log.of_rank_0 if item.at_s is not None and item.kind != "device"]
    moments: list[float] = []
    if len(said) > 1:
        first = said[0]
        begun = (first.seconds or 0.0) if first.kind != "begin" and not first.at_s else 0.0
        moments.append(max(item.at_s or 0.0 for item in said) + begun)
    if epochs_s := [item.seconds for item in log.of_rank_0 if item.kind == "epoch" and item.seconds is not None]:
        moments.append(sum(epochs_s))
    runtime = log.facts.get("train_runtime_s")
    if isinstance(runtime, int | float) and runtime > 0:
        moments.append(float(runtime))
    return max(moments, default=None)


def _stages(said: Iterable[Observation], named: str) -> dict[str, dict[str, dict[str, float]]]:
    """Seconds and units by stage and term; `named` is the stage of observations that name none."""
    groups: dict[str, list[Observation]] = {}
    for item in said:
        groups.setdefault(item.stage or named, []).append(item)
    return {name: terms for name, items in groups.items() if (terms := _terms(items))}


def _terms(said: Sequence[Observation]) -> dict[str, dict[str, float]]:
    """Seconds and units by term, and the standard error of the mean of one, where several timings tell it."""
    each: dict[str, list[float]] = {}
    for item in said:
        for term, timed in timed_in(item):
            each.setdefault(term, []).append(timed.each_s)
    errors = {term: mean_error(np.asarray(values)) for term, values in each.items() if len(values) > 1}
    return {
        term: {"seconds": timed.seconds, "units": timed.units}
        | ({"each_error_s": errors[term]} if term in errors else {})
        for term, timed in times_of(said).items()
    }
