"""The figures of the four documents that headway started from, computed from the plans in `examples/`.

Each number is the documents' own arithmetic, exact where they rounded (10 min x 10 is 1.667 h, not 1.7).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from headway.app.load import load
from headway.domain.statement import Value
from headway.estimate.nouns import ExperimentEstimate, StageEstimate
from headway.report.answer import Answer, MachineAnswer, OptionAnswer

EXAMPLES = Path(__file__).parents[1] / "examples"
HOUR_S = 3600.0


@cache
def stated(name: str) -> Answer:
    return load(EXAMPLES / name / "plan.yaml").estimate(rates="stated", today="2026-11-21").answer


def option(answer: Answer, id: str, label: str = "") -> OptionAnswer:
    return next(item for item in answer.options if item.id == id and label in item.label)


def machine(answer: Answer, name: str) -> MachineAnswer:
    return next(item for item in answer.machines if item.name == name)


def only(answer: Answer) -> StageEstimate:
    experiment: ExperimentEstimate = answer.estimate.experiments[0]
    return experiment.stages[0]


class TestTaxonomy:
    """Documents 000 and 003: 63 experiments on one RTX 4090."""

    def test_experiments_as_enumerated(self) -> None:
        answer = stated("qwen2-taxonomy")
        assert len(answer.estimate.experiments) == 63
        counts = {phase.id: phase.experiments for phase in answer.estimate.phases}
        assert counts == {"1": 10, "2": 27, "2A": 9, "2B": 12, "2C": 6, "3": 26, "3A": 10, "3B": 10, "3C": 6}
        sequences = [item for item in answer.estimate.experiments if item.phase == "3C"]
        assert sum(len(item.stages) for item in sequences) == 17
        claim = next(c for c in answer.plan.claims if c.owner == "" and c.path == ("experiments",))
        assert isinstance(claim.values[0], Value)
        assert claim.values[0].mid == 72

    @pytest.mark.parametrize(
        ("phase", "hours"),
        [("1", 10 / 6), ("2A", 127.5), ("2B", 67.5), ("2C", 30.0), ("3A", 25.0), ("3B", 60.0), ("3C", 30.0),
         ("2", 225.0), ("3", 115.0)],
    )  # fmt: skip
    def test_hours_by_phase(self, phase: str, hours: float) -> None:
        found = next(item for item in stated("qwen2-taxonomy").estimate.phases if item.id == phase)
        assert found.gpu_s.p50 / HOUR_S == pytest.approx(hours)

    def test_total_with_baselines(self) -> None:
        estimate = stated("qwen2-taxonomy").estimate
        assert estimate.gpu_s.p50 / HOUR_S == pytest.approx(341 + 2 / 3)
        assert estimate.gpu_s.is_exact
        assert estimate.gpu_s.kind == "stated"

    @pytest.mark.parametrize(("steps", "hours"), [(5_000, 2.5), (10_000, 5.0), (25_000, 12.5), (50_000, 25.0)])
    def test_ladder(self, steps: int, hours: float) -> None:
        found = [item for item in stated("qwen2-taxonomy").estimate.experiments if item.steps == steps]
        assert found
        assert {round(item.terms_s["step"].p50 / HOUR_S, 6) for item in found} == {hours}

    def test_calendar(self) -> None:
        calendar = stated("qwen2-taxonomy").calendar
        assert calendar.days.p50 == pytest.approx(14.2361, abs=1e-4)
        assert calendar.working_days.p50 == pytest.approx(42.7083, abs=1e-4)
        assert calendar.hours_per_day == 8
        assert len(calendar.needs_resume) == 10  # three of 25 h, three of 12.5 h, four of 10 h

    def test_energy(self) -> None:
        energy = stated("qwen2-taxonomy").energy
        assert energy is not None
        assert energy.kwh is not None
        assert energy.usd is not None
        assert energy.kwh.p50 == pytest.approx(153.75)
        assert energy.usd.p50 == pytest.approx(23.0625)

    @pytest.mark.parametrize(
        ("name", "usd"),
        [("aws-v100", 1045.50), ("gcp-v100", 847.33), ("azure-v100", 1045.50), ("lambda-4090", 201.58)],
    )
    def test_provider_costs(self, name: str, usd: float) -> None:
        found = machine(stated("qwen2-taxonomy"), name)
        assert found.bill is not None
        time = next(line for line in found.bill.lines if line.name == "compute")
        assert time.usd is not None
        assert time.usd.p50 == pytest.approx(usd, abs=0.005)
        assert found.hours_transferred == (name == "lambda-4090")

    @pytest.mark.parametrize(("gpus", "hours"), [(1, 341.667), (2, 170.833), (4, 85.5), (8, 43.0)])
    def test_hours_on_more_gpus(self, gpus: int, hours: float) -> None:
        rung = next(item for item in stated("qwen2-taxonomy").schedules if item.gpus == gpus)
        assert rung.hours == pytest.approx(hours, abs=0.001)

    def test_floor(self) -> None:
        """The longest experiment: no number of GPUs gets below it."""
        answer = stated("qwen2-taxonomy")
        longest = max(item.wall_s.p50 for item in answer.estimate.experiments)
        assert longest / HOUR_S == pytest.approx(25.0)

    def test_options_on_more_gpus(self) -> None:
        answer = stated("qwen2-taxonomy")
        found = [item.rung.hours for item in answer.options if item.id == "parallel" and item.rung]
        assert found == pytest.approx([170.8333, 85.5, 43.0], abs=1e-3)

    def test_reduced_set(self) -> None:
        """Ten baselines, the six 2B runs of 10k steps, 50.0 h of fine-tuning."""
        found = option(stated("qwen2-taxonomy"), "fast-track")
        assert found.gpu_s.p50 / HOUR_S == pytest.approx(81 + 2 / 3)
        assert sum(name.startswith("1/") for name in found.members) == 10
        assert sorted(n for n in found.members if n.startswith("2B/")) == sorted(
            f"2B/{data}-10k"
            for data in (
                "financial-qa", "fiqa", "twitter-sentiment", "fingpt-sentiment", "finance-alpaca", "mixed-financial",
            )
        )  # fmt: skip
        tuned = [i for i in stated("qwen2-taxonomy").estimate.experiments if i.id in found.members and i.id[0] == "3"]
        assert sum(item.gpu_s.p50 for item in tuned) / HOUR_S == pytest.approx(50.0)
        assert len(tuned) == 10

    def test_savings_are_computed_on_the_plan(self) -> None:
        found = option(stated("qwen2-taxonomy"), "skip-50k")
        assert found.saves_gpu_s is not None
        assert found.saves_gpu_s.p50 / HOUR_S == pytest.approx(75.0)

    def test_what_nobody_stated_is_left_out_and_said(self) -> None:
        left_out = stated("qwen2-taxonomy").estimate.left_out
        assert "530" in left_out["evaluation"]
        assert "53" in left_out["evaluation"]

    def test_questions_by_phase(self) -> None:
        asks = {phase.id: phase.asks for phase in stated("qwen2-taxonomy").estimate.phases}
        assert asks["2A"] == "Does general pretraining help?"
        assert asks["3C"] == "Do sequential strategies help?"


class TestAddition:
    """Document 001: one LoRA run of Llama-7B on an A100."""

    def test_rows_part_by_part(self) -> None:
        dataset = next(d for d in stated("llama7b-addition").plan.datasets.values() if d.rows and d.rows.parts)
        assert dataset.rows is not None
        assert [part.mid for part in dataset.rows.parts.values()] == [120_000, 91_000, 55_000, 28_000, 10_000]
        assert dataset.rows.mid == 304_000

    def test_steps_and_saves(self) -> None:
        stage = only(stated("llama7b-addition"))
        assert stage.steps == 2375
        assert stage.saves is not None
        assert (stage.saves.during, stage.saves.final, stage.saves.kept) == (47, 1, 10)
        assert stage.basis is not None
        assert stage.basis.recipe.grad_accum == 8

    def test_scenarios(self) -> None:
        scenarios = {item.name: item for item in stated("llama7b-addition").estimate.scenarios}
        minutes = {name: item.terms_s["step"] / 60 for name, item in scenarios.items()}
        assert minutes == pytest.approx({"best": 31.667, "expected": 39.583, "worst": 47.5}, abs=1e-3)

    def test_terms(self) -> None:
        terms = stated("llama7b-addition").estimate.terms_s
        assert (terms["load"].p10, terms["load"].p90) == (47, 93)
        assert (terms["checkpoint"].p10, terms["checkpoint"].p90) == (235, 470)
        assert (terms["final_save"].p10, terms["final_save"].p90) == (60, 120)

    def test_total_is_a_range_of_the_sums(self) -> None:
        wall = stated("llama7b-addition").estimate.wall_s
        assert wall.p10 == pytest.approx(1900 + 47 + 235 + 60)
        assert wall.p50 == pytest.approx(2375 + 70 + 47 * 7.5 + 90)
        assert wall.p90 == pytest.approx(2850 + 93 + 470 + 120)

    def test_reference_disagrees(self) -> None:
        (check,) = stated("llama7b-addition").cross_checks
        assert check.rows_ratio == pytest.approx(3.04)
        assert check.wall_s.low / HOUR_S == pytest.approx(2.027, abs=1e-3)
        assert check.wall_s.high / HOUR_S == pytest.approx(3.04)
        assert not check.agrees
        assert check.apart == pytest.approx(check.wall_s.low / check.estimate_s.p90)

    def test_stated_step_is_impossible(self) -> None:
        finding = next(f for f in stated("llama7b-addition").findings if f.code == "HW201")
        low, _, high = finding.evidence["share_of_peak"]  # type: ignore[misc]
        assert low == pytest.approx(1.8, abs=0.1)
        assert high == pytest.approx(4.2, abs=0.2)
        assert finding.severity == "error"

    def test_factors_move_the_total(self) -> None:
        effects = {effect.name: effect for effect in stated("llama7b-addition").sensitivity}
        longer = effects["sequences over 300 tokens"]
        assert longer.unfavourable_s == pytest.approx(0.2 * 2375)
        assert effects["NVMe disk"].favourable_s == pytest.approx(-120)
        assert effects["step"].favourable_s == pytest.approx(1900 - 2375)
        assert effects["step"].unfavourable_s == pytest.approx(2850 - 2375)


class TestNode:
    """Document 002: an 8-GPU node for ten hours."""

    def test_gpu_hours_by_phase(self) -> None:
        hours = {item.id: item.gpu_s.p50 / HOUR_S for item in stated("kernelbook-node").estimate.phases}
        assert hours["data-prep"] == 0
        assert hours["sft"] == pytest.approx(8 / 3)
        assert hours["extensions"] == pytest.approx(4.0)
        assert hours["testing"] == pytest.approx(6.0)
        assert hours["validation"] == pytest.approx(2.0)

    def test_totals_and_buffer(self) -> None:
        estimate = stated("kernelbook-node").estimate
        assert estimate.subtotal_gpu_s.p50 / HOUR_S == pytest.approx(14.6667, abs=1e-4)
        assert estimate.gpu_s.p50 / HOUR_S == pytest.approx(19.0667, abs=1e-4)
        assert estimate.subtotal_wall_s.p50 / HOUR_S == pytest.approx(6.5833, abs=1e-4)
        assert estimate.wall_s.p50 / HOUR_S == pytest.approx(8.5583, abs=1e-4)

    def test_generation_and_funnel(self) -> None:
        testing = stated("kernelbook-node").estimate.experiment("testing")
        generate, verify = testing.stages
        assert generate.terms_s["generation"].p50 == pytest.approx(25 * 30)
        assert sum(part.p50 for part in verify.details["checks"].values()) == pytest.approx(200 * 16.1)

    def test_steps_with_a_last_partial_batch(self) -> None:
        stage = stated("kernelbook-node").estimate.experiment("sft").stages[0]
        assert stage.steps == 16
        assert stage.basis is not None
        assert stage.basis.batches.rows_per_step == 64
        assert stage.basis.batches.last_batch_rows == 40

    def test_billed_and_used(self) -> None:
        bill = stated("kernelbook-node").machines[0].bill
        assert bill is not None
        assert bill.running_gpu_s.p50 / HOUR_S == pytest.approx(68.4667, abs=1e-4)
        assert bill.billed_gpu_s is not None
        assert bill.billed_gpu_s.p50 / HOUR_S == 72
        assert bill.used_gpu_s.p50 / HOUR_S == pytest.approx(19.0667, abs=1e-4)
        assert bill.total_usd is not None
        assert bill.total_usd.p50 == pytest.approx(9 * 32.77)
        unrounded = sum(line.usd.p50 for line in bill.lines if line.usd is not None and line.name != "rounding")
        assert unrounded == pytest.approx(8.558333 * 32.77, abs=0.01)
        assert bill.usd_per_used_gpu_hour is not None
        assert bill.usd_per_used_gpu_hour.p50 == pytest.approx(9 * 32.77 / 19.066667, abs=1e-3)

    def test_keep_running_and_shut_down(self) -> None:
        bills = {item.name: item.bill for item in stated("kernelbook-node").node_scenarios}
        kept, stopped = bills["keep-running"].total_usd, bills["shut-down"].total_usd
        assert kept is not None
        assert stopped is not None
        assert stopped.p50 < kept.p50
        spot = bills["spot"].total_usd
        assert spot is not None
        assert spot.p10 < spot.p50 < spot.p90 < kept.p50

    def test_interruption(self) -> None:
        assert stated("kernelbook-node").interrupted["8 h"] == pytest.approx(1 - 0.95**8)

    def test_booking(self) -> None:
        booking = stated("kernelbook-node").booking
        assert booking is not None
        assert booking.instance == "p5.48xlarge"
        assert booking.gpus == 8
        assert booking.request == "on-demand"
        assert booking.duration_s.p50 / HOUR_S == pytest.approx(8.5583, abs=1e-4)

    def test_what_exists_is_used_and_the_words_are_kept(self) -> None:
        answer = stated("kernelbook-node")
        spec = answer.plan.run.machines[answer.plan.run.machine]
        assert spec.gpu is not None
        assert spec.gpu.stated_as == "H100 40GB"
        assert answer.machines[0].device == "H100 SXM 80GB"


class TestEpochs:
    """Document 004: epochs on a T4."""

    def test_epoch(self) -> None:
        table = stated("arc-t4").epochs
        assert table is not None
        assert table.epoch_s.p50 == pytest.approx(0.52134 * 3232)
        assert round(table.epoch_s.p50 / 60, 1) == 28.1

    def test_epochs_for_budgets(self) -> None:
        table = stated("arc-t4").epochs
        assert table is not None
        assert [(item.budget.text, item.epochs) for item in table.budgets] == [
            ("30 min", 1), ("1 h", 2), ("2 h", 4), ("4 h", 8),
        ]  # fmt: skip

    def test_grid(self) -> None:
        found = stated("arc-t4").grid
        assert found is not None
        assert found.epochs == (1, 5, 10)
        assert found.step_s == pytest.approx((0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 1.0))
        minutes = [[round(cell / 60, 1) for cell in row] for row in found.wall_s]
        assert minutes[0] == [10.8, 53.9, 107.7]
        assert minutes[-1] == [53.9, 269.3, 538.7]


@pytest.mark.parametrize("name", ["qwen2-taxonomy", "llama7b-addition", "kernelbook-node", "arc-t4"])
class TestEveryPlan:
    def test_prediction_stands_beside_the_stated_rates(self, name: str) -> None:
        answer = stated(name)
        assert answer.beside is not None
        assert answer.beside.rates == "predicted"
        assert answer.beside_ratio is not None
        assert answer.beside.gpu_s.p10 < answer.beside.gpu_s.p90

    def test_without_measurements_measured_says_so(self, name: str) -> None:
        answer = load(EXAMPLES / name / "plan.yaml").estimate(rates="measured", today="2026-11-21").answer
        assert any(finding.code == "HW001" for finding in answer.findings)
        assert "step" not in answer.estimate.terms_s

    def test_best_falls_back_to_predictions(self, name: str) -> None:
        best = load(EXAMPLES / name / "plan.yaml").estimate(rates="best", today="2026-11-21").answer.estimate
        predicted = load(EXAMPLES / name / "plan.yaml").estimate(rates="predicted", today="2026-11-21").answer.estimate
        assert best.gpu_s.p50 == predicted.gpu_s.p50

    def test_terms_add_up(self, name: str) -> None:
        estimate = stated(name).estimate
        for end in ("p10", "p50", "p90"):
            parts = sum(getattr(spread, end) for spread in estimate.terms_s.values())
            assert parts == pytest.approx(getattr(estimate.subtotal_wall_s, end))
            phases = sum(getattr(p.gpu_s, end) for p in estimate.phases if not p.parent and not p.optional)
            assert phases == pytest.approx(getattr(estimate.subtotal_gpu_s, end))


def test_shared_beginnings_of_the_taxonomy() -> None:
    """75.0 h of step scales, 14 h of chains and 10 h of repeats, counted by hand: 341.7 become 242.7."""
    project = load(EXAMPLES / "qwen2-taxonomy" / "plan.yaml", assume={"reuse": "prefixes"})
    found = project.estimate(rates="stated").answer
    assert found.estimate.gpu_s.p50 / 3600 == pytest.approx(341.6667 - 75.0 - 14.0 - 10.0, abs=1e-3)
    [remark] = [finding for finding in found.findings if finding.code == "HW004"]
    assert len(remark.evidence["taken"]) == 12 + 7 + 4
