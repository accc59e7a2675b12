"""`headway verify` as it is typed: pages, exit codes, messages."""

from __future__ import annotations

import csv
import io
import json
import shlex
from pathlib import Path

import pytest

import headway
from headway.app.promise import promise_of
from headway.app.stored import keep, made_now, records

from .conftest import Run


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plan promised at 1.6-2.0 s a step, and two runs of it: one as promised, one slower with evaluations."""
    monkeypatch.delenv("HEADWAY_STORE", raising=False)
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "headway: 1\nname: small\nmodel: Qwen/Qwen2-0.5B\nadapter: {method: lora, rank: 4}\nmicro_batch: 8\n"
        "max_length: 128\nstated: {step: 1.6-2.0 s}\ndata: {rows: 80k, length: 100}\nmatrix: {steps: [1k, 2k]}\n"
        "run: {machine: {gpu: RTX 4090}}\n",
        encoding="utf-8",
    )
    project = headway.load(plan)
    body = promise_of(project.estimate(rates="stated").answer)
    keep(made_now("estimate", body, "headway estimate plan.yaml"), str(plan))
    for run, experiment, steps, step_s, evaluations in (("a", "1k", 1000, 1.85, 0), ("b", "2k", 2000, 2.1, 3)):
        lines = [{
            "schema": "headway.events/1", "started": "2999-01-01T00:00:00Z", "run": f"{run}-run",
            "plan": project.plan.fingerprint, "experiment": f"small/{experiment}", "total_steps": steps,
            "device": "RTX 4090",
        }, {"kind": "begin", "at_s": 0.0}]  # fmt: skip
        lines += [
            {"kind": "step", "at_s": n * step_s, "seconds": 100 * step_s, "step": n, "steps": 100}
            for n in range(100, steps + 1, 100)
        ]
        lines += [{"kind": "evaluation", "at_s": steps * step_s + 80 * n, "seconds": 80.0, "step": steps}
                  for n in range(1, evaluations + 1)]  # fmt: skip
        lines.append({"kind": "end", "at_s": steps * step_s + 80 * evaluations})
        folder = tmp_path / ".headway" / "runs" / f"{run}-run"
        folder.mkdir(parents=True)
        (folder / "events.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_says_what_was_promised_what_it_took_and_why(run: Run, runs: Path) -> None:
    found = run("verify")
    assert found.code == 5
    assert "1 of 2 outside the promised p90: small/2k" in found.out
    assert "30.0 min (33.3)" in found.out  # 1,000 x 1.8 s, p90 2.0 s
    assert "+2.8 %" in found.out  # 1,850 over 1,800
    assert "step +10 min (17 % longer each)" in found.out  # 2,000 x 0.3 s of 3,600
    assert "evaluation +4 min (nothing was promised)" in found.out
    assert "p90 held in 1 of 2, inside p10–p90 in 1 of 2" in found.out
    assert "compatible with the promised 80 % (1–99 % at 95 %, as almost anything is so early)" in found.out
    assert found.err == ""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["a-run"], 0),
        (["b-run"], 5),
        (["b-run", "--tolerance", "30%"], 0),
        (["b-run", "--tolerance", "150%"], 0),
        (["b-run", "--tolerance", "1"], 0),
        (["a-run", "--tolerance", "0.01"], 5),
    ],
)
def test_exit_codes(run: Run, runs: Path, words: list[str], code: int) -> None:
    run("verify")
    assert run("verify", *words).code == code


def test_the_next_command_can_be_typed(run: Run, runs: Path) -> None:
    first = run("verify", "--json")
    words = shlex.split(json.loads(first.out)["next_command"])
    second = run(*words[1:])
    assert second.code in (0, 5)
    assert "predicted → " in second.out and "measured" in second.out
    assert "next: headway estimate plan.yaml" in second.out
    assert run("estimate", "plan.yaml", "--rates", "measured").code == 0


def test_at_80_columns_no_line_is_wider(run: Run, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    found = run("verify", "--recalibrate", "--plan", "plan.yaml", "-v")
    assert max(len(line) for line in found.out.splitlines() if not line.startswith("next:")) <= 80


def test_json_holds_verdicts_and_ledger_unrounded(run: Run, runs: Path) -> None:
    found = json.loads(run("verify", "--json").out)
    assert next(iter(found)) == "schema" and found["schema"] == "headway.verify/1"
    assert found["missed"] == ["b-run"]
    second = next(one for one in found["verdicts"] if one["run"] == "b-run")
    parts = sum(term["count_s"] + term["rate_s"] for term in second["terms"]) + second["together_s"]
    assert parts == pytest.approx(second["difference_s"])
    assert found["ledger"]["whole"]["inside"]["held"] == 1


def test_rows_are_terms(run: Run, runs: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(run("verify", "--format", "csv").out)))
    assert {(row["run"], row["term"]) for row in rows} == {
        ("a-run", "step"),
        ("b-run", "step"),
        ("b-run", "evaluation"),
    }


@pytest.mark.parametrize("form", ["md", "html"])
def test_other_forms_say_the_same(run: Run, runs: Path, form: str) -> None:
    assert "small/2k" in run("verify", "--format", form).out


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["nowhere.log"], 1, "a run is a folder, a log, or the id of a recorded run, got nowhere.log"),
        (["--tolerance", "ten"], 2, "--tolerance is a share above 0, got ten"),
        (["--tolerance", "-5%"], 2, "--tolerance is a share above 0, got -5%"),
        (["a-run", "--all"], 2, "--all takes every recorded run"),
        (["--plan", "missing.yaml"], 3, "missing.yaml"),
        (["--tolerance", "10"], 2, "--tolerance above 1 is written in per cent, got 10"),
        (["--tolerance", "10"], 2, "Write it like 10% or 0.1."),
        (["--experiment", "small/9k"], 2, "Runs are of small/1k, small/2k."),
        (["--experiment", "small/9k", "--plan", "plan.yaml"], 2, "Runs are of small/1k, small/2k."),
        ([".headway/runs/a-run", "--experiment", "small/2k"], 2, "a run is of the experiment that it names"),
        (["plan.yaml"], 1, "plan.yaml"),
    ],
)
def test_mistakes_are_answered_with_what_to_do(run: Run, runs: Path, words: list[str], code: int, says: str) -> None:
    found = run("verify", *words)
    assert found.code == code, found.err
    assert says in found.err
    assert found.out == ""


def test_an_empty_folder_says_how_runs_come_to_be(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEADWAY_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    found = run("verify")
    assert found.code == 1
    assert "headway watch -- python train.py" in found.err
    assert not (tmp_path / ".headway").exists()


def test_a_store_that_cannot_be_written_costs_the_record_not_the_page(
    run: Run, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headway.app.verify.keep", lambda *given: given[2]("not recorded: the folder is read-only"))
    found = run("verify", "a-run" if (runs / "a-run").exists() else str(runs / ".headway" / "runs" / "a-run"))
    assert found.code == 0
    assert "warning: not recorded" in found.err


def test_an_estimate_keeps_what_was_assumed(run: Run, runs: Path) -> None:
    plan = runs / "plan.yaml"
    plan.write_text(plan.read_text(encoding="utf-8") + "options: {cpu: {set: {run.machine: cpu}}}\n", encoding="utf-8")
    rows = runs / "rows.jsonl"
    rows.write_text('{"text": "one"}\n', encoding="utf-8")
    for words in ((), ("--assume", "run.machine=cpu", "--assume", f"data.from={rows}"), ("--option", "cpu")):
        found = run("estimate", "plan.yaml", *words)
        assert found.code == 0, found.err
    kept = {tuple(one.body["assume"]) for one in records("estimate", "plan.yaml")}
    assert kept == {(), ("run.machine=cpu", "data.from=rows.jsonl"), ("option=cpu",)}
