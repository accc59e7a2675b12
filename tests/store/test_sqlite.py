"""What only a file can suffer: other versions, foreign and broken files, folders that may not be written."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Timer
from types import SimpleNamespace

import pytest
from tests.store.recorded import record

from headway.domain.errors import UsageError, UserError
from headway.store import open_store, sqlite
from headway.store.sqlite import SqliteStore


def changed(file: str, statement: str) -> None:
    """Do something to a store that no headway does."""
    connection = sqlite3.connect(file)
    connection.execute(statement)
    connection.commit()
    connection.close()


def refusal(place: str) -> str:
    with pytest.raises(UserError) as refused:
        open_store(place)
    return str(refused.value)


def test_the_folder_keeps_itself_out_of_version_control(file: str) -> None:
    with open_store(file):
        assert (Path(file).parent / ".gitignore").read_text(encoding="utf-8") == "*\n"


def test_a_commit_is_on_disk(file: str) -> None:
    """2 is FULL: without it, write-ahead logging may lose what was committed when the power goes."""
    with open_store(file) as store:
        live = store._live
        assert live.execute("PRAGMA synchronous").fetchone() == (2,)
        assert live.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("nfs4", "delete"), ("fuse.sshfs", "delete"), ("9p", "delete"), ("ext4", "wal"), ("btrfs", "wal")],
)
def test_machines_that_share_a_file_share_no_memory(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, mode: str
) -> None:
    """A log that was switched on elsewhere is switched off; a commit is on disk all the same."""
    device, mounts = tmp_path.stat().st_dev, tmp_path / "mountinfo"
    mounts.write_text(
        "36 35 0:999 / /else rw shared:1 - nfs4 server:/ rw\n"
        f"37 35 {os.major(device)}:{os.minor(device)} / /my\\040home rw,relatime - {kind} server:/home rw\n"
    )
    open_store(file).close()
    monkeypatch.setattr(sqlite, "_MOUNTS", mounts)
    with open_store(file) as store:
        store.append(record(1))
        live = store._live
        assert live.execute("PRAGMA journal_mode").fetchone() == (mode,)
        assert live.execute("PRAGMA synchronous").fetchone() == (2,)


def test_where_processes_share_no_memory_the_file_is_written_without_a_log(
    file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's locks by files have no shared memory: write-ahead logging is refused there without a word."""
    connected = SqliteStore._connected
    monkeypatch.setattr(SqliteStore, "_connected", lambda self, how: connected(self, f"{how}&vfs=unix-dotfile"))
    with open_store(file) as store:
        store.append(record(1))
        assert store._live.execute("PRAGMA journal_mode").fetchone() == ("delete",)


class Refusing:
    """A connection that answers everything with one error."""

    def __init__(self, code: int) -> None:
        self.code, self.asked = code, 0

    def execute(self, statement: str) -> None:
        self.asked += 1
        error = sqlite3.OperationalError("no")
        error.sqlite_errorcode = self.code
        raise error


def test_only_who_holds_the_file_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_PATIENCE_S", 0.05)
    broken, held = Refusing(sqlite3.SQLITE_IOERR), Refusing(sqlite3.SQLITE_BUSY)
    assert not sqlite._switched(broken, "wal")
    with pytest.raises(sqlite3.OperationalError):
        sqlite._switched(held, "wal")
    assert broken.asked == 1 < held.asked


def test_who_makes_the_store_between_two_looks_is_not_taken_for_something_else(
    file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected = SqliteStore._connected

    class Late(sqlite3.Connection):
        """Somebody else makes the store once it was asked whose file this is."""

        def execute(self, *statement: object) -> SimpleNamespace:
            rows = super().execute(*statement).fetchall()
            if "application_id" in str(statement[0]) and SqliteStore._connected is not connected:
                monkeypatch.setattr(SqliteStore, "_connected", connected)
                open_store(file).close()
            return SimpleNamespace(fetchone=lambda: rows[0])

    monkeypatch.setattr(SqliteStore, "_connected",
                        lambda self, how: sqlite3.connect(file, isolation_level=None, factory=Late))  # fmt: skip
    open_store(file).close()
    with open_store(file) as store:
        assert store.append(record(1)) == record(1).id


def test_opening_waits_for_who_is_making_the_store(file: str) -> None:
    """Write-ahead logging cannot be switched on meanwhile, and SQLite does not wait for that by itself."""
    open_store(file).close()
    changed(file, "PRAGMA journal_mode = DELETE")
    maker = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    maker.execute("BEGIN IMMEDIATE")
    with closing(sqlite3.connect(file)) as other, pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("PRAGMA journal_mode = WAL")
    done = Timer(0.1, lambda: (maker.execute("COMMIT"), maker.close()))
    done.start()
    with open_store(file) as store:
        assert store.append(record(1)) == record(1).id
    done.join()


def test_a_newer_store_is_refused_with_the_remedy_and_left_alone(file: str) -> None:
    with open_store(file) as store:
        store.append(record(1))
    changed(file, "PRAGMA user_version = 2")
    before = Path(file).read_bytes()
    said = refusal(file)
    assert "of version 2" in said
    assert "pip install -U headway" in said
    assert Path(file).read_bytes() == before


def test_a_data_base_of_something_else_is_refused_and_left_alone(file: str) -> None:
    Path(file).parent.mkdir()
    changed(file, "CREATE TABLE films (title text)")
    before = Path(file).read_bytes()
    assert "HEADWAY_STORE=PATH" in refusal(file)
    assert Path(file).read_bytes() == before


def test_what_is_no_data_base_is_refused_with_what_to_do(file: str) -> None:
    Path(file).parent.mkdir()
    Path(file).write_text("a diary, and a long one, in which nothing is of any use to a data base\n" * 99)
    said = refusal(file)
    assert f"mv {file} {file}.broken" in said
    assert "headway store import" in said


def test_a_broken_page_is_refused_where_it_is_read(file: str) -> None:
    with open_store(file) as store:
        store.append_all(record(number) for number in range(200))
    content = bytearray(Path(file).read_bytes())
    content[4096 * 3 :] = b"\xff" * (len(content) - 4096 * 3)
    Path(file).write_bytes(content)
    with open_store(file) as store, pytest.raises(UserError) as refused:
        list(store.read())
    assert "in one piece" in str(refused.value)


def test_a_record_that_was_changed_is_refused(file: str) -> None:
    with open_store(file) as store:
        store.append(record(1))
    changed(file, """UPDATE headway_records SET body = replace(body, '"number":1', '"number":2')""")
    with open_store(file) as store, pytest.raises(UserError, match="is not what was stored"):
        list(store.read())


def test_an_empty_file_becomes_a_store(file: str) -> None:
    """What a kill before the first transaction leaves."""
    Path(file).parent.mkdir()
    Path(file).touch()
    with open_store(file) as store:
        assert store.append(record(1)) == record(1).id


@pytest.mark.parametrize("name", ["a b", "50%", "what?", "snow ☃", "#1"])
def test_any_name_of_a_file_is_one(tmp_path: Path, name: str) -> None:
    with open_store(tmp_path / name / name) as store:
        store.append(record(1))
    assert (tmp_path / name / name).exists()


def test_a_place_that_cannot_be_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "file" / "headway.db"):
        assert "HEADWAY_STORE=none" in refusal(str(place))


def test_another_data_base_is_refused_without_its_password() -> None:
    with pytest.raises(UsageError) as refused:
        open_store("mysql://me:secret@host/db")
    assert "secret" not in str(refused.value)
    assert "postgresql://" in str(refused.value)


READ_ONLY = """
import os, sys
import headway.store.sqlite
from headway.app.stored import keep, made_now, records
from headway.store import open_store
closed, held, plan = sys.argv[1:]
if os.getuid() == 0:  # whom no mode of a file holds back
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
for place in (closed, held):
    with open_store(place) as store:
        print(len(list(store.read())))
        try:
            store.append(made_now("run", {"schema": "headway.run/1"}, "test"))
        except Exception as error:
            print(type(error).__name__, error)
print(keep(made_now("run", {"schema": "headway.run/1"}, "test"), plan, print))
print(records("run", plan))
"""


@pytest.fixture
def shelf() -> Iterator[Path]:
    """A folder that everybody may reach, other than those of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="headway-shelf-"))
    yield folder
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    shutil.rmtree(folder)


def test_a_folder_that_may_not_be_written_is_read_and_costs_no_verb(shelf: Path) -> None:
    """One store that was closed, one that this process holds open with its log not folded in, one not yet there."""
    closed, held, none = (shelf / name for name in ("closed", "held", "none"))
    none.mkdir()
    with open_store(closed / "headway.db") as store:
        store.append(record(1))
    with open_store(held / "headway.db") as store:
        store.append(record(1))
        for path in (shelf, *shelf.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        done = subprocess.run(
            [sys.executable, "-c", READ_ONLY, closed / "headway.db", held / "headway.db", none / "plan.yaml"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [lines[0], lines[2]] == ["1", "1"]
    assert all(line.startswith("UserError a store must be a file that may be written") for line in (lines[1], lines[3]))
    assert lines[4].startswith("not recorded: ")
    assert "the folder of a store must be writable" in lines[4]
    assert lines[5:] == ["None", "[]"]


CLOSED = """
import os, sys
import headway.store.sqlite
from headway.app.stored import keep, made_now, records
from headway.domain.errors import UserError
from headway.store.place import is_there, place_of
from headway.track.kept.journal import Journal
from headway.track.kept.promise import promised
plan, inside = sys.argv[1:]
promised(plan)  # imports what it needs, which nobody else may be allowed to read
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
for place in ("", inside):
    os.environ["HEADWAY_STORE"] = place
    print(is_there(place_of(plan)))
    try:
        records("run", plan)
    except UserError as error:
        print(error)
    print(keep(made_now("run", {"schema": "headway.run/1"}, "test"), plan, print))
    print(promised(plan).plan == "")
Journal({}, plan_file=plan)
"""


def test_a_folder_of_somebody_else_is_one_sentence_to_a_verb_and_a_warning_to_a_loop(shelf: Path) -> None:
    """A shared folder in which one person's .headway is closed to the others."""
    plan, closed = shelf / "plan.yaml", shelf / ".headway"
    plan.touch()
    open_store(closed / "headway.db").close()
    closed.chmod(0o000)
    shelf.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", CLOSED, plan, closed / "team" / "x.db"],
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for there, refused, told, kept, nothing in (lines[:5], lines[5:]):
        assert (there, kept, nothing) == ("True", "None", "True")
        assert refused.startswith("the folder of a store must be writable, got ")
        assert "HEADWAY_STORE=none" in refused
        assert told == f"not recorded: {refused}"
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("headway: no events are written: ")
