"""Promises and runs made up for tests, in the form of their records."""

from __future__ import annotations

from typing import Any

from headway.check.verdicts.promise import Promise, promise_for
from headway.check.verdicts.ran import Ran, ran_from

Ends = tuple[float, float, float]


def promised(
    terms: dict[str, tuple[float, Ends]],
    *,
    wall: Ends | None = None,
    kind: str = "predicted",
    device: str = "RTX 4090",
    plan: str = "p1",
    name: str = "train",
) -> dict[str, Any]:
    """A document `headway.promise/1` of one experiment `qa-10k` of one stage: term -> (units, p10 p50 p90 of all)."""
    spread = {"kind": kind, "source": "made up"}
    stage = {
        "name": name, "fingerprint": "f", "pace": "pace-1", "kind": "train", "steps": 1000, "gpus": 1,
        "counts": {term: units for term, (units, _) in terms.items()},
        "terms_s": {term: {**ends_of(ends), **spread} for term, (_, ends) in terms.items()},
    }  # fmt: skip
    experiment: dict[str, Any] = {"id": "qa-10k", "fingerprint": "e1", "stages": [stage]}
    if wall is not None:
        experiment["wall_s"] = {**ends_of(wall), **spread}
    return {
        "schema": "headway.promise/1", "plan": {"name": "small", "fingerprint": plan, "file": "plan.yaml"},
        "rates": "best", "machine": "m", "device": device, "gpus": 1, "option": "", "experiments": [experiment],
        "usd_per_hour": None,
    }  # fmt: skip


def ends_of(ends: Ends) -> dict[str, float]:
    return dict(zip(("p10", "p50", "p90"), ends, strict=True))


def promise(terms: dict[str, tuple[float, Ends]], **given: Any) -> Promise:
    found = promise_for(promised(terms, **given), "qa-10k")
    assert found is not None
    return found


def run_body(terms: dict[str, tuple[float, float]], *, stage: str = "", **given: Any) -> dict[str, Any]:
    """A document `headway.run/1`: term -> (units, seconds); steps and wall time follow unless they are given."""
    steps = terms.get("step", (0, 0))[0]
    said = {
        "schema": "headway.run/1", "run": "r1", "name": "r1", "plan": "p1", "experiment": "qa-10k",
        "stages": {stage: {term: {"seconds": seconds, "units": units} for term, (units, seconds) in terms.items()}},
        "wall_s": None, "steps": steps, "total_steps": steps, "started": "2026-11-20T10:00:00Z",
        "ended": "2026-11-20T12:00:00Z", "device": "RTX 4090", "machine": {}, "source": "headway", "problems": [],
    }  # fmt: skip
    return said | given


def ran(terms: dict[str, tuple[float, float]], **given: Any) -> Ran:
    return ran_from(run_body(terms, **given))
