"""What an estimate promised of one experiment before it ran, read from its record (`headway.promise/1`).

Owns how the promises of a chain of stages add up. Making the record is `app/`, holding it against a run `verdict.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast, get_args

from headway.domain.errors import UserError
from headway.domain.spread import Kind, Spread, total

SCHEMA = "headway.promise/1"
BEST = "best"
"""Rates of what headway promises; under others it says what would follow from them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromisedTerm:
    """Seconds that a term takes in a whole run, and how often it is paid."""

    seconds: Spread
    units: float

    @property
    def each_s(self) -> float:
        """Middle seconds of one."""
        return self.seconds.p50 / self.units if self.units else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PromisedStage:
    """One stage of the promised experiment."""

    name: str
    pace: str
    kind: str
    gpus: float
    steps: float | None
    """Optimizer steps; None for a stage without any."""
    terms: Mapping[str, PromisedTerm]
    epochs: float | None = None
    """Passes over the data; None where the promise does not say, or it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What was promised of one experiment."""

    plan: str
    """Fingerprint."""
    experiment: str
    device: str
    stages: tuple[PromisedStage, ...]
    wall: Spread | None
    """Of the whole experiment."""

    def covering(self, names: Iterable[str]) -> tuple[PromisedStage, ...]:
        """The stages that a run of these stages is compared with.

        A run that names no stage is that of the stages that train, and of all where none does; one with a name that
        the experiment lacks likewise.
        """
        asked = set(names)
        named = tuple(stage for stage in self.stages if stage.name in asked)
        if named and asked <= {stage.name for stage in named}:
            return named
        return tuple(stage for stage in self.stages if stage.kind == "train") or self.stages

    def together(self, parts: Iterable[Spread]) -> Spread:
        """The sum of some of the promised terms, with as much doubt as the whole has beside the doubts of its parts.

        Ends of parts do not add up, as doubts that are independent cancel; nor do middles, where doubts are lopsided.
        The promised time of the whole says how far: its ends are shared in proportion to theirs, and what its middle
        has beyond the sum of theirs in proportion to how lopsided they are. Without it ends are added end by end,
        which is too wide.
        """
        found = total(parts)
        every = total(term.seconds for stage in self.stages for term in stage.terms.values())
        if self.wall is None:
            return found
        middle = found.p50 + (self.wall.p50 - every.p50) * _skew_share(found, every)
        below = _share(self.wall.p50 - self.wall.p10, every.p50 - every.p10) * (found.p50 - found.p10)
        above = _share(self.wall.p90 - self.wall.p50, every.p90 - every.p50) * (found.p90 - found.p50)
        return Spread(
            p10=max(0.0, middle - below), p50=middle, p90=middle + above, kind=found.kind, source=found.source
        )  # fmt: skip


def merged(stages: Iterable[PromisedStage]) -> dict[str, PromisedTerm]:
    """Terms of several stages, added up end by end."""
    found: dict[str, PromisedTerm] = {}
    for stage in stages:
        for name, term in stage.terms.items():
            before = found.get(name)
            found[name] = term if before is None else PromisedTerm(
                seconds=total((before.seconds, term.seconds)), units=before.units + term.units
            )  # fmt: skip
    return found


def experiments_of(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Ids of the experiments that a promise covers."""
    return tuple(
        str(item["id"]) for item in body.get("experiments") or () if isinstance(item, Mapping) and "id" in item
    )


def standing(body: Mapping[str, Any], device: str) -> tuple[bool, bool, bool]:
    """How much a promise speaks for a run on a device: made for it, under the best rates, of the plan as it stands.

    The greater counts. What follows from an assumption (`--assume`, `--option`, `--machine`) is a promise where nothing
    else was said of the device: that is how one estimates for a machine that the plan does not name.
    """
    return body.get("device") in ("", None, device), body.get("rates") == BEST, not body.get("assume")


def promise_for(body: Mapping[str, Any], experiment: str) -> Promise | None:
    """The promise for an experiment, by its id or its fingerprint; None where the record does not cover it.

    Raises UserError for a record that is none of `headway.promise/1`.
    """
    try:
        if body["schema"] != SCHEMA:
            raise ValueError(body["schema"])
        for item in body["experiments"]:
            if experiment and experiment in (item["id"], item.get("fingerprint")):
                return _promise(body, item)
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise UserError("a stored promise has the form headway.promise/1", got=f"{type(problem).__name__}: {problem}",
                        hint="Make a new one: headway estimate PLAN.") from problem  # fmt: skip
    return None


def _promise(body: Mapping[str, Any], item: Mapping[str, Any]) -> Promise:
    return Promise(
        plan=str(body["plan"]["fingerprint"]),
        experiment=str(item["id"]),
        device=str(body.get("device") or ""),
        stages=tuple(_stage(stage) for stage in item["stages"]),
        wall=spread_from(item["wall_s"]) if item.get("wall_s") else None,
    )


def _stage(said: Mapping[str, Any]) -> PromisedStage:
    counts = said.get("counts") or {}
    return PromisedStage(
        name=str(said["name"]),
        pace=str(said.get("pace") or said.get("fingerprint") or ""),
        kind=str(said.get("kind", "")),
        gpus=float(said.get("gpus") or 1),
        steps=float(said["steps"]) if said.get("steps") else None,
        epochs=float(said["epochs"]) if said.get("epochs") else None,
        terms={
            name: PromisedTerm(seconds=spread_from(seconds), units=float(counts.get(name) or 0.0))
            for name, seconds in said["terms_s"].items()
        },
    )


def spread_from(said: Mapping[str, Any]) -> Spread:
    """A spread by its ends, of `Spread.to_dict()`."""
    kind = said.get("kind", "assumed")
    if kind not in get_args(Kind):
        raise ValueError(kind)
    return Spread(p10=float(said["p10"]), p50=float(said["p50"]), p90=float(said["p90"]), kind=cast(Kind, kind),
                  source=str(said.get("source", "")))  # fmt: skip


def _share(whole: float, sum_of_parts: float) -> float:
    """How much of the doubt of the parts is left in the whole: 1 where they go together, less where they cancel."""
    return max(0.0, whole / sum_of_parts) if sum_of_parts > 0 else 1.0


def _skew_share(part: Spread, whole: Spread) -> float:
    """How much of what is lopsided in the whole is in the part, 0 to 1; their shares of the middle where nothing is."""
    lopsided = whole.p10 + whole.p90 - 2 * whole.p50
    if lopsided > 0:
        return min(1.0, max(0.0, (part.p10 + part.p90 - 2 * part.p50) / lopsided))
    return part.p50 / whole.p50 if whole.p50 > 0 else 1.0
