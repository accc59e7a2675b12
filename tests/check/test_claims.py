"""Claims of the examples against what their own rates give: mistakes are found, true statements stay silent."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from headway.app.load import Project, load
from headway.check.fix import fixed
from headway.domain.errors import Finding
from headway.plan import read_plan

ROOT = Path(__file__).parents[2]
TODAY = "2026-11-21"


@cache
def found(plan: str) -> tuple[Finding, ...]:
    """What the rules of arithmetic, money and calendar find in an example."""
    return load(ROOT / "examples" / plan / "plan.yaml").check(select=("HW1", "HW4"), today=TODAY).findings


def checked(text: str, *select: str) -> tuple[Finding, ...]:
    return Project(read_plan("plan.yaml", text=text)).check(select=select, today=TODAY).findings


@pytest.mark.parametrize(
    ("plan", "claims"),
    [
        ("qwen2-taxonomy", ["cost.lambda-4090", "days", "energy", "electricity", "hours_at", "tasks"]),
        ("qwen2-taxonomy", ["options.fast-track.claims", "options.parallel.claims", "options.skip-50k.claims.saves"]),
        ("llama7b-addition", ["terms.load", "terms.step", "rows", "grad_accum", "steps", "checkpoints_kept"]),
        ("kernelbook-node", ["subtotal.gpu_hours", "buffer", "total.gpu_hours"]),
        ("arc-t4", ["epochs_in"]),
    ],
)
def test_a_true_statement_stays_silent(plan: str, claims: list[str]) -> None:
    """Nothing is said at the place of a claim that is right; a budget without slack is no wrong count."""
    places = load(ROOT / "examples" / plan / "plan.yaml").plan.positions
    for claim in claims:
        path = claim if ".claims" in claim else f"claims.{claim}"
        right = {where for name, where in places.items() if name == path or name.startswith(f"{path}.")}
        assert right
        spoken = [one for one in found(plan) if one.where in right and one.code not in ("HW142", "HW154")]
        assert not spoken, path


def finding(plan: str, code: str, words: str = "") -> Finding:
    """The one finding of a code whose message holds these words."""
    several = [one for one in found(plan) if one.code == code and words in one.message]
    assert len(several) == 1
    return several[0]


@pytest.mark.parametrize(
    ("plan", "code", "words", "severity"),
    [
        ("qwen2-taxonomy", "HW101", "35 against 26 for 3 and 72 against 63 for the whole plan", "error"),
        ("qwen2-taxonomy", "HW122", "512 to 568.9 tokens/s, 2.04 x apart", "error"),
        ("qwen2-taxonomy", "HW133", "341.7 GPU-h would be 379.4 GPU-h", "warning"),
        ("qwen2-taxonomy", "HW141", "saves 22 %", "error"),
        ("qwen2-taxonomy", "HW142", "the same 3 experiments", "warning"),
        ("qwen2-taxonomy", "HW143", "from 8 to 64", "error"),
        ("qwen2-taxonomy", "HW421", "4 GPUs, and home has 1", "error"),
        ("llama7b-addition", "HW102", "2,375 steps / 50 are 47 saves", "error"),
        ("llama7b-addition", "HW161", "2.03 h to 3.04 h", "error"),
        ("kernelbook-node", "HW113", "$69 together", "error"),
        ("kernelbook-node", "HW403", "the bill says $131", "error"),
        ("kernelbook-node", "HW406", "2.17 GPU-h to 2.67 GPU-h", "warning"),
        ("kernelbook-node", "HW409", "63.4 %", "warning"),
        ("qwen2-taxonomy", "HW422", "after 85.5 h, not 130 h", "info"),
        ("qwen2-taxonomy", "HW113", "343 GPU-h, not 341.7 GPU-h", "info"),
        ("llama7b-addition", "HW132", "37.4 to 58.9 min", "warning"),
        ("llama7b-addition", "HW131", "2.25 h, and 1.87 to 2.94 h", "info"),
        ("llama7b-addition", "HW131", "6 min, and 3.92 to 7.83 min", "info"),
        ("kernelbook-node", "HW111", "29% is claimed, 91.8 % computed", "error"),
        ("kernelbook-node", "HW141", "28 GPU-h, of the 4 GPU-h that are booked", "error"),
        ("kernelbook-node", "HW111", "12 GPU-h is claimed, 8.67 to 11.3 GPU-h", "warning"),
        ("kernelbook-node", "HW111", "options.shut-down and options.spot-stop: wall: 3 h", "error"),
        ("kernelbook-node", "HW112", "subtotal.wall: 6.5 h is claimed, 6.58 h", "info"),
        ("kernelbook-node", "HW402", "$160 is claimed", "warning"),
        ("kernelbook-node", "HW402", "$260 is claimed, 8 h x $32.77 is $262", "info"),
        ("kernelbook-node", "HW402", "$150 is claimed, 12 h x $12 is $144", "info"),
        ("kernelbook-node", "HW402", "$4 is claimed, 1 h x $32 x 2 of 8 GPUs", "warning"),
        ("kernelbook-node", "HW405", "8 h for recommended holds 21.5 %", "warning"),
        ("kernelbook-node", "HW407", "$131", "warning"),
        ("kernelbook-node", "HW423", "data-prep has 60 min for 30 min", "warning"),
        ("arc-t4", "HW104", "28.1 min with 1 in a batch, 7.02 min with 4", "warning"),
        ("arc-t4", "HW151", "300 ms to 400 ms and 600 ms to 700 ms fall in no band", "warning"),
        ("arc-t4", "HW152", "1.5-2.5 h, computed 1.8 to 3.59 h", "error"),
        ("arc-t4", "HW152", "bands: 8 of 8", "warning"),
        ("arc-t4", "HW152", "wall_at: 16 of 21", "info"),
        ("arc-t4", "HW152", "wall_in: 2 of 4", "info"),
        ("arc-t4", "HW111", "5-10 min is claimed, 52.1 s computed", "warning"),
        ("arc-t4", "HW121", "a thousand times too long", "error"),
        ("arc-t4", "HW153", "take 4.68 h", "error"),
    ],
)
def test_the_figures_of_a_finding(plan: str, code: str, words: str, severity: str) -> None:
    assert finding(plan, code, words).severity == severity


def test_savings_are_those_of_what_is_booked() -> None:
    saved = {
        one.message.split()[0]: one.evidence["computed"] for one in found("kernelbook-node") if one.code == "HW141"
    }
    assert saved["small-model"] == pytest.approx([3.0 * 3600] * 2), "4 x faster on 4 GPU-h"
    assert saved["fewer-tests"] == pytest.approx([4.5 * 3600] * 2), "50 of 200 generations on 6 GPU-h"
    assert saved["one-gpu"] == [0, 0], "the plan books one GPU as it is"


def test_fixes_are_made_until_nothing_is_left_to_count() -> None:
    text = (ROOT / "examples" / "qwen2-taxonomy" / "plan.yaml").read_text(encoding="utf-8")
    counts = []
    while mistakes := checked(text, "HW101"):
        text, fixes = fixed(text, mistakes)
        counts += [fix.new for fix in fixes]
    assert counts == ["6", "26", "63"]


@pytest.mark.parametrize(
    ("plan", "code", "old", "new"),
    [
        ("llama7b-addition", "HW102", "checkpoints: 48", "checkpoints: 47"),
        ("arc-t4", "HW121", "1686424 s", "1686424 ms"),
        ("kernelbook-node", "HW121", "billed: 64 node-h", "billed: 64 GPU-h"),
    ],
)
def test_a_fix_writes_what_is_right_and_silences_its_rule(plan: str, code: str, old: str, new: str) -> None:
    text = (ROOT / "examples" / plan / "plan.yaml").read_text(encoding="utf-8")
    changed, _ = fixed(text, checked(text, code))
    assert old in text
    assert changed == text.replace(old, new)
    assert not checked(changed, code)


MATRIX = """headway: 1
model: Qwen/Qwen2-0.5B
data: {rows: 8k, length: 128}
micro_batch: 8
matrix: {seed: [0, 1, 2]}
stages:
  - {stated: {step: 1.8 s}, claims: {steps: 999, wall: 20 min}}
run: {machine: RTX 4090}
"""


def test_a_claim_of_a_stage_in_a_matrix_is_spoken_of_once() -> None:
    assert [one.code for one in checked(MATRIX, "HW1")] == ["HW101", "HW111"]


def test_a_plan_that_claims_nothing_hears_nothing() -> None:
    text = "\n".join(line for line in MATRIX.splitlines() if "claims" not in line)
    assert not checked(text, "HW1", "HW4")


def test_the_smallest_example_is_silent() -> None:
    assert found("minimal") == ()


@pytest.mark.parametrize(
    ("claim", "codes"),
    [
        ("wall: 20.83 min", []),
        ("wall: 15-25 min", []),
        ("wall: {use: 20 min, stated_as: ~20 min}", []),
        ("wall: 20 min", ["HW112"]),
        ("wall: 20.0 min", ["HW111"]),
        ("wall: 30 min", ["HW111"]),
        ("wall: unknown", []),
        ("wall: 20.83 s", ["HW121"]),
        ("gpu_hours: 0.35", []),
        ("gpu_hours: 0.5", ["HW111"]),
        ("days: {24 h/day: 0.014, 8 h/day: 0.043}", []),
        ("days: {8 h/day: 0.05}", ["HW111"]),
        ("steps: 1000", []),
        ("batch: 16", ["HW101"]),
        ("throughput: [0.8 steps/s, 6.4 samples/s]", []),
        ("throughput: [0.8 steps/s, 7 samples/s]", []),
        ("throughput: [0.8 steps/s, 9 samples/s]", ["HW122"]),
        ("terms: {step: 20.8 min}", []),
        ("wall_per_epoch: 21 min", []),
        ("hours_at: {2k: 42 min, 1k: 21 min}", []),
    ],
)
def test_claims_are_compared_at_the_precision_they_are_written_with(claim: str, codes: list[str]) -> None:
    text = f"""headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 8k, length: 128}}
micro_batch: 8
stated: {{step: 1.25 s}}
run: {{machine: RTX 4090}}
claims: {{{claim}}}
"""
    assert [one.code for one in checked(text, "HW1")] == codes


PRICED = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 8k, length: 128}}
micro_batch: 8
stated: {{step: 3.6 s, load: 0 s}}
run:
  machine: mine
  machines: {{mine: {{gpu: RTX 4090}}, rented: {{gpu: T4, price: $2/h}}}}
claims: {{cost: {{rented: {cost}}}}}
"""


@pytest.mark.parametrize(("cost", "codes"), [("$2", ["HW401"]), ("$9", [])])
def test_only_untransferred_hours_are_hours_of_another_gpu(cost: str, codes: list[str]) -> None:
    """$9 are not the plan's hour at $2: its author has other hours for that GPU, which nothing contradicts."""
    assert [one.code for one in checked(PRICED.format(cost=cost), "HW4")] == codes


PARALLEL = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 8k, length: 128}}
micro_batch: 8
matrix: {{seed: [0, 1, 2, 3]}}
stated: {{step: 3.6 s}}
run: {{machine: {{gpu: RTX 4090, gpus: 4}}}}
claims: {{wall: {wall}}}
"""


@pytest.mark.parametrize(("wall", "codes"), [("4 h", []), ("60 min", []), ("20 min", ["HW111"])])
def test_experiments_may_run_side_by_side_or_one_after_the_other(wall: str, codes: list[str]) -> None:
    assert [one.code for one in checked(PARALLEL.format(wall=wall), "HW1")] == codes


def test_a_length_that_nobody_stated_contradicts_nothing() -> None:
    text = """headway: 1
model: Qwen/Qwen2-0.5B
data: {rows: 8k}
micro_batch: 8
stated: {throughput: 5000 tokens/s, step: 1 s}
run: {machine: RTX 4090}
claims: {tokens_per_step: 100k}
"""
    assert checked(text.replace("claims: {tokens_per_step: 100k}", ""), "HW122") == ()
    assert checked(text, "HW101") == ()


def test_a_reference_on_another_gpu_says_nothing_without_a_speedup() -> None:
    text = """headway: 1
model: Qwen/Qwen2-0.5B
data: {rows: 8k, length: 128}
micro_batch: 8
stated: {step: 0.5 s}
run: {machine: RTX 4090}
references: {readme: {gpu: T4, rows: 8k, wall: 3 h}}
"""
    assert checked(text, "HW161") == ()
    assert [one.severity for one in checked(text.replace("gpu: T4, ", ""), "HW161")] == ["warning"]


def test_a_way_to_pay_saves_money_and_no_hours() -> None:
    text = """headway: 1
model: Qwen/Qwen2-0.5B
data: {rows: 8k, length: 128}
micro_batch: 8
stated: {step: 3.6 s}
run: {machine: {gpu: RTX 4090, price: $2/h, spot: {price: $1/h}}}
options: {cheap: {set: {run.machine.price: $1/h}, claims: {saves: 50%}}}
"""
    assert checked(text, "HW141") == ()
    assert [one.code for one in checked(text.replace("saves: 50%", "saves: 80%"), "HW141")] == ["HW141"]


def test_several_budgets_of_one_kind_are_steps_to_choose_from() -> None:
    text = """headway: 1
do: tests
gpus: 1
stated: {wall: 3 h}
run: {machine: RTX 4090, budget: [1 h, 4 h]}
"""
    assert checked(text, "HW425") == ()
    assert [one.code for one in checked(text.replace("4 h", "2 h"), "HW425")] == ["HW425"]


def test_a_deadline_is_counted_from_today() -> None:
    text = """headway: 1
do: tests
gpus: 1
stated: {wall: 60 h}
run: {machine: RTX 4090, deadline: 2026-11-23}
"""
    assert [one.severity for one in checked(text, "HW425")] == ["error"]
    assert checked(text.replace("11-23", "11-24"), "HW425") == ()


UNRATED = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 8k, length: 128}}
micro_batch: 8
stated: {{{rates}}}
run: {{machine: RTX 4090}}
claims: {{wall: 3 h}}
"""


@pytest.mark.parametrize(
    ("rates", "severities"),
    [
        ("load: 1 min", []),
        ("step: 3.6 s", ["warning"]),
        ("step: 3.6 s, load: 1 min, final_save: 10 s", ["error"]),
        ("step: 36 s", ["error"]),
    ],
)
def test_what_has_no_rate_may_make_up_for_a_figure_that_is_too_large(rates: str, severities: list[str]) -> None:
    assert [one.severity for one in checked(UNRATED.format(rates=rates), "HW111")] == severities


RENTED = """headway: 1
model: Qwen/Qwen2-0.5B
data: {{rows: 8k, length: 128}}
micro_batch: 8
stated: {{{rates}}}
run: {{machine: {{gpu: RTX 4090, price: $2/h}}}}
options: {{cheap: {{set: {{run.machine.price: $1/h}}, claims: {{cost: {cheap}}}}}}}
claims: {{cost: {cost}}}
"""


@pytest.mark.parametrize(
    ("rates", "cost", "cheap", "codes"),
    [
        ("step: 36 s", "$20", "$10", []),
        ("step: 36 s", "$20", "$20", ["HW402"]),
        ("step: 36 s", "$30", "$10", ["HW402"]),
        ("load: 1 min", "$30", "$10", []),
    ],
)
def test_costs_are_hours_times_the_price_that_applies(rates: str, cost: str, cheap: str, codes: list[str]) -> None:
    assert [one.code for one in checked(RENTED.format(rates=rates, cost=cost, cheap=cheap), "HW4")] == codes
