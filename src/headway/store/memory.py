"""A store that forgets: for `HEADWAY_STORE=none`, and where nothing has been stored yet.

Owns nothing beyond its process. It keeps to the whole protocol, so that nobody asks whether there is a store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Self

from headway.domain.record import Record
from headway.store.rows import Row, record_of, row_of


class MemoryStore:
    """Records in memory, gone with the process."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}

    @property
    def place(self) -> str:
        """Nowhere."""
        return "none"

    def append(self, record: Record) -> str:
        """Keep a record for as long as the process lives."""
        row = row_of(record)
        self._rows.setdefault(row.id, row)
        return row.id

    def append_all(self, records: Iterable[Record]) -> int:
        """All of them or none."""
        rows = {row.id: row for row in map(row_of, records)}
        before = len(self)
        self._rows = rows | self._rows
        return len(self) - before

    def read(self, kind: str = "", plan: str = "") -> Iterator[Record]:
        """Those of the kind and plan, oldest first."""
        for row in sorted(self._rows.values(), key=lambda row: (row.made, row.id)):
            if kind in ("", row.kind) and plan in ("", row.plan):
                yield record_of(row)

    def __len__(self) -> int:
        return len(self._rows)

    def close(self) -> None:
        """Nothing to let go of."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
