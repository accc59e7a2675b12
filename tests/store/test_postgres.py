"""What only a server can do: refuse, go away, be of another version, and be asked with a password."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.store.conftest import PASSWORD
from tests.store.recorded import record

from headway.domain.errors import UserError
from headway.store import open_store
from headway.store.place import shown
from headway.store.postgres import _LOCK, secrets_of
from headway.store.rows import CREATE


def refusal(place: str) -> str:
    with pytest.raises(UserError) as refused:
        open_store(place)
    return str(refused.value)


def test_the_place_is_shown_without_password(database: str) -> None:
    with open_store(database) as store:
        assert PASSWORD not in store.place
        assert store.place.startswith("postgresql://127.0.0.1:")


def test_a_newer_table_is_refused_with_the_remedy(database: str) -> None:
    import psycopg

    open_store(database).close()
    with psycopg.connect(database) as admin:
        admin.execute("UPDATE headway_store SET version = 2")
    said = refusal(database)
    assert "pip install -U headway" in said
    assert PASSWORD not in said


@pytest.mark.parametrize("change", ["base", "password"])
def test_a_refusal_of_the_server_is_said_without_password(server: str, change: str) -> None:
    said = refusal(server + "no_such_base" if change == "base" else server.replace(PASSWORD, "wr0ng-one") + "postgres")
    assert "HEADWAY_STORE" in said
    assert PASSWORD not in said
    assert "wr0ng-one" not in said


def test_a_server_that_is_not_there_is_said(server: str) -> None:
    said = refusal("postgresql://me:hunter2@127.0.0.1:1/base")
    assert "Connection refused" in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("postgresql://me:hunt/er2@127.0.0.1:1/base", ["hunt", "er2"]),
        ("postgresql://me:hun@ter2@127.0.0.1:1/base", ["hun", "ter2"]),
        ("postgresql://me:hunter%ZZ2@127.0.0.1:1/base", ["hunter"]),
        ("postgresql://127.0.0.1:1/base?user=me&password=hunter2&port=x", ["hunter2"]),
        ("postgresql://127.0.0.1:1/base?password=hun%20ter2&nonsense=1", ["hun", "ter2"]),
        ("postgresql://127.0.0.1:1/base?user=me@corp&password=hunter2&port=hunter2", ["hunter2"]),
        ("postgresql://127.0.0.1:1/base?password=hunt@er2&port=er2", ["hunt", "er2"]),
        ("postgresql://127.0.0.1:1/base?sslpassword=hunt@er2&port=hunt", ["hunt", "er2"]),
    ],
)
def test_a_url_that_is_not_well_written_gives_nothing_away(server: str, url: str, secrets: list[str]) -> None:
    """libpq repeats the piece that it stumbles over: `invalid port number: "er2@..."`."""
    said = refusal(url)
    assert not [secret for secret in secrets if secret in said]
    assert "as %XX" in said


def test_secrets_are_pieces_of_the_password_also_as_it_is_meant() -> None:
    assert secrets_of("postgresql://me@host/base") == set()
    assert secrets_of("postgresql://me:a%40b@host/base") == {"a%40b", "a@b"}
    assert secrets_of("postgresql://host/base?user=me&password=x%21") == {"x%21", "x!"}
    assert secrets_of("postgresql://host:5432/base?user=me@corp&sslpassword=x@y") == {"x@y", "x", "y"}


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://me:x@host:5/base?password=y", "postgresql://host:5/base"),
        ("postgresql://host/base?user=me@corp&password=hunter2", "postgresql://host/base"),
        ("postgresql://host/base?password=hunt@er2", "postgresql://host/base"),
        ("postgresql://me:hunter2@[::1]:5,other:6/base", "postgresql://[::1]:5,other:6/base"),
        ("postgresql:///base?host=/var/run", "postgresql:///base"),
        ("postgresql://me:hunt/er2@host/base", "postgresql://..."),
        ("postgresql://me:hunt?er2@host/base", "postgresql://..."),
        ("postgresql://me:hun@ter2@host/base", "postgresql://..."),
        ("postgresql://me:hunter2/base", "postgresql://..."),
        (".headway/headway.db", ".headway/headway.db"),
    ],
)
def test_of_a_place_that_is_shown_nothing_may_be_a_password(url: str, place: str) -> None:
    assert shown(url) == place


def test_nothing_is_left_in_a_session_that_a_pooler_gives_to_others(database: str) -> None:
    with open_store(database) as store:
        store.append_all(record(number) for number in range(9))
        for number in range(9):  # psycopg prepares what it has executed five times
            assert len(store) == len(list(store.read())) == 9 + number
            store.append(record(number + 9))
        live = store._live
        assert live.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
        assert live.execute("SHOW statement_timeout").fetchone() == ("0",)


def test_what_is_stored_is_safe_whatever_the_server_was_told(database: str) -> None:
    import psycopg

    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {admin.info.dbname} SET synchronous_commit = off")
        with open_store(database) as store:
            admin.execute("CREATE TABLE noted (text text)")
            admin.execute("CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO noted VALUES"
                          " (current_setting('synchronous_commit') || current_setting('statement_timeout'));"
                          " RETURN NULL; END $$")  # fmt: skip
            admin.execute("CREATE TRIGGER note AFTER INSERT ON headway_records EXECUTE FUNCTION note()")
            store.append(record(1))
        assert admin.execute("SELECT text FROM noted").fetchall() == [("on30s",)]


def test_a_connection_that_was_cut_is_said_and_nothing_is_lost(database: str) -> None:
    import psycopg

    store = open_store(database)
    store.append(record(1))
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                      " WHERE application_name = 'headway' AND datname = current_database()")  # fmt: skip
    with pytest.raises(UserError, match="must answer"):
        store.append(record(2))
    store.close()
    with open_store(database) as again:
        again.append(record(2))
        assert list(again.read()) == [record(1), record(2)]


def test_opening_waits_for_who_is_making_the_store(database: str) -> None:
    import psycopg

    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with psycopg.connect(database) as maker, ThreadPoolExecutor(1) as other:
        maker.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        opening = other.submit(open_store, database)
        while not maker.execute(waiting).fetchone()[0]:
            assert not opening.done()
        for statement in (CREATE, "CREATE TABLE headway_store AS SELECT 1 AS version"):
            maker.execute(statement)
        maker.commit()
        with opening.result(30) as store:
            assert len(store) == 0


def test_who_may_only_read_reads(database: str, server: str) -> None:
    import psycopg

    with open_store(database) as store:
        store.append(record(1))
    reader = f"reader_{os.getpid()}"
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(f"CREATE USER {reader} PASSWORD 'reads'")
        admin.execute(f"GRANT SELECT ON headway_records, headway_store TO {reader}")
    with open_store(database.replace(f"headway:{PASSWORD}", f"{reader}:reads")) as store:
        assert list(store.read()) == [record(1)]
        with pytest.raises(UserError, match="permission denied"):
            store.append(record(2))


def test_without_psycopg_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert "pip install 'headway[postgres]'" in refusal("postgresql://host/base")
