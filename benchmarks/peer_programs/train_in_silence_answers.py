"""Runs inside the environment of train-in-silence 0.1.6: jobs as JSON on stdin, seconds of a step by id on stdout.

Its planner is asked about one offer: the row's GPUs, with the rates of its own catalog and plenty of CPU and memory.
The difference between two job lengths leaves out its boot time; its time for preprocessing tokens is subtracted, for
rows do not contain it. A job that its planner thinks too large for the (pooled) memory gets no answer.
"""

import json
import sys

from tis.planner.estimator import ResourceEstimator
from tis.planner.market.catalog import GPUSpecCatalog
from tis.planner.models import Constraints, DataSpec, MarketOffer, ModelSpec, TrainingSpec, Workload
from tis.planner.optimizer import OptimizerEngine

STEPS = 10_000_000
PRECISIONS = {"bf16": "bf16", "fp16": "fp16", "fp32": "fp32", "tf32": "fp32"}
CATALOG = GPUSpecCatalog()
GPUS = {
    "A100 PCIe 80GB": "A100-80GB", "A100 PCIe 40GB": "A100-40GB", "H100 SXM 80GB": "H100 SXM",
    "H100 PCIe 80GB": "H100-80GB", "H100 NVL 94GB": "H100 NVL", "H200 SXM 141GB": "H200 SXM",
    "H200 NVL 141GB": "H200 NVL", "B200 SXM": "B200", "B300 SXM": "B300", "V100 SXM2 16GB": "V100 SXM2",
    "V100 SXM2 32GB": "V100-32GB", "V100 PCIe 16GB": "V100-16GB", "V100 PCIe 32GB": "V100-32GB",
}  # fmt: skip


def hours(job, spec, steps):
    """Hours of a job of so many steps, preprocessing left out; None where the planner has no candidate."""
    tokens = round(job["tokens"] * steps)
    method = "full" if not job["rank"] else "qlora" if job["quantize"] == "nf4" else "lora"
    workload = Workload(
        model=ModelSpec(
            name=job["model"],
            params=job["parameters"],
            num_layers=job["layers"],
            num_heads=job["heads"],
            num_kv_heads=job["kv_heads"],
            hidden_dim=job["hidden"],
            vocab_size=job["vocab"],
            num_experts=job["experts"],
            active_experts=job["active_experts"],
        ),
        training=TrainingSpec(
            method=method,
            precision=PRECISIONS[job["precision"]],
            batch_size=job["micro_batch"],
            grad_accum=job["grad_accum"],
            seq_len=max(1, round(job["row_tokens"])),
        ),
        data=DataSpec(dataset_tokens=tokens),
    )
    offer = MarketOffer(
        gpu=str(spec["name"]),
        gpu_count=job["gpus"],
        vram_gb=float(spec["vram_gb"]),
        price_per_hour=1.0,
        cpu=10**6,
        ram_gb=10**9,
        gpu_flops_tflops=CATALOG.flops_for(str(spec["name"])),
        platform="aws",
        region="any",
    )
    estimate = ResourceEstimator().estimate(workload)
    found = OptimizerEngine().generate_candidates(estimate, [offer], Constraints(), workload)
    if not found:
        return None
    return found[0].metrics.time_hours - tokens / (OptimizerEngine.PREPROCESSING_TPS * 3600.0)


def seconds(job):
    """Seconds of one optimizer step, or None."""
    spec = CATALOG.get(GPUS.get(job["gpu"], job["gpu"]))
    if spec is None or job["tensor"] * job["pipeline"] > 1 or job["precision"] not in PRECISIONS:
        return None
    short, long = hours(job, spec, STEPS), hours(job, spec, 2 * STEPS)
    return None if short is None or long is None else (long - short) * 3600 / STEPS


print(json.dumps({job["id"]: seconds(job) for job in json.load(sys.stdin)}))
