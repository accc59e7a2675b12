"""The store of a plan, for verbs: where it is, and that keeping a record costs nothing but the record."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tests.store.recorded import record

import headway
from headway.app.stored import keep, made_now, provenance, records, store_of
from headway.domain.errors import UserError
from headway.store.place import folder_of, is_there, place_of


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HEADWAY_STORE", raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_place_is_beside_the_plan_or_here() -> None:
    assert place_of("plans/plan.yaml") == str(Path("plans/.headway/headway.db"))
    assert place_of() == place_of("-") == place_of("plan.yaml") == str(Path(".headway/headway.db"))
    assert folder_of("plans/plan.yaml") == Path("plans/.headway")


@pytest.mark.parametrize(
    ("said", "place"),
    [("", ".headway/headway.db"), (" ", ".headway/headway.db"), ("none", "none"), ("x.db", "x.db"),
     ("shared/", "shared/headway.db"), (".", "headway.db"), ("postgresql://me:x@h/b", "postgresql://me:x@h/b"),
     ("~/x.db", "HOME/x.db")],
)  # fmt: skip
def test_a_variable_names_another(monkeypatch: pytest.MonkeyPatch, said: str, place: str) -> None:
    monkeypatch.setenv("HOME", "HOME")
    monkeypatch.setenv("HEADWAY_STORE", said)
    assert place_of() == place


def test_nothing_is_made_by_looking(tmp_path: Path) -> None:
    assert records() == []
    with store_of() as store:
        assert (store.place, len(store)) == ("none", 0)
    assert list(tmp_path.iterdir()) == []


def test_looking_where_nothing_is_imports_no_data_base() -> None:
    """Every estimate looks."""
    command = "import sys; from headway.app.stored import records; assert records() == []; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert not {"sqlite3", "psycopg", "pydantic", "rich"} & set(done.stdout.split())


def test_what_is_kept_is_read() -> None:
    key = keep(record(1), "plans/plan.yaml")
    assert key == record(1).id
    assert records("run", "plans/plan.yaml") == records(plan_file="plans/plan.yaml", plan="plan-a") == [record(1)]
    assert records("estimate", "plans/plan.yaml") == records("run") == []


def test_none_keeps_nothing_and_says_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HEADWAY_STORE", "none")
    said: list[str] = []
    assert keep(record(1), None, said.append) is None
    assert (records(), said, list(tmp_path.iterdir())) == ([], [], [])


def test_what_cannot_be_kept_is_said_and_no_error(tmp_path: Path) -> None:
    (tmp_path / ".headway").write_text("a file where the folder should be")
    said: list[str] = []
    assert keep(record(1), None, said.append) is None
    assert keep(record(1)) is None
    assert len(said) == 1
    assert said[0].startswith("not recorded: the folder of a store must be writable")
    assert "HEADWAY_STORE=PATH" in said[0]


def test_a_store_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """An estimate without the measurements that are there would be another estimate."""
    (tmp_path / ".headway").mkdir()
    (tmp_path / ".headway" / "headway.db").write_text("not a data base, but long enough to be looked at" * 50)
    assert is_there(place_of())
    with pytest.raises(UserError, match="in one piece"):
        records()


def test_provenance_names_no_folders() -> None:
    command = "headway measure /srv/alice/plan.yaml --log=~/runs/a.jsonl -o ../x.md Qwen/Qwen2-0.5B ./train.py"
    by = provenance(command, {"device": "T4"})
    assert by["command"] == "headway measure plan.yaml --log=a.jsonl -o x.md Qwen/Qwen2-0.5B train.py"
    assert (by["headway"], by["device"]) == (headway.__version__, "T4")


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["estimate", "/srv/Jane Doe/plan.yaml"], "estimate plan.yaml"),
        (["estimate", "/srv/Jane O'Hara/my plan.yaml"], "estimate 'my plan.yaml'"),
        (["estimate", "users/jdoe/plan.yaml"], "estimate plan.yaml"),
        (["estimate", "jdoe/plan.yaml"], "estimate plan.yaml"),
        (["estimate", r"C:\Users\jdoe\plan.yaml"], "estimate plan.yaml"),
        (["measure", "plan.yaml", "2A/openwebtext-10k"], "measure plan.yaml 2A/openwebtext-10k"),
        (["x", "--log=/srv/Jane Doe/a.jsonl", "model=/srv/jane/m"], "x --log=a.jsonl model=m"),
        (["x", "data.from=rows/jane.jsonl", "model=Qwen/Qwen2-0.5B"], "x data.from=jane.jsonl model=Qwen/Qwen2-0.5B"),
    ],
)
def test_no_folder_is_recorded_however_it_is_written(words: list[str], kept: str) -> None:
    assert provenance(shlex.join(["headway", *words]))["command"] == f"headway {kept}"


def test_a_record_made_now_can_be_kept() -> None:
    assert keep(made_now("run", {"schema": "headway.run/1"}, "headway watch"))
