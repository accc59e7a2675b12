"""What is kept of a plan and its runs: the store beside a plan, for every verb that writes or reads records.

Owns which store counts, the clock and the provenance of a record. Stores are `store/`, the verb `store` is
`app/store.py`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from headway import __version__
from headway.domain.errors import UserError
from headway.domain.record import Record, utc_text
from headway.store import MemoryStore, Store, open_store
from headway.store.place import is_there, place_of
from headway.worker.machine.host import host_cpu

_PATH = re.compile(r"(?P<key>[\w.-]+=)?(?P<folders>.*[/\\])(?P<name>[^/\\]+)[/\\]*", re.DOTALL)
_ID = re.compile(r"[^~./\\][^/\\]*/(?!.*\.[A-Za-z]\w*$)[^/\\]+")
"""Of a model (`Qwen/Qwen2-0.5B`) or an experiment: one slash, and no ending of a file."""


def store_of(plan_file: str | None = None, *, create: bool = False) -> Store:
    """The store beside a plan file, or in the working directory; `HEADWAY_STORE` names another.

    One that forgets for `HEADWAY_STORE=none`, and where nothing has been stored and `create` is false. Raises
    UserError for a store that cannot be opened.
    """
    place = place_of(plan_file)
    return open_store(place) if create or is_there(place) else MemoryStore()


def keep(record: Record, plan_file: str | None = None, told: Callable[[str], None] | None = None) -> str | None:
    """Store a record; its id when it is safe, None where nothing is kept.

    Never fails: a folder that may not be written, or a store that cannot be opened, costs the record and not the
    verb; `told` is called with the reason. `HEADWAY_STORE=none` is no reason to say anything.
    """
    if place_of(plan_file) == "none":
        return None
    try:
        with store_of(plan_file, create=True) as store:
            return store.append(record)
    except UserError as error:
        if told is not None:
            told(f"not recorded: {error}")
        return None


def records(kind: str = "", plan_file: str | None = None, plan: str = "") -> list[Record]:
    """What is stored beside a plan file, oldest first: of one kind, of the plan with that fingerprint.

    Empty where nothing is, without looking for more than the file. Raises UserError for a store that cannot be read.
    """
    with store_of(plan_file) as store:
        return list(store.read(kind, plan))


def made_now(kind: str, body: Mapping[str, Any], command: str, machine: Mapping[str, str] | None = None) -> Record:
    """The record of something that was just made, by `command` (`headway measure plan.yaml`)."""
    return Record(kind=kind, body=body, made=utc_text(datetime.now(UTC)), by=provenance(command, machine))


def provenance(command: str, machine: Mapping[str, str] | None = None) -> dict[str, str]:
    """What made a record: version, command and the host's CPU, with what `machine` says more (`device`, `torch`, ...).

    `command` is quoted as by `shlex.join`. Folders are left out of it: they tell who somebody is, and nothing of what
    was made.
    """
    without = shlex.join(map(without_folders, shlex.split(command)))
    return {"headway": __version__, "command": without, "host": host_cpu(), **(machine or {})}


def without_folders(word: str) -> str:
    """The name of a file without its folders, with the `--log=` or `data.from=` before it; any other word as it is."""
    found = _PATH.fullmatch(word)
    if found is None or _ID.fullmatch(found["folders"] + found["name"]):
        return word
    return (found["key"] or "") + found["name"]
