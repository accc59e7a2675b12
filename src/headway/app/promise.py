"""What an estimate promises, kept beside the plan so that `verify` can hold the run against it.

Owns the document `headway.promise/1` and that the same promise is kept once. Where records go is `app/stored.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headway.check.verdicts.promise import SCHEMA
from headway.domain.plan import Experiment, Stage
from headway.domain.record import fingerprint
from headway.domain.spread import Spread
from headway.estimate.nouns import ExperimentEstimate, StageEstimate
from headway.report.answer import Answer

MOST = 2000
"""Experiments above which nothing is kept: a record is read as a whole."""


def promise_of(answer: Answer, assume: Sequence[str] = ()) -> dict[str, Any]:
    """The promise of an answer: seconds of every term of every stage with their counts, and the price of an hour.

    `assume` is what was taken otherwise than the plan says: `run.machine=cpu`, `option=NAME`.
    """
    made, plan = answer.estimate, answer.plan
    machine = answer.lookup.machines.get(made.machine)
    price = machine.price.usd_per_hour.mid if machine is not None and machine.price is not None else None
    return {
        "schema": SCHEMA,
        "plan": {"name": plan.name, "fingerprint": plan.fingerprint, "file": Path(plan.file).name},
        "rates": made.rates,
        "machine": made.machine,
        "device": machine.node.device.name if machine is not None else "",
        "gpus": machine.node.total_gpus if machine is not None else None,
        "option": answer.option,
        "assume": list(assume),
        "experiments": [
            _experiment(said, found) for said, found in zip(plan.experiments, made.experiments, strict=True)
        ],
        "wall_s": _spread(made.wall_s),
        "usd_per_hour": price,
    }


def _experiment(said: Experiment, found: ExperimentEstimate) -> dict[str, Any]:
    return {
        "id": found.id,
        "fingerprint": said.fingerprint,
        "optional": found.optional,
        "stages": [_stage(one, made) for one, made in zip(said.stages, found.stages, strict=True)],
        "wall_s": _spread(found.wall_s),
    }


def _stage(said: Stage, found: StageEstimate) -> dict[str, Any]:
    return {
        "name": found.name,
        "fingerprint": said.fingerprint,
        "pace": said.pace,
        "kind": found.kind,
        "steps": found.steps,
        "epochs": found.epochs,
        "gpus": found.gpus.mid,
        "counts": {term: count for term, count in found.counts.items() if term in found.terms_s},
        "terms_s": {term: _spread(spread) for term, spread in found.terms_s.items()},
    }


def _spread(spread: Spread) -> Mapping[str, Any]:
    """Rounded to nine digits, so that the same promise is the same bytes on every machine."""
    ends = {name: float(f"{getattr(spread, name):.9g}") for name in ("p10", "p50", "p90")}
    return {**ends, "kind": spread.kind, "source": spread.source}


def keep_promise(answer: Answer, command: str, assume: Sequence[str] = ()) -> None:
    """Append the promise of a plan file's estimate, unless the newest one is the same; nothing where nothing may be
    written.
    """
    file = answer.plan.file
    if len(answer.plan.experiments) > MOST or not Path(file).is_file():
        return
    from headway.app.stored import keep, made_now, store_of, without_folders
    from headway.domain.errors import UserError

    body = promise_of(answer, [without_folders(word) for word in assume])
    try:
        with store_of(file) as store:
            kept = [fingerprint(record.body) for record in store.read("estimate", answer.plan.fingerprint)]
    except UserError:
        return  # an estimate is no less true where its store cannot be read
    # An earlier one that is the same is no longer what is promised: a run is held against the newest.
    if fingerprint(body) not in kept[-1:]:
        keep(made_now("estimate", body, command), file)
