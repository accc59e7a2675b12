"""How a run went, read from its record (`headway.run/1`): seconds and units of its terms, how far it came.

Owns the noun and its reading; making the record is `track/` for a live run and `app/runs.py` for a log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headway.domain.errors import UserError
from headway.domain.observation import Timed

SCHEMA = "headway.run/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One run, as far as it got."""

    id: str
    name: str
    plan: str
    """Fingerprint; empty where the run did not know it."""
    experiment: str
    stages: Mapping[str, Mapping[str, Timed]]
    """By name of the stage (empty: the run does not say), then by term."""
    errors_s: Mapping[str, Mapping[str, float]]
    """Standard error of the mean seconds of one unit, where single timings are known."""
    wall_s: float | None
    steps: float
    """Optimizer steps that it did itself, after the checkpoint that it may have gone on from; 0: unknown or none."""
    total_steps: float | None
    """Optimizer steps that the run meant to take."""
    epochs: tuple[float, float | None] | None = None
    """Of a run that told of epochs and of no steps: those that its time holds, and how many it means to have at its
    end, if it said."""
    device: str
    started: str
    """Moment in UTC, ISO 8601; empty: unknown."""
    ended: bool
    source: str
    machine: Mapping[str, Any] = field(default_factory=dict)
    """As the run said: `host` (the CPU's model), `cores`, `driver`, `torch` ..."""
    problems: tuple[str, ...] = ()

    @property
    def terms(self) -> dict[str, Timed]:
        """Terms of all stages, added up."""
        found: dict[str, Timed] = {}
        for terms in self.stages.values():
            for name, timed in terms.items():
                before = found.get(name, Timed(seconds=0.0, units=0.0))
                found[name] = Timed(seconds=before.seconds + timed.seconds, units=before.units + timed.units)
        return found


def ran_from(body: Mapping[str, Any]) -> Ran:
    """The run of a `headway.run/1` document. Raises UserError for anything else."""
    try:
        if body["schema"] != SCHEMA:
            raise ValueError(body["schema"])
        stages: Mapping[str, Mapping[str, Mapping[str, Any]]] = body["stages"]
        timed = {name: {term: _timed(said) for term, said in terms.items()} for name, terms in stages.items()}
        wall, goal = body.get("wall_s"), body.get("total_steps")
        return Ran(
            id=str(body["run"]),
            name=str(body.get("name") or body["run"]),
            plan=str(body.get("plan") or ""),
            experiment=str(body.get("experiment") or ""),
            stages=timed,
            errors_s={
                name: {term: float(said["each_error_s"]) for term, said in terms.items() if said.get("each_error_s")}
                for name, terms in stages.items()
            },
            wall_s=None if wall is None else float(wall),
            steps=float(body.get("steps") or sum(terms["step"].units for terms in timed.values() if "step" in terms)),
            total_steps=float(goal) if goal else None,
            epochs=_epochs(body.get("epochs"), body.get("total_epochs")),
            device=str(body.get("device") or ""),
            started=str(body.get("started") or ""),
            ended=bool(body.get("finished", body.get("ended"))),
            source=str(body.get("source") or ""),
            machine=dict(body.get("machine") or {}),
            problems=tuple(str(one) for one in body.get("problems") or ()),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise UserError("a stored run has the form headway.run/1",
                        got=f"{type(problem).__name__}: {problem}") from problem  # fmt: skip


def _epochs(done: Any, total: Any) -> tuple[float, float | None] | None:
    return None if done is None else (float(done), float(total) if total else None)


def _timed(said: Mapping[str, Any]) -> Timed:
    seconds, units = float(said["seconds"]), float(said["units"])
    if not (0 <= seconds < float("inf") and 0 <= units < float("inf")):
        raise ValueError("seconds and units are finite and not negative")
    return Timed(seconds=seconds, units=units)
