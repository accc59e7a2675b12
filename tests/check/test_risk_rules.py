"""Memory, disk, interruptions, checkpoints and diagnoses: figures by hand, and what has to stay silent."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.app.fix import cured
from headway.app.load import Project, load
from headway.check.registry import RULES
from headway.check.rules.checkpoints import nice_steps
from headway.domain.errors import Finding
from headway.plan import read_plan

ADDITION = """headway: 1
model: huggyllama/llama-7b
adapter: {{method: lora, rank: 64}}
data: {{rows: 304k, length: 64}}
batch: 128
save: {{every: {every}, keep: 2}}
stated: {{step: 1 s, checkpoint: 7.5 s}}
run: {{machine: {machine}}}
"""


def found(text: str, *codes: str) -> tuple[Finding, ...]:
    return Project(read_plan("plan.yaml", text=text)).check(select=codes, today="2026-11-21").findings


def test_the_checkpoint_tax_of_document_001() -> None:
    """7.5 s after every 50 s is 7.5/57.5 = 13 %; Young at one failure a day: sqrt(2 x 7.5 x 86,400) = 1,138 s."""
    (finding,) = found(ADDITION.format(every="50 steps", machine="A100 SXM 80GB"), "HW804")
    assert finding.evidence["share"] == pytest.approx(7.5 / 57.5)
    assert finding.evidence["young_s"] == pytest.approx(math.sqrt(2 * 7.5 * 86_400))
    assert finding.fix is not None
    assert (finding.fix.old, finding.fix.new) == ("50 steps", "1000 steps")


@pytest.mark.parametrize("every", ["250 steps", "1000 steps", "10 min", "1 epoch"])
def test_cheap_checkpoints_are_left_alone(every: str) -> None:
    assert not found(ADDITION.format(every=every, machine="A100 SXM 80GB"), "HW804", "HW805")


def test_the_fix_cures(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(ADDITION.format(every="50 steps", machine="A100 SXM 80GB"))
    assert load(path).check(select=("HW8",)).fixed == path.read_text(), "another interval is another run"
    path.write_text(cured(str(path), select=("HW8",), unsafe=True).text)
    assert "every: 1000 steps" in path.read_text()
    assert load(path).check(select=("HW8",)).findings == ()


@given(st.floats(1, 1e7))
def test_a_nice_number_of_steps_is_near_and_not_above(steps: float) -> None:
    nice = nice_steps(steps)
    assert steps / 2.5 <= nice <= steps or nice == 1
    assert nice_steps(nice) == nice


def test_the_chance_of_document_002_by_hour_and_by_month() -> None:
    """1 - 0.95^h for hours; read per month 1 - 0.95^(h/730)."""
    text = """headway: 1
stages: [{do: wait, by: human, stated: {wall: 8 h}}]
run: {machine: {instance: p5.48xlarge, spot: {price: $25/h, hazard: 5%/h}}}
"""
    (finding,) = found(text, "HW801")
    assert finding.evidence["per_hour"] == pytest.approx(1 - 0.95**8)
    assert finding.evidence["per_month"] == pytest.approx(1 - 0.95 ** (8 / 730))


@pytest.mark.parametrize(
    "hazard", ["5%/month", "5%/day", "{use: 40%/h, source: our own logs of 2026}", "unknown", "0.01%/h"]
)
def test_a_hazard_with_a_source_or_without_consequences_is_left_alone(hazard: str) -> None:
    text = f"""headway: 1
stages: [{{do: wait, by: human, stated: {{wall: 8 h}}}}]
run: {{machine: {{instance: p5.48xlarge, spot: {{price: $25/h, hazard: {hazard}}}}}}}
"""
    assert not found(text, "HW801")


def test_a_bid_counts_where_machines_are_auctioned() -> None:
    text = """headway: 1
model: Qwen/Qwen2-0.5B
data: {rows: 1k, length: 128}
run: {machine: {provider: vast.ai, gpu: RTX 4090, price: $0.4/h, spot: {price: $0.3/h, max_price: $0.35/h}}}
"""
    assert not found(text, "HW802")


def test_an_option_that_asks_for_spot_counts_as_asking() -> None:
    text = """headway: 1
model: Qwen/Qwen2-7B
data: {rows: 100k, length: 1024}
options: {cheap: {set: {run.pricing: spot}}}
run: {machine: H200}
"""
    (finding,) = found(text, "HW803")
    assert finding.where.line == 4


def test_minutes_against_steps_by_the_authors_own_step() -> None:
    text = ADDITION.format(every="50 steps", machine="A100 SXM 80GB")
    for claim, codes in (
        ("50 s", []),
        ("45-55 s", []),
        ("{use: 55 s, stated_as: about 55 s}", []),
        ("5 min", ["HW806"]),
        ("20 steps", []),
    ):
        assert [f.code for f in found(f"{text}claims: {{save_every: {claim}}}\n", "HW806")] == codes, claim


def test_a_run_inside_its_window_or_saved_is_left_alone() -> None:
    text = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 80k, length: 128}}
micro_batch: 8
stated: {{step: {step}}}
{keys}run: {{machine: RTX 4090, {window}}}
"""
    day, session = "hours_per_day: 8", "session: 8 h"
    assert found(text.format(step="3 s", keys="", window=day), "HW807")  # 10,000 steps: 8.3 h
    assert found(text.format(step="3 s", keys="", window=session), "HW807")
    assert not found(text.format(step="2.8 s", keys="", window=day), "HW807")  # 7.8 h
    assert not found(text.format(step="3 s", keys="save: {every: 1k steps}\n", window=day), "HW807")
    assert not found(text.format(step="3 s", keys="", window="session: 9 h"), "HW807")


def test_disk_is_kept_checkpoints_times_their_size() -> None:
    """A resumable checkpoint of 160M fp32 adapter weights: 4 bytes, and 8 of moments, each: 1.92 GB."""
    text = ADDITION.format(every="50 steps", machine="A100 SXM 80GB").replace("keep: 2", "keep: 10")
    (finding,) = found(text, "HW704")
    assert finding.evidence["checkpoints_bytes"] == pytest.approx(10 * 12 * 159_907_840)
    assert finding.severity == "info"


def test_sharding_is_no_cure_for_one_gpu_or_for_wide_activations() -> None:
    job = """headway: 1
model: {model}
data: {{rows: 1k, length: {{mean: {length}, max: {length}}}}}
max_length: {length}
micro_batch: {rows}
gpus: {gpus}
run: {{machine: {{gpu: A100 SXM 40GB, gpus: 8}}}}
"""
    alone = job.format(model="Qwen/Qwen3-8B", length=1024, rows=1, gpus=1)
    wide = job.format(model="Qwen/Qwen2-0.5B", length=8192, rows=16, gpus=8)
    for text in (alone, wide):
        assert found(text, "HW701")
        assert not found(text, "HW702")


@pytest.mark.parametrize(
    "check",
    [
        "{CPU bottleneck (top): more workers}",
        "{GPU waits (nvidia-smi): more loader workers}",
        "{grad_accum too high: less gradient accumulation}",
        "{slow disk: copy the data to an SSD}",
        "[thermal throttling, memory oversubscribed]",
    ],
)
def test_a_diagnosis_that_fits_is_left_alone(check: str) -> None:
    text = f"""headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 1k, length: 128}}
run: {{machine: T4, alert: {{step: over 1 s, check: {check}}}}}
"""
    assert not found(text, "HW808")


def test_loading_the_model_may_lengthen_a_run() -> None:
    text = """headway: 1
model: Qwen/Qwen2-0.5B
data: {rows: 1k, length: 128}
run: {machine: T4, alert: {wall: over 1 h, check: [model loads slowly]}}
"""
    assert not found(text, "HW808")
    assert found(text.replace("wall: over 1 h", "step: over 1 s"), "HW808")


def test_a_longest_row_that_is_assumed_is_named_and_no_error() -> None:
    text = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 52k, length: {length}}}
micro_batch: 32
{more}run: {{machine: RTX 4090}}
"""
    (assumed,) = found(text.format(length=512, more=""), "HW701")
    assert assumed.severity == "warning"
    assert "rows assumed up to 3,804 tokens" in assumed.message
    assert assumed.hint.startswith("Say max_length")
    (fixed,) = found(text.format(length="{mean: 3804, min: 3804, max: 3804}", more=""), "HW701")
    (cut,) = found(text.format(length=512, more="max_length: 3804\n"), "HW701")
    for known in (fixed, cut):
        assert known.severity == "error"
        assert "assumed" not in known.message


@pytest.mark.parametrize(
    ("parallel", "gpus", "said"),
    [
        ("fsdp", "", "parallel: fsdp shards over the GPUs of a stage, and this one has 1 of 8"),
        ("zero1", "", "parallel: zero1 shards over"),
        ("{sharding: zero3}", "", "parallel: zero3 shards over"),
        ("ddp", "gpus: 1\n", "parallel: ddp copies the model to the GPUs of a stage, and this one has 1 of 8"),
        ("fsdp", "gpus: 2\n", ""),
    ],
)
def test_sharding_needs_several_gpus(parallel: str, gpus: str, said: str) -> None:
    text = """headway: 1
model: Qwen/Qwen2-7B
data: {{rows: 1k, length: {{mean: 512, min: 512, max: 512}}}}
micro_batch: 1
parallel: {parallel}
{gpus}run: {{machine: {machine}}}
"""
    eight = "{gpu: RTX 4090, gpus: 8}"
    alone = found(text.format(parallel=parallel, gpus=gpus, machine=eight), "HW705")
    assert [one.message.startswith(said) for one in alone] == ([True] if said else [])
    if said:
        (too_large,) = found(text.format(parallel=parallel, gpus=gpus, machine=eight), "HW701")
        assert too_large.hint.startswith("Say gpus: 8")
        assert not found(text.format(parallel=parallel, gpus=gpus, machine="RTX 4090"), "HW705")


@pytest.mark.parametrize(("keep", "hint"), [("all", "keep: 2"), ("5", "keep: 2"), ("2", "keep: 1"), ("1", "Make room")])
def test_fewer_checkpoints_than_now_are_suggested(keep: str, hint: str) -> None:
    text = RULES["HW704"].fails.replace("keep: all", f"keep: {keep}").replace("Qwen2-7B", "Qwen2-72B")
    (finding,) = found(text, "HW704")
    assert hint in finding.hint
    assert f"keep: {keep}" not in finding.hint


def test_logits_are_as_large_as_the_sentence_says() -> None:
    (finding,) = found(RULES["HW703"].fails, "HW703")
    assert "each 12 bytes: three fp32 copies" in finding.message
    logits = 4 * 4096 * 151_936
    assert finding.evidence["logits_bytes"] == pytest.approx(12 * logits, rel=0.01)
