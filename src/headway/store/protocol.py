"""What every store does, whatever it is made of.

Owns the protocol only. `tests/store/test_contract.py` holds every back end to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, Self

from headway.domain.record import Record


class Store(Protocol):
    """Records that are added and read, never changed or taken away.

    Everything raises UserError where the store cannot be reached, read or written.
    """

    @property
    def place(self) -> str:
        """Where it is, for people: a path, or a URL without user and password."""
        ...

    def append(self, record: Record) -> str:
        """Store a record and return its id: it is safe then. One that is there already stays as it is."""
        ...

    def append_all(self, records: Iterable[Record]) -> int:
        """Store all of them or, where one cannot be stored, none; returns how many were not there yet."""
        ...

    def read(self, kind: str = "", plan: str = "") -> Iterator[Record]:
        """Records in the order of `made`, then of their ids; of one kind, of one plan (its fingerprint)."""
        ...

    def __len__(self) -> int:
        """How many records there are."""
        ...

    def close(self) -> None:
        """Let go of it; more than once does nothing."""
        ...

    def __enter__(self) -> Self:
        """The store itself, closed at the end."""
        ...

    def __exit__(self, *_: object) -> None:
        """Close it."""
        ...
