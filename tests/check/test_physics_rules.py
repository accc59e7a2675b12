"""Rates, methods, watts and samples: figures by hand, and what has to stay silent."""

from __future__ import annotations

import math

import pytest

from headway.app.load import Project
from headway.check.registry import RULES
from headway.check.rules.samples import needed, standard_error_s
from headway.domain.errors import Finding
from headway.domain.statement import Value
from headway.domain.units import Range
from headway.plan import read_plan

BASE = """headway: 1
model: Qwen/Qwen2-0.5B
data: {rows: 10k, length: 1024}
micro_batch: 8
"""


def found(keys: str, *codes: str) -> tuple[Finding, ...]:
    project = Project(read_plan("plan.yaml", text=BASE + keys))
    return project.check(select=codes or ("HW2",), today="2026-11-21").findings


def share_of_peak(step_s: float) -> float:
    """6 x parameters x tokens and causal attention, over the time and 312 TFLOP/s: a second way to the share."""
    parameters, attention = 494e6, 6 * 24 * 896 * 1024  # 12 x layers x width x length, halved by causality
    return (6 * parameters + attention) * 8 * 1024 / step_s / 312e12


@pytest.mark.parametrize("step", [0.05, 0.1, 0.12, 0.2, 0.4, 2.0, 4.0])
def test_a_step_is_impossible_doubtful_fine_or_idle_and_only_one_of_them(step: float) -> None:
    codes = {finding.code for finding in found(f"run: {{machine: A100 SXM 80GB}}\nstated: {{step: {step} s}}\n")}
    share = share_of_peak(step)
    expected = "HW201" if share > 1 else "HW202" if share > 0.6 else "HW203" if share < 0.03 else None
    assert codes & {"HW201", "HW202", "HW203"} == ({expected} if expected else set())
    assert "HW204" not in codes or not codes & {"HW201", "HW203"}, "impossible, or idle, is enough"


def test_a_range_that_touches_the_prediction_is_left_alone() -> None:
    assert not found("run: {machine: A100 SXM 80GB}\nstated: {step: 0.3-9 s}\n", "HW204")


def test_a_step_of_one_pass_is_recognised() -> None:
    text = BASE.replace("1024", "128").replace("micro_batch: 8", "micro_batch: 1\ngrad_accum: 16")
    text += "run: {machine: A100 SXM 80GB}\n"
    plan = Project(read_plan("plan.yaml", text=text))
    basis = plan.estimate(rates="predicted", sensitivity=False).estimate.experiments[0].stages[0].basis
    assert basis is not None
    one_pass_s = basis.step_s.p50 / 16
    stated = Project(read_plan("plan.yaml", text=f"{text}stated: {{step: {one_pass_s:.4f} s}}\n"))
    (finding,) = stated.check(select=("HW204",)).findings
    assert "one pass, and an optimizer step has 16" in finding.message
    assert finding.evidence["times"] == pytest.approx(1 / 16, rel=0.01)


def test_a_plan_without_rates_hears_nothing() -> None:
    assert found("run: {machine: A100 SXM 80GB}\n") == ()


@pytest.mark.parametrize(
    "factors",
    [
        "loading the LoRA adapter: 1 min more",  # not about a step
        "NVMe disk: 10-20% faster",  # not about a method
        "LoRA against full fine-tuning: 5-25% slower",  # as predicted
        "LoRA: {stated_as: slower on small models, use: unknown}",
    ],
)
def test_a_factor_that_agrees_or_is_about_something_else_is_left_alone(factors: str) -> None:
    keys = f"adapter: {{method: lora, rank: 4}}\nrun: {{machine: RTX 4090}}\nstated: {{factors: {{{factors}}}}}\n"
    assert not found(keys, "HW205")


@pytest.mark.parametrize("says", ["LoRA is parameter-efficient.", "Quantized weights save memory."])
def test_words_that_are_not_about_speed_are_left_alone(says: str) -> None:
    keys = f"quantize: nf4\nadapter: {{method: lora}}\nrun: {{machine: RTX 4090}}\nclaims: {{says: [{says}]}}\n"
    assert not found(keys, "HW205")


def test_energy_by_the_limit_is_limit_times_hours() -> None:
    keys = "run: {machine: {gpu: RTX 4090, power: 450 W}}\nstated: {step: 3.6 s}\n"
    (finding,) = found(keys, "HW207")
    assert finding.evidence["kwh"] == pytest.approx(450 * 1250 * 3.6 / 3.6e6)  # 1,250 steps


@pytest.mark.parametrize("power", ["320 W", "{average: 320 W}", "{wall: 450 W}", "{board_limit: 450 W}"])
def test_a_wattage_that_says_what_it_is_is_left_alone(power: str) -> None:
    assert not found(f"run: {{machine: {{gpu: RTX 4090, power: {power}}}}}\n", "HW207", "HW208")


def test_the_standard_error_of_document_004() -> None:
    """35.21 ms over the root of 500 is 1.57 ms; one percent of 521.34 ms takes 46 batches."""
    sample = Value(range=Range.point(0.52134), unit="s", statistics={"mean": 0.52134, "sd": 0.03521, "n": 500})
    assert standard_error_s(sample) == pytest.approx(0.03521 / math.sqrt(500))
    assert standard_error_s(sample) == pytest.approx(1.57e-3, abs=5e-6)
    assert needed(sample) == 46


@pytest.mark.parametrize("length", ["512", "{mean: 250, max: 480}", "{use: 200-300, source: tokenizer}", "240-260"])
def test_lengths_that_were_counted_or_hardly_differ_are_left_alone(length: str) -> None:
    text = BASE.replace("length: 1024", f"length: {length}") + "run: {machine: A100 SXM 80GB}\n"
    assert not Project(read_plan("plan.yaml", text=text)).check(select=("HW209",)).findings


def test_ends_that_read_alike_are_said_once() -> None:
    """26.4 TFLOP over 312 TFLOP/s is 84.7 ms."""
    (point,), (range_,) = (found(f"run: {{machine: A100 SXM 80GB}}\nstated: {{step: {step}}}\n", "HW201")
                           for step in ("20 ms", "20-30 ms"))  # fmt: skip
    assert "is 4.24 x the dense peak" in point.message
    assert "is 2.83 to 4.24 x the dense peak" in range_.message


def test_an_adapter_is_spoken_of_where_it_is_slower_and_a_choice() -> None:
    rule = RULES["HW206"]

    def codes(text: str) -> list[str]:
        return [one.code for one in Project(read_plan("plan.yaml", text=text)).check(select=("HW206",)).findings]

    assert codes(rule.fails) == ["HW206"]
    assert codes(rule.fails.replace("A100 SXM 80GB", "T4")) == [], "all weights would not fit"
    assert codes(rule.passes) == [], "faster"
