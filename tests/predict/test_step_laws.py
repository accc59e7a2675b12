"""Laws that hold for every machine, model and recipe, whatever the constants."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machines import DRAWS, MIDDLE, batches, decoder, device, timed

from headway.domain.experiment import Adapter, Parallel, Recipe
from headway.domain.machine import Link, Node
from headway.predict.step_time import TERMS

MODELS = st.builds(
    lambda layers, width, ffn, gated: decoder(
        layers=layers, hidden=64 * width, heads=width, kv_heads=max(1, width // 4), ffn=64 * ffn, gated=gated
    ),
    st.integers(2, 40),
    st.sampled_from([4, 8, 16, 32]),
    st.integers(8, 128),
    st.booleans(),
)
ADAPTERS = st.one_of(st.none(), st.builds(lambda r: Adapter(rank=r), st.integers(1, 64)))
RECIPES = st.builds(
    Recipe,
    precision=st.sampled_from(["bf16", "fp16", "fp32"]),
    adapter=ADAPTERS,
    gradient_checkpointing=st.sampled_from(["none", "selective", "full"]),
    attention=st.sampled_from(["eager", "sdpa", "flash"]),
)
SIZES = st.tuples(st.integers(1, 32), st.integers(16, 4096))


@settings(max_examples=60)
@given(MODELS, RECIPES, SIZES)
def test_terms_sum_to_the_total_and_none_is_negative(model: Any, recipe: Any, size: tuple[int, int]) -> None:
    found = timed(model, replace(recipe, micro_batch=size[0]), batches(*size), Node(device=device()))
    assert found.total == sum(found.terms.values())
    assert tuple(found.terms) == TERMS
    assert all(value >= 0 for value in found.terms.values())
    assert found.binds in ("compute", "bandwidth", "overhead", "communication")


@settings(max_examples=40)
@given(MODELS, RECIPES, SIZES, st.floats(0.01, 2.0))
def test_no_prediction_implies_more_than_the_dense_peak(
    model: Any, recipe: Any, size: tuple[int, int], hope: float
) -> None:
    """Even with constants that hope for more, such as half the time that the terms explain."""
    wild = MIDDLE | {"model_error.huggingface": hope, "launch_s.huggingface": 0.0, "matmul_efficiency.huggingface": 3.0}
    found = timed(model, recipe, batches(*size), Node(device=device()), constants=wild)
    assert found.model_flop_utilisation <= 1.0 + 1e-9


@settings(max_examples=40)
@given(MODELS, RECIPES, SIZES, st.floats(1.0, 4.0), st.sampled_from(["peak", "bandwidth", "both"]))
def test_a_faster_device_is_never_slower(
    model: Any, recipe: Any, size: tuple[int, int], factor: float, what: str
) -> None:
    slow = device()
    fast = replace(
        slow,
        peak_flop_per_s={k: v * (factor if what != "bandwidth" else 1) for k, v in slow.peak_flop_per_s.items()},
        bandwidth_bytes_per_s=slow.bandwidth_bytes_per_s * (factor if what != "peak" else 1),
    )
    times = [timed(model, recipe, batches(*size), Node(device=d)).total for d in (slow, fast)]
    assert times[1] <= times[0] * (1 + 1e-9)


@settings(max_examples=40)
@given(
    MODELS,
    st.sampled_from([Parallel(data=8), Parallel(data=8, sharding="zero3"), Parallel(data=2, tensor=4)]),
    SIZES,
    st.floats(1.0, 10.0),
)
def test_a_faster_link_is_never_slower(model: Any, parallel: Parallel, size: tuple[int, int], factor: float) -> None:
    recipe = Recipe(parallel=parallel)
    batch = batches(*size, data=parallel.data)

    def over(bytes_per_s: float) -> Any:
        link = Link(name="NVLink", bytes_per_s=bytes_per_s, latency_s=2e-6)
        return timed(model, recipe, batch, Node(device=device(), gpus=8, link=link)).total

    assert over(30e9 * factor) <= over(30e9) * (1 + 1e-9)


@settings(max_examples=40)
@given(MODELS, RECIPES, SIZES, st.sampled_from(["layers", "hidden", "ffn", "tokens", "rows"]))
def test_more_work_never_takes_less_time(model: Any, recipe: Any, size: tuple[int, int], what: str) -> None:
    more, (rows, tokens) = model, size
    if what == "layers":
        more = replace(model, layers=model.layers + 1)
    elif what == "hidden":
        more = replace(model, hidden=model.hidden + 64, heads=model.heads + 1)
    elif what == "ffn":
        more = replace(model, ffn=model.ffn + 64)
    else:
        rows, tokens = (rows, tokens + 8) if what == "tokens" else (rows + 1, tokens)
    node = Node(device=device())
    before = timed(model, recipe, batches(*size), node).total
    assert timed(more, recipe, batches(rows, tokens), node).total >= before * (1 - 1e-9)


@settings(max_examples=60)
@given(MODELS, RECIPES, st.integers(1, 64), st.integers(64, 4096))
def test_no_jump_between_neighbouring_sizes(model: Any, recipe: Any, rows: int, tokens: int) -> None:
    """One more row, or 1 % more tokens, costs at most 10 % beyond its share (attention grows with the square)."""
    node = Node(device=device())
    here = timed(model, recipe, batches(rows, tokens), node).total
    assert timed(model, recipe, batches(rows + 1, tokens), node).total <= here * (rows + 1) / rows * 1.1
    longer = tokens + max(1, tokens // 100)
    assert timed(model, recipe, batches(rows, longer), node).total <= here * (longer / tokens) ** 2 * 1.1


@settings(max_examples=40)
@given(MODELS, st.integers(1, 8), SIZES, st.sampled_from(["none", "full"]))
def test_an_adapter_computes_less_but_may_wait_longer(
    model: Any, rank: int, size: tuple[int, int], checkpointing: str
) -> None:
    """Without the host's launches, and adapters computed in 16 bits, LoRA is not slower than full fine-tuning.

    With them it can be: PEFT launches a dozen kernels more for each adapted layer and pass.
    """
    free = {**MIDDLE, "launch_s.huggingface": 0.0, "kernel_ramp_s": 0.0}
    full = Recipe(gradient_checkpointing=checkpointing)
    one = replace(full, adapter=Adapter(rank=rank, targets=("q", "v")))
    node = Node(device=device(peak_flop_per_s={**device().peak_flop_per_s, "fp32": 312e12}))
    found = {name: timed(model, r, batches(*size), node, constants=free) for name, r in (("full", full), ("lora", one))}
    parts = ("linear", "attention", "head", "optimizer")
    products = {name: sum(time.terms[part] for part in parts) for name, time in found.items()}
    assert products["lora"] <= products["full"] * 1.001


def test_draws_and_points_are_the_same_formula() -> None:
    """A draw taken alone gives what it gives among a thousand."""
    args = (decoder(), Recipe(adapter=Adapter(rank=4)), batches(8, 128), Node(device=device()))
    many = timed(*args, constants=DRAWS)
    for index in (0, 499, 999):
        alone = timed(*args, constants={name: float(values[index]) for name, values in DRAWS.items()})
        assert float(alone.total) == pytest.approx(float(np.asarray(many.total)[index]), rel=1e-12)
    assert np.asarray(many.total).shape == (1000,)
    together = sum(np.asarray(value) for value in many.terms.values())
    np.testing.assert_allclose(together, np.asarray(many.total), rtol=1e-12)
