"""Runs inside the environment of ftuneai 0.4.1: jobs as JSON on stdin, seconds of a step by id on stdout.

Its time model (`ftuneai.core.time`) is called with its own GPU table and defaults. It knows no tensor or pipeline
parallelism, no fp8 and no encoders' heads; its hours are rounded to 0.01, so a million steps are asked for.
"""

import json
import sys

from ftuneai.core.models import FineTuneMethod, ModelSpec, Quantization, ShardingStrategy, TrainingConfig
from ftuneai.core.time import TimeEstimator
from ftuneai.loader import get_gpu

STEPS = 1_000_000
GPUS = {
    "A100 SXM 80GB": "A100-80GB", "A100 PCIe 80GB": "A100-80GB", "A100 SXM 40GB": "A100-40GB",
    "A100 PCIe 40GB": "A100-40GB", "H100 SXM 80GB": "H100-80GB", "H100 PCIe 80GB": "H100-80GB",
    "H200 SXM 141GB": "H200-141GB", "L4": "L4-24GB", "RTX 4090": "RTX-4090-24GB", "RTX 3090": "RTX-3090-24GB",
    "RTX 4080": "RTX-4080-16GB", "T4": "T4-16GB", "V100 SXM2 16GB": "V100-16GB", "V100 PCIe 16GB": "V100-16GB",
    "V100 SXM2 32GB": "V100-32GB", "V100 PCIe 32GB": "V100-32GB", "A10G": "A10G-24GB",
}  # fmt: skip
DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32", "tf32": "float32"}
SHARDINGS = {"none": "none", "zero1": "zero_1", "zero2": "zero_2", "zero3": "zero_3"}


def seconds(job):
    """Seconds of one optimizer step, or None."""
    if job["tensor"] * job["pipeline"] > 1 or job["gpu"] not in GPUS or job["precision"] not in DTYPES:
        return None
    method = "full" if not job["rank"] else "qlora" if job["quantize"] == "nf4" else "lora"
    model = ModelSpec(
        name=job["model"],
        parameters=job["parameters"],
        hidden_size=job["hidden"],
        num_layers=job["layers"],
        num_attention_heads=job["heads"],
        num_kv_heads=job["kv_heads"],
        intermediate_size=job["ffn"],
        vocab_size=job["vocab"],
        max_seq_length=10**6,
        default_dtype=DTYPES[job["precision"]],
        is_moe=bool(job["experts"]),
        num_experts=job["experts"] or None,
        num_active_experts=job["active_experts"] or None,
    )
    config = TrainingConfig(
        model=job["model"],
        method=FineTuneMethod(method),
        quantization=Quantization("4bit" if method == "qlora" else "none"),
        batch_size=job["micro_batch"],
        seq_length=max(1, round(job["row_tokens"])),
        gradient_checkpointing=job["checkpointing"] == "full",
        flash_attention=job["flash"],
        sharding=ShardingStrategy(SHARDINGS[job["sharding"]]),
        num_gpus=job["gpus"],
    )
    found = TimeEstimator(model, config).estimate(
        get_gpu(GPUS[job["gpu"]]),
        dataset_size=job["rows"] * STEPS,
        epochs=1,
        num_gpus=job["gpus"],
        avg_seq_length=job["row_tokens"],
        gradient_accumulation_steps=job["grad_accum"],
    )
    return found.total_hours * 3600 / STEPS


print(json.dumps({job["id"]: seconds(job) for job in json.load(sys.stdin)}))
