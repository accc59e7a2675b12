"""Stores to test: in memory, in a file, and in a PostgreSQL that is started for these tests alone.

The server is that of the system's packages, in a folder of its own, on the loopback; it ends with this process.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from headway.store import Store, open_store

PASSWORD = "p4ss-of-the-tests"
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)
numbers = count()


def programs() -> Path | None:
    """The folder of `initdb` and `postgres`, the newest that is installed."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    installed = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(installed, key=lambda path: int(path.parent.name), default=None)


def servant() -> dict[str, int]:
    """The user to run a server as, where this is root: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return {}
    try:
        found = pwd.getpwnam("postgres")
    except KeyError:
        found = pwd.getpwnam("nobody")
    return {"user": found.pw_uid, "group": found.pw_gid}


def ends_with_its_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGQUIT)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """URL of a PostgreSQL without its data base: `postgresql://user:password@127.0.0.1:port/`."""
    bin_folder = programs()
    if bin_folder is None:  # a machine without it, where nobody may install it; `.ci/run` does
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed (pip install 'headway[postgres]')")
    user = servant()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="headway-pg-"))
    try:
        (folder / "password").write_text(PASSWORD, encoding="utf-8")
        for path in (folder, folder / "password"):
            if user:
                os.chown(path, user["user"], user["group"])
        data = str(folder / "data")
        subprocess.run(
            [bin_folder / "initdb", "-D", data, "-U", "headway", "--pwfile", folder / "password", "--encoding=UTF8",
             "--locale=C", "--auth=scram-sha-256", "--no-sync"],
            check=True, capture_output=True, cwd=folder, **user,
        )  # fmt: skip
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                [bin_folder / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", folder, "-F"],
                stdout=log, stderr=log, cwd=folder, **user,
                preexec_fn=ends_with_its_parent,  # noqa: PLW1509 - nothing else runs in this process yet
            )  # fmt: skip
        url = f"postgresql://headway:{PASSWORD}@127.0.0.1:{port}/"
        try:
            until = time.monotonic() + 30
            while True:
                try:
                    psycopg.connect(url + "postgres").close()
                    break
                except psycopg.OperationalError:
                    assert process.poll() is None, (folder / "log").read_text()
                    assert time.monotonic() < until, (folder / "log").read_text()
                    time.sleep(0.05)
            yield url
        finally:
            process.send_signal(signal.SIGINT)  # fast shutdown: clients are sent away
            process.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database(server: str) -> str:
    """URL of a data base that holds nothing."""
    import psycopg

    name = f"of_test_{next(numbers)}"
    with psycopg.connect(server + "postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    return server + name


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(tmp_path / ".headway" / "headway.db")


@pytest.fixture(params=["file", "database"])
def lasting(request: pytest.FixtureRequest) -> str:
    """The place of a store that outlives its process."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture(params=["none", "file", "database"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store of every kind."""
    place = "none" if request.param == "none" else str(request.getfixturevalue(request.param))
    with open_store(place) as opened:
        yield opened


@pytest.fixture
def opened(lasting: str) -> Iterator[Callable[[], Store]]:
    """Opens the same lasting store, again and again."""
    stores: list[Store] = []

    def again() -> Store:
        stores.append(open_store(lasting))
        return stores[-1]

    yield again
    for one in stores:
        one.close()


@pytest.fixture(autouse=True)
def _stores_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """All other tests keep nothing (`tests/conftest.py`)."""
    monkeypatch.delenv("HEADWAY_STORE", raising=False)
