"""`headway store`: what is recorded, one record, export and import, and what is said where that fails."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from tests.store.recorded import record

import headway
from headway.app.stored import keep, store_of
from headway.domain.record import Record


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HEADWAY_STORE", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def three() -> list[Record]:
    some = [record(1), record(2), record(3, kind="measurement", plan="plan-b")]
    with store_of(create=True) as store:
        store.append_all(some)
    return some


def test_nothing_yet_is_said_with_what_to_do(run, tmp_path: Path) -> None:
    outcome = run("store")
    assert outcome.code == 0
    assert "Nothing is recorded here yet" in outcome.out
    assert "next: headway measure plan.yaml" in outcome.out
    assert list(tmp_path.iterdir()) == []


def test_a_summary_by_kind(run, three) -> None:
    outcome = run("store")
    assert outcome.code == 0
    assert [line.split() for line in outcome.out.splitlines()[3:5]] == [
        ["measurement", "1", "2026-11-21", "00:00", three[2].id], ["run", "2", "2026-11-21", "00:00", three[1].id],
    ]  # fmt: skip
    document = json.loads(run("store", "--json").out)
    assert next(iter(document)) == "schema"
    assert (document["schema"], document["place"], document["records"]) == ("headway.store/1", ".headway/headway.db", 3)


def test_a_list_is_newest_first_of_a_kind_and_a_plan(run, three) -> None:
    def ids(*flags: str) -> list[str]:
        return [row["id"] for row in json.loads(run("store", "list", *flags, "--json").out)["records"]]

    assert ids() == [one.id for one in reversed(three)]
    assert ids("--kind", "run") == [three[1].id, three[0].id]
    assert ids("--plan", "plan-b") == [three[2].id]
    assert ids("--plan", "plan-b", "--kind", "run") == []
    assert "3 records of other kinds or plans" in run("store", "list", "--plan", "plan-c").out


def test_a_long_list_says_how_many_more(run) -> None:
    with store_of(create=True) as store:
        store.append_all(record(number) for number in range(25))
    assert "20 of 25 records; --all shows 5 more." in run("store", "list").out
    assert len(run("store", "list", "--format", "csv").out.splitlines()) == 26
    assert "--all" not in run("store", "list", "--all").out


def test_a_plan_file_names_the_store_beside_it_and_its_records(run, plan: str) -> None:
    fingerprint = headway.load(plan).plan.fingerprint
    promise = record(1, kind="estimate", plan={"name": "small", "fingerprint": fingerprint})
    keep(promise, plan)
    keep(record(2), plan)
    found = json.loads(run("store", "list", "--plan", plan, "--json").out)
    assert [row["id"] for row in found["records"]] == [promise.id]
    assert (found["others"], found["records"][0]["what"]) == (1, "small")
    assert headway.load(plan).records("estimate") == [promise]


def test_a_plan_that_is_not_there_is_a_plan_error(run) -> None:
    assert run("store", "--plan", "nowhere.yaml").code == 3


def test_one_record_by_the_beginning_of_its_id(run, three) -> None:
    outcome = run("store", "show", three[0].id[:6])
    assert outcome.code == 0
    assert f"Run {three[0].id}" in outcome.out
    assert '"number": 1' in outcome.out
    document = json.loads(run("store", "show", three[0].id.upper(), "--json").out)
    assert (document["schema"], document["body"], document["by"]) == ("headway.record/1", three[0].body, three[0].by)


@pytest.mark.parametrize(("word", "says"), [("ab", "4 digits at least"), ("zzzz", "`headway store list` has them")])
def test_an_id_that_is_none_is_a_usage_error(run, three, word: str, says: str) -> None:
    outcome = run("store", "show", word)
    assert outcome.code == 2
    assert says in outcome.err


def test_several_ids_that_begin_alike_are_named(run) -> None:
    by_start: dict[str, list[Record]] = {}
    for number in range(2000):
        one = record(number)
        by_start.setdefault(one.id[:4], []).append(one)
    start, alike = next((start, found) for start, found in by_start.items() if len(found) > 1)
    with store_of(create=True) as store:
        store.append_all(alike)
    outcome = run("store", "show", start)
    assert outcome.code == 2
    assert all(one.id in outcome.err for one in alike)


def test_export_and_import_move_everything_once(run, three, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = run("store", "export", "-o", "a.jsonl")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == "wrote a.jsonl; next: headway store import a.jsonl\n"
    text = Path("a.jsonl").read_text(encoding="utf-8")
    assert text.splitlines()[0] == '{"schema":"headway.records/1"}'
    assert run("store", "export").out == text
    monkeypatch.setenv("HEADWAY_STORE", "other.db")
    assert "3 records imported." in run("store", "import", "a.jsonl").out
    assert "0 records imported, 3 were there already." in run("store", "import", "a.jsonl").out
    assert run("store", "export").out == text
    assert json.loads(run("store", "import", "a.jsonl", "--json").out)["schema"] == "headway.store.import/1"


def test_import_reads_standard_input(run, three, monkeypatch: pytest.MonkeyPatch) -> None:
    text = run("store", "export").out
    monkeypatch.setenv("HEADWAY_STORE", "other.db")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert "3 records imported." in run("store", "import", "-").out


def test_a_bad_line_is_refused_with_its_number_and_nothing_imported(run, three, monkeypatch) -> None:
    lines = run("store", "export").out.splitlines()
    Path("a.jsonl").write_text("\n".join([*lines[:3], lines[3].replace("number", "numbre")]), encoding="utf-8")
    monkeypatch.setenv("HEADWAY_STORE", "other.db")
    outcome = run("store", "import", "a.jsonl")
    assert outcome.code == 1
    assert "at a.jsonl:4" in outcome.err
    assert "nothing was imported" in outcome.err
    assert json.loads(run("store", "--json").out)["records"] == 0


def test_what_cannot_be_imported_is_said(run, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = run("store", "import", "nowhere.jsonl")
    assert missing.code == 2
    assert "headway store export -o FILE" in missing.err
    monkeypatch.setenv("HEADWAY_STORE", "none")
    nowhere = run("store", "import", "nowhere.jsonl")
    assert nowhere.code == 1
    assert "HEADWAY_STORE=none" in nowhere.err


def test_a_broken_store_is_said_and_no_file_is_begun(run, tmp_path: Path) -> None:
    (tmp_path / ".headway").mkdir()
    (tmp_path / ".headway" / "headway.db").write_text("not a data base, but long enough to be looked at" * 50)
    for words in (("store",), ("store", "export", "-o", "a.jsonl"), ("store", "show", "abcd")):
        outcome = run(*words)
        assert outcome.code == 1
        assert "in one piece" in outcome.err
        assert "mv .headway/headway.db" in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == [".headway"]


def test_flags_before_the_command_are_not_lost(run, three) -> None:
    outcome = run("store", "--plan", "plan-b", "list")
    assert outcome.code == 2
    assert "flags follow the command" in outcome.err


def test_a_table_fits_eighty_columns(run, three, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for words in (("store",), ("store", "list"), ("store", "show", three[0].id)):
        assert max(map(len, run(*words).out.splitlines())) <= 80
