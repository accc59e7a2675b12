"""The verb `store`: what is recorded beside a plan, and moving it from one store to another.

Owns which records are meant. Opening a store is `app/stored.py`, the lines of a file `store/lines.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from headway.app.stored import store_of
from headway.domain.errors import UsageError, UserError
from headway.domain.record import Record
from headway.report.store_view import Kept, Moved, list_page, moved_page, record_page, summary_page
from headway.report.view import Page
from headway.store import Store
from headway.store.lines import from_lines, to_lines
from headway.store.place import place_of
from headway.store.rows import plan_of

_SHORTEST_ID = 4


def summary(plan: str = "") -> Page:
    """Where the store is and how much of what it holds. `plan` is a plan file or the fingerprint of one."""
    with _opened(plan) as store:
        return summary_page(_kept(store, plan))


def listed(kind: str = "", plan: str = "", shown: int | None = None) -> Page:
    """Records, newest first; the table has the first `shown`, the other formats all."""
    with _opened(plan) as store:
        return list_page(_kept(store, plan, kind), shown)


def one(word: str, plan: str = "") -> Page:
    """The record whose id begins with `word`. Raises UsageError where that is none, or several."""
    if len(word) < _SHORTEST_ID:
        raise UsageError(f"an id is named by {_SHORTEST_ID} digits at least", got=repr(word), hint=_LIST)
    with _opened(plan) as store:
        found = [record for record in store.read() if record.id.startswith(word.lower())]
    if len(found) != 1:
        several = f", {len(found)} of which begin so" if found else ""
        raise UsageError("the id of a stored record is needed", got=f"{word!r}{several}",
                         hint="Write more of it." if found else _LIST,
                         candidates=tuple(record.id for record in found[:5]))  # fmt: skip
    return record_page(found[0])


def exported(plan: str = "") -> Iterator[str]:
    """The records as lines (`headway.records/1`), oldest first."""
    with _opened(plan) as store:
        yield from to_lines(_of(store.read(), _fingerprint(plan)))


def imported(file: str, plan: str = "") -> Page:
    """Take the records of a file over, all or none; those that are there stay as they are.

    Raises UserError with the number of the line that cannot be taken over.
    """
    if place_of(_file(plan)) == "none":
        raise UserError("records are imported into a store", got="HEADWAY_STORE=none", hint="Unset HEADWAY_STORE.")
    records = from_lines(_lines(file), file)
    with store_of(_file(plan), create=True) as store:
        return moved_page(Moved(place=store.place, file=file, records=len(records), new=store.append_all(records)))


_LIST = "`headway store list` has them."


def _lines(file: str) -> Iterator[bytes]:
    """The lines of a file, or of standard input for `-`."""
    if file == "-":
        yield from sys.stdin.buffer
        return
    try:
        with open(file, "rb") as lines:
            yield from lines
    except OSError as error:
        raise UsageError("a file to import can be read", got=f"{file}: {error.strerror}",
                         hint="headway store export -o FILE writes one.") from None  # fmt: skip


def _opened(plan: str) -> Store:
    """The store that is meant; one that was never made is not made by looking at it."""
    return store_of(_file(plan))


def _kept(store: Store, plan: str, kind: str = "") -> Kept:
    """What of a store is meant."""
    every = list(store.read())
    named = _fingerprint(plan)
    meant = tuple(record for record in _of(every, named) if kind in ("", record.kind))
    # a store that was not made yet has a place all the same
    place = place_of(_file(plan)) if store.place == "none" else store.place
    return Kept(place=place, records=meant, others=len(every) - len(meant), kind=kind, plan=named)


def _of(records: Iterable[Record], fingerprint: str) -> Iterator[Record]:
    return (record for record in records if plan_of(record).startswith(fingerprint))


def _is_file(plan: str) -> bool:
    return plan.endswith((".yaml", ".yml")) or Path(plan).is_file()


def _file(plan: str) -> str | None:
    return plan if plan and _is_file(plan) else None


def _fingerprint(plan: str) -> str:
    """That of a plan file as it stands; any other word is one, or its beginning. Raises PlanError for a bad plan."""
    if not plan or not _is_file(plan):
        return plan
    from headway.plan import read_plan  # the language of plans is not needed to look into a store

    return read_plan(plan).plan.fingerprint
