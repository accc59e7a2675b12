"""Experimental design: the taxonomy's figures by hand, ranges of each rule, and what stays silent."""

from __future__ import annotations

from typing import Any

import pytest
from tests.check.found import EXAMPLES, after_fixes, in_example, in_text, only

from headway.check.contrast import contrasts
from headway.domain.errors import Finding, PlanError
from headway.domain.selection import select
from headway.plan import read_plan

TAXONOMY = (EXAMPLES / "qwen2-taxonomy" / "plan.yaml").read_text(encoding="utf-8")
HEAD = """headway: 1
model: Qwen/Qwen2-0.5B
stated: {step: 1 s}
run: {machine: RTX 4090}
"""


def taxonomy(code: str) -> Finding:
    return only(in_example("qwen2-taxonomy", code))


def evidence(code: str) -> Any:
    return taxonomy(code).evidence


class TestQuestions:
    def test_no_two_multi_task_runs_differ_in_their_mixture_alone(self) -> None:
        assert taxonomy("HW501").message.startswith("RQ2 asks along mix, and of its 10 runs no two differ")

    def test_steps_are_compared_with_all_else_equal(self) -> None:
        # RQ5 asks along steps, answered by all: 2A and 2B have such pairs, so only RQ2 is found
        plan = read_plan("plan.yaml", text=TAXONOMY).plan
        question = plan.questions["RQ5"]
        assert question.answered_by is not None
        picked = set(select(plan, question.answered_by))
        values = contrasts([one for one in plan.experiments if one.id in picked], "steps", plan)
        assert max(map(len, values)) == 3

    def test_a_mixture_in_two_ratios_is_a_contrast(self) -> None:
        plan = HEAD + (
            "datasets:\n  a: {rows: 1k, length: 20}\n  b: {rows: 1k, length: 20}\n"
            "  even: {mix: {a: 50%, b: 50%}}\n  other: {mix: {a: 80%, b: 20%}}\n"
            "matrix: {data: [even, other]}\nsteps: 100\n"
            "questions: {mix: {ask: Which mixture?, answered_by: all, along: mix}}\n"
        )
        assert in_text(plan, "HW501") == ()
        assert only(in_text(plan.replace("{a: 80%, b: 20%}", "{a: 100%}"), "HW501")).code == "HW501"

    @pytest.mark.parametrize("along", ["adapter.rank", "adapter"])
    def test_a_path_or_what_holds_it(self, along: str) -> None:
        plan = HEAD + (
            "data: {rows: 1k, length: 20}\nmatrix: {adapter.rank: [4, 8]}\n"
            f"questions: {{rank: {{ask: Which rank?, answered_by: all, along: {along}}}}}\n"
        )
        assert in_text(plan, "HW501") == ()

    def test_a_second_difference_is_no_contrast(self) -> None:
        plan = HEAD + (
            "datasets: {a: {rows: 1k, length: 20}}\ndata: a\nmatrix: [{steps: 10, seed: 1}, {steps: 20, seed: 2}]\n"
            "questions: {scale: {ask: More?, answered_by: all, along: steps}}\n"
        )
        assert only(in_text(plan, "HW501")).evidence["runs"] == 2

    def test_a_target_of_a_run_of_the_plan_needs_no_reference(self) -> None:
        plan = HEAD + (
            "phases: {small: {data: {rows: 1k, length: 20}, steps: 9}, large: {data: small, steps: 99}}\n"
            "questions: {near: {ask: Enough?, answered_by: small, target: 80% of large}}\n"
        ).replace("data: small", "data: {rows: 2k, length: 20}")
        assert in_text(plan, "HW502") == ()

    def test_general_pretraining_and_direct_fine_tuning_answer_nothing(self) -> None:
        assert evidence("HW503")["gpu_hours"] == {"2A": pytest.approx(127.5), "3A": pytest.approx(25.0)}
        assert "2A General Pretraining (127.5 h, 37.3 %)" in taxonomy("HW503").message

    def test_a_question_to_all_runs_leaves_none_out(self) -> None:
        plan = HEAD + "data: {rows: 1k, length: 20}\nquestions: {q: {ask: Is it good?, answered_by: all}}\n"
        assert in_text(plan, "HW503") == ()

    def test_one_of_27_pretrained_models_is_fine_tuned(self) -> None:
        assert evidence("HW505")["continued"] == ["2B/mixed-financial-10k"]
        assert len(evidence("HW505")["not_continued"]) == 26


class TestDecisions:
    def test_260_hours_remain(self) -> None:
        assert evidence("HW512")["done_gpu_hours"] == pytest.approx(10 / 6 + 30 + 50)
        assert evidence("HW512")["remaining_gpu_hours"] == pytest.approx(260.0)

    def test_the_fix_claims_what_remains(self) -> None:
        text = after_fixes(TAXONOMY, "HW512")
        assert "then: {keep: all, claims: {gpu_hours: 260}}" in text
        assert in_text(text, "HW512") == ()

    def test_a_criterion_of_the_plans_own_is_a_remark(self) -> None:
        assert taxonomy("HW511").severity == "info"


class TestEvaluation:
    def test_trained_without_a_baseline(self) -> None:
        assert evidence("HW521")["without"] == ["cola", "mrpc", "fiqa"]
        assert len(evidence("HW521")["with"]) == 7

    def test_a_study_without_any_baseline(self) -> None:
        plan = HEAD + (
            "datasets: {a: {rows: 1k, length: 20}}\ntasks: {a: {}}\ndata: a\nevaluate: a\n"
            "questions: {gain: {ask: Does it help?, answered_by: all}}\n"
        )
        assert only(in_text(plan, "HW521")).evidence["baselines"] == 0

    def test_classes_are_not_scored_by_overlap(self) -> None:
        assert evidence("HW523")["tasks"] == {"IMDB Sentiment": 2, "GLUE SST-2": 2}
        assert evidence("HW523")["unfit"] == ["bleu", "rouge", "perplexity"]
        assert "only exact_match can" in taxonomy("HW523").message

    @pytest.mark.parametrize("metric", ["accuracy", "F1", "rouge-l", "pass@1", "exact_match", "mcc", "perplexity"])
    def test_known_metrics_are_defined(self, metric: str) -> None:
        assert in_text(HEAD + TASK.replace("METRICS", f"[{metric}]"), "HW524") == ()

    def test_a_metric_defined_elsewhere_is_defined(self) -> None:
        assert in_text(HEAD + TASK.replace("METRICS", "[transfer_rate], from: metrics.py"), "HW524") == ()


TASK = "datasets: {a: {rows: 1k, length: 20}}\ntasks: {a: {metrics: METRICS}}\ndata: a\nevaluate: a\n"


class TestData:
    def test_training_on_benchmarks(self) -> None:
        found = {finding.where.line: finding for finding in in_example("qwen2-taxonomy", "HW541")}
        severities = {str(one.evidence["runs"]): one.severity for one in found.values()}
        # BigCodeBench is scored by Code Generation; alone, in Math+Code and in Cross-domain
        assert severities == {
            "['2C/bigcodebench', '2C/math-code', '3B/cross-domain-15k']": "error",
            "['2C/mmlu-pro', '3B/instruction-following-10k', '3B/advanced-reasoning-15k']": "warning",
        }

    @pytest.mark.parametrize("name", ["humaneval", "cais/mmlu", "TruthfulQA"])
    def test_a_benchmark_is_known_by_its_name(self, name: str) -> None:
        plan = HEAD + f"datasets: {{a: {{from: {name}, rows: 164, length: 20}}}}\ndata: a\nsteps: 9\n"
        assert only(in_text(plan, "HW541")).severity == "warning"
        assert in_text(plan.replace(name, "my-own-data"), "HW541") == ()

    def test_epochs_by_hand(self) -> None:
        # steps x 8 rows / rows; a mixture gives its share of the rows
        assert evidence("HW543")["epochs"] == {
            "bigcodebench": pytest.approx(10_000 * 8 / 1140),
            "mrpc": pytest.approx(5000 * 8 / 3668),
            "gsm8k": pytest.approx(10_000 * 8 / 7473),
            "mmlu-pro": pytest.approx(10_000 * 8 / 12032),
            "cola": pytest.approx(5000 * 8 / 8551),
        }

    def test_rows_of_the_catalog_where_the_plan_has_none(self) -> None:
        plan = HEAD + "datasets: {mrpc: {length: 20}}\ndata: mrpc\nsteps: 20k\nmicro_batch: 8\n"
        assert only(in_text(plan, "HW543")).evidence["epochs"] == {"mrpc": pytest.approx(20_000 * 8 / 3668)}

    @pytest.mark.parametrize(("steps", "found"), [(500, 0), (501, 1)])
    def test_four_epochs_are_the_limit(self, steps: int, found: int) -> None:
        plan = HEAD + f"data: {{rows: 1k, length: 20}}\nmicro_batch: 8\nsteps: {steps}\n"
        assert len(in_text(plan, "HW543")) == found

    def test_epochs_that_are_said_are_not_hidden(self) -> None:
        assert in_text(HEAD + "data: {rows: 1k, length: 20}\nepochs: 10\n", "HW543") == ()

    def test_nothing_is_said_of_padding_where_only_a_mean_is_known(self) -> None:
        plan = HEAD + "data: {rows: 1k, length: 120}\nmicro_batch: 8\nmax_length: 512\n"
        assert in_text(plan, "HW544", "HW545") == ()

    def test_a_mean_over_max_length_truncates_whatever_the_spread(self) -> None:
        plan = HEAD + "data: {rows: 1k, length: 600}\nmax_length: 512\n"
        assert only(in_text(plan, "HW544")).severity == "warning"

    @pytest.mark.parametrize("name", ["qwen2-taxonomy", "kernelbook-node"])
    def test_lengths_that_nobody_measured(self, name: str) -> None:
        assert only(in_example(name, "HW546")).severity == "info"

    def test_mixtures_that_do_not_add_up_are_refused_by_the_reader(self) -> None:
        with pytest.raises(PlanError, match="add up to 100 %"):
            read_plan("plan.yaml", text=TAXONOMY.replace("wikitext: 30%", "wikitext: 20%")).plan  # noqa: B018


class TestReplicates:
    def test_two_more_seeds_cost_twice_the_training(self) -> None:
        # 341.7 h less ten baselines of 10 minutes, twice
        assert evidence("HW551")["gpu_hours_of_two_more_seeds"] == pytest.approx(2 * 340.0)
        assert evidence("HW551")["arms"] == 53

    def test_one_run_compares_nothing(self) -> None:
        plan = HEAD + "data: {rows: 1k, length: 20}\nquestions: {q: {ask: Is it good?, answered_by: all}}\n"
        assert in_text(plan, "HW551") == ()

    def test_seeds_beside_another_difference_are_no_repeats(self) -> None:
        plan = HEAD + (
            "datasets: {a: {rows: 1k, length: 20}}\ndata: a\nmatrix: [{steps: 10, seed: 1}, {steps: 20, seed: 2}]\n"
            "questions: {scale: {ask: More?, answered_by: all}}\n"
        )
        assert only(in_text(plan, "HW551")).code == "HW551"

    def test_bands_of_epochs_overlap(self) -> None:
        finding = only(in_example("arc-t4", "HW552"))
        assert "moderate (4-8 epochs) and diminishing (5-8 epochs) overlap" in finding.message
