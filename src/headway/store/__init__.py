"""What is kept for good: records, append-only, in SQLite by default and in PostgreSQL by URL.

Owns the protocol of a store, its places and its back ends; what a record's body means is the room's that made it.
`append` returns when the record is safely stored: after that, kill -9 loses nothing.
"""

from __future__ import annotations

from pathlib import Path

from headway.domain.errors import UsageError
from headway.store.memory import MemoryStore
from headway.store.protocol import Store

__all__ = ["MemoryStore", "Store", "open_store"]

_SERVERS = ("postgresql://", "postgres://")


def open_store(place: str | Path) -> Store:
    """The store at a path, at `postgresql://user@host/database`, or one that forgets, for `none`.

    What is not there yet is made. Raises UserError where it cannot be made or read, with what to do; UsageError for
    the URL of anything else.
    """
    text = str(place)
    if text == "none":
        return MemoryStore()
    if text.startswith(_SERVERS):
        from headway.store.postgres import PostgresStore

        return PostgresStore(text)
    if "://" in text:
        raise UsageError("a store is a file, postgresql://... or none", got=f"{text.partition('://')[0]}://...",
                         hint="Name a file by its path.")  # fmt: skip
    from headway.store.sqlite import SqliteStore

    return SqliteStore(Path(text))
