"""Where doubt enters, how it adds up, and that the same seed gives the same figures."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.estimate.made import estimated, plan, setting, stage

from headway.domain.measurement import MeasuredMemory, Measurement, StepDoubt
from headway.domain.plan import Plan
from headway.domain.spread import total
from headway.domain.units import Range
from headway.estimate.questions.sensitivity import effects
from headway.predict.peak.basis import LEFT_OUT
from headway.predict.peak.measured import RUN_OVER_PROBE
from headway.predict.pilot import reach

TWO = {"phases": {"a": {"matrix": {"steps": [100, 200]}}, "b": {"steps": 300}}}


def test_totals_are_sums_draw_by_draw() -> None:
    made = estimated(plan(**TWO))
    whole = made.wall_s.draws
    assert whole is not None
    parts = sum(np.asarray(item.wall_s.draws) for item in made.experiments)
    assert np.allclose(whole, parts)
    by_term = sum(np.broadcast_to(s.p50 if s.draws is None else s.draws, whole.shape) for s in made.terms_s.values())
    assert np.allclose(whole, by_term)


def test_step_terms_add_up_to_the_step() -> None:
    basis = stage().basis
    assert basis is not None
    assert np.allclose(np.asarray(total(basis.step_terms_s.values()).draws), np.asarray(basis.step_s.draws))


def test_memory_terms_add_up_to_the_peak() -> None:
    basis = stage().basis
    assert basis is not None
    assert total(basis.memory_terms_bytes.values()).p50 == pytest.approx(basis.peak_memory_bytes.p50, rel=1e-6)


def test_shared_doubt_does_not_average_out() -> None:
    """Ten equal runs are as uncertain, relatively, as one: what is unknown of the machine is unknown for all."""
    one, ten = estimated(plan(steps=100)), estimated(plan(matrix={"seed": list(range(10))}, steps=100))
    assert ten.wall_s.p90 / ten.wall_s.p10 == pytest.approx(one.wall_s.p90 / one.wall_s.p10, rel=1e-6)


def test_same_seed_same_figures_other_seed_nearly_the_same() -> None:
    first, again = estimated(plan(steps=100)), estimated(plan(steps=100))
    other = estimated(plan(steps=100), seed=1)
    assert first.wall_s.p90 == again.wall_s.p90
    assert first.wall_s.p90 != other.wall_s.p90
    assert first.wall_s.p50 == pytest.approx(other.wall_s.p50, rel=0.1)


def test_a_wider_length_range_gives_a_wider_estimate() -> None:
    def reach(length: str) -> float:
        wall = estimated(plan(max_length=None, data={"rows": 1000, "length": length})).wall_s
        return wall.p90 / wall.p10

    assert reach("100-900") > reach("400-600")


def test_stated_ranges_add_end_by_end() -> None:
    rates = {"step": "1-2-4 s", "load": {"model": "10-20 s", "data": "5 s"}}
    found = estimated(plan(steps=10, stated=rates), "stated")
    assert (found.wall_s.p10, found.wall_s.p50, found.wall_s.p90) == (25, 40, 65)
    assert [item.wall_s for item in found.scenarios] == [25, 40, 65]


def test_throughput_gives_the_step_where_none_is_stated() -> None:
    """2,000 steps an hour are 1.8 s; the fast end of a range is the short end of the time."""
    found = stage("stated", steps=10, stated={"throughput": "1800-2000 steps/h"})
    step = found.terms_s["step"]
    assert step.p10 == pytest.approx(18.0)
    assert step.p90 == pytest.approx(20.0)
    samples = stage("stated", steps=10, stated={"throughput": "16 samples/s"})
    assert samples.terms_s["step"].p50 == pytest.approx(5.0)  # batches of 8


def test_a_time_stated_for_a_phase_is_shared_by_its_experiments() -> None:
    phases = {"a": {"matrix": {"steps": [100, 200]}, "stated": {"wall": "3 h"}}}
    found = estimated(plan(phases=phases), "stated")
    assert found.wall_s.p50 == pytest.approx(3 * 3600)
    assert [item.wall_s.p50 for item in found.experiments] == [5400, 5400]
    assert found.left_out == {}


def test_buffer_is_on_top_of_the_subtotal() -> None:
    found = estimated(plan(steps=10, stated={"step": "1 s"}, run={"machine": "T4", "buffer": "30%"}), "stated")
    assert found.subtotal_wall_s.p50 == pytest.approx(10)
    assert found.wall_s.p50 == pytest.approx(13)


def test_a_measured_step_replaces_the_prediction_and_says_so() -> None:
    made = plan(steps=100)
    measured = Measurement(
        stage=made.experiments[0].stages[0].pace,
        device="RTX 4090",
        gpus=1,
        term="step",
        seconds=Range(0.9, 1.0, 1.1),
        repeats=50,
        source="a probe",
    )
    step = estimated(made, "best", measurements=[measured]).terms_s["step"]
    assert step.kind == "measured"
    assert step.p50 == pytest.approx(100, rel=0.01)
    assert estimated(made, "predicted").terms_s["step"].kind == "predicted"
    alone = estimated(made, "measured", measurements=[measured])
    assert set(alone.terms_s) == {"step"}


@pytest.mark.parametrize("steps", [3, 100, 100_000])
def test_the_doubt_of_a_measured_step_is_that_of_the_run_it_is_for(steps: int) -> None:
    """Not that of the run in mind when it was measured: a plan's steps may change afterwards."""
    made = plan(steps=steps)
    doubt = StepDoubt(steps=50, noise=0.2, wander=0.03)
    item = replace(measured_step(made, None), seconds=Range(0.9, 1.0, 1.1), doubt=doubt)
    step = estimated(made, "best", measurements=[item]).terms_s["step"]
    assert step.p50 == pytest.approx(steps, rel=0.02)
    assert math.log(step.p90 / step.p10) / 2 == pytest.approx(reach(doubt, steps), rel=0.05)


def measured_step(made: Plan, memory: MeasuredMemory | None) -> Measurement:
    return Measurement(
        stage=made.experiments[0].stages[0].pace, device="RTX 4090", gpus=1, term="step",
        seconds=Range.point(1.0), repeats=50, source="a probe", date="2026-11-21", memory=memory,
    )  # fmt: skip


GIB = 2.0**30


@pytest.mark.parametrize("peak_bytes", [0.3 * GIB, 3 * GIB, 15 * GIB])
@pytest.mark.parametrize("seen_by", ["allocated", "device"])
def test_a_measured_peak_replaces_the_predicted_one(peak_bytes: float, seen_by: Literal["allocated", "device"]) -> None:
    """What the probe saw is there exactly; what it did not see (context, allocator) is added as predicted."""
    made = plan(steps=100)
    before = estimated(made).experiments[0].stages[0].basis
    memory = MeasuredMemory(peak_bytes=peak_bytes, seen_by=seen_by, source="a probe")
    item = estimated(made, "best", measurements=[measured_step(made, memory)]).experiments[0]
    after = item.stages[0].basis
    assert before is not None
    assert after is not None
    assert (before.peak_memory_bytes.kind, after.peak_memory_bytes.kind) == ("predicted", "measured")
    assert after.peak_memory_bytes.source == "a probe"
    for name in LEFT_OUT[seen_by]:
        assert np.allclose(after.memory_terms_bytes[name].drawn(400), before.memory_terms_bytes[name].drawn(400))
    unseen = sum((after.memory_terms_bytes[name].drawn(400) for name in LEFT_OUT[seen_by]), np.zeros(400))
    saw = np.median(after.peak_memory_bytes.drawn(400) - unseen)
    assert saw == pytest.approx(RUN_OVER_PROBE[seen_by].mid * peak_bytes, rel=0.01)
    sums = total(after.memory_terms_bytes.values())
    assert sums.p50 == pytest.approx(after.peak_memory_bytes.p50, rel=1e-6)
    assert min(spread.p10 for spread in after.memory_terms_bytes.values()) >= 0
    weights = [basis.memory_terms_bytes["weights"].p50 for basis in (before, after)]
    assert weights[1] == pytest.approx(min(weights[0], peak_bytes), rel=0.25 if peak_bytes < GIB else 1e-6)
    assert item.fits == "yes"
    assert item.peak_memory_bytes == after.peak_memory_bytes


def test_a_peak_of_shorter_rows_says_nothing_of_the_longest() -> None:
    made = plan(steps=100)
    short, long = (
        estimated(made, "best", measurements=[measured_step(made, memory)]).experiments[0].peak_memory_bytes
        for memory in (
            MeasuredMemory(peak_bytes=GIB, seen_by="device", longest_tokens=60),
            MeasuredMemory(peak_bytes=GIB, seen_by="device", longest_tokens=128),
        )
    )
    assert short is not None
    assert long is not None
    assert (short.kind, long.kind) == ("predicted", "measured")


def test_what_ran_at_the_limit_is_not_sure_to_run_again() -> None:
    """The probe fitted, whatever was counted; a run may need a little more than the probe did."""
    made = plan(steps=100)
    found = {}
    for share in (0.5, 0.97, 1.0, 1.3):
        memory = MeasuredMemory(peak_bytes=share * 24e9, seen_by="device", usable_bytes=24e9)
        basis = estimated(made, "best", measurements=[measured_step(made, memory)]).experiments[0].stages[0].basis
        assert basis is not None
        found[share] = (basis.fits, basis.fits_probability)
    assert found[0.5] == ("yes", 1.0)
    assert found[0.97][0] == "uncertain"
    assert 0.5 < found[0.97][1] < 0.9
    assert 0.4 < found[1.0][1] < 0.6  # half of the runs need more than their probe
    assert found[1.3] == ("uncertain", 0.5)  # it did run


def test_one_measured_step_moves_and_narrows_the_predictions_of_others() -> None:
    made = plan(matrix={"max_length": [64, 128]}, data={"rows": 1000, "length": 60})
    first, other = (item.stages[0] for item in made.experiments)
    before = estimated(made).experiments[1].stages[0]
    assert before.basis is not None
    slow = 2 * estimated(made).experiments[0].stages[0].basis.step_s.p50
    measured = Measurement(
        stage=first.pace, device="RTX 4090", gpus=1, term="step",
        seconds=Range.point(slow), repeats=50, source="a probe",
    )  # fmt: skip
    after = estimated(made, measurements=[measured]).experiments[1].stages[0]
    assert other.pace != first.pace
    assert after.basis is not None
    assert 1.5 < after.basis.step_s.p50 / before.basis.step_s.p50 < 2.2
    assert after.basis.step_s.p90 / after.basis.step_s.p10 < before.basis.step_s.p90 / before.basis.step_s.p10
    assert (before.basis.tier, after.basis.tier) == ("same device", "measured")
    assert "your own runs" in after.basis.evidence


def test_the_framework_decides_which_measurements_speak() -> None:
    machine = {"machine": "H100 SXM 80GB"}
    tiers = {name: stage(run={**machine, "framework": name}).basis for name in ("torchtitan", "unsloth", "my loop")}
    assert stage(run=machine).basis.tier == "same device"
    assert tiers["torchtitan"].tier == "measured"
    assert "pytorch/torchtitan" in tiers["torchtitan"].evidence
    assert "huggingface family" in tiers["unsloth"].evidence
    assert "plain family" in tiers["my loop"].evidence


def test_eight_bit_products_are_in_more_doubt_than_the_rest() -> None:
    """No published step of LLM.int8 is clean: its rate is a prior, 0.035 to 0.3 of the matrix rate."""
    big = {"model": "huggyllama/llama-7b", "micro_batch": 16, "max_length": None, "data": {"rows": 1000, "length": 512}}

    def reach(quantize: str) -> float:
        step = stage(**big, quantize=quantize).basis.step_s
        return step.p90 / step.p10

    assert reach("int8") > 1.3 * reach("nf4")


def test_an_adapter_that_saves_no_time_is_said_to() -> None:
    small = stage(micro_batch=1).basis
    assert any("saves memory, not time" in warning for warning in small.warnings)
    assert not stage(adapter=None).basis.warnings
    wide = {"model": "huggyllama/llama-7b", "max_length": 2048, "data": {"rows": 1000, "length": 2048}}
    quick = stage(**wide, adapter={"method": "lora", "rank": 8, "targets": ["q", "v"]}).basis
    assert not quick.warnings


def test_evaluation_checkpoints_and_load_are_terms_of_their_own() -> None:
    found = estimated(
        plan(
            steps=100,
            save={"every": "10 steps"},
            datasets={"rows": {"rows": 1000, "length": 100}, "quiz": {"rows": 200, "length": 60, "split": "test"}},
            data="rows",
            tasks={"quiz": {}},
            evaluate="all",
        )
    )
    assert {"load", "step", "checkpoint", "final_save", "evaluation", "tokenize", "data_wait"} <= set(found.terms_s)
    assert all(spread.p50 > 0 for spread in found.terms_s.values())


def test_sensitivity_of_stated_ranges_is_their_own_width() -> None:
    used = setting(plan(steps=10, stated={"step": "1-2-4 s", "factors": {"cold disk": "10-20 s more"}}), "stated")
    from headway.estimate.assemble import assemble
    from headway.estimate.predicted import Predictor

    made = assemble(used, Predictor(used))
    found = {effect.name: effect for effect in effects(used, made)}
    assert (found["step"].favourable_s, found["step"].unfavourable_s) == (-10, 20)
    assert found["cold disk"].unfavourable_s == 20
    assert found["cold disk"].favourable_s == 0


@settings(max_examples=12)
@given(st.integers(1, 400), st.integers(1, 400))
def test_more_steps_never_take_less_time(fewer: int, more: int) -> None:
    low, high = sorted((fewer, more))
    assert estimated(plan(steps=low)).wall_s.p50 <= estimated(plan(steps=high)).wall_s.p50


SCALES = {"matrix": {"steps": [100, 250, 500]}, "data": {"rows": 100000, "length": 100}}


def test_shared_beginnings_are_trained_once() -> None:
    """100 and 250 steps are checkpoints of 500: one training is left, and what stands around the others."""
    apart, together = estimated(plan(**SCALES)), estimated(plan(**SCALES, reuse="prefixes"))
    longest = apart.experiments[2]
    assert [stage.trained_in for item in together.experiments for stage in item.stages] == [longest.id, longest.id, ""]
    assert together.terms_s["step"].p50 == pytest.approx(longest.terms_s["step"].p50)
    assert together.terms_s["load"].p50 == pytest.approx(apart.terms_s["load"].p50)
    other_seed = estimated(plan(matrix={"steps": [100, 250], "seed": [0, 1]}, reuse="prefixes"))
    assert sum("step" in item.terms_s for item in other_seed.experiments) == 2  # one for each seed


def test_what_is_optional_lends_no_checkpoint() -> None:
    phases = {"long": {"steps": 500, "optional": True}, "short": {"steps": 100}}
    made = estimated(plan(phases=phases, reuse="prefixes"))
    assert all("step" in item.terms_s for item in made.experiments)
