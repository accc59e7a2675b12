"""What is known of this machine before an estimate: measurements in the store beside the plan, packs of others.

Owns which of them count here, and their way into measurements of stages and rates of the calibration. What measures is
`app/measure.py`, what is stored `app/stored.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from headway.catalog.calibration import shipped_calibration
from headway.domain.calibration import Constant
from headway.domain.errors import UserError
from headway.domain.experiment import Adapter, Architecture, Batches, Parallel, Recipe
from headway.domain.measurement import MeasuredMemory, MeasuredWork, Measurement, StepDoubt
from headway.domain.units import Range
from headway.store.place import is_there, place_of

SOURCE = "measured here"
CPU = "CPU"
"""The catalog's device that stands for all of them."""
HOST = ("host", "cores")
"""Of a CPU's measurement, what the machine must have in common with this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What was measured, the newest of each."""

    measurements: tuple[Measurement, ...] = ()
    rates: Mapping[str, Mapping[str, Constant]] = field(default_factory=dict)
    """By device: constants of the calibration."""
    problem: str = ""
    """Why the store could not be read."""

    def before(self, own: Kept) -> Kept:
        """Both, `own` on top: what is one's own counts where both know something."""
        known = {_what(item) for item in own.measurements}
        rest = tuple(one for one in self.measurements if _what(one) not in known)
        devices = {*self.rates, *own.rates}
        rates = {name: {**self.rates.get(name, {}), **own.rates.get(name, {})} for name in devices}
        return Kept(measurements=(*rest, *own.measurements), rates=rates, problem=own.problem)


def kept(plan_file: str) -> Kept:
    """What the store of a plan file knows of this machine; nothing is opened, nor made, where there is none."""
    if not is_there(place_of(plan_file)):
        return Kept()
    from headway.app.stored import records  # SQLite, which a plan without a store does not need

    try:
        found = records("measurement", plan_file)
    except UserError as error:
        return Kept(problem=str(error))
    here = [record for record in found if counts_here(record.body)]
    return known_from((record.body, record.made[:10]) for record in here)


def known_from(bodies: Iterable[tuple[Mapping[str, Any], str]]) -> Kept:
    """Measurements and rates of bodies `headway.measurement/1`, each with its date, oldest first: the newest counts."""
    measurements: dict[tuple[str, str, int, str], Measurement] = {}
    rates: dict[str, dict[str, Constant]] = {}
    for body, date in bodies:
        for one in measurements_of(body, date):
            before = measurements.get(_what(one))
            known = before.memory if before is not None else None  # runs mostly do not say what memory they took
            measurements[_what(one)] = replace(one, memory=one.memory or known)
        rates.setdefault(body["device"], {}).update(_rates(body, date))
    return Kept(measurements=tuple(measurements.values()), rates=rates)


def _what(item: Measurement) -> tuple[str, str, int, str]:
    """What a measurement is of; a newer one of the same takes its place."""
    return item.stage, item.device, item.gpus, item.term


def measurements_of(body: Mapping[str, Any], date: str, source: str = SOURCE) -> list[Measurement]:
    """The terms of one record as the estimator takes them."""
    machine = {name: str(value) for name, value in body.get("machine", {}).items()}
    work, memory = _work(body.get("work")), _memory(body, machine, f"{source} {date}".strip())
    return [
        Measurement(
            stage=body["stage"],
            device=body["device"],
            gpus=int(body["gpus"]),
            term=term,
            seconds=range_of(said),
            repeats=int(said["repeats"]),
            source=source,
            date=date,
            environment=machine,
            work=work if term == "step" else None,
            memory=memory if term == "step" else None,
            doubt=_doubt(body.get("doubt")) if term == "step" else None,
        )
        for term, said in body["terms"].items()
    ]


def _work(said: Mapping[str, Any] | None) -> MeasuredWork | None:
    """What a record says that its step computed; None for none, and for what another version wrote otherwise."""
    if not said:
        return None
    try:
        recipe, adapter = dict(said["recipe"]), said["recipe"]["adapter"]
        recipe["adapter"] = None if adapter is None else Adapter(**adapter | {"targets": tuple(adapter["targets"])})
        recipe["parallel"] = Parallel(**recipe["parallel"])
        return MeasuredWork(
            architecture=Architecture(**said["architecture"]),
            recipe=Recipe(**recipe),
            batches=Batches(**said["batches"]),
        )
    except (KeyError, TypeError):
        return None


def _doubt(said: Mapping[str, Any] | None) -> StepDoubt | None:
    """What a record says of its steps' doubt; None for none, and for what another version wrote otherwise."""
    try:
        return StepDoubt(**said) if said else None
    except TypeError:
        return None


def _memory(body: Mapping[str, Any], machine: Mapping[str, str], source: str) -> MeasuredMemory | None:
    """The highest peak that a probe saw, where it ran as planned; what it worked out from fewer rows is none, nor what
    is below an evaluation that ran out of memory.
    """
    said = body.get("memory", {})
    whole = said.get("fits") and said.get("evaluation_fits", True)
    if said.get("worked_out") or not (said.get("peak_bytes") and whole):
        return None
    cpu = body["device"] == CPU
    usable = machine.get("memory_bytes" if cpu else "device_memory_bytes")
    step_bytes, evaluation_bytes = float(said["peak_bytes"]), float(said.get("evaluation_peak_bytes", 0.0))
    return MeasuredMemory(
        peak_bytes=max(step_bytes, evaluation_bytes),
        seen_by="device" if cpu else "allocated",
        longest_tokens=None if said.get("own_rows") else float(said.get("longest_tokens", 0.0)),
        usable_bytes=float(usable) if usable else None,
        source=f"{source}, {'the longest rows' if step_bytes >= evaluation_bytes else 'an evaluation'}",
    )


def _rates(body: Mapping[str, Any], date: str) -> dict[str, Constant]:
    """Constants that the calibration has, with what was measured in their place."""
    shipped = shipped_calibration().constants
    return {
        name: replace(shipped[name], range=range_of(said), kind="measured", source=f"{SOURCE} {date}", date=date)
        for name, said in body.get("rates", {}).items()
        if name in shipped
    }


def range_of(said: Mapping[str, float]) -> Range:
    """The range of `{"p10", "p50", "p90"}`, in order."""
    return Range(*sorted((float(said["p10"]), float(said["p50"]), float(said["p90"]))))


def counts_here(body: Mapping[str, Any]) -> bool:
    """Whether a measurement speaks for this machine: a GPU is the same everywhere, a CPU is only itself."""
    if body.get("device") != CPU:
        return True
    from headway.worker.machine.host import host_cpu, usable_cores

    machine, here = body.get("machine", {}), (host_cpu(), usable_cores())
    return tuple(machine.get(name) for name in HOST) == here
