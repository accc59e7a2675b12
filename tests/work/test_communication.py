"""Bytes between GPUs against the volumes of the ZeRO and Megatron-LM papers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from work_shapes import LLAMA_7B, LLAMA_TINY, QWEN2_05B, fixed

from headway.domain.errors import UserError
from headway.domain.experiment import Adapter, Parallel, Recipe
from headway.work.communication import pipeline_bubble, transfers

N = 6_738_415_616


def sent(recipe: Recipe, *, micro_steps: int = 1) -> dict[str, float]:
    return {one.name: one.bytes for one in transfers(LLAMA_7B, recipe, fixed(2, 512, micro_steps=micro_steps))}


def test_one_gpu_sends_nothing() -> None:
    assert transfers(LLAMA_7B, Recipe(), fixed(2, 512)) == ()


@pytest.mark.parametrize("micro_steps", [1, 4])
def test_data_parallel_reduces_gradients_once_a_step(micro_steps: int) -> None:
    found = sent(Recipe(parallel=Parallel(data=8)), micro_steps=micro_steps)
    assert found == {"data.gradients": pytest.approx(2 * 7 / 8 * 2 * N)}


def test_zero_moves_as_much_as_data_parallel_and_full_sharding_half_more() -> None:
    plain, one, two, three = (
        sum(sent(Recipe(parallel=Parallel(data=8, sharding=s))).values()) for s in ("none", "zero1", "zero2", "zero3")
    )
    assert one == pytest.approx(plain)
    assert two == pytest.approx(plain)
    assert three == pytest.approx(1.5 * plain)  # ZeRO paper, section 7.2.2


def test_full_sharding_gathers_in_every_micro_step() -> None:
    parallel = Parallel(data=8, sharding="zero3")
    found, again = sent(Recipe(parallel=parallel)), sent(Recipe(parallel=parallel), micro_steps=4)
    assert again["data.weights"] == pytest.approx(4 * found["data.weights"])


def test_adapters_send_little_unless_frozen_weights_are_sharded() -> None:
    adapter = Adapter(rank=16, targets=("q", "v"))
    ddp = sent(Recipe(adapter=adapter, parallel=Parallel(data=8)))
    fsdp = sent(Recipe(adapter=adapter, parallel=Parallel(data=8, sharding="zero3")))
    assert ddp["data.gradients"] == pytest.approx(2 * 7 / 8 * 4 * 8_388_608)
    assert fsdp["data.weights"] == pytest.approx(2 * 7 / 8 * (2 * N + 4 * 8_388_608))


def test_tensor_parallel_all_reduces_four_times_a_block() -> None:
    found = sent(Recipe(parallel=Parallel(tensor=4)))
    assert found["tensor.activations"] == pytest.approx(32 * 4 * 2 * 3 / 4 * (2 * 512 * 4096 * 2))
    recomputed = sent(Recipe(parallel=Parallel(tensor=4), gradient_checkpointing="full"))
    assert recomputed["tensor.activations"] == pytest.approx(1.5 * found["tensor.activations"])


def test_pipeline_sends_activations_and_waits() -> None:
    recipe = Recipe(parallel=Parallel(pipeline=4))
    found = sent(recipe, micro_steps=8)
    assert found == {"pipeline.activations": 2 * 8 * (2 * 512 * 4096 * 2)}
    assert pipeline_bubble(recipe, fixed(2, 512, micro_steps=8)) == pytest.approx(3 / 11)
    assert pipeline_bubble(Recipe(), fixed(2, 512)) == 0


def test_messages_of_a_ring() -> None:
    found = transfers(QWEN2_05B, Recipe(parallel=Parallel(data=4)), fixed(8, 128))
    assert found[0].messages == 38 * 2 * 3  # 988 MB of gradients in buckets of 25 MiB, 2(n-1) hops each


def test_an_unknown_sharding_is_refused() -> None:
    with pytest.raises(UserError, match="sharding") as caught:
        transfers(LLAMA_TINY, Recipe(parallel=Parallel(data=2, sharding="fsdp2")), fixed(1, 8))
    assert "zero3" in caught.value.hint


@given(data=st.integers(1, 64), sharding=st.sampled_from(["none", "zero1", "zero2", "zero3"]))
def test_more_replicas_never_send_less(data: int, sharding: str) -> None:
    def total(n: int) -> float:
        recipe = Recipe(parallel=Parallel(data=n, sharding=sharding))
        return sum(one.bytes for one in transfers(LLAMA_TINY, recipe, fixed(1, 64)))

    assert total(data) <= total(data + 1)
