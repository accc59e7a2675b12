"""Measurements that people share: numbers without names, used where nothing of one's own is known, and wider.

Owns the file `headway.pack/1`. One's own measurements are `app/kept.py`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from headway.app.inputs import Request, gather
from headway.app.kept import Kept, counts_here, known_from, range_of
from headway.domain.errors import Position, UserError
from headway.domain.experiment import Architecture
from headway.domain.measurement import Measurement
from headway.domain.record import fingerprint
from headway.domain.units import Range
from headway.estimate.resolve import Job, machine_of, resolve
from headway.plan import PlanFile
from headway.store.rows import UPGRADE

_NAME = "headway.pack/"
SCHEMA = f"{_NAME}1"
WIDER = 1.3
"""Factor by which another machine of the same kind, with other software, may be faster or slower. Assumed."""
SAME_TOKENS = 1.25
"""A step counts for one of up to so many times its tokens, in proportion."""
STEPS = ("step", "data_wait")
_MAY_BE_0 = ("data_wait", "data_wait_share")
_MOST = 1e18
"""No second, byte or token of a training comes in such numbers."""
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_MACHINE = ("host", "cores", "threads", "driver", "cuda", "torch", "transformers", "peft")
"""What is shared of a machine: models and versions, no name, no path."""
_ABOUT = ("name", "source", "date", "parameters_stated")


def work_of(job: Job) -> str:
    """Identity of what a step of a job computes, its lengths apart: shape of the model and recipe, without names."""
    shape = {one.name: getattr(job.architecture, one.name) for one in fields(Architecture) if one.name not in _ABOUT}
    return fingerprint([shape, replace(job.recipe, max_length=None)])


def share(file: str, body: Mapping[str, Any], job: Job, date: str) -> None:
    """Write what others may use of a measurement. Raises UserError for a file that cannot be written."""
    pack = {
        "schema": SCHEMA,
        "device": body["device"],
        "gpus": body["gpus"],
        "date": date,
        "machine": {name: body["machine"][name] for name in _MACHINE if name in body["machine"]},
        "rates": body["rates"],
        "work": work_of(job),
        "tokens_per_step": body["task"]["tokens_per_step"],
        "terms": {term: said for term, said in body["terms"].items() if term in STEPS},
    }
    try:
        Path(file).write_text(json.dumps(pack, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    except OSError as error:
        raise _unwritable(file, error.strerror or str(error)) from None


def refuse_unwritable(file: str) -> None:
    """Raises UserError where a pack surely cannot be written: before a probe takes its minute."""
    folder = Path(file).parent
    if Path(file).is_dir() or not os.access(folder, os.W_OK):
        raise _unwritable(file, "a folder" if Path(file).is_dir() else "no folder that can be written to")


def _unwritable(file: str, why: str) -> UserError:
    return UserError("what is shared must be written", got=f"{file}: {why}", hint="Choose another --share FILE.")


def packed(folder: str, source: PlanFile, models: Mapping[str, Architecture]) -> Kept:
    """What the packs in a folder know of the plan's machines and steps. Raises UserError for a folder without any."""
    packs = [pack for pack in _read(folder) if counts_here(pack)]
    found = known_from(({**pack, "stage": "", "terms": {}, "work": None}, pack["date"]) for pack in packs)
    rates = {
        device: {
            name: replace(one, range=_wider(one.range), source=f"measured by others {one.date}")
            for name, one in known.items()
        }
        for device, known in found.rates.items()
    }
    steps = tuple(_steps(packs, source, models)) if any(pack["terms"] for pack in packs) else ()
    return Kept(measurements=steps, rates=rates)


def _read(folder: str) -> Iterator[dict[str, Any]]:
    """The packs of a folder, oldest first; other JSON files are passed over."""
    files = sorted(Path(folder).glob("*.json")) if Path(folder).is_dir() else []
    packs = []
    for file in files:
        try:
            said = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise UserError("a pack of measurements must be JSON", got=f"{file.name}: {error}"[:200]) from None
        schema = said.get("schema") if isinstance(said, dict) else None
        if isinstance(schema, str) and schema.startswith(_NAME):
            packs.append(_checked(said, file.name))
    if not packs:
        raise UserError("--packs names a folder of measurements that others share", got=folder,
                        hint="They are written by headway measure --share FILE.json.")  # fmt: skip
    yield from sorted(packs, key=lambda pack: str(pack["date"]))


def _checked(said: Mapping[str, Any], file: str) -> dict[str, Any]:
    """What is used of a pack. Raises UserError with the file and the key of what is not as `share` writes it, and for a
    newer form.
    """
    if said["schema"] != SCHEMA:
        raise UserError(f"this headway reads {SCHEMA}", got=said["schema"][:80], where=Position(file),
                        hint=f"A newer one wrote it; upgrade: {UPGRADE}")  # fmt: skip
    for key, (holds, rule) in _KEYS.items():
        _hold(said.get(key), holds, f"{key} of a pack is {rule}", key, file)
    for group in ("rates", "terms"):
        for name, ends in said[group].items():
            place = f"{group}.{name}"
            _hold(ends, _is_mapping, f"{place} of a pack has p10, p50 and p90", place, file)
            holds, rule = (_is_size, "0 or more") if name in _MAY_BE_0 else (_is_positive, "above 0")
            for end in ("p10", "p50", "p90"):
                _hold(ends.get(end), holds, f"{end} of a pack's {name} is a number, {rule}", f"{place}.{end}", file)
    for term, ends in said["terms"].items():
        _hold(ends.get("repeats"), _is_count, "repeats are a whole number above 0", f"terms.{term}.repeats", file)
    return {key: said[key] for key in _KEYS}


def _hold(value: object, holds: Callable[[object], bool], rule: str, key: str, file: str) -> None:
    if not holds(value):
        raise UserError(rule, got=repr(value)[:80], where=Position(file), field=key,
                        hint="It was changed after it was written: ask for it again, or take it away.")  # fmt: skip


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_mapping(value: object) -> bool:
    return isinstance(value, dict)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MOST


def _is_size(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _MOST


def _is_positive(value: object) -> bool:
    return _is_size(value) and value != 0


def _is_date(value: object) -> bool:
    return isinstance(value, str) and _DATE.fullmatch(value) is not None


_KEYS: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "device": (_is_text, "its name"),
    "gpus": (_is_count, "a whole number above 0"),
    "date": (_is_date, "like 2026-11-21"),
    "machine": (_is_mapping, "a mapping"),
    "rates": (_is_mapping, "a mapping"),
    "work": (_is_text, "a fingerprint"),
    "tokens_per_step": (_is_positive, "a number above 0"),
    "terms": (_is_mapping, "a mapping"),
}
"""Of a pack, what is used; others may be added."""


def _wider(value: Range) -> Range:
    return Range(value.low / WIDER, value.mid, value.high * WIDER)


def _steps(packs: list[dict[str, Any]], source: PlanFile, models: Mapping[str, Architecture]) -> Iterator[Measurement]:
    """Steps of others that compute what a stage of the plan computes, on rows of about the same length."""
    inputs = gather(source, Request(models=models))
    stages = {
        stage.pace: stage
        for experiment in inputs.plan.experiments
        for stage in experiment.stages
        if stage.kind == "train" and not stage.micro_batch_auto
    }
    jobs = [resolve(one, inputs.plan, inputs.lookup, machine_of(one, inputs.plan, inputs.lookup))
            for one in stages.values()]  # fmt: skip
    works: dict[tuple[str, str, int], list[Job]] = {}
    for job in jobs:
        works.setdefault((work_of(job), job.node.device.name, job.node.total_gpus), []).append(job)
    for pack in packs:
        for job in works.get((pack["work"], pack["device"], pack["gpus"]), ()):
            longer = job.batches.tokens_per_step / float(pack["tokens_per_step"])
            if 1 / SAME_TOKENS <= longer <= SAME_TOKENS:
                yield from (
                    Measurement(
                        stage=job.stage.pace,
                        device=pack["device"],
                        gpus=pack["gpus"],
                        term=term,
                        seconds=_wider(range_of(said) * longer),
                        repeats=int(said["repeats"]),
                        source="measured by others",
                        date=pack["date"],
                    )
                    for term, said in pack["terms"].items()
                    if term in STEPS
                )
