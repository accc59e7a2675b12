"""What an estimate promised of the run that is tracked: read from the records beside its plan.

Owns the reading of `headway.promise/1` for one experiment and stage. Making promises is the verb `estimate`, judging
them is the verb `verify`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headway.domain.errors import UsageError, UserError
from headway.domain.units import Range


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """The newest estimate of one stage; all empty where nothing was promised."""

    plan: str = ""
    """Fingerprint of the plan."""
    experiment: str = ""
    stage: str = ""
    total_steps: int | None = None
    each_s: Mapping[str, Range] = field(default_factory=dict)
    """Seconds of one unit by term, at p10, p50 and p90."""
    units: Mapping[str, float] = field(default_factory=dict)
    p50_s: float | None = None
    """Of the whole stage: the sum of its terms."""
    p90_s: float | None = None
    usd_per_hour: float | None = None


def promised(plan_file: str, experiment: str = "", stage: str = "") -> Promise:
    """What the newest estimate of the plan says of an experiment (its only one, where none is named) and a stage.

    Without a name the stage is the first that trains. Empty where there is no plan, store or estimate. Raises
    UsageError for an experiment or stage that the estimate does not have.
    """
    body = _newest(plan_file) if plan_file else None
    if body is None:
        return Promise(experiment=experiment, stage=stage)
    found = _named(body["experiments"], "id", experiment, "an experiment of the plan is tracked")
    if found is None:
        return Promise(plan=str(body["plan"]["fingerprint"]), stage=stage)
    stages = [one for one in found["stages"] if stage or one["kind"] == "train"]
    made = _named(stages[:1] if not stage else stages, "name", stage, "a stage of the experiment is tracked")
    return _of_stage(body, str(found["id"]), made) if made is not None else Promise(experiment=str(found["id"]))


def _newest(plan_file: str) -> Mapping[str, Any] | None:
    from pathlib import Path

    from headway.store import open_store
    from headway.store.place import is_there, place_of

    place = place_of(plan_file)
    if not is_there(place):
        return None
    try:
        with open_store(place) as store:
            bodies = [record.body for record in store.read("estimate")]
    except UserError:
        return None  # a run is tracked whether its promise can be read or not
    own = [body for body in bodies if body.get("plan", {}).get("file") == Path(plan_file).name]
    return own[-1] if own else None


def _named(items: list[Any], key: str, name: str, rule: str) -> Mapping[str, Any] | None:
    """The item of that name, or the only one where none is named."""
    if not name:
        return items[0] if len(items) == 1 else None
    found: Mapping[str, Any] | None = next((item for item in items if item[key] == name), None)
    if found is None:
        known = [str(item[key]) for item in items]
        raise UsageError(rule, got=name, hint=f"It has {', '.join(known[:5])}{', ...' if len(known) > 5 else ''}.")
    return found


def _of_stage(body: Mapping[str, Any], experiment: str, made: Mapping[str, Any]) -> Promise:
    counts, terms = made["counts"], made["terms_s"]
    each = {
        term: Range(*(float(said[end]) / counts[term] for end in ("p10", "p50", "p90")))
        for term, said in terms.items()
        if counts.get(term)
    }
    steps, price = made.get("steps"), body.get("usd_per_hour")
    return Promise(
        plan=str(body["plan"]["fingerprint"]),
        experiment=experiment,
        stage=str(made["name"]),
        total_steps=round(steps) if steps else None,
        each_s=each,
        units={term: float(counts[term]) for term in each},
        p50_s=sum(float(said["p50"]) for said in terms.values()),
        p90_s=sum(float(said["p90"]) for said in terms.values()),
        usd_per_hour=None if price is None else float(price),
    )
