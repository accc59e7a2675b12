"""The verbs from Python: `import headway as hw`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import headway as hw
from headway.app.load import Project
from headway.domain.errors import PlanError, UserError
from headway.report.explain_view import explain_view, paths

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(folder.name for folder in EXAMPLES.iterdir())


def project(name: str) -> Project:
    found = hw.load(EXAMPLES / name / "plan.yaml")
    assert isinstance(found, Project)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_shows_itself_and_is_plain_data(name: str) -> None:
    result = project(name).estimate(today="2026-11-21")
    document = result.to_dict()
    assert json.loads(json.dumps(document, allow_nan=False))["totals"] == document["totals"]
    assert document["schema"] == "headway.estimate/1"
    assert result._repr_markdown_().startswith("#")
    assert "<table" in result._repr_html_()
    assert result.estimate.gpu_s.p10 <= result.estimate.gpu_s.p50 <= result.estimate.gpu_s.p90


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_can_be_explained(name: str) -> None:
    answer = project(name).estimate(today="2026-11-21").answer
    found = list(paths(answer))
    assert found
    for path in found:
        view = explain_view(answer, path)
        assert view.title == path
        assert view.sections
        assert view.next_command.startswith("headway ")


def test_an_unknown_figure_is_refused_with_the_nearest() -> None:
    answer = project("minimal").estimate().answer
    with pytest.raises(UserError) as caught:
        explain_view(answer, "totals.gpu_hour")
    assert "totals.gpu_hours" in caught.value.candidates


def test_assumptions_override_keys_of_the_plan() -> None:
    whole = hw.load(EXAMPLES / "minimal" / "plan.yaml").estimate().estimate
    third = hw.load(EXAMPLES / "minimal" / "plan.yaml", assume={"epochs": 1}).estimate().estimate
    assert third.experiments[0].steps * 3 == whole.experiments[0].steps


def test_another_machine_of_the_plan() -> None:
    taxonomy = project("qwen2-taxonomy")
    there = taxonomy.estimate(machine="aws-v100").answer
    assert there.machines[0].device == "V100 SXM2 16GB"
    assert {item.basis.recipe.precision for e in there.estimate.experiments for item in e.stages if item.basis} == {
        "fp16"
    }
    with pytest.raises(UserError, match="machine of the plan"):
        taxonomy.estimate(machine="nowhere")


def test_a_subset_is_the_plan_without_the_rest() -> None:
    answer = project("qwen2-taxonomy").estimate(subset="fast-track", rates="stated").answer
    assert len(answer.estimate.experiments) == 26
    assert answer.estimate.gpu_s.p50 / 3600 == pytest.approx(81 + 2 / 3)


def test_an_option_of_several_plans_is_no_plan() -> None:
    with pytest.raises(UserError, match="several plans"):
        project("qwen2-taxonomy").estimate(option="parallel")


def test_options_that_nobody_can_price_say_so() -> None:
    answer = project("qwen2-taxonomy").estimate(rates="stated").answer
    stopping = next(item for item in answer.options if item.id == "early-stopping")
    assert "not known before" in stopping.note
    assert next(item for item in answer.options if item.id == "skip-50k").note == ""


def test_documents_can_be_made_again_as_of_a_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert project("minimal").estimate().answer.today == "1970-01-02"


def test_a_plan_that_is_not_there() -> None:
    with pytest.raises(PlanError, match="no such file"):
        hw.load("nowhere.yaml")


def test_a_run_in_progress(tmp_path: Path) -> None:
    log = tmp_path / "trainer_log.jsonl"
    rows = [
        {"current_steps": step, "total_steps": 100, "loss": 2.0, "elapsed_time": f"0:00:{step // 2:02}",
         "remaining_time": "0:01:00"}
        for step in range(10, 50, 10)
    ]  # fmt: skip
    log.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    found = project("minimal").watch(log, price=7.2)
    said = found.to_dict()
    assert (said["schema"], said["state"], said["step"]) == ("headway.watch/1", "running", 40)
    assert found.answer.left_p50_s == pytest.approx(30, rel=0.1)  # 60 steps of half a second
    assert said["usd"]["whole_p50"] == pytest.approx(7.2 * 50 / 3600, rel=0.1)
    assert found._repr_markdown_().startswith("#")
    assert "<table" in found._repr_html_()
