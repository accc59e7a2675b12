"""Omissions: what the documents' hours leave out, in both readings, and where nothing is missing."""

from __future__ import annotations

from typing import Any

import pytest
from tests.check.found import EXAMPLES, in_example, in_text, only

PLAN = """headway: 1
model: Qwen/Qwen2-0.5B
data: {rows: 1M, length: 200}
steps: 1000
stated: {step: 1 s, load: 30 s, tokenize: 1 min, final_save: 5 s}
run: {machine: RTX 4090}
"""


def evidence(name: str, code: str) -> Any:
    return only(in_example(name, code)).evidence


class TestEvaluation:
    def test_both_readings_of_ten_minutes(self) -> None:
        found = evidence("qwen2-taxonomy", "HW601")
        assert (found["models"], found["evaluations"], found["stages"]) == (53, 530, 64)
        assert found["gpu_hours_at_each_task"] == pytest.approx(530 / 6)  # 88.3
        assert found["gpu_hours_at_each_stage"] == pytest.approx(640 / 6)  # 106.7
        assert found["gpu_hours_at_all_tasks"] == pytest.approx(53 / 6)  # 8.83

    def test_no_rate_anywhere_is_predicted(self) -> None:
        tasks = "datasets: {kept: {rows: 1k, length: 20}}\ntasks: {kept: {}}\nevaluate: kept\n"
        finding = only(in_text(PLAN + tasks, "HW601"))
        assert finding.evidence["evaluations"] == 1
        assert "by prediction" in finding.message

    def test_evaluations_on_the_way_are_counted(self) -> None:
        tasks = (
            "datasets: {kept: {rows: 1k, length: 20}}\ntasks: {kept: {}}\nevaluate: {tasks: kept, every: 100 steps}\n"
        )
        assert only(in_text(PLAN + tasks, "HW601")).message.startswith("10 evaluations of 1 trained model have")

    def test_validation_counts_as_being_looked_at(self) -> None:
        plan = PLAN + "datasets: {kept: {rows: 1k, length: 20}}\ntasks: {kept: {}}\n"
        assert only(in_text(plan, "HW602")).evidence["trained"] == 1
        assert in_text(plan + "validation: 1%\n", "HW602") == ()


class TestStatedHours:
    @pytest.mark.parametrize("name", ["qwen2-taxonomy", "arc-t4"])
    def test_what_is_left_out_is_small_and_a_remark(self, name: str) -> None:
        finding = only(in_example(name, "HW603"))
        assert finding.severity == "info"
        assert set(finding.evidence["predicted_s"]) == {"load", "tokenize", "final_save"}  # type: ignore[call-overload]

    def test_short_runs_spend_their_time_around_the_steps(self) -> None:
        plan = PLAN.replace("load: 30 s, ", "").replace("steps: 1000", "steps: 10")
        assert only(in_text(plan, "HW603")).severity == "warning"

    @pytest.mark.parametrize("name", ["llama7b-addition", "kernelbook-node"])
    def test_silent_where_all_terms_or_the_whole_are_stated(self, name: str) -> None:
        assert in_example(name, "HW603") == ()

    def test_silent_where_nothing_is_stated(self) -> None:
        plan = PLAN.replace("stated:", "params:").replace("step: 1 s, load: 30 s, tokenize: 1 min,", "")
        assert in_text(plan, "HW6") == ()

    def test_tokenizing_304000_rows_is_called_negligible(self) -> None:
        found = evidence("llama7b-addition", "HW604")
        assert (found["term"], found["rows"]) == ("tokenize", 304_000)


@pytest.mark.parametrize("form", ["step: negligible, tokenize: negligible", "wall: 5 h", "throughput: 5 samples/s"])
def test_hours_stated_in_other_forms_are_read(form: str) -> None:
    plan = PLAN.replace("step: 1 s, load: 30 s, tokenize: 1 min, final_save: 5 s", form) + "matrix: {seed: [1, 2]}\n"
    assert {finding.code for finding in in_text(plan, "HW5", "HW6")} <= {"HW603", "HW611", "HW612"}


class TestSafeguards:
    def test_long_runs_of_the_taxonomy(self) -> None:
        # longer than 4 h: 5 h and more; 2A 9, 2B 9, 2C 6, 3B 10, and 3C at 5 h in one stage: the finance pretraining
        all_day = (EXAMPLES / "qwen2-taxonomy" / "plan.yaml").read_text(encoding="utf-8").replace("day: 8", "day: 24")
        found = only(in_text(all_day, "HW611", "HW807")).evidence
        assert len(found["runs"]) == 9 + 9 + 6 + 10 + 1
        assert found["longest_hours"] == pytest.approx(25.0)

    def test_a_window_that_is_too_short_says_it_once(self) -> None:
        assert only(in_example("qwen2-taxonomy", "HW611", "HW807")).code == "HW807"

    @pytest.mark.parametrize(("steps", "found"), [("14300", 0), ("14400", 1)])
    def test_four_hours_are_the_limit(self, steps: str, found: int) -> None:
        # a second a step, and 95 s of loading, tokenizing and saving
        assert len(in_text(PLAN.replace("1000", steps), "HW611")) == found

    def test_contingency_is_room_too(self) -> None:
        long = PLAN.replace("1000", "100k")
        assert only(in_text(long, "HW612")).evidence["runs"] == 1
        assert in_text(long.replace("4090}", "4090, contingency: {repeats: 5 h}}"), "HW612") == ()

    def test_near_perfect_accuracy_without_validation(self) -> None:
        assert "'accuracy'" in only(in_example("llama7b-addition", "HW613")).message

    def test_an_option_that_stops_early_by_nothing(self) -> None:
        assert evidence("qwen2-taxonomy", "HW614")["trainings"] == 64

    @pytest.mark.parametrize("quantity", ["train_loss", "none"])
    def test_the_training_loss_is_always_there(self, quantity: str) -> None:
        assert in_text(PLAN + f"early_stop: {quantity}\n", "HW614") == ()

    def test_generations_that_are_verified(self) -> None:
        assert in_example("kernelbook-node", "HW615") == ()
