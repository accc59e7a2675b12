"""The store of a team: one table in PostgreSQL, for many machines at once.

Owns the connection and what of its failure is said; a password is never part of that. psycopg is imported here and
nowhere else (extra `postgres`). Nothing is left in a session (settings, prepared statements): behind a pooler its next
transaction may have another one, and others have this one (https://www.pgbouncer.org/features.html).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from headway.domain.errors import UserError
from headway.store.place import address_of, shown
from headway.store.rows import COLUMNS, CREATE, PAGE, TABLE_VERSION, Row, newer_table
from headway.store.sql import Answer, SqlStore

if TYPE_CHECKING:
    import psycopg

_PATIENCE_S = 30
"""How long a statement may wait and take."""
_CONNECT_S = 10
_LOCK = 0x68647779
"""`hdwy`: the advisory lock under which the table is made; CREATE ... IF NOT EXISTS fails where two do it at once."""
# a server may have been told to say "stored" before it is
_SETTINGS = f"SET LOCAL statement_timeout = '{_PATIENCE_S}s'; SET LOCAL synchronous_commit = on"
_INSERT = f"INSERT INTO headway_records ({COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
# the collation of bytes, so that every data base has the order of SQLite and of Python
_READ = f"""SELECT {COLUMNS} FROM headway_records WHERE (made COLLATE "C", id COLLATE "C") > (%(made)s, %(last)s)
            AND %(kind)s IN ('', kind) AND %(plan)s IN ('', plan)
            ORDER BY made COLLATE "C", id COLLATE "C" LIMIT {PAGE}"""
_INDEX = 'CREATE INDEX headway_records_made ON headway_records (made COLLATE "C", id COLLATE "C")'
# to_regclass('headway_store') would say no once more from its cache, after somebody else has made it meanwhile
_IS_MADE = "SELECT count(*) FROM pg_class WHERE relname = 'headway_store' AND pg_table_is_visible(oid)"
_SECRET = re.compile(r"(?:\w*password|passfile|\w*key|\w*secret)=([^&]*)")
"""Parameters of a URL that hold a secret, or its path (PostgreSQL's manual, 34.1.2 Parameter Key Words)."""


class PostgresStore(SqlStore):
    """Records in a table; each `append` is one transaction, safe on the server when it returns."""

    def __init__(self, url: str) -> None:
        self._url = url
        try:
            import psycopg
        except ImportError:
            raise UserError("a store in PostgreSQL takes psycopg", got="an environment without it",
                            hint="pip install 'headway[postgres]'") from None  # fmt: skip
        self._error = psycopg.Error
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        try:
            self._asked(lambda: self._open(psycopg.connect))
        except BaseException:  # Ctrl-C too: a store that was not made holds no connection
            self.close()
            raise

    @property
    def place(self) -> str:
        """Server and data base, without user, password and options."""
        return shown(self._url)

    def __len__(self) -> int:
        return self._asked(self._count)

    def _count(self) -> int:
        with self._transaction() as live:
            return int(_one(live, "SELECT count(*) FROM headway_records"))

    def _select(self, asked: dict[str, str]) -> Iterable[tuple[Any, ...]]:
        with self._transaction() as live:
            return live.execute(_READ.encode(), asked).fetchall()

    def _insert(self, rows: list[Row]) -> int:
        with self._transaction() as live, live.cursor() as cursor:
            cursor.executemany(_INSERT.encode(), rows)
            return max(int(cursor.rowcount), 0)

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """The connection in a transaction with settings of its own."""
        live: psycopg.Connection[tuple[Any, ...]] = self._live
        with live.transaction():
            live.execute(_SETTINGS.encode())
            yield live

    def _open(self, connect: Callable[..., psycopg.Connection[tuple[Any, ...]]]) -> None:
        """Connect, and make the table where it is not there: to read one that is takes no right to make it."""
        more = {"tcp_user_timeout": 1000 * _PATIENCE_S}  # a network that goes away is noticed
        if "connect_timeout=" not in self._url:
            more["connect_timeout"] = _CONNECT_S
        # without None, executemany prepares its statement at once
        # (https://www.psycopg.org/psycopg3/docs/advanced/prepare.html)
        self._connection = connect(self._url, autocommit=True, prepare_threshold=None, application_name="headway",
                                   client_encoding="UTF8", **more)  # fmt: skip
        with self._transaction() as live:
            if not _one(live, _IS_MADE):
                live.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
                if not _one(live, _IS_MADE):  # nobody else made it while this one waited
                    self._make(live)
            version = int(_one(live, "SELECT max(version) FROM headway_store"))
        if version > TABLE_VERSION:
            raise newer_table(self.place, version)

    def _make(self, live: psycopg.Connection[tuple[Any, ...]]) -> None:
        for statement in (CREATE, _INDEX):
            live.execute(statement.encode())
        live.execute("CREATE TABLE headway_store (version integer NOT NULL)")
        live.execute("INSERT INTO headway_store VALUES (%s)", [TABLE_VERSION])

    def _asked(self, question: Callable[[], Answer]) -> Answer:
        """The answer of the server, its refusals as messages."""
        try:
            return question()
        except self._error as error:
            said = " ".join(str(error).split())
            # libpq may repeat a part of an URL that it could not take apart
            if any(secret in said for secret in secrets_of(self._url)):
                said = "the connection failed"
            raise UserError(
                "the PostgreSQL of a store must answer", got=f"{self.place}: {said[:300]}",
                hint="Look at HEADWAY_STORE (postgresql://user:password@host:port/database; other characters than "
                     "letters and digits as %XX), and at the rights of that user.",
            ) from None  # fmt: skip


def secrets_of(url: str) -> set[str]:
    """What of a URL may be of its password, as it is written and as it is meant; every piece of one in which that is
    not certain.
    """
    rest = url.partition("://")[2]
    found = address_of(url)
    own = re.split("[:@/?#&=]", rest) if found is None else [found[0].partition(":")[2]]
    said = [piece for value in _SECRET.findall(rest) for piece in (value, *re.split("[:@/?#]", value))]
    return {form for piece in (*own, *said) if piece for form in (piece, unquote(piece))}


def _one(live: psycopg.Connection[tuple[Any, ...]], question: str) -> Any:
    """The first value that a question brings."""
    row = live.execute(question.encode()).fetchone()
    return None if row is None else row[0]
