"""Prefix reuse in plans: the hours of the taxonomy by hand, and what makes two trainings the same course."""

from __future__ import annotations

from typing import Any

import pytest
from tests.check.found import EXAMPLES, after_fixes, in_example, in_text, only

from headway.plan import read_plan

TAXONOMY = (EXAMPLES / "qwen2-taxonomy" / "plan.yaml").read_text(encoding="utf-8")
HOUR_STEPS = 2000


def parts(code: str) -> list[dict[str, Any]]:
    evidence = only(in_example("qwen2-taxonomy", code)).evidence
    found = evidence["trainings"]
    assert isinstance(found, list)
    return found


class TestTaxonomy:
    """Document 000 states 2,000 steps an hour."""

    def test_step_scales_cost_75_hours(self) -> None:
        finding = only(in_example("qwen2-taxonomy", "HW531"))
        assert finding.evidence["gpu_hours_saved"] == pytest.approx(75.0)
        assert finding.evidence["gpu_hours_saved_with_cooldown"] == pytest.approx(60.0)
        assert finding.evidence["share"] == pytest.approx(75 / 341.6667, abs=1e-6)
        assert "75 of 341.7 GPU-hours (22 %)" in finding.message

    def test_which_runs(self) -> None:
        # 2A: 10k and 25k of each of three corpora; 2B: the shorter of each of six
        expected = {f"2A/{data}-{k}k": k * 1000 for data in ("openwebtext", "two-corpus", "three-corpus")
                    for k in (10, 25)}  # fmt: skip
        expected |= {f"2B/{data}-5k": 5000 for data in ("financial-qa", "fiqa", "twitter-sentiment")}
        expected |= {f"2B/{data}-10k": 10_000 for data in ("fingpt-sentiment", "finance-alpaca", "mixed-financial")}
        assert {one["experiment"]: one["steps"] for one in parts("HW531")} == expected
        assert sum(expected.values()) / HOUR_STEPS == 52.5 + 22.5
        within = {one["experiment"]: one["contained_in"] for one in parts("HW531")}
        assert within["2A/two-corpus-25k"] == "2A/two-corpus-50k"
        assert within["2B/fiqa-5k"] == "2B/fiqa-10k"

    def test_pretraining_stages_of_sequences_cost_seven_and_a_half_more(self) -> None:
        stages = {(one["experiment"], one["stage"]): one for one in parts("HW532")}
        finance = stages["3C/pretrain-to-finetune", "Finance pretrain"]
        maths = stages["3C/math-to-financial", "Math pretrain"]
        assert (finance["same_as"], finance["gpu_hours"]) == ("2B/mixed-financial-10k", pytest.approx(5.0))
        assert (maths["contained_in"], maths["gpu_hours"]) == ("2C/gsm8k", pytest.approx(2.5))
        assert finance["gpu_hours"] + maths["gpu_hours"] == pytest.approx(7.5)

    def test_all_stages_of_sequences(self) -> None:
        # imdb 2k twice, financial sentiment after imdb 2k, cola 2k: 4 x 1 h; openwebtext and maths 5k; finance 10k
        assert sum(one["gpu_hours"] for one in parts("HW532")) == pytest.approx(4 * 1.0 + 2 * 2.5 + 5.0)
        assert len(parts("HW532")) == 7

    def test_direct_fine_tuning_repeats_four_pretraining_runs(self) -> None:
        assert {one["experiment"]: one["same_as"] or one["contained_in"] for one in parts("HW533")} == {
            "3A/financial-qa": "2B/financial-qa-5k",
            "3A/twitter-sentiment": "2B/twitter-sentiment-5k",
            "3A/fiqa": "2B/fiqa-5k",
            "3A/gsm8k": "2C/gsm8k",
        }

    def test_the_three_findings_together_leave_each_course_once(self) -> None:
        plan = read_plan("plan.yaml", text=TAXONOMY).plan
        steps = [
            (stage.course, stage.steps.mid)
            for one in plan.experiments
            for stage in one.stages
            if stage.kind == "train" and stage.steps is not None
        ]
        longest = {course: max(length for other, length in steps if other == course) for course, _ in steps}
        saved = (sum(length for _, length in steps) - sum(longest.values())) / HOUR_STEPS
        found = sum(one["gpu_hours"] for code in ("HW531", "HW532", "HW533") for one in parts(code))
        assert found == pytest.approx(saved) == pytest.approx(99.0)

    def test_the_fix_says_reuse_and_ends_the_findings(self) -> None:
        text = after_fixes(TAXONOMY, "HW53")
        assert text.count("reuse: prefixes\n") == 1
        assert in_text(text, "HW53") == ()
        before, after = (read_plan("plan.yaml", text=one).plan for one in (TAXONOMY, text))
        assert after.fingerprint == before.fingerprint


PLAN = """headway: 1
model: Qwen/Qwen2-0.5B
datasets: {papers: {rows: 1M, length: 200}, news: {rows: 1M, length: 200}}
experiments:
  long: {data: papers, steps: 10k}
  short: {data: papers, steps: 5k, seed: 0}
run: {machine: RTX 4090}
"""


@pytest.mark.parametrize(
    "change",
    ["seed: 1", "learning_rate: 0.1", "max_length: 64", "batch: 4", "adapter: {rank: 4}", "model: gpt2",
     "params: {loss: other}", "validation: 1%", "precision: fp32"],
)  # fmt: skip
def test_a_difference_in_anything_but_length_is_another_course(change: str) -> None:
    assert in_text(PLAN.replace("seed: 0", change), "HW53") == ()


@pytest.mark.parametrize("change", ["seed: 0", "save: {every: 50 steps}", "stated: {step: 9 s}", "machine: RTX 4090"])
def test_circumstance_is_no_difference(change: str) -> None:
    plan = PLAN.replace("seed: 0", change).replace("run: {machine: RTX 4090}", RUN)
    assert only(in_text(plan, "HW53")).code == "HW531"


RUN = "run: {machine: RTX 4090, machines: {RTX 4090: {gpu: RTX 4090}, other: {gpu: A100 SXM 80GB}}}"


def test_epochs_are_scales_too() -> None:
    plan = PLAN.replace("steps: 10k", "epochs: 3").replace("steps: 5k", "epochs: 1")
    assert only(in_text(plan, "HW53")).evidence["rates"] == "predicted"


def test_a_plan_that_speaks_of_reuse_is_not_changed() -> None:
    plan = PLAN.replace("seed: 0", "reuse: none")
    assert only(in_text(plan, "HW53")).fix is None


def test_optional_runs_are_not_counted() -> None:
    plan = PLAN.replace("experiments:", "phases:").replace("seed: 0", "optional: true")
    assert in_text(plan, "HW53") == ()


def test_a_fresh_start_is_the_same_course_as_a_first_stage() -> None:
    chain = "{stages: [{data: news, steps: 1k, carry: fresh}, {data: papers, steps: 5k}]}"
    (finding,) = in_text(PLAN.replace("{data: papers, steps: 5k, seed: 0}", chain), "HW53")
    assert finding.code == "HW532"
