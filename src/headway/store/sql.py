"""What the SQL back ends share: records in and out of one table, whatever the data base.

Owns the transactions' content; the connection, its statements and its refusals are `sqlite.py` and `postgres.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self, TypeVar

from headway.domain.errors import UserError
from headway.domain.record import Record
from headway.store.rows import PAGE, Row, record_of, row_of

Answer = TypeVar("Answer")


class SqlStore(ABC):
    """Records in a table; each `append` is one transaction, safe when it returns."""

    _connection: Any = None

    @property
    @abstractmethod
    def place(self) -> str:
        """Where it is, for people."""

    @abstractmethod
    def _insert(self, rows: list[Row]) -> int:
        """Add the rows in one transaction; how many were not there yet."""

    @abstractmethod
    def _select(self, asked: dict[str, str]) -> Iterable[tuple[Any, ...]]:
        """The next `PAGE` rows of `kind` and `plan` after the one of `made` and `last`, its id."""

    @abstractmethod
    def _asked(self, question: Callable[[], Answer]) -> Answer:
        """The answer of the data base, its refusals as messages."""

    def append(self, record: Record) -> str:
        """Store a record; committed when it returns."""
        row = row_of(record)
        self._asked(lambda: self._insert([row]))
        return row.id

    def append_all(self, records: Iterable[Record]) -> int:
        """All of them or none, in one transaction."""
        rows = [row_of(record) for record in records]
        return self._asked(lambda: self._insert(rows))

    def read(self, kind: str = "", plan: str = "") -> Iterator[Record]:
        """Page by page, so that nothing is locked and no transaction is open between two records."""
        rows = self._page(kind, plan, "", "")
        yield from map(record_of, rows)
        while len(rows) == PAGE:
            rows = self._page(kind, plan, rows[-1].made, rows[-1].id)
            yield from map(record_of, rows)

    def _page(self, kind: str, plan: str, made: str, last: str) -> list[Row]:
        """The rows after the one of that moment and id."""
        asked = {"kind": kind, "plan": plan, "made": made, "last": last}
        return self._asked(lambda: [Row(*row) for row in self._select(asked)])

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _live(self) -> Any:
        if self._connection is None:
            raise UserError("a closed store is not used", got=self.place, hint="Open it again.")
        return self._connection
