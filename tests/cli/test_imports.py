"""`estimate`, `init --from` and `check` on configurations of other tools."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[1] / "plan" / "importers" / "samples"


def sample(stem: str) -> str:
    return str(next(SAMPLES.glob(f"{stem}.*")))


def test_the_guess_is_one_line_on_stderr_and_the_answer_on_stdout(run) -> None:
    outcome = run("estimate", sample("hf"), "--assume", "gpu=T4", "--json")
    assert outcome.code == 0
    assert outcome.err == f"{sample('hf')}: read as Hugging Face training arguments: it has output_dir, " \
                          "num_train_epochs, max_steps of TrainingArguments\n"  # fmt: skip
    assert json.loads(outcome.out)["imported"]["format"] == "Hugging Face training arguments"
    assert run("estimate", sample("hf"), "--assume", "gpu=T4", "-q").err == ""


def test_what_is_missing_is_asked_with_exit_3(run) -> None:
    outcome = run("estimate", sample("torchtune"))
    assert outcome.code == 3
    assert "read as a torchtune configuration" in outcome.err
    assert "--assume gpu='A100 SXM 80GB' --assume samples=52k" in outcome.err


@pytest.mark.parametrize("stem", ["deepspeed", "accelerate"])
@pytest.mark.parametrize("verb", [("estimate",), ("init", "-o", "-", "--from"), ("check",)])
def test_a_side_file_is_refused_with_exit_3(run, stem: str, verb: tuple[str, ...]) -> None:
    outcome = run(*verb, sample(stem))
    assert outcome.code == 3
    assert "It belongs to" in outcome.err


def test_init_writes_the_plan_with_what_was_read(run, tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    outcome = run("init", "--from", sample("axolotl"), "--gpu", "H100 SXM", "-o", str(file))
    assert outcome.code == 0
    text = file.read_text(encoding="utf-8")
    assert "micro_batch: 4  # micro_batch_size, line 20" in text
    assert "# Not read:" in text
    assert "read as an axolotl configuration" in outcome.err
    assert run("estimate", str(file)).code == 0


def test_init_refuses_a_file_that_no_importer_knows(run, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("milk: 2\n", encoding="utf-8")
    outcome = run("init", "--from", str(file), "-o", "-")
    assert outcome.code == 2
    assert "axolotl" in outcome.err


def test_check_looks_at_an_imported_plan_and_fixes_only_its_own(run) -> None:
    outcome = run("check", sample("llama_factory"), "--assume", "gpu=H100 SXM", "--json")
    assert outcome.code in (0, 1)
    assert json.loads(outcome.out)["schema"] == "headway.check/1"
    refused = run("check", sample("llama_factory"), "--assume", "gpu=H100 SXM", "--fix")
    assert refused.code == 2
    assert "init --from" in refused.err


def test_explain_takes_an_imported_file(run) -> None:
    outcome = run("explain", "totals.gpu_hours", sample("hf"), "--assume", "gpu=T4")
    assert outcome.code == 0


def test_stated_hours_of_a_table_add_up(run) -> None:
    """2.5 + 2.5..3 + 1.5 + 3 hours."""
    outcome = run("estimate", sample("markdown"), "--assume", "gpu=T4", "--rates", "stated", "--json")
    hours = json.loads(outcome.out)["totals"]["gpu_hours"]
    assert (hours["p10"], hours["p90"]) == (pytest.approx(9.5), pytest.approx(10.0))
