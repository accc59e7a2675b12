"""The default store: one SQLite file, safe against kill -9 and for many writers on one machine.

Owns the file and its pragmas. Write-ahead logging needs memory that its processes share, which machines do not
(https://www.sqlite.org/wal.html, section 1): on a file system that several may use the file is written without it, and
readers wait for writers. Such a file is as safe as that file system's locks; a team uses PostgreSQL.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from headway.domain.errors import UserError
from headway.store.place import VARIABLE, prepared
from headway.store.rows import COLUMNS, CREATE, PAGE, TABLE_VERSION, Row, newer_table
from headway.store.sql import Answer, SqlStore

_APPLICATION = 0x68647779
"""`hdwy`, by which a file of headway's is known (https://www.sqlite.org/pragma.html#pragma_application_id)."""
_PATIENCE_S = 30.0
"""How long a writer waits for others."""
_INSERT = f"INSERT INTO headway_records ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_READ = f"""SELECT {COLUMNS} FROM headway_records WHERE (made, id) > (:made, :last) AND :kind IN ('', kind)
            AND :plan IN ('', plan) ORDER BY made, id LIMIT {PAGE}"""
_INDEX = "CREATE INDEX headway_records_made ON headway_records (made, id)"
# one statement, so that nothing is committed between its three answers
_WHAT = """SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version),
           (SELECT count(*) FROM sqlite_master)"""
_MOUNTS = Path("/proc/self/mountinfo")
"""The file systems of this process (proc_pid_mountinfo(5)); not there but on Linux."""
_SHARED = ("nfs", "cifs", "smb", "lustre", "beegfs", "gpfs", "ceph", "afs", "gluster", "orangefs", "ocfs2", "gfs2",
           "weka", "panfs", "9p", "virtiofs", "vboxsf", "prl_fs", "fuse")  # fmt: skip
"""Beginnings of the types of file systems on which several machines, or a virtual one and its host, use one file."""
_OTHERS = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
"""What SQLite says where it would have to wait for others."""


class SqliteStore(SqlStore):
    """Records in a file; each `append` is one transaction, on disk when it returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        try:
            self._asked(self._open)
        except BaseException:  # Ctrl-C too: a store that was not made holds no connection
            self.close()
            raise

    @property
    def place(self) -> str:
        """The path."""
        return str(self._path)

    def __len__(self) -> int:
        return int(self._asked(lambda: self._live.execute("SELECT count(*) FROM headway_records").fetchone()[0]))

    def _select(self, asked: dict[str, str]) -> Iterable[tuple[Any, ...]]:
        rows: sqlite3.Cursor = self._live.execute(_READ, asked)
        return rows

    def _insert(self, rows: list[Row]) -> int:
        live: sqlite3.Connection = self._live
        live.execute("BEGIN IMMEDIATE")  # a lock that is asked for at once waits for others, an upgraded one fails
        with live:
            before = live.total_changes
            live.executemany(_INSERT, rows)
            return live.total_changes - before

    def _open(self) -> None:
        """Open or make the file; one that is there and may not be written is opened for reading."""
        closed = not (os.access(self._path, os.W_OK) and os.access(self._path.parent, os.W_OK))
        if closed and os.path.isfile(self._path):  # false, too, where it may not be looked at: `prepared` says that
            self._connection = self._readable()
            if not self._is_known(self._connection):
                raise self._foreign()
            return
        prepared(self._path.parent)
        live = self._connection = self._connected("mode=rwc")
        live.execute("PRAGMA synchronous = FULL")  # NORMAL may lose the last transactions when the power goes
        if not self._is_known(live):
            live.execute("BEGIN IMMEDIATE")
            with live:
                if not self._is_known(live):  # nobody else made it while this one waited
                    for statement in (CREATE, _INDEX, f"PRAGMA application_id = {_APPLICATION}",
                                      f"PRAGMA user_version = {TABLE_VERSION}"):  # fmt: skip
                        live.execute(statement)
        if _is_shared(self._path) or not _switched(live, "wal"):
            _switched(live, "delete")

    def _connected(self, how: str) -> sqlite3.Connection:
        """A connection in which transactions begin only where that is said."""
        url = f"{self._path.absolute().as_uri()}?{how}"
        return sqlite3.connect(url, uri=True, timeout=_PATIENCE_S, isolation_level=None)

    def _readable(self) -> sqlite3.Connection:
        """For reading only. In a folder that may not be written, SQLite cannot share memory with a writer: there the
        file is read as one that nobody changes (https://www.sqlite.org/wal.html#readonly).
        """
        live = self._connected("mode=ro")
        try:
            live.execute("SELECT count(*) FROM sqlite_master")
        except sqlite3.OperationalError:
            live.close()
            live = self._connected("mode=ro&immutable=1")
        return live

    def _is_known(self, live: sqlite3.Connection) -> bool:
        """Whether the file is a store already; false for an empty one. Raises UserError for anything else."""
        application, version, tables = live.execute(_WHAT).fetchone()
        if application == _APPLICATION:
            if version > TABLE_VERSION:
                raise newer_table(self.place, version)
            return True
        if application or version or tables:
            raise self._foreign()
        return False

    def _foreign(self) -> UserError:
        return UserError("a store is a file that headway made", got=f"{self.place}, a data base of something else",
                         hint=f"Name another file with {VARIABLE}=PATH.")  # fmt: skip

    def _asked(self, question: Callable[[], Answer]) -> Answer:
        """The answer of the data base, its refusals as messages."""
        try:
            return question()
        except sqlite3.Error as error:
            raise self._refusal(error) from None

    def _refusal(self, error: sqlite3.Error) -> UserError:
        code = _kind(error)
        got = f"{self.place}: {error}"
        elsewhere = f"Put it elsewhere with {VARIABLE}=PATH, or keep nothing with {VARIABLE}=none."
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            return UserError("a store is an SQLite data base in one piece", got=got,
                             hint=f"Move it away (mv {self.place} {self.place}.broken): a new one is made, and "
                                  "`headway store import FILE` brings an export back.")  # fmt: skip
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
            return UserError("a store must be a file that may be written", got=got, hint=elsewhere)
        if code in _OTHERS:
            return UserError(f"others write to a store for at most {_PATIENCE_S:g} s at a time", got=got,
                             hint="Try again, or end the process that holds it.")  # fmt: skip
        if code == sqlite3.SQLITE_FULL:
            return UserError("a store needs room on its disk", got=got, hint=f"Free some. {elsewhere}")
        return UserError("a store must be readable and writable", got=got, hint=elsewhere)


def _switched(live: sqlite3.Connection, mode: str) -> bool:
    """Whether transactions are written in a mode from now on, which is kept in the file; false where it is refused.

    `wal` is write-ahead logging: readers and a writer do not wait for one another. Switching does not wait for others
    by itself, so it is tried again; raises sqlite3.OperationalError where they do not let go.
    """
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            # where processes cannot share memory, the mode stays what it was and nothing is raised
            return bool(live.execute(f"PRAGMA journal_mode = {mode}").fetchone()[0] == mode)
        except sqlite3.OperationalError as error:
            if _kind(error) not in _OTHERS:
                return False
            if time.monotonic() > until:
                raise
        time.sleep(0.01)


def _is_shared(path: Path) -> bool:
    """Whether other machines may use a file too, as far as the system says."""
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
        device = path.stat().st_dev
    except OSError:
        return False
    mounted = f"{os.major(device)}:{os.minor(device)}"
    types = [line.partition(" - ")[2].split(" ")[0] for line in lines if line.split(" ")[2:3] == [mounted]]
    return any(one.startswith(_SHARED) for one in types)


def _kind(error: sqlite3.Error) -> int:
    """The kind of a result is its low byte, the rest its detail (https://www.sqlite.org/rescode.html)."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
