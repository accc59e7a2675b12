"""Laws of the fitted predictor: exact terms and slopes, no time under physics, monotone and smooth without a stack."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machines import MIDDLE, batches, decoder, device

from headway.catalog.devices import find_device
from headway.catalog.speed import shipped_speed
from headway.domain.experiment import Adapter, Parallel, Recipe
from headway.domain.machine import Link, Node
from headway.predict.learning.record import from_record
from headway.predict.speed.basis import COLUMNS, basis
from headway.predict.speed.model import NAMES, log_seconds, log_seconds_and_slopes, seconds_by_term
from headway.predict.speed.predict import StepTime, log_quantiles, predict_step
from headway.predict.speed.residual import covariance, noise_sd, total_variance
from headway.predict.speed.situation import Situation, family_of, features

SPEED = from_record(shipped_speed())


def situation(rows: int = 4, tokens: float = 1024, **changes: object) -> Situation:
    """A full fine-tuning of a small model on one card by an ordinary trainer, or what `changes` make of it."""
    arch = decoder(**{key: changes.pop(key) for key in ("layers", "hidden", "ffn") if key in changes})
    recipe = Recipe(micro_batch=rows, attention="flash", **changes.pop("recipe", {}))
    node = changes.pop("node", Node(device=device()))
    data = recipe.parallel.data
    made = batches(rows, tokens, micro_steps=recipe.grad_accum, data=data)
    return Situation(architecture=arch, recipe=recipe, batches=made, node=node, **changes)


def predicted(**changes: object) -> StepTime:
    return predict_step(situation(**changes), SPEED, MIDDLE)


@pytest.mark.parametrize("stack", ["", *SPEED.stacks])
def test_terms_add_up_to_the_median_and_the_interval_holds_it(stack: str) -> None:
    found = predicted(stack=stack)
    assert sum(found.terms_s.values()) == pytest.approx(found.p50_s)
    assert 0 < found.p10_s <= found.p50_s <= found.p90_s
    assert all(seconds >= 0 for seconds in found.terms_s.values())


def test_slopes_are_the_derivatives_and_terms_the_seconds() -> None:
    node = Node(device=find_device("H100 SXM"), gpus=8, nodes=2)
    fp8 = {"precision": "fp8", "parallel": Parallel(data=2, tensor=4, pipeline=2, sharding="zero1"), "grad_accum": 4}
    rows = np.array(
        [
            basis(situation(), MIDDLE),
            basis(situation(node=node, recipe=fp8, number_format="rowwise", family="nemo"), MIDDLE),
            basis(situation(kernels="foundry foak"), MIDDLE),
        ]
    )
    at = SPEED.coefficients
    middle, slopes = log_seconds_and_slopes(rows, at)
    for index, name in enumerate(NAMES):
        moved = at.copy()
        moved[index] += 1e-6
        assert (log_seconds(rows, moved) - middle) / 1e-6 == pytest.approx(slopes[:, index], abs=1e-5), name
    assert sum(seconds_by_term(rows, at).values()) == pytest.approx(np.exp(middle))


@given(
    rows=st.integers(1, 64),
    tokens=st.integers(32, 4096),
    layers=st.integers(1, 48),
    more=st.floats(1.02, 3.0),
)
@settings(max_examples=40, deadline=None)
def test_more_work_is_never_faster(rows: int, tokens: int, layers: int, more: float) -> None:
    base = predicted(rows=rows, tokens=tokens, layers=layers).p50_s
    assert predicted(rows=rows + 1, tokens=tokens, layers=layers).p50_s >= base
    assert predicted(rows=rows, tokens=tokens * more, layers=layers).p50_s >= base
    assert predicted(rows=rows, tokens=tokens, layers=layers + 1).p50_s >= base
    assert predicted(rows=rows, tokens=tokens, layers=layers, hidden=896 * 2, ffn=4864).p50_s >= base


@given(rows=st.integers(1, 32), tokens=st.integers(64, 4096), faster=st.floats(1.05, 4.0))
@settings(max_examples=30, deadline=None)
def test_a_better_machine_is_never_slower(rows: int, tokens: int, faster: float) -> None:
    recipe = {"parallel": Parallel(data=8, sharding="zero3")}
    link = Link(name="fabric", bytes_per_s=1e11, latency_s=0.0)
    node = Node(device=device(), gpus=8, link=link)
    base = predicted(rows=rows, tokens=tokens, recipe=recipe, node=node).p50_s
    peaks = {dtype: rate * faster for dtype, rate in device().peak_flop_per_s.items()}
    wide = device().bandwidth_bytes_per_s * faster
    for better in (
        replace(node, device=device(peak_flop_per_s=peaks)),
        replace(node, device=device(bandwidth_bytes_per_s=wide)),
        replace(node, link=replace(link, bytes_per_s=1e11 * faster)),
    ):
        assert predicted(rows=rows, tokens=tokens, recipe=recipe, node=better).p50_s <= base * (1 + 1e-9)


@given(rows=st.integers(1, 512), tokens=st.integers(64, 8192), stack=st.sampled_from(["", *SPEED.stacks]))
@settings(max_examples=60, deadline=None)
def test_no_prediction_beats_the_dense_peak(rows: int, tokens: int, stack: str) -> None:
    one = situation(rows=rows, tokens=tokens, stack=stack)
    found = predict_step(one, SPEED, MIDDLE)
    least = 6.0 * 24 * (896 * 896 * 2 + 896 * 128 * 2 + 3 * 896 * 4864) * rows * tokens / 312e12
    assert found.p10_s >= least


@given(rows=st.integers(8, 64), tokens=st.integers(200, 4000))
@settings(max_examples=30, deadline=None)
def test_neighbouring_sizes_do_not_jump(rows: int, tokens: int) -> None:
    base = predicted(rows=rows, tokens=tokens).p50_s
    assert predicted(rows=rows + 1, tokens=tokens).p50_s / base <= 1.10 * (rows + 1) / rows
    assert predicted(rows=rows, tokens=tokens + 1).p50_s / base <= 1.10


def test_lora_is_no_more_work_than_full_training_with_the_same_checkpointing() -> None:
    full = predicted(recipe={"gradient_checkpointing": "full"})
    lora = predicted(recipe={"gradient_checkpointing": "full", "adapter": Adapter(rank=16)})
    assert lora.terms_s["linear"] + lora.terms_s["optimizer"] < full.terms_s["linear"] + full.terms_s["optimizer"]


def test_bf16_on_a_t4_is_several_times_slower_than_fp16() -> None:
    node = Node(device=find_device("T4"))
    slow, fast = (predicted(node=node, recipe={"precision": dtype}).p50_s for dtype in ("bf16", "fp16"))
    assert slow > 2 * fast


def test_evidence_decides_the_tier_and_worse_evidence_is_never_narrower() -> None:
    known = Node(device=find_device("A100 SXM 80GB"))
    here = predicted(stack="foundation-model-stack/fms-acceleration", node=known)
    elsewhere = predicted(stack="foundation-model-stack/fms-acceleration", node=Node(device=find_device("T4")))
    assert (here.tier, elsewhere.tier) == ("measured", "same stack")
    assert predicted(node=known).tier == "same device"
    assert predicted(node=Node(device=find_device("RX 9070 XT"))).tier == "never seen"
    widths = [
        SPEED.unseen[tier].high for tier in ("same device", "same generation", "never seen") if tier in SPEED.unseen
    ]
    assert widths == sorted(widths)
    assert "60 s of steps" in predicted(node=known).narrows


@pytest.mark.parametrize(
    ("framework", "family"),
    [
        ("Megatron-Bridge / NeMo", "nemo"),
        ("Megatron-DeepSpeed", "megatron"),
        ("torchtitan FSDP2", "fsdp"),
        ("HF Trainer/TRL SFT (fms-hf-tuning) + no plugin", "huggingface"),
        ("Languini (plain PyTorch)", "plain"),
    ],
)
def test_families_by_the_names_that_sources_use(framework: str, family: str) -> None:
    assert family_of(framework) == family


def test_many_rows_at_once_are_the_rows_one_by_one() -> None:
    many = [situation(rows=rows, tokens=tokens) for rows in (1, 4, 16) for tokens in (128, 1024)]
    basics, coordinates = np.array([basis(one, MIDDLE) for one in many]), np.array([features(one) for one in many])
    together = log_quantiles(
        SPEED, None, "huggingface", basics, coordinates, [one.device for one in many], "same device"
    )
    for index, one in enumerate(many):
        alone = predict_step(replace(one, node=Node(device=replace(one.node.device))), SPEED, MIDDLE)
        assert np.exp(together[1][index]) == pytest.approx(alone.p50_s)


def test_products_run_at_the_rate_of_the_units_that_compute_them() -> None:
    """Matrix cores of CDNA2 double fp32 (MI210: 45.3 of 22.6 TFLOP/s); fp4 is 2 x fp8 on B200 and 3 x on GB300."""

    def seconds(column: str, gpu: str, **recipe: str) -> float:
        words = "nvfp4" if column.endswith("fp4") else ""
        one = situation(node=Node(device=find_device(gpu)), recipe=recipe, number_format=words)
        return float(basis(one, MIDDLE)[COLUMNS.index(column)])

    flop = seconds("floor", "MI210", precision="fp32")
    assert flop == pytest.approx(seconds("floor", "V100 SXM2 16GB", precision="fp32") * 15.7 / 45.2)
    for gpu, times in (("B200 SXM", 2.0), ("GB300", 3.0)):
        fp8, fp4 = (seconds(name, gpu, precision="fp8") for name in ("linear_fp8", "linear_fp4"))
        assert fp8 == pytest.approx(times * fp4)


def test_a_power_limit_slows_large_products() -> None:
    """The H100 PCIe's 0.61 on half the power; memory traffic keeps its rate."""
    board = find_device("H100 SXM 80GB")
    full, limited = (
        basis(situation(node=Node(device=replace(board, board_limit_w=watt))), MIDDLE) for watt in (700.0, 350.0)
    )
    linear, optimizer = COLUMNS.index("linear"), COLUMNS.index("optimizer")
    assert limited[linear] / full[linear] == pytest.approx(2**0.6)
    assert limited[optimizer] == full[optimizer]


def test_neighbours_agree_with_their_covariance_in_double_precision() -> None:
    """Residuals of the stack with most neighbours, in single precision and one device at a time, against the sums."""
    near = SPEED.stacks["foundation-model-stack/fms-acceleration"].neighbours
    devices = [near.devices[i] if i % 2 else "another fp32" for i in range(len(near.devices))]
    at = near.coordinates + 0.1
    found, variance = near.residual(at, devices)
    expected = covariance(at, near.coordinates, devices, near.devices)
    assert found == pytest.approx(expected @ near.weights, abs=1e-4)
    most = total_variance(len(devices)) + noise_sd(len(devices)) ** 2
    assert variance == pytest.approx(most - expected.max(axis=1) ** 2 / most, rel=1e-4)
