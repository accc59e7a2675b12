"""Keys of a plan that change an estimate do change it, and in the right direction; impossible ones are named."""

from __future__ import annotations

from typing import Any

import pytest

import headway as hw
from headway.domain.errors import UserError
from headway.estimate.nouns import StageEstimate
from headway.report.answer import Answer

PLAN: dict[str, Any] = {
    "headway": 1,
    "model": "Qwen/Qwen2-0.5B",
    "adapter": {"method": "lora", "rank": 4},
    "data": {"rows": 1000, "length": {"mean": 100, "min": 100, "max": 100}},
    "max_length": 128,
    "micro_batch": 8,
    "run": {"machine": {"gpu": "RTX 4090", "price": "$1/h"}},
}


def answer(assume: dict[str, Any] | None = None, **changes: Any) -> Answer:
    merged = {key: value for key, value in {**PLAN, **changes}.items() if value is not None}
    found: Answer = hw.load(merged, assume=assume).estimate(today="2026-11-21").answer
    return found


def stage(**changes: Any) -> StageEstimate:
    return answer(**changes).estimate.experiments[0].stages[0]


def test_assumed_utilisation_replaces_the_model_of_a_step() -> None:
    """2.07 TFLOP x 100/128 of tokens, at 10 % of 165.2 TFLOP/s."""
    found = stage(assume={"mfu": "10%"})
    assert found.basis is not None
    flop = found.basis.useful_flop.mid
    assert found.terms_s["step"].p50 == pytest.approx(125 * flop / (0.1 * 165.2e12), rel=1e-3)
    assert list(found.basis.step_terms_s) == ["at the assumed utilisation"]


def test_priors_can_be_assumed_otherwise_in_the_plan_or_by_flag() -> None:
    usual = stage().terms_s["data_wait"].p50
    doubled = stage(assume={"data_wait_share": "20%"})
    assert doubled.terms_s["data_wait"].p50 == pytest.approx(0.2 * doubled.terms_s["step"].p50, rel=0.05)
    assert doubled.terms_s["data_wait"].p50 > usual
    in_plan = hw.load({**PLAN, "assume": {"data_wait_share": "20%"}})
    assert in_plan.estimate().estimate.terms_s["data_wait"].p50 == pytest.approx(doubled.terms_s["data_wait"].p50)


def test_what_is_no_prior_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match="names one of headway's priors") as caught:
        hw.load({**PLAN, "assume": {"data_wait": "20%"}}).estimate()
    assert "data_wait_share" in caught.value.candidates


def test_a_dataset_by_its_tokens() -> None:
    """1M tokens in rows of 100: 10,000 rows, 1,250 steps of 8; without a row length, by the tokens in a batch."""
    assert stage(data={"tokens": "1M", "length": {"mean": 100, "min": 100, "max": 100}}).steps == 1250
    unknown = stage(data={"tokens": "1M"}, pack=True)
    assert unknown.steps == pytest.approx(1e6 / (8 * 128), rel=0.05)


def test_tasks_take_as_long_as_their_rows() -> None:
    def evaluation(rows: int, **more: Any) -> float:
        data = {"train": PLAN["data"], "quiz": {"rows": rows, "length": {"mean": 50, "min": 50, "max": 50}}}
        made = stage(data="train", datasets=data, tasks={"quiz": {**more.pop("task", {})}}, evaluate="all", **more)
        return made.terms_s["evaluation"].p50

    assert evaluation(8000) == pytest.approx(8 * evaluation(1000), rel=0.01)
    assert evaluation(1000, task={"shots": 1}) > evaluation(1000)


def test_spread_of_row_lengths_matters_for_padding() -> None:
    wide = stage(data={"rows": 1000, "length": {"mean": 60, "sd": 20}})
    narrow = stage(data={"rows": 1000, "length": {"mean": 60, "sd": 0}})
    assert wide.tokens is not None
    assert narrow.tokens is not None
    assert narrow.tokens.p50 == pytest.approx(60_000)
    assert wide.tokens.p50 > 1.2 * narrow.tokens.p50


def test_what_is_taken_of_row_lengths_and_states_is_said() -> None:
    found = stage(adapter=None, data={"rows": 1000, "length": 100}).basis
    assert found is not None
    assert "log-normal" in found.assumed["row lengths"]
    assert "4 GB more" in found.assumed["optimizer states"].replace("3.95", "4")


def test_saves_are_as_large_as_what_is_saved() -> None:
    """Adapter: 2,199,552 fp32 weights, three times that with Adam's moments; all weights: 494,032,768 in bf16."""
    adapter, full = stage().saves, stage(adapter=None).saves
    assert adapter is not None and adapter.final_bytes is not None and adapter.bytes_each is not None
    assert full is not None and full.final_bytes is not None
    assert adapter.final_bytes.p50 == 4 * 2_199_552
    assert adapter.bytes_each.p50 == 12 * 2_199_552
    assert full.final_bytes.p50 == 2 * 494_032_768


def test_every_node_is_paid() -> None:
    def cost(nodes: int) -> float:
        run = {"machine": {"provider": "AWS", "instance": "p4d.24xlarge", "nodes": nodes}}
        bill = answer(gpus=8 * nodes, steps="100k", run=run).machines[0].bill
        assert bill is not None and bill.total_usd is not None
        return bill.total_usd.p50 / bill.running_s.p50 * 3600

    assert cost(1) == pytest.approx(21.96, rel=0.01)
    assert cost(2) == pytest.approx(43.92, rel=0.01)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"precision": "fp8", "run": {"machine": "A100 SXM 80GB"}}, "HW301"),
        ({"model": "gpt2", "max_length": 4096}, "HW302"),
    ],
)
def test_what_the_hardware_or_the_model_has_not_is_named(changes: dict[str, Any], code: str) -> None:
    assert code in {finding.code for finding in answer(**changes).findings}
    assert code not in {finding.code for finding in answer().findings}


def test_freezing_everything_is_refused() -> None:
    with pytest.raises(UserError, match="to train"):
        answer(freeze=24, adapter=None)


def test_an_instance_has_its_own_gpu() -> None:
    with pytest.raises(UserError, match="comes with A100"):
        answer(run={"machine": {"provider": "AWS", "instance": "p4d.24xlarge", "gpu": "T4"}})


def test_stated_rates_that_a_prediction_replaces_are_named() -> None:
    found = answer(stated={"load": "10 min"}).findings
    assert any(finding.code == "HW003" and "load" in finding.message for finding in found)


def test_a_framework_that_nothing_is_known_of_is_said() -> None:
    machine = "H100 SXM 80GB"

    def codes(framework: str) -> set[str]:
        return {finding.code for finding in answer(run={"machine": machine, "framework": framework}).findings}

    assert "HW005" in codes("bananas")
    assert not [name for name in ("torchtitan", "axolotl", "megatron-lm") if "HW005" in codes(name)]


def test_dora_is_said_to_be_counted_as_lora() -> None:
    stage = answer(adapter={"method": "dora", "rank": 8}).estimate.experiments[0].stages[0]
    assert any("DoRA is counted as LoRA" in warning for warning in stage.basis.warnings)
