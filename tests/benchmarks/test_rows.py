"""Published rows as cases: every trap that the rows hold, by a row that has it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from headway.work.parameters import count_parameters
from reading.machine import spreading
from rows import Case, Label, Unusable, cases, configuration, is_judged, load, read

ROWS = {row["id"]: row for row in load()}
USABLE, REFUSED = cases(ROWS.values())
GIB = 2.0**30


def case(id: str, **changes: str) -> Case:
    found = read(ROWS[id] | changes)
    assert isinstance(found, Case), found
    return found


def reason(id: str, **changes: str) -> str:
    found = read(ROWS[id] | changes)
    assert isinstance(found, Unusable)
    return found.reason


def first(**cells: str) -> str:
    """The id of the first row with such cells."""
    return next(id for id, row in ROWS.items() if all(row[name] == value for name, value in cells.items()))


# ---- none vanishes


def test_every_row_is_a_case_or_has_a_reason() -> None:
    assert len(ROWS) == 2617
    assert len(USABLE) + len(REFUSED) == 2617
    assert all(one.reason for one in REFUSED)


def test_every_row_that_qualifies_can_be_predicted() -> None:
    """The bar is 98 %."""
    assert sum(one.judged for one in USABLE if one.seconds) == sum(map(is_judged, ROWS.values())) == 2010


def test_judged_rows_have_the_length_and_the_rate_of_their_source() -> None:
    for one in USABLE:
        stated = ROWS[one.id]["step_time_s"]
        if one.judged and stated and one.seconds:
            assert one.seconds == pytest.approx(float(stated), rel=0.01), one.id


def test_shapes_have_the_parameters_that_their_source_states() -> None:
    """MPT-125m at other lengths counts its position table; one modded GPT-2 unties head and embedding."""
    off = [
        one.id
        for one in USABLE
        if ROWS[one.id]["params_b"]
        and abs(count_parameters(one.architecture).total / 1e9 / one.parameters_b - 1) > 0.05
        and one.model not in ("MPT-125m", "GPT-2 124M class")
    ]
    assert not off


def test_the_refused_carry_what_they_are_counted_under() -> None:
    label = next(one for one in REFUSED if "device_map" in one.reason).label
    assert isinstance(label, Label)
    assert (label.source, label.gpu, label.trust) == ("modelscope/ms-swift", "A100", "C")


# ---- traps: lengths


def test_a_length_is_a_cap_where_rows_are_not_packed() -> None:
    """misc4-0020: cap 1,024, published mean 403 tokens, 2.63 rows a second in micro-batches of 4."""
    found = case("misc4-0020")
    assert found.batches.real_row_tokens == pytest.approx(403, rel=0.01)
    assert found.batches.row_tokens > found.batches.real_row_tokens
    assert found.batches.longest_row_tokens == 1024
    assert not found.length_known
    assert "mean length is not published" in reason("misc4-0006")


def test_steps_and_rows_per_second_give_a_batch_that_nothing_else_gives() -> None:
    """misc4-0020: 5.92 s a step at 2.63 rows a second are 16 rows, 4 passes of 4."""
    found = case("misc4-0020")
    assert (found.recipe.micro_batch, found.recipe.grad_accum) == (4, 4)
    assert found.seconds == pytest.approx(5.917, rel=0.05)


def test_packed_fine_tuning_attends_within_documents_where_the_trainer_does() -> None:
    """ms-swift and NeMo do; pre-training, a plain trainer's rows and MLPerf's attend to the whole row."""
    for id, documents in (
        (first(source="modelscope/ms-swift", seq_len="32768"), 4),
        (first(source="NVIDIA/NeMo", task="lora"), 4),
        (first(source="NVIDIA/NeMo", task="pretrain", model="LLAMA2-7B"), 1),
        (first(source="mlcommons/training_results_v5.0", task="lora"), 1),
        ("fms-0010", 1),
    ):
        found = case(id).batches
        assert found.row_tokens_squared == pytest.approx(found.row_tokens**2 / documents), id


def test_a_batch_that_nobody_states_is_a_pass_of_8192_tokens() -> None:
    """lambda-0125: samples per second at no stated batch, rows of 384."""
    found = case("lambda-0125")
    assert found.recipe.micro_batch == round(8192 / 384)
    assert any("no batch stated" in one for one in found.assumed)
    assert not any("no batch stated" in one for one in case("misc4-0020").assumed)


def test_a_padded_or_exact_length_is_a_length() -> None:
    assert case("misc4-0021").batches.row_tokens == 339
    assert case(first(source="NVIDIA/DeepLearningExamples", seq_len="128")).length_known


def test_tokens_that_were_extrapolated_from_one_batch_are_not_used() -> None:
    assert "extrapolated" in reason(first(source="foundation-model-stack/fms-acceleration", packing="no", trust="B"))


# ---- traps: rates and steps


def test_rates_per_device_are_summed() -> None:
    """fms-acceleration prints tokens per second of one device; the column is of all of them."""
    found = case("fms-0010")
    row = ROWS["fms-0010"]
    assert found.node.total_gpus == 2
    assert found.seconds == pytest.approx(2 * 2 * 4096 / (2 * float(row["tokens_per_s_per_gpu"])), rel=0.01)


def test_neusight_has_no_optimizer_step() -> None:
    found = case(first(source="sitar-lab/NeuSight", parallelism="single"))
    assert not found.optimizer_step
    assert "optimizer" not in {term.phase for term in found.work().terms}
    assert "optimizer" in {term.phase for term in case("languini-0030").work().terms}


def test_a_batch_in_a_pipeline_is_cut_into_single_rows() -> None:
    """torchtitan, 405B on 512 GPUs: batch 8, eight stages."""
    found = case("titan-0015")
    assert (found.recipe.micro_batch, found.recipe.grad_accum) == (1, 8)
    assert found.batches.rows_per_step == 64


# ---- traps: machines


def test_a_gpu_without_form_factor_is_sxm_and_says_so() -> None:
    found = case("fms-0010")
    assert found.node.device.name == "A100 SXM 80GB"
    assert "A100-80GB read as A100 SXM 80GB" in found.assumed
    assert case("fms-0010", gpu="A100-unspecified").node.device.name == "A100 SXM 80GB"


def test_metas_h100_is_not_the_sxm_board() -> None:
    device = case("titan-0015").node.device
    assert (device.memory_bytes, device.bandwidth_bytes_per_s, device.board_limit_w) == (96e9, 2.4e12, 500.0)


def test_a_rack_of_gb200_is_one_node() -> None:
    found = case(first(source="NVIDIA-NeMo/Megatron-Bridge", gpu="GB200-186GB", n_gpus="32"))
    assert (found.node.gpus, found.node.nodes) == (32, 1)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"gpu": "RTX 4060 Laptop 8GB"}, "laptop"),
        ({"gpu": "Cerebras CS-3"}, "not in the catalog"),
        ({"parallelism": "offload (DRAM/SSD)"}, "paged to disk"),
        ({"parallelism": "tp3 pp1"}, "do not divide"),
    ],
)
def test_what_no_node_can_describe_is_refused(changes: dict[str, str], expected: str) -> None:
    assert expected in reason("vtrain-s0107", **changes)


# ---- traps: parallelism


@pytest.mark.parametrize(
    ("text", "gpus", "expected"),
    [
        ("tp2 dp4 pp1", 8, (4, 2, 1, "none")),
        ("tp=2 zero1=4", 8, (4, 2, 1, "zero1")),
        ("fsdp full_shard mp=default", 8, (8, 1, 1, "zero3")),
        ("fsdp shard_grad_op mp=default", 8, (8, 1, 1, "zero2")),
        ("hsdp", 16, (16, 1, 1, "zero3")),
        ("FSDP2 TP 8", 64, (8, 8, 1, "zero3")),
        ("fsdp0 tp4 pp8 cp1 vp4", 64, (2, 4, 8, "none")),
        ("DeepSpeed ZeRO-2", 4, (4, 1, 1, "zero2")),
        ("ddp", 4, (4, 1, 1, "none")),
        ("pp4_1", 4, (1, 1, 4, "none")),
        ("single", 1, (1, 1, 1, "none")),
    ],
)
def test_parallelism_in_the_words_of_sources(text: str, gpus: int, expected: tuple[Any, ...]) -> None:
    row = ROWS["vtrain-s0107"] | {"parallelism": text, "n_gpus": str(gpus), "framework": "any"}
    found = spreading(row).parallel
    assert (found.data, found.tensor, found.pipeline, found.sharding) == expected
    assert found.gpus == gpus


def test_nemo_shards_its_optimizer() -> None:
    found = case(first(source="NVIDIA-NeMo/Megatron-Bridge", parallelism="fsdp0 tp4 pp8 cp1 vp5"))
    assert found.recipe.parallel.sharding == "zero1"


def test_mlperf_replicas_follow_from_batch_and_accumulation() -> None:
    """8 rows a step in 2 micro-steps of 1 on 8 GPUs: 4 replicas of 2."""
    found = case("mlperf-0066").recipe
    assert (found.parallel.data, found.parallel.tensor, found.grad_accum) == (4, 2, 2)


def test_context_ranks_share_a_row() -> None:
    """Their pieces have as many tokens in all, and as much attention as the whole rows."""
    found = case(first(source="NVIDIA-NeMo/Megatron-Bridge", parallelism="fsdp0 tp2 pp8 cp2 vp4"))
    row = ROWS[found.id]
    length, rows = float(row["seq_len"]), float(row["global_batch"])
    assert found.context == 2
    assert found.tokens == length * rows
    assert found.batches.rows_per_step * found.batches.row_tokens_squared == pytest.approx(rows * length**2)
    assert found.seconds == pytest.approx(float(row["step_time_s"]), rel=0.01)


def test_interleaved_stages_wait_less() -> None:
    """(p-1)/(vm+p-1) of the step: 8 stages, 5 chunks each."""
    found = case(first(source="NVIDIA-NeMo/Megatron-Bridge", parallelism="fsdp0 tp4 pp8 cp1 vp5"))
    assert found.work().bubble == pytest.approx(7 / (5 * found.recipe.grad_accum + 7))


# ---- traps: models and adapters


def test_a_heads_width_is_the_noted_one() -> None:
    found = case(first(model="GPT-mini (languini)")).architecture
    assert (found.hidden, found.heads, found.head_dim) == (512, 8, 32)


def test_noted_heads_win_over_the_models_usual_ones() -> None:
    """modded-nanogpt's GPT-2 with 6 heads of 128: as wide as the 12 of 64 in its columns."""
    found = case("modded-0004").architecture
    assert (found.heads, found.kv_heads, found.head_dim, found.hidden) == (6, 6, 128, 768)


def test_a_quantised_copy_has_the_shape_of_its_model() -> None:
    found = case(first(model="TheBloke/Mistral-7B-v0.1-GPTQ", packing="yes"))
    assert (found.architecture.gated, found.architecture.tied) == (True, False)
    assert (found.recipe.quantize, found.stated_precision) == ("nf4", "int4-gptq+fp16")


def test_experts_count_as_those_that_a_token_meets() -> None:
    oss = case(first(model="GPT OSS 120B"))
    assert count_parameters(oss.architecture).active / 1e9 == pytest.approx(5.1, rel=0.2)
    unknown = case(first(model="GPT OSS 120B"), model="Secret MoE", active_params_b="9.0")
    assert count_parameters(unknown.architecture).total / 1e9 == pytest.approx(9.0, rel=0.02)


def test_adapter_targets_are_read_from_the_notes() -> None:
    assert _targets("fms-0039") == ("q", "k", "v", "o")
    assert _targets(first(source="QwenLM/Qwen", task="lora")) == ("all-linear",)
    assert set(_targets("peft-0033")) == {"q_proj", "v_proj"}


def _targets(id: str) -> tuple[str, ...]:
    adapter = case(id).recipe.adapter
    assert adapter is not None
    return adapter.targets


def test_checkpointing_that_is_not_stated_is_the_trainers_default() -> None:
    """misc4-0021: PEFT prepares a quantised model with checkpointing; a plain loop has none; a stated none is one."""
    assert case("misc4-0021").recipe.gradient_checkpointing == "full"
    assert case("misc4-0021", act_ckpt="none").recipe.gradient_checkpointing == "none"
    assert case("misc4-0021", task="lora").recipe.gradient_checkpointing == "none"
    assert case("misc4-0021", task="lora", framework="Unsloth").recipe.gradient_checkpointing == "full"
    assert case("vtrain-s0107").recipe.gradient_checkpointing == "none"


def test_adapters_that_are_not_low_rank_are_refused() -> None:
    assert "not low-rank" in reason("peft-0002")


def test_narrow_dtypes_without_a_word_are_fp8() -> None:
    found = case(first(precision="nvfp4"))
    assert (found.recipe.precision, found.stated_precision) == ("fp8", "nvfp4")


# ---- traps: memory


def test_gb_are_gib_but_for_litgpt() -> None:
    assert case("fms-0010").peak_bytes == pytest.approx(float(ROWS["fms-0010"]["peak_mem_gb"]) * GIB)
    assert case("fms-0010", source="Lightning-AI/litgpt").peak_bytes == pytest.approx(33.738e9)


def test_qwens_memory_is_of_all_gpus() -> None:
    id = next(id for id, row in ROWS.items() if "summed over GPUs" in row["notes"] and row["n_gpus"] == "4")
    assert case(id).peak_bytes == pytest.approx(float(ROWS[id]["peak_mem_gb"]) * GIB / 4)


def test_a_peak_of_what_no_recipe_describes_is_not_judged() -> None:
    found = case(first(model="Qwen-7B LoRA (emb)"))
    assert found.peak_bytes is None
    assert any("embedding and head" in one for one in found.assumed)


def test_fused_kernels_are_named() -> None:
    assert case("fms-0127").kernels == "liger foak"
    assert case("vtrain-s0107").kernels == ""


def test_who_saw_the_peak() -> None:
    seen = Counter(one.peak_seen_by for one in USABLE if one.peak_bytes)
    assert {"allocated", "reserved", "device"} == set(seen)
    assert case("peft-0033").peak_seen_by == "reserved"


# ---- configurations


def test_numbers_are_compared_as_numbers() -> None:
    row = ROWS["fms-0010"]
    assert configuration(row) == configuration(row | {"seq_len": f"{float(row['seq_len']):.1f}"})
    assert configuration(row) != configuration(row | {"seq_len": "17"})
