"""`init`, `catalog`, `schema`, `explain` and `completion`."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest

from headway.cli.options import assumptions
from headway.cli.output import layout, write_file
from headway.domain.errors import UserError
from headway.report.explain_view import FIGURES, PHASE_FIGURES, TOTALS


def test_init_writes_a_plan_that_can_be_estimated(run, tmp_path: Path) -> None:
    file = str(tmp_path / "plan.yaml")
    outcome = run("init", "-o", file)
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == f"wrote {file}; next: headway estimate {file}\n"
    assert run("estimate", file).code == 0


def test_init_replaces_nothing_unless_forced(run, tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("mine", encoding="utf-8")
    outcome = run("init", "-o", str(file))
    assert outcome.code == 2
    assert "--force" in outcome.err
    assert file.read_text(encoding="utf-8") == "mine"
    assert run("init", "-o", str(file), "--force", "-q").err == ""
    assert file.read_text(encoding="utf-8") != "mine"


def test_init_prints_with_a_dash_and_takes_what_is_known(run) -> None:
    outcome = run("init", "-o", "-", "--model", "Qwen/Qwen2-1.5B", "--lora", "16", "--gpu", "T4", "--samples", "12k",
                  "--batch", "2", "--epochs", "3", "--tokens-per-sample", "300")  # fmt: skip
    assert outcome.code == 0
    for word in ("Qwen/Qwen2-1.5B", "rank: 16", "T4", "micro_batch: 2", "epochs: 3"):
        assert word in outcome.out


@pytest.mark.parametrize("flags", [("--lora", "4", "--full"), ("--steps", "5", "--epochs", "1"), ("--samples", "x")])
def test_init_refuses_what_contradicts(run, tmp_path: Path, flags: tuple[str, ...]) -> None:
    outcome = run("init", "-o", str(tmp_path / "p.yaml"), *flags)
    assert outcome.code == 2
    assert not (tmp_path / "p.yaml").exists()


# ---- catalog


def test_devices_that_a_name_may_mean(run) -> None:
    outcome = run("catalog", "devices", "A100")
    assert outcome.code == 0
    assert [line.split()[:4] for line in outcome.out.splitlines()[3:7]] == [
        ["A100", "PCIe", "40GB", "2020"], ["A100", "SXM", "40GB", "2020"], ["A100", "PCIe", "80GB", "2021"],
        ["A100", "SXM", "80GB", "2020"],
    ]  # fmt: skip


def test_all_devices_have_source_and_date(run) -> None:
    document = json.loads(run("catalog", "devices", "--json").out)
    assert document["schema"] == "headway.catalog.devices/1"
    assert len(document["devices"]) >= 80
    assert all(row["source"] and row["date"] for row in document["devices"])


def test_offers_are_sorted_by_gpu_hour_and_dated(run) -> None:
    rows = list(csv.DictReader(io.StringIO(run("catalog", "offers", "T4", "--format", "csv").out)))
    prices = [float(row["usd_per_hour"]) / int(row["gpus"]) for row in rows]
    assert prices == sorted(prices)
    assert all(row["priced_on"] for row in rows)


def test_hidden_offers_are_counted(run) -> None:
    shown = run("catalog", "offers").out
    assert "20 of " in shown
    assert "--all shows" in shown
    assert "--all shows" not in run("catalog", "offers", "--all").out


def test_models_by_part_of_the_name(run) -> None:
    rows = json.loads(run("catalog", "models", "qwen2-0.5b", "--json").out)["models"]
    assert [(row["name"], row["parameters"]) for row in rows] == [("Qwen/Qwen2-0.5B", 494_032_768)]


@pytest.mark.parametrize(
    "words", [("devices", "GTX 9999"), ("offers", "GTX 9999"), ("offers", "--provider", "nobody"), ("models", "zzz"),
              ("offers", "T4", "--gpus", "7")]
)  # fmt: skip
def test_what_the_catalog_lacks(run, words: tuple[str, ...]) -> None:
    outcome = run("catalog", *words)
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")


# ---- schema, explain, completion


def test_the_schema_is_a_json_schema(run, tmp_path: Path) -> None:
    schema = json.loads(run("schema").out)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "model" in schema["properties"]
    file = tmp_path / "plan.schema.json"
    assert run("schema", "--json", "-o", str(file)).out == ""
    assert json.loads(file.read_text(encoding="utf-8")) == schema


def test_explain_takes_number_and_plan_in_either_order(run, plan) -> None:
    first = run("explain", "totals.gpu_hours", plan, "--rates", "stated")
    assert first.code == 0
    assert "1.5 h" in first.out
    assert run("explain", plan, "totals.gpu_hours", "--rates", "stated").out == first.out
    assert json.loads(run("explain", "totals.gpu_hours", plan, "--json").out)["schema"] == "headway.explain/1"


def test_explain_offers_the_nearest_figure(run, plan) -> None:
    outcome = run("explain", "totals.gpu_hour", plan)
    assert outcome.code == 2
    assert "totals.gpu_hours" in outcome.err
    assert run("explain", plan).code == 2


@pytest.mark.parametrize(
    ("path", "same"),
    [("phases.0.gpu_hours", "phases.small.gpu_hours"),
     ("experiments.1.gpu_hours.p90", "experiments.small/2k.gpu_hours"),
     ("totals.wall_hours.p50", "totals.wall_hours"), ("experiments.0.fits", "experiments.small/1k.peak_memory_bytes"),
     ("phases.0.wall_hours.p10", "phases.small.wall_hours")],
)  # fmt: skip
def test_explain_reads_the_paths_of_the_json(run, plan, path: str, same: str) -> None:
    indexed, plain = (run("explain", name, plan, "--rates", "stated") for name in (path, same))
    assert indexed.code == 0, indexed.err
    assert indexed.out.splitlines()[1:] == plain.out.splitlines()[1:]


def test_explain_knows_what_is_billed_and_how_many_run(run, plan) -> None:
    billed = run("explain", "totals.billed_gpu_hours", plan, "--rates", "stated").out
    assert billed.splitlines()[3].split()[:2] == ["p50", "1.5"]
    counted = run("explain", "totals.experiments", plan).out
    assert counted.splitlines()[3].split() == ["experiments", "2"]


@pytest.mark.parametrize("path", ["phases.7.gpu_hours", "experiments.2.steps", "phases.0.steps", "totals", "offers.0"])
def test_explain_lists_what_it_explains_when_it_refuses(run, plan, path: str) -> None:
    outcome = run("explain", path, plan)
    assert outcome.code == 2
    for kind in ("totals.(gpu_hours|", "phases.ID.(", "experiments.ID.(", "terms_s.TERM"):
        assert kind in outcome.err


def test_every_figure_that_help_names_can_be_explained(run, plan) -> None:
    shown = run("explain", "--help").out
    for name, figures in (("totals", TOTALS), ("phases.small", PHASE_FIGURES), ("experiments.small/1k", FIGURES)):
        for figure in figures:
            assert figure in shown
            assert run("explain", f"{name}.{figure}", plan, "--rates", "stated").code == 0, figure


def test_explain_says_unknown_where_a_rate_is_missing(run, plan) -> None:
    for figure in TOTALS[:-1]:
        shown = run("explain", f"totals.{figure}", plan, "--rates", "measured").out
        assert "unknown: " in shown, figure


def test_the_next_command_quotes_a_path_with_spaces(run, plan, tmp_path: Path) -> None:
    folder = tmp_path / "my plans"
    folder.mkdir()
    file = folder / "p.yaml"
    file.write_text(Path(plan).read_text(encoding="utf-8"), encoding="utf-8")
    for path in ("totals.gpu_hours", "phases.small.gpu_hours", "experiments.0.steps"):
        last = run("explain", path, str(file)).out.splitlines()[-1]
        assert shlex.split(last)[-1] == str(file)
    made = run("init", "-o", str(folder / "new.yaml")).err
    assert shlex.split(made)[-1] == str(folder / "new.yaml")


def test_the_next_command_means_the_same_plan(run, plan) -> None:
    for words, last in (
        (["--assume", "micro_batch=2"], "--assume micro_batch=2"),
        (["--rates", "predicted"], "--rates predicted"),
        (
            ["--assume", "epochs=1", "--assume", "steps=30", "--rates", "predicted"],
            "--assume steps=30 --rates predicted",
        ),
    ):
        then = run("estimate", plan, *words).out.splitlines()[-1]
        assert then.startswith("next: headway explain totals.gpu_hours") and then.endswith(last)
        assert run(*shlex.split(then)[2:]).out.splitlines()[-1].endswith(last)


def test_a_plan_for_a_cpu_is_measured_next(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("headway: 1\nmodel: Qwen/Qwen2-0.5B\ndata: {rows: 1000, length: 60}\nsteps: 500\n"
                    "run: {machine: {gpu: cpu}}\noptions: {half: {set: {steps: 250}}}\n")  # fmt: skip
    assert "next: headway explain" in run("estimate", str(file)).out  # a store that keeps nothing
    monkeypatch.delenv("HEADWAY_STORE")
    shown = run("estimate", str(file), "--option", "half").out
    assert shown.splitlines()[-1] == f"next: headway measure {file} --option half"
    chain = f"headway explain totals.gpu_hours {file} --option half"
    assert f"or {chain}" in " ".join(shown.split())
    assert run(*shlex.split(chain)[1:]).code == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_completion_script(run, shell: str) -> None:
    outcome = run("completion", shell)
    assert outcome.code == 0
    assert "_HEADWAY_COMPLETE" in outcome.out


def test_completion_completes_a_command(
    run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_HEADWAY_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "headway est")
    monkeypatch.setenv("COMP_CWORD", "1")
    with pytest.raises(SystemExit) as end:
        run()
    assert end.value.code == 0
    assert capsys.readouterr().out == "plain,estimate\n"


# ---- output


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "out.txt"
    file.write_text("old", encoding="utf-8")

    def pieces():
        yield "new"
        raise OSError(28, os.strerror(28))

    with pytest.raises(UserError, match="writable"):
        write_file(str(file), pieces())
    assert [path.name for path in tmp_path.iterdir()] == ["out.txt"]
    assert file.read_text(encoding="utf-8") == "old"


def test_width_and_color_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "72")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert (layout().width, layout().color) == (72, True)
    assert not layout(to_file=True).color
    monkeypatch.setenv("NO_COLOR", "1")
    assert not layout().color


def test_assumptions_keep_what_stands_after_the_first_equals_sign() -> None:
    assert assumptions(("a.b=1=2", "c = x y ")) == {"a.b": "1=2", "c": "x y"}


# ---- trace


@pytest.mark.skipif(find_spec("torch") is not None, reason="what is said where torch is missing")
def test_trace_says_what_to_install(run) -> None:
    outcome = run("trace", "Qwen/Qwen2-0.5B")
    assert (outcome.code, outcome.out) == (1, "")
    assert "pip install 'headway[train]'" in outcome.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("Qwen/Qwen2-0.5B", "1k"), "no experiments"),
        (("no/such-model",), "config.json"),
        (("./nowhere",), "nowhere"),
        (("Qwen/Qwen2-0.5B", "--lora", "4", "--full"), "one way"),
    ],
)
def test_trace_refuses_what_it_cannot_mean(run, words: tuple[str, ...], says: str) -> None:
    outcome = run("trace", *words)
    assert outcome.code in (1, 2)
    assert says in outcome.err


def test_trace_takes_a_plan_or_flags(run, plan) -> None:
    outcome = run("trace", plan, "--lora", "4", "--target", "q")
    assert outcome.code == 2
    assert "--lora, --target" in outcome.err
    unknown = run("trace", plan, "small/9k")
    assert unknown.code == 2
    assert "small/1k" in unknown.err
